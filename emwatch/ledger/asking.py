"""The words of a question about frames, the same on the command line and in a page's address."""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from emwatch.ledger.sqlite_file import connect_to_read, explained, must_be_there
from emwatch.ledger.times import parse_when

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet
    from datetime import datetime
    from pathlib import Path

#: Windows: how people call them, and the attribute of `LogFilter`.
RANGES: Final[Mapping[str, str]] = {
    "magnification": "magnification",
    "tilt": "stage_tilt_deg",
    "working_distance": "working_distance_mm",
    "voltage": "accelerating_voltage_kv",
    "pixel_size": "pixel_size_nm",
    "field_width": "horizontal_field_width_um",
    "stage_x": "stage_x_mm",
    "stage_y": "stage_y_mm",
    "margin": "margin",
    "novelty": "novelty",
}
_SHORT_END: Final = re.compile(r"\d{1,2}(-\d{1,2})?")
_READING: Final = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}


class QuestionError(ValueError):
    """A question that makes no sense: ``key`` is the part that is wrong, the message says what is expected."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def period(asked: Mapping[str, str | None], now: datetime) -> tuple[datetime | None, datetime | None]:
    """
    Return the first and the last moment of ``since``, ``until`` and ``day`` (``2026-11-20``, ``2026-11-20..22``).

    The end of a range of days may leave out what it shares with the beginning. Raises `QuestionError`.
    """
    day = asked.get("day")
    if day and (asked.get("since") or asked.get("until")):
        raise QuestionError("day", "goes without since and until: it says both")
    first, last = _days(day) if day else (asked.get("since"), asked.get("until"))
    since = _moment("day" if day else "since", first, now, end=False)
    until = _moment("day" if day else "until", last, now, end=True)
    if since is not None and until is not None and since > until:
        raise QuestionError(
            "day" if day else "since",
            f"{first} ({since.astimezone():%Y-%m-%d %H:%M:%S}) is after {last} ({until.astimezone():%Y-%m-%d %H:%M:%S})",
        )
    return since, until


def _days(day: str) -> tuple[str, str]:
    first, dots, last = (part.strip() for part in day.partition(".."))
    if not dots:
        return first, first
    if _SHORT_END.fullmatch(last):  # 2026-11-20..22, 2026-11-20..12-03
        parts = last.split("-")
        last = "-".join([*first.split("-")[: 3 - len(parts)], *(part.zfill(2) for part in parts)])
    return first, last


def _moment(key: str, text: str | None, now: datetime, *, end: bool) -> datetime | None:
    if not text:
        return None
    try:
        return parse_when(text, now, end=end)
    except ValueError as error:
        raise QuestionError(key, str(error)) from error


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
_ONE_READ_ONLY: Final = "the ledger is only read: one SELECT, WITH ... SELECT or VALUES at a time"


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
        connection.text_factory = lambda text: text.decode("utf-8", "backslashreplace")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        only_reading(connection, also=_TELLING_PRAGMAS)
        if seconds is not None:
            until = time.monotonic() + seconds
            connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS_BETWEEN_LOOKS)
        try:
            cursor = connection.execute(question)
            if cursor.description is None:
                raise QuestionError("sql", f"has no rows; {_ONE_READ_ONLY}")
            yield [column[0] for column in cursor.description], cursor
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise _sql_error(path, error, seconds) from error


def _sql_error(path: Path, error: Exception, seconds: float | None) -> Exception:
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_INTERRUPT":
        return QuestionError("sql", f"took longer than {seconds:g} s: ask for less, or give it more --seconds")
    if name == "SQLITE_AUTH":
        return QuestionError("sql", f"{error}: {_ONE_READ_ONLY}")
    if name in {"SQLITE_ERROR", "SQLITE_TOOBIG", "SQLITE_RANGE", "SQLITE_MISMATCH"} or not name:
        return QuestionError("sql", f"{error}" + (f"; {_ONE_READ_ONLY}" if "one statement" in str(error) else ""))
    return explained(path, error)
