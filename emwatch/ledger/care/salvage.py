"""Rows out of another ledger, also a damaged one: what cannot be read is passed over and counted."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from emwatch.errors import LedgerError
from emwatch.frame import FrameState
from emwatch.ledger.care.replacement import connect_to_evidence
from emwatch.ledger.sqlite_file import any_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

_STATES: Final = {str(state) for state in FrameState}
_BEYOND_ALL: Final = 1 << 40
#: Rows passed over are tried one by one, up to so many between two that can be read.
_MOST_PROBED: Final = 10_000

Row = dict[str, Any]


@dataclass(slots=True)
class Salvage:
    """
    Another ledger, opened for reading; use it as a context manager.

    ``lost``: places at which rows could not be read, or made no sense.

    Raises:
        LedgerError: it is not there, or nothing of it can be read.

    """

    path: Path
    lost: int = 0
    _connection: sqlite3.Connection = field(init=False)
    _columns: dict[str, list[str]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        try:
            self._connection = connect_to_evidence(self.path)
        except (sqlite3.Error, OSError) as error:
            raise self._none(error) from error
        try:
            self._look()
        except BaseException:
            self._connection.close()
            raise
        return self

    def _look(self) -> None:
        self._connection.text_factory = any_text
        # What answers questions (log_search, log_text) is made anew from the rest, and not even opened.
        named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'log\\_%' ESCAPE '\\'"
        try:
            for (name,) in self._connection.execute(named).fetchall():
                self._columns[name] = [row[1] for row in self._connection.execute(f"PRAGMA table_info('{name}')")]
        except (sqlite3.Error, OSError) as error:
            raise self._none(error) from error
        if "frames" not in self._columns:
            raise LedgerError(f"{self.path}: is no ledger of emwatch")

    def _none(self, error: Exception) -> LedgerError:
        return LedgerError(f"{self.path}: expected a ledger, and nothing of it can be read ({error})")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def rows(self, table: str) -> Iterator[Row]:
        """Yield the rows of a table in the order of their numbers, by column; none of a table that is not there."""
        if table not in self._columns:
            return
        names = self._columns[table]
        for values in self._readable(table):
            row = dict(zip(names, values, strict=True))
            if table != "frames" or _makes_sense(row):
                yield row
            else:
                self.lost += 1

    def _readable(self, table: str) -> Iterator[tuple[Any, ...]]:
        after = 0
        while True:
            try:
                cursor = self._connection.execute(
                    f"SELECT rowid, * FROM {table} WHERE rowid > ? ORDER BY rowid",  # noqa: S608 - our own names
                    (after,),
                )
                for number, *values in cursor:
                    yield tuple(values)
                    after = number
            except sqlite3.DatabaseError:
                self.lost += 1
            else:
                return
            start = self._next_readable(table, after)
            if start is None:
                return
            if start - after < _MOST_PROBED:
                yield from self._probed(table, range(after + 1, start))
            after = start - 1

    def _next_readable(self, table: str, after: int) -> int | None:
        """Find a number from which rows can be read again."""
        step = 1
        while after + step < _BEYOND_ALL:
            try:
                found = self._connection.execute(
                    f"SELECT rowid, * FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT 1",  # noqa: S608 - our own names
                    (after + step,),
                ).fetchone()
            except sqlite3.DatabaseError:
                step *= 2
                continue
            return None if found is None else int(found[0])
        return None

    def _probed(self, table: str, numbers: range) -> Iterator[tuple[Any, ...]]:
        for number in numbers:
            try:
                found = self._connection.execute(
                    f"SELECT * FROM {table} WHERE rowid = ?",  # noqa: S608 - our own names
                    (number,),
                ).fetchone()
            except sqlite3.DatabaseError:
                continue
            if found is not None:
                yield found


def _makes_sense(row: Row) -> bool:
    try:
        datetime.fromisoformat(row["recorded_at"])
    except (TypeError, ValueError):
        return False
    whole = isinstance(row["path"], str) and isinstance(row["sha256"], str) and row["state"] in _STATES
    return bool(whole and row["path"])
