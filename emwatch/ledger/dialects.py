"""
What SQLite and PostgreSQL say differently, as elements of a question with a spelling for each.

A question is put together once; which database it is for is known when it is asked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from unicodedata import normalize

from sqlalchemy import Boolean, Integer, Text, cast, func, literal, literal_column, or_, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import UserDefinedType

from emwatch.ledger.words import Terms

if TYPE_CHECKING:
    from sqlalchemy import Column, ColumnElement, TableClause
    from sqlalchemy.sql.compiler import SQLCompiler

    from emwatch.ledger.words import Term

#: strftime's format of a time, and that of PostgreSQL's to_char.
_TIMES: Final = {"%Y-%m": "YYYY-MM", "%Y-%m-%d": "YYYY-MM-DD", "%H": "HH24"}


class _Spelled(FunctionElement[Any]):
    """An expression for SQLite, and what means the same in PostgreSQL."""

    inherit_cache = True


@compiles(_Spelled, "sqlite")
def _for_sqlite(element: _Spelled, compiler: SQLCompiler, **how: Any) -> str:
    here, _ = element.clauses
    return compiler.process(here, **how)


@compiles(_Spelled, "postgresql")
def _for_postgresql(element: _Spelled, compiler: SQLCompiler, **how: Any) -> str:
    _, there = element.clauses
    return compiler.process(there, **how)


class _Joined(FunctionElement[str]):
    """Texts of several rows as one, with what stands between them, ordered by the rest; for PostgreSQL alone."""

    inherit_cache = True
    type = Text()


@compiles(_Joined, "postgresql")
def _joined(element: _Joined, compiler: SQLCompiler, **how: Any) -> str:
    text, between, *order = (compiler.process(each, **how) for each in element.clauses)
    return f"string_agg({text}, {between} ORDER BY {', '.join(order)})"


class _TsQuery(UserDefinedType[str]):
    """Not SQLAlchemy's own: it comes with all of its PostgreSQL, which every command would load."""

    cache_ok = True

    def get_col_spec(self, **_how: Any) -> str:
        """Return its name."""
        return "TSQUERY"


def spelled(sqlite: ColumnElement[Any], postgresql: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return an expression that is written in one way or the other; its type is that of the first."""
    return type_coerce(_Spelled(sqlite.self_group(), postgresql.self_group()), sqlite.type)


def unindexed(column: Column[Any]) -> ColumnElement[Any]:
    """
    Return a column for which SQLite chooses no index; PostgreSQL knows by itself how many rows have which value.

    A leading plus does it (https://sqlite.org/optoverview.html#uplus).
    """
    return spelled(type_coerce(literal_column(f"+{column.table.name}.{column.name}"), column.type), column)


def flag(column: Column[bool], *, is_set: bool) -> ColumnElement[Any]:
    """Return whether a flag is set, as the partial indexes of SQLite have it."""
    text = literal_column(f"{column.table.name}.{column.name} = {int(is_set)}", Boolean)
    return spelled(text, column if is_set else ~column)


def like_any_case(column: ColumnElement[Any], glob: str) -> ColumnElement[Any]:
    """Return whether a text meets a glob of ``*`` and ``?``; capitals from A to Z do not matter."""
    like = re.sub(r"[%_\x01]", "\x01\\g<0>", glob).replace("*", "%").replace("?", "_")
    return spelled(column.like(like, escape="\x01"), column.ilike(like, escape="\x01"))


def path_meets(path: ColumnElement[str], glob: str, readings: tuple[str, ...]) -> ColumnElement[Any]:
    """
    Return whether a path meets a glob, whatever its capitals and however its letters are composed.

    ``readings``: the glob as it stands, and with brackets that stand for themselves.
    """
    patterns = [f"^(?:{_expression(normalize('NFC', each.lower()))})$" for each in readings]
    if glob.isascii():
        bare: ColumnElement[Any] = path
    else:
        bare = func.normalize(func.lower(path.collate("und-x-icu")), literal_column("NFC")).collate("C")
    there = [bare.op("~*", is_comparison=True)(literal(each, Text)) for each in patterns]
    if not glob.isascii():
        here: ColumnElement[Any] = func.emwatch_path_like(path, glob).is_not(None)
    elif "[" not in glob:  # LIKE knows no brackets, takes capitals as they come, and is as fast as GLOB on bare paths
        return like_any_case(path, glob)
    else:
        lower = func.lower(path)
        any_of = [lower.op("GLOB", is_comparison=True)(each.lower().replace("[!", "[^")) for each in readings]
        here = or_(*any_of)
    return spelled(here, or_(*there))


def _expression(glob: str) -> str:
    """Return a glob as a regular expression of PostgreSQL."""
    found = []
    for part in re.split(r"(\[!?\]?[^\]]*\]|[*?])", glob):
        if part == "*":
            found.append(".*")
        elif part == "?":
            found.append(".")
        elif len(part) > 2 and part.startswith("[") and part.endswith("]"):
            inside = part[1:-1].replace("\\", "\\\\").replace("[", "\\[")
            found.append(f"[{'^' + inside[1:] if inside.startswith('!') else inside}]")
        else:
            found.append(re.sub(r"[^\w\s/]", r"\\\g<0>", part))
    return "".join(found)


def unknown_first(expression: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the order from the least on, with unknown values before it; SQLite of before 2019 has no words for that."""
    return spelled(expression.asc(), expression.asc().nulls_first())


def unknown_last(expression: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the order from the greatest on, with unknown values after it."""
    return spelled(expression.desc(), expression.desc().nulls_last())


def json_list(column: Column[str]) -> ColumnElement[Any]:
    """Return the values of a column as a JSON list in one text, ``[]`` of no row."""
    quoted = cast(func.to_json(column), Text)
    joined = _Joined(quoted, literal_column("','"), column)
    there = literal_column("'['").concat(func.coalesce(joined, literal_column("''"))).concat(literal_column("']'"))
    return spelled(func.json_group_array(column, type_=Text), there)


def lines(column: Column[str], *order: Column[Any]) -> ColumnElement[Any]:
    """Return the texts of a column, one below the other."""
    return spelled(func.group_concat(column, "\n", type_=Text), _Joined(column, literal_column("chr(10)"), *order))


def local_time(at_us: Column[int], shape: str) -> ColumnElement[Any]:
    """Return a part of a time, microseconds since 1970, by the clock of this machine; ``shape`` as for strftime."""
    here = func.strftime(shape, cast(at_us / 1_000_000, Integer), "unixepoch", "localtime", type_=Text)
    moment = func.to_timestamp(at_us / literal_column("1000000.0"))
    if shape == "%w":
        day = func.date_part(literal_column("'dow'"), moment)
        return spelled(here, cast(cast(day, Integer), Text))
    return spelled(here, func.to_char(moment, literal_column(f"'{_TIMES[shape]}'")))


def have_words(index: TableClause, terms: tuple[Term, ...]) -> ColumnElement[Any]:
    """Return whether a row of a full-text index has all terms. PostgreSQL's does not know the column of a word."""
    asked = literal(terms, Terms)
    here = type_coerce(literal_column(index.name).op("MATCH")(asked), Boolean)
    there = literal_column(f"{index.name}.words").op("@@", is_comparison=True)(cast(asked, _TsQuery))
    return spelled(here, there)
