"""
Where files are found: hints, listed names and sweeps are compared with the ledger, and what is new there settles.

The directory is the truth and the ledger the only memory of what is done; nothing here remembers a file beyond that.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from typing import TYPE_CHECKING, Final

from emwatch.errors import ConfigError, LedgerError, WatchError
from emwatch.ingest.changes import Changes
from emwatch.ingest.directory_plan import DirectoryPlan, Effort, Sweeping
from emwatch.ingest.events import Notice
from emwatch.ingest.hinted import SLICE_S, HintedFiles
from emwatch.watch.hints import ASKED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from emwatch.clock import Clock
    from emwatch.frame import StatKey
    from emwatch.ingest.events import Event
    from emwatch.ingest.outage import LedgerOutage
    from emwatch.ledger.writer import Ledger
    from emwatch.watch.directory import WatchedDirectory
    from emwatch.watch.hints import HintBox
    from emwatch.watch.names import Appeared
    from emwatch.watch.settle import Settle
    from emwatch.watch.sweep import Listing

logger = logging.getLogger(__name__)

_SUPERVISE_EVERY_S: Final = 2.0
#: As `SLICE_S`, before readiness, so that it comes soon.
_FIRST_SLICE_S: Final = 0.5
#: systemd waits five minutes for READY (TimeoutStartSec); a first sweep of a slow share may take longer.
_READY_AFTER_S: Final = 60.0
#: The kernel stamps files with the time of its last tick.
_TICK_NS: Final = 50_000_000
_RETRY_S: Final = 5.0
_LOSS_NOTICES_EVERY_S: Final = 60.0
#: Files kept waiting at which a sweep pauses, so that a backlog of any size takes the same memory.
_PAUSE_SWEEPS_AT: Final = 5_000
_MOST_SWEEPS: Final = 100
_MOST_TROUBLES: Final = 1_000


class Scan:
    """
    Looks at the watched directories a little at a time, and lets settle what the ledger does not know as it is.

    ``once``: sweep each directory once, and supervise nothing. ``baseline``: what was in a directory before the program
    started is taken as known, if the ledger has no baseline of it yet. Belongs to the thread of the loop.
    """

    def __init__(  # noqa: PLR0913 - the loop's wiring, every part named at its one call
        self,
        *,
        directories: list[WatchedDirectory],
        hints: HintBox,
        settle: Settle,
        ledger: Ledger,
        outage: LedgerOutage,
        clock: Clock,
        tell: Callable[[Event], None],
        alive: Callable[[float], None],
        once: bool,
        baseline: bool,
    ) -> None:
        self._directories = directories  # shared: links that are followed change it
        self._hints = hints
        self._settle = settle
        self._ledger = ledger
        self._changes = Changes(ledger, clock)
        self._outage = outage
        self._clock = clock
        self._tell = tell
        self._alive = alive
        self._once = once
        self._takes_baseline = baseline
        self._began = clock.monotonic()
        self._began_ns = int(clock.started().timestamp() * 1e9) - _TICK_NS
        self._plans = {directory: self._plan(directory) for directory in directories}
        self._sweeps: deque[Sweeping] = deque()
        self._hinted = HintedFiles(
            settle=settle,
            ledger=ledger,
            changes=self._changes,
            outage=outage,
            clock=clock,
            stat_key_of=self.stat_key_of,
            sweep_all=self._ask_for_sweeps,
        )
        self._ready = False
        self._next_supervision = self._began
        self._next_loss_notice = -math.inf
        self._troubles: set[str] = set()

    def advance(self, now: float) -> bool:
        """
        Follow what hints say and go on with walks and sweeps for a moment; returns whether there was anything to look at.

        Raises:
            WatchError: with ``once``, a directory is not available.
            LedgerError: with ``once``, the ledger could not be used for half a minute.

        """
        self._supervise(now)
        self._take_hints(now)
        self._hinted.follow(now)
        self._start(now)
        walked = self._walk_a_little(now)
        return self._sweep_a_little(now) or walked or self._hinted.files_wait

    def is_ready(self) -> bool:
        """Return whether each directory was seen whole once, or sweeping waits for the work, or takes very long."""
        if not self._ready:
            self._ready = (
                all(self._plans[directory].swept for directory in self._directories)
                or len(self._settle) >= _PAUSE_SWEEPS_AT
                or self._clock.monotonic() - self._began >= _READY_AFTER_S
            )
        return self._ready

    @property
    def is_sweeping(self) -> bool:
        """Whether a sweep is under way, or a hint or sidecar is still to be followed."""
        return bool(self._sweeps) or self._hinted.files_wait or self._hinted.sidecars_wait

    def watching(self) -> tuple[str, ...]:
        """Return a description of how each directory is watched; empty with ``once``."""
        return () if self._once else tuple(directory.describe() for directory in self._directories)

    def sidecar_came(self, path: Path) -> None:
        """Take a file that is no frame: frames beside it, whose metadata is not known, are read again."""
        self._hinted.add_sidecar(path)

    def next_sweep_at(self) -> float:
        """Return the monotonic moment at which the next walk or full sweep begins; infinite if none will."""
        if self._once:
            return math.inf
        sweeping = {each.directory for each in self._sweeps if each.full}  # one may be paused for long
        sweeps = [self._plans[each].next_sweep for each in self._directories if each not in sweeping]
        walks = [self._plans[each].next_walk for each in self._directories if self._is_walked(each)]
        return min(sweeps + walks, default=math.inf)

    def sweep_again(self, directory: WatchedDirectory, now: float) -> None:
        """Begin again with a directory, now: what its sweeps under way saw is no longer there."""
        plan = self._plans[directory]
        plan.next_sweep, plan.walk = min(plan.next_sweep, now), None
        self._sweeps = deque(each for each in self._sweeps if each.directory is not directory)

    def directory_of(self, path: Path) -> WatchedDirectory | None:
        """Return the watched directory that a file belongs to."""
        return next((directory for directory in self._directories if directory.owns(path)), None)

    def stat_key_of(self, path: Path) -> StatKey | None:
        """Return how a file is now, ``None`` if there is none that is watched; raises `OSError` if that cannot be seen."""
        directory = self.directory_of(path)
        return None if directory is None else directory.stat_key_of(path)

    def _plan(self, directory: WatchedDirectory) -> DirectoryPlan:
        directory.held_files = not self._once and self._ledger.knows_files_below(directory.root)
        takes_baseline = self._takes_baseline and not self._ledger.baseline_taken(directory.root)
        return DirectoryPlan.at_once(self._clock.monotonic(), takes_baseline=takes_baseline)

    def _supervise(self, now: float) -> None:
        if self._once or now < self._next_supervision:
            return
        self._next_supervision = now + _SUPERVISE_EVERY_S
        for directory in tuple(self._directories):
            self._follow_link(directory)
            trouble = directory.supervise(now)
            if trouble:
                logger.warning("%s: %s; now watched thus: %s", directory.root, trouble, directory.describe())
                self._plans[directory].asked = True

    def _follow_link(self, directory: WatchedDirectory) -> None:
        """Watch the new target of a configured link; the target before stays watched until the link moves again."""
        try:
            target = directory.leads_elsewhere()
        except ConfigError as error:
            self._tell(Notice("error", f"{error}; still watching {directory.root}", directory.configured))
            return
        if target is None:
            return
        for former in [each for each in self._directories if each.former and each.configured == directory.configured]:
            self._drop(former)
        successor = directory.successor()
        self._directories[self._directories.index(directory)] = successor
        if not directory.owns(target) and not directory.root.is_relative_to(target):
            self._directories.append(directory)
        else:
            self._drop(directory)
        self._plans[successor] = self._plan(successor)
        trouble = successor.arm()
        text = f"{successor.configured}: leads to {successor.root} now, and to {directory.root} before; watching it"
        self._tell(Notice("warning", f"{text} {trouble}".rstrip(), successor.root))

    def _drop(self, directory: WatchedDirectory) -> None:
        directory.disarm()
        self._sweeps = deque(each for each in self._sweeps if each.directory is not directory)
        if directory in self._directories:
            self._directories.remove(directory)

    def _is_walked(self, directory: WatchedDirectory) -> bool:
        """Return whether new names are looked for in listings: no events tell of them, and the directory is there."""
        return not (self._once or directory.events_come or directory.unavailable)

    def _start(self, now: float) -> None:
        """Begin the walks and sweeps that are due; a directory's first walk comes before its first sweep."""
        sweeping = {each.directory for each in self._sweeps if each.full}
        for directory in self._directories:
            plan = self._plans[directory]
            if self._is_walked(directory) and plan.walk is None and now >= plan.next_walk:
                plan.walk = directory.walk(), Effort(now)
            if directory in sweeping or (self._once and plan.swept and not plan.asked):
                continue
            if self._is_walked(directory) and not plan.walked:
                continue
            if now >= plan.next_sweep or (plan.asked and not directory.unavailable):
                plan.asked = False
                directory.full_sweep_begins()
                self._sweeps.append(Sweeping(directory, directory.sweep(), full=True, effort=Effort(now)))

    def _ask_for_sweeps(self) -> None:
        for directory in self._directories:
            self._plans[directory].asked = True

    def _take_hints(self, now: float) -> None:
        hinted = self._hints.take()
        for path in hinted.gone:
            self._settle.forget(path)
            self._hinted.forget(path)
        for path, closed in hinted.files.items():
            self._hinted.add(path, closed=closed)
        for folder in hinted.folders:
            self._sweep_folder(folder, now)
        for reason in hinted.everything:
            if reason != ASKED and now >= self._next_loss_notice:
                self._next_loss_notice = now + _LOSS_NOTICES_EVERY_S
                self._tell(Notice("warning", f"single events were lost ({reason}); looking at everything"))
            self._ask_for_sweeps()

    def _sweep_folder(self, folder: Path, now: float) -> None:
        directory = self.directory_of(folder)
        if directory is not None and len(self._sweeps) >= _MOST_SWEEPS:
            self._plans[directory].asked = True
        elif directory is not None:
            self._sweeps.appendleft(Sweeping(directory, directory.sweep(folder), full=False, effort=Effort(now)))

    def _walk_a_little(self, began: float) -> bool:
        """Go on with the walks for a moment: a file whose name is new is looked at as if an event had told of it."""
        walked = False
        for directory in tuple(self._directories):
            plan = self._plans[directory]
            if plan.walk is None:
                continue
            walk, effort = plan.walk
            walked, processor = True, self._clock.processor()
            try:
                ended = self._walk_some_folders(directory, walk, began)
            except WatchError as error:
                plan.walk = None
                self._unavailable(directory, str(error), began)
                continue
            effort.processor_s += self._clock.processor() - processor
            if ended:
                now = self._clock.monotonic()
                directory.walk_ended(now - effort.begun_at, effort.processor_s)
                plan.walk, plan.walked, plan.next_walk = None, True, now + directory.walk_pause_s()
        return walked

    def _walk_some_folders(self, directory: WatchedDirectory, walk: Iterator[Appeared], began: float) -> bool:
        """Go on until the time is up; returns whether the walk has ended."""
        for appeared in walk:
            directory.expect_mounted(appeared.folder, empty=appeared.empty)
            for path in appeared.files:
                self._hinted.add(path, closed=False)
            for folder in appeared.folders:
                self._sweep_folder(folder, began)
            if self._clock.monotonic() - began >= self._slice_s:
                return False
        return True

    @property
    def _slice_s(self) -> float:
        return SLICE_S if self._ready else _FIRST_SLICE_S

    def _sweep_a_little(self, began: float) -> bool:
        """Go on with the sweeps for a moment."""
        if not self._sweeps or self._outage.lasts() or self._paused():
            return False
        while self._sweeps and not self._paused():
            sweeping, processor = self._sweeps[0], self._clock.processor()
            try:
                self._sweep_some_files(sweeping, processor)
            finally:
                sweeping.effort.processor_s += self._clock.processor() - processor
            after = self._clock.monotonic()
            if after - began >= self._slice_s:
                break
            self._alive(after)
        return True

    def _paused(self) -> bool:
        """Return whether a sweep waits for the backlog to shrink; each begins, which shows whether its directory is there."""
        return len(self._settle) >= _PAUSE_SWEEPS_AT and self._sweeps[0].begun

    def _sweep_some_files(self, sweeping: Sweeping, processor: float) -> None:
        directory = sweeping.directory
        try:
            sweeping.begun = True
            listing = next(sweeping.listings, None)
            if listing is None:
                self._sweeps.popleft()
                if sweeping.full:
                    sweeping.effort.processor_s += self._clock.processor() - processor
                    self._finish_sweep(sweeping)
                return
            directory.expect_mounted(listing.folder, empty=listing.empty)
            self._available(directory)
            if sweeping.full and listing.inode is not None:
                directory.note_folder(listing.inode, listing.folder)
            self._compare(directory, listing)
        except WatchError as error:
            self._sweeps.popleft()
            self._unavailable(directory, str(error), self._clock.monotonic())
        except LedgerError as error:
            if self._sweeps and self._sweeps[0] is sweeping:
                self._sweeps.popleft()
            self._outage.begin(error)
            self._plans[directory].asked = True

    def _compare(self, directory: WatchedDirectory, listing: Listing) -> None:
        """
        Compare some files with the ledger: what is not known there, or has changed, settles; what came since the start, as live.

        What is only tried again waits behind live frames: a file that hangs takes a minute of the reader each time.
        """
        if len(self._troubles) > _MOST_TROUBLES:
            self._troubles.clear()
        if listing.trouble and listing.trouble not in self._troubles:
            self._troubles.add(listing.trouble)
            logger.warning("%s", listing.trouble)
        changed = self._changes.in_folder(listing.folder, listing.files, ctime_tells=directory.ctime_tells)
        now, baseline = self._clock.monotonic(), self._plans[directory].baseline
        for path, key in changed.files.items():
            came_since = key.ctime_ns > self._began_ns
            if baseline is not None and not came_since and path not in self._settle:
                baseline[path] = key
            else:
                self._settle.see(path, key, now, live=came_since and path not in changed.again and not self._once)

    def _finish_sweep(self, sweeping: Sweeping) -> None:
        directory, effort = sweeping.directory, sweeping.effort
        plan = self._plans[directory]
        if plan.baseline is not None:
            self._ledger.baseline(directory.root, list(plan.baseline.items()), self._clock.now())
            text = f"{directory.root}: {len(plan.baseline)} files were there before; taken as known"
            plan.baseline = None
            self._tell(Notice("info", text))
        self._outage.ledger_answers()
        plan.swept = True
        now = self._clock.monotonic()
        directory.full_sweep_ended(self._clock.now(), now - effort.begun_at, effort.processor_s)
        plan.next_sweep = now + directory.sweep_pause_s()

    def _unavailable(self, directory: WatchedDirectory, reason: str, now: float) -> None:
        """Wait for a directory that is not there; what the ledger knows of it stays."""
        if self._once:
            raise WatchError(reason)
        if directory.former:
            self._drop(directory)
            text = f"{reason}; the link leads elsewhere, so it is no longer watched"
            self._tell(Notice("info", text, directory.root))
            return
        plan = self._plans[directory]
        plan.next_sweep, plan.swept = now + min(directory.sweep_s, _RETRY_S), True
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
            self._plans[directory].asked = True  # what was listed before the events came may have changed since
            text = f"{directory.root}: the watched directory {here} {trouble}".rstrip()
            self._tell(Notice("info", text, directory.root))
