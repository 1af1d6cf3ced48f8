"""Whether a ledger's file is what SQLite wrote, within a bounded time."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Literal

from emwatch.ledger.sqlite_file import BUSY_TIMEOUT_MS, LedgerDamagedError, connect_to_read, explained

if TYPE_CHECKING:
    from pathlib import Path


def look_over(path: Path, seconds: float) -> Literal["ok", "not finished"]:
    """
    Check the structure of a ledger's file for at most so many seconds; half a gigabyte takes about one.

    What a kill in the middle of a transaction left to be undone is undone before: only a connection that may write can.

    Raises:
        LedgerDamagedError: the file is damaged, or no database.
        LedgerError: it cannot be opened.

    """
    try:
        _undo_what_was_cut_off(path)
        with closing(connect_to_read(path)) as connection:
            alarm = threading.Timer(seconds, connection.interrupt)
            alarm.daemon = True
            alarm.start()
            try:
                found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            finally:
                alarm.cancel()
    except sqlite3.Error as error:
        if error.sqlite_errorname == "SQLITE_INTERRUPT":
            return "not finished"
        raise explained(path, error) from error
    if found != "ok":
        raise LedgerDamagedError(f"{path}: is damaged ({' '.join(str(found).split())})")
    return "ok"


def _undo_what_was_cut_off(path: Path) -> None:
    """Let SQLite play back a rollback journal that is there; a ledger has one on shares, and while it is made."""
    journal = path.with_name(f"{path.name}-journal")
    if journal.exists() and journal.stat().st_size:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}").close()
            connection.execute("SELECT count(*) FROM sqlite_master").close()
