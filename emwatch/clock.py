"""Time as a parameter: monotonic seconds for waiting, wall clock for labels."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The clocks that emwatch uses."""

    def monotonic(self) -> float:
        """Return seconds that never jump; for waiting and durations."""
        ...

    def processor(self) -> float:
        """Return the processor time of the calling thread in seconds; waiting does not count."""
        ...

    def now(self) -> datetime:
        """Return the wall-clock time with its offset; for labels only."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return time.monotonic()

    def processor(self) -> float:
        """Return the calling thread's processor time in seconds."""
        return time.thread_time()

    def now(self) -> datetime:
        """Return the wall-clock time in UTC."""
        return datetime.now(UTC)
