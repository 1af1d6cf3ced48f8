"""Counts of a running daemon: what the live view and the status line show."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emwatch.frame import FrameState
from emwatch.ingest.events import FrameDone, Notice, Ready

if TYPE_CHECKING:
    from emwatch.ingest.events import Happening

_RATE_OVER_S = 60.0


@dataclass(slots=True)
class Progress:
    """Sums up happenings. One thread writes, others may read: each field is replaced, never edited half-way."""

    started_at: float
    frames: int = 0
    hits: int = 0
    failed: int = 0
    skipped: int = 0
    waiting: int = 0
    lag_s: float | None = None
    last_frame_at: float | None = None
    ready: Ready | None = None
    trouble: str = ""
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=10_000))

    def note(self, happening: Happening, now: float) -> None:
        """Count one happening."""
        match happening:
            case FrameDone(new=new, outcome=outcome, lag_s=lag_s, waiting=waiting):
                self.waiting = waiting
                if new:
                    self._count(outcome.state, hit=bool(outcome.matches))
                if outcome.state is FrameState.RECORDED:
                    self.lag_s = lag_s
                    self.last_frame_at = now
                    self._recent.append(now)
            case Ready():
                self.ready = happening
                self.waiting = happening.waiting
            case Notice(level=level, text=text):
                self.trouble = text if level == "error" else ""

    def per_minute(self, now: float) -> int:
        """Count the frames recorded during the last minute."""
        return sum(1 for each in tuple(self._recent) if now - each <= _RATE_OVER_S)

    def _count(self, state: FrameState, *, hit: bool) -> None:
        match state:
            case FrameState.RECORDED:
                self.frames += 1
                self.hits += hit
            case FrameState.FAILED:
                self.failed += 1
            case FrameState.SKIPPED:
                self.skipped += 1
            case FrameState.BASELINE:
                pass
