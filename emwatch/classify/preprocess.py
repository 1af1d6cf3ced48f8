"""
From decoded pixels to what the network sees: grey, 170x170, 0..255.

Runs in the decoder child, so that a large frame never travels between processes: numpy and Pillow only, and no model.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from PIL import Image

from emwatch.errors import Unreadable
from emwatch.frame import NETWORK_SIDE_PX

if TYPE_CHECKING:
    import numpy.typing as npt

Grey = TypeVar("Grey", bound=np.generic)

#: Named in every bundle's card; a bundle made for other pixels than these is refused. Change it with any change below.
PREPROCESSING_ID: Final = "grey-170-centre-square-1"

#: Share of the darkest and of the brightest pixels that a 16-bit or float frame may lose: hot pixels and charging.
CLIPPED_PERCENT: Final = 0.5

#: Percentiles are taken of at most so many pixels, evenly spread: more changes no grey value by a visible amount.
_PERCENTILE_SAMPLE_PX: Final = 250_000

_ROWS_AT_A_TIME: Final = 32

_CORNER_SHARE: Final = 0.7

_LUMINANCE: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as Pillow's "L"


def prepare(pixels: npt.NDArray[np.generic], data_bar_height_px: float | None = None) -> npt.NDArray[np.float32]:
    """
    Turn a decoded frame into the views the network sees.

    ``pixels``: (height, width) or (height, width, channels) with 1 to 4 channels (grey, grey + alpha, RGB, RGBA), of any
    integer, float or boolean type. 8-bit values are taken as they are; everything else is stretched between robust
    percentiles, values that are not finite counting as the darkest. ``data_bar_height_px``: rows at the bottom that are
    not picture; they are left out. Of the rest the network sees the largest centred square: squashing a frame of 4:3
    cost 3 points of accuracy on frames of unseen sources, and so did a bar left in.

    Returns float32, shape (views, 170, 170), grey values 0..255. Raises `Unreadable` for anything that is not a picture.
    """
    picture = _without_data_bar(_checked(pixels), data_bar_height_px)
    return _resized(eight_bits(_centre_square(picture)))[np.newaxis]


def prepare_five(pixels: npt.NDArray[np.generic], data_bar_height_px: float | None = None) -> npt.NDArray[np.float32]:
    """
    Turn a decoded frame into five views: that of `prepare`, and four squares in the picture's corners.

    The corners' sides are 0.7 of the picture's shorter one. Their embeddings are averaged. Measured by source, tips
    gain, MEMS lose as much, and balanced accuracy stays (0.570 and 0.567), at five times the cost.

    Returns float32, shape (5, 170, 170). Raises `Unreadable` for anything that is not a picture.
    """
    picture = eight_bits(_without_data_bar(_checked(pixels), data_bar_height_px))
    height, width = picture.shape[:2]
    side = max(1, round(min(height, width) * _CORNER_SHARE))
    corners = [
        picture[top : top + side, left : left + side] for top in (0, height - side) for left in (0, width - side)
    ]
    return np.stack([_resized(each) for each in (_centre_square(picture), *corners)])


def prepared_by(views: int) -> str:
    """Name the function that makes so many views, 1 or 5, as the decoder child takes it."""
    return f"{__name__}:{_MAKERS[views].__name__}"


def _checked(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim not in (2, 3) or 0 in pixels.shape or (pixels.ndim == 3 and pixels.shape[2] > 4):
        raise Unreadable(
            f"pixels of shape {pixels.shape} are not a picture: expected (height, width) or (height, width, 1 to 4 channels)"
        )
    if pixels.dtype.kind not in "buif":
        raise Unreadable(f"pixels of type {pixels.dtype} are not grey values: expected integers, floats or booleans")
    return pixels


def _without_data_bar(pixels: npt.NDArray[np.generic], data_bar_height_px: float | None) -> npt.NDArray[np.generic]:
    # A bar said to be more than half of the frame is a wrong number, not a bar.
    if data_bar_height_px is None or not 0 < data_bar_height_px < pixels.shape[0] / 2:
        return pixels
    return pixels[: pixels.shape[0] - round(data_bar_height_px)]


def _centre_square(pixels: npt.NDArray[Grey]) -> npt.NDArray[Grey]:
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def eight_bits(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """
    Return uint8 (height, width) or (height, width, 3): Pillow resizes it nine times faster than float.

    8-bit values are taken as they are, everything else is stretched.
    """
    if pixels.ndim == 3:
        pixels = pixels[:, :, 0] if pixels.shape[2] == 2 else pixels[:, :, :3]  # without alpha
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    if pixels.dtype.kind == "b":
        return np.where(pixels, np.uint8(255), np.uint8(0))
    return _stretched(pixels)


def _stretched(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Spread what lies between two robust percentiles over 0..255; a frame of one value becomes black."""
    step = max(1, int(np.ceil(np.sqrt(values.size / _PERCENTILE_SAMPLE_PX))))
    sample = values[::step, ::step].astype(np.float32)
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return np.zeros(values.shape, dtype=np.uint8)
    low, high = (float(at) for at in np.percentile(sample, (CLIPPED_PERCENT, 100 - CLIPPED_PERCENT)))
    if not high > low:
        # Nearly all pixels are equal: the few that differ are all there is to see.
        low, high = float(sample.min()), float(sample.max())
    if not high > low:
        return np.zeros(values.shape, dtype=np.uint8)
    stretched = np.empty(values.shape, dtype=np.uint8)
    # Some rows at a time stay in the processor's cache: five times as fast as the whole frame step by step.
    for top in range(0, len(values), _ROWS_AT_A_TIME):
        shares = values[top : top + _ROWS_AT_A_TIME].astype(np.float32)
        if values.dtype.kind == "f":
            shares[~np.isfinite(shares)] = low
        np.clip(shares, low, high, out=shares)
        shares -= np.float32(low)
        shares *= np.float32(255 / (high - low))
        stretched[top : top + _ROWS_AT_A_TIME] = np.rint(shares, out=shares)
    return stretched


def _resized(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    # A reducing filter averages every pixel into its neighbourhood; nearest-neighbour, as networks are often fed,
    # drops 19 of 20 pixels of a frame and turns fine texture into noise.
    square = Image.fromarray(np.ascontiguousarray(pixels))
    small = square.resize((NETWORK_SIDE_PX, NETWORK_SIDE_PX), Image.Resampling.BILINEAR)
    values = np.asarray(small, dtype=np.float32)
    return values if values.ndim == 2 else values @ _LUMINANCE


_MAKERS: Final = MappingProxyType({1: prepare, 5: prepare_five})
