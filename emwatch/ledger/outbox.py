"""The outbox's rows: alerts that are due, and what became of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, or_, select, update

from emwatch.frame import Alert, text_to_path
from emwatch.ledger.column_types import instant
from emwatch.ledger.schema import acquisition, alerts, frames, predictions

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

_PENDING: Final = alerts.c.state == "pending"

_WITH_FRAME: Final = (
    select(
        alerts,
        frames.c.path,
        frames.c.recorded_at,
        predictions.c.category,
        predictions.c.probability,
        acquisition.c.magnification,
        acquisition.c.stage_tilt_deg,
    )
    .select_from(
        alerts.join(frames, frames.c.id == alerts.c.frame_id)
        .outerjoin(predictions, (predictions.c.frame_id == frames.c.id) & predictions.c.newest)
        .outerjoin(acquisition, acquisition.c.frame_id == frames.c.id)
    )
    .where(_PENDING)
    .order_by(alerts.c.id)
)


def due(
    connection: Connection, channel: str, now: datetime, limit: int, not_after: datetime | None
) -> tuple[Alert, ...]:
    """Give a channel's alerts that are due, oldest first; a next try later than ``not_after`` is due as well."""
    when = alerts.c.next_try_at <= now
    if not_after is not None:
        when = or_(when, alerts.c.next_try_at > not_after)
    rows = connection.execute(_WITH_FRAME.where(alerts.c.channel == channel, when).limit(limit))
    return tuple(
        Alert(
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
            recorded_at=instant(row.created_at),
            attempts=row.attempts,
        )
        for row in rows
    )


def next_at(connection: Connection, channel: str) -> datetime | None:
    """Give when the next alert of a channel is due, ``None`` where none waits."""
    found: datetime | None = connection.scalar(
        select(func.min(alerts.c.next_try_at, type_=alerts.c.next_try_at.type)).where(
            _PENDING, alerts.c.channel == channel
        )
    )
    return found


def settle(connection: Connection, alert_id: int, **values: Any) -> int:
    """Note one more attempt at a waiting alert; give 0 where it no longer waits."""
    return connection.execute(
        update(alerts).where(_PENDING, alerts.c.id == alert_id).values(attempts=alerts.c.attempts + 1, **values)
    ).rowcount


def make_due(connection: Connection, channel: str, now: datetime) -> None:
    """End the waiting of a channel's alerts: it takes alerts again."""
    connection.execute(
        update(alerts).where(_PENDING, alerts.c.channel == channel, alerts.c.next_try_at > now).values(next_try_at=now)
    )
