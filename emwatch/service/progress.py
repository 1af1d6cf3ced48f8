"""Events since the start: counted once, and passed on to the view, the status file and the channels."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from emwatch.frame import FrameState
from emwatch.ingest.events import STAGES, BarRead, FrameDone, Notice, Ready

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from emwatch.clock import Clock
    from emwatch.ingest.events import Event

_RATE_OVER_S: Final = 60.0
_ANNOUNCED_EVERY_S: Final = 3600.0
#: Upper bounds of the histograms, in seconds.
BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


@dataclass(slots=True)
class Histogram:
    """How long something took since the start. ``counts``: how often at most each of `BOUNDS_S`, then how often at all."""

    sum_s: float = 0.0
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.sum_s += seconds
        first = bisect_left(BOUNDS_S, seconds)
        self.counts = [count + (place >= first) for place, count in enumerate(self.counts)]

    def document(self) -> dict[str, float | list[int]]:
        """Return it as plain data."""
        return {"sum_s": round(self.sum_s, 6), "counts": self.counts}


@dataclass(slots=True)
class Progress:
    """Counts of a running daemon. One thread at a time counts; others may read: each field is replaced as a whole."""

    frames: int = 0
    hits: int = 0
    failed: int = 0
    skipped: int = 0
    waiting: int = 0
    lag_s: float | None = None
    last_frame_at: float | None = None
    ready: Ready | None = None
    trouble: str = ""
    stages: dict[str, Histogram] = field(default_factory=lambda: {name: Histogram() for name in STAGES})
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=10_000))

    def note(self, event: Event, now: float) -> None:
        """Count one event; ``now`` is monotonic."""
        match event:
            case FrameDone(new=new, outcome=outcome, lag_s=lag_s, waiting=waiting, hit=hit, stages_s=stages_s):
                self.waiting = waiting
                self.hits += hit
                if new:
                    self._count(outcome.state)
                if outcome.state is FrameState.RECORDED:
                    self.lag_s = lag_s
                    self.last_frame_at = now
                    self._recent.append(now)
                    for name, seconds in zip(STAGES, stages_s, strict=False):
                        self.stages[name].add(seconds)
            case BarRead(hit=hit):
                self.hits += hit
            case Ready():
                self.ready = event
                self.waiting = event.waiting
            case Notice(level=level, text=text):
                self.trouble = text if level == "error" else ""

    def per_minute(self, now: float) -> int:
        """Return how many frames were recorded during the last minute."""
        return sum(1 for each in tuple(self._recent) if now - each <= _RATE_OVER_S)

    def _count(self, state: FrameState) -> None:
        match state:
            case FrameState.RECORDED:
                self.frames += 1
            case FrameState.FAILED:
                self.failed += 1
            case FrameState.SKIPPED:
                self.skipped += 1
            case FrameState.BASELINE:
                pass


class Teller:
    """
    Passes events on: every part of the daemon calls it, from any thread.

    Each event is counted and given to the listeners in order. An error is also sent to the alert channels, the same
    text at most once an hour: the operator may not be at the terminal.
    """

    def __init__(
        self,
        progress: Progress,
        listeners: Sequence[Callable[[Event], None]],
        announce: Callable[[str, Path], None],
        *,
        about: Path,
        clock: Clock,
    ) -> None:
        """``about``: the path that an announcement names if its notice has none."""
        self._progress = progress
        self._listeners = listeners
        self._announce = announce
        self._about = about
        self._clock = clock
        self._announced: dict[str, float] = {}
        self._guard = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Count one event, pass it on and, if it is an error, announce it."""
        now = self._clock.monotonic()
        with self._guard:
            self._progress.note(event, now)
        for hear in self._listeners:
            hear(event)
        if not isinstance(event, Notice) or event.level != "error":
            return
        self._announced = {text: at for text, at in self._announced.items() if now - at < _ANNOUNCED_EVERY_S}
        if event.text not in self._announced:
            self._announced[event.text] = now
            self._announce(event.text, event.path or self._about)
