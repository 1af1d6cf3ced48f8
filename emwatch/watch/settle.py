"""
When is a file whole? A pure state machine on the monotonic clock.

Age is counted from when we first saw the file in its present state, never from its mtime: instruments' clocks are
wrong both ways, so a future mtime would never settle and one of 1970 would settle at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.frame import StatKey

_LONGEST_WAIT_S = 5.0


@dataclass(slots=True)
class _Waiting:
    """A file that is not known to be whole yet."""

    key: StatKey
    first_seen: float  # first sight of this path, kept over changes: latency is counted from here
    unchanged_since: float
    due: float
    live: bool  # hinted by an event: goes before what a sweep found
    tries: int = 0


class Settle:
    """
    Paths between first sight and being read.

    Args:
        quiet_s: how long size and times must stay the same; a file closed by its writer needs no quiet time.
        patience_s: how long an unchanged file may be found incomplete before that is recorded as a failure.

    """

    def __init__(self, quiet_s: float, patience_s: float) -> None:
        self._quiet_s = quiet_s
        self._patience_s = patience_s
        self._waiting: dict[Path, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, path: Path) -> bool:
        return path in self._waiting

    def see(self, path: Path, key: StatKey, now: float, *, closed: bool = False, live: bool = False) -> None:
        """Note the present state of a file; ``closed``: its writer has just let go of it or renamed it into place."""
        entry = self._waiting.get(path)
        if entry is None:
            entry = _Waiting(key, first_seen=now, unchanged_since=now, due=now + self._quiet_s, live=live or closed)
            self._waiting[path] = entry
        elif entry.key != key:
            entry.key, entry.unchanged_since, entry.due, entry.tries = key, now, now + self._quiet_s, 0
        if closed:
            entry.due, entry.live = now, True

    def next_ready(self, now: float) -> Path | None:
        """Give the file to read next: live ones first, then in the order in which they were seen."""
        ready: Path | None = None
        for path, entry in self._waiting.items():
            if entry.due <= now:
                if entry.live:
                    return path
                ready = ready or path
        return ready

    def taken(self, path: Path) -> None:
        """Note that a file is being read: it is not offered again unless it changes or is found incomplete."""
        self._waiting[path].due = math.inf

    def key_of(self, path: Path) -> StatKey:
        """Give the state a waiting file was last seen in."""
        return self._waiting[path].key

    def first_seen(self, path: Path) -> float:
        """Tell when a waiting file was first seen."""
        return self._waiting[path].first_seen

    def incomplete(self, path: Path, now: float) -> bool:
        """Wait on with a file that turned out not to be whole; ``False`` when patience is over."""
        entry = self._waiting[path]
        if now - entry.unchanged_since >= self._patience_s:
            return False
        entry.tries += 1
        entry.due = now + min(self._quiet_s * 2**entry.tries, _LONGEST_WAIT_S)
        return True

    def forget(self, path: Path, key: StatKey | None = None) -> None:
        """Drop a file: recorded, gone, or renamed. With a key: only if it has not changed since it had that one."""
        entry = self._waiting.get(path)
        if entry is not None and key in (None, entry.key):
            del self._waiting[path]

    def next_due(self) -> float:
        """Tell when the next file may be ready; infinity when nothing waits to be read."""
        return min((entry.due for entry in self._waiting.values()), default=math.inf)
