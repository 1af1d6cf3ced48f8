"""Cells that fill a surface: which of many seeds is nearest to each place, and how near."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from emwatch.simulate.planes import resized

if TYPE_CHECKING:
    from emwatch.simulate.bodies.stage import Numbers, Stage
    from emwatch.simulate.planes import Plane


def nearest(stage: Stage, seeds: Numbers, shrink: int = 2) -> tuple[Plane, Plane, npt.NDArray[np.intp]]:
    """
    Return for each place of a relief the distances (pixels) to the nearest and second nearest seed, and which is nearest.

    ``seeds`` (n, 2) in world coordinates; computed on every ``shrink``-th pixel from the seeds near each block of 24.
    """
    rows, columns = stage.shape()
    tall, wide = -(-rows // shrink), -(-columns // shrink)
    first, second = np.empty((tall, wide), np.float32), np.empty((tall, wide), np.float32)
    which = np.empty((tall, wide), np.intp)
    at = seeds + np.array([columns / 2, rows / 2], np.float32)
    reach = 2.6 * math.sqrt(rows * columns / max(len(seeds), 1)) + 24 * shrink
    for top in range(0, tall, 24):
        y = (np.arange(top, min(top + 24, tall), dtype=np.float32) * shrink)[:, None, None]
        in_rows = np.flatnonzero(np.abs(at[:, 1] - (top + 12) * shrink) < reach)
        for left in range(0, wide, 24):
            x = (np.arange(left, min(left + 24, wide), dtype=np.float32) * shrink)[None, :, None]
            near = in_rows[np.abs(at[in_rows, 0] - (left + 12) * shrink) < reach]
            if len(near) < 2:
                near = np.arange(len(at))
            square = (at[near, 0] - x) ** 2 + (at[near, 1] - y) ** 2
            two = np.argpartition(square, 1, axis=2)[:, :, :2]
            part = (slice(top, top + 24), slice(left, left + 24))
            both = np.sqrt(np.take_along_axis(square, two, axis=2))
            swap = both[:, :, 0] > both[:, :, 1]
            first[part], second[part] = both.min(axis=2), both.max(axis=2)
            which[part] = near[np.where(swap, two[:, :, 1], two[:, :, 0])]

    def grown(plane: Plane) -> Plane:
        return resized(plane, wide * shrink, tall * shrink, Image.Resampling.BILINEAR)[:rows, :columns]

    names = np.repeat(np.repeat(which, shrink, axis=0), shrink, axis=1)[:rows, :columns]
    return (grown(first), grown(second), names) if shrink > 1 else (first, second, which)
