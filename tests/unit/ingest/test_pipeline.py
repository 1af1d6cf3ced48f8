"""The journey of one frame, where something of emwatch itself fails on the way."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emwatch.frame import FrameReading, FrameState, StatKey
from emwatch.ingest.events import STAGES, FrameDone
from emwatch.ingest.outage import LedgerOutage
from emwatch.ingest.pipeline import FrameInWork, Pipeline
from emwatch.ledger.writer import Ledger
from emwatch.testing import ManualClock, make_prediction, make_reading
from emwatch.watch.settle import Settle

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt
    import pytest

    from emwatch.frame import Prediction
    from emwatch.ingest.pipeline import Judge

_KEY = StatKey(1, 2, 3, 4)


class Reader:
    """Finds every file whole; every second one has a colour."""

    def begin(self, path: Path) -> None:
        self._path = path

    def finish(self) -> FrameReading:
        coloured = float(int(self._path.stem) % 2)
        return make_reading(self._path, stat_key=_KEY, coloured_share=coloured)


class BrokenJudge:
    """Fails with every frame, in one place or the other."""

    def classify(
        self, views: npt.NDArray[np.float32], coloured_share: float = 0.0, _width_um: float | None = None
    ) -> Prediction:
        if coloured_share:
            return self._elsewhere()
        raise ZeroDivisionError(views.shape)

    def _elsewhere(self) -> Prediction:
        raise ZeroDivisionError


@contextmanager
def _pipeline(folder: Path, reader: Reader, judge: Judge, clock: ManualClock, told: list[Any]) -> Iterator[Pipeline]:
    """Yield a pipeline that writes a ledger of its own in a folder, and says what it does to ``told``."""
    with Ledger(folder / "ledger.sqlite3", clock=clock) as ledger:
        yield Pipeline(
            reader=reader,
            judge=judge,
            targets=(),
            ledger=ledger,
            settle=Settle(lambda _path: 0.0, 0.0),
            outage=LedgerOutage(clock, told.append, gives_up=True),
            clock=clock,
            tell=told.append,
        )


def test_the_stages_of_a_frame_add_up_to_its_lag(tmp_path: Path) -> None:
    clock = ManualClock()
    told: list[Any] = []

    class SlowReader(Reader):
        def begin(self, path: Path) -> None:
            super().begin(path)
            clock.advance(0.25)

    class SlowJudge:
        def classify(self, *_asked: Any) -> Prediction:
            clock.advance(2.0)
            return make_prediction()

    with _pipeline(tmp_path, SlowReader(), SlowJudge(), clock, told) as pipeline:
        clock.advance(8.0)
        frames = iter([FrameInWork(Path(f"/{number}.tif"), _KEY, clock.monotonic() - 4.0) for number in (1, 2)])
        while pipeline.take_turn(lambda: next(frames, None)):
            pass
    first, second = (each for each in told if isinstance(each, FrameDone))

    assert dict(zip(STAGES, first.stages_s, strict=True)) == {
        "settling": 4.0,
        "reading": 0.25,
        "waiting": 0.25,  # the next one is handed over
        "classifying": 2.0,
        "committing": 0.0,
    }
    assert sum(second.stages_s) == second.lag_s


def test_a_fault_that_meets_every_frame_costs_each_a_row_and_its_traceback_is_logged_once(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock()
    told: list[Any] = []
    with _pipeline(tmp_path, Reader(), BrokenJudge(), clock, told) as pipeline:
        frames = [FrameInWork(Path(f"/{number}.tif"), _KEY, 0.0) for number in range(100)]
        waiting = iter(frames)
        while pipeline.take_turn(lambda: next(waiting, None)):
            pass
    outcomes = [each.outcome for each in told if isinstance(each, FrameDone)]

    assert len(outcomes) == 100
    assert {(each.state, each.code) for each in outcomes} == {(FrameState.FAILED, "internal")}
    logged = [each for each in caplog.records if each.levelno >= logging.INFO]
    assert [each.getMessage() for each in logged] == [f"/{number}.tif: could not be classified" for number in (0, 1)]
    assert all(each.exc_info for each in logged)
