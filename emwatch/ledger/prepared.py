"""Statements that run with each frame, made into text once: SQLAlchemy's own way to it costs more than SQLite's work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emwatch.ledger.database import driver_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection, Insert, Select, Update

    Column = tuple[str, Callable[[Any], Any] | None]  # its name, and what writes its values


class Prepared:
    """
    An INSERT or UPDATE of one row, or a question about few; it takes the same values as ``connection.execute``.

    Its result is sqlite3's: a cursor's numbers, and values as they are stored.
    """

    def __init__(self, statement: Insert | Update | Select[Any]) -> None:
        self._statement = statement
        self._made: dict[tuple[str, ...], tuple[str, list[Column], Mapping[str, Any]]] = {}

    def run(self, connection: Connection, values: Mapping[str, Any]) -> sqlite3.Cursor:
        """Run it; the set of columns that are written may differ from call to call."""
        names = tuple(values)
        made = self._made.get(names)
        if made is None:
            made = self._made[names] = self._make(connection, names)
        text, columns, own = made
        given = {**own, **values} if own else values
        row = [given[name] if write is None else write(given[name]) for name, write in columns]
        return driver_of(connection).execute(text, row)

    def _make(self, connection: Connection, names: tuple[str, ...]) -> tuple[str, list[Column], Mapping[str, Any]]:
        dialect = connection.dialect
        compiled = self._statement.compile(dialect=dialect, column_keys=list(names))
        columns: list[Column] = [
            (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in compiled.positiontup or ()
        ]
        own = {name: value for name, value in compiled.params.items() if name not in names}
        return str(compiled), columns, own
