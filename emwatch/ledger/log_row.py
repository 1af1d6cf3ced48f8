"""
The columns of the log: the one table of them, for the query, the view ``v_log`` and every output of ``emwatch log``.

Each field of `LogRow` carries its SQL. A new column is one line here, and one in a migration that makes the view anew.
"""

# ruff: noqa: RUF009 - the call is dataclasses.field, with the column as its metadata

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select, type_coerce
from sqlalchemy.types import NullType

from emwatch.frame import FrameState, text_to_path
from emwatch.ledger.dialects import json_list, lines
from emwatch.ledger.schema import acquisition, alerts, frames, matches, notes, predictions, reviews, sessions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import ColumnElement, Row

_TARGETS: Final = (
    select(json_list(matches.c.target)).where(matches.c.frame_id == frames.c.id).correlate(frames).scalar_subquery()
)
_REVIEWED: Final = (
    select(func.coalesce(reviews.c.category, reviews.c.verdict))
    .where(reviews.c.frame_id == frames.c.id)
    .order_by(reviews.c.reviewed_at.desc(), reviews.c.id.desc())
    .limit(1)
    .correlate(frames)
    .scalar_subquery()
)
_ALERTED: Final = (
    select(func.min(alerts.c.delivered_at))
    .where(alerts.c.frame_id == frames.c.id, alerts.c.state == "delivered")
    .correlate(frames)
    .scalar_subquery()
)
_NOTES: Final = (
    select(lines(notes.c.text, notes.c.written_at, notes.c.id))
    .where(notes.c.frame_id == frames.c.id, notes.c.replaced_by.is_(None), notes.c.text != "")
    .correlate(frames)
    .scalar_subquery()
)


def _is(column: ColumnElement[Any]) -> Any:
    return field(metadata={"column": column})


@dataclass(frozen=True, slots=True)
class LogRow:
    """One line of the log: a file, what the model says of it, how it was acquired, which targets it met."""

    id: int = _is(frames.c.id)
    path: Path = _is(frames.c.path)
    sha256: str = _is(frames.c.sha256)
    state: FrameState = _is(frames.c.state)
    code: str = _is(frames.c.code)
    reason: str = _is(frames.c.reason)
    recorded_at: datetime = _is(frames.c.recorded_at)
    file_modified_at: datetime | None = _is(frames.c.file_modified_at)
    size_bytes: int | None = _is(frames.c.size_bytes)
    attempts: int = _is(frames.c.attempts)
    duplicate_of: int | None = _is(frames.c.duplicate_of)
    supersedes: int | None = _is(frames.c.supersedes)
    superseded_by: int | None = _is(frames.c.superseded_by)
    session_id: int | None = _is(frames.c.session_id)
    session: str | None = _is(sessions.c.name)
    category: str | None = _is(predictions.c.category)
    probability: float | None = _is(predictions.c.probability)
    uncertain: bool | None = _is(predictions.c.uncertain)
    margin: float | None = _is(predictions.c.margin)
    novelty: float | None = _is(predictions.c.novelty)
    scores: Mapping[str, float] | None = _is(predictions.c.scores)
    bundle_sha256: str | None = _is(predictions.c.bundle_sha256)
    vendor: str | None = _is(acquisition.c.vendor)
    magnification: float | None = _is(acquisition.c.magnification)
    stage_tilt_deg: float | None = _is(acquisition.c.stage_tilt_deg)
    working_distance_mm: float | None = _is(acquisition.c.working_distance_mm)
    accelerating_voltage_kv: float | None = _is(acquisition.c.accelerating_voltage_kv)
    pixel_size_nm: float | None = _is(acquisition.c.pixel_size_nm)
    horizontal_field_width_um: float | None = _is(acquisition.c.horizontal_field_width_um)
    stage_x_mm: float | None = _is(acquisition.c.stage_x_mm)
    stage_y_mm: float | None = _is(acquisition.c.stage_y_mm)
    stage_z_mm: float | None = _is(acquisition.c.stage_z_mm)
    stage_rotation_deg: float | None = _is(acquisition.c.stage_rotation_deg)
    scan_rotation_deg: float | None = _is(acquisition.c.scan_rotation_deg)
    tilt_correction: bool | None = _is(acquisition.c.tilt_correction)
    detector: str | None = _is(acquisition.c.detector)
    acquired_at: str | None = _is(acquisition.c.acquired_at)
    instrument: str | None = _is(
        func.coalesce(func.nullif(frames.c.instrument_id, ""), acquisition.c.instrument, sessions.c.instrument)
    )
    operator: str | None = _is(func.coalesce(sessions.c.operator, acquisition.c.operator))  #: a session's goes first
    sample: str | None = _is(func.coalesce(sessions.c.sample, acquisition.c.sample))
    targets: tuple[str, ...] = _is(_TARGETS)
    alerted_at: datetime | None = _is(_ALERTED)  #: when an alert was first delivered
    reviewed: str | None = _is(_REVIEWED)  #: the category that a person named last; else ``reject`` or ``unsure``
    notes: str | None = _is(_NOTES)  #: what people wrote about the frame, one note a line


LOG_COLUMNS: Final = tuple(each.metadata["column"].label(each.name) for each in fields(LogRow))


def stored_columns(names: Iterable[str]) -> list[ColumnElement[Any]]:
    """Return columns of the log whose values come as the ledger stores them."""
    by_name = {each.name: each.metadata["column"] for each in fields(LogRow)}
    return [type_coerce(by_name[name], NullType()).label(name) for name in names]


def log_row(row: Row[Any]) -> LogRow:
    """Return a line of the log from a row of `LOG_COLUMNS`."""
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name
    values["path"] = text_to_path(row.path)
    values["state"] = FrameState(row.state)
    values["targets"] = tuple(sorted(json.loads(row.targets)))
    return LogRow(**values)
