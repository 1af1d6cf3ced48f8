"""
Words of a text, and what is asked of them, in the full-text indexes of both databases.

SQLite's FTS5 cuts texts into words itself (its tokenizer unicode61). For PostgreSQL it is done here by the same rule:
runs of letters and digits, without capitals and accents. PostgreSQL's own parser takes a path or an address for one word.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple
from unicodedata import category, normalize

from sqlalchemy import Text
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Dialect

#: A ``tsvector`` holds no place beyond 16,383, no word of more than 2,046 bytes, and a megabyte of words and places.
_MOST_WORDS: Final = 16_000
_MOST_BYTES: Final = 1_000_000
_BYTES_OF_A_PLACE: Final = 6  #: two, and what aligns them
_LONGEST_WORD: Final = 500
_WORD: Final = re.compile(r"[^\W_]+")


class Term(NamedTuple):
    """Words that must stand together; ``beginning``: the last one may go on. ``column``: only in this one, if it matters."""

    text: str
    beginning: bool = False
    column: str = ""


class Terms(TypeDecorator[tuple[Term, ...]]):
    """Terms that all must be met, as a value of a question: an expression of FTS5, or a ``tsquery`` as text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[Term, ...] | None, dialect: Dialect) -> str | None:
        """Write."""
        if value is None:
            return None
        return " & ".join(map(_tsquery, value)) if dialect.name == "postgresql" else " ".join(map(_fts5, value))


def terms_of(asked: str) -> tuple[Term, ...]:
    """
    Return what a person asks for: words that all must be there, a phrase in quotes, ``wafer*`` for a beginning.

    Raises `ValueError` if there is no word in it. What a database calls operators are words like others.
    """
    terms = []
    for phrase, word in re.findall(
        r'"([^"]*)"|([^\s"]+)', asked.replace("\0", " ")
    ):  # a NUL would end FTS5's expression
        term = phrase or word
        if any(letter.isalnum() for letter in term):
            terms.append(Term(term.rstrip("*"), word.endswith("*")))
    if not terms:
        raise ValueError(f"{asked!r} has no word to look for: give letters or digits")
    return tuple(terms)


def vector(texts: Iterable[str | None]) -> str:
    """
    Return the words of some columns as PostgreSQL reads a ``tsvector``; no phrase goes over the end of a column.

    Of more than a ``tsvector`` holds, the first words are in it.
    """
    places: dict[str, list[int]] = {}
    at = size_bytes = 0
    for text in texts:
        at += 1
        for word in islice(_words(text or ""), max(0, _MOST_WORDS - at)):
            at += 1
            size_bytes += _BYTES_OF_A_PLACE + (0 if word in places else len(word.encode()))
            if size_bytes > _MOST_BYTES:
                break
            places.setdefault(word, []).append(at)
    return " ".join(f"{word}:{','.join(map(str, found))}" for word, found in places.items())


def _fts5(term: Term) -> str:
    column = f"{term.column} : " if term.column else ""
    return f'{column}"{term.text}"{"*" if term.beginning else ""}'


def _tsquery(term: Term) -> str:
    words = list(_words(term.text))
    return f"({' <-> '.join(words)}{':*' if term.beginning else ''})"


def _words(text: str) -> Iterator[str]:
    bare = "".join(letter for letter in normalize("NFD", text.lower()) if category(letter) != "Mn")
    return (found.group()[:_LONGEST_WORD] for found in _WORD.finditer(bare))
