"""
Real parts with handles, for tests of emwatch and of what is built on it.

A clock that a test moves, a channel that keeps its alerts, and builders of what goes through the pipeline: each builder
returns a complete, plausible value, and takes what the test is about. Nothing of emwatch itself imports this module.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from emwatch.alerts.alert import Alert
from emwatch.errors import AlertError
from emwatch.frame import (
    CATEGORIES,
    AcquisitionMetadata,
    Candidate,
    FrameReading,
    FrameState,
    Match,
    Outcome,
    Prediction,
    Reading,
    StatKey,
)
from emwatch.targets.conditions import TargetConfig
from emwatch.targets.rules import Target

__all__ = [
    "NOON",
    "ManualClock",
    "RecordingChannel",
    "make_alert",
    "make_candidate",
    "make_failure",
    "make_metadata",
    "make_outcome",
    "make_prediction",
    "make_reading",
    "make_stat_key",
    "make_target",
]

#: When the frames of the builders were written, unless a test says otherwise.
NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)


class ManualClock:
    """
    A clock that moves only by `advance`, `compute` and `put`; implements `emwatch.clock.Clock`.

    Args:
        start: the wall clock at 0 monotonic seconds.

    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed_s = 0.0
        self._processor_s = 0.0

    def monotonic(self) -> float:
        """Return the seconds advanced so far."""
        return self._elapsed_s

    def processor(self) -> float:
        """Return the seconds of processor time used so far."""
        return self._processor_s

    def now(self) -> datetime:
        """Return the start plus the seconds advanced so far."""
        return self._start + timedelta(seconds=self._elapsed_s)

    def started(self) -> datetime:
        """Return the start."""
        return self._start

    def advance(self, seconds: float) -> None:
        """Move both the monotonic and the wall clock."""
        self._elapsed_s += seconds

    def put(self, seconds: float) -> None:
        """Put the wall clock ahead, or back if negative; the monotonic clock stays."""
        self._start += timedelta(seconds=seconds)

    def compute(self, seconds: float) -> None:
        """Use processor time, which passes on the other clocks as well."""
        self._processor_s += seconds
        self.advance(seconds)


class RecordingChannel:
    """
    A channel that keeps every alert it accepts.

    Attributes:
        taken: accepted alerts, in order.
        refused: refused alerts, in order.
        refuses: if true, every alert is refused.
        gate: open at first; clear it to make `send` block.

    """

    kind: Final = "recording"

    def __init__(self) -> None:
        self.taken: list[Alert] = []
        self.refused: list[Alert] = []
        self.refuses = False
        self.gate = threading.Event()
        self.gate.set()

    def send(self, alert: Alert) -> None:
        """
        Keep an alert.

        Raises:
            AlertError: `refuses` is true.

        """
        self.gate.wait()
        if self.refuses:
            self.refused.append(alert)
            raise AlertError("recording: told to refuse")
        self.taken.append(alert)


def make_stat_key(written_at: datetime = NOON, *, size: int = 1000, inode: int = 7) -> StatKey:
    """Return what a file of ``size`` bytes looks like that was written at a time, exact to the microsecond."""
    mtime_ns = int(written_at.timestamp() * 1_000_000) * 1000
    return StatKey(size, mtime_ns, mtime_ns, inode)


def make_metadata(
    vendor: str | None = "zeiss", flags: tuple[str, ...] = (), **values: float | str | bool | None
) -> AcquisitionMetadata:
    """Return metadata with these values, by field name (see `emwatch.frame.FIELDS`)."""
    readings = {name: Reading(value, f"{value} raw", f"tag {name}") for name, value in values.items()}
    return AcquisitionMetadata(vendor, readings, flags)


def make_prediction(category: str = "Tips", probability: float = 0.9, **changes: Any) -> Prediction:
    """Return a prediction whose other nine categories share the rest of the probability evenly."""
    rest = (1 - probability) / (len(CATEGORIES) - 1)
    scores = dict.fromkeys(CATEGORIES, rest) | {category: probability}
    made = Prediction(category, probability, scores, uncertain=False, margin=probability - rest, bundle_sha256="b" * 64)
    return replace(made, **changes)


def make_reading(path: Path | str = "/acq/a.tif", content: str = "A", **changes: Any) -> FrameReading:
    """Return a frame as read; ``content`` stands for its bytes."""
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    views = np.zeros((1, 1, 1), np.float32)
    made = FrameReading(Path(path), sha256, make_stat_key(), "TIFF", 1024, 768, "uint8", 1, make_metadata(), views)
    return replace(made, **changes)


def make_outcome(
    path: Path | str = "/acq/a.tif",
    content: str = "A",
    *,
    targets: tuple[str, ...] = (),
    channels: tuple[str, ...] = ("terminal",),
    written_at: datetime = NOON,
    metadata: AcquisitionMetadata | None = None,
    prediction: Prediction | None = None,
    **changes: Any,
) -> Outcome:
    """Return a frame ready to be recorded that meets these targets; ``content`` stands for its bytes."""
    key = make_stat_key(written_at)
    reading = make_reading(path, content, stat_key=key, metadata=metadata or make_metadata())
    made = Outcome(
        Path(path),
        FrameState.RECORDED,
        key,
        reading.sha256,
        reading=reading,
        prediction=prediction or make_prediction(),
        matches=tuple(Match(target, f"because {target}", channels) for target in targets),
    )
    return replace(made, **changes)


def make_failure(
    path: Path | str = "/acq/a.tif", content: str = "", code: str = "truncated", **changes: Any
) -> Outcome:
    """Return a file that could not be read; ``content`` stands for its bytes, empty if they are not known."""
    sha256 = hashlib.sha256(content.encode()).hexdigest() if content else ""
    made = Outcome(Path(path), FrameState.FAILED, make_stat_key(), sha256, code, f"{path}: {code}")
    return replace(made, **changes)


def make_alert(key: str = "k1", channel: str = "terminal", **changes: Any) -> Alert:
    """Return an alert that waits for its first delivery."""
    at = NOON.isoformat()
    made = Alert(
        id=1,
        key=key,
        channel=channel,
        target="tips",
        reason="Tips 0.90 >= 0.80",
        frame_id=1,
        path=Path("/acq/a.tif"),
        category="Tips",
        probability=0.9,
        magnification=None,
        stage_tilt_deg=None,
        recorded_at=at,
        queued_at=at,
        attempts=0,
    )
    return replace(made, **changes)


def make_candidate(
    said: Prediction | None = None, *, path: str = "/acq/a.tif", written_at: datetime = NOON, **numbers: Any
) -> Candidate:
    """Return a frame as targets see it, with these numbers in its metadata."""
    return Candidate(said or make_prediction(), make_metadata(**numbers), Path(path), written_at)


def make_target(name: str, category: str | tuple[str, ...] = (), min_probability: Any = 0.0, **asks: Any) -> Target:
    """Return a target with these keys of the configuration; it takes frames of any probability unless told."""
    given = asks if "learned" in asks else {"min_probability": min_probability, **asks}
    return Target(TargetConfig.model_validate({"name": name, "category": category, **given}))
