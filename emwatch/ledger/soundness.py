"""Whether a ledger's file is what SQLite wrote, within a bounded time."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Literal

from emwatch.ledger.sqlite_file import LedgerDamagedError, connect_to_read, explained

if TYPE_CHECKING:
    from pathlib import Path


def look_over(path: Path, seconds: float) -> Literal["ok", "not finished"]:
    """
    Check the structure of a ledger's file for at most so many seconds; half a gigabyte takes about one.

    Raises:
        LedgerDamagedError: the file is damaged, or no database.
        LedgerError: it cannot be opened.

    """
    try:
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
