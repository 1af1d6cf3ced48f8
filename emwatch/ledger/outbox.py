"""The outbox's rows: alerts of new matches, which of them are due, and what became of each."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, delete, func, or_, select, text, update
from sqlalchemy.dialects.sqlite import insert

from emwatch.alerts.alert import Alert
from emwatch.frame import text_to_path
from emwatch.ledger import row_values
from emwatch.ledger.candidates import completed
from emwatch.ledger.care.replacement import Before
from emwatch.ledger.column_types import instant
from emwatch.ledger.may_alert import frame_age, may_alert
from emwatch.ledger.schema import acquisition, alerts, frames, matches, predictions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Connection, Row

    from emwatch.frame import Match

_MATCHED: Final = (
    select(frames, acquisition.c.acquired_at)
    .outerjoin(acquisition, acquisition.c.frame_id == frames.c.id)
    .where(frames.c.id == bindparam("of_frame"))
)
#: Whether another frame of the same content meets the target or was told of, or, where this one is a copy, was judged by
#: the same: its text, and its bar if that was read.
_TOLD_AS_ANOTHER: Final = text(
    "SELECT EXISTS (SELECT 1 FROM frames AS other LEFT JOIN metadata AS said ON said.frame_id = other.id"
    " WHERE other.sha256 = own.sha256 AND other.sha256 != '' AND other.id != own.id AND ("
    " EXISTS (SELECT 1 FROM matches AS met WHERE met.frame_id = other.id AND met.target = :target)"
    " OR EXISTS (SELECT 1 FROM alerts AS told WHERE told.frame_id = other.id AND told.target = :target)"
    " OR (own.duplicate_of IS NOT NULL AND other.state = 'recorded'"
    " AND said.sidecar ->> '$.sha256' IS known.sidecar ->> '$.sha256'"
    " AND (said.bar_read_at IS NOT NULL OR known.bar_read_at IS NULL))))"
    " FROM frames AS own LEFT JOIN metadata AS known ON known.frame_id = own.id WHERE own.id = :frame"
)
_ANY_MATCH: Final = select(matches.c.frame_id).where(matches.c.frame_id == bindparam("of_frame")).limit(1)
_ADD_MATCH: Final = insert(matches).on_conflict_do_nothing()
_ADD_ALERT: Final = insert(alerts).on_conflict_do_nothing()


@dataclass(frozen=True, slots=True)
class AlertRules:
    """
    What decides whether a match may raise an alert, beside the frame itself.

    Attributes:
        max_age: older frames raise none.
        before: the damaged ledgers that this one replaces; frames that they told of raise none.

    """

    max_age: timedelta = timedelta(days=3)
    before: Before = field(default_factory=Before)


@dataclass(frozen=True, slots=True)
class Queued:
    """
    What new matches did.

    ``alerts``: the number of alerts queued. ``held_back``: the matches of a frame that is too old to raise alerts.
    ``hit``: the frame met no target before. ``matches``: what it meets now.
    """

    alerts: int = 0
    held_back: int = 0
    hit: bool = field(default=False, compare=False)
    matches: tuple[Match, ...] = field(default=(), compare=False)


def drop_matches(connection: Connection, frame_id: int, kept: Iterable[str]) -> None:
    """Take back the matches of targets that are not kept, with their alerts that were not delivered yet."""
    stale = matches.c.target.not_in(targets := list(kept))
    connection.execute(delete(matches).where(matches.c.frame_id == frame_id, stale))
    undelivered = (alerts.c.frame_id == frame_id, alerts.c.state == "pending", alerts.c.target.not_in(targets))
    connection.execute(delete(alerts).where(*undelivered))


def write_matches(
    connection: Connection, frame_id: int, found: Iterable[Match], made_at: datetime, rules: AlertRules
) -> Queued:
    """
    Add the matches that the frame does not have yet, and for each one alert per channel if it may raise alerts.

    Of a target that wants several frames, also those of later frames that this one completes.
    """
    met: dict[int, list[Match]] = {frame_id: []}
    for number, match in completed(connection, frame_id, found):
        met.setdefault(number, []).append(match)
    own, *later = (_write(connection, number, each, made_at, rules) for number, each in met.items())
    alerts = own.alerts + sum(each.alerts for each in later)
    return replace(own, alerts=alerts, matches=tuple(met[frame_id]))


def _write(
    connection: Connection, frame_id: int, wanted: Sequence[Match], made_at: datetime, rules: AlertRules
) -> Queued:
    hit = bool(wanted) and connection.execute(_ANY_MATCH, {"of_frame": frame_id}).first() is None
    new = [each for each in wanted if _is_new(connection, frame_id, each, made_at)]
    if not new:
        return Queued()
    frame = connection.execute(_MATCHED, {"of_frame": frame_id}).one()
    age = frame_age(made_at, frame.recorded_at, frame.file_modified_at, row_values.moment_of_text(frame.acquired_at))
    told = rules.before.has_told(row_values.stat_key_from(frame.stat_key), frame.path, frame.sha256)
    news = [each for each in new if not _was_told_as_another(connection, frame_id, each)]
    quiet = {"copy": not news, "overwritten": frame.superseded_by is not None, "told": told}
    if may_alert(**quiet, age=age, max_age=rules.max_age):
        return Queued(alerts=sum(_queue(connection, frame, each, made_at) for each in news), hit=hit)
    return Queued(held_back=0 if any(quiet.values()) else len(news), hit=hit)


def _was_told_as_another(connection: Connection, frame_id: int, match: Match) -> bool:
    """
    Return whether a match of the same content under another path was told, or could have been.

    A frame that was renamed before its text came or its data bar was read has them under its new name only.
    """
    return bool(connection.scalar(_TOLD_AS_ANOTHER, {"frame": frame_id, "target": match.target}))


def _is_new(connection: Connection, frame_id: int, match: Match, made_at: datetime) -> bool:
    row = {"frame_id": frame_id, "target": match.target, "reason": match.reason, "made_at": made_at}
    return connection.execute(_ADD_MATCH, row).rowcount > 0


def _queue(connection: Connection, frame: Row[Any], match: Match, made_at: datetime) -> int:
    rows = [
        {
            "key": row_values.alert_key(frame.path, frame.sha256, match.target, channel),
            "frame_id": frame.id,
            "channel": channel,
            "target": match.target,
            "reason": match.reason,
            "state": "pending",
            "next_try_at": made_at,
            "created_at": made_at,
        }
        for channel in match.channels
    ]
    return sum(connection.execute(_ADD_ALERT, row).rowcount for row in rows)


_PENDING: Final = alerts.c.state == "pending"

_WITH_FRAME: Final = select(
    alerts,
    frames.c.path,
    frames.c.sha256,
    frames.c.recorded_at,
    predictions.c.category,
    predictions.c.probability,
    acquisition.c.magnification,
    acquisition.c.stage_tilt_deg,
    acquisition.c.stage_x_mm,
    acquisition.c.stage_y_mm,
    acquisition.c.pixel_size_nm,
    acquisition.c.data_bar_height_px,
).select_from(
    alerts.join(frames, frames.c.id == alerts.c.frame_id)
    .outerjoin(predictions, (predictions.c.frame_id == frames.c.id) & predictions.c.newest)
    .outerjoin(acquisition, acquisition.c.frame_id == frames.c.id)
)


def is_due(channel: str, now: datetime, not_after: datetime | None) -> ColumnElement[bool]:
    """Return the condition for a channel's alerts that are due; a next try later than ``not_after`` is due as well."""
    when = alerts.c.next_try_at <= now
    if not_after is not None:
        when = or_(when, alerts.c.next_try_at > not_after)
    return and_(_PENDING, alerts.c.channel == channel, when)


def due(
    connection: Connection, channel: str, now: datetime, limit: int, not_after: datetime | None
) -> tuple[Alert, ...]:
    """Return a channel's alerts that are due, oldest first, whatever the policy says."""
    which = _WITH_FRAME.where(is_due(channel, now, not_after)).order_by(alerts.c.id).limit(limit)
    return tuple(map(_alert, connection.execute(which)))


def by_id(connection: Connection, ids: Sequence[int]) -> tuple[Alert, ...]:
    """Return alerts by their numbers, the most probable first."""
    wanted = func.json_each(json.dumps(list(ids))).table_valued("value")
    which = _WITH_FRAME.where(alerts.c.id.in_(select(wanted.c.value)))
    best_first = which.order_by(func.coalesce(predictions.c.probability, 0).desc(), alerts.c.id)
    return tuple(map(_alert, connection.execute(best_first)))


def _alert(row: Row[Any]) -> Alert:
    return Alert(
        id=row.id,
        key=row.key,
        channel=row.channel,
        target=row.target,
        reason=row.reason,
        frame_id=row.frame_id,
        path=text_to_path(row.path),
        category=row.category or "",
        probability=row.probability or 0.0,
        magnification=row.magnification,
        stage_tilt_deg=row.stage_tilt_deg,
        recorded_at=instant(row.recorded_at),
        queued_at=instant(row.created_at),
        attempts=row.attempts,
        sha256=row.sha256,
        stage_x_mm=row.stage_x_mm,
        stage_y_mm=row.stage_y_mm,
        pixel_size_nm=row.pixel_size_nm,
        data_bar_height_px=row.data_bar_height_px,
    )


def next_at(connection: Connection, channel: str, *, passed_on: bool = False) -> datetime | None:
    """
    Return when the next alert of a channel is due, ``None`` if none waits.

    ``passed_on``: what nobody acknowledges goes to this channel, and waits for its time as well.
    """
    soonest = select(func.min(alerts.c.next_try_at, type_=alerts.c.next_try_at.type))
    questions = [soonest.where(_PENDING, alerts.c.channel == channel)]
    if passed_on:
        questions.append(select(func.min(alerts.c.escalate_at, type_=alerts.c.escalate_at.type)))
    times: list[datetime | None] = [connection.scalar(each) for each in questions]
    return min((each for each in times if each is not None), default=None)


def settle(connection: Connection, alert_id: int, **values: Any) -> int:
    """Record one more attempt at a waiting alert, or at all of its digest. Returns 0 if it no longer waits."""
    of_it = select(alerts.c.digest).where(alerts.c.id == alert_id).scalar_subquery()
    together = and_(alerts.c.digest != "", alerts.c.digest == of_it)
    return connection.execute(
        update(alerts)
        .where(_PENDING, or_(alerts.c.id == alert_id, together))
        .values(attempts=alerts.c.attempts + 1, **values)
    ).rowcount


def make_due(connection: Connection, channel: str, now: datetime) -> None:
    """Make all waiting alerts of a channel due: it takes alerts again."""
    connection.execute(
        update(alerts).where(_PENDING, alerts.c.channel == channel, alerts.c.next_try_at > now).values(next_try_at=now)
    )
