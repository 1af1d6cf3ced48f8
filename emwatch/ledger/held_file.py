"""
The ledger's file, held open for writing: one transaction after the other, and another file begun where it is damaged.

What is in the tables is no business of this module.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DBAPIError

from emwatch.errors import LedgerError
from emwatch.ledger.care import replacement
from emwatch.ledger.care.replacement import Before
from emwatch.ledger.care.upgrade import bring_up_to_date
from emwatch.ledger.database import BEGIN, driver_of, ledger_errors, writing_engine
from emwatch.ledger.sqlite_file import LedgerDamagedError, LedgerUnavailableError, connect_to_read, look_over

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from emwatch.clock import Clock
    from emwatch.ledger.care.replacement import Replaced

logger = logging.getLogger(__name__)

#: How a transaction begins that only reads.
READING: Final = "BEGIN"

_LOOKING_OVER_S: Final = 1.0  # at the start, which must not take long
_LOOKING_AGAIN_S: Final = 5.0
_MOST_DOUBTS: Final = 3


class HeldFile:
    """
    One SQLite file with one connection, for any number of threads: they take turns.

    A file that turns out to be damaged is moved aside and another begun, at the start or in between; ``replaced`` says so.

    Raises:
        LedgerError: the file cannot be used; `LedgerUnavailableError` where trying again helps.

    """

    def __init__(self, path: Path, *, clock: Clock, busy_timeout_ms: int, backups: Path) -> None:
        self.path = path
        self._clock = clock
        self._busy_timeout_ms = busy_timeout_ms
        self._backups = backups
        self._lock = threading.Lock()
        self._connection: Connection
        self._doubts = 0
        self._closed = False
        #: What the damaged ledgers knew that this one stands in for.
        self.before = Before()
        #: What was done where the file was found to be damaged.
        self.replaced: Replaced | None = None
        #: How far the file was looked over at the start: ``ok``, ``not finished``, ``new ledger``.
        self.looked_over = "new ledger"
        try:
            with ledger_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._look_over()
                self._open()
        except LedgerDamagedError as error:
            if not replacement.looks_like_ours(path, self._backups):
                raise LedgerError(
                    f"{path}: is not a ledger, or damaged beyond recognition: give another path as `ledger.path`; "
                    "if it was the ledger, move it aside, keep it, and start again"
                ) from error
            self._replace(error)

    def _look_over(self) -> None:
        size = self.path.stat().st_size if self.path.is_file() else 0
        wal = self.path.with_name(f"{self.path.name}-wal")
        if size:
            self.looked_over = look_over(self.path, _LOOKING_OVER_S)
        elif wal.exists() and wal.stat().st_size:  # SQLite would delete it
            raise LedgerDamagedError(f"{self.path}: only its -wal file has something in it")

    def _open(self) -> None:
        """Open the file, bring its tables up to date, and note the damaged ledgers that it stands in for."""
        self._connection = writing_engine(self.path, busy_timeout_ms=self._busy_timeout_ms).connect()
        try:
            now = self._clock.now()
            #: The copy made before a migration, where there was one.
            self.copy = bring_up_to_date(self._connection, self.path, now)
            with self._connection.begin():
                driver = driver_of(self._connection)
                replacement.note(driver, self.path, now)
                before = Before(replacement.stood_in_for(driver, self.path))
            self.before.close()
            self.before = before
        except BaseException:
            self._disconnect()
            raise

    def _replace(self, error: LedgerDamagedError) -> None:
        """Move the damaged file aside, none of it deleted, and begin another."""
        logger.info("%s", error)
        with ledger_errors(self.path):
            self.replaced = replacement.replace(self.path, self._backups, self._clock.now())
            self._open()

    def close(self) -> None:
        """Fold the WAL into the file and let go of it."""
        with self._lock:
            self._closed = True
            self.before.close()
            if self._connection.closed:
                return
            driver = driver_of(self._connection)
            # Tidying only: whatever was committed is safe without it.
            with suppress(LedgerError), ledger_errors(self.path):
                for pragma in ("optimize", "wal_checkpoint(TRUNCATE)"):
                    driver.execute(f"PRAGMA {pragma}").close()
            self._disconnect()

    def _disconnect(self) -> None:
        with suppress(DBAPIError):
            self._connection.close()
        self._connection.engine.dispose()

    @contextmanager
    def transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[Connection]:
        """Give the connection for one transaction, which is rolled back where the block raises."""
        with self._lock:
            try:
                with ledger_errors(self.path):
                    if self._closed:
                        raise LedgerError(f"{self.path}: the ledger was closed; nothing more can be recorded")
                    if self._connection.closed:  # the disk did not take the one to be begun after damage
                        self._open()
                    self._connection.info[BEGIN] = begin
                    with self._connection.begin():
                        yield self._connection
            except LedgerDamagedError as error:
                raise self._dealt_with(error) from error

    def examine(self, seconds: float = 60.0) -> str:
        """
        Look the file over, beside everything else, for at most so many seconds; gives ``ok`` or ``not finished``.

        Raises:
            LedgerUnavailableError: it was damaged; the message says what was done about it.

        """
        try:
            return look_over(self.path, seconds)
        except LedgerDamagedError as error:
            with self._lock:
                raise self._dealt_with(error) from error

    def _dealt_with(self, error: LedgerDamagedError) -> LedgerUnavailableError:
        """Replace a ledger that turned out to be damaged while in use, if a fresh look says the same; says what to tell."""
        self._doubts += 1
        try:
            look_over(self.path, _LOOKING_AGAIN_S)
            if self._doubts < _MOST_DOUBTS:
                return LedgerUnavailableError(f"{error}; a second look found no damage, so it is tried again")
        except LedgerDamagedError:
            pass
        self._doubts = 0
        with suppress(sqlite3.Error, OSError), closing(connect_to_read(self.path)) as holder:
            # While somebody reads, closing neither folds the -wal into the file nor removes it: evidence stays as it is.
            with suppress(sqlite3.Error):
                holder.execute("SELECT count(*) FROM sqlite_master").fetchone()
            self._disconnect()
        self._disconnect()
        self._replace(error)
        return LedgerUnavailableError(f"{self.path}: {self.replaced}")
