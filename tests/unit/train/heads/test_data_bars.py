from __future__ import annotations

import numpy as np
import pytest

from emwatch.train.heads.data_bars import bar_height_px, with_drawn_bar, without_bar


@pytest.fixture(name="picture")
def _picture() -> np.ndarray:
    return np.random.default_rng(0).integers(30, 220, (384, 512), dtype=np.uint8)


def _with_text(bar: np.ndarray) -> np.ndarray:
    """Write into a third of a bar."""
    bar = bar.copy()
    bar[4:-4, 20 : bar.shape[1] // 3] = 255 - bar[0, 0]
    return bar


@pytest.mark.parametrize("grey", [0, 255])
def test_a_black_or_white_strip_at_the_bottom_is_found_to_the_row(picture: np.ndarray, grey: int) -> None:
    bar = _with_text(np.full((40, 512), grey, np.uint8))

    assert bar_height_px(np.vstack([picture, bar])) == 40


def test_a_white_strip_inside_the_frame_goes_with_what_is_below_it(picture: np.ndarray) -> None:
    strip = _with_text(np.full((30, 512), 255, np.uint8))
    frame = np.vstack([picture, strip, picture[:24]])

    np.testing.assert_array_equal(picture, without_bar(frame))


@pytest.mark.parametrize("rows", [0, 3, 200])
def test_no_strip_a_line_or_half_a_frame_of_black_is_no_bar(picture: np.ndarray, rows: int) -> None:
    frame = np.vstack([picture, np.zeros((rows, 512), np.uint8)])

    assert bar_height_px(frame) == 0


def test_a_wholly_black_frame_is_left_alone() -> None:
    frame = np.zeros((300, 400), np.uint8)

    np.testing.assert_array_equal(frame, without_bar(frame))


def test_drawn_bars_differ_and_leave_the_picture_above_them_alone(picture: np.ndarray) -> None:
    random = np.random.default_rng(0)
    drawn = [with_drawn_bar(picture, random) for _ in range(12)]

    assert len({frame.tobytes() for frame in drawn}) == 12
    for frame in drawn:
        np.testing.assert_array_equal(picture[:300], frame[:300])
        assert (frame[300:].shape != picture[300:].shape) or (frame[300:] != picture[300:]).any()


def test_the_same_random_numbers_draw_the_same_bar(picture: np.ndarray) -> None:
    first, second = (with_drawn_bar(picture, np.random.default_rng(5)) for _ in range(2))

    np.testing.assert_array_equal(first, second)
