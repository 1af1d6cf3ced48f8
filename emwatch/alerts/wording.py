"""An alert as plain values and as texts, the same on every channel."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from emwatch.escape import escaped
from emwatch.frame import path_to_text
from emwatch.units import degrees_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emwatch.alerts.alert import Alert


def digest_reason(best: Sequence[Alert], count: int) -> str:
    """Return the reason of a digest of ``count`` alerts: the best ones, and how many more there are."""
    shown = "; ".join(f"{path_to_text(each.path.name)} {each.category} {each.probability:.2f}" for each in best)
    more = f", and {count - len(best)} more" if count > len(best) else ""
    return f"{count} hits: {shown}{more}"


def as_document(alert: Alert) -> dict[str, Any]:
    """Return an alert as a JSON-ready document; the path is UTF-8 text (see `emwatch.frame.path_to_text`)."""
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
        "stage_x_mm": alert.stage_x_mm,
        "stage_y_mm": alert.stage_y_mm,
        "pixel_size_nm": alert.pixel_size_nm,
        "recorded_at": alert.recorded_at,
        "queued_at": alert.queued_at,
        "attempt": alert.attempts + 1,
        "count": alert.count,
        "best": [
            {
                "frame_id": each.frame_id,
                "path": path_to_text(each.path),
                "category": each.category,
                "probability": each.probability,
            }
            for each in alert.best
        ],
    }


def as_words(alert: Alert) -> dict[str, str]:
    """Return the values of an alert as texts for arguments and environment; an unknown number is empty, the path is the real one."""
    document = as_document(alert)
    document["best"] = " ".join(str(each["frame_id"]) for each in document["best"])
    words = {name: "" if value is None else str(value) for name, value in document.items()}
    words["path"] = os.fspath(alert.path)
    words["probability"] = f"{alert.probability:.2f}"
    words["magnification"] = "" if alert.magnification is None else f"{alert.magnification:.0f}"
    # A program's arguments and environment end at a NUL.
    return {name: word.replace("\0", "") for name, word in words.items()}


def as_lines(alert: Alert) -> list[str]:
    """Return an alert as lines for people; what is not known has no line."""
    lines = [escaped(alert.reason)]
    if alert.frame_id:
        lines.append(f"{alert.category} {alert.probability:.2f}")
    lines.append(escaped(path_to_text(alert.path)))
    if alert.magnification is not None:
        lines.append(f"magnification {alert.magnification:,.0f} x")
    if alert.stage_tilt_deg is not None:
        lines.append(f"stage tilt {degrees_text(alert.stage_tilt_deg)}°")
    if alert.stage_x_mm is not None and alert.stage_y_mm is not None:
        lines.append(f"stage x {alert.stage_x_mm:.4f} mm, y {alert.stage_y_mm:.4f} mm")
    of = f"frame {alert.frame_id}, recorded {alert.recorded_at}" if alert.frame_id else f"noticed {alert.queued_at}"
    return [*lines, of, f"alert {alert.key}"]
