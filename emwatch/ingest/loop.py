"""
The loop of the daemon: the scan finds files, the loop chooses the next one, the pipeline processes it.

It decides nothing about a frame; only the ledger knows which files are done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emwatch.errors import Vanished
from emwatch.ingest.events import Ready
from emwatch.ingest.pipeline import FrameInWork

if TYPE_CHECKING:
    from collections.abc import Callable

    from emwatch.clock import Clock
    from emwatch.ingest.events import Event
    from emwatch.ingest.outage import LedgerOutage
    from emwatch.ingest.pipeline import Pipeline
    from emwatch.ingest.scan import Scan
    from emwatch.watch.hints import HintBox
    from emwatch.watch.settle import Settle

_RETRY_S: Final = 5.0
_LONGEST_NAP_S: Final = 1.0
_LOOKS_AT_A_TIME: Final = 100


class Ingest:
    """
    The one loop of the daemon; everything in it runs in the thread that calls `run`.

    ``alive`` is called once a turn with the monotonic time. ``once``: end when all files that were there are recorded.
    """

    def __init__(  # noqa: PLR0913 - the daemon's wiring, every part named at its one call
        self,
        *,
        scan: Scan,
        hints: HintBox,
        settle: Settle,
        pipeline: Pipeline,
        outage: LedgerOutage,
        clock: Clock,
        tell: Callable[[Event], None],
        alive: Callable[[float], None] = lambda _now: None,
        once: bool = False,
    ) -> None:
        self._scan = scan
        self._hints = hints
        self._settle = settle
        self._pipeline = pipeline
        self._outage = outage
        self._clock = clock
        self._tell = tell
        self._alive = alive
        self._once = once
        self._ready = False

    def run(self, stop: Callable[[], bool]) -> None:
        """
        Work until ``stop`` returns true or, with ``once``, until nothing is left to do.

        The current frame is finished first; a frame that is still being read is left to the next start.

        Raises:
            WatchError: with ``once``, a directory is not available.
            LedgerError: with ``once``, the ledger could not be used for half a minute.

        """
        while not stop():
            now = self._clock.monotonic()
            self._alive(now)
            swept = self._scan.advance(now)
            if not self._ready and self._scan.is_ready():
                self._ready = True
                self._tell(Ready(self._scan.watching(), len(self._settle)))
            worked = self._pipeline.take_turn(self._choose)
            if swept or worked:
                continue
            if self._once and self._ready and self._nothing_is_left():
                return
            self._hints.wait(self._nap(self._clock.monotonic()))
        self._pipeline.tell_of_held_back()

    def _nothing_is_left(self) -> bool:
        return not self._scan.is_sweeping and not self._settle and self._pipeline.is_idle

    def _choose(self) -> FrameInWork | None:
        """Return a file that has not changed since it settled, or a file that is gone, with that as its error."""
        now = self._clock.monotonic()
        for _ in range(_LOOKS_AT_A_TIME):
            settled = self._settle.take(now)
            if settled is None:
                return None
            path = settled.path
            try:
                key = self._scan.stat_key_of(path)
            except OSError:
                self._settle.postpone(path, now + _RETRY_S)
                continue
            if key == settled.stat_key:
                return FrameInWork(path, settled.stat_key, settled.first_seen)
            directory = self._scan.directory_of(path)
            if key is not None:
                self._settle.see(path, key, now)
            elif directory is not None and not directory.is_there():
                # The whole directory is gone; the sweep reports that, and finds the file again later.
                self._settle.postpone(path, now + _RETRY_S)
                self._scan.sweep_again(directory, now)
            else:
                gone = Vanished(f"{path}: deleted before it was read; nothing to do if this was intended")
                return FrameInWork(path, settled.stat_key, settled.first_seen, error=gone)
        return None

    def _nap(self, now: float) -> float:
        """Return the seconds to wait for the next event; short enough for stop requests and supervision."""
        due = [now + _LONGEST_NAP_S]
        if self._outage.lasts():
            due.append(self._outage.until)
        else:
            due += [self._settle.next_due(now), self._scan.next_sweep_at()]
        return max(0.0, min(due) - now)
