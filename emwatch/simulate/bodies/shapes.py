"""Shapes of the third painter: bent sheets, turned bodies, extruded outlines, carved blocks, heaps, crystals and curves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from emwatch.simulate.bodies.stage import NOTHING, Numbers, Stage
from emwatch.simulate.planes import blurred, resized

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from emwatch.simulate.planes import Plane, Point

    Points = npt.NDArray[np.floating]

UPRIGHT: Final = np.eye(3)


def any_turn(stage: Stage) -> Points:
    """Return a random rotation (3, 3), even over all of them (by a random unit quaternion)."""
    w, x, y, z = (part := stage.rng.standard_normal(4)) / np.linalg.norm(part)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def leaning(azimuth: float, polar: float, roll: float = 0.0) -> Points:
    """Return a rotation (3, 3) whose third axis leans by ``polar`` from upright towards ``azimuth`` (radians)."""
    ca, sa, cp, sp, cr, sr = (f(v) for v in (azimuth, polar, roll) for f in (math.cos, math.sin))
    lean = np.array([[ca * cp, sa * cp, -sp], [-sa, ca, 0], [ca * sp, sa * sp, cp]])
    return np.asarray(np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]]) @ lean)


def prism(sides: int, half_height: float, radius: float = 1.0, top: float = 1.0) -> Points:
    """Return the planes (n, 4) of a prism along the third axis; ``top`` < 1 narrows it upwards."""
    turn = np.arange(sides) * 2 * math.pi / sides
    lean = math.atan2(radius * (1 - top), 2 * half_height)
    walls = np.stack(
        [np.cos(turn) * math.cos(lean), np.sin(turn) * math.cos(lean), np.full(sides, math.sin(lean)),
         np.full(sides, radius * (1 + top) / 2 * math.cos(lean))], axis=1,
    )  # fmt: skip
    return np.concatenate([walls, [[0, 0, 1, half_height], [0, 0, -1, half_height]]])


def box(a: float, b: float, c: float) -> Points:
    """Return the planes (6, 4) of a box with these half edges."""
    return np.array([[1, 0, 0, a], [-1, 0, 0, a], [0, 1, 0, b], [0, -1, 0, b], [0, 0, 1, c], [0, 0, -1, c]], float)


def octahedron(cut: float = 2.0) -> Points:
    """Return the planes of an octahedron at distance 1 whose corners are cut at ``cut``."""
    signs = np.array([[x, y, z] for x in (1, -1) for y in (1, -1) for z in (1, -1)]) / math.sqrt(3)
    return np.concatenate([np.column_stack([signs, np.ones(8)]), box(cut, cut, cut)])


def shard(stage: Stage, planes: int, flatness: float = 1.0) -> Points:
    """Return the planes of an irregular splinter at distances near 1; ``flatness`` < 1 squashes it along one axis."""
    normal = stage.rng.standard_normal((planes, 3))
    normal = np.concatenate([normal, -normal[: planes // 2] + stage.rng.normal(0, 0.3, (planes // 2, 3))])
    normal /= np.linalg.norm(normal, axis=1)[:, None]
    distance = stage.rng.uniform(0.6, 1.1, len(normal)) * np.where(np.abs(normal[:, 2]) > 0.6, flatness, 1.0)
    return np.concatenate([np.column_stack([normal, distance]), box(1.25, 1.1, flatness)])


def sized(faces: Points, size: float) -> Points:
    """Return planes with their distances in pixels."""
    return np.asarray(faces * np.array([1, 1, 1, size]))


def curve(
    stage: Stage,
    start: Sequence[float] | Points,
    direction: Sequence[float] | Points,
    length: float,
    bend: float,
    points: int = 24,
) -> Points:
    """Return a smooth random curve (points, 3): it turns by about ``bend`` radians in all, in any direction."""
    heading = np.asarray(direction, float) / np.linalg.norm(direction)
    swing = stage.rng.standard_normal((points, 3)).cumsum(axis=0) / points * bend * 1.5
    way = heading + swing - swing[0]
    way /= np.linalg.norm(way, axis=1)[:, None]
    return np.asarray(start, float) + np.concatenate([np.zeros((1, 3)), way[:-1].cumsum(axis=0)]) * length / (
        points - 1
    )


def sheet(stage: Stage, grid: Points, matter: Plane | float, most: int = 1600) -> None:
    """Put a bent sheet: a grid (m, n, 3) of world points, both sides seen; made so dense that it has no holes."""
    seen = stage.camera(grid)
    # By the longest step, since all steps of the grid are made equally dense.
    long = [float(np.linalg.norm(np.diff(seen, axis=a), axis=2).max()) * (seen.shape[a] - 1) for a in (0, 1)]
    steps = [int(min(most, max(math.ceil(each / 0.7), 2))) for each in long]
    dense = np.stack([resized(np.ascontiguousarray(seen[..., axis]), steps[1], steps[0]) for axis in range(3)], axis=2)
    down, right = np.gradient(dense, axis=0), np.gradient(dense, axis=1)
    normal = np.cross(right, down)
    normal *= np.where(normal[..., 2] < 0, -1, 1)[..., None] / (np.linalg.norm(normal, axis=2)[..., None] + 1e-9)
    yields = (
        matter if isinstance(matter, float) else resized(np.asarray(matter, np.float32), steps[1], steps[0]).reshape(-1)
    )
    stage.splat(dense.reshape(-1, 3), normal.reshape(-1, 3).astype(np.float32), yields)


def lathe(
    stage: Stage,
    base: Sequence[float] | Points,
    profile: Points,
    turned: Points,
    matter: float,
    relief: Callable[[Points, Points], Points] | None = None,
    around: int = 96,
) -> None:
    """
    Put a body of revolution: ``profile`` (n, 2) of radius and height along the third axis of ``turned``.

    ``relief(angle, share)`` is added to the radius: angles and shares of the profile, each (n, around).
    """
    angle = np.linspace(0, 2 * math.pi, around)[None, :]
    share = np.linspace(0, 1, len(profile))[:, None]
    radius = profile[:, :1] + (relief(angle + 0 * share, share + 0 * angle) if relief else np.zeros((1, around)))
    local = np.stack([radius * np.cos(angle), radius * np.sin(angle), profile[:, 1:] + 0 * angle], axis=2)
    sheet(stage, local @ turned + np.asarray(base), matter)


def extrude(
    stage: Stage,
    outlines: Sequence[Sequence[Point]],
    low: float,
    high: float,
    matter: float,
    holes: Sequence[Sequence[Point]] = (),
    grain: float = 0.0,
) -> None:
    """Put a flat part of a device: polygons in world x and y, from one height to another, with walls and holes through it."""

    def mask_at(level: float) -> Plane:
        image = Image.new("L", (stage.width * 2, stage.height * 2))
        brush = ImageDraw.Draw(image)
        for filled, shapes in ((255, outlines), (0, holes)):
            for shape in shapes:
                corners = [
                    (2 * (x + stage.width / 2), 2 * (y * stage.cos - level * stage.sin + stage.height / 2))
                    for x, y in shape
                ]
                brush.polygon(corners, fill=filled)
        return np.asarray(image.resize((stage.width, stage.height), Image.Resampling.BOX), np.float32) / np.float32(255)

    whole = (slice(0, stage.height), slice(0, stage.width))
    flat = np.zeros((stage.height, stage.width), np.float32)

    top = mask_at(high)
    if stage.sin > 0.02 and high > low:
        soft = blurred(mask_at(low), 1.2)
        down, right = np.gradient(soft)
        long = np.hypot(down / stage.cos, right) + np.float32(1e-4)
        wx = np.asarray(-right / long, np.float32)
        wy = np.asarray(np.where(np.hypot(down, right) < 0.02, 1, -down / stage.cos / long), np.float32)
        steps = max(1, math.ceil((high - low) * stage.sin))
        bottom = mask_at(low)
        for index in range(steps):
            shift = round((high - low) * stage.sin * index / steps)
            level = low + (high - low) * index / steps

            def moved(plane: Plane, by: int = shift) -> Plane:
                return np.concatenate([plane[by:], np.repeat(plane[-1:], by, axis=0)]) if by else plane

            wall = np.where(moved(bottom) > 0.5, level_depth(stage, level), NOTHING)
            shade = matter * (1 + grain * math.sin(index * 1.7))
            stage.show(
                whole,
                wall,
                [
                    moved(wx),
                    moved(wy) * np.float32(stage.cos),
                    np.abs(moved(wy)) * np.float32(stage.sin) + flat + np.float32(0.08),
                ],
                shade,
            )
    cover = np.where(top > 0.5, level_depth(stage, high), NOTHING)
    stage.show(whole, cover, [flat, flat - np.float32(stage.sin), flat + np.float32(stage.cos)], matter)


def level_depth(stage: Stage, level: float) -> Plane:
    """Return the depths (height, 1) at which a level of the world is seen in each row of the picture."""
    rows = np.arange(stage.height, dtype=np.float32)[:, None] + np.float32(0.5 - stage.height / 2)
    return np.asarray(level * stage.cos + stage.sin * (rows + level * stage.sin) / stage.cos, dtype=np.float32)


def even_spots(stage: Stage, size: float, most: int = 4500) -> Numbers:
    """Return places (n, 2) about ``size`` apart: a net moved at random, so that no gap is wide."""
    rows, columns = stage.shape()
    size = max(size, math.sqrt(rows * columns / most))
    x, y = np.meshgrid(
        np.arange(-columns / 2 - size, columns / 2 + 2 * size, size),
        np.arange(-rows / 2 - size, rows / 2 + 2 * size, size),
    )
    net = np.column_stack([(x + (np.arange(len(x)) % 2)[:, None] * size / 2).ravel(), y.ravel()])
    return (net + stage.rng.uniform(-0.45, 0.45, net.shape) * size).astype(np.float32)


def fillet(stage: Stage, reach: float) -> None:
    """Round what is seen, ``reach`` in pixels, as sintering fills the corners where bodies touch."""
    floor = float(np.percentile(stage.z[stage.z > NOTHING / 2], 1)) if (stage.z > NOTHING / 2).any() else 0.0
    smooth = blurred(np.maximum(stage.z, np.float32(floor)), reach)
    down, right = np.gradient(smooth)
    long = np.sqrt(1 + down * down + right * right)
    stage.z[:] = smooth
    stage.nx[:], stage.ny[:], stage.nz[:] = -right / long, -down / long, 1 / long


def carve(stage: Stage, centres: Points, radii: Points, matter: float, deepest: float, fade: float = 1e6) -> None:
    """
    Carve balls (n, 3), radii (n,), out of what is there: through a cell's window the next one is seen.

    Where what is seen lies within a ball, the ball's far side is seen instead, balls being taken from near to far. No wall
    is seen below the level ``deepest``; the yield fades to a third each ``fade`` pixels below level 0.
    """
    at, reach = stage.camera(centres), np.asarray(radii, np.float32)
    for index in np.argsort(-(at[:, 2] + reach)):
        found = stage.window(at[index], float(reach[index]))
        if found is None:
            continue
        window, x, y = found
        radius, z = float(reach[index]), stage.z[window]
        square = radius * radius - x * x - y * y
        up = np.sqrt(np.maximum(square, 0))
        within = (square > 0) & (z > at[index, 2] - up) & (z < at[index, 2] + up + 1)
        bottom = level_depth(stage, deepest)[window[0]]
        wall = np.maximum(at[index, 2] - up, bottom)
        below = np.clip((level_depth(stage, 0.0)[window[0]] - wall) / np.float32(fade), 0, 4)
        for plane, value in (
            (stage.nx, -x / radius + 0 * up), (stage.ny, -y / radius + 0 * up), (stage.nz, np.maximum(up / radius, 0.05)),
            (stage.z, wall), (stage.matter, matter * np.exp(-below)),
        ):  # fmt: skip
            np.copyto(plane[window], value, where=within, casting="same_kind")


def heap(stage: Stage, radii: Points, margin: float = 0.0, sink: float = 0.75, floor: Plane | None = None) -> Numbers:
    """
    Return centres (n, 3) of balls of these radii (n,) dropped one after the other onto the stage, each onto what lies there.

    ``sink`` < 1 lets them settle deeper, as balls do that roll into gaps. ``floor``: a relief they fall on.
    """
    cell = max(2.0, float(np.median(radii)) / 2.5)
    across = math.ceil((stage.width + 2 * margin) / cell) + 1
    down = math.ceil((stage.deep + 2 * margin) / cell) + 1
    level = np.zeros((down, across), np.float32)
    if floor is not None:
        level += resized(floor, across, down, Image.Resampling.BILINEAR)
    spots = stage.spots(len(radii), margin)
    centres = np.empty((len(radii), 3), np.float32)
    for index, (spot, radius) in enumerate(zip(spots, radii, strict=True)):
        column, row = (spot[0] + stage.width / 2 + margin) / cell, (spot[1] + stage.deep / 2 + margin) / cell
        wide = radius / cell
        best = None
        for _ in range(3):  # it rolls downhill a little
            left, top = max(0, math.floor(column - wide)), max(0, math.floor(row - wide))
            part = level[top : math.ceil(row + wide) + 1, left : math.ceil(column + wide) + 1]
            if part.size == 0:
                break
            ground = float(part.max()) * sink + float(part.mean()) * (1 - sink)
            if best is None or ground < best[0]:
                best = (ground, column, row)
            column, row = best[1] + stage.between(-1, 1) * wide, best[2] + stage.between(-1, 1) * wide
        ground, column, row = best or (0.0, column, row)
        centres[index] = (
            column * cell - stage.width / 2 - margin,
            row * cell - stage.deep / 2 - margin,
            ground + radius,
        )
        left, top = max(0, math.floor(column - wide)), max(0, math.floor(row - wide))
        right, bottom = min(across, math.ceil(column + wide) + 1), min(down, math.ceil(row + wide) + 1)
        if left < right and top < bottom:
            x, y = np.arange(left, right)[None, :] - column, np.arange(top, bottom)[:, None] - row
            cap = ground + radius + np.sqrt(np.maximum(wide * wide - x * x - y * y, 0)) * cell
            cap = np.where(x * x + y * y < wide * wide, cap, -1e6)
            part = level[top:bottom, left:right]
            np.maximum(part, cap, out=part)
    return centres


def even_ways(count: int) -> Points:
    """Return directions (count, 3) spread evenly over a ball."""
    lie, up = np.arange(count) * 2.399963, 1 - 2 * (np.arange(count) + 0.5) / count
    return np.stack([np.sqrt(1 - up * up) * np.cos(lie), np.sqrt(1 - up * up) * np.sin(lie), up], axis=1)


def cluster(
    stage: Stage, count: int, radius: float, *, compact: float = 0.5, spread: float = 0.2
) -> tuple[Numbers, Numbers]:
    """
    Return centres (n, 3) around 0 and radii (n,) of balls grown on each other, as aggregates grow.

    ``compact`` 0: each new ball sticks to a late one, a branching chain; 1: to any near the middle, a cauliflower.
    """
    radii = (radius * np.exp(stage.rng.normal(0, spread, count))).astype(np.float32)
    centres = np.zeros((count, 3), np.float32)
    for index in range(1, count):
        late = index - 1 - int(stage.rng.integers(0, max(1, min(index, 4 + index // 8))))
        host = int(np.argmin(np.linalg.norm(centres[:index], axis=1) + stage.rng.exponential(radius * 2, index))) if (
            stage.rng.random() < compact
        ) else late  # fmt: skip
        way = stage.rng.standard_normal(3)
        centres[index] = centres[host] + way / np.linalg.norm(way) * (radii[index] + radii[host]) * 0.85
    return centres, radii
