"""What bodies lie on, whatever their category: wafers, carbon tape, membranes, grids, glass, metal; and what fell on it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from emwatch.simulate.bodies.shapes import any_turn, shard, sized
from emwatch.simulate.planes import blurred

if TYPE_CHECKING:
    from PIL import ImageDraw

    from emwatch.simulate.bodies.stage import Stage


def substrate(stage: Stage, *, plain: bool = False) -> float:
    """Put a random ground onto the stage and return its yield; ``plain``: a wafer or a polished stub only."""
    luck = stage.rng.random()
    dark = stage.between(0.08, 0.35)
    if plain or luck < 0.42:
        stage.terrain(stage.rough(stage.unit * 0.3, 4) * np.float32(stage.between(0.0, 0.3)), dark)
    elif luck < 0.62:
        _carbon_tape(stage, dark)
    elif luck < 0.74:
        _machined(stage, dark)
    elif luck < 0.82:
        stage.terrain(
            stage.rough(stage.unit * 0.5, 2), dark * (1 + stage.rough(stage.unit * 0.6, 2) * np.float32(0.08))
        )
    elif luck < 0.89:
        _membrane(stage, dark)
    elif luck < 0.93:
        _grid(stage, dark)
    else:
        grain = stage.size(0.01, 0.03)
        stage.terrain(stage.rough(grain, 2) * np.float32(grain * 0.12), dark)
    return dark


def _carbon_tape(stage: Stage, dark: float) -> None:
    """Double-sided carbon tape: softly pebbled, with pits and folds."""
    pebble = stage.rough(stage.size(0.04, 0.2), 3, 0.45) * np.float32(stage.unit * stage.between(0.002, 0.01))
    pits = np.minimum(stage.rough(stage.size(0.1, 0.3), 2) + np.float32(1.6), 0) * np.float32(stage.unit * 0.03)
    stage.terrain(pebble + pits, dark * 0.6)


def _machined(stage: Stage, dark: float) -> None:
    """Draw a metal stub: scratches one way, and crossing ones."""
    _, y = stage.axes(stage.between(0, math.pi))
    line = stage.rng.standard_normal(4096).astype(np.float32)
    pitch = stage.between(1.5, 5)
    marks = np.interp(y.ravel() / pitch + 2048, np.arange(4096), line).reshape(y.shape).astype(np.float32)
    stage.terrain(blurred(marks, 0.6) * np.float32(stage.between(0.3, 1.5)) + stage.rough(stage.unit * 0.2), dark + 0.1)


def _membrane(stage: Stage, dark: float) -> None:
    """Draw a track-etched filter: round holes of one size at random places."""
    radius = stage.size(0.008, 0.03)
    spots = stage.spots(stage.number(20, 120), radius)
    rows, columns = stage.shape()

    def draw(brush: ImageDraw.ImageDraw) -> None:
        for x, y in spots:
            at = (x + columns / 2, y + rows / 2)
            brush.ellipse((at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius), fill=255)

    hole = stage.drawn(draw)
    stage.terrain(stage.rough(stage.unit * 0.3) - hole * np.float32(radius * 3), (dark + 0.1) * (1 - hole * 0.8))


def _grid(stage: Stage, dark: float) -> None:
    """Draw a perforated carbon film: round holes in rows over nothing."""
    pitch = stage.size(0.12, 0.35)
    u, v = stage.axes(stage.between(0, math.pi))
    away = np.hypot(u - np.rint(u / pitch) * pitch, v - np.rint(v / pitch) * pitch)
    hole = np.clip(np.float32(pitch * stage.between(0.22, 0.36)) - away, 0, 1)
    stage.terrain(hole * np.float32(-0.3 * pitch), (dark + 0.05) * (1 - hole * 0.9))


def debris(stage: Stage, probability: float = 0.35) -> None:
    """Strew a few specks over what is seen, as dust falls on every specimen."""
    if not stage.chance(probability):
        return
    for _ in range(stage.number(1, 12)):
        x, y = stage.spot()
        size = stage.size(0.002, 0.012)
        row = int(np.clip(y * stage.cos + stage.height / 2, 0, stage.height - 1))
        column = int(np.clip(x + stage.width / 2, 0, stage.width - 1))
        ground = float(stage.z[row, column])
        if ground < -1e5:
            continue
        height = (ground - y * stage.sin) / max(stage.cos, 0.3) if stage.sin else ground
        stage.solid(
            np.array([x, y, height + size * 0.4]),
            sized(shard(stage, 7), size),
            any_turn(stage),
            stage.between(0.3, 0.7),
        )
