"""A ledger's file as something that questions are put to; `emwatch.ledger.server.asking` is the same for a server."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event
from sqlalchemy.pool import StaticPool

from emwatch.ledger.asking import checked_expression
from emwatch.ledger.care.upgrade import migrate
from emwatch.ledger.database import driver_of, ledger_errors, readable_revision, reading_engine
from emwatch.ledger.filters import path_like
from emwatch.ledger.full_text import index_new
from emwatch.ledger.sqlite_file import must_be_there

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from emwatch.ledger.filters import LogFilter


def _empty_ledger() -> Engine:
    """Return a ledger without rows, in memory: it stands for a file that was killed before its first commit."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.connect() as connection:
        migrate(connection)
    return engine


def _add_functions(driver: sqlite3.Connection, _record: object) -> None:
    driver.create_function("emwatch_path_like", 2, path_like, deterministic=True)


class FileToAsk:
    """
    A ledger's file, open for reading only: never disturbs the writer, never changes a byte.

    Raises:
        LedgerError: there is no such file, it is not a ledger, or it needs to be migrated first.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        must_be_there(path)
        #: False for a file that was killed before its first commit: it has no rows, and one thread may ask at a time.
        self.has_tables = readable_revision(path) is not None
        self._engine = reading_engine(path) if self.has_tables else _empty_ledger()
        event.listen(self._engine, "connect", _add_functions)

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    @contextmanager
    def snapshot(self, wanted: LogFilter | None) -> Iterator[Connection]:
        """Yield a connection for questions about one moment; ``wanted``: the filter that will be asked."""
        with ledger_errors(self._path), self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")  # what is counted, chosen and shown is one moment's
            if wanted is not None:
                _prepare(connection, wanted)
            yield connection

    @staticmethod
    def as_stored(row: Sequence[Any]) -> Sequence[Any]:
        """Return a row of plain values as a ledger's file stores them."""
        return row


def _prepare(connection: Connection, wanted: LogFilter) -> None:
    """Raise `QuestionError` for SQL that is none, before it is asked of a million rows; index the newest words."""
    if any((wanted.text, wanted.path, wanted.instrument, wanted.detector)):
        index_new(connection)
    if wanted.where is not None:  # after this the connection can only read
        checked_expression(driver_of(connection), wanted.where)
