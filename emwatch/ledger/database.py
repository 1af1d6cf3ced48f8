"""
Opening the ledger's file: how SQLite is set up for the one writer and for readers, and what its errors mean.

Exactly one read-write connection may exist: SQLite before 3.51.3 can corrupt a WAL when a checkpoint on one
connection races a commit on another (https://sqlite.org/wal.html, "The WAL-reset bug").
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.pool import NullPool, StaticPool

from emwatch.errors import LedgerError
from emwatch.filesystem import crosses_network, file_system_type
from emwatch.ledger.schema import APPLICATION_ID, REVISION
from emwatch.ledger.sqlite_file import BUSY_TIMEOUT_MS, LedgerUnavailableError, connect, connect_to_read, explained

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "BEGIN",
    "BUSY_TIMEOUT_MS",
    "LedgerUnavailableError",
    "driver_of",
    "ledger_errors",
    "readable_revision",
    "reading_engine",
    "revision_of",
    "writing_engine",
]

#: A -wal that grew during a long read is cut to this size at the next complete checkpoint.
WAL_KEPT_BYTES: Final = 8_000_000
#: Key in ``Connection.info``: the statement that opens the next transaction, ``BEGIN IMMEDIATE`` unless set.
BEGIN: Final = "emwatch.begin"


def writing_engine(path: Path, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> Engine:
    """
    Return an engine with exactly one connection, for the holder of the writer's lock; creates the file.

    On a network share a rollback journal takes the place of the WAL, which only works between processes of one machine.
    """

    def opened() -> sqlite3.Connection:
        journal = "TRUNCATE" if crosses_network(file_system_type(path.parent)) else "WAL"
        return connect(
            path,
            f"busy_timeout={busy_timeout_ms}",  # comes first: switching to WAL needs a lock, too
            f"journal_mode={journal}",
            f"journal_size_limit={WAL_KEPT_BYTES}",
            "synchronous=FULL",
            "foreign_keys=ON",
        )

    engine = create_engine("sqlite://", creator=opened, poolclass=StaticPool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Read-then-write in a deferred transaction loses updates or fails at once despite the timeout.
        driver_of(connection).execute(connection.info.get(BEGIN, "BEGIN IMMEDIATE"))

    return engine


def reading_engine(path: Path) -> Engine:
    """Return an engine that cannot write, for any number of processes beside the writer."""
    return create_engine("sqlite://", creator=lambda: connect_to_read(path), poolclass=NullPool)


def revision_of(connection: Connection, path: Path) -> str | None:
    """
    Return the ledger's revision, ``None`` for a file without tables (new, or killed before its first commit).

    Raises:
        LedgerError: the file is a database of something else, or of a newer emwatch.

    """
    names = set(connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars())
    if not names:
        return None
    if connection.exec_driver_sql("PRAGMA application_id").scalar() != APPLICATION_ID or "alembic_version" not in names:
        raise LedgerError(
            f"{path}: is a SQLite database, but not an emwatch ledger: give another path as `ledger.path`"
        )
    revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if revision is not None and str(revision) > REVISION:
        raise LedgerError(
            f"{path}: was written by a newer emwatch (ledger revision {revision}, this program knows {REVISION}): "
            "upgrade emwatch, or give another path as `ledger.path`"
        )
    return None if revision is None else str(revision)


def readable_revision(path: Path, *, or_older: bool = False) -> str | None:
    """Return the revision of a ledger as `revision_of` does; raises `LedgerError` also for an older one, unless ``or_older``."""
    engine = reading_engine(path)
    try:
        with ledger_errors(path), engine.connect() as connection:
            revision = revision_of(connection, path)
    finally:
        engine.dispose()
    if revision is not None and revision != REVISION and not or_older:
        raise LedgerError(
            f"{path}: is of an older emwatch (ledger revision {revision}, needed {REVISION}): "
            "start `emwatch run` once, it makes a copy and migrates it"
        )
    return revision


def driver_of(connection: Connection) -> sqlite3.Connection:
    """Return sqlite3's own connection below SQLAlchemy's."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise TypeError(f"the ledger needs Python's sqlite3, not {type(driver).__name__}")
    return driver


@contextmanager
def ledger_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into `LedgerError`: which file, what happened, what to do."""
    try:
        yield
    except DBAPIError as error:
        raise explained(path, error.orig) from error
    except StatementError as error:
        # A value that no column takes, such as a time without a zone: the caller's mistake, not the ledger's.
        raise (error.orig or error) from error
    except (sqlite3.Error, OSError) as error:
        raise explained(path, error) from error
