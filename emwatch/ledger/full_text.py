"""The full-text index as part of a question: which frames have some words, also those that are not in the index yet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import literal_column, select, union_all

from emwatch.ledger.database import driver_of
from emwatch.ledger.schema import new_words, session_words, words

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


def match_expression(asked: str) -> str:
    """
    Return an FTS5 expression for words that all must be there, a phrase in quotes, ``wafer*`` for a beginning.

    Raises `ValueError` if there is no word in it. What FTS5 calls operators are words like others.
    """
    terms = []
    for phrase, word in re.findall(r'"([^"]*)"|([^\s"]+)', asked):
        term = phrase or word
        beginning = "*" if word.endswith("*") else ""
        if any(letter.isalnum() for letter in term):
            terms.append(f'"{term.rstrip("*")}"{beginning}')
    if not terms:
        raise ValueError(f"{asked!r} has no word to look for: give letters or digits")
    return " ".join(terms)


def matching(expression: str, lowest: int = 0) -> list[Select[tuple[int]]]:
    """Return questions for the numbers of the frames that meet an FTS5 expression, from the ``lowest`` on."""
    found = [_meeting(index, expression) for index in (words, new_words)]
    return [each.where(each.selected_columns.rowid >= lowest) for each in found] if lowest else found


def matching_sessions(expression: str) -> Select[tuple[int]]:
    """Return a question for the numbers of the sessions of which people said what meets an FTS5 expression."""
    return _meeting(session_words, expression)


def _meeting(index: TableClause, expression: str) -> Select[tuple[int]]:
    return select(index.c.rowid).where(literal_column(index.name).op("MATCH")(expression))


def with_words(glob: str, column: str) -> CompoundSelect[Any] | None:
    """Return the frames with the whole words of a glob in a column of the full-text index: all that meet it, and others."""
    if not glob.isascii():  # its letters may be composed in another way
        return None
    whole = [part.group() for part in re.finditer(r"[^\W_]+", glob) if not _open_ended(glob, part.start(), part.end())]
    return union_all(*matching(" ".join(f'{column} : "{word}"' for word in whole))) if whole else None


def _open_ended(glob: str, start: int, end: int) -> bool:
    """Return whether a wildcard or a bracket may lengthen the word between two places of a glob."""
    return glob[start - 1 : start] in set("*?]") or glob[end : end + 1] in set("*?[") or "[" in glob
