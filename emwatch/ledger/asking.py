"""Questions in SQL: what they may do, and what comes of them."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from emwatch.errors import QuestionError
from emwatch.ledger.sqlite_file import any_text, connect_to_read, explained, must_be_there

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet
    from pathlib import Path

_READING: Final = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}


def only_reading(connection: sqlite3.Connection, also: AbstractSet[str] = frozenset()) -> None:
    """
    Let a connection run nothing but questions: what writes, attaches or sets anything is refused.

    ``also``: pragmas that are allowed beside, such as ``table_info``.
    """

    def allowed(action: int, first: str | None, second: str | None, _database: str | None, _source: str | None) -> int:
        if action == sqlite3.SQLITE_FUNCTION and second == "load_extension":
            return sqlite3.SQLITE_DENY
        # The full-text index reads its own data version; every question ends with a rollback.
        harmless = {(sqlite3.SQLITE_PRAGMA, "data_version"), (sqlite3.SQLITE_TRANSACTION, "ROLLBACK")}
        telling = action == sqlite3.SQLITE_PRAGMA and str(first).lower() in also
        reads = action in _READING or (action, first) in harmless or telling
        return sqlite3.SQLITE_OK if reads else sqlite3.SQLITE_DENY

    with suppress(sqlite3.Error):  # SQLite opens a full-text index by what an authorizer takes for a CREATE TABLE
        for index in ("log_text", "log_text_sessions"):
            connection.execute(f"SELECT 1 FROM {index} LIMIT 0").close()  # noqa: S608 - our own names
    connection.set_authorizer(allowed)


def checked_expression(connection: sqlite3.Connection, where: str) -> None:
    """Raise `QuestionError` if a text is not an SQL expression over the columns of ``v_log``."""
    only_reading(connection)
    try:
        connection.execute(f"SELECT 1 FROM v_log WHERE id = 0 AND (\n{where}\n)").close()  # noqa: S608 - the user's own, and it cannot write
    except (sqlite3.Error, sqlite3.Warning) as error:
        columns = ", ".join(row[0] for row in connection.execute("SELECT * FROM v_log LIMIT 0").description)
        raise QuestionError("where", f"{where!r}: {error}; it may use the columns of v_log: {columns}") from error


#: What tells of tables without changing anything.
_TELLING_PRAGMAS: Final = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list"}
_STEPS_BETWEEN_LOOKS: Final = 10_000
#: No value of a ledger is larger; one that a question makes would fill the memory.
_LONGEST_VALUE: Final = 100_000_000
#: What is said of a statement that is no question.
ONE_READ_ONLY: Final = "the ledger is only read: one SELECT, WITH ... SELECT or VALUES at a time"


@contextmanager
def answers(path: Path, question: str, seconds: float | None) -> Iterator[tuple[list[str], Iterator[tuple[Any, ...]]]]:
    """
    Yield the names of the columns and the rows that an SQL question has, as they were at one moment.

    The ledger is opened for reading, SQLite refuses every other statement, and ends one that takes longer than ``seconds``.

    Raises:
        QuestionError: it is no question, would write, or takes too long; also while rows are read.
        LedgerError: there is no ledger, or it cannot be read.

    """
    must_be_there(path)
    with closing(connect_to_read(path)) as connection:
        connection.execute("PRAGMA query_only=ON").close()
        connection.text_factory = any_text
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        only_reading(connection, also=_TELLING_PRAGMAS)
        if seconds is not None:
            until = time.monotonic() + seconds
            connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS_BETWEEN_LOOKS)
        try:
            cursor = connection.execute(question)
            if cursor.description is None:
                raise QuestionError("QUESTION", f"has no rows; {ONE_READ_ONLY}")
            yield [column[0] for column in cursor.description], cursor
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise _sql_error(path, error, seconds) from error


#: Part of a message of SQLite, and what to do; the first match is used.
_ADVICE: Final = (
    ("one statement", f"; {ONE_READ_ONLY}"),
    (
        "no such table",
        "; most is in the views v_log, v_hits and v_sessions, and `emwatch docs ledger` names all tables",
    ),
    ("no such column", "; `emwatch docs ledger` names the columns"),
)


def took_too_long(seconds: float | None) -> QuestionError:
    """Return the error of a question that was given up."""
    after = "it was given" if seconds is None else f"{seconds:g} s"
    return QuestionError("QUESTION", f"took longer than {after}: ask for less, or give it more --seconds")


def _sql_error(path: Path, error: Exception, seconds: float | None) -> Exception:
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_INTERRUPT":
        return took_too_long(seconds)
    if name == "SQLITE_AUTH":
        return QuestionError("QUESTION", f"{error}: {ONE_READ_ONLY}")
    if name in {"SQLITE_ERROR", "SQLITE_TOOBIG", "SQLITE_RANGE", "SQLITE_MISMATCH"} or not name:
        advice = next((advice for part, advice in _ADVICE if part in str(error)), "")
        return QuestionError("QUESTION", f"{error}{advice}")
    return explained(path, error)
