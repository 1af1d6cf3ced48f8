"""An alert as plain values and as texts, the same on every channel."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from emwatch.frame import path_to_text

if TYPE_CHECKING:
    from emwatch.frame import Alert


def as_document(alert: Alert) -> dict[str, str | float | int | None]:
    """Return an alert as a JSON-ready document; the path as UTF-8 text (see `emwatch.frame.path_to_text`)."""
    return {
        "key": alert.key,
        "target": alert.target,
        "channel": alert.channel,
        "reason": alert.reason,
        "path": path_to_text(alert.path),
        "frame_id": alert.frame_id,
        "category": alert.category,
        "probability": alert.probability,
        "magnification": alert.magnification,
        "stage_tilt_deg": alert.stage_tilt_deg,
        "recorded_at": alert.recorded_at,
        "queued_at": alert.queued_at,
        "attempt": alert.attempts + 1,
    }


def as_words(alert: Alert) -> dict[str, str]:
    """Return the values of an alert as texts for arguments and environment; an unknown number is empty, the path is the real one."""
    words = {name: "" if value is None else str(value) for name, value in as_document(alert).items()}
    words["path"] = os.fspath(alert.path)
    words["probability"] = f"{alert.probability:.2f}"
    words["magnification"] = "" if alert.magnification is None else f"{alert.magnification:.0f}"
    # A program's arguments and environment end at a NUL.
    return {name: word.replace("\0", "") for name, word in words.items()}
