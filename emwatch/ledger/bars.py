"""Frames that wait for their data bar, and what it adds to their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, exists, select, text, update

from emwatch.frame import FrameState, text_to_path
from emwatch.ledger import row_values
from emwatch.ledger.candidates import BEYOND_ALL, candidate
from emwatch.ledger.outbox import AlertRules, Queued, write_matches
from emwatch.ledger.schema import BAR_UNREAD, acquisition, frames

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from emwatch.frame import AcquisitionMetadata, Candidate, Match

_of = frames.alias("of")
_CURRENT: Final = (frames.c.superseded_by.is_(None), frames.c.state == FrameState.RECORDED)

_COLUMNS: Final = select(frames.c.id, frames.c.path, frames.c.sha256, frames.c.recorded_at)
_UNREAD: Final = _COLUMNS.join(acquisition, acquisition.c.frame_id == frames.c.id).where(*_CURRENT, text(BAR_UNREAD))
#: As a question within a question: for a plain join, SQLite's planner would go through all frames.
NEWEST_UNREAD: Final = _COLUMNS.where(
    frames.c.id
    == select(acquisition.c.frame_id)
    .where(
        text(BAR_UNREAD),
        acquisition.c.frame_id < bindparam("before_id"),
        exists().where(
            _of.c.id == acquisition.c.frame_id, _of.c.superseded_by.is_(None), _of.c.state == FrameState.RECORDED
        ),
    )
    .order_by(acquisition.c.frame_id.desc())
    .limit(1)
    .scalar_subquery()
)
_OF_FRAME: Final = _UNREAD.where(acquisition.c.frame_id == bindparam("of_frame"))
_METADATA: Final = select(acquisition).where(
    acquisition.c.frame_id == bindparam("of_frame"), acquisition.c.bar_read_at.is_(None)
)
_CHANGE_METADATA: Final = update(acquisition).where(acquisition.c.frame_id == bindparam("of_frame"))


@dataclass(frozen=True, slots=True)
class UnreadBar:
    """A recorded frame, current at its path, whose data bar was not tried yet."""

    frame_id: int
    path: Path
    sha256: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class BarFindings:
    """
    What a data bar means for a frame, asked within the transaction.

    ``completed``: from the frame's metadata as stored to those with the bar's; ``matched``: from the frame with those to
    the targets it meets.
    """

    completed: Callable[[AcquisitionMetadata], AcquisitionMetadata]
    matched: Callable[[Candidate], tuple[Match, ...]]


def unread(connection: Connection, *, of_frame: int | None, before_id: int | None) -> UnreadBar | None:
    """Return this frame if its bar is unread, or the newest such frame, below ``before_id`` if it is given."""
    if of_frame is not None:
        row = connection.execute(_OF_FRAME, {"of_frame": of_frame}).first()
    else:
        row = connection.execute(NEWEST_UNREAD, {"before_id": BEYOND_ALL if before_id is None else before_id}).first()
    return None if row is None else UnreadBar(row.id, text_to_path(row.path), row.sha256, row.recorded_at)


def write_bar(
    connection: Connection, frame_id: int, findings: BarFindings, read_at: datetime, rules: AlertRules
) -> Queued:
    """Complete a frame's metadata and add the matches and alerts that follow; does nothing a second time."""
    stored = connection.execute(_METADATA, {"of_frame": frame_id}).one_or_none()
    if stored is None:
        return Queued()
    metadata = findings.completed(row_values.metadata_of(stored))
    values = {**row_values.metadata_values(metadata), "bar_read_at": read_at}
    values = {
        name: value for name, value in values.items() if not name.startswith("sidecar")
    }  # a bar says nothing of it
    connection.execute(_CHANGE_METADATA, {"of_frame": frame_id, **values})
    frame = candidate(connection, frame_id)
    if frame is None:
        return Queued()
    return write_matches(connection, frame_id, findings.matched(frame), read_at, rules)
