"""
A damaged ledger: moved aside with all that belongs to it, never deleted, and another begun in its place.

The other one is a copy of the newest sound backup, or empty. It notes what it stands in for: files written before the
damage are read and recorded again, but raise no alert again. `emwatch db repair` brings back what can be read.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from emwatch.errors import LedgerError
from emwatch.ledger.care import backups as backup_files
from emwatch.ledger.column_types import instant
from emwatch.ledger.file_lock import make_private
from emwatch.ledger.sqlite_file import (
    APPLICATION_ID_BYTES,
    beside,
    connect_to_read,
    quick_check,
    was_a_ledger,
)
from emwatch.whole_file import flush

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from emwatch.frame import StatKey

logger = logging.getLogger(__name__)

_BESIDE: Final = ("-wal", "-shm", "-journal")
#: Numbers of rows begin anew far beyond those of the ledger set aside: none ever means two frames, or two alerts.
_GAP: Final = 10_000
_GAP_IF_UNKNOWN: Final = 10_000_000
_NUMBERED: Final = ("frames", "alerts", "sessions")
_LONGEST_LOOK_S: Final = 10.0
_ALERTS_OWED: Final = (
    "SELECT (SELECT count(*) FROM alerts WHERE frame_id = f.id AND state = 'pending')"
    " FROM frames AS f WHERE path = ? AND sha256 = ? AND state = 'recorded'"
)


@dataclass(frozen=True, slots=True)
class Replaced:
    """What was done about a damaged ledger; ``backup``: what the new one was begun from, ``None``: empty."""

    set_aside: Path
    backup: Path | None

    def __str__(self) -> str:
        """Return the message for an operator."""
        begun = f"begun again from the backup {self.backup.name}" if self.backup else "begun anew"
        return (
            f"the ledger was damaged; it was moved aside as {self.set_aside} and {begun}. Nothing is lost that is still "
            "in the directory, and old frames raise no alert again; `emwatch db repair` brings back the rest"
        )


def set_aside_files(ledger: Path) -> list[Path]:
    """Return the ledgers that were moved aside: damaged ones, and lost ones that were written out again; by name."""
    name = re.compile(rf"{re.escape(ledger.name)}\.(corrupt|lost)-\d{{8}}T\d{{6}}Zx*")
    try:
        return sorted(each for each in ledger.parent.iterdir() if name.fullmatch(each.name))
    except FileNotFoundError:
        return []


def looks_like_ours(ledger: Path, backups: Path) -> bool:
    """Return whether a damaged file was a ledger, as opposed to something else that somebody gave as ledger.path."""
    ours = was_a_ledger(ledger)
    return bool(backup_files.backups_of(ledger, backups)) if ours is None else ours


def aside_name(ledger: Path, why: Literal["corrupt", "lost", "foreign"], now: datetime) -> Path:
    """Return a name beside a ledger that no file has yet."""
    aside = ledger.with_name(f"{ledger.name}.{why}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}")
    while os.path.lexists(aside):
        aside = aside.with_name(f"{aside.name}x")
    return aside


def write_out(connection: sqlite3.Connection, ledger: Path, now: datetime) -> Path:
    """
    Write all that an open connection holds to a file of its own beside a ledger; returns the file, checked and whole.

    Raises:
        LedgerDamagedError: what the connection holds is damaged.
        OSError, sqlite3.Error: the file cannot be written.

    """
    written = aside_name(ledger, "lost", now)
    try:
        backup_files.copy_whole(connection, written)
        quick_check(written, _LONGEST_LOOK_S)
        flush(written)
        flush(written.parent)
    except BaseException:
        for suffix in ("", *_BESIDE):
            with suppress(OSError):
                beside(written, suffix).unlink()
        raise
    return written


def is_usable(ledger: Path) -> bool:
    """Return whether a file is a sound ledger that holds something."""
    try:
        quick_check(ledger, _LONGEST_LOOK_S)
        with closing(connect_to_read(ledger)) as connection:
            found = (
                connection.execute("PRAGMA application_id").fetchone()
                + connection.execute("SELECT count(*) FROM alembic_version").fetchone()
            )
            return bool(found == (int.from_bytes(APPLICATION_ID_BYTES), 1))
    except (LedgerError, sqlite3.Error, OSError) as error:
        logger.debug("%s: cannot be used: %s", ledger, error)
        return False


def replace(ledger: Path, backups: Path, now: datetime) -> Replaced:
    """
    Move a damaged ledger aside and put the newest sound backup in its place, or nothing if there is none.

    Nobody may have the ledger open for writing. Killed in between, the next start goes on: what was moved aside is
    found by its name.
    """
    aside = aside_name(ledger, "corrupt", now)
    if ledger.exists():
        ledger.rename(aside)
    elif (before := set_aside_files(ledger)) and not beside(before[-1], "-wal").exists():
        aside = before[-1]  # killed between the two: its -wal follows it
    for suffix in _BESIDE:
        with suppress(FileNotFoundError):
            beside(ledger, suffix).rename(beside(aside, suffix))
    if not aside.exists():  # only its -wal is left; a touch would move the time of what is there
        aside.touch()
    return Replaced(aside, _restore(ledger, backups))


def _restore(ledger: Path, backups: Path) -> Path | None:
    for backup in reversed(backup_files.backups_of(ledger, backups)):
        unfinished = ledger.with_name(f"{ledger.name}.restoring")
        try:
            make_private(unfinished)
            shutil.copyfile(backup, unfinished)
            quick_check(unfinished, _LONGEST_LOOK_S)
            flush(unfinished)
            unfinished.replace(ledger)
        except (LedgerError, OSError) as error:
            logger.warning("%s: cannot be begun from: %s", backup, error)
            continue
        finally:
            for each in (unfinished, *(beside(unfinished, suffix) for suffix in _BESIDE)):
                with suppress(OSError):
                    each.unlink()
        return backup
    return None


def note(connection: sqlite3.Connection, ledger: Path, now: datetime) -> None:
    """Note in the ledger, within a transaction, the damaged ones it stands in for and does not know of yet."""
    known = {name for (name,) in connection.execute("SELECT set_aside FROM replacements")}
    for aside in set_aside_files(ledger):
        if aside.name in known:
            continue
        connection.execute(
            "INSERT INTO replacements (set_aside, quiet_before, noted_at) VALUES (?, ?, ?)",
            (aside.name, instant(min(_last_written(aside), now)), instant(now)),
        )
        _count_on_from(connection, aside)


def stood_in_for(connection: sqlite3.Connection, ledger: Path) -> list[tuple[Path, datetime]]:
    """Return the damaged ledgers that one stands in for, each with the moment at which it was written last."""
    found = connection.execute("SELECT set_aside, quiet_before FROM replacements ORDER BY noted_at").fetchall()
    return [(ledger.with_name(name), datetime.fromisoformat(before)) for name, before in found]


def _last_written(aside: Path) -> datetime:
    """Return when the last frame was recorded: the files' own times, which a rename does not change."""
    wal = beside(aside, "-wal")
    newest = wal if wal.exists() and wal.stat().st_size else aside
    return datetime.fromtimestamp(newest.stat().st_mtime, UTC)


def _count_on_from(connection: sqlite3.Connection, aside: Path) -> None:
    before: dict[str, int] = {}
    try:
        with closing(connect_to_evidence(aside)) as damaged:
            before = dict(damaged.execute("SELECT name, seq FROM sqlite_sequence"))
    except (sqlite3.Error, OSError, ValueError, LedgerError) as error:
        logger.debug("%s: its numbers cannot be read: %s", aside, error)
    here = dict(connection.execute("SELECT name, seq FROM sqlite_sequence"))
    for table in _NUMBERED:
        last = max(here.get(table, 0), before.get(table, 0)) + (_GAP if table in before else _GAP_IF_UNKNOWN)
        connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, last))


def connect_to_evidence(aside: Path) -> sqlite3.Connection:
    """Open a ledger that was moved aside, without changing it; raises `LedgerError` for an empty one."""
    if not aside.stat().st_size:  # SQLite would delete its -wal, also when it may only read
        raise LedgerError(f"{aside}: is empty")
    return connect_to_read(aside)


class Before:
    """
    Looks into ledgers that were moved aside, if that is possible; one thread at a time.

    ``asides``: each with the moment at which it was written last. Files newer than all of these were never in one.
    """

    def __init__(self, asides: Sequence[tuple[Path, datetime]] = ()) -> None:
        self._asides = asides
        self._connections: dict[Path, sqlite3.Connection | None] = {}

    def __bool__(self) -> bool:
        """Return whether there is such a ledger."""
        return bool(self._asides)

    def had_time_for(self, key: StatKey | None) -> bool:
        """Return whether a file was there before the last damage, going by its times."""
        return any(_is_older(key, moment) for _, moment in self._asides)

    def has_told(self, key: StatKey | None, path: str, sha256: str) -> bool:
        """
        Return whether whoever waits for a frame has been told, as far as can be found out.

        ``path`` as it is stored. A frame that was not recorded before, or whose alerts waited, is still to be told; so is
        none of which nothing can be found out: being told twice of thousands hides the one that matters.
        """
        for aside, moment in self._asides:
            if _is_older(key, moment):
                owed = self._owed(aside, path, sha256)
                if owed is None or owed == 0:
                    return True
        return False

    def _owed(self, aside: Path, path: str, sha256: str) -> int | None:
        """Count the alerts of a frame that waited; -1: the frame was not recorded; ``None``: cannot be read."""
        try:
            if aside not in self._connections:
                self._connections[aside] = None  # not tried again, whatever comes
                self._connections[aside] = connect_to_evidence(aside)
            connection = self._connections[aside]
            found = None if connection is None else connection.execute(_ALERTS_OWED, (path, sha256)).fetchone()
        except (sqlite3.Error, OSError, LedgerError) as error:
            logger.debug("%s: cannot be asked: %s", aside, error)
            return None
        if connection is None:
            return None
        return -1 if found is None else int(found[0])

    def close(self) -> None:
        """Let go of the files."""
        for connection in self._connections.values():
            if connection is not None:
                connection.close()
        self._connections.clear()


def _is_older(key: StatKey | None, moment: datetime) -> bool:
    return key is not None and max(key.mtime_ns, key.ctime_ns) / 1e9 <= moment.timestamp()
