"""Powder: grains in a pile that fills the frame; grains apart on bare ground are Particles."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind
from emwatch.simulate.scenes.particles import convex, facets

if TYPE_CHECKING:
    from emwatch.simulate.planes import Plane
    from emwatch.simulate.scenes.canvas import Canvas


def _heap(canvas: Canvas, relief: float) -> float:
    """Make the uneven ground of a pile, dark, and return its relief in pixels."""
    canvas.tone[:] = canvas.between(0.04, 0.12)
    canvas.z[:] = canvas.noise(canvas.unit * canvas.between(0.15, 0.4), 2) * np.float32(relief)
    return relief


def faceted(canvas: Canvas) -> None:
    """Draw angular crystals heaped up."""
    radius = canvas.unit * canvas.spread(0.045, 0.13)
    _heap(canvas, radius * 0.5)
    count = min(900, round(3.6 * canvas.width * canvas.height / (2.5 * radius * radius)))
    for index in range(count):
        at = canvas.anywhere(radius)
        size = radius * canvas.rng.lognormal(-0.1, 0.35)
        corners = convex(canvas, at, size, int(canvas.rng.integers(4, 8)), 0.5)
        facets(canvas, at, corners, index / count * radius * 2.5, canvas.between(0.35, 0.6))


def cauliflower(canvas: Canvas) -> None:
    """Draw round lumps covered all over with small round knobs."""
    radius = canvas.unit * canvas.spread(0.08, 0.22)
    _heap(canvas, radius * 0.3)
    knob = radius * canvas.between(0.16, 0.3)
    lumps = min(110, round(3.4 * canvas.width * canvas.height / (3.1 * radius * radius)))
    knobs = min(150, round(2.6 * (radius / knob) ** 2))
    for _ in range(lumps):
        x, y = canvas.anywhere(radius)
        size, tone = radius * canvas.between(0.7, 1.2), canvas.between(0.4, 0.55)
        base = radius * canvas.between(-0.5, 0.5)
        canvas.sphere(x, y, size, tone, base)
        for index in range(knobs):
            away = math.sqrt((index + 0.5) / knobs)
            turn = index * 2.399963 + canvas.between(-0.3, 0.3)
            at = (x + size * away * math.cos(turn), y + size * away * math.sin(turn))
            rise = size * math.sqrt(max(0.0, 1 - away * away))
            canvas.sphere(*at, knob * canvas.between(0.7, 1.2), tone, base + rise - knob * 0.3)


def flaky(canvas: Canvas) -> None:
    """Draw thin plates heaped up, leaning every way."""
    radius = canvas.unit * canvas.spread(0.05, 0.13)
    _heap(canvas, radius * 0.3)
    count = min(700, round(3.6 * canvas.width * canvas.height / (2.5 * radius * radius)))
    for index in range(count):
        at = canvas.anywhere(radius)
        outline = convex(canvas, at, radius * canvas.between(0.6, 1.2), int(canvas.rng.integers(5, 9)), 0.4)
        reach = radius * 1.6
        box = canvas.window(at[0] - reach, at[1] - reach, at[0] + reach, at[1] + reach)
        if box is None:
            continue
        local = type(canvas)(canvas.rng, box[1].stop - box[1].start, box[0].stop - box[0].start)
        squeeze, turn = canvas.between(0.25, 1.0), canvas.between(0, math.pi)
        cos, sin = math.cos(turn), math.sin(turn)
        flat = []
        for corner in outline:
            right, down = corner[0] - at[0], corner[1] - at[1]
            along, across = right * cos + down * sin, (down * cos - right * sin) * squeeze
            flat.append(
                (at[0] + along * cos - across * sin - box[1].start, at[1] + along * sin + across * cos - box[0].start)
            )
        mask = local.polygons([flat]) > 0
        y = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None] - np.float32(at[1])
        x = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None, :] - np.float32(at[0])
        lean = (y * cos - x * sin) * np.float32((1 - squeeze) * canvas.between(0.3, 0.9))
        z = np.where(mask, np.float32(index / count * radius * 2.5) + lean, np.float32(-np.inf))
        canvas.stamp(box, z.astype(np.float32), canvas.between(0.3, 0.65))


def agglomerated(canvas: Canvas) -> None:
    """Draw balls of very many sizes, the small sitting on the large, as atomised metal powder."""
    biggest = canvas.unit * canvas.spread(0.06, 0.2)
    _heap(canvas, biggest * 0.2)
    area, wanted = 0.0, 2.8 * canvas.width * canvas.height
    bumps = canvas.noise(biggest * 0.15, 2) * np.float32(biggest * canvas.between(0.0, 0.012))
    for index in range(900):
        radius = biggest * min(1.0, 0.12 + canvas.rng.pareto(2.2) * 0.22)
        x, y = canvas.anywhere(radius)
        canvas.sphere(
            x, y, radius, canvas.between(0.4, 0.6), (biggest - radius) * canvas.between(0.0, 1.2) - biggest * 0.5
        )
        area += math.pi * radius * radius
        if area > wanted and index > 40:
            break
    canvas.z += bumps


def fine(canvas: Canvas) -> None:
    """Draw a dense bed of very small grains: granular to the last corner, in soft clumps."""
    grain = canvas.unit * canvas.spread(0.009, 0.028)
    clump = canvas.cells(grain * canvas.between(4, 9), warp_px=grain * 3)
    total: Plane = np.sqrt(np.clip(1.2 - (clump.nearest / np.float32(grain * 5)) ** 2, 0, None)) * np.float32(
        grain * canvas.between(0.5, 2.0)
    )
    for level in range(2):
        size = grain * (1.0, 0.55)[level]
        cells = canvas.cells(size * 2, warp_px=size * 0.3)
        dome = np.sqrt(np.clip(1 - (cells.nearest / np.float32(size * 1.2)) ** 2, 0, None))
        total = total + dome * np.float32(size * 0.8) + cells.ident * np.float32(size * 1.4)
    canvas.z[:] = total
    canvas.tone[:] = np.float32(canvas.between(0.35, 0.55)) + (clump.ident - np.float32(0.5)) * np.float32(0.1)


def necked(canvas: Canvas) -> None:
    """Draw smooth lumps grown together (sintered or ground mineral), dark voids between."""
    radius = canvas.unit * canvas.spread(0.02, 0.05)
    _heap(canvas, radius)
    count = min(1200, round(2.6 * canvas.width * canvas.height / (4 * radius * radius)))
    at = canvas.anywhere()
    for index in range(count):
        lie, reach = canvas.between(0, 2 * math.pi), radius * canvas.between(0.8, 2.0)
        end = (at[0] + reach * math.cos(lie), at[1] + reach * math.sin(lie))
        thick = (radius * canvas.between(0.6, 1.2), radius * canvas.between(0.6, 1.2))
        canvas.capsule(at, end, thick, canvas.between(0.45, 0.6), (index / count - 0.5) * radius * 4)
        at = end if canvas.chance(0.7) else canvas.anywhere(radius)


def lump(canvas: Canvas) -> None:
    """Draw one large rough grain, crusted with smaller ones, on a bed of fine powder far below it."""
    bed = canvas.unit * canvas.spread(0.02, 0.08)
    canvas.tone[:] = np.float32(canvas.between(0.12, 0.3)) + canvas.noise(bed * 2, 2) * np.float32(0.04)
    canvas.z[:] = canvas.noise(bed, 4) * np.float32(bed * 0.35)
    x, y = canvas.grid(canvas.between(0, math.pi))
    long = canvas.unit * canvas.between(0.28, 0.55)
    wide = long * canvas.between(0.55, 1.0)
    x, y = x / np.float32(long), y / np.float32(wide)
    angle = np.arctan2(y, x)
    away = np.hypot(x, y) + canvas.noise(long * 0.5, 4) * np.float32(canvas.between(0.04, 0.14))
    away += np.cos(angle * np.float32(canvas.rng.integers(2, 5)) + canvas.between(0, 6)) * np.float32(0.08)
    crust = canvas.noise(long * canvas.between(0.15, 0.4), 5) * np.float32(long * canvas.between(0.02, 0.08))
    solid = away < 1
    dome = np.sqrt(np.clip(1 - away * away, 0, 1)) * np.float32(wide * 0.6)
    canvas.z = np.where(solid, dome + crust + np.float32(bed), canvas.z).astype(np.float32)
    canvas.tone = np.where(solid, np.float32(canvas.between(0.5, 0.75)), canvas.tone).astype(np.float32)


KINDS: Final = (
    SceneKind("faceted", faceted, (2.0, 500.0)),
    SceneKind("cauliflower", cauliflower, (1.0, 100.0)),
    SceneKind("flaky", flaky, (1.0, 100.0)),
    SceneKind("agglomerated", agglomerated, (5.0, 500.0)),
    SceneKind("fine", fine, (1.0, 200.0)),
    SceneKind("necked", necked, (1.0, 50.0)),
    SceneKind("lump", lump, (2.0, 300.0)),
)
