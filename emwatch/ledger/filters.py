"""What `emwatch log` can be asked for, and the question in SQL."""

from __future__ import annotations

import fnmatch
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from sqlalchemy import Column, Select, and_, func, or_, select

from emwatch.frame import FrameState, Window
from emwatch.ledger.log_row import LOG_COLUMNS
from emwatch.ledger.schema import acquisition, frames, matches, predictions, reviews, sessions

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, FromClause


@dataclass(frozen=True, slots=True)
class LogFilter:
    """
    Which rows of the log; the default is every file as it stands that was recorded or failed, newest first.

    Attributes:
        categories: the likeliest category is one of these; add ``uncertain=False`` for those the model is sure of.
        target: has met this target; one that does not exist gives no rows.
        hits: has met any target (``True``) or none (``False``).
        probability: of the likeliest category.
        magnification: frames of unknown magnification are left out.
        stage_tilt_deg: frames of unknown tilt are left out.
        since: recorded at or after this moment, which needs a zone.
        until: recorded at or before this moment, which needs a zone.
        session: a session's name or number, or ``last``: that of the frame recorded last.
        asked_at: frames recorded after this moment, by a clock that was ahead, do not make the last session.
        states: what became of the file.
        uncertain: ``None`` takes both.
        reviewed: a person has said something of it (``True``) or nothing (``False``).
        path: glob over the file's name or, with a separator in it, over its whole path, in the ledger's spelling.
            Capitals and composed letters do not matter; brackets also stand for themselves.
        ids: rows with these numbers only; empty takes all.
        before: rows that come after this one, a time of recording and a number, in a listing with the newest first.
        after_id: rows with a higher number.
        superseded: also contents that were overwritten since.
        duplicates: also copies of a frame recorded under another path.
        limit: at most so many rows, after sorting.
        newest_first: by the time of recording.

    """

    categories: tuple[str, ...] = ()
    target: str | None = None
    hits: bool | None = None
    probability: Window | None = None
    magnification: Window | None = None
    stage_tilt_deg: Window | None = None
    since: datetime | None = None
    until: datetime | None = None
    session: str | None = None
    asked_at: datetime | None = None
    states: tuple[FrameState, ...] = (FrameState.RECORDED, FrameState.FAILED)
    uncertain: bool | None = None
    reviewed: bool | None = None
    path: str | None = None
    ids: tuple[int, ...] = ()
    before: tuple[datetime, int] | None = None
    after_id: int | None = None
    superseded: bool = False
    duplicates: bool = True
    limit: int | None = None
    newest_first: bool = True


_NEWEST = and_(predictions.c.frame_id == frames.c.id, predictions.c.newest)
_METADATA = acquisition.c.frame_id == frames.c.id


def rows_of(wanted: LogFilter) -> Select[Any]:
    """Return the query for the rows."""
    order = [each.desc() if wanted.newest_first else each for each in (frames.c.recorded_at, frames.c.id)]
    conditions = conditions_of(wanted)
    if wanted.limit is not None:
        # Sort and cut the numbers first: whole rows are only put together for those that are shown.
        shown = select(frames.c.id).select_from(needed_by(wanted)).where(*conditions).order_by(*order)
        conditions = [frames.c.id.in_(shown.limit(wanted.limit))]
    return (
        select(*LOG_COLUMNS)
        .select_from(
            frames.outerjoin(predictions, _NEWEST)
            .outerjoin(acquisition, _METADATA)
            .outerjoin(sessions, sessions.c.id == frames.c.session_id)
        )
        .where(*conditions)
        .order_by(*order)
    )


def count_of(wanted: LogFilter) -> Select[Any]:
    """Return the query for their number: it touches only the tables that the filter needs."""
    matching = select(frames.c.id).select_from(needed_by(wanted)).where(*conditions_of(wanted)).limit(wanted.limit)
    return select(func.count()).select_from(matching.subquery())


def needed_by(wanted: LogFilter) -> FromClause:
    """Return the tables that a filter looks at."""
    source: FromClause = frames
    if wanted.categories or wanted.probability is not None or wanted.uncertain is not None:
        source = source.join(predictions, _NEWEST)
    if wanted.magnification is not None or wanted.stage_tilt_deg is not None:
        source = source.join(acquisition, _METADATA)
    return source


def conditions_of(wanted: LogFilter) -> list[ColumnElement[bool]]:
    """Return the conditions of a filter, all of which must hold."""
    found: list[ColumnElement[bool]] = [frames.c.state.in_(wanted.states)]
    if not wanted.superseded:
        found.append(frames.c.superseded_by.is_(None))
    found += _of_rows(wanted)
    if not wanted.duplicates:
        found.append(frames.c.duplicate_of.is_(None))
    if wanted.categories:
        found.append(predictions.c.category.in_(wanted.categories))
    if wanted.uncertain is not None:
        found.append(predictions.c.uncertain == wanted.uncertain)
    found += _within(predictions.c.probability, wanted.probability)
    found += _within(acquisition.c.magnification, wanted.magnification)
    found += _within(acquisition.c.stage_tilt_deg, wanted.stage_tilt_deg)
    if wanted.since is not None:
        found.append(frames.c.recorded_at >= wanted.since)
    if wanted.until is not None:
        found.append(frames.c.recorded_at <= wanted.until)
    found += _of_matches(wanted)
    if wanted.reviewed is not None:
        any_review = frames.c.id.in_(select(reviews.c.frame_id))
        found.append(any_review if wanted.reviewed else ~any_review)
    if wanted.session is not None:
        found.append(frames.c.session_id.in_(_session_ids(wanted.session, wanted.asked_at)))
    if wanted.path is not None:
        found.append(_of_path(wanted.path))
    return found


def _of_rows(wanted: LogFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.ids:
        found.append(frames.c.id.in_(wanted.ids))
    if wanted.after_id is not None:
        found.append(frames.c.id > wanted.after_id)
    if wanted.before is not None:
        at, number = wanted.before
        found.append(or_(frames.c.recorded_at < at, and_(frames.c.recorded_at == at, frames.c.id < number)))
    return found


def _within(column: Column[Any], window: Window | None) -> list[ColumnElement[bool]]:
    if window is None:
        return []
    # An open window still asks for a value: unknown is never within.
    found: list[ColumnElement[bool]] = [column.is_not(None)]
    if window.low is not None:
        found.append(column >= window.low)
    if window.high is not None:
        found.append(column <= window.high)
    return found


def _of_matches(wanted: LogFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.target is not None:
        found.append(frames.c.id.in_(select(matches.c.frame_id).where(matches.c.target == wanted.target)))
    if wanted.hits is not None:
        any_match = frames.c.id.in_(select(matches.c.frame_id))
        found.append(any_match if wanted.hits else ~any_match)
    return found


def _of_path(glob: str) -> ColumnElement[bool]:
    pattern = glob if os.sep in glob else f"*{os.sep}{glob}"
    if not pattern.isascii():
        return func.emwatch_path_like(frames.c.path, pattern).is_not(None)
    if "[" not in pattern:  # LIKE knows no brackets, takes capitals as they come, and is as fast as GLOB on bare paths
        like = re.sub(r"[%_\x01]", "\x01\\g<0>", pattern).replace("*", "%").replace("?", "_")
        return frames.c.path.like(like, escape="\x01")
    path = func.lower(frames.c.path)
    return or_(*(path.op("GLOB", is_comparison=True)(each) for each in _readings(pattern.lower())))


def _readings(pattern: str) -> tuple[str, ...]:
    """Return a glob as it stands, and with brackets that stand for themselves: programs name copies ``scan[1].tif``."""
    return tuple(dict.fromkeys((pattern, pattern.replace("[", "[[]"))))


def path_like(path: str, pattern: str) -> int | None:
    """Return 1 if a path meets a glob, whatever its capitals and however its letters are composed; SQLite calls it."""
    plain = _plain(path)
    return 1 if any(each.match(plain) for each in _compiled(pattern)) else None


@lru_cache(maxsize=8)
def _compiled(pattern: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(fnmatch.translate(each)) for each in _readings(_plain(pattern)))


def _plain(text: str) -> str:
    return normalize("NFC", normalize("NFD", text).casefold())


def _session_ids(wanted: str, asked_at: datetime | None) -> Select[Any]:
    if wanted == "last":  # by what happened here: a session's own times are those of other machines' clocks
        newest = select(frames.c.session_id).where(frames.c.session_id.is_not(None))
        if asked_at is not None:
            newest = newest.where(frames.c.recorded_at <= asked_at)
        return newest.order_by(frames.c.recorded_at.desc(), frames.c.id.desc()).limit(1)
    if wanted.isascii() and wanted.isdecimal() and len(wanted) < 19:
        return select(sessions.c.id).where(or_(sessions.c.name == wanted, sessions.c.id == int(wanted)))
    return select(sessions.c.id).where(sessions.c.name == wanted)
