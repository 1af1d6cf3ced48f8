"""
The loop that brings files from the directory to the ledger.

It decides nothing about a frame. It looks where hints and sweeps say, compares with the ledger (the only memory of
what is done), lets files settle, and hands them to the pipeline one by one, live ones first.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from emwatch.errors import Empty, LedgerError, Truncated, Unsteady, Vanished, WatchError
from emwatch.pipeline import Pending
from emwatch.service.happenings import FrameDone, Notice, Ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from emwatch.clock import Clock
    from emwatch.frame import Outcome, StatKey
    from emwatch.ledger.writer import Known, Ledger
    from emwatch.pipeline import Pipeline
    from emwatch.service.happenings import Happening
    from emwatch.service.hints import HintBox
    from emwatch.service.place import Place
    from emwatch.watch.settle import Settle
    from emwatch.watch.sweep import Listing

logger = logging.getLogger(__name__)

_SUPERVISE_EVERY_S = 2.0
_LEDGER_RETRY_S = 5.0
_LONGEST_NAP_S = 1.0
_MAY_YET_BE_WHOLE = (Empty, Truncated, Unsteady)


@dataclass(slots=True)
class _Sweeping:
    """A sweep under way, a folder at a time, so that live frames need not wait for it."""

    place: Place
    listings: Iterator[Listing]
    full: bool


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
        self._clock = clock
        self._tell = tell
        self._recorded = recorded
        self._alive = alive
        self._once = once
        #: Files of the first sweep of places that have no baseline yet, where one is wanted.
        self._baselines: dict[Place, list[tuple[Path, StatKey]]] = {
            place: [] for place in places if baseline and not ledger.baseline_taken(place.root)
        }
        self._sweeps: deque[_Sweeping] = deque()
        self._next_sweep = {place: clock.monotonic() for place in places}
        self._next_supervision = clock.monotonic()
        self._held: Pending | None = None  # read, and waiting to be classified while the next one is read
        self._unrecorded: tuple[Pending, Outcome] | None = None
        self._ledger_retry = 0.0
        self._swept_once: set[Place] = set()
        self._ready = False

    def run(self, stop: Callable[[], bool]) -> None:
        """Work until told to stop, or, with ``once``, until nothing is left to do. A frame in work is finished first."""
        while not stop():
            now = self._clock.monotonic()
            self._alive(now)
            self._supervise(now)
            self._start_sweeps(now)
            self._take_hints(now)
            swept = self._sweep_one_folder(now)
            worked = self._work_on_one_file(now)
            if not self._ready and len(self._swept_once) == len(self._places):
                self._ready = True
                watching = () if self._once else tuple(place.describe() for place in self._places)
                self._tell(Ready(watching, len(self._settle)))
            if not (swept or worked):
                if self._once and self._ready and not self._settle and self._unrecorded is None:
                    return
                self._hints.wait(self._nap(now))
        # With a ledger that cannot be written there is no use: the next start finds the frame again.
        if self._held is not None and self._unrecorded is None:
            held, self._held = self._held, None
            self._conclude(held)

    # -- where to look ------------------------------------------------------------------------------------------

    def _supervise(self, now: float) -> None:
        if self._once or now < self._next_supervision:
            return
        self._next_supervision = now + _SUPERVISE_EVERY_S
        for place in self._places:
            trouble = place.supervise()
            if trouble:
                logger.info("%s: hints stopped (%s); armed anew", place.root, trouble)
                self._next_sweep[place] = now

    def _start_sweeps(self, now: float) -> None:
        sweeping = {each.place for each in self._sweeps if each.full}
        for place in self._places:
            if (
                now >= self._next_sweep[place]
                and place not in sweeping
                and not (self._once and place in self._swept_once)
            ):
                self._sweeps.append(_Sweeping(place, place.sweep(), full=True))

    def _take_hints(self, now: float) -> None:
        hinted = self._hints.take()
        for path in hinted.gone:
            self._settle.forget(path)
        for path, closed in hinted.files.items():
            self._look_at(path, now, closed=closed)
        for folder in hinted.folders:
            for place in self._places:
                if place.owns(folder):
                    self._sweeps.append(_Sweeping(place, place.sweep(folder), full=False))
        for reason in hinted.everything:
            self._tell(Notice("warning", f"single events were lost ({reason}); looking at everything"))
            self._next_sweep = dict.fromkeys(self._places, now)

    def _look_at(self, path: Path, now: float, *, closed: bool) -> None:
        place = self._place_of(path)
        key = None if place is None else place.look(path)
        if key is not None and (path in self._settle or self._is_news(self._ledger.known_file(path), key)):
            self._settle.see(path, key, now, closed=closed, live=True)

    def _sweep_one_folder(self, now: float) -> bool:
        if not self._sweeps:
            return False
        sweeping = self._sweeps[0]
        try:
            listing = next(sweeping.listings, None)
        except WatchError as error:
            self._sweeps.popleft()
            self._unavailable(sweeping.place, str(error), now)
            return True
        if listing is None:
            self._sweeps.popleft()
            if sweeping.full:
                self._finish_sweep(sweeping.place)
            return True
        if listing.trouble:
            logger.warning("%s", listing.trouble)
        self._available(sweeping.place)
        self._compare(sweeping.place, listing, now)
        return True

    def _compare(self, place: Place, listing: Listing, now: float) -> None:
        """Hold one folder against the ledger: what is not known there, or has changed, settles."""
        known = self._ledger.known(listing.folder) if listing.files else {}
        news = {name: key for name, key in listing.files.items() if self._is_news(known.get(name), key)}
        baseline = self._baselines.get(place)
        if baseline is not None:
            baseline += ((listing.folder / name, key) for name, key in news.items() if name not in known)
            return
        for name, key in news.items():
            self._settle.see(listing.folder / name, key, now)

    def _finish_sweep(self, place: Place) -> None:
        self._next_sweep[place] = self._clock.monotonic() + place.sweep_s
        self._swept_once.add(place)
        baseline = self._baselines.pop(place, None)
        if baseline is not None:
            self._ledger.baseline(place.root, baseline, self._clock.now())
            self._tell(Notice("info", f"{place.root}: {len(baseline)} files were there before; taken as known"))

    def _unavailable(self, place: Place, reason: str, now: float) -> None:
        """Wait for a directory that is not there; what the ledger knows of it stays."""
        if self._once:
            raise WatchError(reason)
        self._next_sweep[place] = now + min(place.sweep_s, 5.0)
        self._swept_once.add(place)
        if not place.unavailable:
            place.unavailable = reason
            self._tell(Notice("error", f"{reason}; waiting for it to come back", place.root))

    def _available(self, place: Place) -> None:
        if place.unavailable:
            place.unavailable = ""
            trouble = place.arm()
            self._tell(Notice("info", f"{place.root}: the watched directory is back {trouble}".rstrip(), place.root))

    def _is_news(self, known: Known | None, key: StatKey) -> bool:
        if known is None or known.stat_key != key:
            return True
        return known.retry_at is not None and known.retry_at <= self._clock.now()

    # -- one file after the other -------------------------------------------------------------------------------

    def _work_on_one_file(self, now: float) -> bool:
        """Begin the next file, and conclude the one before while it is being read."""
        if self._unrecorded is not None:
            return self._record_again(now)
        path = self._next_path(now)
        if path is None and self._held is None:
            return False
        if path is not None:
            self._settle.taken(path)
            self._pipeline.begin(path)
        held, self._held = self._held, None
        if held is not None:
            self._conclude(held)
        if path is not None:
            self._held = self._pipeline.finish(path, self._settle.key_of(path))
        return True

    def _next_path(self, now: float) -> Path | None:
        """Give a file that is still what it was when it settled; one that vanished is recorded as such."""
        while (path := self._settle.next_ready(now)) is not None:
            place = self._place_of(path)
            key = None if place is None else place.look(path)
            if key == self._settle.key_of(path):
                return path
            if key is None:
                gone = Vanished(f"{path}: gone before it was read; nothing to do if its writer removed it on purpose")
                self._conclude(Pending(path, self._settle.key_of(path), error=gone))
                if self._unrecorded is not None:
                    return None
            else:
                self._settle.see(path, key, now)
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
        except LedgerError as error:
            if self._unrecorded is None:
                self._tell(Notice("error", f"{error}; no frame is taken until the ledger can be written again"))
            self._unrecorded = (pending, outcome)
            self._ledger_retry = self._clock.monotonic() + _LEDGER_RETRY_S
            return
        if self._unrecorded is not None:
            self._unrecorded = None
            self._tell(Notice("info", "the ledger can be written again"))
        lag_s = self._lag(pending.path)
        self._settle.forget(pending.path, pending.stat_key)
        if recorded.alerts:
            self._recorded()
        self._tell(FrameDone(recorded.frame_id, outcome, recorded.new, recorded.duplicate_of, lag_s, len(self._settle)))

    def _lag(self, path: Path) -> float:
        return self._clock.monotonic() - self._settle.first_seen(path) if path in self._settle else 0.0

    def _record_again(self, now: float) -> bool:
        if self._unrecorded is None or now < self._ledger_retry:
            return False
        pending, outcome = self._unrecorded
        self._record(pending, outcome)
        return True

    def _nap(self, now: float) -> float:
        """Until the next thing is due; short enough for stop requests and supervision."""
        due = [self._settle.next_due(now) if self._unrecorded is None else self._ledger_retry, now + _LONGEST_NAP_S]
        if not self._once:
            due += self._next_sweep.values()
        return max(0.0, min(due) - now)

    def _place_of(self, path: Path) -> Place | None:
        return next((place for place in self._places if place.owns(path)), None)
