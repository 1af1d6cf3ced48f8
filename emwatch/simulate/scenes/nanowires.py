"""Nanowires: straight, thin, hard rods, grown from a substrate or lying on it; their ends are in the frame."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind
from emwatch.simulate.scenes.canvas import bright, lay_ground
from emwatch.simulate.scenes.solids import Face, prism, put, turned

if TYPE_CHECKING:
    from emwatch.simulate.scenes.canvas import Canvas


def forest_side(canvas: Canvas) -> None:
    """Draw a forest seen from the side: wires standing close on a substrate whose broken edge is below."""
    lay_ground(canvas)
    foot = canvas.height - canvas.unit * canvas.between(-0.1, 0.25)
    radius = canvas.unit * canvas.spread(0.004, 0.016)
    length = canvas.unit * canvas.between(0.35, 0.8)
    canvas.tone[: max(0, int(foot))] *= np.float32(0.3)
    count = min(320, round(canvas.between(0.8, 2.0) * canvas.width / radius * 0.6))
    lean = canvas.between(0.02, 0.15)
    for index in range(count):
        depth = index / count
        start = (canvas.between(-20, canvas.width + 20), foot - (1 - depth) * canvas.unit * 0.12)
        tall = length * canvas.between(0.75, 1.1)
        thick = radius * canvas.between(0.7, 1.3)
        angle = -math.pi / 2 + canvas.rng.normal(0, lean)
        canvas.straight(start, angle, tall, (thick, thick), 0.2 + 0.55 * depth, depth * radius * 5)


def forest_top(canvas: Canvas) -> None:
    """Draw a forest from above or at a slant: bright round ends over dark stems."""
    lay_ground(canvas)
    canvas.tone *= np.float32(0.3)
    radius = canvas.unit * canvas.spread(0.006, 0.016)
    length = radius * canvas.between(4, 14)
    angle = math.pi / 2 + canvas.between(-0.2, 0.2)
    count = min(1100, round(canvas.between(0.12, 0.3) * canvas.width * canvas.height / (radius * radius * 9)))
    feet = np.sort(canvas.rng.uniform(-length, canvas.height, count))
    for foot in feet:
        at = (canvas.between(0, canvas.width), float(foot))
        lean = angle + canvas.rng.normal(0, 0.12)
        end = (at[0] + length * math.cos(lean), at[1] + length * math.sin(lean))
        canvas.capsule(at, end, (radius, radius), canvas.between(0.4, 0.6), length, 0.0)
        canvas.sphere(at[0], at[1], radius * 1.1, 0.95, length + radius * 1.2)


def dispersed(canvas: Canvas) -> None:
    """Draw single wires lying on a flat substrate, straight, with their ends in view."""
    ground = lay_ground(canvas)
    radius = canvas.unit * canvas.spread(0.0025, 0.008)
    longest = canvas.unit * canvas.spread(0.12, 0.7)
    for _ in range(round(canvas.spread(6, 45))):
        length = longest * canvas.between(0.4, 1.0)
        thick = radius * canvas.between(0.8, 1.2)
        canvas.straight(
            canvas.anywhere(), canvas.between(0, 2 * math.pi), length, (thick, thick), bright(canvas, ground)
        )


def aligned(canvas: Canvas) -> None:
    """Draw wires combed in one direction, or a tilted as-grown carpet."""
    lay_ground(canvas)
    canvas.tone *= np.float32(0.4)
    radius = canvas.unit * canvas.spread(0.004, 0.012)
    angle = canvas.between(0, math.pi)
    spread = canvas.between(0.03, 0.2)
    count = round(canvas.between(120, 300))
    for index in range(count):
        length = canvas.unit * canvas.between(0.15, 0.45)
        tone = 0.25 + 0.5 * index / count
        lie = canvas.rng.normal(angle, spread)
        canvas.straight(canvas.anywhere(50), lie, length, (radius, radius), tone, index / count * radius * 5)


def tapered(canvas: Canvas) -> None:
    """Draw needle-like wires, thick at the root, some with a catalyst ball at the end."""
    lay_ground(canvas)
    canvas.tone *= np.float32(0.5)
    radius = canvas.unit * canvas.spread(0.008, 0.02)
    angle = canvas.between(0, 2 * math.pi)
    spread = canvas.between(0.1, 1.2)
    ball = canvas.chance(0.5)
    count = round(canvas.between(35, 110))
    for index in range(count):
        length = canvas.unit * canvas.between(0.2, 0.5)
        at, lie = canvas.anywhere(60), canvas.rng.normal(angle, spread)
        base = index / count * radius * 6
        canvas.straight(at, lie, length, (radius, radius * 0.25), canvas.between(0.35, 0.7), base)
        if ball:
            canvas.sphere(
                at[0] + length * math.cos(lie), at[1] + length * math.sin(lie), radius * 0.5, 0.95, base + radius
            )


def kinked(canvas: Canvas) -> None:
    """Draw wires with sharp kinks and side branches."""
    ground = lay_ground(canvas)
    radius = canvas.unit * canvas.spread(0.004, 0.01)
    for index in range(round(canvas.between(12, 45))):
        at, lie = canvas.anywhere(), canvas.between(0, 2 * math.pi)
        tone = bright(canvas, ground)
        for _ in range(int(canvas.rng.integers(2, 5))):
            length = canvas.unit * canvas.between(0.08, 0.25)
            canvas.straight(at, lie, length, (radius, radius), tone, index * radius * 0.1)
            at = (at[0] + length * math.cos(lie), at[1] + length * math.sin(lie))
            if canvas.chance(0.35):
                canvas.straight(at, lie + canvas.between(0.6, 1.2), length * 0.5, (radius * 0.7, radius * 0.5), tone)
            lie += canvas.between(0.5, 1.2) * (1 if canvas.chance(0.5) else -1)


def hexagonal_rods(canvas: Canvas) -> None:
    """Draw faceted rods (ZnO) leaning every way, with flat bright hexagonal ends."""
    lay_ground(canvas)
    canvas.tone *= np.float32(0.25)
    radius = canvas.unit * canvas.spread(0.014, 0.038)
    count = min(700, round(canvas.between(1.0, 1.8) * canvas.width * canvas.height / (radius * radius * 12)))
    for index in range(count):
        length = radius * canvas.between(3, 9)
        lie = canvas.between(0, 2 * math.pi)
        at = canvas.anywhere(length)
        base = index / count * radius * 7
        thick = radius * canvas.between(0.7, 1.25)
        tip = (at[0] + length * math.cos(lie), at[1] + length * math.sin(lie))
        rise = length * canvas.between(0.2, 0.9)
        canvas.capsule(at, tip, (thick * 0.9, thick), canvas.between(0.35, 0.55), base, base + rise)
        _hexagon(canvas, tip, thick * 1.05, lie, base + rise + 1.7 * thick)


def _hexagon(canvas: Canvas, at: tuple[float, float], radius: float, angle: float, z: float) -> None:
    box = canvas.window(at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius)
    if box is None:
        return
    y = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None] - np.float32(at[1])
    x = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None, :] - np.float32(at[0])
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    along = along * np.float32(1.6)
    distance = np.maximum(np.abs(across), np.abs(across) * np.float32(0.5) + np.abs(along) * np.float32(0.866))
    flat = np.where(distance < radius * 0.92, np.float32(z), np.float32(-np.inf))
    canvas.stamp(box, (flat + along * np.float32(0.25)).astype(np.float32), 0.85)


def standing_rods(canvas: Canvas) -> None:
    """Draw a dense growth of faceted rods from above: most stand, leaning a little, their six-sided ends towards the eye."""
    lay_ground(canvas)
    canvas.tone *= np.float32(0.25)
    radius = canvas.unit * canvas.spread(0.012, 0.055)
    count = min(1400, round(canvas.between(1.6, 4.5) * canvas.width * canvas.height / (radius * radius * 9)))
    lean, spread = canvas.between(0.0, 0.7), canvas.between(0.2, 0.6)
    azimuth, taper = canvas.between(0, 2 * math.pi), canvas.between(0.75, 1.0)
    tone, sides = canvas.between(0.55, 0.8), 6 if canvas.chance(0.7) else 10
    faces: list[Face] = []
    for index in range(count):
        depth = index / count
        length = radius * canvas.between(5, 12)
        thick = radius * canvas.between(0.6, 1.25)
        leans = min(1.5, abs(lean + canvas.rng.normal(0, spread)))
        way = canvas.rng.normal(azimuth, 0.5) if lean > 0.4 else canvas.between(0, 2 * math.pi)
        rotation = turned(leans, way, canvas.between(0, 1))
        at = canvas.anywhere(length)
        faces += prism(at, depth * radius * 5, (sides, thick, length), rotation, tone * (0.35 + 0.65 * depth), taper)
    put(canvas, faces)


def array_from_above(canvas: Canvas) -> None:
    """Draw wires grown in a lattice, seen end-on as bright dots, and some that broke off and lie between them."""
    ground = lay_ground(canvas) * canvas.between(0.3, 1.0)
    canvas.tone[:] = ground
    pitch = canvas.unit * canvas.spread(0.05, 0.13)
    radius = pitch * canvas.between(0.09, 0.2)
    turn, missing = canvas.between(0, math.pi), canvas.between(0.0, 0.15)
    tone = min(0.95, bright(canvas, ground) + 0.2)
    for _ in range(round(canvas.spread(6, 70))):
        length = pitch * canvas.between(0.4, 1.8)
        thick = radius * canvas.between(0.4, 0.8)
        canvas.straight(canvas.anywhere(), canvas.between(0, math.pi), length, (thick, thick), ground + 0.12)
    reach = round(0.75 * math.hypot(canvas.width, canvas.height) / pitch)
    for row in range(-reach, reach):
        for column in range(-reach, reach):
            if canvas.chance(missing):
                continue
            x = (column + 0.5 * (row % 2)) * pitch + canvas.rng.normal(0, pitch * 0.03)
            y = row * pitch * 0.87 + canvas.rng.normal(0, pitch * 0.03)
            at = (
                canvas.width / 2 + x * math.cos(turn) - y * math.sin(turn),
                canvas.height / 2 + x * math.sin(turn) + y * math.cos(turn),
            )
            canvas.sphere(*at, radius * canvas.between(0.85, 1.15), tone, radius * 2)


def network(canvas: Canvas) -> None:
    """Draw a conducting network: very thin, very long straight wires that cross at every angle on a smooth substrate."""
    ground = lay_ground(canvas)
    radius = canvas.unit * canvas.spread(0.0015, 0.006)
    tone = bright(canvas, ground)
    for index in range(round(canvas.spread(20, 90))):
        length = canvas.unit * canvas.between(0.3, 1.3)
        thick = radius * canvas.between(0.8, 1.2)
        start = canvas.anywhere(length / 2)
        canvas.straight(start, canvas.between(0, 2 * math.pi), length, (thick, thick), tone, index * radius * 0.05)


def bundles(canvas: Canvas) -> None:
    """Draw bundles of parallel wires lying criss-cross over each other."""
    lay_ground(canvas)
    canvas.tone *= np.float32(0.4)
    radius = canvas.unit * canvas.spread(0.003, 0.009)
    number = int(canvas.rng.integers(6, 20))
    for bundle in range(number):
        middle, lie = canvas.anywhere(), canvas.between(0, math.pi)
        half = canvas.unit * canvas.between(0.2, 0.5)
        for _ in range(int(canvas.rng.integers(4, 16))):
            aside, along = canvas.rng.normal(0, radius * 4), canvas.rng.normal(-half, half * 0.2)
            at = (
                middle[0] + along * math.cos(lie) - aside * math.sin(lie),
                middle[1] + along * math.sin(lie) + aside * math.cos(lie),
            )
            angle = lie + canvas.rng.normal(0, 0.04)
            base = bundle / number * radius * 12 + canvas.between(0, radius * 3)
            tone = 0.3 + 0.35 * bundle / number
            canvas.straight(at, angle, 2 * half * canvas.between(0.7, 1.1), (radius, radius), tone, base)


KINDS: Final = (
    SceneKind("forest from the side", forest_side, (1.0, 60.0)),
    SceneKind("forest from above", forest_top, (0.8, 20.0)),
    SceneKind("dispersed", dispersed, (1.0, 50.0)),
    SceneKind("aligned", aligned, (1.0, 20.0)),
    SceneKind("tapered", tapered, (1.0, 20.0)),
    SceneKind("kinked", kinked, (1.0, 20.0)),
    SceneKind("hexagonal rods", hexagonal_rods, (0.8, 15.0)),
    SceneKind("standing rods", standing_rods, (0.5, 15.0)),
    SceneKind("array from above", array_from_above, (1.0, 30.0)),
    SceneKind("network", network, (5.0, 100.0)),
    SceneKind("bundles", bundles, (1.0, 30.0)),
)
