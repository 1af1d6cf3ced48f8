"""
The loop that brings files from the directory to the ledger.

It decides nothing about a frame. It lets the lookout find files, and hands those that have settled to the pipeline one
by one, live ones first; the ledger is the only memory of what is done.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from emwatch.errors import Empty, LedgerError, Truncated, Unsteady, Vanished
from emwatch.frame import FrameState
from emwatch.ingest.events import FrameDone, Ready
from emwatch.ingest.outage import LedgerOutage
from emwatch.ingest.pipeline import Pending
from emwatch.ingest.scan import Scan
from emwatch.watch.patterns import frames_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from emwatch.clock import Clock
    from emwatch.frame import Outcome, StatKey
    from emwatch.ingest.events import Happening
    from emwatch.ingest.pipeline import Pipeline
    from emwatch.ledger.writer import Ledger
    from emwatch.watch.directory import WatchedDirectory
    from emwatch.watch.hints import HintBox
    from emwatch.watch.settle import Settle

_RETRY_S = 5.0
_LONGEST_NAP_S = 1.0
_LOOKS_AT_A_TIME = 100
_MAY_YET_BE_WHOLE = (Empty, Truncated, Unsteady)


class Ingest:
    """
    The one loop of the daemon; everything in it runs in the thread that calls `run`.

    ``once``: end when what was there has been dealt with.
    ``baseline``: take what the first full sweep of a directory finds as already known, where the ledger has none yet.
    """

    def __init__(  # noqa: PLR0913 - the daemon's wiring, every part named at its one call
        self,
        *,
        directories: Sequence[WatchedDirectory],
        hints: HintBox,
        settle: Settle,
        pipeline: Pipeline,
        ledger: Ledger,
        clock: Clock,
        tell: Callable[[Happening], None],
        recorded: Callable[[], None] = lambda: None,
        alive: Callable[[float], None] = lambda _now: None,
        once: bool = False,
        baseline: bool = False,
    ) -> None:
        self._directories = directories
        self._hints = hints
        self._settle = settle
        self._pipeline = pipeline
        self._ledger = ledger
        self._outage = outage = LedgerOutage(clock, tell, gives_up=once)
        self._scan = Scan(
            directories=directories,
            hints=hints,
            settle=settle,
            ledger=ledger,
            outage=outage,
            clock=clock,
            tell=tell,
            alive=alive,
            once=once,
            baseline=baseline,
        )
        self._clock = clock
        self._tell = tell
        self._recorded = recorded
        self._alive = alive
        self._once = once
        self._held: Pending | None = None  # read, and waiting to be classified while the next one is read
        self._unrecorded: tuple[Pending, Outcome] | None = None
        self._ready = False

    def run(self, stop: Callable[[], bool]) -> None:
        """
        Work until told to stop, or, with ``once``, until nothing is left to do. A frame in work is finished first.

        Raises:
            WatchError: with ``once``, a directory is not available.
            LedgerError: with ``once``, the ledger could not be used for half a minute.

        """
        while not stop():
            now = self._clock.monotonic()
            self._alive(now)
            swept = self._scan.advance(now)
            worked = self._work_on_one_file(self._clock.monotonic())
            if not self._ready and self._scan.is_ready():
                self._ready = True
                watching = () if self._once else tuple(directory.describe() for directory in self._directories)
                self._tell(Ready(watching, len(self._settle)))
            if not (swept or worked):
                if self._once and self._ready and self._nothing_is_left():
                    return
                self._hints.wait(self._nap(self._clock.monotonic()))
        # With a ledger that cannot be written there is no use: the next start finds the frame again.
        if self._held is not None and self._unrecorded is None:
            held, self._held = self._held, None
            self._conclude(held)

    @property
    def ledger_trouble(self) -> str:
        """Say why no frame is taken at the moment; empty while the ledger takes them."""
        return self._outage.reason

    def _nothing_is_left(self) -> bool:
        return not self._scan.is_sweeping and not self._settle and self._unrecorded is None

    def _work_on_one_file(self, now: float) -> bool:
        """Begin the next file, and conclude the one before while it is being read."""
        if self._unrecorded is not None:
            return self._record_again()
        if self._outage.lasts():
            return False
        path = self._next_path(now)
        if path is None and self._held is None:
            return False
        key: StatKey | None = None
        if path is not None:
            key = self._settle.key_of(path)
            self._settle.taken(path)
            self._pipeline.begin(path)
        held, self._held = self._held, None
        if held is not None:
            self._conclude(held)
        if path is not None and key is not None:
            self._held = self._pipeline.finish(path, key)
        return True

    def _next_path(self, now: float) -> Path | None:
        """Give a file that is still what it was when it settled; one that vanished is recorded as such."""
        for _ in range(_LOOKS_AT_A_TIME):
            path = self._settle.next_ready(now)
            if path is None:
                return None
            try:
                key = self._scan.stat_key_of(path)
            except OSError:
                self._settle.postpone(path, now + _RETRY_S)
                continue
            if key == self._settle.key_of(path):
                return path
            directory = self._scan.directory_of(path)
            if key is not None:
                self._settle.see(path, key, now)
            elif directory is not None and not directory.is_there():
                # Not the file is gone but all of it; the sweep says so, and brings back what is still there.
                self._settle.postpone(path, now + _RETRY_S)
                self._scan.sweep_again(directory, now)
            else:
                gone = Vanished(f"{path}: gone before it was read; nothing to do if its writer removed it on purpose")
                self._conclude(Pending(path, self._settle.key_of(path), error=gone))
                return None
        return None

    def _conclude(self, pending: Pending) -> None:
        if isinstance(pending.error, _MAY_YET_BE_WHOLE) and self._settle.incomplete(
            pending.path, self._clock.monotonic()
        ):
            return
        self._record(pending, self._pipeline.conclude(pending))

    def _record(self, pending: Pending, outcome: Outcome) -> None:
        try:
            now = self._clock.now()
            first_seen_at = now - timedelta(seconds=self._lag(pending.path))
            recorded = self._ledger.record(replace(outcome, first_seen_at=first_seen_at), now)
            late = self._frames_to_read_again(outcome)
        except LedgerError as error:
            self._unrecorded = (pending, outcome)
            self._outage.begin(error, frame_waits=True)
            return
        self._unrecorded = None
        self._outage.end()
        lag_s = self._lag(pending.path)
        self._settle.forget(pending.path, pending.stat_key)
        for path, key in late.items():
            self._settle.see(path, key, self._clock.monotonic(), live=True)
        if recorded.alerts:
            self._recorded()
        self._tell(FrameDone(recorded.frame_id, outcome, recorded.new, recorded.duplicate_of, lag_s, len(self._settle)))

    def _frames_to_read_again(self, outcome: Outcome) -> dict[Path, StatKey]:
        """Find the frames that a late sidecar may belong to: those beside it whose metadata is not known."""
        if outcome.state is not FrameState.SKIPPED:
            return {}
        found = {}
        for path in frames_beside(outcome.path):
            try:
                key = self._scan.stat_key_of(path)
            except OSError:
                continue
            if key is not None and path not in self._settle and self._ledger.lacks_metadata(path):
                found[path] = key
        return found

    def _record_again(self) -> bool:
        if self._unrecorded is None or self._outage.lasts():
            return False
        self._record(*self._unrecorded)
        return True

    def _lag(self, path: Path) -> float:
        return self._clock.monotonic() - self._settle.first_seen(path) if path in self._settle else 0.0

    def _nap(self, now: float) -> float:
        """Until the next thing is due; short enough for stop requests and supervision."""
        due = [now + _LONGEST_NAP_S]
        if self._outage.lasts():
            due.append(self._outage.until)
        else:
            due += [self._settle.next_due(now), self._scan.next_sweep_at()]
        return max(0.0, min(due) - now)
