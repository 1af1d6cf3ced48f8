"""
Where to look: hints and sweeps are held against the ledger, and what is new there settles.

The directory is the truth and the ledger the only memory of what is done; nothing here remembers a file beyond that.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emwatch.errors import LedgerError, WatchError
from emwatch.ingest.changes import Changes
from emwatch.ingest.events import Notice
from emwatch.watch.hints import ASKED
from emwatch.watch.patterns import frames_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from emwatch.clock import Clock
    from emwatch.frame import StatKey
    from emwatch.ingest.events import Happening
    from emwatch.ingest.outage import LedgerOutage
    from emwatch.ledger.writer import Ledger
    from emwatch.watch.directory import WatchedDirectory
    from emwatch.watch.hints import HintBox
    from emwatch.watch.settle import Settle
    from emwatch.watch.sweep import Listing

logger = logging.getLogger(__name__)

_SUPERVISE_EVERY_S = 2.0
_SWEEP_SLICE_S = 0.02
_RETRY_S = 5.0
_LOSS_NOTICES_EVERY_S = 60.0
#: Files kept waiting: a sweep pauses at the first number, and beyond the second hints are left to the next sweep, so
#: that a backlog of any size takes the same memory.
_PAUSE_SWEEPS_AT: Final = 5_000
_DROP_HINTS_AT: Final = 20_000
_MOST_SWEEPS: Final = 100
_MOST_TROUBLES: Final = 1_000


@dataclass(slots=True)
class _Sweeping:
    """A sweep under way, some files at a time, so that live frames need not wait for it."""

    directory: WatchedDirectory
    listings: Iterator[Listing]
    full: bool
    spent_s: float = 0.0
    begun: bool = False


class Scan:
    """
    Looks at the watched directories a little at a time, and lets settle what the ledger does not know as it is.

    ``once``: sweep each directory once, and supervise nothing. ``baseline``: take what the first full sweep of a directory finds
    as already known, where the ledger has none yet. Belongs to the thread of the loop.
    """

    def __init__(  # noqa: PLR0913 - the loop's wiring, every part named at its one call
        self,
        *,
        directories: Sequence[WatchedDirectory],
        hints: HintBox,
        settle: Settle,
        ledger: Ledger,
        outage: LedgerOutage,
        clock: Clock,
        tell: Callable[[Happening], None],
        alive: Callable[[float], None],
        once: bool,
        baseline: bool,
    ) -> None:
        self._directories = directories
        self._hints = hints
        self._settle = settle
        self._ledger = ledger
        self._changes = Changes(ledger, clock)
        self._outage = outage
        self._clock = clock
        self._tell = tell
        self._alive = alive
        self._once = once
        #: Files of the first sweep of directories that have no baseline yet, where one is wanted.
        self._baselines: dict[WatchedDirectory, dict[Path, StatKey]] = {
            directory: {} for directory in directories if baseline and not ledger.baseline_taken(directory.root)
        }
        for directory in directories:
            directory.held_files = not once and ledger.knows_files_below(directory.root)
        self._sweeps: deque[_Sweeping] = deque()
        self._next_sweep = {directory: clock.monotonic() for directory in directories}
        self._asked: set[WatchedDirectory] = set()  # to be swept again, however far the present sweep is
        self._swept_once: set[WatchedDirectory] = set()
        self._overview = False
        self._next_supervision = clock.monotonic()
        self._next_loss_notice = -math.inf
        self._troubles: set[str] = set()
        self._sidecars: deque[Path] = deque()  # recorded; frames beside them may have waited for them

    def advance(self, now: float) -> bool:
        """
        Follow what hints say and go on with the sweeps for a moment; tell whether there was anything to sweep.

        Raises:
            WatchError: with ``once``, a directory is not available.
            LedgerError: with ``once``, the ledger could not be used for half a minute.

        """
        self._supervise(now)
        self._start_sweeps(now)
        self._take_hints(now)
        self._follow_sidecars(now)
        return self._sweep_a_little(now)

    def is_ready(self) -> bool:
        """Tell whether each directory has been seen whole once, or so much of it that sweeping waits for the work."""
        if not self._overview:
            self._overview = len(self._swept_once) == len(self._directories) or len(self._settle) >= _PAUSE_SWEEPS_AT
        return self._overview

    @property
    def is_sweeping(self) -> bool:
        """Whether a sweep is under way, or a sidecar is still to be followed."""
        return bool(self._sweeps or self._sidecars)

    def watching(self) -> tuple[str, ...]:
        """Return a description of how each directory is watched; empty with ``once``."""
        return () if self._once else tuple(directory.describe() for directory in self._directories)

    def sidecar_came(self, path: Path) -> None:
        """Take a file that is no frame: frames beside it, whose metadata is not known, are read again."""
        self._sidecars.append(path)

    def next_sweep_at(self) -> float:
        """Give the monotonic moment at which the next full sweep begins; infinite where none will."""
        if self._once:
            return math.inf
        sweeping = {each.directory for each in self._sweeps if each.full}  # one may be paused for long
        return min((at for directory, at in self._next_sweep.items() if directory not in sweeping), default=math.inf)

    def sweep_again(self, directory: WatchedDirectory, now: float) -> None:
        """Begin again with a directory, now: what its sweeps under way saw is no longer there."""
        self._next_sweep[directory] = min(self._next_sweep[directory], now)
        self._sweeps = deque(each for each in self._sweeps if each.directory is not directory)

    def directory_of(self, path: Path) -> WatchedDirectory | None:
        """Give the watched directory that a file belongs to."""
        return next((directory for directory in self._directories if directory.owns(path)), None)

    def stat_key_of(self, path: Path) -> StatKey | None:
        """Give how a file is now, ``None`` where there is none that is watched; raises `OSError` where that cannot be seen."""
        directory = self.directory_of(path)
        return None if directory is None else directory.look(path)

    def _supervise(self, now: float) -> None:
        if self._once or now < self._next_supervision:
            return
        self._next_supervision = now + _SUPERVISE_EVERY_S
        for directory in self._directories:
            trouble = directory.supervise(now)
            if trouble:
                logger.warning("%s: %s; now watched thus: %s", directory.root, trouble, directory.describe())
                self._asked.add(directory)
        self._settle.quiet_s = max(directory.settle_s for directory in self._directories)

    def _start_sweeps(self, now: float) -> None:
        sweeping = {each.directory for each in self._sweeps if each.full}
        for directory in self._directories:
            if directory in sweeping or (self._once and directory in self._swept_once and directory not in self._asked):
                continue
            if now >= self._next_sweep[directory] or (directory in self._asked and not directory.unavailable):
                self._asked.discard(directory)
                directory.full_sweep_begins()
                self._sweeps.append(_Sweeping(directory, directory.sweep(), full=True))

    def _take_hints(self, now: float) -> None:
        hinted = self._hints.take()
        for path in hinted.gone:
            self._settle.forget(path)
        self._follow(hinted.files, now)
        for folder in hinted.folders:
            directory = self.directory_of(folder)
            if directory is not None and len(self._sweeps) >= _MOST_SWEEPS:
                self._asked.add(directory)
            elif directory is not None:
                self._sweeps.append(_Sweeping(directory, directory.sweep(folder), full=False))
        for reason in hinted.everything:
            if reason != ASKED and now >= self._next_loss_notice:
                self._next_loss_notice = now + _LOSS_NOTICES_EVERY_S
                self._tell(Notice("warning", f"single events were lost ({reason}); looking at everything"))
            self._asked.update(self._directories)

    def _follow(self, hinted: Mapping[Path, bool], now: float) -> None:
        """Look at the files of hints, by path whether the writer closed them; where that is not possible now, a sweep will."""
        present: dict[Path, StatKey] = {}
        if len(self._settle) >= _DROP_HINTS_AT:
            self._asked.update(self._directories)
            hinted = {path: closed for path, closed in hinted.items() if path in self._settle}
        for path in hinted:
            try:
                key = self.stat_key_of(path)
            except OSError as error:
                logger.debug("%s: cannot be looked at now: %s", path, error)
                continue
            if key is not None:
                present[path] = key
        try:
            news = self._changes.of_files({path: key for path, key in present.items() if path not in self._settle})
        except LedgerError as error:
            self._outage.begin(error)
            self._asked.update(self._directories)
            news = {}
        for path, key in present.items():
            if path in self._settle or path in news:
                self._settle.see(path, key, now, closed=hinted[path], live=True)

    def _follow_sidecars(self, now: float) -> None:
        while self._sidecars and not self._outage.lasts():
            for path in frames_beside(self._sidecars[0]):
                try:
                    key = self.stat_key_of(path)
                    if key is not None and path not in self._settle and self._ledger.lacks_metadata(path):
                        self._settle.see(path, key, now, live=True)
                except OSError as error:
                    logger.debug("%s: cannot be looked at now: %s", path, error)
                except LedgerError as error:
                    self._outage.begin(error)
                    return
            self._sidecars.popleft()

    def _sweep_a_little(self, began: float) -> bool:
        """Go on with the sweeps for a moment; at the start until each directory has been seen whole once."""
        if not self._sweeps or self._outage.lasts() or self._paused():
            return False
        while self._sweeps and not self._paused():
            sweeping, before = self._sweeps[0], self._clock.monotonic()
            self._sweep_some_files(sweeping, before)
            after = self._clock.monotonic()
            sweeping.spent_s += after - before
            if self._overview and after - began >= _SWEEP_SLICE_S:
                break
            self._alive(after)
        return True

    def _paused(self) -> bool:
        """Tell whether a sweep waits for the backlog to shrink; each begins, since it also says whether its directory is there."""
        return len(self._settle) >= _PAUSE_SWEEPS_AT and self._sweeps[0].begun

    def _sweep_some_files(self, sweeping: _Sweeping, now: float) -> None:
        directory = sweeping.directory
        try:
            sweeping.begun = True
            listing = next(sweeping.listings, None)
            if listing is None:
                self._sweeps.popleft()
                if sweeping.full:
                    self._finish_sweep(sweeping)
                return
            directory.expect_mounted(listing)
            self._available(directory)
            if sweeping.full:
                directory.note_folders(listing.folders)
            self._compare(directory, listing, now)
        except WatchError as error:
            self._sweeps.popleft()
            self._unavailable(directory, str(error), now)
        except LedgerError as error:
            if self._sweeps and self._sweeps[0] is sweeping:
                self._sweeps.popleft()
            self._outage.begin(error)
            self._asked.add(directory)

    def _compare(self, directory: WatchedDirectory, listing: Listing, now: float) -> None:
        """Hold some files against the ledger: what is not known there, or has changed, settles."""
        if len(self._troubles) > _MOST_TROUBLES:
            self._troubles.clear()
        if listing.trouble and listing.trouble not in self._troubles:
            self._troubles.add(listing.trouble)
            logger.warning("%s", listing.trouble)
        news = self._changes.in_folder(listing.folder, listing.files)
        baseline = self._baselines.get(directory)
        if baseline is not None:
            baseline.update(news)
            return
        for path, key in news.items():
            self._settle.see(path, key, now)

    def _finish_sweep(self, sweeping: _Sweeping) -> None:
        directory = sweeping.directory
        baseline = self._baselines.get(directory)
        if baseline is not None:
            self._ledger.baseline(directory.root, list(baseline.items()), self._clock.now())
            del self._baselines[directory]
            self._tell(Notice("info", f"{directory.root}: {len(baseline)} files were there before; taken as known"))
        self._outage.ledger_answers()
        self._swept_once.add(directory)
        directory.full_sweep_ended(self._clock.now())
        self._next_sweep[directory] = self._clock.monotonic() + directory.pause_s(sweeping.spent_s)

    def _unavailable(self, directory: WatchedDirectory, reason: str, now: float) -> None:
        """Wait for a directory that is not there; what the ledger knows of it stays."""
        if self._once:
            raise WatchError(reason)
        self._next_sweep[directory] = now + min(directory.sweep_s, _RETRY_S)
        self._swept_once.add(directory)
        if not directory.unavailable:
            directory.unavailable = reason
            directory.disarm()
            coming = "appear" if directory.swept_at is None else "come back"
            self._tell(Notice("error", f"{reason}; waiting for it to {coming}", directory.root))

    def _available(self, directory: WatchedDirectory) -> None:
        if directory.unavailable:
            directory.unavailable = ""
            here = "is there now" if directory.swept_at is None else "is back"
            trouble = directory.arm()
            self._asked.add(directory)  # what was listed before the events came may have changed since
            self._tell(
                Notice("info", f"{directory.root}: the watched directory {here} {trouble}".rstrip(), directory.root)
            )
