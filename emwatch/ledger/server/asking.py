"""The ledgers of a server as something that questions are put to, like a ledger's file."""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import closing, contextmanager
from datetime import date, datetime
from datetime import time as clock_time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import func, literal_column, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from emwatch.errors import QuestionError
from emwatch.ledger.asking import ONE_READ_ONLY, took_too_long
from emwatch.ledger.schema import frames
from emwatch.ledger.server.tables import SPAN, ledgers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection, CursorResult

    from emwatch.ledger.filters import LogFilter
    from emwatch.ledger.server.connect import Server

_LOCAL_TIME: Final = Path("/etc/localtime")
#: A zone as POSIX writes it, such as ``CET-1CEST,M3.5.0,M10.5.0/3`` (POSIX.1-2017, 8.3).
_RULE: Final = re.compile(
    r"([A-Z]{3,}|<[A-Z0-9+-]+>)[-+]?\d\d?(:\d\d)?([A-Z]{3,}([-+]?\d\d?)?(,[MJ\d][\w.,/:]*)?)?", re.IGNORECASE
)
_ROWS_AT_A_TIME: Final = 500
#: Classes of SQLSTATE that are the question's own: https://www.postgresql.org/docs/current/errcodes-appendix.html
_OF_THE_QUESTION: Final = ("0A", "21", "22", "42", "54")
_SYNTAX, _NO_RIGHT, _GIVEN_UP = "42601", "42501", "57014"
_OF_TRANSACTIONS: Final = "25"  # it can only read, and stays so


class ServerToAsk:
    """A server, asked in transactions that can only read. Raises `LedgerError` if it cannot be asked."""

    has_tables = True

    def __init__(self, server: Server) -> None:
        self._server = server
        self._engine = server.engine(QueuePool)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def snapshot(self, wanted: LogFilter | None) -> Iterator[Connection]:
        """Yield a connection for questions about one moment; ``wanted``: the filter that will be asked."""
        with self._server.reading(self._engine) as connection:
            connection.execute(text("SELECT set_config('TimeZone', :zone, true)"), {"zone": _zone()})
            if wanted is not None and wanted.where is not None:
                _check(connection, wanted.where)
            yield connection

    @staticmethod
    def newest_ids(connection: Connection) -> dict[int, int]:
        """Return the highest number that each ledger has there, by an index; ledgers without a row are left out."""
        first = ledgers.c.number * literal_column(str(SPAN))
        of_ledger = (frames.c.id >= first) & (frames.c.id < first + literal_column(str(SPAN)))
        newest = select(func.max(frames.c.id)).where(of_ledger).correlate(ledgers).scalar_subquery()
        found = connection.execute(select(ledgers.c.number, newest.label("newest")))
        return {row.number: row.newest for row in found if row.newest is not None}

    @staticmethod
    def as_stored(row: Sequence[Any]) -> Sequence[Any]:
        """Return a row of plain values as a ledger's file stores them."""
        return tuple(int(value) if isinstance(value, bool) else value for value in row)


def _check(connection: Connection, where: str) -> None:
    """Raise `QuestionError` if a text is not an SQL expression over the columns of ``v_log``."""
    question = f"SELECT 1 FROM v_log WHERE id = 0 AND (\n{where}\n)"  # noqa: S608 - the user's own; the transaction only reads
    driver: Any = connection.connection.driver_connection
    driver.prepare_threshold = 0  # prepared, a text is one statement, whatever stands in it
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(question.replace("%", "%%"))
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        columns = ", ".join(connection.exec_driver_sql("SELECT * FROM v_log LIMIT 0").keys())
        said = str(error.orig).split("\n")[0]
        raise QuestionError("where", f"{where!r}: {said}; it may use the columns of v_log: {columns}") from error


@contextmanager
def answers(
    server: Server, question: str, seconds: float | None
) -> Iterator[tuple[list[str], Iterator[tuple[Any, ...]]]]:
    """
    Yield the names of the columns and the rows that an SQL question has, as they were at one moment.

    It is the question of a cursor, for which PostgreSQL takes nothing but SELECT, WITH ... SELECT and VALUES, one at a time;
    its transaction can only read. Values are those that a ledger's file gives: numbers, text and bytes.

    Raises:
        QuestionError: it is no question, would write, or takes longer than ``seconds``; also while rows are read.
        LedgerError: the server cannot be asked.

    """
    until = None if seconds is None else time.monotonic() + seconds
    with closing(ServerToAsk(server)) as asked, asked.snapshot(None) as connection:
        try:
            # Plans for the first rows alone can be slow for all of them.
            connection.execute(text("SELECT set_config('cursor_tuple_fraction', '1', true)"))
            _give_time(connection, until)
            result = connection.execution_options(stream_results=True, max_row_buffer=_ROWS_AT_A_TIME).exec_driver_sql(
                question.replace("%", "%%")
            )
            with closing(result):
                yield list(result.keys()), _rows(connection, result, until)
        except DBAPIError as error:
            raise _sql_error(error, seconds) from error


def _rows(connection: Connection, result: CursorResult[Any], until: float | None) -> Iterator[tuple[Any, ...]]:
    while True:
        _give_time(connection, until)
        some = result.fetchmany(_ROWS_AT_A_TIME)
        if not some:
            return
        for row in some:
            yield tuple(map(_stored, row))


def _give_time(connection: Connection, until: float | None) -> None:
    """Let the next statement take what is left of the time; a timeout of 0 would be none."""
    left_ms = 0 if until is None else max(1, round((until - time.monotonic()) * 1000))
    connection.execute(text("SELECT set_config('statement_timeout', :ms, true)"), {"ms": str(left_ms)})


def _stored(value: Any) -> Any:
    """Return a value of PostgreSQL as a ledger's file has it."""
    if isinstance(value, bool):
        return int(value)
    if value is None or isinstance(value, (int, float, str, bytes)):
        return value
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value.as_tuple().exponent == 0 else float(value)
    if isinstance(value, (datetime, date, clock_time)):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)


def _sql_error(error: DBAPIError, seconds: float | None) -> Exception:
    """Return what an error says of the question; one that is not of the question as it is."""
    state = getattr(error.orig, "sqlstate", None) or ""
    said = str(error.orig).split("\n")[0]
    if state == _GIVEN_UP:
        return took_too_long(seconds)
    if state == _SYNTAX or state.startswith(_OF_TRANSACTIONS):
        return QuestionError("QUESTION", f"{said}; {ONE_READ_ONLY}")
    if state.startswith(_OF_THE_QUESTION) and state != _NO_RIGHT:
        return QuestionError("QUESTION", said)
    return error


def _zone() -> str:
    """Return this machine's time zone for PostgreSQL: its name or rule, or else its offset of today, as POSIX writes it."""
    said = os.environ.get("TZ", "").removeprefix(":")
    names = [said, said.partition("zoneinfo/")[2]]
    if not said:
        names.append(os.path.realpath(_LOCAL_TIME).partition("zoneinfo/")[2])
    for name in names:
        try:
            if name:
                return ZoneInfo(name).key
        except (ValueError, OSError, KeyError):
            continue
    if _RULE.fullmatch(said):
        return said
    offset = time.localtime().tm_gmtoff
    return f"<here>{'-' if offset >= 0 else '+'}{abs(offset) // 3600:02}:{abs(offset) // 60 % 60:02}"
