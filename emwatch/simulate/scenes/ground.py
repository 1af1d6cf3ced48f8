"""The ground things lie on: the same choice for every category, so that it says nothing about what lies there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from emwatch.simulate.scenes.canvas import Canvas


def lay_ground(canvas: Canvas, *, rough: bool = True) -> float:
    """Make a flat or slightly uneven ground and return its tone; ``rough=False`` keeps it polished."""
    tone = canvas.between(0.12, 0.42)
    canvas.tone[:] = tone
    if rough and canvas.chance(0.5):
        size = canvas.unit * canvas.spread(0.01, 0.2)
        canvas.z += canvas.noise(size, 2) * np.float32(size * canvas.between(0.0, 0.06))
    if canvas.chance(0.4):
        canvas.tone += canvas.noise(canvas.unit * canvas.between(0.2, 0.6), 2) * np.float32(0.02)
    return tone


def bright(canvas: Canvas, ground: float) -> float:
    """Choose a tone that stands out from the ground."""
    return min(0.95, ground + canvas.between(0.2, 0.5))
