"""Time as a parameter: monotonic seconds for waiting, wall clock for labels."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the rest of emwatch knows of time."""

    def monotonic(self) -> float:
        """Seconds that never jump; for waiting and for durations."""
        ...

    def processor(self) -> float:
        """Seconds of processor time that the calling thread has used; waiting does not count."""
        ...

    def now(self) -> datetime:
        """Wall clock with its offset; for labels only."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    def processor(self) -> float:
        """Return the calling thread's processor time in seconds."""
        return time.thread_time()

    def now(self) -> datetime:
        """Wall clock, in UTC."""
        return datetime.now(UTC)
