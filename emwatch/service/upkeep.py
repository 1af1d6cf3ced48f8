"""Maintenance of the ledger: an integrity check each hour and a backup each day."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from emwatch.errors import LedgerError
from emwatch.frame import path_to_text
from emwatch.ingest.events import Notice
from emwatch.ledger.care.backups import backups_of, made_at, make_backup, rotate
from emwatch.ledger.sqlite_file import LedgerDamagedError
from emwatch.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from emwatch.clock import Clock
    from emwatch.ingest.events import Event
    from emwatch.ledger.writer import Ledger

logger = logging.getLogger(__name__)

#: No backup before the daemon has run for so long: repeated restarts must not delay frames.
_FIRST_AFTER_S: Final = 300.0
_AGAIN_AFTER_TROUBLE_S: Final = 3600.0
_TELL_EVERY: Final = timedelta(hours=24)
_WAKE_EVERY_S: Final = 60.0
_LOOK_OVER_EVERY_S: Final = 3600.0
_PAUSE_S: Final = 0.02  # after each megabyte
_STOPPING_S: Final = 2.0
_LOWEST_PRIORITY: Final = 19


class Upkeep:
    """
    Checks the ledger each hour, and makes a backup when the last one is older than ``every`` (zero: never).

    The file names tell when that was. A damaged ledger is replaced, see `Ledger.examine`.

    ``note`` takes the last result, for `emwatch status`; ``tell`` takes faults, once a day.
    """

    def __init__(
        self,
        ledger: Ledger,
        directory: Path,
        *,
        every: timedelta,
        keep: int,
        clock: Clock,
        tell: Callable[[Event], None],
        note: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._writer = ledger
        self._ledger = ledger.path
        self._directory = directory
        self._every = every
        self._keep = keep
        self._clock = clock
        self._tell = tell
        self._note = note
        self._not_before = clock.monotonic() + _FIRST_AFTER_S
        self._next_check = clock.monotonic() + _LOOK_OVER_EVERY_S
        self._told_at: datetime | None = None
        self.worker = Worker("checks and backups of the ledger", self._run)

    def start(self) -> None:
        """Start the thread."""
        self._say_how_it_is("")
        self.worker.start()

    def stop(self) -> None:
        """Stop the thread; an unfinished backup is discarded, and the next start makes it."""
        self.worker.stop(_STOPPING_S)

    def check_if_due(self) -> None:
        """Check the ledger if it is time to."""
        if self._clock.monotonic() < self._next_check:
            return
        self._next_check = self._clock.monotonic() + _LOOK_OVER_EVERY_S
        try:
            result = self._writer.examine()
        except LedgerError as error:
            result = str(error)
            self._tell(Notice("error", result, self._ledger))
        self._note("check", {"result": result, "at": self._clock.now().isoformat(timespec="seconds")})

    def back_up_if_due(self) -> Path | None:
        """Make a backup if it is time to, and remove those that are no longer kept."""
        now = self._clock.now()
        if not self._every:
            return None
        last = max((made_at(each) for each in backups_of(self._ledger, self._directory)), default=None)
        # A last backup in the future was made before the clock was set back.
        if self._clock.monotonic() < self._not_before or (
            last is not None and now - self._every < last <= now + self._every
        ):
            return None
        self._not_before = self._clock.monotonic() + _AGAIN_AFTER_TROUBLE_S  # also if this one ends the thread
        try:
            made = make_backup(self._ledger, self._directory, now, pause_s=_PAUSE_S, stop=self.worker.stopping.is_set)
            if made is None:
                return None
            rotate(self._ledger, self._directory, self._keep)
        except (LedgerError, OSError) as error:
            if isinstance(error, LedgerDamagedError):
                self._next_check = self._clock.monotonic()
            self._say_how_it_is(str(error))
            if self._told_at is None or not self._told_at <= now < self._told_at + _TELL_EVERY:
                self._told_at = now
                self._tell(Notice("error", f"the ledger could not be backed up: {error}", self._ledger))
            return None
        self._told_at = None
        self._say_how_it_is("")
        logger.info("%s: backed up", made)
        return made

    def _say_how_it_is(self, trouble: str) -> None:
        at = path = None
        if made := backups_of(self._ledger, self._directory):
            at, path = made_at(made[-1]).isoformat(timespec="seconds"), path_to_text(made[-1])
        self._note("backup", {"at": at, "path": path, "trouble": trouble})

    def _run(self) -> None:
        with suppress(OSError, AttributeError):  # on Linux each thread has its own priority
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
        while not self.worker.stopping.wait(_WAKE_EVERY_S):
            self.check_if_due()
            self.back_up_if_due()
