"""Fibres: long, bent strands much longer than the frame, thick enough to show their round surface."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind
from emwatch.simulate.scenes.canvas import lay_ground

if TYPE_CHECKING:
    import numpy.typing as npt

    from emwatch.simulate.planes import Point
    from emwatch.simulate.scenes.canvas import Canvas


def _bent(canvas: Canvas, at: Point, angle: float, bend: float, step: float) -> npt.NDArray[np.float64]:
    """Return a strand through a place in both directions, out of the frame; ``bend``: radians a frame height."""
    half = round(0.75 * math.hypot(canvas.width, canvas.height) / step)
    turns = canvas.rng.normal(0, bend * math.sqrt(step / canvas.unit), (2, half))
    halves = []
    for side in range(2):
        direction = angle + side * math.pi + np.cumsum(np.convolve(turns[side], np.ones(5) / 5, "same")) * 1.5
        halves.append(np.cumsum(np.stack([np.cos(direction), np.sin(direction)], axis=1) * step, axis=0) + at)
    points = np.concatenate([halves[1][::-1], np.array([at]), halves[0]])
    margin = 4 * step
    inside = ((points > -margin) & (points < np.array([canvas.width + margin, canvas.height + margin]))).all(axis=1)
    kept = np.flatnonzero(inside)
    return points[kept[0] : kept[-1] + 1] if len(kept) > 1 else points[:2]


def _mat(canvas: Canvas, radius: float, count: int, angles: tuple[float, float], bend: float) -> None:
    """Lay fibres over each other, the later ones higher and brighter."""
    step = max(radius * 2.0, canvas.unit * 0.025)
    spread = canvas.between(0.05, 0.5)
    for index in range(count):
        thick = radius * math.exp(canvas.rng.normal(0, spread * 0.6))
        depth = index / max(1, count - 1)
        points = _bent(canvas, canvas.anywhere(), canvas.rng.normal(*angles), bend, step)
        canvas.strand(points, (thick, thick), 0.15 + 0.5 * depth, depth * radius * 6)


def non_woven(canvas: Canvas) -> None:
    """Draw a random mat, as from electrospinning."""
    lay_ground(canvas)
    canvas.tone *= np.float32(0.4)
    radius = canvas.unit * canvas.spread(0.006, 0.035)
    count = round(canvas.between(1.0, 2.2) * 0.75 * canvas.unit / radius)
    _mat(canvas, radius, min(count, 110), (canvas.between(0, 3), 10.0), canvas.between(0.2, 1.5))


def aligned(canvas: Canvas) -> None:
    """Draw fibres side by side, as a tow or a roving."""
    lay_ground(canvas)
    canvas.tone *= np.float32(0.4)
    radius = canvas.unit * canvas.spread(0.015, 0.06)
    count = round(canvas.between(1.2, 2.2) * 0.6 * canvas.unit / radius)
    _mat(canvas, radius, min(count, 70), (canvas.between(0, math.pi), canvas.between(0.02, 0.12)), 0.15)


def crimped(canvas: Canvas) -> None:
    """Draw strongly wound fibres that form loops."""
    lay_ground(canvas)
    canvas.tone *= np.float32(0.4)
    radius = canvas.unit * canvas.spread(0.007, 0.022)
    _mat(canvas, radius, round(canvas.between(25, 50)), (0.0, 10.0), canvas.between(3.5, 6.0))


def beaded(canvas: Canvas) -> None:
    """Draw thin fibres with spindle-like beads, as from a solution too dilute to spin."""
    lay_ground(canvas)
    canvas.tone *= np.float32(0.4)
    radius = canvas.unit * canvas.spread(0.004, 0.01)
    step = canvas.unit * 0.025
    for index in range(round(canvas.between(25, 50))):
        points = _bent(canvas, canvas.anywhere(), canvas.rng.normal(0, 10), 0.7, step)
        base = index * radius * 0.1
        tone = canvas.between(0.3, 0.65)
        canvas.strand(points, (radius, radius), tone, base)
        for place in range(2, len(points) - 2, max(4, round(canvas.between(8, 20)))):
            along = points[place + 1] - points[place]
            size = radius * canvas.between(3, 5)
            canvas.ellipsoid(
                (float(points[place][0]), float(points[place][1])),
                (size * canvas.between(1.4, 2.4), size),
                math.atan2(along[1], along[0]),
                tone,
                base=base,
                height_px=size,
            )


def weave(canvas: Canvas) -> None:
    """Draw a woven cloth: yarns of many fibres, over and under."""
    pitch = canvas.unit * canvas.spread(0.12, 0.4)
    x, y = canvas.grid(canvas.between(-0.3, 0.3))
    bend = canvas.noise(pitch * 2) * np.float32(pitch * 0.05)
    x, y = x + bend, y + bend
    tops = []
    for across, along in ((x, y), (y, x)):
        lane = np.floor(across / np.float32(pitch))
        offset = across / np.float32(pitch) - lane - np.float32(0.5)
        body = np.sqrt(np.clip(0.23 - offset * offset, 0, None)) * np.float32(pitch * 0.4)
        hop = np.cos(along / np.float32(pitch) * np.float32(math.pi) + lane * np.float32(math.pi))
        fibre = np.abs(
            np.sin((offset * np.float32(canvas.between(5, 9)) + hop * np.float32(0.1)) * np.float32(math.pi))
        )
        solid = body > 0
        sign = np.float32(1 if along is y else -1)
        tops.append(
            np.where(
                solid,
                body + sign * hop * np.float32(pitch * 0.25) + np.sqrt(fibre) * np.float32(pitch * 0.05),
                -pitch * 0.6,
            )
        )
    canvas.z[:] = np.maximum(*tops)
    canvas.tone[:] = np.where(canvas.z > -pitch * 0.5, np.float32(canvas.between(0.4, 0.6)), np.float32(0.05))


def scaly(canvas: Canvas) -> None:
    """Draw one to four thick fibres with a rough, grooved or scaly skin, as hair, wool or paper pulp."""
    lay_ground(canvas)
    canvas.tone *= np.float32(0.5)
    for index in range(int(canvas.rng.integers(1, 5))):
        radius = canvas.unit * canvas.between(0.06, 0.17)
        points = _bent(canvas, canvas.anywhere(-canvas.unit * 0.2), canvas.between(0, math.pi), 0.25, canvas.unit * 0.1)
        canvas.strand(points, (radius, radius), canvas.between(0.35, 0.6), index * radius * 1.2)
    skin = canvas.noise(canvas.unit * canvas.between(0.015, 0.05), 3, stretch=canvas.between(1, 4))
    solid = canvas.z > canvas.unit * 0.06
    canvas.z += solid * skin * np.float32(canvas.unit * canvas.between(0.001, 0.006))


KINDS: Final = (
    SceneKind("non-woven", non_woven, (5.0, 500.0)),
    SceneKind("aligned", aligned, (10.0, 500.0)),
    SceneKind("crimped", crimped, (20.0, 1000.0)),
    SceneKind("beaded", beaded, (5.0, 100.0)),
    SceneKind("weave", weave, (100.0, 3000.0)),
    SceneKind("scaly", scaly, (20.0, 300.0)),
)
