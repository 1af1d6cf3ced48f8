"""What a report tells of a selection beside its rows: what became of its alerts, and which models judged it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select, text

from emwatch.ledger.choosing import frame_ids
from emwatch.ledger.schema import alerts, bundles, frames, predictions

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from emwatch.ledger.filters import LogFilter


@dataclass(frozen=True, slots=True)
class Delivery:
    """An alert of a frame on one channel; the waits are in seconds, ``None`` while it was not delivered."""

    frame_id: int
    channel: str
    target: str
    state: str
    held: str
    attempts: int
    last_error: str
    queued_at: datetime
    delivered_at: datetime | None
    written_at: datetime | None  #: when the frame's file was complete

    @property
    def seconds(self) -> float | None:
        """From the complete file, or from the queue if that is not known, to the operator."""
        if self.delivered_at is None:
            return None
        return max(0.0, (self.delivered_at - (self.written_at or self.queued_at)).total_seconds())


@dataclass(frozen=True, slots=True)
class ModelUse:
    """A model bundle, and of how many frames its prediction is the newest."""

    name: str
    sha256: str
    frames: int


def deliveries(connection: Connection, wanted: LogFilter) -> list[Delivery]:
    """Return the alerts of the wanted frames, the oldest first."""
    question = (
        select(
            *(alerts.c.frame_id, alerts.c.channel, alerts.c.target, alerts.c.state, alerts.c.held),
            *(alerts.c.attempts, alerts.c.last_error, alerts.c.created_at.label("queued_at"), alerts.c.delivered_at),
            frames.c.file_modified_at.label("written_at"),
        )
        .join(frames, frames.c.id == alerts.c.frame_id)
        .where(alerts.c.frame_id.in_(frame_ids(wanted)))
        .order_by(alerts.c.id)
    )
    return [Delivery(**row._mapping) for row in connection.execute(question)]  # noqa: SLF001 - SQLAlchemy's public name


def models_used(connection: Connection, wanted: LogFilter) -> list[ModelUse]:
    """Return the models whose predictions count for the wanted frames, the most used first."""
    number = func.count().label("frames")
    question = (
        select(bundles.c.name, bundles.c.sha256, number)
        .join(predictions, predictions.c.bundle_sha256 == bundles.c.sha256)
        .where(predictions.c.newest, predictions.c.frame_id.in_(frame_ids(wanted)))
        .group_by(bundles.c.sha256)
        .order_by(number.desc(), bundles.c.sha256)
    )
    return [ModelUse(**row._mapping) for row in connection.execute(question)]  # noqa: SLF001 - SQLAlchemy's public name


def first_used_at(connection: Connection) -> datetime | None:
    """
    Return when a frame was first classified for this ledger, ``None`` if none was: another ledger under its name differs.

    It is of the bundle whose row is the first: what is merged comes behind it.
    """
    return connection.execute(select(bundles.c.first_used_at).order_by(text("rowid")).limit(1)).scalar()
