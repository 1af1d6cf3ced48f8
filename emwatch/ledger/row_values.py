"""What is written into the columns: pure functions from an outcome to the values of its rows."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from emwatch.frame import (
    CATEGORIES,
    FIELDS,
    AcquisitionMetadata,
    FieldKind,
    Prediction,
    Reading,
    Sidecar,
    StatKey,
    path_to_text,
)
from emwatch.ledger.column_types import moment_of_ns

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sqlalchemy import Row

    from emwatch.frame import Outcome

#: Longer texts of an instrument are cut: no value anybody reads is longer, and damaged headers hold megabytes.
_LONGEST_RAW: Final = 1000
#: Digits of a number from which on it may not fit into 64 bits.
_LONGEST_NUMBER: Final = 19

Values = dict[str, Any]


def path_text(path: Path) -> str:
    """Return the absolute path as the ledger stores it."""
    return path_to_text(path if path.is_absolute() else path.absolute())


def row_number(text: str) -> int | None:
    """Return the number of a row, or the place of one, that a text states; ``None`` if it states none that SQLite keeps."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _LONGEST_NUMBER else None


def stat_key_text(key: StatKey | None) -> str | None:
    """Write a stat key as one text, exact at any size of inode and time."""
    return None if key is None else f"{key.size}:{key.mtime_ns}:{key.ctime_ns}:{key.inode}"


def stat_key_from(text: str | None) -> StatKey | None:
    """Read a stat key written by `stat_key_text`."""
    return None if text is None else StatKey(*map(int, text.split(":")))


def moment_of_text(text: str | None) -> datetime | None:
    """Return the moment of an ``acquired_at``; without an offset it is taken as this machine's local time."""
    try:
        moment = None if text is None else datetime.fromisoformat(text)
        return moment if moment is None or moment.tzinfo is not None else moment.astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def stat_values(key: StatKey | None) -> Values:
    """Return the columns of a frame that come from its stat."""
    return {
        "stat_key": stat_key_text(key),
        "size_bytes": None if key is None else key.size,
        "file_modified_at": None if key is None else moment_of_ns(key.mtime_ns),
    }


def frame_values(outcome: Outcome, recorded_at: datetime) -> Values:
    """Return the columns of a frame that a new outcome sets."""
    reading = outcome.reading
    return {
        "sha256": outcome.sha256,
        "state": outcome.state,
        "code": outcome.code,
        "reason": outcome.reason,
        "image_format": None if reading is None else reading.image_format,
        "width": None if reading is None else reading.width,
        "height": None if reading is None else reading.height,
        "pixel_type": None if reading is None else reading.pixel_type,
        "pages": None if reading is None else reading.pages,
        "first_seen_at": outcome.first_seen_at or recorded_at,
        "recorded_at": recorded_at,
        "retry_at": None,
        **stat_values(outcome.stat_key),
    }


def metadata_values(metadata: AcquisitionMetadata) -> Values:
    """Return the columns of the metadata table: one typed value per field, and their sources."""
    return {
        "vendor": metadata.vendor,
        **{name: _typed(metadata, name) for name in FIELDS},
        "flags": list(metadata.flags),
        "readings": {
            name: {
                "raw": _cut(reading.raw),
                "source": reading.source,
                "computed": reading.computed,
                "reason": _cut(reading.reason),
            }
            for name, reading in metadata.readings.items()
        },
        "sidecar": None if metadata.sidecar is None else asdict(metadata.sidecar),
        "sidecar_cut": metadata.sidecar is not None and metadata.sidecar.cut,
    }


def metadata_of(row: Row[Any]) -> AcquisitionMetadata:
    """Read a row of the metadata table back."""
    readings = {
        name: Reading(getattr(row, name), each["raw"], each["source"], each["computed"], each["reason"])
        for name, each in row.readings.items()
        if name in FIELDS
    }
    sidecar = None if row.sidecar is None else Sidecar(**row.sidecar)
    return AcquisitionMetadata(row.vendor, readings, tuple(row.flags), sidecar)


def _typed(metadata: AcquisitionMetadata, name: str) -> float | str | bool | None:
    match FIELDS[name].kind:
        case FieldKind.NUMBER:
            number = metadata.number(name)
            return number if number is not None and math.isfinite(number) else None
        case FieldKind.FLAG:
            value = metadata.value(name)
            return value if isinstance(value, bool) else None
        case _:
            text = metadata.text(name)
            return None if text is None else _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_RAW else f"{text[:_LONGEST_RAW]}…"


def prediction_values(prediction: Prediction, made_at: datetime) -> Values:
    """Return the columns of a prediction."""
    return {
        "bundle_sha256": prediction.bundle_sha256,
        "category": prediction.category,
        "probability": prediction.probability,
        "margin": prediction.margin,
        "uncertain": prediction.uncertain,
        "novelty": prediction.novelty,
        "scores": in_order(prediction.scores),
        "made_at": made_at,
    }


def prediction_of(row: Row[Any]) -> Prediction:
    """Read a row of the predictions table back."""
    return Prediction(
        row.category, row.probability, row.scores, row.uncertain, row.margin, row.bundle_sha256, row.novelty
    )


def in_order(scores: Mapping[str, float]) -> dict[str, float]:
    """Return scores in the order of the categories."""
    return {name: float(scores[name]) for name in CATEGORIES if name in scores}


def alert_key(path: str, sha256: str, target: str, channel: str) -> str:
    """Return the idempotency key of an alert: the same for the same content, place, target and channel, for ever."""
    return hashlib.sha256(json.dumps([path, sha256, target, channel]).encode("ascii")).hexdigest()[:32]
