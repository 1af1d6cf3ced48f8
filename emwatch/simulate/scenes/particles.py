"""Particles: separate bodies with bare ground between them; a pile without ground is Powder."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind
from emwatch.simulate.planes import blurred
from emwatch.simulate.scenes.canvas import bright, lay_ground
from emwatch.simulate.scenes.solids import Face, anyhow, prism, put

if TYPE_CHECKING:
    from emwatch.simulate.planes import Point
    from emwatch.simulate.scenes.canvas import Canvas


def spheres(canvas: Canvas) -> None:
    """Draw smooth balls of nearly one size, single and in short chains."""
    ground = lay_ground(canvas)
    radius = canvas.unit * canvas.spread(0.02, 0.11)
    tone, spread = bright(canvas, ground), canvas.between(0.0, 0.2)
    wanted = canvas.between(0.1, 0.35) * canvas.width * canvas.height / (math.pi * radius * radius)
    at = canvas.anywhere(-radius)
    for _ in range(max(3, min(350, round(wanted)))):
        size = radius * math.exp(canvas.rng.normal(0, spread))
        canvas.sphere(at[0], at[1], size, tone)
        if canvas.chance(0.6):
            turn = canvas.between(0, 2 * math.pi)
            at = (at[0] + 2 * radius * math.cos(turn), at[1] + 2 * radius * math.sin(turn))
        else:
            at = canvas.anywhere()


def convex(canvas: Canvas, at: Point, radius: float, sides: int, regular: float) -> list[Point]:
    """Return the corners of a convex outline; ``regular`` 1 makes it even, 0 haphazard."""
    turn = canvas.between(0, 2 * math.pi)
    corners = []
    for side in range(sides):
        angle = turn + (side + (1 - regular) * canvas.between(-0.4, 0.4)) * 2 * math.pi / sides
        reach = radius * (1 + (1 - regular) * canvas.between(-0.35, 0.25))
        corners.append((at[0] + reach * math.cos(angle), at[1] + reach * math.sin(angle)))
    return corners


def facets(canvas: Canvas, at: Point, corners: list[Point], z: float, tone: float) -> None:
    """Put a body with flat faces: its outline is a polygon, its faces meet near the middle."""
    reach = max(math.dist(at, corner) for corner in corners)
    box = canvas.window(at[0] - reach, at[1] - reach, at[0] + reach, at[1] + reach)
    if box is None:
        return
    y = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None]
    x = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None, :]
    inside = np.full((y.shape[0], x.shape[1]), np.inf, np.float32)
    steep = canvas.between(0.4, 1.0)
    for index, (ax, ay) in enumerate(corners):
        bx, by = corners[(index + 1) % len(corners)]
        length = max(math.hypot(bx - ax, by - ay), 1e-3)
        away = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / length
        inside = np.minimum(inside, away * np.float32(steep * canvas.between(0.6, 1.7)))
    body = np.where(
        inside > 0,
        np.float32(z) + np.minimum(inside + np.float32(reach * 0.2), np.float32(reach * 0.6)),
        np.float32(-np.inf),
    )
    canvas.stamp(box, body.astype(np.float32), tone)


def cubes(canvas: Canvas) -> None:
    """Draw cubes and other faceted crystals, each alone."""
    ground = lay_ground(canvas)
    radius = canvas.unit * canvas.spread(0.03, 0.1)
    sides = int(canvas.rng.choice([4, 4, 6, 8]))
    wanted = canvas.between(0.1, 0.3) * canvas.width * canvas.height / (3 * radius * radius)
    for _ in range(max(3, min(200, round(wanted)))):
        at = canvas.anywhere()
        corners = convex(canvas, at, radius * canvas.between(0.8, 1.2), sides, 0.95)
        facets(canvas, at, corners, 0.0, bright(canvas, ground))


def rods(canvas: Canvas) -> None:
    """Draw short rods, two to five times as long as wide, scattered; nanowires are far longer."""
    ground = lay_ground(canvas)
    radius = canvas.unit * canvas.spread(0.01, 0.03)
    aspect, tone = canvas.between(2.0, 5.0), bright(canvas, ground)
    wanted = canvas.between(0.1, 0.3) * canvas.width * canvas.height / (4 * radius * radius * aspect)
    for index in range(max(4, min(350, round(wanted)))):
        lie = canvas.between(0, math.pi)
        length = 2 * radius * (aspect - 1) * canvas.between(0.8, 1.2)
        canvas.straight(canvas.anywhere(), lie, length, (radius, radius), tone, index * radius * 0.003)


def core_shell(canvas: Canvas) -> None:
    """Draw balls with a bright core in a darker shell, by material contrast."""
    ground = lay_ground(canvas)
    radius = canvas.unit * canvas.spread(0.03, 0.09)
    wanted = canvas.between(0.1, 0.3) * canvas.width * canvas.height / (math.pi * radius * radius)
    for _ in range(max(3, min(150, round(wanted)))):
        x, y = canvas.anywhere()
        size = radius * canvas.between(0.85, 1.15)
        canvas.sphere(x, y, size, min(0.55, ground + 0.15), 0.0, 0.5)
        canvas.sphere(x, y, size * canvas.between(0.45, 0.7), 0.95, size * 0.22, 0.5)


def sparse(canvas: Canvas) -> None:
    """Draw small bright specks, far from each other, of many sizes."""
    ground = lay_ground(canvas)
    radius = canvas.unit * canvas.spread(0.003, 0.009)
    tone = min(1.0, bright(canvas, ground) + 0.2)
    for _ in range(round(canvas.spread(25, 350))):
        x, y = canvas.anywhere()
        size = radius * canvas.rng.lognormal(0, 0.4)
        if canvas.chance(0.3):
            canvas.sphere(x + size * 1.5, y + size * canvas.between(-1, 1), size * 0.8, tone)
        canvas.sphere(x, y, size, tone)


def fragments(canvas: Canvas) -> None:
    """Draw irregular broken grains lying apart, with charging-bright rims."""
    ground = lay_ground(canvas)
    radius = canvas.unit * canvas.spread(0.025, 0.09)
    wanted = canvas.between(0.06, 0.22) * canvas.width * canvas.height / (3 * radius * radius)
    rough = canvas.noise(radius * 0.4, 3) * np.float32(radius * 0.05)
    for _ in range(max(3, min(180, round(wanted)))):
        at = canvas.anywhere()
        size = radius * canvas.rng.lognormal(0, 0.35)
        corners = convex(canvas, at, size, int(canvas.rng.integers(5, 9)), 0.35)
        facets(canvas, at, corners, 0.0, bright(canvas, ground))
    canvas.z += rough * (canvas.z > radius * 0.15)


def plates(canvas: Canvas) -> None:
    """Draw flat triangles and hexagons, thin and even, some overlapping."""
    ground = lay_ground(canvas)
    radius = canvas.unit * canvas.spread(0.04, 0.13)
    wanted = canvas.between(0.1, 0.3) * canvas.width * canvas.height / (2.4 * radius * radius)
    for _ in range(max(3, min(70, round(wanted)))):
        at = canvas.anywhere()
        outline = convex(canvas, at, radius * canvas.between(0.6, 1.2), int(canvas.rng.choice([3, 6])), 0.97)
        edge = canvas.window(at[0] - 2 * radius, at[1] - 2 * radius, at[0] + 2 * radius, at[1] + 2 * radius)
        if edge is None:
            continue
        local = type(canvas)(canvas.rng, edge[1].stop - edge[1].start, edge[0].stop - edge[0].start)
        mask = local.polygons([[(x - edge[1].start, y - edge[0].start) for x, y in outline]])
        tone = np.float32(min(0.85, ground + canvas.between(0.12, 0.3)))
        canvas.z[edge] += blurred(mask, 0.6) * np.float32(radius * 0.12)
        canvas.tone[edge] += mask * (tone - canvas.tone[edge]) * np.float32(0.8)


def crystals(canvas: Canvas) -> None:
    """Draw blocky crystals turned every way, alone and grown into each other, with rough faces."""
    ground = lay_ground(canvas)
    radius = canvas.unit * canvas.spread(0.02, 0.16)
    sides, stretch = int(canvas.rng.choice([4, 4, 4, 6])), canvas.between(0.7, 1.8)
    wanted = canvas.between(0.05, 0.35) * canvas.width * canvas.height / (4 * radius * radius)
    faces: list[Face] = []
    tone, at = bright(canvas, ground), canvas.anywhere(-radius)
    for index in range(max(2, min(160, round(wanted)))):
        size = radius * canvas.rng.lognormal(0, 0.2)
        shape = (sides, size, size * 1.4 * stretch)
        faces += prism(at, index * 0.5, shape, anyhow(canvas), tone * canvas.between(0.85, 1.15))
        if canvas.chance(0.5):
            at = (at[0] + canvas.rng.normal(0, radius), at[1] + canvas.rng.normal(0, radius))
        else:
            at = canvas.anywhere()
    before = canvas.z.copy()
    put(canvas, faces)
    body = canvas.z != before
    canvas.z += body * canvas.noise(radius * 0.2, 3) * np.float32(radius * canvas.between(0.0, 0.04))


def packed_balls(canvas: Canvas) -> None:
    """Draw large smooth balls of one size, touching and overlapping, in a layer or two with gaps."""
    ground = lay_ground(canvas)
    radius = canvas.unit * canvas.spread(0.06, 0.2)
    tone, spread = bright(canvas, ground), canvas.between(0.0, 0.08)
    count = round(canvas.between(0.5, 1.1) * canvas.width * canvas.height / (3.2 * radius * radius))
    for index in range(max(3, min(120, count))):
        level = index / count
        shade = tone * (0.6 + 0.4 * level)
        canvas.sphere(
            *canvas.anywhere(radius), radius * (1 + canvas.rng.normal(0, spread)), shade, level * radius * 1.5
        )


def rough_balls(canvas: Canvas) -> None:
    """Draw one to a few dozen balls with a knobbed or scaly skin, apart on bare ground."""
    ground = lay_ground(canvas)
    radius = canvas.unit * canvas.spread(0.04, 0.42)
    knob = max(2.0, radius * canvas.between(0.1, 0.3))
    skin = canvas.cells(knob)
    wanted = canvas.between(0.08, 0.4) * canvas.width * canvas.height / (4 * radius * radius)
    flat = canvas.z.copy()
    for _ in range(max(1, min(60, round(wanted)))):
        at = canvas.anywhere(-0.5 * radius)
        canvas.sphere(*at, radius * canvas.rng.lognormal(0, 0.15), bright(canvas, ground), 1.0)
    body = canvas.z > flat
    bump = np.sqrt(np.clip(1 - (skin.nearest / np.float32(knob * 0.7)) ** 2, 0, 1))
    canvas.z += body * (bump * np.float32(knob * 0.4) + canvas.noise(knob * 0.3, 2) * np.float32(knob * 0.06))


def monolayer(canvas: Canvas) -> None:
    """Draw a close layer of cubes or balls in rows that wander, with cracks and missing ones."""
    size = canvas.unit * canvas.spread(0.02, 0.06)
    x, y = canvas.grid(canvas.between(0, math.pi))
    sway = np.float32(size * canvas.between(0.2, 1.2))
    x, y = x + canvas.noise(size * 9) * sway, y + canvas.noise(size * 9) * sway
    column, row = np.floor(x / np.float32(size)), np.floor(y / np.float32(size))
    if canvas.chance(0.4):
        x = x + (row % 2) * np.float32(size / 2)
        column = np.floor(x / np.float32(size))
    site = np.abs(np.sin(row * np.float32(12.9898) + column * np.float32(78.233)) * np.float32(437.585)) % 1
    across, along = x / np.float32(size) - column - np.float32(0.5), y / np.float32(size) - row - np.float32(0.5)
    square = canvas.chance(0.6)
    reach = np.maximum(np.abs(across), np.abs(along)) if square else np.hypot(across, along)
    body = np.clip((np.float32(0.46) - reach) * np.float32(8), 0, 1)
    gone = (site < canvas.between(0.0, 0.06)) | (canvas.noise(size * 5, 2) > canvas.between(1.6, 3.0))
    body = body * ~gone
    canvas.tone[:] = np.float32(0.08) + body * (np.float32(canvas.between(0.35, 0.5)) + site * np.float32(0.12))
    canvas.z[:] = body * np.float32(size * 0.4) + site * body * np.float32(size * 0.15)


def lone_body(canvas: Canvas) -> None:
    """Draw one to four smooth rounded bodies, egg to pear shaped, on even ground."""
    ground = lay_ground(canvas, rough=canvas.chance(0.5))
    radius = canvas.unit * canvas.spread(0.04, 0.25)
    for _ in range(int(canvas.rng.integers(1, 5))):
        at, lie = canvas.anywhere(-radius), canvas.between(0, math.pi)
        slim = canvas.between(0.55, 1.0)
        canvas.ellipsoid(at, (radius, radius * slim), lie, bright(canvas, ground), height_px=radius * slim * 0.8)
        if canvas.chance(0.4):
            small = radius * canvas.between(0.3, 0.6)
            at = (at[0] + radius * 0.9 * math.cos(lie), at[1] + radius * 0.9 * math.sin(lie))
            canvas.sphere(*at, small, bright(canvas, ground), radius * 0.2)


def dendrites(canvas: Canvas) -> None:
    """Draw a few branched, rough crystals: crooked stems with side arms, blocky grains beside them."""
    ground = lay_ground(canvas)
    radius = canvas.unit * canvas.spread(0.006, 0.018)
    tone = bright(canvas, ground)
    for _ in range(int(canvas.rng.integers(3, 16))):
        at, lie = canvas.anywhere(), canvas.between(0, 2 * math.pi)
        for joint in range(int(canvas.rng.integers(3, 12))):
            length = radius * canvas.between(2, 5)
            end = (at[0] + length * math.cos(lie), at[1] + length * math.sin(lie))
            canvas.capsule(at, end, (radius, radius * canvas.between(0.7, 1.1)), tone)
            if joint and canvas.chance(0.5):
                arm = lie + canvas.between(0.4, 0.9) * (1 if canvas.chance(0.5) else -1)
                far = (at[0] + 2 * length * math.cos(arm), at[1] + 2 * length * math.sin(arm))
                canvas.capsule(at, far, (radius, radius * 0.4), tone)
            at, lie = end, lie + canvas.rng.normal(0, 0.25)
    faces: list[Face] = []
    for _ in range(int(canvas.rng.integers(0, 5))):
        size = radius * canvas.between(2, 6)
        faces += prism(canvas.anywhere(), 1.0, (4, size, size * 1.4), anyhow(canvas), tone)
    put(canvas, faces)
    body = canvas.tone > ground + 0.1
    canvas.z += body * canvas.noise(radius, 2) * np.float32(radius * canvas.between(0.1, 0.35))


KINDS: Final = (
    SceneKind("spheres", spheres, (0.5, 100.0)),
    SceneKind("cubes", cubes, (0.5, 50.0)),
    SceneKind("rods", rods, (0.4, 10.0)),
    SceneKind("core-shell", core_shell, (0.4, 10.0)),
    SceneKind("sparse", sparse, (0.5, 50.0)),
    SceneKind("fragments", fragments, (5.0, 1000.0)),
    SceneKind("plates", plates, (0.8, 20.0)),
    SceneKind("crystals", crystals, (1.0, 200.0)),
    SceneKind("packed balls", packed_balls, (0.5, 50.0)),
    SceneKind("rough balls", rough_balls, (1.0, 100.0)),
    SceneKind("monolayer", monolayer, (0.2, 5.0)),
    SceneKind("lone body", lone_body, (0.2, 50.0)),
    SceneKind("dendrites", dendrites, (2.0, 200.0)),
)
