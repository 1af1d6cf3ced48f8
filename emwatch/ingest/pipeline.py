"""One frame's journey: read, classify, match, record. What may go wrong with a frame ends here, as a row with a reason."""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from emwatch.errors import FrameError, NotAFrame, Vanished
from emwatch.frame import FrameReading, FrameState, Outcome, Prediction
from emwatch.targets.rules import match_targets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from emwatch.frame import StatKey, Target

logger = logging.getLogger(__name__)


class FrameReader(Protocol):
    """Reads one frame at a time, elsewhere, so that this process can go on meanwhile."""

    def begin(self, path: Path) -> None:
        """Start reading a file."""
        ...

    def finish(self) -> FrameReading:
        """Wait for the file begun; raises `FrameError` when it is no whole frame."""
        ...


class Judge(Protocol):
    """Names the category of a frame."""

    def classify(self, views: npt.NDArray[np.float32], coloured_share: float = 0.0) -> Prediction:
        """Classify float32 views of shape (views, 170, 170), grey 0..255, of a frame of which so much has a colour."""
        ...


@dataclass(frozen=True, slots=True)
class Pending:
    """A file that has been read, or failed to be: what `Pipeline.conclude` goes on with."""

    path: Path
    stat_key: StatKey
    reading: FrameReading | None = None
    error: FrameError | None = None


class Pipeline:
    """Turns a settled file into an `Outcome`; the reader works on the next file while this one is classified."""

    def __init__(self, reader: FrameReader, judge: Judge, targets: Sequence[Target]) -> None:
        self._reader = reader
        self._judge = judge
        self._targets = tuple(targets)
        self._faults: set[tuple[type[Exception], str]] = set()

    def look_for(self, targets: Sequence[Target]) -> None:
        """Match the frames that are concluded from now on against other targets."""
        self._targets = tuple(targets)

    def begin(self, path: Path) -> None:
        """Let the reader start on a file."""
        self._reader.begin(path)

    def finish(self, path: Path, stat_key: StatKey) -> Pending:
        """Wait for the reader; a file that is not a whole frame comes back with its error, never as an exception."""
        try:
            return Pending(path, stat_key, reading=self._reader.finish())
        except FrameError as error:
            return Pending(path, stat_key, error=error)

    def conclude(self, pending: Pending) -> Outcome:
        """Classify and match what was read; whatever goes wrong is in the outcome."""
        if pending.reading is None:
            return _failed(pending)
        reading = pending.reading
        try:
            prediction = self._judge.classify(reading.views, reading.coloured_share)
            matches = match_targets(self._targets, prediction, reading.metadata)
        except Exception as error:  # noqa: BLE001 - the one frame boundary: an unforeseen fault costs one frame, with a reason
            self._tell_of_fault(pending.path, error)
            return Outcome(
                pending.path,
                FrameState.FAILED,
                reading.stat_key,
                sha256=reading.sha256,
                code="internal",
                reason=f"{type(error).__name__}: {error}",
                reading=reading,
            )
        return Outcome(
            pending.path,
            FrameState.RECORDED,
            reading.stat_key,
            sha256=reading.sha256,
            reading=reading,
            prediction=prediction,
            matches=matches,
        )

    def _tell_of_fault(self, path: Path, error: Exception) -> None:
        """Log where a fault of our own came from, once for each place: it may well meet every frame."""
        *_, innermost = traceback.extract_tb(error.__traceback__)
        fault = (type(error), f"{innermost.filename}:{innermost.lineno}")
        told = fault in self._faults
        self._faults.add(fault)
        logger.log(logging.DEBUG if told else logging.ERROR, "%s: could not be classified", path, exc_info=error)


def _failed(pending: Pending) -> Outcome:
    error = pending.error or FrameError(f"{pending.path}: not read")
    state = FrameState.SKIPPED if isinstance(error, NotAFrame) else FrameState.FAILED
    return Outcome(
        pending.path,
        state,
        None if isinstance(error, Vanished) else pending.stat_key,
        code=error.code,
        reason=str(error),
        retry_after_s=error.retry_after_s,
    )
