"""Time as a parameter: monotonic seconds for waiting, wall clock for labels."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

#: A start that seems longer ago than this comes from a clock that is not to be trusted.
_LONGEST_START_S: Final = 600.0


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

    def started(self) -> datetime:
        """Return the wall-clock time at which the program was started."""
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

    def started(self) -> datetime:
        """Return the time at which this process was started, or now if the system does not tell."""
        try:
            ticks = int(
                Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
            )
            ago_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError, AttributeError):
            ago_s = 0.0
        return self.now() - timedelta(seconds=ago_s if 0 <= ago_s < _LONGEST_START_S else 0.0)
