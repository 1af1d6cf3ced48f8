"""
Single files that are to be looked at: those that events and listings told of, and sidecars that came after their frames.

What is new or has changed for the ledger settles. Nothing is lost if a file cannot be looked at now: a sweep finds it.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from emwatch.errors import LedgerError
from emwatch.watch.patterns import frames_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from emwatch.clock import Clock
    from emwatch.frame import StatKey
    from emwatch.ingest.changes import Changes
    from emwatch.ingest.outage import LedgerOutage
    from emwatch.ledger.writer import Ledger
    from emwatch.watch.settle import Settle

logger = logging.getLogger(__name__)

#: What looking for files may take between two files that are read, in seconds.
SLICE_S: Final = 0.02
#: Files kept waiting beyond which hints are left to the next sweep, so that a backlog of any size takes the same memory.
_DROP_HINTS_AT: Final = 20_000
_HINTS_AT_A_TIME: Final = 100


class HintedFiles:
    """Files to look at soon, in the order in which they came. Belongs to the thread of the loop."""

    def __init__(
        self,
        *,
        settle: Settle,
        ledger: Ledger,
        changes: Changes,
        outage: LedgerOutage,
        clock: Clock,
        stat_key_of: Callable[[Path], StatKey | None],
        sweep_all: Callable[[], None],
    ) -> None:
        self._settle = settle
        self._ledger = ledger
        self._changes = changes
        self._outage = outage
        self._clock = clock
        self._stat_key_of = stat_key_of
        self._sweep_all = sweep_all
        self._files: dict[Path, bool] = {}  # and whether their writers closed them
        self._sidecars: deque[Path] = deque()  # recorded; frames beside them may have waited for them

    @property
    def files_wait(self) -> bool:
        """Whether a file is still to be looked at."""
        return bool(self._files)

    @property
    def sidecars_wait(self) -> bool:
        """Whether a sidecar is still to be followed."""
        return bool(self._sidecars)

    def add(self, path: Path, *, closed: bool) -> None:
        """Look at a file soon; if too many wait, a sweep finds it later."""
        if len(self._settle) + len(self._files) >= _DROP_HINTS_AT and path not in self._settle:
            self._sweep_all()
        else:
            self._files[path] = self._files.get(path, False) or closed

    def forget(self, path: Path) -> None:
        """Take a file that is gone."""
        self._files.pop(path, None)

    def add_sidecar(self, path: Path) -> None:
        """Take a file that is no frame: frames beside it, whose metadata is not known, are read again."""
        self._sidecars.append(path)

    def follow(self, began: float) -> None:
        """Look at files for a moment, and at the frames beside sidecars."""
        self._follow_files(began)
        self._follow_sidecars()

    def _follow_files(self, began: float) -> None:
        """Look at hinted files for a moment, the oldest hints first; if that is not possible now, a sweep will."""
        while self._files:
            now = self._clock.monotonic()
            present: dict[Path, tuple[StatKey, bool]] = {}
            while self._files and len(present) < _HINTS_AT_A_TIME:
                path = next(iter(self._files))
                closed = self._files.pop(path)
                try:
                    key = self._stat_key_of(path)
                except OSError as error:
                    logger.debug("%s: cannot be looked at now: %s", path, error)
                    continue
                if key is not None:
                    present[path] = key, closed
                if self._clock.monotonic() - began >= SLICE_S:
                    break
            self._settle_changed(present, now)
            if self._clock.monotonic() - began >= SLICE_S:
                break

    def _settle_changed(self, present: Mapping[Path, tuple[StatKey, bool]], now: float) -> None:
        try:
            changed = self._changes.of_files(
                {path: key for path, (key, _) in present.items() if path not in self._settle}
            )
        except LedgerError as error:
            self._outage.begin(error)
            self._sweep_all()
            changed = {}
        for path, (key, closed) in present.items():
            if path in self._settle or path in changed:
                self._settle.see(path, key, now, closed=closed, live=True)

    def _follow_sidecars(self) -> None:
        now = self._clock.monotonic()
        while self._sidecars and not self._outage.lasts():
            sidecar = self._sidecars[0]
            for path in frames_beside(sidecar):
                try:
                    key, beside = self._stat_key_of(path), self._stat_key_of(sidecar)
                    if key is None or beside is None or path in self._settle:
                        continue
                    if self._ledger.wants_sidecar(path, sidecar, beside):
                        self._settle.see(path, key, now, live=True)
                except OSError as error:
                    logger.debug("%s: cannot be looked at now: %s", path, error)
                except LedgerError as error:
                    self._outage.begin(error)
                    return
            self._sidecars.popleft()
