"""What people say of frames: rows are added, never taken back, and of each frame the newest one counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, update
from sqlalchemy.dialects.sqlite import insert

from emwatch.errors import LedgerError
from emwatch.frame import FrameState, ReviewVerdict, text_to_path
from emwatch.ledger import row_values
from emwatch.ledger.choosing import frame_ids
from emwatch.ledger.schema import acquisition, frames, predictions, reviews, sessions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection, Row

    from emwatch.frame import Review
    from emwatch.ledger.filters import LogFilter

_FRAME: Final = (
    select(frames.c.id, frames.c.path, predictions.c.category)
    .select_from(frames.outerjoin(predictions, (predictions.c.frame_id == frames.c.id) & predictions.c.newest))
    .where(frames.c.state == FrameState.RECORDED)
)


class NoSuchFrameError(LedgerError):
    """A review is of a number that no recorded frame has."""


@dataclass(frozen=True, slots=True)
class ToReview:
    """A recorded frame; ``category`` is what its newest prediction says."""

    frame_id: int
    path: Path
    category: str | None


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """A review with the frame it is of; ``counts``: it is that frame's newest."""

    id: int
    frame_id: int
    path: Path
    sha256: str
    verdict: ReviewVerdict
    category: str | None
    reviewed_by: str
    reviewed_at: datetime
    note: str
    counts: bool
    session: str | None
    instrument: str | None  #: as the instrument names itself
    recorded_at: datetime


def write_reviews(connection: Connection, given: Sequence[Review], now: datetime) -> None:
    """
    Add reviews. Raises `NoSuchFrameError` for a number that no recorded frame has.

    Reviews of the same frames that are dated after ``now`` were made by a clock that was ahead: they get a time before the
    oldest of the given ones, so that they do not count instead of what was said after them.
    """
    asked = {each.frame_id for each in given}
    known = set(connection.scalars(select(frames.c.id).where(frames.c.id.in_(asked), frames.c.state == "recorded")))
    if unknown := sorted(asked - known):
        raise NoSuchFrameError(f"no recorded frame has number {', '.join(map(str, unknown))}: nothing was reviewed")
    rows = [
        {
            "frame_id": each.frame_id,
            "verdict": each.verdict,
            "category": each.category,
            "reviewed_by": each.reviewed_by,
            "reviewed_at": each.reviewed_at,
            "note": each.note,
        }
        for each in given
    ]
    if rows:
        _date_back(connection, asked, min(each.reviewed_at for each in given), now)
        same = [reviews.c.frame_id, reviews.c.reviewed_at, reviews.c.reviewed_by]
        connection.execute(insert(reviews).on_conflict_do_nothing(index_elements=same), rows)


def _date_back(connection: Connection, frame_ids: Iterable[int], before: datetime, now: datetime) -> None:
    ahead = select(reviews.c.id).where(reviews.c.frame_id.in_(frame_ids), reviews.c.reviewed_at > now)
    found = connection.scalars(ahead.order_by(reviews.c.reviewed_at, reviews.c.id)).all()
    for steps, number in zip(range(len(found), 0, -1), found, strict=True):
        moment = before - timedelta(microseconds=steps)
        connection.execute(update(reviews).where(reviews.c.id == number).values(reviewed_at=moment))


def frame_to_review(connection: Connection, frame: int | Path) -> ToReview | None:
    """Return the recorded frame with this number, or the current one at this path."""
    if isinstance(frame, int):
        question = _FRAME.where(frames.c.id == frame)
    else:
        question = _FRAME.where(frames.c.path == row_values.path_text(frame), frames.c.superseded_by.is_(None))
    row = connection.execute(question).one_or_none()
    return None if row is None else ToReview(row.id, text_to_path(row.path), row.category)


def of_frames(connection: Connection, wanted: LogFilter) -> list[ReviewRow]:
    """Return all reviews of the wanted frames, the newest first; the limit is of frames."""
    question = (
        select(
            reviews,
            frames.c.path,
            frames.c.sha256,
            acquisition.c.instrument,
            frames.c.recorded_at,
            sessions.c.name.label("session"),
        )
        .select_from(
            reviews.join(frames, frames.c.id == reviews.c.frame_id)
            .outerjoin(sessions, sessions.c.id == frames.c.session_id)
            .outerjoin(acquisition, acquisition.c.frame_id == frames.c.id)
        )
        .where(reviews.c.frame_id.in_(frame_ids(wanted)))
        .order_by(reviews.c.reviewed_at.desc(), reviews.c.id.desc())
    )
    return list(_with_the_counting_one(connection.execute(question)))


def _with_the_counting_one(rows: Iterable[Row[Any]]) -> Iterable[ReviewRow]:
    seen: set[int] = set()
    for row in rows:
        values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name
        values |= {"path": text_to_path(row.path), "verdict": ReviewVerdict(row.verdict)}
        yield ReviewRow(**values, counts=row.frame_id not in seen)
        seen.add(row.frame_id)
