"""Whether what a ledger says of itself agrees: SQLite's own checks, and the rules that every recording keeps."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import create_engine

from emwatch.errors import LedgerError
from emwatch.ledger.care.upgrade import bring_up_to_date
from emwatch.ledger.database import driver_of, readable_revision
from emwatch.ledger.schema import REVISION, tables
from emwatch.ledger.sqlite_file import connect_to_read, explained, must_be_there

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Index

_MOST_MESSAGES: Final = 20
#: Made by the migrations, which alone know their text.
VIEWS: Final = ("log_words", "v_hits", "v_log", "v_sessions")
_OLDER: Final = "nothing more is looked at: of an older emwatch, which `emwatch run` migrates"

#: A rule in words, and a question whose rows break it: one number or path each.
RULES: Final = (
    (
        "a path has one current row",
        "SELECT path FROM frames NOT INDEXED WHERE superseded_by IS NULL GROUP BY path HAVING count(*) > 1",
    ),
    ("every path has a current row", "SELECT path FROM frames GROUP BY path HAVING sum(superseded_by IS NULL) = 0"),
    (
        "a content is recorded once under a path",
        "SELECT path FROM frames NOT INDEXED WHERE sha256 <> '' GROUP BY path, sha256 HAVING count(*) > 1",
    ),
    (
        "a row is superseded by one of the same path, which says so",
        (
            "SELECT old.id FROM frames AS old JOIN frames AS new ON new.id = old.superseded_by"
            " WHERE new.path <> old.path OR new.supersedes IS NOT old.id"
        ),
    ),
    ("a recorded frame has its sha256", "SELECT id FROM frames WHERE state = 'recorded' AND sha256 = ''"),
    (
        "a copy has the content of its original",
        (
            "SELECT one.id FROM frames AS one JOIN frames AS first ON first.id = one.duplicate_of"
            " WHERE first.sha256 <> one.sha256"
        ),
    ),
    (
        "of a frame's predictions one is the newest",
        "SELECT frame_id FROM predictions GROUP BY frame_id HAVING sum(newest) <> 1",
    ),
    (
        "an alert belongs to a match",
        (
            "SELECT a.id FROM alerts AS a LEFT JOIN matches AS m ON m.frame_id = a.frame_id AND m.target = a.target"
            " WHERE m.id IS NULL"
        ),
    ),
    (
        "a match has one alert on a channel",
        "SELECT frame_id FROM alerts GROUP BY frame_id, target, channel HAVING count(*) > 1",
    ),
)


@dataclass(frozen=True, slots=True)
class LedgerCheck:
    """One check: what holds, or what does not."""

    what: str
    problems: tuple[str, ...] = ()


def check(ledger: Path, *, full: bool = False) -> Iterator[LedgerCheck]:
    """
    Check a ledger, one thing after the other; ``full``: also each index against its table, which takes a while.

    Raises:
        LedgerError: there is no ledger, it is another program's, or of a newer emwatch.

    """
    must_be_there(ledger)
    try:
        with closing(connect_to_read(ledger)) as connection:
            connection.execute("BEGIN")
            word = "integrity_check" if full else "quick_check"
            yield LedgerCheck("the file is what SQLite wrote", _complaints(connection, word))
            revision = readable_revision(ledger, or_older=True)
            if revision != REVISION:
                yield LedgerCheck("nothing more is looked at: no tables yet" if revision is None else _OLDER)
                return
            yield LedgerCheck("all tables, indexes and views are there", tuple(_lacking(connection)))
            broken = connection.execute("PRAGMA foreign_key_check").fetchmany(_MOST_MESSAGES)
            yield LedgerCheck(
                "every row has what it refers to", tuple(f"{row[0]} {row[1]}: no such {row[2]}" for row in broken)
            )
            for what, question in RULES:
                found = connection.execute(question).fetchmany(_MOST_MESSAGES)
                yield LedgerCheck(what, tuple(str(row[0]) for row in found))
    except sqlite3.Error as error:
        problem = explained(ledger, error)
        if type(problem) is LedgerError:
            raise problem from error
        yield LedgerCheck("the file can be read", (str(error),))


def _lacking(connection: sqlite3.Connection) -> Iterator[str]:
    for table in tables.sorted_tables:
        columns = {row[1] for row in connection.execute(f"PRAGMA table_info('{table.name}')")}
        if missing := [column.name for column in table.columns if column.name not in columns]:
            yield f"table {table.name}: no {', '.join(missing) if columns else 'such table'}"
    for index in _lacking_indexes(connection):
        yield f"index {index.name}: not there, or another one; emwatch db repair makes it again"
    for name in _lacking_views(connection):
        yield f"view {name}: not there; emwatch db repair makes it again"


def _lacking_indexes(connection: sqlite3.Connection) -> list[Index]:
    lacking = []
    for table in tables.sorted_tables:
        found = {
            name: (bool(unique), bool(partial))
            for _, name, unique, _, partial in connection.execute(f"PRAGMA index_list('{table.name}')")
        }
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            partial = index.dialect_options["sqlite"]["where"] is not None
            columns = [row[2] for row in connection.execute(f"PRAGMA index_info('{index.name}')")]
            same = found.get(str(index.name)) == (bool(index.unique), partial)
            if not same or columns != [column.name for column in index.columns]:
                lacking.append(index)
    return lacking


def _lacking_views(connection: sqlite3.Connection) -> list[str]:
    found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'")}
    return [name for name in VIEWS if name not in found]


def restore_parts(connection: Connection) -> list[str]:
    """
    Make the indexes and views again that a ledger lacks, within a transaction; returns their names.

    Raises:
        sqlalchemy.exc.DBAPIError: rows stand against a unique index; `check` tells which.

    """
    driver = driver_of(connection)
    indexes, views = _lacking_indexes(driver), _lacking_views(driver)
    for index in indexes:
        driver.execute(f'DROP INDEX IF EXISTS "{index.name}"')
        index.create(connection)
    if views:
        texts = view_texts()
        for name in views:
            driver.execute(texts[name])
    return [*(str(index.name) for index in indexes), *views]


def view_texts() -> dict[str, str]:
    """Return the statements that make the views, out of an empty ledger in memory."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        bring_up_to_date(connection, Path(":memory:"), datetime.now(UTC))
        views = "SELECT name, sql FROM sqlite_master WHERE type = 'view'"
        return dict(driver_of(connection).execute(views).fetchall())


def _complaints(connection: sqlite3.Connection, word: str) -> tuple[str, ...]:
    try:
        rows = connection.execute(f"PRAGMA {word}({_MOST_MESSAGES})").fetchall()
    except sqlite3.DatabaseError as error:
        return (str(error),)
    return () if rows == [("ok",)] else tuple(" ".join(str(row[0]).split()) for row in rows)
