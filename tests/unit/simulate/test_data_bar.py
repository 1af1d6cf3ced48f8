from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emwatch.errors import EmwatchError
from emwatch.simulate.data_bar import STYLES, Barred, below_fields, inside_fields, with_data_bar
from tests.acquisitions import acquisition

DRAWN = [style for style in STYLES if style != "none"]
ACQUISITION = acquisition(magnification=2500.0, pixel_size_nm=44.66, working_distance_mm=4.1)


def barred(style: str, seed: int = 1, dtype: type = np.uint8, pixel_size_nm: float = 44.66) -> Barred:
    grey = np.full((768, 1024), np.iinfo(dtype).max // 2, dtype)
    rng = np.random.Generator(np.random.PCG64(seed))
    return with_data_bar(grey, style, replace(ACQUISITION, pixel_size_nm=pixel_size_nm), rng)


@pytest.mark.parametrize("style", DRAWN)
@pytest.mark.parametrize("pixel_size_nm", [0.7, 44.66, 913.0])
def test_the_scale_bar_is_as_long_as_its_label_says(style: str, pixel_size_nm: float) -> None:
    found = barred(style, pixel_size_nm=pixel_size_nm)

    assert found.scale_bar_px == round(found.scale_bar_nm / pixel_size_nm)
    assert 40 <= found.scale_bar_px <= 210
    assert float(f"{found.scale_bar_nm:.0e}"[0]) in (1, 2, 5)


@pytest.mark.parametrize("style", ["below-black", "below-white", "strip-inside-white", "strip-inside-black"])
def test_the_drawn_line_has_that_length(style: str) -> None:
    found = barred(style)
    strip = found.pixels[found.bar_rows[0] : found.bar_rows[1]]
    ink = 0 if strip.mean() > 128 else 255
    left = strip[:, : found.scale_bar_px + 30] == ink
    columns = np.flatnonzero(left.sum(axis=0) > 0)
    line = strip[int(np.argmax(left.sum(axis=1)))] == ink
    run = np.flatnonzero(line[: found.scale_bar_px + 20])

    assert len(columns) > 0
    assert found.scale_bar_px == run[-1] - run[0] + 1 == len(run)


@pytest.mark.parametrize("style", STYLES)
def test_a_bar_below_adds_rows_and_any_other_keeps_the_size(style: str) -> None:
    found = barred(style)

    assert found.picture_height_px == 768
    assert (len(found.pixels) > 768) == style.startswith("below")


@pytest.mark.parametrize("style", STYLES)
def test_nothing_outside_the_bar_is_touched(style: str) -> None:
    found = barred(style)
    outside = np.delete(found.pixels, np.arange(*found.bar_rows), axis=0)

    assert (outside == 127).all()
    assert style == "none" or (found.pixels[slice(*found.bar_rows)] != 127).any()


@pytest.mark.parametrize("style", DRAWN)
def test_a_sixteen_bit_picture_gets_the_same_bar(style: str) -> None:
    shallow, deep = barred(style), barred(style, dtype=np.uint16)
    rows = slice(*shallow.bar_rows)

    assert deep.pixels.dtype == np.uint16
    assert np.array_equal(shallow.pixels[rows] > 200, deep.pixels[rows] > 200 * 257)


def test_the_texts_tell_the_true_values() -> None:
    assert inside_fields(ACQUISITION)[:5] == [
        *("Mag = 2.50 K X", "EHT = 5.00 kV", "WD = 4.1 mm", "Signal A = InLens", "Stage at T = 30.0 °"),
    ]
    assert below_fields(ACQUISITION)[:5] == ["HV 5.00 kV", "mag 2 500 x", "WD 4.1 mm", "det InLens", "tilt 30.0 °"]


def test_an_unknown_style_is_refused() -> None:
    with pytest.raises(EmwatchError, match="corner-box"):
        barred("strip")
