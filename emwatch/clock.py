"""Time as a parameter: monotonic seconds for waiting, wall clock for labels."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the rest of emwatch knows of time."""

    def monotonic(self) -> float:
        """Seconds that never jump; for waiting and for durations."""
        ...

    def now(self) -> datetime:
        """Wall clock with its offset; for labels only."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    def now(self) -> datetime:
        """Wall clock, in UTC."""
        return datetime.now(UTC)


class ManualClock:
    """A clock that moves only when told to; for tests and rehearsals."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed_s = 0.0

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._elapsed_s

    def now(self) -> datetime:
        """Start plus what was advanced."""
        return self._start + timedelta(seconds=self._elapsed_s)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._elapsed_s += seconds
