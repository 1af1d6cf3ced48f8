"""The ledger as a file of SQLite's: opening it for reading, and what SQLite's errors mean. Needs no SQLAlchemy."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, Literal

from emwatch.errors import LedgerError
from emwatch.ledger.file_lock import is_stray_link, is_used_by_another

BUSY_TIMEOUT_MS: Final = 5000
_STEPS_BETWEEN_SIGNALS: Final = 100_000
_NAME_IT: Final = "name the ledger with `--ledger` or as `ledger.path`"
_NO_LEDGER: Final = f"is not a ledger: it does not begin like a database of SQLite; {_NAME_IT}"
_MENDS: Final = (
    "`emwatch run` moves a damaged one aside and goes on, `emwatch db repair` brings back what can be read of it"
)
_IF_IT_WAS: Final = (
    "If it was the ledger: `emwatch run` moves it aside and goes on if there is a backup, and refuses it if there is none; "
    "then move it aside, keep it, and start again"
)
_MAGIC: Final = b"SQLite format 3\0"
#: What is at offset 68 of every ledger: `schema.APPLICATION_ID`.
APPLICATION_ID_BYTES: Final = b"emwa"
_CUT_OFF: Final = (
    "its writer was ended in the middle of a transaction, which has to be undone first: start `emwatch run`, it does so"
)


class LedgerUnavailableError(LedgerError):
    """The ledger cannot be written just now (disk full, locked): nothing was recorded, and the same call may be tried again."""


class LedgerDamagedError(LedgerError):
    """The file's content is not what SQLite wrote: no try will help."""


def connect_to_read(path: Path, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> sqlite3.Connection:
    """
    Open a ledger without being able to write it, beside the writer or without one.

    Raises:
        LedgerError: the name is a hard link, and what was recorded last may lie beside the ledger's other name.
        LedgerUnavailableError: its writer is just beginning, and this user may not write there.
        sqlite3.Error: it cannot be opened.

    """
    file = Path(os.path.realpath(path))  # SQLite looks for the -wal beside the file that a link leads to
    mode = "mode=ro"
    if not beside(file, "-wal").exists() and file.exists():
        if is_stray_link(file):
            raise LedgerError(
                f"{path}: is a hard link, and what was recorded last may lie beside the ledger's other name: use that name, "
                "or make a copy"
            )
        if not os.access(file.parent, os.W_OK):
            # Nobody writes, and SQLite could not create the -shm it wants: read the file as it is. With a live -wal
            # this would silently show an old or empty ledger.
            if _is_in_use(file):
                raise LedgerUnavailableError(f"{path}: is just being opened for writing: try again")
            if _is_in_wal_mode(file):
                mode += "&immutable=1"
    # 32 MB of cache: a filter over years of frames reads many pages.
    connection = connect(f"{file.as_uri()}?{mode}", f"busy_timeout={busy_timeout_ms}", "cache_size=-32000", uri=True)
    # Python handles Ctrl-C only between its own steps: a question without an end would keep the -wal growing for ever.
    connection.set_progress_handler(lambda: 0, _STEPS_BETWEEN_SIGNALS)
    return connection


def connect(database: str | Path, *pragmas: str, uri: bool = False) -> sqlite3.Connection:
    """Open a database for any thread, and set it up; what cannot be set up is closed. Raises `sqlite3.Error`."""
    connection = sqlite3.connect(database, uri=uri, isolation_level=None, check_same_thread=False)
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()
    except BaseException:
        connection.close()
        raise
    return connection


def beside(ledger: Path, suffix: str) -> Path:
    """Return the path of a file that belongs to a ledger, such as its ``-wal``."""
    return ledger.with_name(f"{ledger.name}{suffix}")


def _is_in_use(file: Path) -> bool:
    try:
        return is_used_by_another(file)
    except OSError:  # SQLite will say what is wrong with it
        return False


def any_text(stored: bytes) -> str:
    """Return a text of a file, with what is no UTF-8 as escapes: a ``text_factory`` that reads whatever was written there."""
    return stored.decode("utf-8", "backslashreplace")


def _is_in_wal_mode(file: Path) -> bool:
    """Return whether a database keeps a -wal: so says its header (https://sqlite.org/fileformat.html, offset 19)."""
    try:
        with file.open("rb") as opened:
            return opened.read(20)[19:] == b"\2"
    except OSError:
        return False


def must_be_there(path: Path) -> None:
    """Raise `LedgerError` if there is no ledger yet, a directory in its place, or nothing that this user may see."""
    try:
        mode = path.stat().st_mode  # Path.is_file says nothing of what may not be seen, from Python 3.14 on
    except (FileNotFoundError, NotADirectoryError):
        mode = 0
    except OSError as error:
        raise explained(path, error) from error
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise LedgerError(
            f"{path}: is a directory, and the ledger is a file: name it, for example {path / 'ledger.sqlite3'}, "
            "with `--ledger` or as `ledger.path`"
        )
    raise LedgerError(
        f"{path}: no ledger here yet: `emwatch run` makes it; one at another place is that of "
        "--ledger FILE, or of the ledger.path in --config FILE"
    )


def explained(path: Path, error: Any) -> LedgerError:
    """
    Turn an error of SQLite or the system into ours: which file, what happened, what to do.

    Raises `KeyboardInterrupt` for a question that was ended by Ctrl-C.
    """
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_INTERRUPT":
        raise KeyboardInterrupt from error
    why = getattr(error, "strerror", None) or error
    if name.startswith("SQLITE_FULL"):
        return LedgerUnavailableError(
            f"{path}: the disk is full: free some space in {path.parent}; recording goes on then"
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return LedgerUnavailableError(
            f"{path}: locked by another program: close whatever has the ledger open for writing"
        )
    if name.startswith(("SQLITE_IOERR", "SQLITE_READONLY_DBMOVED")):  # a file that was moved is found with the next try
        return LedgerUnavailableError(
            f"{path}: the disk does not take it ({error}): look at the disk and its free space"
        )
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return LedgerDamagedError(f"{path}: {_damage(path, error, has_head=name.startswith('SQLITE_CORRUPT'))}")
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")) or isinstance(error, PermissionError):
        return LedgerError(f"{path}: {_CUT_OFF if name == 'SQLITE_READONLY_ROLLBACK' else _not_opened(path, why)}")
    return LedgerError(f"{path}: {why}")


def _damage(path: Path, error: Any, *, has_head: bool) -> str:
    """Return what is wrong with a damaged file, and what the writer does about it (`held_file.HeldFile`)."""
    what = f"is damaged ({error})" if has_head else _NO_LEDGER
    ours = was_a_ledger(path)
    if ours is None:
        return f"{what}. {_IF_IT_WAS}"
    if not ours:
        return f"is a damaged database of another program ({error}): {_NAME_IT}"
    return f"{what}: {_MENDS}" if has_head else f"{what}. If this is the ledger, its head is damaged: {_MENDS}"


def was_a_ledger(path: Path) -> bool | None:
    """
    Return whether a damaged file was a ledger, ``None`` if nothing in or beside it shows what it was.

    A ledger has a head of its own; one whose head is gone has zeros there, or a -wal beside it.
    """
    file = Path(os.path.realpath(path))
    try:
        with file.open("rb") as opened:
            head = opened.read(4096)
    except OSError:  # only its -wal is left, or it cannot be told
        return True
    if head.startswith(_MAGIC):
        return head[68:72] == APPLICATION_ID_BYTES
    return True if not head.strip(b"\0") or beside(file, "-wal").exists() else None


def _not_opened(path: Path, why: object) -> str:
    with suppress(OSError):
        if path.exists() and not os.access(path, os.R_OK):
            return f"cannot be opened ({why}): this user may not read the file itself: change its owner or its mode"
    return f"cannot be opened ({why}): the folder must exist and be readable, and writable for `emwatch run`"


def quick_check(path: Path, seconds: float) -> Literal["ok", "not finished"]:
    """
    Check the structure of a ledger's file (SQLite's quick_check) for at most ``seconds``; half a gigabyte takes about 1 s.

    A transaction cut off by a kill is rolled back first: only a connection that may write can do that.

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
