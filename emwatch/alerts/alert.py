"""An alert as the outbox hands it to a channel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Alert:
    """
    A match on its way to one channel. ``key`` is the same at every repetition, so that a receiver can drop repeats.

    A digest stands for ``count`` alerts of one target: its values are those of the most probable frame, and ``best`` are
    the most probable ones.
    """

    id: int
    key: str
    channel: str
    target: str
    reason: str
    frame_id: int
    path: Path
    category: str
    probability: float
    magnification: float | None
    stage_tilt_deg: float | None
    recorded_at: str  #: when the frame was recorded, ISO 8601 with offset
    queued_at: str  #: when the alert was queued: later where a data bar, a sidecar or another model brought the match
    attempts: int
    sha256: str = ""  #: of the frame's content
    stage_x_mm: float | None = None
    stage_y_mm: float | None = None
    pixel_size_nm: float | None = None
    data_bar_height_px: float | None = None
    count: int = 1
    best: tuple[Alert, ...] = ()
    thumbnail: bytes = field(default=b"", repr=False)  #: JPEG with a true scale bar, for channels that show pictures
