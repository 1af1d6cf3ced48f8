"""Where frames were taken: their stage positions and what a map shows of them, ten thousand at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from emwatch.frame import text_to_path
from emwatch.ledger.choosing import chosen_by
from emwatch.ledger.dialects import json_list
from emwatch.ledger.schema import acquisition, frames, matches, predictions
from emwatch.stage import Placement

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection, Row

    from emwatch.ledger.filters import LogFilter


@dataclass(frozen=True, slots=True)
class Position:
    """A frame of a selection with where it was taken; ``placement`` may lack the stage position."""

    frame_id: int
    path: Path
    sha256: str
    recorded_at: datetime
    category: str | None
    probability: float | None
    uncertain: bool | None
    magnification: float | None
    targets: tuple[str, ...]
    placement: Placement


_TARGETS: Final = (
    select(json_list(matches.c.target))
    .where(matches.c.frame_id == frames.c.id)
    .correlate(frames)
    .scalar_subquery()
    .label("targets")
)
_OF_THE_PICTURE: Final = {"width_px": frames.c.width, "height_px": frames.c.height}
_PLACED: Final = tuple(
    (_OF_THE_PICTURE[name] if name in _OF_THE_PICTURE else acquisition.c[name]).label(f"at_{name}")
    for name in (each.name for each in fields(Placement))
)
_SHOWN: Final = (
    *(frames.c.id, frames.c.path, frames.c.sha256, frames.c.recorded_at),
    *(predictions.c.category, predictions.c.probability, predictions.c.uncertain),
    *(acquisition.c.magnification, _TARGETS),
)


def positions(connection: Connection, wanted: LogFilter) -> list[Position]:
    """Return the frames that a filter chooses, in its order."""
    chosen = chosen_by(connection, wanted).subquery("chosen")
    newest = (predictions.c.frame_id == chosen.c.frame_id) & predictions.c.newest
    question = select(*_SHOWN, *_PLACED).select_from(
        chosen.join(frames, frames.c.id == chosen.c.frame_id)
        .outerjoin(predictions, newest)
        .outerjoin(acquisition, acquisition.c.frame_id == chosen.c.frame_id)
    )
    times = (chosen.c.at_us, chosen.c.frame_id)
    question = question.order_by(*(each.desc() if wanted.newest_first else each.asc() for each in times))
    return [_position(row) for row in connection.execute(question)]


def _position(row: Row[Any]) -> Position:
    frame_id, path, sha256, recorded_at, category, probability, uncertain, magnification, targets = row[: len(_SHOWN)]
    return Position(
        frame_id=frame_id,
        path=text_to_path(path),
        sha256=sha256,
        recorded_at=recorded_at,
        category=category,
        probability=probability,
        uncertain=uncertain,
        magnification=magnification,
        targets=tuple(sorted(json.loads(targets))),
        placement=Placement(*row[len(_SHOWN) :]),
    )
