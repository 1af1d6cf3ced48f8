"""How much of a frame has a colour: electrons have none, so what has is a photograph, a chart, or coloured by hand."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from emwatch.classify.preprocess import prepare
from emwatch.readers.frame_reader import coloured_share, read_frame

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(name="grey")
def _grey() -> np.ndarray:
    return np.repeat(np.random.default_rng(0).integers(0, 256, (300, 400, 1), dtype=np.uint8), 3, axis=2)


def test_grey_has_no_colour_in_any_form(grey: np.ndarray) -> None:
    with_alpha = np.dstack([grey, np.zeros((300, 400), np.uint8)])

    assert [coloured_share(each) for each in (grey[:, :, 0], grey[:, :, :2], grey, with_alpha)] == [0, 0, 0, 0]


def test_jpeg_does_not_make_colours_of_grey(grey: np.ndarray) -> None:
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "JPEG", quality=70)

    assert coloured_share(np.asarray(Image.open(file))) < 0.01


@pytest.mark.parametrize("scale", [1, 257])
def test_the_share_is_that_of_the_coloured_part(grey: np.ndarray, scale: int) -> None:
    picture = grey.astype(np.uint8 if scale == 1 else np.uint16) * scale
    picture[:, :100] = np.array([200, 80, 40]) * scale

    assert coloured_share(picture) == pytest.approx(0.25, abs=0.01)


def test_a_reading_tells_it_and_leaves_a_coloured_bar_out(tmp_path: Path, grey: np.ndarray) -> None:
    bar = np.zeros((40, 400, 3), np.uint8)
    bar[8:30, 20:200] = (255, 220, 0)
    Image.fromarray(np.vstack([grey, bar])).save(tmp_path / "a.tif")

    assert read_frame(tmp_path / "a.tif", prepare).coloured_share == 0
    Image.fromarray(grey // 2 + np.array([90, 0, 30], np.uint8)).save(tmp_path / "b.tif")
    assert read_frame(tmp_path / "b.tif", prepare).coloured_share == 1
    assert read_frame(tmp_path / "b.tif", None).coloured_share == 0
