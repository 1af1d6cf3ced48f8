"""Recorded frames as targets see them, and the targets that want several of the last frames."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, or_, select

from emwatch.frame import Candidate, FrameState, text_to_path
from emwatch.ledger import embeddings, row_values
from emwatch.ledger.schema import acquisition, frames, predictions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection

    from emwatch.frame import Match

#: No frame has a greater number.
BEYOND_ALL: Final = 2**63 - 1

#: Copies and what was overwritten are no frames of their own. By number: SQLite's planner would sort the index of states.
_FRAMES: Final = (
    select(frames.c.id, frames.c.path, frames.c.file_modified_at)
    .with_hint(frames, "NOT INDEXED", "sqlite")
    .where(
        frames.c.state == FrameState.RECORDED,
        or_(
            frames.c.id == bindparam("of_frame"),
            frames.c.superseded_by.is_(None) & frames.c.duplicate_of.is_(None),
        ),
    )
    .limit(bindparam("count"))
)
_UP_TO: Final = _FRAMES.where(frames.c.id <= bindparam("of_frame")).order_by(frames.c.id.desc())
_AFTER: Final = _FRAMES.where(frames.c.id > bindparam("of_frame")).order_by(frames.c.id)
_METADATA: Final = select(acquisition).where(acquisition.c.frame_id == bindparam("of_frame"))
_PREDICTION: Final = select(predictions).where(predictions.c.frame_id == bindparam("of_frame"), predictions.c.newest)


def candidate(connection: Connection, frame_id: int) -> Candidate | None:
    """Return a recorded frame as targets see it, ``None`` if it was not classified."""
    row = connection.execute(_UP_TO, {"of_frame": frame_id, "count": 1}).first()
    return None if row is None or row.id != frame_id else _candidate(connection, row)


def last(connection: Connection, frame_id: int, count: int) -> list[Candidate]:
    """Return up to ``count`` frames before a frame, the oldest first."""
    rows = connection.execute(_UP_TO, {"of_frame": frame_id, "count": count + 1}).all()
    before = [_candidate(connection, row) for row in reversed(rows) if row.id != frame_id]
    return [each for each in before[-count:] if each is not None]


def completed(connection: Connection, frame_id: int, found: Iterable[Match]) -> Iterator[tuple[int, Match]]:
    """
    Yield the matches of a frame that other frames do not hold up, and those of later frames that it completes.

    ``found``: what the frame meets by itself. What the ledger holds decides, so a restart changes nothing; and values that
    came late may complete the match of a frame that was recorded meanwhile.
    """
    for match in found:
        if match.among is None:
            yield frame_id, match
            continue
        width = match.among.frames
        rows = [
            *reversed(connection.execute(_UP_TO, {"of_frame": frame_id, "count": width}).all()),
            *connection.execute(_AFTER, {"of_frame": frame_id, "count": width - 1}),
        ]
        met = [_matched(connection, row, match) for row in rows]
        for at, (row, own) in enumerate(zip(rows, met, strict=True)):
            count = sum(each is not None for each in met[max(0, at + 1 - width) : at + 1])
            if row.id >= frame_id and own is not None and count >= match.among.at_least:
                yield row.id, replace(own, reason=f"{own.reason}, {match.among.counted(count)}")


def _matched(connection: Connection, row: Any, match: Match) -> Match | None:
    seen = _candidate(connection, row)
    return None if match.among is None or seen is None else match.among.match(seen)


def _candidate(connection: Connection, row: Any) -> Candidate | None:
    of = {"of_frame": row.id}
    metadata = connection.execute(_METADATA, of).one_or_none()
    said = connection.execute(_PREDICTION, of).one_or_none()
    if metadata is None or said is None:
        return None
    return Candidate(
        replace(row_values.prediction_of(said), embedding=embeddings.newest(connection, row.id)),
        row_values.metadata_of(metadata),
        text_to_path(row.path),
        row.file_modified_at,
    )
