"""What another bundle says of recorded frames: which ones it has not judged yet, and its predictions beside the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, func, or_, select

from emwatch.frame import text_to_path
from emwatch.ledger.candidates import candidate
from emwatch.ledger.choosing import frame_ids
from emwatch.ledger.outbox import AlertRules, Queued, write_matches
from emwatch.ledger.recording import write_embedding, write_prediction
from emwatch.ledger.schema import embeddings, frames, predictions

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import ColumnElement, Connection, Select

    from emwatch.frame import Candidate, Match, Prediction
    from emwatch.ledger.filters import LogFilter

    Matched = Callable[[Candidate], tuple[Match, ...]]

_JUDGED: Final = select(predictions.c.id).where(
    predictions.c.frame_id == bindparam("of_frame"), predictions.c.bundle_sha256 == bindparam("of_bundle")
)


@dataclass(frozen=True, slots=True)
class Unjudged:
    """
    A recorded frame of which a bundle has said nothing yet, or that has no embedding.

    ``category`` is what the newest prediction says; ``judged``: only the embedding is missing.
    """

    frame_id: int
    path: Path
    sha256: str
    category: str | None
    judged: bool = False


def unjudged(
    connection: Connection,
    wanted: LogFilter,
    bundle_sha256: str,
    space_sha256: str | None,
    *,
    before_id: int | None,
    limit: int,
) -> list[Unjudged]:
    """Return up to ``limit`` such frames below ``before_id``, the highest numbers first."""
    newest = (
        select(predictions.c.category)
        .where(predictions.c.frame_id == frames.c.id, predictions.c.newest)
        .correlate(frames)
        .scalar_subquery()
    )
    judged = select(predictions.c.id).where(
        predictions.c.frame_id == frames.c.id, predictions.c.bundle_sha256 == bundle_sha256
    )
    question = _without(wanted, bundle_sha256, space_sha256).add_columns(
        frames.c.path, frames.c.sha256, newest.label("category"), judged.correlate(frames).exists().label("judged")
    )
    if before_id is not None:
        question = question.where(frames.c.id < before_id)
    rows = connection.execute(question.order_by(frames.c.id.desc()).limit(limit))
    return [Unjudged(row.id, text_to_path(row.path), row.sha256, row.category, bool(row.judged)) for row in rows]


def count_unjudged(connection: Connection, wanted: LogFilter, bundle_sha256: str, space_sha256: str | None) -> int:
    """Count all such frames."""
    question = _without(wanted, bundle_sha256, space_sha256).subquery()
    return connection.scalar(select(func.count()).select_from(question)) or 0


def add_prediction(
    connection: Connection,
    frame_id: int,
    prediction: Prediction,
    made_at: datetime,
    matched: Matched | None,
    rules: AlertRules,
) -> Queued:
    """Add a prediction, and the matches and alerts that ``matched`` finds by it; what is there already stays."""
    of = {"of_frame": frame_id, "of_bundle": prediction.bundle_sha256}
    if connection.execute(_JUDGED, of).first() is not None:
        if prediction.embedding is not None:
            write_embedding(connection, frame_id, prediction.embedding)
        return Queued()
    write_prediction(connection, frame_id, prediction, made_at)
    frame = None if matched is None else candidate(connection, frame_id)
    if matched is None or frame is None:
        return Queued()
    return write_matches(connection, frame_id, matched(frame), made_at, rules)


def _without(wanted: LogFilter, bundle_sha256: str, space_sha256: str | None) -> Select[tuple[int]]:
    judged = select(predictions.c.frame_id).where(predictions.c.bundle_sha256 == bundle_sha256)
    lacking: ColumnElement[bool] = frames.c.id.not_in(judged)
    if space_sha256 is not None:
        embedded = select(embeddings.c.frame_id).where(embeddings.c.space_sha256 == space_sha256)
        lacking = or_(lacking, frames.c.id.not_in(embedded))
    return select(frames.c.id).where(frames.c.id.in_(frame_ids(wanted)), frames.c.sha256 != "", lacking)
