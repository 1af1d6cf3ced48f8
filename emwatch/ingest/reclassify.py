"""Classifies recorded frames again with another bundle: reads their files, and adds predictions to the ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

from emwatch.classify.scale_doubt import field_width_um
from emwatch.errors import FrameError, Vanished
from emwatch.frame import path_to_text
from emwatch.readers.sandbox.frame_sandbox import read_ahead
from emwatch.targets.rules import match_targets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from emwatch.clock import Clock
    from emwatch.frame import FrameReading
    from emwatch.ingest.pipeline import FrameReader, Judge
    from emwatch.ledger.query import LedgerReader, LogFilter, Unjudged
    from emwatch.ledger.writer import Ledger
    from emwatch.targets.rules import Target


@dataclass(frozen=True, slots=True)
class NotClassified:
    """A frame that could not be classified again: its file is gone, changed since it was recorded, or unreadable."""

    path: Path
    kind: Literal["missing", "changed", "unreadable"]
    reason: str


@dataclass(slots=True)
class Reclassified:
    """The counts of a run. ``moves``: how often the likeliest category changed from one to another."""

    judged: int = 0
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    problems: list[NotClassified] = field(default_factory=list)
    alerts: int = 0
    held_back: int = 0  #: frames that meet a new target, but are too old to raise alerts
    embedded: int = 0  #: frames that only lacked an embedding
    known: int = 0  #: frames skipped: the bundle has classified them before

    @property
    def done(self) -> int:
        """Return the number of frames that were processed."""
        return self.judged + self.embedded + len(self.problems)


def reclassify(  # noqa: PLR0913 - everything it works with, each named at its one call
    *,
    reader: LedgerReader,
    ledger: Ledger,
    files: FrameReader,
    judge: Judge,
    bundle_sha256: str,
    space_sha256: str | None = None,
    wanted: LogFilter,
    targets: Sequence[Target] | None,
    clock: Clock,
    tell: Callable[[int], None],
    result: Reclassified,
    doubt_by_scale: bool = True,
) -> None:
    """
    Add a bundle's prediction to each wanted frame that has none of it yet; ``result`` is updated meanwhile.

    Frames that lack an embedding in the space ``space_sha256`` get one in passing.

    Each prediction is committed at once: after an interruption the next run continues there. ``targets``: also match the
    frames and queue alerts; ``None``: no alerts. ``tell`` takes the number done. Raises `LedgerError`.
    """
    matched = None if targets is None else partial(match_targets, targets)
    for frame, reading in read_ahead(_all_unjudged(reader, wanted, bundle_sha256, space_sha256), [files], _begin):
        problem = _problem(frame, reading)
        if problem is None and not isinstance(reading, FrameError):
            prediction = judge.classify(
                reading.views, reading.coloured_share, _width(reading) if doubt_by_scale else None
            )
            queued = ledger.add_prediction(frame.frame_id, prediction, clock.now(), matched)
            result.alerts += queued.alerts
            result.held_back += queued.held_back > 0
            result.judged += not frame.judged
            result.embedded += frame.judged
            if not frame.judged and frame.category is not None and frame.category != prediction.category:
                result.moves[frame.category, prediction.category] += 1
        elif problem is not None:
            result.problems.append(problem)
        tell(result.done)


def _width(reading: FrameReading) -> float | None:
    return field_width_um(reading.metadata, reading.width)


def _all_unjudged(
    reader: LedgerReader, wanted: LogFilter, bundle_sha256: str, space_sha256: str | None
) -> Iterator[Unjudged]:
    """Yield frames page by page, by number: no snapshot stays open for hours, and an unreadable frame comes once."""
    page = reader.unjudged(wanted, bundle_sha256, space_sha256)
    while page:
        yield from page
        page = reader.unjudged(wanted, bundle_sha256, space_sha256, before_id=page[-1].frame_id)


def _begin(files: FrameReader, frame: Unjudged) -> None:
    files.begin(frame.path)


def _problem(frame: Unjudged, outcome: FrameReading | FrameError) -> NotClassified | None:
    name = path_to_text(frame.path)
    if isinstance(outcome, Vanished):
        away = "" if frame.path.parent.is_dir() else ", nor is its folder (is the share mounted?)"
        return NotClassified(
            frame.path, "missing", f"{name}: is missing{away}; the ledger keeps its earlier prediction"
        )
    if isinstance(outcome, FrameError):
        return NotClassified(frame.path, "unreadable", str(outcome))
    if outcome.sha256 != frame.sha256:
        return NotClassified(
            frame.path,
            "changed",
            f"{name}: its content differs from what was recorded (sha256 {frame.sha256[:12]}, now {outcome.sha256[:12]}); "
            "'emwatch run' records them as a new frame",
        )
    return None
