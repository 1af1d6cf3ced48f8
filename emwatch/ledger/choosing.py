"""
Which rows a filter chooses, and in what order: the quickest way for the ledger at hand.

Rows are either walked by time, each asked all conditions, or fetched by the index that has the fewest of one condition.
Which is quicker depends on how many rows meet it, so that is counted first, up to a bound.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, intersect, select, tuple_, union

from emwatch.ledger.filters import WINDOWS, LogFilter, RowCondition, conditions_of, left_out
from emwatch.ledger.log_row import LOG_COLUMNS
from emwatch.ledger.schema import acquisition, frames, predictions, search, sessions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection, FromClause, Select

#: Counted at most: so many entries of an index are read in about 2 ms, and so many rows fetched by it in 30 ms.
_BOUND: Final = 20_000
#: Fetching by an index costs as much as walking past so many rows.
_FETCH_COST: Final = 3
#: Fewer are fetched at once: no walk is worth the risk.
_FEW: Final = 3_000
#: Walked before anything that needs the whole ledger is tried.
_WINDOW: Final = 20_000

#: What rows can be sorted by.
SORTABLE: Final = ("recorded_at", "id", "path", "category", *WINDOWS)


def chosen_by(connection: Connection, wanted: LogFilter) -> Select[Any]:
    """Return a question for the keys (``at_us``, ``frame_id``) of the rows, in order and cut to the limit."""
    conditions = conditions_of(wanted)
    rarest = _rarest(connection, conditions, wanted.limit)
    if wanted.limit and rarest is None and not wanted.sort and any(each.slow for each in conditions):
        near = _near(connection, conditions, wanted)
        if near is not None:
            return near
    return _keys(conditions, rarest or _uncounted(conditions), wanted)


def _near(connection: Connection, conditions: list[RowCondition], wanted: LogFilter) -> Select[Any] | None:
    """Return a question for the rows if enough are among the first in time, ``None`` if the whole ledger has to be asked."""
    in_time = [each for each in conditions if each.in_time]
    first = _keys(in_time, None, replace(wanted, limit=_WINDOW)).subquery()
    ends = select(func.min(first.c.frame_id), func.min(first.c.at_us), func.max(first.c.at_us))
    lowest, earliest, latest = connection.execute(ends).one()
    if lowest is None:
        return None
    close = [each if each.near is None else RowCondition(each.near(lowest)) for each in conditions]
    close.append(RowCondition(search.c.at_us.between(earliest, latest), in_time=True))
    keys = [tuple(row) for row in connection.execute(_keys(close, None, wanted))]
    if wanted.limit is None or len(keys) < wanted.limit:
        return None
    known = RowCondition(tuple_(search.c.at_us, search.c.frame_id).in_(keys))
    return _keys([known], None, wanted)


def rows_of(
    connection: Connection, wanted: LogFilter, columns: Sequence[ColumnElement[Any]] = LOG_COLUMNS
) -> Select[Any]:
    """Return the question for the rows of the log, or for some columns of them."""
    chosen = chosen_by(connection, wanted).subquery("chosen")
    newest = (predictions.c.frame_id == chosen.c.frame_id) & predictions.c.newest
    return (
        select(*columns)
        .select_from(
            chosen.outerjoin(frames, frames.c.id == chosen.c.frame_id)
            .outerjoin(predictions, newest)
            .outerjoin(acquisition, acquisition.c.frame_id == chosen.c.frame_id)
            .outerjoin(sessions, sessions.c.id == frames.c.session_id)
        )
        .order_by(*_order(wanted, chosen, [chosen.c[f"by_{name.lstrip('-')}"] for name in wanted.sort]))
    )


def count_of(connection: Connection, wanted: LogFilter) -> Select[Any]:
    """Return the question for the number of rows."""
    others = left_out(wanted)
    if others is not None and wanted.limit is None:  # most are meant: the others are fewer, and in small indexes
        all_rows = select(func.count()).select_from(search).scalar_subquery()
        few = select(func.count()).select_from(union(*others).subquery()).scalar_subquery() if others else 0
        return select(all_rows - few)
    conditions = conditions_of(wanted)
    by = _rarest(connection, conditions, None) or _uncounted(conditions)
    return select(func.count()).select_from(_keys(conditions, by).limit(wanted.limit).subquery())


def keys_of(connection: Connection, wanted: LogFilter) -> Select[Any]:
    """Return the question for the keys (``at_us``, ``frame_id``) of all rows, in no order; the limit is passed over."""
    conditions = conditions_of(wanted)
    return _keys(conditions, _rarest(connection, conditions, None) or _uncounted(conditions))


def frame_ids(wanted: LogFilter) -> Select[Any]:
    """Return the question for the numbers of all rows, in no order; the limit holds."""
    return select(_keys(conditions_of(wanted), None).limit(wanted.limit).subquery().c.frame_id)


def _rarest(connection: Connection, conditions: list[RowCondition], limit: int | None) -> RowCondition | None:
    """Return the condition by whose index rows are fetched, ``None`` if walking by time is quicker."""
    if limit == 0:
        return None
    counted = []
    for each in conditions:
        if each.rows is not None and each.dear:
            bound = _BOUND // each.dear
            number = connection.scalar(select(func.count()).select_from(each.rows.limit(bound).subquery())) or 0
            counted.append((number, number < bound, each))
            if number < _FEW // each.dear:
                break
    below = sorted(((number, each) for number, whole, each in counted if whole), key=lambda pair: pair[0])
    if not below:
        return None
    fewest, rarest = below[0]
    if rarest.in_time:
        return None
    if fewest > _FEW and len(below) > 1 and not below[1][1].in_time:
        return _both(rarest, below[1][1]) or rarest
    if limit is None or fewest <= _FEW:
        return rarest
    rows = connection.scalar(select(func.max(search.c.frame_id))) or 0
    walked = float(limit)
    for number, _, _ in counted:
        walked *= rows / max(number, 1)
    return rarest if fewest * _FETCH_COST < walked else None


def _both(one: RowCondition, other: RowCondition) -> RowCondition | None:
    """Return the rows that two conditions have in common: reading two indexes is quicker than fetching by one of them."""
    if one.rows is None or other.rows is None:
        return None
    found = [select(each.subquery()) for each in (one.rows, other.rows)]
    same_keys = len(found[0].selected_columns) == len(found[1].selected_columns) > 1
    return RowCondition(one.holds, intersect(*found)) if same_keys else None


def _uncounted(conditions: list[RowCondition]) -> RowCondition | None:
    return next((each for each in conditions if each.rows is not None and not each.dear), None)


def _keys(conditions: list[RowCondition], by: RowCondition | None, ordered: LogFilter | None = None) -> Select[Any]:
    """Return a question for the keys of the rows that meet all conditions, fetched ``by`` one of them."""
    sort = () if ordered is None else ordered.sort
    question = select(
        search.c.at_us, search.c.frame_id, *(_sorted_by(name).label(f"by_{name.lstrip('-')}") for name in sort)
    )
    question = question.where(*(each.holds for each in conditions))
    if by is not None and by.rows is not None:
        pair = len(by.rows.selected_columns) > 1
        fetched = tuple_(search.c.at_us, search.c.frame_id) if pair else search.c.frame_id
        # SQLite fetches rows by a question in IN, but not if that is a UNION itself.
        question = question.where(fetched.in_(select(by.rows.subquery("meeting"))))
    if ordered is None:
        return question
    return question.order_by(*_order(ordered, search, [_sorted_by(name) for name in sort])).limit(ordered.limit)


def _order(wanted: LogFilter, keys: FromClause, sort: list[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    order = [
        (column.desc() if name.startswith("-") else column.asc()).nulls_last()
        for name, column in zip(wanted.sort, sort, strict=True)
    ]
    times = (keys.c.at_us, keys.c.frame_id)
    return [*order, *(each.desc() if wanted.newest_first else each.asc() for each in times)]


def _sorted_by(name: str) -> ColumnElement[Any]:
    match name.lstrip("-"):
        case "recorded_at":
            return search.c.at_us
        case "id":
            return search.c.frame_id
        case "path":
            return select(frames.c.path).where(frames.c.id == search.c.frame_id).correlate(search).scalar_subquery()
        case column:
            return search.c[column]
