"""The network is not shown the data bar, whether the instrument says where it is or only the picture does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emwatch.readers.frame_reader import read_frame
from emwatch.simulate.microscope import Microscope, WriteMode


def rows_given(path: Path) -> int | None:
    given: list[int | None] = []

    def prepare(_pixels: np.ndarray[Any, Any], rows: int | None) -> np.ndarray[Any, Any]:
        given.append(rows)
        return np.zeros((1, 170, 170), np.float32)

    read_frame(path, prepare)
    return given[0]


def test_a_strip_at_the_foot_is_told_to_the_preparation_whether_stated_or_found(tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    for vendor in ("zeiss", "thermofisher"):
        microscope = Microscope(tmp_path / vendor, 12, rate=0, mode=WriteMode.PLAIN, vendor=vendor, seed=11)
        for truth in microscope.run():
            first, end = truth.data_bar_rows
            if (end == 768 and "strip" in truth.data_bar) or vendor == "thermofisher":
                told.append((truth.data_bar, end - first, rows_given(tmp_path / vendor / Path(truth.path).name)))

    assert len(told) >= 15
    assert [each for each in told if each[2] is None or abs(each[2] - each[1]) > 2] == []
