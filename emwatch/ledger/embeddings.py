"""Questions about stored embeddings; the vectors come as bytes, whoever asks makes numbers of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from emwatch.frame import Embedding, EmbeddingSpace, text_to_path
from emwatch.ledger.column_types import instant
from emwatch.ledger.database import driver_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

#: Each frame by its number: SQLite's planner would take the index of states, and walk it for every embedding.
_STORED: Final = (
    "SELECT e.frame_id, e.vector FROM embeddings AS e CROSS JOIN frames AS f NOT INDEXED ON f.id = e.frame_id"
    " WHERE e.space_sha256 = ? AND f.superseded_by IS NULL AND f.state = 'recorded'"
    # a damaged row would shift all that come after it
    " AND length(e.vector) = (SELECT width FROM embedding_spaces WHERE sha256 = e.space_sha256)"
)
_NOT_A_HIT: Final = " AND NOT EXISTS (SELECT 1 FROM matches AS m WHERE m.frame_id = e.frame_id)"
_NEWEST: Final = (
    "SELECT s.sha256, s.backbone_sha256, s.projection_sha256, s.width, e.vector FROM embeddings AS e"
    " JOIN embedding_spaces AS s ON s.sha256 = e.space_sha256 WHERE e.frame_id = ? AND length(e.vector) = s.width ORDER BY e.id DESC LIMIT 1"
)
_FRAMES: Final = (
    "SELECT f.id, f.path, f.sha256, f.recorded_at, p.category, p.probability FROM frames AS f"
    " LEFT JOIN predictions AS p ON p.frame_id = f.id AND p.newest = 1"
    " WHERE f.id IN (SELECT value FROM json_each(?))"  # one parameter, however many frames: their number is limited
)


@dataclass(frozen=True, slots=True)
class StoredEmbeddings:
    """Embeddings of one space, the newest frames first: the frames' numbers, and one vector each."""

    frame_ids: tuple[int, ...]
    vectors: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """What is shown of a frame that was found."""

    frame_id: int
    path: Path
    sha256: str
    recorded_at: datetime
    category: str | None
    probability: float | None


def stored(
    connection: Connection,
    space_sha256: str,
    *,
    since: datetime | None = None,
    limit: int | None = None,
    no_hits: bool = False,
) -> StoredEmbeddings:
    """Return the embeddings of the frames recorded since a time; ``no_hits``: only of frames that met no target."""
    question, values = _STORED, [space_sha256]
    if since is not None:
        question += " AND f.recorded_at >= ?"
        values.append(instant(since))
    question += _NOT_A_HIT if no_hits else ""
    question += " ORDER BY e.frame_id DESC" + ("" if limit is None else f" LIMIT {int(limit)}")
    rows = driver_of(connection).execute(question, values).fetchall()
    return StoredEmbeddings(tuple(row[0] for row in rows), tuple(row[1] for row in rows))


def of_frame(connection: Connection, frame_id: int, space_sha256: str) -> bytes | None:
    """Return a frame's vector, ``None`` if it has none in this space."""
    question = "SELECT vector FROM embeddings WHERE frame_id = ? AND space_sha256 = ?"
    found = driver_of(connection).execute(question, (frame_id, space_sha256)).fetchone()
    return None if found is None else bytes(found[0])


def newest(connection: Connection, frame_id: int) -> Embedding | None:
    """Return the embedding of a frame that was made last, ``None`` if it has none."""
    found = driver_of(connection).execute(_NEWEST, (frame_id,)).fetchone()
    return None if found is None else Embedding(EmbeddingSpace(*found[:4]), bytes(found[4]))


def facts(connection: Connection, frame_ids: Sequence[int]) -> dict[int, FrameFacts]:
    """Return what is known of frames, by number."""
    rows: Iterable[tuple[int, str, str, str, str | None, float | None]]
    rows = driver_of(connection).execute(_FRAMES, (json.dumps(list(frame_ids)),))
    return {
        row[0]: FrameFacts(row[0], text_to_path(row[1]), row[2], datetime.fromisoformat(row[3]), row[4], row[5])
        for row in rows
    }
