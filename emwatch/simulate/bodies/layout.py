"""How devices are laid out: in coordinates of their own, turned, enlarged and moved onto the stage."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from emwatch.simulate.bodies.stage import Stage
    from emwatch.simulate.planes import Point


class Layout:
    """A device drawn in its own coordinates, put onto the stage turned, enlarged and moved: outlines for each part."""

    def __init__(self, stage: Stage, zoom: float = 1.0) -> None:
        self.stage = stage
        self.turn = (stage.number(0, 3) * math.pi / 2) + (stage.between(-0.6, 0.6) if stage.chance(0.35) else 0.0)
        self.scale = stage.unit * zoom
        self.at = stage.spot(-stage.unit * 0.25) if zoom > 1.3 else (stage.rng.normal(0, 0.05) * stage.unit,) * 2

    def put(self, points: list[Point]) -> list[Point]:
        """Return points of the layout (the picture is 1 high) as world points."""
        c, s = math.cos(self.turn) * self.scale, math.sin(self.turn) * self.scale
        return [(self.at[0] + x * c - y * s, self.at[1] + x * s + y * c) for x, y in points]

    def bar(self, x0: float, y0: float, x1: float, y1: float) -> list[Point]:
        """Return a rectangle between two corners."""
        return self.put([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])

    def disc(self, x: float, y: float, radius: float, corners: int = 40) -> list[Point]:
        """Return a round outline."""
        lie = np.linspace(0, 2 * math.pi, corners, endpoint=False)
        return self.put([(x + radius * math.cos(t), y + radius * math.sin(t)) for t in lie])

    def strip(self, path: list[Point], width: float) -> list[list[Point]]:
        """Return outlines of a lead of a width along corners."""
        out = []
        for (x0, y0), (x1, y1) in pairwise(path):
            long = math.hypot(x1 - x0, y1 - y0) or 1.0
            u, v = (x1 - x0) / long * width / 2, (y1 - y0) / long * width / 2
            out.append(
                self.put(
                    [
                        (x0 - u - v, y0 - v + u),
                        (x1 + u - v, y1 + v + u),
                        (x1 + u + v, y1 + v - u),
                        (x0 - u + v, y0 - v - u),
                    ]
                )
            )
        return out

    def holes(
        self, x0: float, y0: float, x1: float, y1: float, pitch: float, size: float, *, round_: bool
    ) -> list[list[Point]]:
        """Return release holes in rows within a plate."""
        xs, ys = np.arange(x0 + pitch, x1 - pitch / 2, pitch), np.arange(y0 + pitch, y1 - pitch / 2, pitch)
        return [
            self.disc(x, y, size / 2, 12) if round_ else self.bar(x - size / 2, y - size / 2, x + size / 2, y + size / 2)
            for x in xs for y in ys
        ]  # fmt: skip


def wafer(stage: Stage) -> float:
    """Put the wafer's surface, smooth or faintly grained; return its yield."""
    ground = stage.between(0.1, 0.35)
    stage.terrain(stage.rough(stage.unit * 0.03, 2) * np.float32(stage.between(0.05, 0.3)), ground)
    return ground
