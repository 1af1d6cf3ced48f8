"""Planes of values in single precision, one a pixel, and how they are resampled and blurred."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

#: One value a pixel, shape (height, width).
Plane: TypeAlias = npt.NDArray[np.float32]
Point: TypeAlias = tuple[float, float]


def resized(plane: Plane, width: int, height: int, how: Image.Resampling = Image.Resampling.BICUBIC) -> Plane:
    """Return a plane resampled; antialiased if it shrinks."""
    return np.asarray(Image.fromarray(plane, mode="F").resize((width, height), how), dtype=np.float32)


def blurred(plane: Plane, radius_px: float) -> Plane:
    """Blur with about a Gaussian of this radius: small radii by neighbours, large ones by way of a smaller plane."""
    if radius_px <= 0.2:
        return plane
    if radius_px < 3:
        for _ in range(max(1, round(radius_px * radius_px / 0.5))):
            plane = _three_taps(_three_taps(plane, 0), 1)
        return plane
    height, width = plane.shape
    small = (max(2, round(width / radius_px)), max(2, round(height / radius_px)))
    return resized(resized(plane, *small, Image.Resampling.BILINEAR), width, height)


def _three_taps(plane: Plane, axis: int) -> Plane:
    moved = np.moveaxis(plane, axis, 0)
    out = np.empty_like(moved)
    out[0], out[-1] = moved[0], moved[-1]
    middle = out[1:-1]
    np.add(moved[:-2], moved[2:], out=middle)
    middle *= np.float32(0.25)
    middle += np.float32(0.5) * moved[1:-1]
    return np.moveaxis(out, 0, axis)
