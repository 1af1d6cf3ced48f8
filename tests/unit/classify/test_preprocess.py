from __future__ import annotations

import importlib
import subprocess
import sys

import numpy as np
import pytest

from emwatch.classify.preprocess import CLIPPED_PERCENT, eight_bits, prepare, prepare_five, prepared_by
from emwatch.errors import Unreadable


def test_a_chequerboard_of_single_pixels_becomes_mid_grey() -> None:
    board = (np.indices((768, 1024)).sum(axis=0) % 2 * 255).astype(np.uint8)

    view = prepare(board)[0]

    assert view.std() < 12
    assert pytest.approx(float(view.mean()), abs=1.0) == 127.5


def test_the_view_is_one_float_square_of_170_pixels() -> None:
    views = prepare(np.zeros((50, 60), np.uint8))

    assert ((1, 170, 170), np.float32) == (views.shape, views.dtype)


def test_top_stays_up_and_left_stays_left() -> None:
    pixels = np.zeros((400, 400), np.uint8)
    pixels[:200, :200], pixels[:200, 200:], pixels[200:, :200] = 200, 100, 50

    view = prepare(pixels)[0]

    assert [view[40, 40], view[40, 130], view[130, 40], view[130, 130]] == [200, 100, 50, 0]


@pytest.mark.parametrize("shape", [(300, 500), (500, 300)])
def test_the_centred_square_is_seen_undistorted(shape: tuple[int, int]) -> None:
    y, x = np.indices(shape)
    disc = (np.hypot(y - shape[0] / 2, x - shape[1] / 2) < 100) * np.uint8(255)

    view = prepare(disc)[0] > 127

    assert view.any(axis=0).sum() == pytest.approx(170 * 200 / 300, abs=2)
    assert view.any(axis=1).sum() == pytest.approx(170 * 200 / 300, abs=2)


def test_a_known_data_bar_is_left_out() -> None:
    pixels = np.full((884, 1024), 90, np.uint8)
    pixels[768:] = 255

    assert (prepare(pixels, 116)[0].max(), prepare(pixels)[0].max()) == (90.0, 255.0)


@pytest.mark.parametrize("height", [0, -5, 500, float("nan"), float("inf"), None])
def test_an_impossible_bar_height_is_ignored(height: float | None) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (400, 400), dtype=np.uint8)

    np.testing.assert_array_equal(prepare(pixels, height), prepare(pixels))


def test_eight_bit_values_are_taken_as_they_are() -> None:
    assert {40.0} == set(np.unique(prepare(np.full((300, 300), 40, np.uint8))))


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32, np.float64, np.int32])
def test_deeper_pixels_are_stretched_over_the_whole_range(dtype: type) -> None:
    ramp = np.tile(np.linspace(1000, 9000, 600), (600, 1)).astype(dtype)

    view = prepare(ramp)[0]

    assert (view.min(), view.max()) == (0.0, 255.0)
    assert pytest.approx(float(view[:, 85].mean()), abs=3) == 127.5


def test_hot_pixels_do_not_darken_a_16_bit_frame() -> None:
    random = np.random.default_rng(0)
    quiet = random.integers(1000, 2000, (600, 600)).astype(np.uint16)
    hot = quiet.copy()
    hot[random.integers(0, 600, 300), random.integers(0, 600, 300)] = 65_535

    assert float(prepare(hot).mean()) == pytest.approx(float(prepare(quiet).mean()), abs=5)


def test_values_that_are_not_finite_count_as_the_darkest() -> None:
    pixels = np.tile(np.linspace(0, 1, 300, dtype=np.float32), (300, 1))
    pixels[:, 150:] = np.nan
    pixels[0, 0] = np.inf

    view = prepare(pixels)[0]

    assert bool(np.isfinite(view).all())
    assert view[:, 100:].max() == 0.0


@pytest.mark.parametrize(
    "pixels",
    [np.full((200, 200), np.nan, np.float32), np.full((200, 200), 777, np.uint16), np.zeros((200, 200), np.float64)],
)
def test_a_frame_of_one_deep_value_is_black(pixels: np.ndarray) -> None:
    assert {0.0} == set(np.unique(prepare(pixels)))


def test_a_few_bright_pixels_on_an_even_16_bit_frame_are_seen() -> None:
    pixels = np.full((170, 170), 500, np.uint16)
    pixels[80:85, 80:85] = 900

    assert prepare(pixels)[0, 82, 82] == 255.0


def test_colour_becomes_grey_by_luminance_and_alpha_is_ignored() -> None:
    rgb = np.zeros((200, 200, 3), np.uint8)
    rgb[:] = (200, 100, 50)
    rgba = np.dstack([rgb, np.zeros((200, 200), np.uint8)])

    expected = 0.299 * 200 + 0.587 * 100 + 0.114 * 50

    for pixels in (rgb, rgba):
        np.testing.assert_allclose(prepare(pixels), expected, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 2])
def test_one_or_two_channels_are_grey(channels: int) -> None:
    grey = np.random.default_rng(0).integers(0, 255, (300, 300), dtype=np.uint8)
    pixels = np.dstack([grey] + [np.full_like(grey, 255)] * (channels - 1))

    np.testing.assert_array_equal(prepare(grey), prepare(pixels))


def test_a_mask_is_black_and_white() -> None:
    mask = np.zeros((170, 170), bool)
    mask[:85] = True

    assert np.unique(prepare(mask)).tolist() == [0.0, 255.0]


@pytest.mark.parametrize(
    "pixels",
    [np.zeros(5), np.zeros((0, 5)), np.zeros((5, 5, 5)), np.zeros((2, 5, 5, 3)), np.zeros((5, 5), complex)],
)
def test_what_is_not_a_picture_is_unreadable(pixels: np.ndarray) -> None:
    with pytest.raises(Unreadable, match="expected"):
        prepare(pixels)


def test_the_decoder_child_imports_nothing_but_numpy_and_pillow() -> None:
    program = (
        "import sys, emwatch.classify.preprocess;"
        "print(*sorted({'yaml', 'platformdirs', 'ai_edge_litert', 'tensorflow', 'keras', 'pydantic'} & set(sys.modules)))"
    )

    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == ""


def test_five_views_are_the_one_and_the_corners_without_the_bar() -> None:
    frame = np.zeros((300, 400), np.uint8)
    for index, (rows, columns) in enumerate(
        [
            (slice(0, 60), slice(0, 60)),
            (slice(0, 60), slice(340, 400)),
            (slice(200, 260), slice(0, 60)),
            (slice(200, 260), slice(340, 400)),
        ]
    ):
        frame[rows, columns] = 60 * (index + 1)
    frame[260:] = 255
    views = prepare_five(frame, 40)

    assert (views.shape, views.dtype) == ((5, 170, 170), np.float32)
    np.testing.assert_array_equal(views[0], prepare(frame, 40)[0])
    assert [float(view.max()) for view in views[1:]] == [60, 120, 180, 240]


@pytest.mark.parametrize(("views", "count"), [(1, 1), (5, 5)])
def test_the_decoder_child_finds_the_maker_by_its_name(views: int, count: int) -> None:
    module, name = prepared_by(views).split(":")
    maker = getattr(importlib.import_module(module), name)

    assert len(maker(np.zeros((50, 60, 3), np.uint16))) == count


@pytest.mark.parametrize("kind", ["u2", "i2", "u4", "f4"])
def test_a_stretch_by_rows_gives_the_values_of_one_over_the_whole_frame(kind: str) -> None:
    pixels = np.random.default_rng(4).normal(3000, 900, (301, 170)).clip(0, 60000).astype(kind)
    values = pixels.astype(np.float32)
    low, high = (float(at) for at in np.percentile(values, (CLIPPED_PERCENT, 100 - CLIPPED_PERCENT)))
    expected = np.rint((np.clip(values, low, high) - np.float32(low)) * np.float32(255 / (high - low)))

    np.testing.assert_array_equal(eight_bits(pixels), expected.astype(np.uint8))
