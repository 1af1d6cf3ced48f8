"""The ledger's backups: made beside the daemon, checked, and all but the last of the last days removed."""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from emwatch.errors import LedgerError
from emwatch.ledger.file_lock import make_private
from emwatch.ledger.sqlite_file import connect_to_read, explained, must_be_there, quick_check
from emwatch.whole_file import flush, make_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_TIME: Final = "%Y%m%dT%H%M%SZ"
_NAMED: Final = re.compile(r"\.backup-(\d{8}T\d{6}Z)$")
_PAGES_AT_A_TIME: Final = 256
#: A backup that takes longer to be looked over than this is taken to be sound as far as that went.
_LONGEST_LOOK_S: Final = 600.0


def backups_of(ledger: Path, directory: Path) -> list[Path]:
    """Return the backups of a ledger in a directory, oldest first."""
    try:
        names = sorted(each.name for each in directory.iterdir())
    except OSError:
        return []
    return [directory / name for name in names if name.startswith(f"{ledger.name}.backup-") and _moment(name)]


def made_at(backup: Path) -> datetime:
    """Return when a backup was made, from its name."""
    moment = _moment(backup.name)
    if moment is None:
        raise ValueError(f"{backup.name} is not the name of a backup")
    return moment


def _moment(name: str) -> datetime | None:
    found = _NAMED.search(name)
    try:
        return None if found is None else datetime.strptime(found[1], _TIME).replace(tzinfo=UTC)
    except ValueError:  # digits, but of no day that there is
        return None


class StoppedError(Exception):
    """Nobody waits for the backup any more."""


def make_backup(
    ledger: Path, directory: Path, now: datetime, *, pause_s: float = 0.0, stop: Callable[[], bool] = bool
) -> Path | None:
    """
    Copy a ledger, whole and as it is at one moment, also while it is written; returns the checked copy.

    ``pause_s``: rest after each megabyte, so that a microscope's disk has time for frames. ``stop``: asked then whether to
    give up; ``None`` if it said so.

    Raises:
        LedgerError: there is no ledger, it is damaged, or the copy cannot be written; nothing half-done is left.

    """
    must_be_there(ledger)
    backup = directory / f"{ledger.name}.backup-{now.astimezone(UTC).strftime(_TIME)}"
    unfinished = backup.with_name(f"{backup.name}.part")
    try:
        make_folder(directory)
        with suppress(FileNotFoundError):
            unfinished.unlink()
        with closing(connect_to_read(ledger)) as source:
            copy_whole(source, unfinished, pause_s=pause_s, stop=stop)
        quick_check(unfinished, _LONGEST_LOOK_S)
        flush(unfinished)
        unfinished.replace(backup)
        flush(directory)
    except StoppedError:
        return None
    except sqlite3.Error as error:
        of_ledger = error.sqlite_errorname.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
        raise explained(ledger if of_ledger else unfinished, error) from error
    except OSError as error:
        raise LedgerError(f"{backup}: cannot be written: {error.strerror or error}") from error
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                unfinished.with_name(unfinished.name + suffix).unlink()
    return backup


def copy_whole(
    source: sqlite3.Connection, target: Path, *, pause_s: float = 0.0, stop: Callable[[], bool] = bool
) -> None:
    """
    Copy what a connection sees at one moment into a new file that needs nothing beside it; see `make_backup`.

    Raises:
        StoppedError: ``stop`` said so.
        OSError: the file cannot be made.
        sqlite3.Error: the source cannot be read or the copy not be written.

    """
    make_private(target)
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        # In a transaction of its own the source stays as it is; else every commit would begin the copy anew.
        in_wal = source.execute("PRAGMA journal_mode").fetchone() == ("wal",)

        def rest(_status: int, _left: int, _all: int) -> None:
            if stop():
                raise StoppedError
            time.sleep(pause_s if in_wal else 0.0)  # without a WAL the writer waits for whoever reads

        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        source.backup(copy, pages=_PAGES_AT_A_TIME, progress=rest)
        source.execute("ROLLBACK")
        # One plain file, that can be read where nothing may be written beside it.
        copy.execute("PRAGMA journal_mode=DELETE").fetchone()


def rotate(ledger: Path, directory: Path, keep: int) -> list[Path]:
    """Remove all backups but the last one of each of the last ``keep`` days that have one; returns the removed."""
    last_of_day = {made_at(each).date(): each for each in backups_of(ledger, directory)}
    kept = {last_of_day[day] for day in sorted(last_of_day)[-keep:]}
    removed = [each for each in backups_of(ledger, directory) if each not in kept]
    for each in removed:
        each.unlink(missing_ok=True)
    return removed
