"""
The outbox: every alert is delivered at least once, oldest first, whatever fails in between.

Waiting alerts live in the ledger, not here. A kill between a delivery and its mark repeats at most one alert per
channel, with the same key.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from random import SystemRandom
from typing import TYPE_CHECKING, Final

from emwatch.alerts.alert import Alert
from emwatch.alerts.channel import is_silent, shows_pictures
from emwatch.alerts.policy import Policy
from emwatch.errors import AlertError, LedgerError
from emwatch.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from emwatch.alerts.channel import Channel
    from emwatch.alerts.store import AlertStore
    from emwatch.clock import Clock

_log = logging.getLogger(__name__)

#: Alerts taken out of the ledger at a time.
IN_FLIGHT: Final = 4

#: Announcements that wait for a channel that hangs; the oldest is dropped first.
MOST_ANNOUNCEMENTS: Final = 20

#: How long a ledger that cannot be written is left alone.
_LEDGER_PAUSE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Patience:
    """
    How often and how long a delivery is tried.

    Attributes:
        first_pause_s: after the first failure; doubled with each further one.
        longest_pause_s: of one alert.
        longest_probe_s: between tries of a channel that refuses everything.
        give_up_after: an alert older than this is dead at its next failure,
        least_tried_s: but not before it was refused for so long: when a wrong clock is put right, an alert of a minute
            looks years old.
        most_attempts: an alert tried this often is dead.

    """

    first_pause_s: float = 1.0
    longest_pause_s: float = 300.0
    longest_probe_s: float = 60.0
    give_up_after: timedelta = timedelta(days=3)
    least_tried_s: float = 600.0
    most_attempts: int = 1000

    def pause(
        self, failures: int, chance: float, longest_s: float | None = None, asked_for_s: float | None = None
    ) -> timedelta:
        """
        Return the delay after ``failures`` consecutive failures; ``chance`` in [0, 1) spreads it over its upper half.

        ``asked_for_s``: the receiver asked for so long a pause; it gets that, but for more than the longest one.
        """
        longest_s = self.longest_pause_s if longest_s is None else longest_s
        doubled_s = self.first_pause_s * 2.0 ** min(failures - 1, 30)
        asked_for_s = min(asked_for_s or 0.0, self.longest_pause_s)
        return timedelta(seconds=max(min(doubled_s, longest_s) * (0.5 + 0.5 * chance), asked_for_s))


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did: how many were delivered, and when the next is due (``None``: when there is a new alert)."""

    delivered: int
    next_due: datetime | None


@dataclass(slots=True)
class _Line:
    """What is remembered of one channel between steps; all of it may be lost."""

    channel: Channel
    refused: dict[int, float] = field(
        default_factory=dict
    )  #: the alerts refused since the last delivery, each with the monotonic time of the first refusal
    failures: int = 0
    down_until: datetime | None = None
    failing_since: float | None = None  #: monotonic time of the first failure after the last delivery
    in_hand: Alert | None = None  #: being delivered; left over if that ended the thread
    unmarked: dict[int, tuple[datetime, datetime | None]] = field(
        default_factory=dict
    )  #: delivered, but the ledger could not be told yet
    announcements: deque[Alert] = field(default_factory=lambda: deque(maxlen=MOST_ANNOUNCEMENTS))
    announce_at: datetime | None = None  #: when a refused announcement is tried again
    guard: threading.Lock = field(default_factory=threading.Lock)  #: over the two events together
    asked: threading.Event = field(default_factory=threading.Event)
    at_rest: threading.Event = field(default_factory=threading.Event)
    successor: Channel | None = None  #: the same channel as it is configured now; the line's thread takes it over
    retired: bool = False  #: configured no more; its thread idles, so that no alert is in two hands if it comes back

    def recover(self) -> None:
        """Forget every refusal: the channel takes alerts, or is another one now."""
        self.refused.clear()
        self.failures, self.down_until, self.failing_since, self.announce_at = 0, None, None, None


class Outbox:
    """
    Delivers waiting alerts, one thread per channel, so that a channel that is down or slow delays no other.

    Args:
        store: the ledger.
        channels: by the name that targets use.
        clock: for what is due; jumps of the wall clock are survived.
        patience: back-off and giving up.
        policy: what is held back and told together; terminals show every alert at once.
        picture: returns an alert's thumbnail as JPEG, empty if there is none; must not raise.
        chance: gives numbers in [0, 1) for the jitter.

    """

    def __init__(
        self,
        store: AlertStore,
        channels: Mapping[str, Channel],
        clock: Clock,
        *,
        patience: Patience | None = None,
        policy: Policy | None = None,
        picture: Callable[[Alert], bytes] = lambda _alert: b"",
        chance: Callable[[], float] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._patience = patience or Patience()
        self._policy = policy or Policy()
        self._picture = picture
        self._chance = chance or SystemRandom().random
        self._lines = {name: _Line(channel) for name, channel in channels.items()}
        self._workers = {name: self._worker(name, line) for name, line in self._lines.items()}
        self._stopping = False

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The threads, one per channel."""
        return tuple(self._workers.values())

    def deliver_due(self, channel: str, now: datetime) -> Step:
        """
        Deliver what is due on a channel, at most a handful, each marked at once.

        When different alerts fail in a row the channel is down: it is probed with one alert at a time, and all
        that waits is due again with the first that gets through.

        Raises:
            LedgerError: the ledger cannot be read or written; what was delivered is remembered and marked later.

        """
        line = self._lines[channel]
        self._mark(line)
        if line.retired:
            return Step(0, None)
        self._succeed(channel, line, now)
        if line.in_hand is not None:
            # It ended the thread before this one: it must neither do so for ever nor hold up the others.
            self._failed(line, line.in_hand, "delivering it ended the channel's thread, a fault of emwatch", now)
        # Beyond a clock that was put back, a pause could last for days.
        longest = timedelta(seconds=self._patience.longest_pause_s)
        if line.down_until is not None and now < line.down_until <= now + longest:
            return Step(0, line.down_until)
        delivered = 0
        policy = None if is_silent(line.channel) else self._policy
        passed_on = channel == self._policy.escalate_to
        if passed_on:
            self._store.pass_on(channel, now, self._policy)
        for alert in self._store.due_alerts(channel, now, IN_FLIGHT, not_after=now + longest, policy=policy):
            if self._stopping or line.retired:
                break
            if self._deliver(line, alert, now):
                delivered += 1
            elif line.down_until is not None:
                return Step(delivered, line.down_until)
        return Step(delivered, self._store.next_alert_at(channel, passed_on=passed_on))

    def _deliver(self, line: _Line, alert: Alert, now: datetime) -> bool:
        line.in_hand = alert
        try:
            line.channel.send(self._with_picture(line.channel, alert))
        except AlertError as error:
            self._failed(line, alert, str(error), now, error.retry_after_s)
            return False
        line.in_hand = None
        passed_on = self._policy.escalate_to not in {None, alert.channel}
        line.unmarked[alert.id] = (now, now + self._policy.escalate_after if passed_on else None)
        self._mark(line)
        if line.down_until is not None:
            _log.info("alerts: %s takes alerts again", alert.channel)
            self._store.retry_alerts(alert.channel, now)
        line.recover()
        return True

    def _with_picture(self, channel: Channel, alert: Alert) -> Alert:
        return replace(alert, thumbnail=self._picture(alert)) if shows_pictures(channel) else alert

    def _succeed(self, name: str, line: _Line, now: datetime) -> None:
        """Go on with a channel as it is configured now, and let it have at once what the one before refused."""
        with line.guard:
            successor, line.successor = line.successor, None
        if successor is not None:
            line.channel = successor
            line.recover()
            self._store.retry_alerts(name, now)

    def _mark(self, line: _Line) -> None:
        for alert_id, (at, escalate_at) in list(line.unmarked.items()):
            self._store.alert_delivered(alert_id, at, escalate_at)
            del line.unmarked[alert_id]

    def _failed(self, line: _Line, alert: Alert, error: str, now: datetime, retry_after_s: float | None = None) -> None:
        line.in_hand = None
        line.failures += 1
        moment = self._clock.monotonic()
        line.failing_since = moment if line.failing_since is None else line.failing_since
        failed_for_s = moment - line.refused.setdefault(alert.id, moment)
        pause = partial(self._patience.pause, chance=self._chance(), asked_for_s=retry_after_s)
        if len(line.refused) > 1 or retry_after_s:
            if line.down_until is None:
                _log.warning("alerts: %s is down, alerts wait: %s", alert.channel, error)
            line.down_until = now + pause(line.failures, longest_s=self._patience.longest_probe_s)
        attempts = alert.attempts + 1
        age = now - datetime.fromisoformat(alert.queued_at)
        old = age > self._patience.give_up_after and failed_for_s >= self._patience.least_tried_s
        if old or attempts >= self._patience.most_attempts:
            _log.error("alerts: %s given up after %d attempts: %s", alert.key, attempts, error)
            self._store.alert_dead(alert.id, error)
            return
        if attempts == 1:
            _log.warning('alerts: %s: "%s" will be tried again: %s', alert.channel, alert.target, error)
        self._store.alert_failed(alert.id, error, now + pause(attempts))

    def start(self) -> None:
        """Start one thread per channel; what waits in the ledger from before is delivered now."""
        for worker in self.workers:
            worker.start()

    def _worker(self, name: str, line: _Line) -> Worker:
        return Worker(f"alerts on {name}", partial(self._run, name, line), wake=line.asked.set)

    def exchange(self, channels: Mapping[str, Channel], policy: Policy | None = None) -> None:
        """
        Deliver on these channels from now on, by the name that targets use, and by this policy; returns at once.

        What waits for a channel is tried on it anew. Alerts for one that is gone wait in the store until it comes back.
        """
        self._policy = policy or Policy()
        before = self._lines
        added = {name: _Line(channel) for name, channel in channels.items() if name not in before}
        new_workers = {name: self._worker(name, line) for name, line in added.items()}
        # As a whole: other threads go through them.
        self._lines, self._workers = {**before, **added}, {**self._workers, **new_workers}
        for name, line in before.items():
            with line.guard:
                line.successor, line.retired = channels.get(name), name not in channels
        for worker in new_workers.values():
            worker.start()
        self.wake()

    def wake(self) -> None:
        """Wake the channels; call it after each commit that added alerts."""
        for line in self._lines.values():
            with line.guard:
                line.at_rest.clear()
                line.asked.set()

    def announce(self, text: str, about: Path) -> None:
        """
        Send a text that is about no frame on every channel except terminals, once; it is not kept in the ledger.

        It goes out as an alert for the target ``emwatch`` with the text as its reason, and is tried again while it is
        refused, for as long as an alert. Returns at once.
        """
        at = self._clock.now().isoformat()
        for name, line in self._lines.items():
            if line.channel.kind != "terminal" and not line.retired:
                key = hashlib.sha256(f"{at} {name} {text}".encode("utf-8", "backslashreplace")).hexdigest()[:32]
                line.announcements.append(
                    Alert(0, key, name, "emwatch", text, 0, about, "", 0.0, None, None, at, at, 0)
                )
        self.wake()

    def down_s(self) -> dict[str, float]:
        """Return for how many seconds each channel has refused all that was sent; channels that take alerts are left out."""
        moment = self._clock.monotonic()
        return {
            name: moment - since
            for name, line in self._lines.items()
            if (since := line.failing_since) is not None and not line.retired
        }

    def drain(self, timeout_s: float) -> bool:
        """Wait until nothing more is due on any channel; alerts that wait for a later try are not waited for."""
        self.wake()
        deadline = time.monotonic() + timeout_s
        return all(line.at_rest.wait(max(0.0, deadline - time.monotonic())) for line in self._lines.values())

    def stop(self, timeout_s: float = 5.0) -> bool:
        """End the threads; ``False`` if a channel still hangs (its alert stays in the ledger and comes again)."""
        self._stopping = True
        for worker in self.workers:
            worker.ask_to_stop()
        deadline = time.monotonic() + timeout_s
        ended = [worker.join(max(0.0, deadline - time.monotonic())) for worker in self.workers]
        return all(ended)

    def _run(self, name: str, line: _Line) -> None:
        while True:
            line.asked.clear()
            now = self._clock.now()
            self._send_announcements(line, now)
            if self._stopping:
                return
            try:
                due = self.deliver_due(name, now).next_due
            except LedgerError as error:
                _log.warning("alerts: %s waits for the ledger: %s", name, error)
                due = now + _LEDGER_PAUSE
            due = min((each for each in (due, line.announce_at) if each is not None), default=None)
            if line.announcements and line.announce_at is None:
                continue  # what was refused while the channel was down may go now
            if due is not None and due <= self._clock.now():
                continue
            with line.guard:
                if not line.asked.is_set():
                    line.at_rest.set()
            # Never longer than a probe, so that a clock that jumps costs a minute at most.
            pause_s = self._patience.longest_probe_s
            if due is not None:
                pause_s = min(pause_s, (due - now).total_seconds())
            line.asked.wait(pause_s)

    def _send_announcements(self, line: _Line, now: datetime) -> None:
        """Send what was announced, oldest first; one that is refused is tried again later, before the others."""
        longest = timedelta(seconds=self._patience.longest_pause_s)
        if line.announce_at is not None and now < line.announce_at <= now + longest:
            return
        line.announce_at = None
        while line.announcements:
            alert = line.announcements.popleft()
            try:
                line.channel.send(alert)
            except AlertError as error:
                attempts = alert.attempts + 1
                if attempts == 1:
                    _log.warning("alerts: %s did not take an announcement; tried again: %s", alert.channel, error)
                if attempts < self._patience.most_attempts and len(line.announcements) < MOST_ANNOUNCEMENTS:
                    line.announcements.appendleft(replace(alert, attempts=attempts))
                line.announce_at = now + self._patience.pause(attempts, self._chance(), asked_for_s=error.retry_after_s)
                return
