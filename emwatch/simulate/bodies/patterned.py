"""Patterned surfaces: one motif repeated, with walls and tops: lines, holes, pillars, lenses, zones, test patterns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw

from emwatch.simulate.bodies.grounds import debris
from emwatch.simulate.bodies.shapes import carve, extrude, lathe, leaning, prism, sized
from emwatch.simulate.kind import SceneKind
from emwatch.simulate.planes import blurred

if TYPE_CHECKING:
    from collections.abc import Callable

    from emwatch.simulate.bodies.stage import Stage
    from emwatch.simulate.planes import Plane, Point

_LITHO = "Madou, Fundamentals of Microfabrication, 2nd ed. (2002): resist profiles, etched walls, test structures"
_WET = (
    "Williams, Gupta, Wasilik, Etch rates for micromachining processing II, J. MEMS 12, 761 (2003): pyramids, V-grooves"
)
_IMPRINT = "Guo, Nanoimprint lithography, Adv. Mater. 19, 495 (2007): gratings, pillars, holes, bent and paired pillars"
_OPTICS = "Herzig (ed.), Micro-Optics (1997): lens arrays, zone plates, blazed gratings"
_CHIPS = "Wolf and Tauber, Silicon Processing for the VLSI Era, vol. 1 (2000): cells, contacts, metal lines"


def _outline(x: float, y: float, a: float, b: float, turn: float = 0.0) -> list[Point]:
    """Return a rectangle of half edges ``a`` and ``b`` round a place."""
    c, s = math.cos(turn), math.sin(turn)
    return [(x + u * c - v * s, y + u * s + v * c) for u, v in ((-a, -b), (a, -b), (a, b), (-a, b))]


def _net(stage: Stage, pitch: float, turn: float, hexagonal: bool, reach: float = 0.0) -> list[Point]:
    """Return the points of a net that covers the stage and ``reach`` around it; at most some 2,600."""
    half = math.hypot(stage.width, stage.deep) / 2 + reach
    pitch = max(pitch, half * 2 / 51)
    many = math.ceil(half / pitch)
    c, s = math.cos(turn), math.sin(turn)
    points = []
    for row in range(-many, many + 1):
        for column in range(-many, many + 1):
            u, v = (column + (0.5 if hexagonal and row % 2 else 0)) * pitch, row * pitch * (0.866 if hexagonal else 1)
            x, y = u * c - v * s, u * s + v * c
            if abs(x) < stage.width / 2 + reach and abs(y) < stage.deep / 2 + reach:
                points.append((x, y))
    return points


def lines(stage: Stage) -> None:
    """Draw a grating: lines with upright walls, tops flat, a little rough at the edges; pitch and duty cycle at will."""
    ground = stage.between(0.12, 0.35)
    stage.terrain(stage.rough(stage.unit * 0.05) * np.float32(0.2), ground)
    pitch, turn = (
        stage.size(0.02, 0.25),
        stage.between(0, math.pi) if stage.chance(0.5) else stage.number(0, 1) * math.pi / 2,
    )
    duty, tall = stage.between(0.25, 0.7), pitch * stage.between(0.2, 1.8)
    half = math.hypot(stage.width, stage.deep) / 2 + tall
    rough, steps = pitch * stage.between(0, 0.025), 50
    c, s = math.cos(turn), math.sin(turn)
    outlines = []
    for number in range(-math.ceil(half / pitch), math.ceil(half / pitch) + 1):
        along = np.linspace(-half, half, steps)
        left = number * pitch - pitch * duty / 2 + stage.rng.normal(0, rough, steps)
        right = number * pitch + pitch * duty / 2 + stage.rng.normal(0, rough, steps)
        u, v = np.concatenate([along, along[::-1]]), np.concatenate([left, right[::-1]])
        outlines.append(list(zip((u * c - v * s).tolist(), (u * s + v * c).tolist(), strict=True)))
    extrude(stage, outlines, 0, tall, min(0.8, ground + stage.between(0.05, 0.35)), grain=stage.between(0, 0.06))
    debris(stage, 0.3)


def pillars(stage: Stage) -> None:
    """Pillars in rows: round or square, upright or tapered, lower than ten widths; some missing or leaning at times."""
    ground = stage.between(0.12, 0.3)
    stage.terrain(stage.rough(stage.unit * 0.05) * np.float32(0.2), ground)
    pitch = stage.size(0.03, 0.25)
    radius, tall = pitch * stage.between(0.18, 0.38), pitch * stage.between(0.3, 1.8)
    top, sides = stage.between(0.5, 1.0), (4, 0, 0, 6)[stage.number(0, 3)]
    yields = min(0.7, ground + stage.between(0.08, 0.3))
    points = _net(stage, pitch, stage.between(0, math.pi) if stage.chance(0.4) else 0.0, stage.chance(0.4), tall)
    lost = stage.between(0, 0.04) if stage.chance(0.4) else 0.0
    if sides:
        for x, y in points[:900]:
            if not stage.chance(lost):
                stage.solid(
                    np.array([x, y, tall / 2]),
                    sized(prism(sides, tall / 2 / radius, 1.0, top), radius),
                    np.eye(3),
                    yields,
                )
        return
    at = np.array([point for point in points if not stage.chance(lost)])
    count = len(at)
    begin, end = np.column_stack([at, np.zeros(count)]), np.column_stack([at, np.full(count, tall)])
    stage.rods(begin, end, np.full(count, radius), yields, np.full(count, radius * top))
    cap = np.linspace(0, 2 * math.pi, 40)
    disc = [(radius * top * math.cos(t), radius * top * math.sin(t)) for t in cap]
    extrude(stage, [[(x + u, y + v) for u, v in disc] for x, y in at], tall - 0.5, tall, yields)


def holes(stage: Stage) -> None:
    """Holes in rows etched into a flat top: round or square, deep and dark, walls seen at a tilt."""
    yields, pitch = stage.between(0.35, 0.55), stage.size(0.03, 0.25)
    hexagonal, square = stage.chance(0.5), stage.chance(0.3)
    radius = pitch * stage.between(0.2, 0.42)
    points = _net(stage, pitch, stage.between(0, math.pi) if stage.chance(0.4) else 0.0, hexagonal, pitch)
    pitch = max(pitch, 1.0)
    rows, columns = stage.shape()

    def draw(brush: ImageDraw.ImageDraw) -> None:
        for x, y in points:
            at = (2 * (x + columns / 2), 2 * (y + rows / 2))
            bounds = (at[0] - 2 * radius, at[1] - 2 * radius, at[0] + 2 * radius, at[1] + 2 * radius)
            (brush.rectangle if square else brush.ellipse)(bounds, fill=255)

    mask = _fine(stage, draw)
    depth = radius * stage.between(0.5, 4)
    skin = stage.rough(stage.unit * 0.05) * np.float32(0.15)
    stage.terrain(
        skin - blurred(mask, 0.5) * np.float32(depth),
        np.float32(yields) * (1 - mask * np.float32(stage.between(0.2, 0.85))),
    )
    debris(stage, 0.3)


def _fine(stage: Stage, draw: Callable[[ImageDraw.ImageDraw], None]) -> Plane:
    """Return what is drawn at twice the size, as a relief of 0..1 with soft edges."""
    rows, columns = stage.shape()
    image = Image.new("L", (columns * 2, rows * 2))
    draw(ImageDraw.Draw(image))
    return np.asarray(image.resize((columns, rows), Image.Resampling.BOX), np.float32) / np.float32(255)


def lenses(stage: Stage) -> None:
    """Round caps in rows: reflowed lenses, bumps or domes; smooth, touching or apart."""
    ground, pitch = stage.between(0.2, 0.4), stage.size(0.05, 0.4)
    stage.terrain(stage.rough(stage.unit * 0.1) * np.float32(0.2), ground)
    radius, squash = pitch * stage.between(0.3, 0.5), stage.between(0.25, 1.0)
    for x, y in _net(stage, pitch, stage.between(0, math.pi) if stage.chance(0.4) else 0.0, stage.chance(0.6), pitch):
        stage.ellipsoid(np.array([x, y, 0.0]), (radius, radius, radius * squash), np.eye(3), ground + 0.12)
    debris(stage, 0.3)


def etched_pyramids(stage: Stage) -> None:
    """Silicon etched along its planes: pyramids in rows or of all sizes, or pits like them, or V-grooves."""
    pitch, way = stage.size(0.04, 0.25), stage.number(0, 2)
    u, v = stage.axes(0.0 if stage.chance(0.6) else stage.between(0, 1.5))
    duty = stage.between(0.7, 1.0)
    a, b = (np.abs(each - np.rint(each / pitch) * pitch) for each in (u, v))
    if way == 0:
        slope = np.clip(np.float32(pitch * duty / 2) - np.maximum(a, b), 0, None) * np.float32(1.41)
        height = slope if stage.chance(0.5) else -slope
    elif way == 1:
        height = -np.clip(np.float32(pitch * duty / 2) - a, 0, None) * np.float32(1.41)
    else:
        seeds = stage.spots(min(2500, round(2.2 * stage.width * stage.deep / pitch**2)), pitch)
        height = np.zeros(stage.shape(), np.float32)
        rows, columns = height.shape
        for x, y in seeds:
            reach = int(pitch * stage.between(0.3, 1.0))
            left, top = int(x + columns / 2), int(y + rows / 2)
            window = (
                slice(max(0, top - reach), max(0, top + reach)),
                slice(max(0, left - reach), max(0, left + reach)),
            )
            part = height[window]
            if part.size:
                m = np.abs(np.arange(part.shape[0]) + window[0].start - top)[:, None]
                n = np.abs(np.arange(part.shape[1]) + window[1].start - left)[None, :]
                np.maximum(part, (reach - np.maximum(m, n)) * np.float32(1.41), out=part)
    stage.terrain(height + stage.rough(6, 2) * np.float32(0.1), stage.between(0.36, 0.5))


def rings(stage: Stage) -> None:
    """Rings round one middle, closer outwards: a zone plate or a Fresnel lens, or several small ones in rows."""
    pitch = stage.size(0.35, 2.2)
    u, v = stage.axes(0, stage.spot(-stage.unit * 0.3))
    if pitch < stage.unit:
        u, v = (each - np.rint(each / pitch) * pitch for each in (u, v))
    away: Plane = np.asarray(np.hypot(u, v) / np.float32(pitch / 2), np.float32)
    number = stage.between(5, 26)
    phase = away**2 * np.float32(number)
    inside = (away < 0.96).astype(np.float32)
    blaze = phase - np.floor(phase)
    profile: Plane = np.asarray(blaze if stage.chance(0.4) else blaze < 0.5, np.float32)
    tall = stage.size(0.008, 0.03)
    stage.terrain(
        blurred(profile * inside, 0.5) * np.float32(tall),
        np.asarray(stage.between(0.25, 0.4) + profile * inside * stage.between(0, 0.25), np.float32),
    )
    debris(stage, 0.4)


def test_pattern(stage: Stage) -> None:
    """A lithographer's test field: elbows, combs, crosses, squares of shrinking size, repeated."""
    ground = stage.between(0.12, 0.3)
    stage.terrain(stage.rough(stage.unit * 0.05) * np.float32(0.15), ground)
    cell = stage.size(0.15, 0.6)
    way, width = stage.number(0, 3), cell * stage.between(0.05, 0.11)
    motif = []
    if way == 0:
        for step in range(4):
            inset = cell * 0.1 + step * 2 * width
            motif += [
                _outline(inset + width / 2 - cell / 2, -inset / 2 + 0.0, width / 2, (cell - inset * 1.6) / 2),
                _outline((inset - 0.1 * cell) / 2, cell * 0.4 - inset, (cell * 0.9 - inset) / 2, width / 2),
            ]
    elif way == 1:
        motif = [_outline((step - 3) * 2 * width, 0, width / 2, cell * 0.38) for step in range(7)]
    elif way == 2:
        motif = [_outline(0, 0, cell * 0.35, width), _outline(0, 0, width, cell * 0.35)]
    else:
        motif = [
            _outline((step - 1) * cell * 0.3, (row - 1) * cell * 0.3, *(2 * [cell * 0.12 / (step + 1) ** 0.5]))
            for step in range(3)
            for row in range(3)
        ]
    outlines = [[(x + a, y + b) for a, b in each] for x, y in _net(stage, cell, 0.0, False, cell) for each in motif]
    extrude(stage, outlines, 0, width * stage.between(0.3, 2.0), ground + stage.between(0.1, 0.35))
    debris(stage, 0.3)


def moth_eye(stage: Stage) -> None:
    """Cones in a dense net, pointed or blunt, as antireflecting and wetting surfaces have them; same height, same shape."""
    pitch, tall = stage.size(0.03, 0.14), stage.between(0.8, 2.5)
    stage.terrain(stage.rough(stage.unit * 0.1) * np.float32(0.2), 0.25)
    at = np.array(_net(stage, pitch, stage.between(0, 1), stage.chance(0.8), pitch * tall))
    pitch = max(pitch, (math.hypot(stage.width, stage.deep) + 2 * pitch * tall) / 51)
    count, blunt = len(at), stage.between(0.04, 0.25)
    begin, end = np.column_stack([at, np.zeros(count)]), np.column_stack([at, np.full(count, pitch * tall)])
    stage.rods(begin, end, np.full(count, pitch * 0.48), 0.42, np.full(count, pitch * blunt))
    stage.balls(end, np.full(count, pitch * blunt), 0.42)


def trenches(stage: Stage) -> None:
    """Draw a cleaved edge of deep trenches: the top with its lines behind, in front the walls cut through, scalloped at times."""
    pitch, duty = stage.size(0.06, 0.3), stage.between(0.35, 0.65)
    depth, edge = stage.unit * stage.between(0.3, 0.7), -stage.unit * stage.between(0.05, 0.3)
    rows, columns = stage.height, stage.width
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    x -= columns / 2
    y -= rows / 2
    scallop = stage.between(0, 0.06) * np.abs(np.sin(y / pitch * stage.between(8, 20))) + (
        y - edge
    ) / depth * stage.between(-0.1, 0.12)
    place = np.abs(x / pitch - np.rint(x / pitch))
    front = y > edge
    gap = (
        front
        & (place < duty / 2 - scallop)
        & (y < edge + depth + np.sqrt(np.clip((pitch * duty / 2) ** 2 - (place * pitch) ** 2, 0, None)) * 0.4)
    )
    lean = (x + (y - edge) * 0) / pitch
    top_gap = ~front & (np.abs(lean - np.rint(lean)) < duty / 2)
    matter = np.where(gap, 0.1, np.where(front, 0.38, np.where(top_gap, 0.12, 0.5))).astype(np.float32)
    skin = stage.rough(stage.unit * 0.1, 4)[:rows] * np.float32(0.6)
    z = (
        np.where(gap, -stage.unit * 0.2, 0)
        - np.where(top_gap, stage.unit * 0.06, 0)
        + np.where(front, 0, -(edge - y) * 0.6)
        + skin
    )
    down, right = np.gradient(z)
    flat = np.abs(down) + np.abs(right) < 4
    nx, ny = np.where(flat, -right, 0), np.where(flat, -down, 0)
    stage.show(
        (slice(0, rows), slice(0, columns)), z.astype(np.float32), [nx, ny, np.ones_like(nx)], blurred(matter, 0.5)
    )


def chip(stage: Stage) -> None:
    """Metal and contacts of a chip laid bare: a cell of bars and dots, mirrored and repeated in rows."""
    ground, cell = stage.between(0.12, 0.28), stage.size(0.12, 0.45)
    stage.terrain(stage.rough(stage.unit * 0.04) * np.float32(0.4), ground)
    bars = [
        (
            stage.between(-0.4, 0.4),
            stage.between(-0.4, 0.4),
            *((stage.between(0.12, 0.5), 0.05) if stage.chance(0.5) else (0.05, stage.between(0.12, 0.4))),
        )
        for _ in range(stage.number(4, 8))
    ]
    outlines, dots = [], []
    spots = _net(stage, cell, 0.0, False, cell)
    for x, y in spots:
        flip_x, flip_y = (-1) ** round(x / cell), (-1) ** round(y / cell)
        outlines += [_outline(x + flip_x * a * cell, y + flip_y * b * cell, c * cell, d * cell) for a, b, c, d in bars]
        dots += [(x + flip_x * a * cell, y + flip_y * b * cell) for a, b, _, _ in bars[:4]]
    tall = cell * stage.between(0.03, 0.12)
    extrude(stage, outlines, 0, tall, ground + stage.between(0.15, 0.35))
    stage.balls(np.array([(x, y, tall - cell * 0.02) for x, y in dots]), np.full(len(dots), cell * 0.045), 0.7)


def dimples(stage: Stage) -> None:
    """Round bowls pressed or etched side by side into a flat surface, in a regular net."""
    stage.terrain(stage.rough(stage.unit * 0.1) * np.float32(0.2), stage.between(0.36, 0.5))
    pitch = stage.size(0.05, 0.3)
    at = np.array(
        [(*point, pitch * 0.1) for point in _net(stage, pitch, stage.between(0, 1), stage.chance(0.6), pitch)]
    )
    carve(stage, at, np.full(len(at), pitch * stage.between(0.32, 0.5)), 0.42, -pitch)


def mushrooms(stage: Stage) -> None:
    """Draw posts with wide flat caps in rows: overhanging surfaces that repel, or pads of dry adhesives."""
    ground, pitch = stage.between(0.12, 0.25), stage.size(0.11, 0.4)
    stage.terrain(stage.rough(stage.unit * 0.1) * np.float32(0.2), ground)
    tall, wide = pitch * stage.between(0.4, 1.3), pitch * stage.between(0.28, 0.42)
    profile = np.array(
        [(0.45, 0.0), (0.4, 0.7), (0.5, 0.82), (1.0, 0.9), (1.02, 0.95), (0.97, 1.0), (0.0, 1.0)]
    ) * np.array([wide, tall])
    dense = np.column_stack([np.interp(np.linspace(0, 6, 30), range(7), profile[:, axis]) for axis in (0, 1)])
    for x, y in _net(stage, pitch, 0.0, stage.chance(0.5), tall)[:350]:
        lathe(stage, (x, y, 0.0), dense, leaning(0, 0), ground + 0.25, around=28)
    debris(stage, 0.2)


KINDS: Final[tuple[SceneKind[Stage], ...]] = (
    SceneKind("etched lines", lines, (0.5, 100.0), _LITHO),
    SceneKind("rows of pillars", pillars, (0.8, 200.0), _IMPRINT),
    SceneKind("rows of holes", holes, (0.8, 200.0), _LITHO),
    SceneKind("lenses in rows", lenses, (5.0, 500.0), _OPTICS),
    SceneKind("etched pyramids", etched_pyramids, (3.0, 200.0), _WET),
    SceneKind("rings", rings, (5.0, 500.0), _OPTICS),
    SceneKind("test field", test_pattern, (1.0, 200.0), _LITHO),
    SceneKind("dense cones", moth_eye, (0.8, 30.0), _IMPRINT),
    SceneKind("cleaved trenches", trenches, (0.8, 60.0), _LITHO),
    SceneKind("cells of a chip", chip, (1.0, 60.0), _CHIPS),
    SceneKind("bowls in rows", dimples, (2.0, 300.0), _OPTICS),
    SceneKind("capped posts", mushrooms, (10.0, 300.0), _IMPRINT),
)
