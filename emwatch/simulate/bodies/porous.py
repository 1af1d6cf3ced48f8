"""Porous sponge: one connected solid with holes through it that lead deep: foams, sinters, aerogels, scaffolds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.bodies.shapes import carve, curve, fillet, heap
from emwatch.simulate.kind import SceneKind
from emwatch.simulate.planes import blurred, resized

if TYPE_CHECKING:
    from emwatch.simulate.bodies.stage import Stage
    from emwatch.simulate.planes import Plane

_FOAMS = "Gibson and Ashby, Cellular Solids, 2nd ed. (1997): open and closed cells, struts, windows"
_GELS = "Brinker and Scherer, Sol-Gel Science (1990): gels and aerogels, strings of beads"
_SINTER = "German, Sintering Theory and Practice (1996): necks, open pores, bodies of the intermediate stage"
_SPINODAL = "Cahn, J. Chem. Phys. 42, 93 (1965): connected structures by phase separation; dealloyed nanoporous gold"
_FROZEN = "Deville, Freeze-casting of porous ceramics, Adv. Eng. Mater. 10, 155 (2008): walls, dendrites, bridges"
_EMULSION = "Silverstein, PolyHIPEs, Prog. Polym. Sci. 39, 199 (2014): round voids, round windows"


def foam(stage: Stage) -> None:
    """Draw a cut foam: round cells of unequal size carved out of a block, windows into the cells behind."""
    skin = stage.rough(stage.unit * 0.2, 3) * np.float32(stage.unit * 0.008)
    stage.terrain(skin, stage.between(0.4, 0.55))
    radius, spread = stage.size(0.03, 0.22), stage.between(0.05, 0.4)
    count = min(
        1300,
        max(
            25, round(stage.between(1.2, 3.0) * 3 * (stage.width + radius) * (stage.deep + radius) / (4.2 * radius**2))
        ),
    )
    spots = stage.spots(count, radius)
    centres = np.column_stack([spots, -stage.rng.uniform(-0.3, 3.2, count) * radius])
    radii = radius * np.exp(stage.rng.normal(0, spread, count))
    carve(stage, centres, radii, stage.between(0.4, 0.55), -5 * radius, radius * stage.between(2.5, 6))


def emulsion_foam(stage: Stage) -> None:
    """Draw a polymer cast round an emulsion: touching round voids of few sizes, small round windows between them."""
    stage.terrain(stage.rough(stage.unit * 0.3) * np.float32(1), 0.5)
    radius = stage.size(0.03, 0.14)
    count = min(1800, round(4.0 * (stage.width + 2 * radius) * (stage.deep + 2 * radius) / (4 * radius**2)))
    radii = radius * np.exp(stage.rng.normal(0, 0.22, count))
    centres = heap(stage, radii, radius, 0.8)
    centres[:, 2] -= np.percentile(centres[:, 2], 50)
    carve(stage, centres, radii * stage.between(1.35, 1.6), 0.5, -9 * radius, radius * stage.between(2.5, 6))


def struts(stage: Stage) -> None:
    """Draw a reticulated foam: struts that meet three or four at a node, in layers that recede into the dark."""
    size = stage.size(0.1, 0.4)
    thick = size * stage.between(0.05, 0.14)
    layers = stage.number(3, 5)
    grid = np.mgrid[
        -stage.width / 2 - size : stage.width / 2 + size : size, -stage.deep / 2 - size : stage.deep / 2 + size : size,
        -layers * size : 1 : size,
    ].reshape(3, -1).T  # fmt: skip
    nodes = grid + stage.rng.uniform(-0.42, 0.42, grid.shape) * size
    nodes = nodes[stage.rng.random(len(nodes)) < 0.85][:1400]
    away = np.linalg.norm(nodes[:, None] - nodes[None], axis=2)
    near = np.argsort(away, axis=1)[:, 1:5]
    pairs = {
        (min(a, b), max(a, b))
        for a, row in enumerate(near)
        for b in row[: stage.number(3, 4)]
        if away[a, b] < 1.7 * size
    }
    chosen = np.array(sorted(pairs))
    begin, end = nodes[chosen[:, 0]], nodes[chosen[:, 1]]
    middle = (begin + end) / 2
    each = np.full(len(begin), thick)
    yields = stage.values(0.42, 0.52, len(begin))
    stage.rods(begin, middle, each * 1.3, yields, each * 0.8)
    stage.rods(middle, end, each * 0.8, yields, each * 1.3)
    stage.balls(nodes, np.full(len(nodes), thick * 1.35), 0.47)


def gel(stage: Stage) -> None:
    """Draw an aerogel near its resolution limit: a loose net of strings of tiny beads, pores of all sizes, no ground."""
    bead, bend = stage.size(0.007, 0.022), stage.between(14, 30)
    pieces = []
    for _ in range(int(min(1500, stage.between(0.6, 1.2) * 2.4 * (stage.unit / bead / 8) ** 2))):
        start = (*stage.spot(stage.unit * 0.1), -stage.between(0, 0.35) * stage.unit)
        count = stage.number(8, 26)
        pieces.append(curve(stage, start, stage.rng.standard_normal(3), count * bead * 1.6, bend, count))
    beads = np.concatenate(pieces)
    stage.balls(beads, bead * np.exp(stage.rng.normal(0, 0.2, len(beads))), stage.values(0.4, 0.52, len(beads)))


def sinter(stage: Stage) -> None:
    """Draw a half-sintered ceramic or metal: rounded grains grown into each other by wide necks, pores open between them."""
    radius = stage.size(0.03, 0.1)
    stage.terrain(np.full(stage.shape(), -6 * radius, np.float32), 0.03)
    count = int(min(650, 2.8 * (stage.width + radius) * (stage.deep + radius) / (math.pi * radius**2)))
    radii = radius * np.exp(stage.rng.normal(0, 0.2, count))
    centres = heap(stage, radii * 0.66, radius, 0.35)
    stage.balls(centres, radii, 0.48)
    away = np.linalg.norm(centres[:, None] - centres[None], axis=2) + np.eye(count) * 1e6
    one, other = np.nonzero(np.triu(away < 2.1 * radius))
    few = slice(0, 1800)
    neck = np.minimum(radii[one], radii[other])[few] * stage.between(0.55, 0.8)
    stage.rods(centres[one][few], centres[other][few], neck, 0.48)
    fillet(stage, stage.between(1.2, 2.9))


def _volume(
    stage: Stage, size: float, shape: tuple[int, int, int], width: float, stretch: tuple[float, float, float]
) -> Plane:
    """Return noise of one wavelength ``size`` (voxels) in a box (deep, rows, columns); ``width`` of its band, relative."""
    wave = np.fft.rfftn(stage.rng.standard_normal(shape, dtype=np.float32))
    f = [
        np.fft.fftfreq(shape[0]) * stretch[0],
        np.fft.fftfreq(shape[1]) * stretch[1],
        np.fft.rfftfreq(shape[2]) * stretch[2],
    ]
    length = np.sqrt(f[0][:, None, None] ** 2 + f[1][None, :, None] ** 2 + f[2][None, None, :] ** 2) * size
    field = np.fft.irfftn(wave * np.exp(-(((length - 1) / width) ** 2)), s=shape, axes=(0, 1, 2))
    return np.asarray(field / (field.std() + 1e-9), dtype=np.float32)


def _cut_volume(stage: Stage, field: Plane, level: float, pixels: float, matter: float) -> None:
    """Show the solid where a field (deep, rows, columns) is above a level, its top cut flat; a voxel has so many pixels."""
    solid = field > level
    solid[-1] = True
    first = solid.argmax(axis=0)
    here = np.take_along_axis(field, first[None], axis=0)[0]
    above = np.take_along_axis(field, np.maximum(first - 1, 0)[None], axis=0)[0]
    part = np.clip((here - level) / np.maximum(here - above, 1e-3), 0, 1)
    depth = np.where(first > 0, first - part, 0).astype(np.float32)
    rows, columns = stage.shape()
    z = blurred(-resized(depth, columns, rows) * np.float32(pixels), pixels * 0.7)
    shade = np.exp(z / np.float32(field.shape[0] * pixels * stage.between(0.3, 1.2)))
    stage.terrain(z + stage.rough(pixels * 3, 2) * np.float32(pixels * 0.05), matter * shade)


def spinodal(stage: Stage) -> None:
    """Draw a connected sponge of phase separation or dealloying: ligaments of one width that branch, pores as wide as they."""
    rows, columns = stage.shape()
    shape = (40, min(200, rows // 2), min(256, columns // 2))
    pixels = rows / shape[1]
    size = max(5.0, stage.size(0.025, 0.14) / pixels)
    field = _volume(stage, size, shape, stage.between(0.2, 0.5), (1, 1, 1))
    _cut_volume(stage, field, stage.between(-0.1, 0.5), pixels, stage.between(0.42, 0.55))


def frozen(stage: Stage) -> None:
    """Draw a freeze-cast or freeze-dried body: thin walls in one direction, bridges between them, deep gaps."""
    rows, columns = stage.shape()
    shape = (40, min(200, rows // 2), min(256, columns // 2))
    pixels = rows / shape[1]
    size = max(5.0, stage.size(0.04, 0.16) / pixels)
    stretch = (
        (stage.between(2, 4), 1.0, stage.between(2, 5))
        if stage.chance(0.5)
        else (stage.between(2, 4), stage.between(2, 5), 1.0)
    )
    field = _volume(stage, size, shape, stage.between(0.25, 0.5), stretch)
    _cut_volume(stage, -np.abs(field), -stage.between(0.25, 0.5), pixels, stage.between(0.42, 0.55))


def walls(stage: Stage) -> None:
    """Draw a sponge of thin films: crumpled walls round large polygonal cells, torn open, as cryogels, graphene foams and hydrogels show."""
    rows, columns = stage.shape()
    shape = (36, min(200, rows // 2), min(256, columns // 2))
    pixels = rows / shape[1]
    size = stage.size(0.1, 0.4) / pixels
    seeds = stage.rng.uniform(
        (-6, 0, 0), (shape[0] + 6, shape[1], shape[2]), (int(min(90, 1.4 * np.prod(shape) / size**3 + 14)), 3)
    )
    axes = [np.arange(0, each, 1, dtype=np.float32) for each in shape]
    two = np.full((2, *shape), 1e9, np.float32)
    for seed in seeds.astype(np.float32):
        away = (
            (axes[0] - seed[0])[:, None, None] ** 2
            + (axes[1] - seed[1])[None, :, None] ** 2
            + (axes[2] - seed[2])[None, None, :] ** 2
        )
        two[1] = np.minimum(two[1], np.maximum(two[0], away))
        two[0] = np.minimum(two[0], away)
    border = np.sqrt(two[1]) - np.sqrt(two[0])
    _cut_volume(stage, -border, -stage.between(1.2, 3.0), pixels, stage.between(0.42, 0.56))


def scaffold(stage: Stage) -> None:
    """Draw a leached scaffold: angular holes the shape of dissolved crystals, walls rough with smaller pores."""
    size = stage.size(0.05, 0.18)
    spots = stage.spots(min(700, round(stage.between(1.8, 3.5) * stage.width * stage.deep / (size * size))), size)
    rows, columns = stage.shape()
    depth = np.zeros((rows, columns), np.float32)
    for x, y in spots:
        turn, a, b = stage.between(0, 3.1), size * stage.between(0.3, 0.7), size * stage.between(0.3, 0.7)
        left, top, reach = int(x + columns / 2), int(y + rows / 2), int(size)
        window = (slice(max(0, top - reach), max(0, top + reach)), slice(max(0, left - reach), max(0, left + reach)))
        part = depth[window]
        if part.size == 0:
            continue
        v = (np.arange(part.shape[0]) + window[0].start - top)[:, None]
        u = (np.arange(part.shape[1]) + window[1].start - left)[None, :]
        inside = (np.abs(u * math.cos(turn) + v * math.sin(turn)) < a) & (
            np.abs(v * math.cos(turn) - u * math.sin(turn)) < b
        )
        lean = (u * stage.between(-0.3, 0.3) + v * stage.between(-0.3, 0.3)) - size * stage.between(0.3, 1.6)
        np.minimum(part, np.where(inside, lean, 0), out=part)
    grain = stage.rough(size * 0.3, 4, 0.6) * np.float32(size * 0.02)
    stage.terrain(depth + grain + 1, np.float32(0.48) * np.exp(depth / np.float32(size * 0.8)))


def metal_foam(stage: Stage) -> None:
    """Draw an open foam seen whole: large round windows in thick rounded bars, dark chambers behind, rough skin."""
    radius = stage.size(0.1, 0.26)
    skin = stage.rough(radius * 0.4, 4) * np.float32(radius * stage.between(0.005, 0.03))
    stage.terrain(skin + stage.rough(radius * 2, 2) * np.float32(radius * 0.4), 0.48)
    count = int(min(260, 3.6 * (stage.width + radius) * (stage.deep + radius) / (4 * radius**2)) + 6)
    radii = radius * np.exp(stage.rng.normal(0, 0.12, count))
    centres = heap(stage, radii, radius, 0.9)
    centres[:, 2] -= np.percentile(centres[:, 2], 50)
    carve(stage, centres, radii * stage.between(1.3, 1.5), 0.5, -12 * radius, radius * stage.between(2, 5))
    grain = stage.rng.standard_normal((stage.number(0, 500), 3))
    if len(grain):
        host = stage.rng.integers(0, count, len(grain))
        grain[:, 2] = -np.abs(grain[:, 2])
        at = centres[host] + grain / np.linalg.norm(grain, axis=1)[:, None] * radii[host][:, None] * 1.1
        stage.balls(at, radius * stage.values(0.01, 0.04, len(grain)), 0.5)


KINDS: Final[tuple[SceneKind[Stage], ...]] = (
    SceneKind("cut foam", foam, (20.0, 3000.0), _FOAMS),
    SceneKind("voids of an emulsion", emulsion_foam, (5.0, 200.0), _EMULSION),
    SceneKind("struts", struts, (100.0, 5000.0), _FOAMS),
    SceneKind("strings of beads", gel, (0.3, 5.0), _GELS),
    SceneKind("half-sintered body", sinter, (2.0, 300.0), _SINTER),
    SceneKind("branching ligaments", spinodal, (0.3, 50.0), _SPINODAL),
    SceneKind("frozen walls", frozen, (20.0, 1000.0), _FROZEN),
    SceneKind("cells of thin walls", walls, (20.0, 2000.0), _FROZEN),
    SceneKind("leached scaffold", scaffold, (100.0, 3000.0), _FOAMS),
    SceneKind("metal foam", metal_foam, (300.0, 5000.0), _FOAMS),
)
