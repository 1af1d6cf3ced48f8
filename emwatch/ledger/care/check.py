"""Whether what a ledger says of itself agrees: SQLite's own checks, and the rules that every recording keeps."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emwatch.errors import LedgerError
from emwatch.ledger.database import readable_revision
from emwatch.ledger.schema import REVISION
from emwatch.ledger.sqlite_file import connect_to_read, explained, must_be_there

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST_MESSAGES: Final = 20
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
class Checked:
    """One check: what holds, or what does not."""

    what: str
    problems: tuple[str, ...] = ()


def check(ledger: Path, *, full: bool = False) -> Iterator[Checked]:
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
            yield Checked("the file is what SQLite wrote", _complaints(connection, word))
            revision = readable_revision(ledger, or_older=True)
            if revision != REVISION:
                yield Checked("nothing more is looked at: no tables yet" if revision is None else _OLDER)
                return
            broken = connection.execute("PRAGMA foreign_key_check").fetchmany(_MOST_MESSAGES)
            yield Checked(
                "every row has what it refers to", tuple(f"{row[0]} {row[1]}: no such {row[2]}" for row in broken)
            )
            for what, question in RULES:
                found = connection.execute(question).fetchmany(_MOST_MESSAGES)
                yield Checked(what, tuple(str(row[0]) for row in found))
    except sqlite3.Error as error:
        problem = explained(ledger, error)
        if type(problem) is LedgerError:
            raise problem from error
        yield Checked("the file can be read", (str(error),))


def _complaints(connection: sqlite3.Connection, word: str) -> tuple[str, ...]:
    try:
        rows = connection.execute(f"PRAGMA {word}({_MOST_MESSAGES})").fetchall()
    except sqlite3.DatabaseError as error:
        return (str(error),)
    return () if rows == [("ok",)] else tuple(" ".join(str(row[0]).split()) for row in rows)
