"""
The way of one frame: begin reading, conclude, record. Every fault of a frame ends here, as a row with a reason.

The loop chooses the file; from then on the pipeline holds it until its row is committed.
"""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Protocol

from emwatch.classify.scale_doubt import field_width_um
from emwatch.errors import Empty, FrameError, LedgerError, NotAFrame, Truncated, Unsteady, Vanished
from emwatch.frame import Candidate, FrameReading, FrameState, Outcome, Prediction
from emwatch.ingest.events import STAGES, FrameDone, held_back
from emwatch.ledger.column_types import moment_of_ns
from emwatch.targets.rules import match_targets
from emwatch.watch.patterns import frames_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from emwatch.clock import Clock
    from emwatch.frame import StatKey
    from emwatch.ingest.events import Event
    from emwatch.ingest.outage import LedgerOutage
    from emwatch.ledger.writer import Ledger
    from emwatch.targets.rules import Target
    from emwatch.watch.settle import Settle

logger = logging.getLogger(__name__)

_FAULT_RETRY_S: Final = 60.0
_MAY_YET_BE_WHOLE: Final = (Empty, Truncated, Unsteady)


class FrameReader(Protocol):
    """Reads one frame at a time in another process, while this one goes on."""

    def begin(self, path: Path) -> None:
        """Start reading a file."""
        ...

    def finish(self) -> FrameReading:
        """Return the reading of the file begun. Raises `FrameError` if it is not a complete frame."""
        ...


class Judge(Protocol):
    """Names the category of a frame."""

    def classify(
        self, views: npt.NDArray[np.float32], coloured_share: float = 0.0, field_width_um: float | None = None
    ) -> Prediction:
        """
        Classify a frame.

        ``views``: float32, shape (views, 170, 170), grey 0..255. ``coloured_share``: the share of the picture's pixels
        that have a colour. ``field_width_um``: used to doubt an impossible category; ``None`` if unknown.
        """
        ...


@dataclass(slots=True)
class FrameInWork:
    """A settled file on its way to a row, with everything known so far. ``first_seen`` is monotonic."""

    path: Path
    stat_key: StatKey
    first_seen: float
    begun: bool = False
    reading: FrameReading | None = None
    error: FrameError | None = None
    outcome: Outcome | None = None
    stages_end: list[float] = field(default_factory=list)  #: monotonic, of the stages it has passed


class Pipeline:
    """
    Records one file after the other; the next one is read while the current one is classified and recorded.

    ``recorded`` is called after alerts were added, ``skipped`` with each file that is not a frame: it may be a sidecar.
    Everything runs in the thread of the loop.
    """

    def __init__(  # noqa: PLR0913 - everything a frame meets on its way, named at its one call
        self,
        *,
        reader: FrameReader,
        judge: Judge,
        targets: Sequence[Target],
        ledger: Ledger,
        settle: Settle,
        outage: LedgerOutage,
        clock: Clock,
        tell: Callable[[Event], None],
        recorded: Callable[[], None] = lambda: None,
        skipped: Callable[[Path], None] = lambda _path: None,
    ) -> None:
        self._reader = reader
        self._judge = judge
        self._targets = tuple(targets)
        self._ledger = ledger
        self._settle = settle
        self._outage = outage
        self._clock = clock
        self._tell = tell
        self._recorded = recorded
        self._skipped = skipped
        self._reading: FrameInWork | None = None  # handed to the reader
        self._unrecorded: FrameInWork | None = None  # the ledger could not take it yet
        self._held_back = 0  # number of frames too old to raise alerts
        self._faults: set[tuple[type[Exception], str]] = set()

    def use_targets(self, targets: Sequence[Target]) -> None:
        """Use these targets for frames that are concluded from now on."""
        self._targets = tuple(targets)

    @property
    def is_idle(self) -> bool:
        """Whether no frame is in hand."""
        return self._reading is None and self._unrecorded is None

    def take_turn(self, choose: Callable[[], FrameInWork | None]) -> bool:
        """
        Record one file, and begin to read the next one meanwhile.

        ``choose`` returns the next file, ``None`` if there is none. Returns ``False`` if there was nothing to do, or if
        the ledger cannot be used now.
        """
        if self._outage.lasts():
            return False
        if self._unrecorded is not None:
            self.record(self._unrecorded)
            return True
        frame = self._reading or self.begin(choose())
        if frame is None:
            self.tell_of_held_back()
            return False
        self._finish(frame)
        self._reading = self.begin(choose())
        if not self._waits_on(frame):
            frame.outcome = self.conclude(frame)
            self.record(frame)
        return True

    def begin(self, frame: FrameInWork | None) -> FrameInWork | None:
        """Hand a file to the reader, unless it is known to be gone. Returns the frame."""
        if frame is not None and frame.error is None:
            frame.stages_end.append(self._clock.monotonic())
            self._reader.begin(frame.path)
            frame.begun = True
        return frame

    def _finish(self, frame: FrameInWork) -> None:
        if frame.begun:
            try:
                frame.reading = self._reader.finish()
                frame.stages_end.append(self._clock.monotonic())
            except FrameError as error:
                frame.error = error

    def _waits_on(self, frame: FrameInWork) -> bool:
        """Return ``True`` if the file goes back to settling: it is incomplete, or it disappeared while it was read."""
        now = self._clock.monotonic()
        if isinstance(frame.error, Vanished) and frame.begun:
            if frame.path in self._settle:  # else renamed: nothing to record under this name
                self._settle.postpone(frame.path, now)  # the loop finds out whether the whole directory is gone
            return True
        if frame.reading is not None and frame.reading.unsettled:
            return self._settle.unsettled(frame.path, now)
        return isinstance(frame.error, _MAY_YET_BE_WHOLE) and self._settle.incomplete(frame.path, now)

    def conclude(self, frame: FrameInWork) -> Outcome:
        """Return the outcome: the frame classified and matched with the targets, or the fault."""
        if frame.reading is None:
            error = frame.error or FrameError(f"{frame.path}: not read")
            outcome = failed(frame.path, frame.stat_key, error)
            beside = frames_beside(frame.path) if outcome.state is FrameState.SKIPPED else ()
            return replace(outcome, may_describe=beside)
        frame.stages_end.append(self._clock.monotonic())
        try:
            return judged(frame.reading, self._judge, self._targets)
        except Exception as error:  # noqa: BLE001 - the one frame boundary: an unforeseen fault costs one frame, with a reason
            self._log_fault(frame.path, error)
            return faulted(frame.reading, error)
        finally:
            frame.stages_end.append(self._clock.monotonic())

    def record(self, frame: FrameInWork) -> None:
        """Commit the outcome, then report it. If the ledger cannot be written, the frame waits until it can."""
        if frame.outcome is None:
            raise ValueError(f"{frame.path}: recorded before it was concluded")
        lag_s = self._clock.monotonic() - frame.first_seen
        now = self._clock.now()
        outcome = replace(frame.outcome, first_seen_at=now - timedelta(seconds=lag_s))
        try:
            recorded = self._ledger.record(outcome, now)
        except LedgerError as error:
            self._unrecorded = frame
            self._outage.begin(error, frame_waits=True)
            return
        self._unrecorded = None
        self._outage.end()
        self._settle.forget(frame.path, frame.stat_key)
        self._held_back += recorded.held_back > 0
        if recorded.alerts:
            self._recorded()
        if outcome.state is FrameState.SKIPPED:
            self._skipped(frame.path)
        done = self._clock.monotonic()
        self._tell(
            FrameDone(
                recorded.frame_id,
                replace(outcome, matches=recorded.matches),
                recorded.new,
                recorded.duplicate_of,
                done - frame.first_seen,
                len(self._settle),
                recorded.hit,
                _stages_s([frame.first_seen, *frame.stages_end, done]),
            )
        )

    def tell_of_held_back(self) -> None:
        """Report how many frames since the last report were too old to raise alerts."""
        frames, self._held_back = self._held_back, 0
        if frames:
            self._tell(held_back(frames, self._ledger.alert_max_age))

    def _log_fault(self, path: Path, error: Exception) -> None:
        """Log the traceback of an internal error, once for each place: it may affect every frame."""
        *_, innermost = traceback.extract_tb(error.__traceback__)
        fault = (type(error), f"{innermost.filename}:{innermost.lineno}")
        told = fault in self._faults
        self._faults.add(fault)
        logger.log(logging.DEBUG if told else logging.ERROR, "%s: could not be classified", path, exc_info=error)


def _stages_s(ends: Sequence[float]) -> tuple[float, ...]:
    return tuple(end - start for start, end in pairwise(ends)) if len(ends) == len(STAGES) + 1 else ()


def judged(reading: FrameReading, judge: Judge, targets: Sequence[Target]) -> Outcome:
    """Return the outcome of a frame that was read: its prediction, and the targets it meets. Raises what ``judge`` does."""
    prediction = judge.classify(reading.views, reading.coloured_share, field_width_um(reading.metadata, reading.width))
    seen = Candidate(prediction, reading.metadata, reading.path, moment_of_ns(reading.stat_key.mtime_ns))
    matches = match_targets(targets, seen)
    return replace(_read(reading), reason=prediction.doubt, prediction=prediction, matches=matches)


def faulted(reading: FrameReading, error: Exception) -> Outcome:
    """Return the outcome of a frame that was read, but not classified because of an unforeseen error; it is tried again."""
    return replace(
        _read(reading),
        state=FrameState.FAILED,
        code="internal",
        reason=f"{type(error).__name__}: {error}",
        retry_after_s=_FAULT_RETRY_S,  # perhaps a lack of memory, or a change of model
    )


def failed(path: Path, stat_key: StatKey, error: FrameError) -> Outcome:
    """Return the outcome of a file that could not be read as a frame."""
    return Outcome(
        path,
        FrameState.SKIPPED if isinstance(error, NotAFrame) else FrameState.FAILED,
        None if isinstance(error, Vanished) else stat_key,
        code=error.code,
        reason=str(error),
        retry_after_s=error.retry_after_s,
    )


def _read(reading: FrameReading) -> Outcome:
    # Listeners need no pixels, and may keep the frame for a while.
    kept = replace(reading, views=reading.views[:0].copy())
    return Outcome(reading.path, FrameState.RECORDED, reading.stat_key, sha256=reading.sha256, reading=kept)
