from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emwatch.alerts.outbox import Outbox, Patience, Step
from emwatch.clock import SystemClock
from emwatch.errors import AlertError, LedgerError
from emwatch.testing import ManualClock, RecordingChannel, make_alert

if TYPE_CHECKING:
    from emwatch.alerts.alert import Alert


@dataclass
class Slot:
    alert: Alert
    next_try_at: datetime
    state: str = "pending"
    error: str = ""


class MemoryStore:
    """The outbox's rows in memory; ``broken`` makes every mark fail, as a full disk does."""

    def __init__(self) -> None:
        self.slots: dict[int, Slot] = {}
        self.broken = False

    def add(self, key: str, channel: str, now: datetime) -> int:
        number = len(self.slots) + 1
        at = now.isoformat()
        alert = make_alert(key, channel, id=number, frame_id=number, recorded_at=at, queued_at=at)
        self.slots[number] = Slot(alert, now)
        return number

    def _waiting(self, channel: str) -> list[Slot]:
        return [s for s in self.slots.values() if s.state == "pending" and s.alert.channel == channel]

    def due_alerts(
        self, channel: str, now: datetime, limit: int, *, not_after: datetime | None, policy: object
    ) -> list[Alert]:
        del policy  # what is held back is the ledger's side: tests/unit/ledger/test_tellings.py
        due = [
            s.alert
            for s in self._waiting(channel)
            if s.next_try_at <= now or (not_after is not None and s.next_try_at > not_after)
        ]
        return due[:limit]

    def pass_on(self, channel: str, now: datetime, policy: object) -> None:
        """Nothing is passed on here: tests/unit/ledger/test_tellings.py."""

    def next_alert_at(self, channel: str, *, passed_on: bool) -> datetime | None:
        del passed_on
        return min((s.next_try_at for s in self._waiting(channel)), default=None)

    def _settle(self, alert_id: int, **values: object) -> None:
        if self.broken:
            raise LedgerError("disk full")
        slot = self.slots[alert_id]
        self.slots[alert_id] = replace(slot, alert=replace(slot.alert, attempts=slot.alert.attempts + 1), **values)

    def alert_delivered(self, alert_id: int, at: datetime, escalate_at: datetime | None) -> None:  # noqa: ARG002 - the store's signature
        self._settle(alert_id, state="delivered")

    def alert_failed(self, alert_id: int, error: str, next_try_at: datetime) -> None:
        self._settle(alert_id, error=error, next_try_at=next_try_at)

    def alert_dead(self, alert_id: int, error: str) -> None:
        self._settle(alert_id, state="dead", error=error)

    def retry_alerts(self, channel: str, now: datetime) -> None:
        for slot in self._waiting(channel):
            slot.next_try_at = min(slot.next_try_at, now)

    def states(self) -> list[str]:
        return [slot.state for slot in self.slots.values()]


@pytest.fixture(name="store")
def _store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(name="clock")
def _clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(name="channel")
def _channel() -> RecordingChannel:
    return RecordingChannel()


@pytest.fixture(name="outbox")
def _outbox(store: MemoryStore, channel: RecordingChannel, clock: ManualClock) -> Outbox:
    return Outbox(store, {"lamp": channel}, clock, chance=lambda: 1.0)


def keys(alerts: list[Alert]) -> list[str]:
    return [each.key for each in alerts]


def test_due_alerts_are_delivered_oldest_first_and_marked(
    outbox: Outbox, store: MemoryStore, channel: RecordingChannel, clock: ManualClock
) -> None:
    for key in "abc":
        store.add(key, "lamp", clock.now())

    actual = outbox.deliver_due("lamp", clock.now())

    assert Step(3, None) == actual
    assert keys(channel.taken) == ["a", "b", "c"]
    assert store.states() == ["delivered"] * 3


def test_no_more_than_four_are_in_flight(outbox: Outbox, store: MemoryStore, clock: ManualClock) -> None:
    for number in range(9):
        store.add(str(number), "lamp", clock.now())

    assert Step(4, clock.now()) == outbox.deliver_due("lamp", clock.now())


def test_an_alert_that_fails_alone_is_tried_after_1_2_4_seconds_and_never_later_than_5_minutes(
    outbox: Outbox, store: MemoryStore, channel: RecordingChannel, clock: ManualClock
) -> None:
    store.add("a", "lamp", clock.now())
    channel.refuses = True
    pauses = []
    for _ in range(11):
        due = outbox.deliver_due("lamp", clock.now()).next_due
        assert due is not None
        pauses.append((due - clock.now()).total_seconds())
        clock.advance(pauses[-1])

    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert keys(channel.refused) == ["a"] * 11


def test_jitter_spreads_a_pause_over_its_upper_half() -> None:
    patience = Patience()

    assert [patience.pause(4, chance).total_seconds() for chance in (0.0, 0.5, 1.0)] == [4.0, 6.0, 8.0]


def test_nothing_is_tried_before_its_time(
    outbox: Outbox, store: MemoryStore, channel: RecordingChannel, clock: ManualClock
) -> None:
    store.add("a", "lamp", clock.now())
    channel.refuses = True
    outbox.deliver_due("lamp", clock.now())
    clock.advance(0.9)
    outbox.deliver_due("lamp", clock.now())

    assert keys(channel.refused) == ["a"]


def test_a_channel_that_is_down_is_probed_with_one_alert_and_recovers_with_all(
    outbox: Outbox, store: MemoryStore, channel: RecordingChannel, clock: ManualClock
) -> None:
    for number in range(200):
        store.add(str(number), "lamp", clock.now())
    channel.refuses = True
    begun = clock.monotonic()
    while clock.monotonic() < begun + 600:
        due = outbox.deliver_due("lamp", clock.now()).next_due
        assert due is not None
        clock.advance((due - clock.now()).total_seconds())
    channel.refuses = False
    mended = clock.monotonic()
    while "pending" in store.states():
        due = outbox.deliver_due("lamp", clock.now()).next_due
        if due is not None:
            clock.advance(max(0.0, (due - clock.now()).total_seconds()))

    assert len(channel.refused) < 20
    assert sorted(map(str, range(200))) == sorted(keys(channel.taken))
    assert clock.monotonic() - mended <= 60


def test_one_alert_that_never_succeeds_does_not_hold_up_the_others(store: MemoryStore, clock: ManualClock) -> None:
    class Picky(RecordingChannel):
        def send(self, alert: Alert) -> None:
            self.refuses = alert.key == "poison"
            super().send(alert)

    channel = Picky()
    outbox = Outbox(store, {"lamp": channel}, clock, chance=lambda: 1.0)
    for key in ("poison", "a", "b", "c", "d"):
        store.add(key, "lamp", clock.now())
    outbox.deliver_due("lamp", clock.now())
    outbox.deliver_due("lamp", clock.now())

    assert keys(channel.taken) == ["a", "b", "c", "d"]
    assert len(channel.refused) == 1


def test_an_alert_is_dead_after_its_last_attempt(
    store: MemoryStore, channel: RecordingChannel, clock: ManualClock
) -> None:
    outbox = Outbox(store, {"lamp": channel}, clock, patience=Patience(most_attempts=3), chance=lambda: 1.0)
    store.add("a", "lamp", clock.now())
    channel.refuses = True
    for _ in range(3):
        outbox.deliver_due("lamp", clock.now())
        clock.advance(400)

    assert store.states() == ["dead"]
    assert store.slots[1].error == "recording: told to refuse"


def test_an_old_alert_is_tried_for_ten_more_minutes_and_then_dead(
    outbox: Outbox, store: MemoryStore, channel: RecordingChannel, clock: ManualClock
) -> None:
    store.add("a", "lamp", clock.now())
    store.add("b", "lamp", clock.now())
    clock.advance(timedelta(days=4).total_seconds())
    channel.refuses = True
    outbox.deliver_due("lamp", clock.now())
    assert keys(channel.refused) == ["a", "b"]
    assert store.states() == ["pending", "pending"]

    for _ in range(30):
        clock.advance(60)
        outbox.deliver_due("lamp", clock.now())
    assert store.states() == ["dead", "dead"]


def test_a_wall_clock_put_right_by_years_gives_up_no_alert_and_makes_no_channel_down(
    outbox: Outbox, store: MemoryStore, channel: RecordingChannel, clock: ManualClock
) -> None:
    store.add("a", "lamp", clock.now())
    channel.refuses = True
    outbox.deliver_due("lamp", clock.now())
    clock.advance(30)
    clock.put(timedelta(days=20_000).total_seconds())  # the network, and the time with it, come up after the start
    outbox.deliver_due("lamp", clock.now())
    assert (store.states(), outbox.down_s()) == (["pending"], {"lamp": 30})

    channel.refuses = False
    clock.advance(60)
    outbox.deliver_due("lamp", clock.now())
    assert (keys(channel.taken), outbox.down_s()) == (["a"], {})


def test_an_alert_whose_mark_fails_is_not_sent_again_by_the_same_process(
    outbox: Outbox, store: MemoryStore, channel: RecordingChannel, clock: ManualClock
) -> None:
    store.add("a", "lamp", clock.now())
    store.broken = True
    for _ in range(3):
        with pytest.raises(LedgerError):
            outbox.deliver_due("lamp", clock.now())
    store.broken = False
    outbox.deliver_due("lamp", clock.now())

    assert keys(channel.taken) == ["a"]
    assert store.states() == ["delivered"]


def test_a_process_killed_between_delivery_and_mark_repeats_with_the_same_key(
    outbox: Outbox, store: MemoryStore, channel: RecordingChannel, clock: ManualClock
) -> None:
    store.add("a", "lamp", clock.now())
    store.broken = True
    with pytest.raises(LedgerError):
        outbox.deliver_due("lamp", clock.now())
    store.broken = False
    Outbox(store, {"lamp": channel}, clock).deliver_due("lamp", clock.now())

    assert keys(channel.taken) == ["a", "a"]


def test_a_wall_clock_put_back_a_day_does_not_hold_an_alert_for_a_day(
    store: MemoryStore, channel: RecordingChannel, clock: ManualClock
) -> None:
    store.add("a", "lamp", clock.now() + timedelta(days=1))
    outbox = Outbox(store, {"lamp": channel}, clock)

    assert outbox.deliver_due("lamp", clock.now()).delivered == 1


def test_a_channel_that_hangs_does_not_delay_another(store: MemoryStore, clock: ManualClock) -> None:
    slow, quick = RecordingChannel(), RecordingChannel()
    slow.gate.clear()
    arrived = threading.Event()
    send = quick.send
    quick.send = lambda alert: (send(alert), arrived.set())[0]  # type: ignore[method-assign]
    store.add("s", "slow", clock.now())
    outbox = Outbox(store, {"slow": slow, "quick": quick}, clock)
    outbox.start()
    store.add("q", "quick", clock.now())
    outbox.wake()

    assert arrived.wait(10)
    assert slow.taken == []
    assert not outbox.drain(0.05)
    slow.gate.set()
    assert outbox.drain(10)
    assert outbox.stop(10)
    assert store.states() == ["delivered", "delivered"]


def test_drain_waits_for_what_is_due_and_not_for_later_tries(
    outbox: Outbox, store: MemoryStore, channel: RecordingChannel, clock: ManualClock
) -> None:
    for number in range(30):
        store.add(str(number), "lamp", clock.now())
    outbox.start()

    assert outbox.drain(10)
    assert store.states() == ["delivered"] * 30
    channel.refuses = True
    store.add("late", "lamp", clock.now())
    assert outbox.drain(10)
    assert outbox.stop(10)
    assert store.states()[-1] == "pending"


def test_a_ledger_that_cannot_be_written_does_not_end_the_thread(
    outbox: Outbox, store: MemoryStore, channel: RecordingChannel, clock: ManualClock
) -> None:
    store.add("a", "lamp", clock.now())
    store.broken = True
    outbox.start()

    assert outbox.drain(10)
    assert outbox.workers[0].is_alive
    store.broken = False
    assert outbox.drain(10)
    assert outbox.stop(10)
    assert (keys(channel.taken), store.states()) == (["a"], ["delivered"])


def test_a_thread_that_died_is_started_again_and_what_killed_it_waits_its_turn(
    store: MemoryStore, clock: ManualClock
) -> None:
    class Buggy(RecordingChannel):
        def send(self, alert: Alert) -> None:
            if alert.key == "a":
                raise ZeroDivisionError
            super().send(alert)

    channel = Buggy()
    outbox = Outbox(store, {"lamp": channel}, clock)
    for key in ("a", "b"):
        store.add(key, "lamp", clock.now())
    outbox.start()
    [worker] = outbox.workers
    assert worker.join(10)
    assert worker.revive(0.0)
    assert outbox.drain(10)
    assert outbox.stop(10)

    assert (worker.name, keys(channel.taken)) == ("alerts on lamp", ["b"])
    assert store.states() == ["pending", "delivered"]
    assert not worker.revive(1e6)


def test_an_announcement_goes_to_every_channel_but_terminals_and_needs_no_store(
    store: MemoryStore, clock: ManualClock
) -> None:
    told = threading.Event()

    class Phone(RecordingChannel):
        def send(self, alert: Alert) -> None:
            super().send(alert)
            told.set()

    class Terminal(RecordingChannel):
        kind = "terminal"

    store.broken = True
    phone, terminal = Phone(), Terminal()
    outbox = Outbox(store, {"phone": phone, "terminal": terminal}, clock)
    outbox.announce("the disk is full", Path("/ledger"))
    outbox.start()

    assert told.wait(5)
    assert outbox.stop(5)
    [alert] = phone.taken
    assert (alert.target, alert.reason, alert.path, alert.channel) == (
        "emwatch",
        "the disk is full",
        Path("/ledger"),
        "phone",
    )
    assert terminal.taken == []


@pytest.mark.parametrize("refusals", [1, 3])
def test_an_announcement_that_is_refused_comes_again_and_holds_up_no_alert(
    store: MemoryStore, clock: ManualClock, refusals: int
) -> None:
    told = threading.Event()

    class Phone(RecordingChannel):
        def send(self, alert: Alert) -> None:
            self.refuses = alert.target == "emwatch" and len(self.refused) < refusals
            super().send(alert)
            if alert.reason == "the disk is full":
                told.set()

    phone = Phone()
    outbox = Outbox(store, {"phone": phone}, SystemClock(), patience=Patience(first_pause_s=0.01))
    store.add("a", "phone", clock.now())
    outbox.announce("the directory is gone", Path("/frames"))
    outbox.announce("the disk is full", Path("/ledger"))
    outbox.start()

    assert told.wait(5)
    assert outbox.stop(5)
    assert [each.reason for each in phone.refused] == refusals * ["the directory is gone"]
    assert [each.reason for each in phone.taken if not each.frame_id] == ["the directory is gone", "the disk is full"]
    assert phone.taken[0].key == "a"
    assert len({each.key for each in [*phone.refused, *phone.taken]}) == 3


@pytest.mark.parametrize(("asked_for_s", "pause_s"), [(30, 30), (86_400, 300)])
def test_a_receiver_that_asks_for_a_pause_gets_it_before_anything_else_is_sent(
    store: MemoryStore, clock: ManualClock, asked_for_s: float, pause_s: float
) -> None:
    class Busy(RecordingChannel):
        def send(self, alert: Alert) -> None:
            try:
                super().send(alert)
            except AlertError as error:
                raise AlertError(str(error), retry_after_s=asked_for_s) from error

    channel = Busy()
    outbox = Outbox(store, {"lamp": channel}, clock, chance=lambda: 1.0)
    channel.refuses = True
    for key in "abc":
        store.add(key, "lamp", clock.now())
    step = outbox.deliver_due("lamp", clock.now())

    assert (keys(channel.refused), step) == (["a"], Step(0, clock.now() + timedelta(seconds=pause_s)))
    channel.refuses = False
    clock.advance(pause_s - 1)
    assert outbox.deliver_due("lamp", clock.now()).delivered == 0
    clock.advance(1)
    outbox.deliver_due("lamp", clock.now())
    assert sorted(keys(channel.taken)) == ["a", "b", "c"]


def test_a_channel_that_is_exchanged_takes_at_once_what_the_one_before_refused(
    outbox: Outbox, store: MemoryStore, channel: RecordingChannel, clock: ManualClock
) -> None:
    channel.refuses = True
    for key in "abc":
        store.add(key, "lamp", clock.now())
    outbox.deliver_due("lamp", clock.now())
    successor = RecordingChannel()

    outbox.exchange({"lamp": successor})
    actual = outbox.deliver_due("lamp", clock.now())

    assert Step(3, None) == actual
    assert keys(successor.taken) == ["a", "b", "c"]


def test_a_new_channel_is_started_and_one_that_is_gone_leaves_its_alerts_until_it_is_back(store: MemoryStore) -> None:
    clock, lamp, horn = SystemClock(), RecordingChannel(), RecordingChannel()
    outbox = Outbox(store, {"lamp": lamp}, clock)
    outbox.start()
    assert outbox.drain(10)
    outbox.exchange({"horn": horn})
    for name in ("lamp", "horn"):
        store.add(name, name, clock.now())
    outbox.wake()
    assert outbox.drain(10)
    assert (lamp.taken, keys(horn.taken)) == ([], ["horn"])
    assert all(worker.is_alive for worker in outbox.workers)
    outbox.exchange({"horn": horn, "lamp": lamp})
    assert outbox.drain(10)

    assert (keys(lamp.taken), keys(horn.taken)) == (["lamp"], ["horn"])
    assert outbox.stop()
