"""The journey of one frame, where something of emwatch itself fails on the way."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emwatch.frame import AcquisitionMetadata, FrameReading, FrameState, StatKey
from emwatch.ingest.pipeline import Pending, Pipeline

if TYPE_CHECKING:
    import numpy.typing as npt
    import pytest

    from emwatch.frame import Prediction

_KEY = StatKey(1, 2, 3, 4)


class NoReader:
    def begin(self, path: Path) -> None:
        raise AssertionError(path)

    def finish(self) -> FrameReading:
        raise AssertionError


class BrokenJudge:
    """Fails with every frame, in one place or the other."""

    def classify(self, views: npt.NDArray[np.float32], coloured_share: float = 0.0) -> Prediction:
        if coloured_share:
            return self._elsewhere()
        raise ZeroDivisionError(views.shape)

    def _elsewhere(self) -> Prediction:
        raise ZeroDivisionError


def test_a_fault_that_meets_every_frame_costs_each_a_row_and_its_traceback_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pipeline = Pipeline(NoReader(), BrokenJudge(), ())
    views = np.zeros((1, 170, 170), np.float32)
    outcomes = [
        pipeline.conclude(
            Pending(
                Path(f"/{number}.tif"),
                _KEY,
                FrameReading(
                    Path(f"/{number}.tif"),
                    "ab",
                    _KEY,
                    "TIFF",
                    8,
                    8,
                    "uint8",
                    1,
                    AcquisitionMetadata(),
                    views,
                    coloured_share=float(number % 2),
                ),
            )
        )
        for number in range(100)
    ]

    assert {(each.state, each.code) for each in outcomes} == {(FrameState.FAILED, "internal")}
    logged = [each for each in caplog.records if each.levelno >= logging.INFO]
    assert [each.getMessage() for each in logged] == [f"/{number}.tif: could not be classified" for number in (0, 1)]
    assert all(each.exc_info for each in logged)
