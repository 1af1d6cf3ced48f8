"""Rows of the ledger as plain data: what the JSON API sends and the templates show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from emwatch.frame import CATEGORIES, FIELDS, path_to_text
from emwatch.pictures.cache import picture_version
from emwatch.pictures.scale_bar import scale_bar
from emwatch.readers.value_text import value_text

if TYPE_CHECKING:
    from emwatch.frame import AcquisitionMetadata
    from emwatch.ledger.query import LogRow, ReviewRow
    from emwatch.ledger.session_rows import NoteRow
    from emwatch.ledger.tellings import AlertRow

_PLAIN: Final = (
    *("id", "sha256", "code", "reason", "size_bytes", "attempts", "duplicate_of", "supersedes", "superseded_by"),
    *("session", "category", "probability", "uncertain", "margin", "novelty", "bundle_sha256", "vendor"),
    *("magnification", "stage_tilt_deg", "working_distance_mm", "accelerating_voltage_kv", "pixel_size_nm"),
    *("detector", "acquired_at", "reviewed"),
)


def frame_document(row: LogRow) -> dict[str, Any]:
    """Return a row of the log as plain data; units are part of the names, unknown is ``None``."""
    return {
        **{name: getattr(row, name) for name in _PLAIN},
        "path": path_to_text(row.path),
        "name": path_to_text(row.path.name),
        "folder": path_to_text(row.path.parent),
        "state": row.state.value,
        "recorded_at": row.recorded_at.isoformat(),
        "file_modified_at": None if row.file_modified_at is None else row.file_modified_at.isoformat(),
        "targets": list(row.targets),
        "scores": scores_document(row.scores or {}),
        "picture_version": picture_version(row.sha256, row.pixel_size_nm),
    }


def scores_document(scores: Any) -> list[dict[str, Any]]:
    """Return the ten scores, the likeliest first."""
    known = [{"category": name, "probability": scores[name]} for name in CATEGORIES if name in scores]
    return sorted(known, key=lambda each: -each["probability"])


def metadata_document(metadata: AcquisitionMetadata | None) -> list[dict[str, Any]]:
    """Return every reading, as a value and for people, with the text it came from, in the order of `FIELDS`."""
    if metadata is None:
        return []
    return [
        {
            "name": name,
            "title": field.title,
            "value": found.value,
            "text": value_text(name, found),
            "raw": found.raw,
            "source": found.source,
            "computed": found.computed,
            "reason": found.reason,
        }
        for name, field in FIELDS.items()
        if (found := metadata.readings.get(name)) is not None
    ]


def review_document(review: ReviewRow) -> dict[str, Any]:
    """Return a review as plain data."""
    return {
        "verdict": review.verdict.value,
        "category": review.category,
        "reviewed_by": review.reviewed_by,
        "reviewed_at": review.reviewed_at.isoformat(),
        "note": review.note,
        "counts": review.counts,
    }


def note_document(note: NoteRow) -> dict[str, Any]:
    """Return a note as plain data."""
    return {"text": note.text, "written_by": note.written_by, "written_at": note.written_at.isoformat()}


def alert_document(alert: AlertRow) -> dict[str, Any]:
    """Return an alert as plain data."""
    times = ("created_at", "next_try_at", "delivered_at", "acknowledged_at")
    found = {**alert.document(), "name": path_to_text(alert.path.name)}
    return {name: value.isoformat() if name in times and value else value for name, value in found.items()}


def scale_bar_document(frame_width_px: int, pixel_size_nm: float | None) -> dict[str, Any] | None:
    """Return the scale bar of a frame shown at any size: its label, and its share of the picture's width."""
    bar = scale_bar(frame_width_px, pixel_size_nm)
    return None if bar is None else {"label": bar.label, "share": bar.length_px / frame_width_px}
