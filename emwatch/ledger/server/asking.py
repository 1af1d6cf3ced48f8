"""The ledgers of a server as something that questions are put to, like a ledger's file."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from emwatch.errors import QuestionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

    from emwatch.ledger.filters import LogFilter
    from emwatch.ledger.server.connect import Server

_LOCAL_TIME: Final = Path("/etc/localtime")


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


def _zone() -> str:
    """Return the name of this machine's time zone; one without a name by its offset, as POSIX writes it."""
    names = [os.environ.get("TZ", "").removeprefix(":")]
    if not names[0]:
        names.append(os.path.realpath(_LOCAL_TIME).partition("zoneinfo/")[2])
    for name in names:
        try:
            if name:
                return ZoneInfo(name).key
        except (ValueError, OSError, KeyError):
            continue
    offset = time.localtime().tm_gmtoff
    return f"<here>{'-' if offset >= 0 else '+'}{abs(offset) // 3600:02}:{abs(offset) // 60 % 60:02}"
