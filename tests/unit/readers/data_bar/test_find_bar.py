"""Finding data bars and measuring scale bars, on bars drawn by the pretend microscope and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from emwatch.readers.data_bar.bar import find_bar
from emwatch.simulate.data_bar import STYLES, with_data_bar
from tests.acquisitions import acquisition

_ACQUISITION = acquisition(pixel_size_nm=22.3, stage_tilt_deg=0.0)


def _picture(seed: int, height: int = 768, width: int = 1024, mean: float = 110.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    slope = np.linspace(-40, 40, width)[np.newaxis] * np.linspace(1, 0.5, height)[:, np.newaxis]
    return np.clip(mean + slope * mean / 110 + rng.normal(0, 12, (height, width)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("style", [style for style in STYLES if style != "none"])
def test_a_drawn_bar_is_found_where_it_was_drawn_and_measured_within_two_pixels(style: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    barred = with_data_bar(_picture(seed), style, _ACQUISITION, rng)

    bar = find_bar(barred.pixels)

    assert bar is not None
    assert bar.kind == ("box" if style.endswith("-box") else "strip")
    assert abs(bar.top - barred.bar_rows[0]) <= 2
    assert abs(bar.bottom - barred.bar_rows[1]) <= 2
    assert bar.ruler is not None
    assert abs(bar.ruler.length_px - barred.scale_bar_px) <= 2


@pytest.mark.parametrize("style", ["strip-inside-white", "below-black"])
def test_the_height_of_a_strip_that_closes_the_frame_is_known(style: str) -> None:
    barred = with_data_bar(_picture(1), style, _ACQUISITION, np.random.default_rng(1))

    bar = find_bar(barred.pixels)

    assert bar is not None
    assert bar.height_px == len(barred.pixels) - barred.bar_rows[0]


@pytest.mark.parametrize("mean", [4.0, 60.0, 110.0, 250.0])
def test_a_picture_without_a_bar_has_none(mean: float) -> None:
    assert find_bar(_picture(2, mean=mean)) is None


@pytest.mark.parametrize(
    "pixels", [np.zeros((768, 1024)), np.full((768, 1024, 3), 255, np.uint8), np.full((99, 99), 7)]
)
def test_a_blank_picture_has_no_bar(pixels: np.ndarray) -> None:
    assert find_bar(pixels) is None


@pytest.mark.parametrize("shape", [(1, 1), (10, 2000), (64, 64), (70, 70, 3), (2000, 10)])
def test_an_odd_shape_is_no_error(shape: tuple[int, ...]) -> None:
    noise = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)

    assert find_bar(noise) is None


def test_a_bar_in_16_bits_is_found_like_one_in_8() -> None:
    eight = with_data_bar(_picture(4), "below-black", _ACQUISITION, np.random.default_rng(4)).pixels

    assert find_bar(eight.astype(np.uint16) * 257) == find_bar(eight)
    assert find_bar(eight.astype(np.uint16) * 16) == find_bar(eight)  # a 12-bit camera


def test_damaged_floats_are_no_error() -> None:
    pixels = _picture(5).astype(np.float32)
    pixels[700:, :50] = np.nan
    pixels[720, 60] = np.inf

    assert find_bar(pixels) is None


def test_a_coloured_scale_bar_on_a_white_strip_inside_the_frame_is_measured() -> None:
    frame = np.repeat(_picture(6)[..., np.newaxis], 3, axis=2)
    frame[630:690] = 255
    frame[640:650, 200:420:4] = (200, 0, 0)
    frame[668:670, 10:121] = (0, 255, 0)
    for column in (10, 119):
        frame[660:680, column : column + 2] = (0, 255, 0)

    bar = find_bar(frame)

    assert bar is not None
    assert (bar.kind, bar.top, bar.bottom, bar.height_px) == ("strip", 630, 690, None)
    assert bar.ruler is not None
    assert (bar.ruler.left, bar.ruler.right, bar.ruler.length_px) == (10, 121, 109.0)


def _black_strip(rows: int = 60) -> np.ndarray:
    frame = _picture(7)
    frame[-rows:] = 0
    frame[-30:-12, 40:400:5] = 255
    return frame


def test_eleven_ticks_count_from_the_first_to_the_last() -> None:
    frame = _black_strip()
    for tick in range(11):
        frame[710:722, 600 + 38 * tick : 604 + 38 * tick] = 255

    bar = find_bar(frame)

    assert bar is not None
    assert bar.ruler is not None
    assert bar.ruler.length_px == 380.0


def test_ten_ticks_are_no_scale_bar() -> None:
    frame = _black_strip()
    for tick in range(1, 11):
        frame[710:722, 600 + 38 * tick : 604 + 38 * tick] = 255

    bar = find_bar(frame)

    assert bar is not None
    assert bar.ruler is None


def test_ticks_straight_on_the_picture_make_an_overlay() -> None:
    frame = _picture(8)
    for tick in range(11):
        frame[718:730, 600 + 38 * tick : 604 + 38 * tick] = 255

    bar = find_bar(frame)

    assert bar is not None
    assert (bar.kind, bar.height_px) == ("overlay", None)


def test_a_solid_block_counts_from_edge_to_edge() -> None:
    frame = _black_strip()
    frame[714:724, 500:607] = 255

    bar = find_bar(frame)

    assert bar is not None
    assert bar.ruler is not None
    assert bar.ruler.length_px == 107.0


def test_two_halves_about_a_label_are_one_scale_bar_and_table_lines_are_none() -> None:
    frame = _black_strip()
    frame[-60:, 450:452] = 255
    frame[740:742, 452:] = 255
    for left, right in ((500, 560), (620, 682)):
        frame[722:724, left:right] = 255
    for column in (500, 680):
        frame[718:728, column : column + 2] = 255

    bar = find_bar(frame)

    assert bar is not None
    assert bar.ruler is not None
    assert (bar.ruler.left, bar.ruler.right, bar.ruler.length_px) == (500, 682, 180.0)


def test_dark_picture_above_a_black_strip_is_not_part_of_it() -> None:
    rng = np.random.default_rng(9)
    frame = rng.integers(0, 8, (768, 1024), dtype=np.uint8)
    frame[-60:] = 0
    frame[-30:-12, 40:400:5] = 255

    bar = find_bar(frame)

    assert bar is not None
    assert (bar.top, bar.height_px) == (708, 60)


def test_a_strip_below_a_picture_of_its_own_grey_has_no_known_height() -> None:
    frame = np.zeros((768, 1024), np.uint8)
    frame[-30:-12, 40:400:5] = 255

    bar = find_bar(frame)

    assert bar is not None
    assert bar.height_px is None
