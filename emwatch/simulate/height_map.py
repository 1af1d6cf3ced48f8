"""What both painters begin with: a height map to draw on, and random numbers to draw with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


class HeightMap:
    """Heights ``z`` in pixels, float32 of shape (height, width), all 0 at first."""

    def __init__(self, rng: np.random.Generator, width: int, height: int, unit: float | None = None) -> None:
        self.rng = rng
        self.width = width
        self.height = height
        #: The length, in pixels, that the sizes of what is drawn are fractions of: the height of the finished frame.
        self.unit = float(height if unit is None else unit)
        self.z: npt.NDArray[np.float32] = np.zeros((height, width), np.float32)

    def between(self, low: float, high: float) -> float:
        """Return a random number, even between the limits."""
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """Return true with a probability."""
        return bool(self.rng.random() < probability)
