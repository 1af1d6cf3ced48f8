"""The alert policy with the real ledger and the real outbox: nothing lost, nothing told twice, the cap kept."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from sqlalchemy.engine import Engine

from emwatch.alerts.outbox import Outbox
from emwatch.alerts.policy import Policy
from emwatch.ledger.writer import Ledger
from emwatch.testing import ManualClock, RecordingChannel, make_metadata, make_outcome, make_prediction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.alerts.alert import Alert

MINUTE = timedelta(minutes=1)


class Phone(RecordingChannel):
    """Keeps when each alert was told."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self.told: list[tuple[datetime, Alert]] = []
        self.silent = False

    def send(self, alert: Alert) -> None:
        super().send(alert)
        self.told.append((self._clock.now(), alert))


class Room:
    """A ledger, an outbox and a phone; `restart` begins again with nothing but the file and the phone."""

    def __init__(self, folder: Path, policy: Policy, start: datetime, *others: str) -> None:
        self.path = folder / "ledger.sqlite3"
        self.policy = policy
        self.clock = ManualClock(start)
        self.phone = Phone(self.clock)
        self.channels: dict[str, Phone] = {"phone": self.phone, **{name: Phone(self.clock) for name in others}}
        self._numbers = count(1)
        self._open()

    def _open(self) -> None:
        self.ledger = Ledger(self.path, clock=self.clock)
        self.outbox = Outbox(self.ledger, self.channels, self.clock, policy=self.policy, chance=lambda: 1.0)

    def restart(self) -> None:
        self.ledger.close()
        self._open()

    def hit(self, target: str = "t", number: int = 1, probability: float = 0.9, **metadata: Any) -> None:
        for _ in range(number):
            name = f"{next(self._numbers)}.tif"
            found = make_outcome(
                f"/acq/{name}",
                name,
                targets=(target,),
                channels=("phone",),
                written_at=self.clock.now(),
                metadata=make_metadata(**metadata),
                prediction=make_prediction(probability=probability),
            )
            self.ledger.record(found, self.clock.now())

    def deliver(self) -> None:
        for name in self.channels:
            while (step := self.outbox.deliver_due(name, self.clock.now())).delivered or (
                step.next_due is not None and step.next_due <= self.clock.now()
            ):
                pass

    def pass_minutes(self, minutes: float) -> None:
        """Let time pass, stopping as the outbox's threads do: at every next due, and each minute if there is escalation."""
        end = self.clock.now() + minutes * MINUTE
        longest = MINUTE if self.policy.escalate_to else end - self.clock.now()
        while self.clock.now() < end:
            to = self.policy.escalate_to
            dues = [self.ledger.next_alert_at(name, passed_on=name == to) for name in self.channels]
            due = min((each for each in dues if each is not None), default=end)
            pause = min(max(due - self.clock.now(), timedelta(seconds=1)), longest, end - self.clock.now())
            self.clock.advance(pause.total_seconds())
            self.deliver()

    def query(self, text: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(text).fetchall()

    def counts(self) -> list[int]:
        return [alert.count for _, alert in self.phone.told]


@pytest.fixture(name="room")
def _room(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Room]:
    policy, *others = getattr(request, "param", (Policy(cap=5),))
    room = Room(tmp_path, policy, datetime(2026, 3, 1, 12, tzinfo=UTC), *others)
    yield room
    room.ledger.close()


def with_policy(*others: str, **keys: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("room", [(Policy(**keys), *others)], indirect=True)


@pytest.mark.parametrize("at_once", [True, False])
def test_500_hits_in_a_minute_with_a_cap_of_5_in_10_minutes_are_5_alerts_and_a_digest_of_495(
    room: Room, at_once: bool
) -> None:
    for number in range(500):
        room.hit(probability=0.5 + number / 1000)
        if not at_once:
            room.clock.advance(0.1)
            room.deliver()
    room.pass_minutes(30)

    assert room.counts() == [1, 1, 1, 1, 1, 495]
    digest = room.phone.told[-1][1]
    assert [round(each.probability, 3) for each in digest.best] == [0.999, 0.998, 0.997]
    assert digest.reason.startswith("495 hits: 500.tif Tips 1.00; 499.tif")
    assert digest.reason.endswith(", and 492 more")
    assert room.query("SELECT DISTINCT state FROM alerts") == [("delivered",)]


def test_a_digest_that_is_refused_comes_again_as_the_same_after_a_restart(room: Room) -> None:
    room.hit(number=8)
    room.deliver()
    room.phone.refuses = True
    room.pass_minutes(11)
    room.hit(number=2)
    room.restart()
    room.pass_minutes(1)
    room.phone.refuses = False
    room.restart()
    room.pass_minutes(30)

    refused = {alert.key for alert in room.phone.refused if alert.count == 3}
    assert {alert.key for _, alert in room.phone.told if alert.count == 3} == refused
    assert sum(room.counts()) == 10


@with_policy(quiet_hours=("22:00-07:00",), timezone="Europe/Zurich")
def test_what_came_in_the_night_is_told_in_the_morning(room: Room) -> None:
    room.clock.advance(10 * 3600)  # 23:00 in Zurich
    room.hit(number=7)
    room.pass_minutes(7 * 60 + 59)
    assert room.counts() == []
    assert room.query("SELECT DISTINCT held FROM alerts") == [("quiet hours",)]
    room.pass_minutes(1)

    assert room.counts() == [7]


@with_policy()
def test_a_snooze_outlives_a_restart_and_ends_early_when_it_is_lifted(room: Room) -> None:
    now = room.clock.now()
    room.ledger.snooze_alerts("t", now + 60 * MINUTE, now)
    room.hit(number=2)
    room.hit("other")
    room.restart()
    room.pass_minutes(20)
    assert [alert.target for _, alert in room.phone.told] == ["other"]
    room.ledger.snooze_alerts("t", None, room.clock.now())
    room.deliver()

    assert room.counts() == [1, 2]


@with_policy()
@pytest.mark.parametrize("while_down", [False, True])
def test_a_snooze_given_by_a_clock_that_was_days_ahead_holds_for_its_length_and_not_for_days(
    room: Room, while_down: bool
) -> None:
    room.clock.put(3 * 86_400)
    now = room.clock.now()
    room.ledger.snooze_alerts("t", now + 30 * MINUTE, now)
    if while_down:
        room.clock.put(-3 * 86_400)
        room.restart()
    else:
        room.deliver()
        room.clock.put(-3 * 86_400)
    room.deliver()
    room.hit(number=2)
    room.pass_minutes(29)
    assert room.counts() == []
    room.pass_minutes(7)

    assert room.counts() == [2]


@with_policy("pager", escalate_to="pager", escalate_after_minutes=15)
def test_what_a_clock_that_was_days_ahead_told_is_passed_on_when_nobody_acknowledges_it(room: Room) -> None:
    room.clock.put(3 * 86_400)
    room.hit()
    room.deliver()
    room.clock.put(-3 * 86_400)
    room.pass_minutes(17)

    assert len(room.channels["pager"].told) == 1


@with_policy(same_place_minutes=30)
def test_one_place_is_told_once_and_no_place_is_no_reason(room: Room) -> None:
    place = {"stage_x_mm": 1.0, "stage_y_mm": 2.0, "horizontal_field_width_um": 10.0}
    room.hit(number=3, **place)
    room.hit(number=2, stage_x_mm=1.0, stage_y_mm=2.0)  # the pixel size is not known
    room.hit(**{**place, "stage_x_mm": 1.1})
    room.deliver()

    assert room.counts() == [1, 1, 1, 1]
    assert room.query("SELECT count(*) FROM alerts WHERE state = 'delivered'") == [(6,)]
    room.pass_minutes(31)
    room.hit(**place)
    room.deliver()
    assert room.counts() == [1] * 5


@with_policy("pager", escalate_to="pager", escalate_after_minutes=15)
def test_what_nobody_acknowledged_is_passed_on_once_and_what_somebody_did_is_not(room: Room) -> None:
    room.hit(number=2)
    room.deliver()
    [(first,), _] = room.query("SELECT id FROM alerts ORDER BY id")
    assert room.ledger.acknowledge_alerts([first], room.clock.now()) == 1
    room.restart()
    room.pass_minutes(14)
    assert room.channels["pager"].told == []
    room.pass_minutes(60)

    [(_, alert)] = room.channels["pager"].told
    assert alert.path == Path("/acq/2.tif")
    assert alert.reason == "nobody acknowledged within 15 min: because t"
    assert len(room.phone.told) == 2


@with_policy("pager", cap=1, escalate_to="pager", escalate_after_minutes=15)
def test_acknowledging_a_digest_acknowledges_all_of_it(room: Room) -> None:
    room.hit(number=5)
    room.pass_minutes(11)
    assert room.counts() == [1, 4]
    room.ledger.acknowledge_alerts([5], room.clock.now())
    room.pass_minutes(60)

    assert [alert.path.name for _, alert in room.channels["pager"].told] == ["1.tif"]


@with_policy("pager", escalate_to="pager", escalate_after_minutes=15)
def test_what_was_told_together_is_passed_on_together_and_says_why(room: Room) -> None:
    room.ledger.snooze_alerts("t", room.clock.now() + 10 * MINUTE, room.clock.now())
    room.hit(number=5)
    room.pass_minutes(11)
    assert room.counts() == [5]
    room.pass_minutes(60)

    [(_, alert)] = room.channels["pager"].told
    assert alert.count == 5
    assert alert.reason.startswith("nobody acknowledged within 15 min: 5 hits: ")
    assert alert.key != room.phone.told[0][1].key


@with_policy("pager", escalate_to="pager", escalate_after_minutes=15)
@pytest.mark.parametrize("silent", [False, True])
def test_a_channel_of_any_kind_is_told_at_the_minute_what_nobody_acknowledged(room: Room, silent: bool) -> None:
    pager = room.channels["pager"]
    pager.silent = silent  # as a lamp on an MQTT broker is
    room.hit()
    room.deliver()
    late = room.clock.now() + 15 * MINUTE

    assert room.outbox.deliver_due("pager", room.clock.now()).next_due == late
    room.pass_minutes(60)
    assert [at for at, _ in pager.told] == [late]


def test_acknowledging_many_asks_the_ledger_no_more_often_than_one(room: Room) -> None:
    """A click after a weekend must not hold up the frames for seconds."""
    room.hit(number=60)
    for number in range(1, 61):
        room.ledger.alert_delivered(number, room.clock.now())
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_further: Any) -> None:
        asked.append((statement, values))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        assert room.ledger.acknowledge_alerts([1], room.clock.now()) == 1
        for_one = len(asked)
        assert room.ledger.acknowledge_alerts(range(1, 61), room.clock.now()) == 59
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    assert len(asked) == 2 * for_one
    changes = [each for each in asked if each[0].startswith("UPDATE alerts")]
    assert changes
    with closing(sqlite3.connect(room.path)) as connection:
        for statement, values in changes:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
            assert [row[3] for row in plan if row[3].startswith("SCAN alerts")] == []


def test_alerts_given_up_are_tried_again_when_asked_for(room: Room) -> None:
    room.hit(number=2)
    room.ledger.alert_dead(1, "gone")
    assert room.ledger.retry_dead_alerts(None, room.clock.now()) == 1
    room.deliver()

    assert room.counts() == [1, 1]


SUMMER = (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC))
CAP, CAP_MINUTES, COOLDOWN_MINUTES = 3, 10, 1


def is_quiet(at: datetime) -> bool:
    """Return whether it is between 22:00 and 07:00 in Zurich, by the rule of summer time."""
    hour = (at + timedelta(hours=2 if SUMMER[0] <= at < SUMMER[1] else 1)).hour
    return hour >= 22 or hour < 7


steps = st.one_of(
    st.tuples(st.just("hit"), st.sampled_from("ab"), st.integers(1, 5)),
    st.tuples(st.just("pass"), st.sampled_from([0.2, 3, 20, 200])),
    st.tuples(st.just("restart")),
    st.tuples(st.just("refuse"), st.booleans()),
    st.tuples(st.just("snooze"), st.sampled_from(["", "a"]), st.sampled_from([0, 5, 90])),
)


@settings(max_examples=settings.default.max_examples // 4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    change=st.sampled_from(SUMMER),
    hours_before=st.integers(0, 8),
    done=st.lists(steps, min_size=1, max_size=8),
)
def test_whatever_happens_nothing_is_lost_or_told_twice_and_the_policy_is_kept(
    change: datetime, hours_before: int, done: list[tuple[Any, ...]]
) -> None:
    policy = Policy(
        cap=CAP,
        cap_minutes=CAP_MINUTES,
        cooldown_minutes=COOLDOWN_MINUTES,
        quiet_hours=("22:00-07:00",),
        timezone="Europe/Zurich",
    )
    raised = dict.fromkeys("ab", 0)
    snoozes: list[
        tuple[str, int, datetime, datetime]
    ] = []  # and how many tellings came before, maybe at the same moment
    with TemporaryDirectory() as folder:
        room = Room(Path(folder), policy, change - timedelta(hours=hours_before))
        for what, *how in done:
            now = room.clock.now()
            if what == "hit":
                room.hit(*how)
                raised[how[0]] += how[1]
                room.deliver()
            elif what == "pass":
                room.pass_minutes(how[0])
            elif what == "restart":
                room.restart()
            elif what == "refuse":
                room.phone.refuses = how[0]
            else:
                target, minutes = how
                snoozes = [
                    (name, before, begin, min(end, now) if name == target else end)
                    for name, before, begin, end in snoozes
                ]
                snoozes.append((target, len(room.phone.told), now, now + minutes * MINUTE))
                room.ledger.snooze_alerts(target, now + minutes * MINUTE if minutes else None, now)
        room.phone.refuses = False
        room.pass_minutes(24 * 60)
        states = room.query("SELECT DISTINCT state FROM alerts")
        room.ledger.close()

    assert states in ([], [("delivered",)])
    keys = [alert.key for _, alert in room.phone.told]
    assert len(keys) == len(set(keys))
    for target, number in raised.items():
        told = [(at, alert.count) for at, alert in room.phone.told if alert.target == target]
        assert sum(each for _, each in told) == number
        times = [at for at, _ in told]
        for at in times:
            assert sum(at - CAP_MINUTES * MINUTE < other <= at for other in times) <= CAP
            assert sum(at - COOLDOWN_MINUTES * MINUTE < other <= at for other in times) <= 1
            assert not is_quiet(at)
    for name, before, begin, end in snoozes:
        later = [at for at, alert in room.phone.told[before:] if name in {"", alert.target}]
        assert not any(begin <= at < end for at in later)
