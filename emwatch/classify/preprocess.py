"""
From decoded pixels to what the network sees: grey, 170x170, 0..255.

Runs in the decoder child, so that a large frame never travels between processes: numpy and Pillow only, and no model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from emwatch.errors import Unreadable
from emwatch.frame import NETWORK_SIDE_PX

if TYPE_CHECKING:
    import numpy.typing as npt

#: Named in every bundle's card; a bundle made for other pixels than these is refused. Change it with any change below.
PREPROCESSING_ID: Final = "grey-170-antialias-1"

#: Share of the darkest and of the brightest pixels that a 16-bit or float frame may lose: hot pixels and charging.
CLIPPED_PERCENT: Final = 0.5

#: Percentiles are taken of at most so many pixels, evenly spread: more changes no grey value by a visible amount.
_PERCENTILE_SAMPLE_PX: Final = 1_000_000

_LUMINANCE: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as Pillow's "L"


def prepare(pixels: npt.NDArray[np.generic], data_bar_height_px: float | None = None) -> npt.NDArray[np.float32]:
    """
    Turn a decoded frame into the views the network sees.

    ``pixels``: (height, width) or (height, width, channels) with 1 to 4 channels (grey, grey + alpha, RGB, RGBA), of any
    integer, float or boolean type. 8-bit values are taken as they are; everything else is stretched between robust
    percentiles. Values that are not finite count as the darkest. ``data_bar_height_px``: rows at the bottom that are
    not picture.

    Returns float32, shape (views, 170, 170), grey values 0..255. Raises `Unreadable` for anything that is not a picture.
    """
    grey = _grey(_without_data_bar(_checked(pixels), data_bar_height_px))
    return _resized(grey)[np.newaxis]


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


def _grey(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Give float32 (height, width), 0..255."""
    if pixels.ndim == 3 and pixels.shape[2] == 2:
        pixels = pixels[:, :, 0]
    values = pixels.astype(np.float32)
    if values.ndim == 3:
        values = values[:, :, :3] @ _LUMINANCE
    if pixels.dtype == np.uint8:
        return values
    if pixels.dtype.kind == "b":
        return values * np.float32(255)
    return _stretched(values)


def _stretched(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Spread what lies between two robust percentiles over 0..255; a frame of one value becomes black."""
    step = max(1, int(np.ceil(np.sqrt(values.size / _PERCENTILE_SAMPLE_PX))))
    sample = values[::step, ::step]
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return np.zeros_like(values)
    low, high = (float(at) for at in np.percentile(sample, (CLIPPED_PERCENT, 100 - CLIPPED_PERCENT)))
    if not high > low:
        # Nearly all pixels are equal: the few that differ are all there is to see.
        low, high = float(sample.min()), float(sample.max())
    if not high > low:
        return np.zeros_like(values)
    finite = np.where(np.isfinite(values), values, np.float32(low))
    stretched: npt.NDArray[np.float32] = (np.clip(finite, low, high) - np.float32(low)) * np.float32(255 / (high - low))
    return stretched


def _resized(grey: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    # A reducing filter averages every pixel into its neighbourhood; nearest-neighbour, as networks are often fed,
    # drops 19 of 20 pixels of a frame and turns fine texture into noise.
    small = Image.fromarray(grey).resize((NETWORK_SIDE_PX, NETWORK_SIDE_PX), Image.Resampling.BILINEAR)
    return np.clip(np.asarray(small, dtype=np.float32), 0.0, 255.0)
