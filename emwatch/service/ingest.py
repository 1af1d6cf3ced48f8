"""
The loop that brings files from the directory to the ledger.

It decides nothing about a frame. It looks where hints and sweeps say, compares with the ledger (the only memory of
what is done), lets files settle, and hands them to the pipeline one by one, live ones first.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from emwatch.errors import Empty, LedgerError, Truncated, Unsteady, Vanished, WatchError
from emwatch.frame import FrameState
from emwatch.pipeline import Pending
from emwatch.service.happenings import FrameDone, Notice, Ready
from emwatch.service.hints import ASKED
from emwatch.service.news import News
from emwatch.service.outage import LedgerOutage
from emwatch.watch.sidecars import frames_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from emwatch.clock import Clock
    from emwatch.frame import Outcome, StatKey
    from emwatch.ledger.writer import Ledger
    from emwatch.pipeline import Pipeline
    from emwatch.service.happenings import Happening
    from emwatch.service.hints import HintBox
    from emwatch.service.place import Place
    from emwatch.watch.settle import Settle
    from emwatch.watch.sweep import Listing

logger = logging.getLogger(__name__)

_SUPERVISE_EVERY_S = 2.0
_SWEEP_SLICE_S = 0.02
_RETRY_S = 5.0
_LONGEST_NAP_S = 1.0
_LOSS_NOTICES_EVERY_S = 60.0
#: Files kept waiting: a sweep pauses at the first number, and beyond the second hints are left to the next sweep, so
#: that a backlog of any size takes the same memory.
_PAUSE_SWEEPS_AT: Final = 5_000
_DROP_HINTS_AT: Final = 20_000
_MOST_SWEEPS: Final = 100
_MOST_TROUBLES: Final = 1_000
_LOOKS_AT_A_TIME = 100
_MAY_YET_BE_WHOLE = (Empty, Truncated, Unsteady)


@dataclass(slots=True)
class _Sweeping:
    """A sweep under way, some files at a time, so that live frames need not wait for it."""

    place: Place
    listings: Iterator[Listing]
    full: bool
    spent_s: float = 0.0
    begun: bool = False


class Ingest:
    """
    The one loop of the daemon; everything in it runs in the thread that calls `run`.

    ``once``: end when what was there has been dealt with.
    ``baseline``: take what the first full sweep of a place finds as already known, where the ledger has none yet.
    """

    def __init__(  # noqa: PLR0913 - the daemon's wiring, every part named at its one call
        self,
        *,
        places: Sequence[Place],
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
        self._places = places
        self._hints = hints
        self._settle = settle
        self._pipeline = pipeline
        self._ledger = ledger
        self._news = News(ledger, clock)
        self._outage = LedgerOutage(clock, tell, gives_up=once)
        self._clock = clock
        self._tell = tell
        self._recorded = recorded
        self._alive = alive
        self._once = once
        #: Files of the first sweep of places that have no baseline yet, where one is wanted.
        self._baselines: dict[Place, dict[Path, StatKey]] = {
            place: {} for place in places if baseline and not ledger.baseline_taken(place.root)
        }
        for place in places:
            place.held_files = not once and ledger.knows_files_below(place.root)
        self._sweeps: deque[_Sweeping] = deque()
        self._next_sweep = {place: clock.monotonic() for place in places}
        self._asked: set[Place] = set()  # to be swept again, however far the present sweep is
        self._swept_once: set[Place] = set()
        self._next_supervision = clock.monotonic()
        self._next_loss_notice = -math.inf
        self._troubles: set[str] = set()
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
            self._supervise(now)
            self._start_sweeps(now)
            self._take_hints(now)
            swept = self._sweep_a_little(now)
            worked = self._work_on_one_file(self._clock.monotonic())
            if not self._ready and (
                len(self._swept_once) == len(self._places) or len(self._settle) >= _PAUSE_SWEEPS_AT
            ):
                self._ready = True
                watching = () if self._once else tuple(place.describe() for place in self._places)
                self._tell(Ready(watching, len(self._settle)))
            if not (swept or worked):
                if self._once and self._ready and not self._sweeps and not self._settle and self._unrecorded is None:
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

    # -- where to look ------------------------------------------------------------------------------------------

    def _supervise(self, now: float) -> None:
        if self._once or now < self._next_supervision:
            return
        self._next_supervision = now + _SUPERVISE_EVERY_S
        for place in self._places:
            trouble = place.supervise(now)
            if trouble:
                logger.warning("%s: %s; now watched thus: %s", place.root, trouble, place.describe())
                self._asked.add(place)
        self._settle.quiet_s = max(place.settle_s for place in self._places)

    def _start_sweeps(self, now: float) -> None:
        sweeping = {each.place for each in self._sweeps if each.full}
        for place in self._places:
            if place in sweeping or (self._once and place in self._swept_once and place not in self._asked):
                continue
            if now >= self._next_sweep[place] or (place in self._asked and not place.unavailable):
                self._asked.discard(place)
                place.full_sweep_begins()
                self._sweeps.append(_Sweeping(place, place.sweep(), full=True))

    def _take_hints(self, now: float) -> None:
        hinted = self._hints.take()
        for path in hinted.gone:
            self._settle.forget(path)
        self._follow(hinted.files, now)
        for folder in hinted.folders:
            place = self._place_of(folder)
            if place is not None and len(self._sweeps) >= _MOST_SWEEPS:
                self._asked.add(place)
            elif place is not None:
                self._sweeps.append(_Sweeping(place, place.sweep(folder), full=False))
        for reason in hinted.everything:
            if reason != ASKED and now >= self._next_loss_notice:
                self._next_loss_notice = now + _LOSS_NOTICES_EVERY_S
                self._tell(Notice("warning", f"single events were lost ({reason}); looking at everything"))
            self._asked.update(self._places)

    def _follow(self, hinted: Mapping[Path, bool], now: float) -> None:
        """Look at the files of hints, by path whether the writer closed them; where that is not possible now, a sweep will."""
        present: dict[Path, StatKey] = {}
        if len(self._settle) >= _DROP_HINTS_AT:
            self._asked.update(self._places)
            hinted = {path: closed for path, closed in hinted.items() if path in self._settle}
        for path in hinted:
            place = self._place_of(path)
            try:
                key = None if place is None else place.look(path)
            except OSError as error:
                logger.debug("%s: cannot be looked at now: %s", path, error)
                continue
            if key is not None:
                present[path] = key
        try:
            news = self._news.among({path: key for path, key in present.items() if path not in self._settle})
        except LedgerError as error:
            self._outage.begin(error)
            self._asked.update(self._places)
            news = {}
        for path, key in present.items():
            if path in self._settle or path in news:
                self._settle.see(path, key, now, closed=hinted[path], live=True)

    def _sweep_a_little(self, began: float) -> bool:
        """Go on with the sweeps for a moment; at the start until each place has been seen whole once."""
        if not self._sweeps or self._outage.lasts() or self._paused():
            return False
        while self._sweeps and not self._paused():
            before = self._clock.monotonic()
            self._sweep_some_files(self._sweeps[0], before)
            after = self._clock.monotonic()
            if self._sweeps:
                self._sweeps[0].spent_s += after - before
            if self._ready and after - began >= _SWEEP_SLICE_S:
                break
            self._alive(after)
        return True

    def _paused(self) -> bool:
        """Tell whether a sweep waits for the backlog to shrink; each begins, since it also says whether its place is there."""
        return len(self._settle) >= _PAUSE_SWEEPS_AT and self._sweeps[0].begun

    def _sweep_some_files(self, sweeping: _Sweeping, now: float) -> None:
        place = sweeping.place
        try:
            sweeping.begun = True
            listing = next(sweeping.listings, None)
            if listing is None:
                self._sweeps.popleft()
                if sweeping.full:
                    self._finish_sweep(sweeping)
                return
            place.expect_mounted(listing)
            self._available(place)
            if sweeping.full:
                place.note_folders(listing.folders)
            self._compare(place, listing, now)
        except WatchError as error:
            self._sweeps.popleft()
            self._unavailable(place, str(error), now)
        except LedgerError as error:
            if self._sweeps and self._sweeps[0] is sweeping:
                self._sweeps.popleft()
            self._outage.begin(error)
            self._asked.add(place)

    def _compare(self, place: Place, listing: Listing, now: float) -> None:
        """Hold some files against the ledger: what is not known there, or has changed, settles."""
        if len(self._troubles) > _MOST_TROUBLES:
            self._troubles.clear()
        if listing.trouble and listing.trouble not in self._troubles:
            self._troubles.add(listing.trouble)
            logger.warning("%s", listing.trouble)
        news = self._news.in_folder(listing.folder, listing.files)
        baseline = self._baselines.get(place)
        if baseline is not None:
            baseline.update(news)
            return
        for path, key in news.items():
            self._settle.see(path, key, now)

    def _finish_sweep(self, sweeping: _Sweeping) -> None:
        place = sweeping.place
        baseline = self._baselines.get(place)
        if baseline is not None:
            self._ledger.baseline(place.root, list(baseline.items()), self._clock.now())
            del self._baselines[place]
            self._tell(Notice("info", f"{place.root}: {len(baseline)} files were there before; taken as known"))
        if self._unrecorded is None:
            self._outage.end()
        self._swept_once.add(place)
        place.full_sweep_ended(self._clock.now())
        self._next_sweep[place] = self._clock.monotonic() + place.pause_s(sweeping.spent_s)

    def _unavailable(self, place: Place, reason: str, now: float) -> None:
        """Wait for a directory that is not there; what the ledger knows of it stays."""
        if self._once:
            raise WatchError(reason)
        self._next_sweep[place] = now + min(place.sweep_s, _RETRY_S)
        self._swept_once.add(place)
        if not place.unavailable:
            place.unavailable = reason
            place.disarm()
            self._tell(Notice("error", f"{reason}; waiting for it to come back", place.root))

    def _available(self, place: Place) -> None:
        if place.unavailable:
            place.unavailable = ""
            trouble = place.arm()
            self._asked.add(place)  # what was listed before the events came may have changed since
            self._tell(Notice("info", f"{place.root}: the watched directory is back {trouble}".rstrip(), place.root))

    # -- one file after the other -------------------------------------------------------------------------------

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
            place = self._place_of(path)
            try:
                key = None if place is None else place.look(path)
            except OSError:
                self._settle.postpone(path, now + _RETRY_S)
                continue
            if key == self._settle.key_of(path):
                return path
            if key is not None:
                self._settle.see(path, key, now)
            elif place is not None and not place.is_there():
                # Not the file is gone but all of it; the sweep says so, and brings back what is still there.
                self._settle.postpone(path, now + _RETRY_S)
                self._next_sweep[place] = min(self._next_sweep[place], now)
                self._sweeps = deque(each for each in self._sweeps if each.place is not place)
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
            self._outage.begin(error)
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
            place = self._place_of(path)
            try:
                key = None if place is None else place.look(path)
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
            due.append(self._settle.next_due(now))
            if not self._once:
                swept = {each.place for each in self._sweeps if each.full}  # one may be paused for long
                due += [at for place, at in self._next_sweep.items() if place not in swept]
        return max(0.0, min(due) - now)

    def _place_of(self, path: Path) -> Place | None:
        return next((place for place in self._places if place.owns(path)), None)
