"""The full-text index as part of a question: which frames have some words, also those that are not in the index yet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, union_all

from emwatch.ledger.database import driver_of
from emwatch.ledger.dialects import have_words
from emwatch.ledger.schema import new_words, session_words, words
from emwatch.ledger.words import Term

if TYPE_CHECKING:
    from sqlalchemy import CompoundSelect, Connection, Select, TableClause

_COLUMNS: Final = "path, notes, operator, instrument, detector, sample, other"
#: Like ``log_text``, for one connection.
_NEW_WORDS: Final = (
    f"CREATE VIRTUAL TABLE temp.log_text_new USING fts5({_COLUMNS})",
    (
        f"INSERT INTO temp.log_text_new (rowid, {_COLUMNS}) SELECT w.* FROM log_search AS s"  # noqa: S608 - our own names
        " CROSS JOIN log_words AS w ON w.frame_id = s.frame_id WHERE s.is_indexed = 0"
    ),
)


def index_new(connection: Connection) -> None:
    """Index the words of the newest frames for this connection alone; each question about words needs it once before."""
    for statement in _NEW_WORDS:
        driver_of(connection).execute(statement).close()


def matching(terms: tuple[Term, ...], lowest: int = 0) -> list[Select[tuple[int]]]:
    """Return questions for the numbers of the frames that have all terms, from the ``lowest`` on."""
    found = [_meeting(index, terms) for index in (words, new_words)]
    return [each.where(each.selected_columns.rowid >= lowest) for each in found] if lowest else found


def matching_sessions(terms: tuple[Term, ...]) -> Select[tuple[int]]:
    """Return a question for the numbers of the sessions of which people said what has all terms."""
    return _meeting(session_words, terms)


def _meeting(index: TableClause, terms: tuple[Term, ...]) -> Select[tuple[int]]:
    return select(index.c.rowid).where(have_words(index, terms))


def with_words(glob: str, column: str) -> CompoundSelect[Any] | None:
    """Return the frames with the whole words of a glob in a column of the full-text index: all that meet it, and others."""
    if not glob.isascii():  # its letters may be composed in another way
        return None
    whole = [part.group() for part in re.finditer(r"[^\W_]+", glob) if not _open_ended(glob, part.start(), part.end())]
    return union_all(*matching(tuple(Term(word, column=column) for word in whole))) if whole else None


def _open_ended(glob: str, start: int, end: int) -> bool:
    """Return whether a wildcard or a bracket may lengthen the word between two places of a glob."""
    return glob[start - 1 : start] in set("*?]") or glob[end : end + 1] in set("*?[") or "[" in glob
