"""What `emwatch log` can be asked for, and each filter as a condition in SQL; `emwatch.ledger.choosing` puts them together."""

from __future__ import annotations

import fnmatch
import os
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, exists, literal_column, or_, select, text, union_all

from emwatch.filesystem import plain_name, readings_of_glob
from emwatch.frame import FrameState, Window
from emwatch.ledger.dialects import flag, like_any_case, path_meets, unindexed
from emwatch.ledger.full_text import matching, matching_sessions, with_words
from emwatch.ledger.row_values import row_number
from emwatch.ledger.schema import acquisition, alerts, frames, matches, reviews, search, sessions
from emwatch.ledger.words import terms_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sqlalchemy import Column, ColumnElement, CompoundSelect, Select

    from emwatch.ledger.words import Term


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
        stage_tilt_deg: frames of unknown tilt are left out; the same holds for the other numbers below.
        margin: probability minus that of the second likeliest category.
        novelty: distance from what the model was taught.
        working_distance_mm: in this window.
        accelerating_voltage_kv: in this window.
        pixel_size_nm: in this window.
        horizontal_field_width_um: in this window.
        stage_x_mm: in this window; with ``stage_y_mm`` a box on the stage.
        stage_y_mm: in this window.
        since: recorded at or after this moment, which needs a zone.
        until: recorded at or before this moment, which needs a zone.
        session: a session's name or number, or ``last``: that of the frame recorded last.
        asked_at: frames recorded after this moment, by a clock that was ahead, do not make the last session.
        states: what became of the file.
        uncertain: ``None`` takes both.
        alerted: an alert was delivered (``True``) or none was (``False``).
        instrument: glob over the name of the instrument in the metadata or in the configuration; capitals do not matter.
        operator: glob over the operator in the metadata or of the session.
        sample: glob over the sample in the metadata or of the session.
        detector: glob over the name of the detector.
        text: words that all stand in the path, the notes or the metadata of a frame, or in what people say of its
            session; ``wafer*`` is a beginning, quotes a phrase.
        where: an SQL expression over the columns of the view ``v_log``.
        reviewed: a person has said something of it (``True``) or nothing (``False``).
        path: glob over the file's name or, with a separator in it, over its whole path, in the ledger's spelling.
            Capitals and composed letters do not matter; brackets also stand for themselves.
        ids: rows with these numbers only; empty takes all.
        before: rows that come after this one, a time of recording and a number, in a listing with the newest first.
        after_id: rows with a higher number.
        up_to_id: rows with this number or a lower one.
        superseded: also contents that were overwritten since.
        duplicates: also copies of a frame recorded under another path.
        limit: at most so many rows, after sorting.
        newest_first: by the time of recording.
        sort: fields to sort by before the time, such as ``magnification``; ``-magnification``: the greatest first.
            Unknown values come last.

    """

    categories: tuple[str, ...] = ()
    target: str | None = None
    hits: bool | None = None
    probability: Window | None = None
    magnification: Window | None = None
    stage_tilt_deg: Window | None = None
    margin: Window | None = None
    novelty: Window | None = None
    working_distance_mm: Window | None = None
    accelerating_voltage_kv: Window | None = None
    pixel_size_nm: Window | None = None
    horizontal_field_width_um: Window | None = None
    stage_x_mm: Window | None = None
    stage_y_mm: Window | None = None
    since: datetime | None = None
    until: datetime | None = None
    session: str | None = None
    asked_at: datetime | None = None
    states: tuple[FrameState, ...] = (FrameState.RECORDED, FrameState.FAILED)
    uncertain: bool | None = None
    reviewed: bool | None = None
    alerted: bool | None = None
    instrument: str | None = None
    operator: str | None = None
    sample: str | None = None
    detector: str | None = None
    text: str | None = None
    where: str | None = None
    path: str | None = None
    ids: tuple[int, ...] = ()
    before: tuple[datetime, int] | None = None
    after_id: int | None = None
    up_to_id: int | None = None
    superseded: bool = False
    duplicates: bool = True
    limit: int | None = None
    newest_first: bool = True
    sort: tuple[str, ...] = ()


#: Windows of a filter that are columns of `search` by the same name.
WINDOWS: Final = (
    *("magnification", "stage_tilt_deg", "working_distance_mm", "accelerating_voltage_kv", "pixel_size_nm"),
    *("horizontal_field_width_um", "stage_x_mm", "stage_y_mm", "probability", "margin", "novelty"),
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
#: Reading an entry of the full-text index costs as much as reading so many of another (measured).
_DEAR_WORDS: Final = 10
_PROBE: Final = search.alias("probe")


@dataclass(frozen=True, slots=True)
class RowCondition:
    """
    One condition that rows of `search` must meet.

    Attributes:
        holds: asked of each row; it never makes SQLite leave the order of time.
        rows: the keys of all rows that meet it, by an index; ``None`` if no index has them.
        dear: how much dearer it is to count ``rows`` than entries of an index; 0: they cannot be counted up to a bound.
        in_time: ``rows`` are next to each other in the order of time.
        near: ``holds`` for rows whose number is not below the given one, if that is quicker to ask.
        slow: ``holds`` looks into other tables by more than a number, and is asked last.

    """

    holds: ColumnElement[bool]
    rows: Select[Any] | CompoundSelect[Any] | None = None
    dear: int = 1
    in_time: bool = False
    near: Callable[[int], ColumnElement[bool]] | None = None
    slow: bool = False


def at_us(moment: datetime) -> int:
    """Return a moment, which needs a zone, as `search` has it: microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def conditions_of(wanted: LogFilter) -> list[RowCondition]:
    """Return the conditions of a filter, all of which must hold."""
    found = [*_of_state(wanted), *_of_time(wanted), *_of_columns(wanted), *_of_findings(wanted), *_of_names(wanted)]
    if wanted.session is not None:
        ids = session_ids(wanted.session, wanted.asked_at)
        found.append(_column("session_id", lambda column: [column.in_(ids)]))
    if wanted.text is not None:
        found.append(_of_words(terms_of(wanted.text)))
    if wanted.path is not None:
        found.append(_of_path(wanted.path))
    if wanted.where is not None:
        expression = f"EXISTS (SELECT 1 FROM v_log WHERE v_log.id = log_search.frame_id AND (\n{wanted.where}\n))"  # noqa: S608 - checked by `LedgerReader`
        found.append(RowCondition(literal_column(expression), slow=True))
    return sorted(found, key=lambda each: each.slow)


def _column(name: str, build: Callable[[ColumnElement[Any]], list[ColumnElement[bool]]]) -> RowCondition:
    keys = select(_PROBE.c.at_us, _PROBE.c.frame_id).where(*build(_PROBE.c[name]))
    new, indexed = (keys.where(flag(_PROBE.c.is_indexed, is_set=each)) for each in (False, True))
    return RowCondition(and_(*build(unindexed(search.c[name]))), union_all(new, indexed))


def _of_state(wanted: LogFilter) -> list[RowCondition]:
    found = []
    if set(wanted.states) != set(FrameState):
        by_index = None
        if FrameState.RECORDED not in wanted.states:
            by_index = _in_states(wanted.states, _PROBE.c.at_us, _PROBE.c.frame_id)
        found.append(RowCondition(search.c.state.in_(wanted.states), by_index))
    if not wanted.superseded:
        found.append(RowCondition(search.c.is_current))
    if not wanted.duplicates:
        found.append(RowCondition(~search.c.is_copy))
    return found


def _in_states(states: Collection[FrameState], *columns: ColumnElement[Any]) -> Select[Any]:
    """Return the question for rows in states other than "recorded", by the index that has only those."""
    return select(*columns).where(text("probe.state <> 'recorded'"), _PROBE.c.state.in_(states))


def left_out(wanted: LogFilter) -> list[Select[Any]] | None:
    """
    Return questions for the numbers of all frames that a filter leaves out, each by an index that has only such frames.

    ``None`` for a filter that asks for more than states and what is current.
    """
    plain = LogFilter(states=wanted.states, superseded=wanted.superseded, duplicates=wanted.duplicates)
    same = replace(wanted, asked_at=None, limit=None, newest_first=True, sort=())
    if same != plain or FrameState.RECORDED not in wanted.states:
        return None
    others = [state for state in FrameState if state not in wanted.states]
    found = []
    if others:
        found.append(_in_states(others, _PROBE.c.frame_id))
    if not wanted.superseded:
        found.append(select(frames.c.id).where(frames.c.superseded_by.is_not(None)))
    if not wanted.duplicates:
        found.append(select(frames.c.id).where(frames.c.duplicate_of.is_not(None)))
    return found


def _of_time(wanted: LogFilter) -> list[RowCondition]:
    found: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        found.append(search.c.at_us >= at_us(wanted.since))
    if wanted.until is not None:
        found.append(search.c.at_us <= at_us(wanted.until))
    if wanted.before is not None:
        at, number = at_us(wanted.before[0]), wanted.before[1]
        found += [search.c.at_us <= at, or_(search.c.at_us < at, search.c.frame_id < number)]
    conditions = []
    if found:
        between = select(search.c.at_us, search.c.frame_id).where(*found)
        conditions.append(RowCondition(and_(*found), between, in_time=True))
    if wanted.ids:
        of_ids = select(_PROBE.c.at_us, _PROBE.c.frame_id).where(_PROBE.c.frame_id.in_(wanted.ids))
        conditions.append(RowCondition(_frame_id().in_(wanted.ids), of_ids))
    numbers: list[Callable[[ColumnElement[int]], ColumnElement[bool]]] = []
    if (after := wanted.after_id) is not None:
        numbers.append(lambda number: number > after)
    if (up_to := wanted.up_to_id) is not None:
        numbers.append(lambda number: number <= up_to)
    if numbers:
        within = select(_PROBE.c.at_us, _PROBE.c.frame_id).where(*(each(_PROBE.c.frame_id) for each in numbers))
        conditions.append(RowCondition(and_(*(each(_frame_id()) for each in numbers)), within))
    return conditions


def _frame_id() -> ColumnElement[int]:
    return unindexed(search.c.frame_id)


def _of_columns(wanted: LogFilter) -> list[RowCondition]:
    found = []
    if wanted.categories:
        found.append(_column("category", lambda column: [column.in_(wanted.categories)]))
    if wanted.uncertain is not None:
        found.append(RowCondition(search.c.uncertain == wanted.uncertain))
    for name in WINDOWS:
        window: Window | None = getattr(wanted, name)
        if window is not None:
            found.append(_column(name, partial(_within, window=window)))
    return found


def _within(column: ColumnElement[Any], *, window: Window) -> list[ColumnElement[bool]]:
    # An open window still asks for a value: unknown is never within.
    found: list[ColumnElement[bool]] = [column.is_not(None)]
    if window.low is not None:
        found.append(column >= window.low)
    if window.high is not None:
        found.append(column <= window.high)
    return found


def _of_findings(wanted: LogFilter) -> list[RowCondition]:
    """Return the conditions on matches, alerts and reviews: tables with several rows for a frame, or none."""
    found = []
    if wanted.target is not None:
        found.append(_any_row(matches.c.frame_id, matches.c.target == wanted.target))
    for asked, frame_id, *only in (
        (wanted.hits, matches.c.frame_id),
        (wanted.alerted, alerts.c.frame_id, alerts.c.state == "delivered"),
        (wanted.reviewed, reviews.c.frame_id),
    ):
        if asked is not None:
            found.append(_any_row(frame_id, *only, there=asked))
    return found


def _any_row(frame_id: Column[int], *only: ColumnElement[bool], there: bool = True) -> RowCondition:
    any_row = exists().where(frame_id == search.c.frame_id, *only).correlate(search)
    return RowCondition(any_row, select(frame_id).where(*only)) if there else RowCondition(~any_row)


def _of_names(wanted: LogFilter) -> list[RowCondition]:
    """Return the conditions on instrument, operator, sample and detector; the full-text index has the rare ones."""
    metadata, frame = acquisition.alias("named"), frames.alias("named_frame")
    session = sessions.alias("named_session")
    found = []
    for field, columns in (
        ("instrument", (metadata.c.instrument, frame.c.instrument_id)),
        ("operator", (metadata.c.operator, session.c.operator)),
        ("sample", (metadata.c.sample, session.c.sample)),
        ("detector", (metadata.c.detector,)),
    ):
        glob: str | None = getattr(wanted, field)
        if glob is None:
            continue
        source = frame.outerjoin(metadata, metadata.c.frame_id == frame.c.id)
        source = source.outerjoin(session, session.c.id == frame.c.session_id)
        named = (
            exists()
            .select_from(source)
            .where(frame.c.id == search.c.frame_id, or_(*(like_any_case(each, glob) for each in columns)))
            .correlate(search)
        )
        by_words = None if field in {"operator", "sample"} else with_words(glob, field)
        found.append(RowCondition(named, by_words, dear=_DEAR_WORDS, slow=True))
    return found


def _of_words(terms: tuple[Term, ...]) -> RowCondition:
    of_sessions = select(frames.c.id).where(
        frames.c.session_id.is_not(None), frames.c.session_id.in_(matching_sessions(terms))
    )

    def found(lowest: int = 0) -> CompoundSelect[Any]:
        return union_all(*matching(terms, lowest), of_sessions.where(frames.c.id >= lowest))

    near = lambda lowest: _frame_id().in_(found(lowest))  # noqa: E731 - one line says it
    return RowCondition(_frame_id().in_(found()), found(), dear=_DEAR_WORDS, near=near, slow=True)


def _of_path(glob: str) -> RowCondition:
    pattern = glob if os.sep in glob else f"*{os.sep}{glob}"
    path = frames.alias("path_of")
    holds = (
        select(path_meets(path.c.path, pattern, readings_of_glob(pattern)))
        .where(path.c.id == search.c.frame_id)
        .correlate(search)
        .scalar_subquery()
    )
    named = with_words(pattern, "path")
    if named is not None:
        return RowCondition(holds, named, dear=_DEAR_WORDS, slow=True)
    meeting = select(path.c.id).where(path_meets(path.c.path, pattern, readings_of_glob(pattern)))
    return RowCondition(holds, meeting, dear=0, slow=True)


def path_like(path: str, pattern: str) -> int | None:
    """Return 1 if a path meets a glob, whatever its capitals and however its letters are composed; SQLite calls it."""
    plain = plain_name(path)
    return 1 if any(each.match(plain) for each in _compiled(pattern)) else None


@lru_cache(maxsize=8)
def _compiled(pattern: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(fnmatch.translate(each)) for each in readings_of_glob(plain_name(pattern)))


def session_ids(wanted: str, asked_at: datetime | None) -> Select[Any]:
    """Return a question for the numbers of the sessions with this name or number, or of the last one."""
    if wanted == "last":  # by what happened here: a session's own times are those of other machines' clocks
        newest = select(frames.c.session_id).where(frames.c.session_id.is_not(None))
        if asked_at is not None:
            newest = newest.where(frames.c.recorded_at <= asked_at)
        return newest.order_by(frames.c.recorded_at.desc(), frames.c.id.desc()).limit(1)
    number = row_number(wanted)
    named = sessions.c.name == wanted
    return select(sessions.c.id).where(named if number is None else or_(named, sessions.c.id == number))
