"""Frames counted by day, category, session and more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, literal_column, select

from emwatch.frame import FrameState
from emwatch.ledger.choosing import keys_of
from emwatch.ledger.dialects import local_time, unknown_first
from emwatch.ledger.log_row import LOG_COLUMNS
from emwatch.ledger.schema import acquisition, frames, matches, search, sessions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection

    from emwatch.ledger.filters import LogFilter

#: By the clock of this machine.
_TIMES: Final = {"month": "%Y-%m", "day": "%Y-%m-%d", "weekday": "%w", "hour": "%H"}
_SEARCHED: Final = ("category", "state", "uncertain")
_LOGGED: Final = ("session", "instrument", "operator", "sample", "detector", "vendor")
#: What frames can be counted by.
GROUPS: Final = (*_TIMES, *_SEARCHED, *_LOGGED)
_WEEKDAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


@dataclass(frozen=True, slots=True)
class Counted:
    """Frames that have the same ``keys``, in the order of what they were counted by."""

    keys: tuple[str | None, ...]
    frames: int
    hits: int
    uncertain: int
    failed: int
    probability: float | None  #: mean of the likeliest category's


def stats(connection: Connection, wanted: LogFilter, by: Sequence[str]) -> list[Counted]:
    """Return how many of the wanted rows there are by each of ``by``, which are of `GROUPS`, in their order."""
    chosen = keys_of(connection, wanted).subquery("chosen")
    here = (search.c.at_us == chosen.c.at_us) & (search.c.frame_id == chosen.c.frame_id)
    source = chosen.join(search, here)
    if set(by) & set(_LOGGED):
        source = source.join(frames, frames.c.id == search.c.frame_id)
        source = source.outerjoin(sessions, sessions.c.id == frames.c.session_id)
        source = source.outerjoin(acquisition, acquisition.c.frame_id == frames.c.id)
    recorded = search.c.state == FrameState.RECORDED
    hit = select(matches.c.id).where(matches.c.frame_id == search.c.frame_id).correlate(search).exists()
    keys = [_key(name).label(f"by_{name}") for name in by]
    names = [each.name for each in keys]
    question = (
        select(
            *keys,
            func.count().filter(recorded),
            func.count().filter(recorded, hit),
            func.count().filter(recorded, search.c.uncertain),
            func.count().filter(search.c.state == FrameState.FAILED),
            func.avg(search.c.probability),
        )
        .select_from(source)
        .group_by(*names)  # by name: PostgreSQL does not see that an expression with values is the same twice
        .order_by(*(unknown_first(literal_column(name)) for name in names))
    )
    rows = map(tuple, connection.execute(question))
    return [Counted(tuple(map(_words, by, row)), *row[len(by) :]) for row in rows]


def _key(name: str) -> ColumnElement[Any]:
    if name in _TIMES:
        return local_time(search.c.at_us, _TIMES[name])
    return search.c[name] if name in _SEARCHED else next(each for each in LOG_COLUMNS if each.name == name).element


def _words(name: str, value: Any) -> str | None:
    if value is None:
        return None
    match name:
        case "uncertain":
            return "uncertain" if value else "sure"
        case "weekday":
            return _WEEKDAYS[int(value)]
        case "hour":
            return f"{value}:00"
    return str(value)
