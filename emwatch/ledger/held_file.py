"""
The ledger's file, held open for writing: one transaction after the other; a damaged file is replaced by a new one.

This module does not know the tables.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DBAPIError

from emwatch.errors import LedgerError
from emwatch.ledger.care import replacement
from emwatch.ledger.care.replacement import Before
from emwatch.ledger.care.upgrade import bring_up_to_date
from emwatch.ledger.database import BEGIN, driver_of, ledger_errors, writing_engine
from emwatch.ledger.file_lock import FileKey, FileLock, file_key
from emwatch.ledger.sqlite_file import LedgerDamagedError, LedgerUnavailableError, beside, connect_to_read, quick_check
from emwatch.whole_file import flush, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    A file that is deleted, moved or replaced while it is open is written again from what is open. A link is followed.

    Raises:
        LedgerError: the file cannot be used; `LedgerUnavailableError` if trying again helps.

    """

    def __init__(self, path: Path, *, clock: Clock, busy_timeout_ms: int, backups: Path) -> None:
        self.path = path
        self._clock = clock
        self._busy_timeout_ms = busy_timeout_ms
        self._backups = backups
        self._lock = threading.Lock()
        self._file_lock = FileLock()
        self._files: dict[Path, FileKey] = {}
        self._news: list[str] = []
        self._connection: Connection
        self._doubts = 0
        self._closed = False
        #: What the ledgers knew that this one stands in for.
        self.before = Before()
        #: What was done when the file was found to be damaged.
        self.replaced: Replaced | None = None
        #: How far the file was checked at the start: ``ok``, ``not finished``, ``new ledger``.
        self.start_check = "new ledger"
        try:
            with ledger_errors(path):
                self._begin()
        except LedgerDamagedError as error:
            if not replacement.looks_like_ours(self._file, self._backups):
                raise LedgerError(
                    f"{path}: is not a ledger, or damaged beyond recognition: give another path as `ledger.path`; "
                    "if it was the ledger, move it aside, keep it, and start again"
                ) from error
            self._replace(error)

    @property
    def _file(self) -> Path:
        """The file itself if ``path`` is a link: SQLite keeps the -wal beside it."""
        return Path(os.path.realpath(self.path))

    def _begin(self) -> None:
        file = self._file
        make_folder(file.parent)
        if file.exists():
            self._file_lock.take(file)
        wal = beside(file, "-wal")
        if file.exists() and file.stat().st_size:
            self.start_check = quick_check(file, _LOOKING_OVER_S)
        elif wal.exists() and wal.stat().st_size:  # SQLite would delete it
            raise LedgerDamagedError(f"{self.path}: only its -wal file has something in it")
        self._open()

    def _open(self) -> None:
        """Open the file, bring its tables up to date, and note the ledgers that it stands in for."""
        file = self._file
        self._file_lock.take(file)
        self._connection = writing_engine(file, busy_timeout_ms=self._busy_timeout_ms).connect()
        try:
            now = self._clock.now()
            #: The copy made before a migration, if there was one.
            self.copy = bring_up_to_date(self._connection, file, now)
            with self._connection.begin():
                driver = driver_of(self._connection)
                replacement.note(driver, file, now)
                before = Before(replacement.stood_in_for(driver, file))
            self.before.close()
            self.before = before
            self._files = {
                each: file_key(each)
                for each in (self.path, beside(file, "-wal"), beside(file, "-shm"))
                if each == self.path or each.exists()
            }
        except BaseException:
            self._disconnect()
            raise

    def _replace(self, error: LedgerDamagedError) -> None:
        """Move the damaged file aside, none of it deleted, and begin another."""
        logger.info("%s", error)
        with ledger_errors(self.path):
            self._file_lock.release()
            self.replaced = replacement.replace(self._file, self._backups, self._clock.now())
            self._open()

    def check_place(self) -> None:
        """
        Check that the open files are still what their names lead to, and begin again if not; costs three `stat`.

        Every transaction does so by itself.

        Raises:
            LedgerError: it is not, and another cannot be begun now; what is open stays so, and the next call tries again.

        """
        with self._lock, ledger_errors(self.path):
            if not self._closed:
                self._be_open()

    def wal_bytes(self) -> int:
        """Return how large the -wal is now, 0 without one."""
        try:
            return beside(self._file, "-wal").stat().st_size
        except OSError:
            return 0

    def cut_back_wal(self) -> None:
        """
        Write the -wal into the file and empty it, as far as no reader prevents it; does not wait.

        Raises:
            LedgerError: the disk does not take it.

        """
        with self._lock, ledger_errors(self.path):
            if self._closed or self._connection.closed:
                return
            driver = driver_of(self._connection)
            driver.execute("PRAGMA busy_timeout=0").close()
            try:
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
            finally:
                driver.execute(f"PRAGMA busy_timeout={self._busy_timeout_ms}").close()

    def take_news(self) -> list[str]:
        """Return what was done since the last call about a file that was lost or damaged while in use."""
        news, self._news = self._news, []
        return news

    def _be_open(self) -> None:
        if not self._connection.closed and (lost := self._lost()) is not None:
            self._begin_again(lost)
        elif self._connection.closed:  # the disk did not take the one to be begun after damage or loss
            self._open()

    def _lost(self) -> Path | None:
        """Return which of the open files is no longer what its name leads to."""
        for path, key in self._files.items():
            try:
                if file_key(path) != key:
                    return path
            except (FileNotFoundError, NotADirectoryError):
                return path
            except OSError:  # cannot be told just now
                continue
        return None

    def _begin_again(self, lost: Path) -> None:
        """
        Go on after the files were deleted, moved or replaced while they were open.

        Until it is closed, the connection holds everything. It is written out beside the place, and put there unless
        there is another ledger now: then that one is used, and stands in for the one that was written out.
        """
        file = self._file
        make_folder(file.parent)
        try:
            written = replacement.write_out(driver_of(self._connection), file, self._clock.now())
        except LedgerDamagedError as error:
            self._disconnect()
            self._news.append(f"{lost}: was deleted, moved or replaced while emwatch had it open")
            self._replace(error)
            self._news.append(f"{self.path}: {self.replaced}")
            return
        main = self._files[self.path]
        self._disconnect()
        for each, key in self._files.items():  # what is left under the old names is written out
            if each != self.path and _leads_to(each, key):
                each.unlink()
        if not _leads_to(file, main) and replacement.is_usable(file):
            self._news.append(
                f"{self.path}: another ledger took its place while emwatch had it open, and is used from now on. The one "
                f"before is kept as {written.name}: what it knows raises no alert again, and `emwatch db repair` takes its "
                "rows over"
            )
        else:
            if file.exists() and not _leads_to(file, main):
                file.rename(replacement.aside_name(file, "foreign", self._clock.now()))
            written.replace(file)
            flush(file.parent)
            self._news.append(
                f"{lost}: was deleted, moved or replaced while emwatch had it open. The ledger was written again whole from "
                "what was open: nothing is lost. To use another one, stop emwatch first"
            )
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
        self._file_lock.release()

    @contextmanager
    def transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[Connection]:
        """Yield the connection for one transaction, which is rolled back if the block raises."""
        with self._lock:
            try:
                with ledger_errors(self.path):
                    if self._closed:
                        raise LedgerError(f"{self.path}: the ledger was closed; nothing more can be recorded")
                    self._be_open()
                    self._connection.info[BEGIN] = begin
                    with self._connection.begin():
                        yield self._connection
            except LedgerDamagedError as error:
                raise self._dealt_with(error) from error

    def examine(self, seconds: float = 60.0) -> str:
        """
        Look the file over, beside everything else, for at most so many seconds; returns ``ok`` or ``not finished``.

        Raises:
            LedgerUnavailableError: it was damaged; the message says what was done about it.

        """
        try:
            return quick_check(self.path, seconds)
        except LedgerDamagedError as error:
            with self._lock:
                raise self._dealt_with(error) from error

    def _dealt_with(self, error: LedgerDamagedError) -> LedgerUnavailableError:
        """Replace a ledger that turned out to be damaged while in use, if a fresh look says the same; says what to tell."""
        self._doubts += 1
        try:
            quick_check(self.path, _LOOKING_AGAIN_S)
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
        self._news.append(f"{self.path}: {self.replaced}")
        return LedgerUnavailableError(self._news[-1])


def _leads_to(path: Path, key: FileKey) -> bool:
    try:
        return file_key(path) == key
    except OSError:
        return False
