"""Statements that run with each frame, made into text once: SQLAlchemy's own way to it costs more than SQLite's work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emwatch.ledger.database import driver_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection, Insert

    Column = tuple[str, Callable[[Any], Any] | None]  # its name, and what writes its values


class Prepared:
    """An INSERT of one row; it takes the same values as ``connection.execute`` and has no result but a cursor's numbers."""

    def __init__(self, statement: Insert) -> None:
        self._statement = statement
        self._made: dict[tuple[str, ...], tuple[str, list[Column]]] = {}

    def run(self, connection: Connection, values: Mapping[str, Any]) -> sqlite3.Cursor:
        """Insert a row; the set of columns may differ from call to call."""
        names = tuple(values)
        made = self._made.get(names)
        if made is None:
            made = self._made[names] = self._make(connection, names)
        text, columns = made
        row = [values[name] if write is None else write(values[name]) for name, write in columns]
        return driver_of(connection).execute(text, row)

    def _make(self, connection: Connection, names: tuple[str, ...]) -> tuple[str, list[Column]]:
        dialect = connection.dialect
        compiled = self._statement.compile(dialect=dialect, column_keys=list(names))
        columns: list[Column] = [
            (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in compiled.positiontup or ()
        ]
        return str(compiled), columns
