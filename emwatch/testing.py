"""
Real parts with handles, for tests of emwatch and of what is built on it: a clock that a test moves, a channel that keeps.

Public and stable; nothing of emwatch itself imports this module.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from emwatch.errors import AlertError

if TYPE_CHECKING:
    from emwatch.frame import Alert

__all__ = ["ManualClock", "RecordingChannel"]


class ManualClock:
    """
    A clock that moves only by `advance`; implements `emwatch.clock.Clock`.

    Args:
        start: the wall clock at 0 monotonic seconds.

    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed_s = 0.0

    def monotonic(self) -> float:
        """Return the seconds advanced so far."""
        return self._elapsed_s

    def now(self) -> datetime:
        """Return the start plus the seconds advanced so far."""
        return self._start + timedelta(seconds=self._elapsed_s)

    def advance(self, seconds: float) -> None:
        """Move both the monotonic and the wall clock."""
        self._elapsed_s += seconds


class RecordingChannel:
    """
    A channel that keeps every alert it accepts.

    Attributes:
        taken: accepted alerts, in order.
        refused: refused alerts, in order.
        refuses: if true, every alert is refused.
        gate: open at first; clear it to make `send` block.

    """

    kind: Final = "recording"

    def __init__(self) -> None:
        self.taken: list[Alert] = []
        self.refused: list[Alert] = []
        self.refuses = False
        self.gate = threading.Event()
        self.gate.set()

    def send(self, alert: Alert) -> None:
        """
        Keep an alert.

        Raises:
            AlertError: `refuses` is true.

        """
        self.gate.wait()
        if self.refuses:
            self.refused.append(alert)
            raise AlertError("recording: told to refuse")
        self.taken.append(alert)
