"""
When is a file whole? A pure state machine on the monotonic clock.

Age is counted from when we first saw the file in its present state, never from its mtime: instruments' clocks are
wrong both ways, so a future mtime would never settle and one of 1970 would settle at once.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emwatch.frame import StatKey

_SHORTEST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0
#: A whole file that may still be in work is taken as it is after this time without a change.
_UNSETTLED_S = 3.0
#: More live files than this that could be read now are a backlog: then the newest go first, and every fourth time the
#: oldest, so that the operator hears of what is under the beam and no file waits for ever.
_MANY_LIVE = 32
_OLDEST_EVERY = 4
#: Reading a larger file takes seconds: it goes behind the other live ones.
_LARGE_BYTES = 64 << 20


@dataclass(slots=True)
class _Waiting:
    """A file that is not known to be whole yet."""

    key: StatKey
    order: int  # of first sight
    first_seen: float  # first sight of this path, kept over changes: latency is counted from here
    unchanged_since: float
    live: bool  # hinted by an event: goes before what a sweep found
    tries: int = 0
    taken: bool = False  # being read
    ticket: int = -1  # a place in a queue counts only with the file's newest ticket; no ticket is given twice


@dataclass(frozen=True, slots=True)
class Settled:
    """A file that may be read now, as it was last seen. ``first_seen``: first sight of its path, monotonic."""

    path: Path
    stat_key: StatKey
    first_seen: float


class Settle:
    """
    Paths between first sight and being read; each step costs O(log n), whatever the backlog.

    Args:
        quiet_s: returns how long a file's size and times must stay the same, which depends on its directory; a file
            closed by its writer needs no quiet time.
        patience_s: how long an unchanged file may be found incomplete before that is recorded as a failure.

    """

    def __init__(self, quiet_s: Callable[[Path], float], patience_s: float) -> None:
        self._quiet_s = quiet_s
        self._patience_s = patience_s
        self._waiting: dict[Path, _Waiting] = {}
        self._numbers = count()
        self._later: list[tuple[float, int, int, Path]] = []  # by due time
        self._live: list[tuple[int, int, Path]] = []  # ready to be read, by first sight
        self._newest: list[tuple[int, int, Path]] = []  # the same, the last one first
        self._bulk: list[tuple[bool, int, int, Path]] = []  # ready too: large live ones, then what a sweep found
        self._turn = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, path: Path) -> bool:
        return path in self._waiting

    def see(self, path: Path, key: StatKey, now: float, *, closed: bool = False, live: bool = False) -> None:
        """Note the present state of a file; ``closed``: its writer has just let go of it or renamed it into place."""
        entry = self._waiting.get(path)
        if entry is None:
            entry = _Waiting(key, next(self._numbers), first_seen=now, unchanged_since=now, live=live)
            self._waiting[path] = entry
            self._queue(path, entry, now + self._quiet_s(path))
        elif entry.key != key:
            entry.key, entry.unchanged_since, entry.tries = key, now, 0
            self._queue(path, entry, now + self._quiet_s(path))
        if closed:
            entry.live = True
            # Opened and closed again without a change while it is read: the reading under way is of the same bytes.
            if not entry.taken:
                self._queue(path, entry, now)

    def take(self, now: float) -> Settled | None:
        """Return the next file to read, and do not offer it again unless it changes or is put back."""
        path = self.next_ready(now)
        if path is None:
            return None
        entry = self._waiting[path]
        self.taken(path)
        return Settled(path, entry.key, entry.first_seen)

    def next_ready(self, now: float) -> Path | None:
        """
        Return the file to read next: live ones in the order of first sight, then large live ones, then what a sweep found.

        In a backlog of live ones mostly the newest.
        """
        while self._later and self._later[0][0] <= now:
            _, order, ticket, path = heapq.heappop(self._later)
            if not self._counts(path, ticket):
                continue
            entry = self._waiting[path]
            if entry.live and entry.key.size <= _LARGE_BYTES:
                heapq.heappush(self._live, (order, ticket, path))
                heapq.heappush(self._newest, (-order, ticket, path))
            else:
                heapq.heappush(self._bulk, (not entry.live, order, ticket, path))
        newest_first = self._turn % _OLDEST_EVERY != 0 and len(self._live) > _MANY_LIVE
        lanes: tuple[list[Any], ...] = (self._newest if newest_first else self._live, self._bulk)
        for lane in lanes:
            while lane and not self._counts(lane[0][-1], lane[0][-2]):
                heapq.heappop(lane)
            if lane:
                ready: Path = lane[0][-1]
                return ready
        return None

    def taken(self, path: Path) -> None:
        """Note that a file is being read: it is not offered again unless it changes or is found incomplete."""
        entry = self._waiting[path]
        entry.taken, entry.ticket = True, next(self._numbers)
        self._turn += 1
        if max(len(self._live), len(self._newest)) > 2 * (_MANY_LIVE + len(self._waiting)):
            self._drop_stale()

    def incomplete(self, path: Path, now: float) -> bool:
        """Wait on with a file that turned out not to be whole; ``False`` when patience is over."""
        entry = self._waiting.get(path)
        if entry is None:
            return True  # renamed away meanwhile: nothing to record under this name
        if now - entry.unchanged_since >= self._patience_s:
            return False
        entry.tries += 1
        wait_s = max(self._quiet_s(path), _SHORTEST_WAIT_S) * 2.0 ** min(entry.tries, 10)
        self._queue(path, entry, now + min(wait_s, _LONGEST_WAIT_S))
        return True

    def unsettled(self, path: Path, now: float) -> bool:
        """
        Wait on with a file that is whole but may still be in work; ``False`` once it has not changed for a few seconds.

        Then it is taken as it is: a black tail and a text older than its picture are legitimate.
        """
        entry = self._waiting.get(path)
        if entry is None or now - entry.unchanged_since >= _UNSETTLED_S:
            return False
        self._queue(path, entry, entry.unchanged_since + _UNSETTLED_S)
        return True

    def postpone(self, path: Path, until: float) -> None:
        """Look at a file later: the place it lies in cannot be read now."""
        self._queue(path, self._waiting[path], until)

    def forget(self, path: Path, key: StatKey | None = None) -> None:
        """Drop a file: recorded, gone, or renamed. With a key: only if it has not changed since it had that one."""
        entry = self._waiting.get(path)
        if entry is not None and key in (None, entry.key):
            del self._waiting[path]

    def next_due(self, now: float) -> float:
        """Return when the next file may be ready; infinity when nothing waits to be read."""
        if self.next_ready(now) is not None:
            return now
        while self._later and not self._counts(self._later[0][3], self._later[0][2]):
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else math.inf

    def _queue(self, path: Path, entry: _Waiting, due: float) -> None:
        entry.taken, entry.ticket = False, next(self._numbers)
        heapq.heappush(self._later, (due, entry.order, entry.ticket, path))

    def _drop_stale(self) -> None:
        """Let go of what was taken out of the other of the two lanes."""
        for lane in (self._live, self._newest):
            lane[:] = [each for each in lane if self._counts(each[2], each[1])]
            heapq.heapify(lane)

    def _counts(self, path: Path, ticket: int) -> bool:
        entry = self._waiting.get(path)
        return entry is not None and entry.ticket == ticket
