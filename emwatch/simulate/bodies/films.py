"""Films and coated surfaces: one closed skin, its grains, cracks and edges; what stands on it is small."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.bodies.cells import nearest
from emwatch.simulate.bodies.grounds import debris
from emwatch.simulate.bodies.shapes import UPRIGHT, any_turn, even_spots, octahedron, sized
from emwatch.simulate.kind import SceneKind
from emwatch.simulate.planes import blurred

if TYPE_CHECKING:
    from emwatch.simulate.bodies.stage import Stage

_ZONES = "Thornton, High rate thick film growth, Annu. Rev. Mater. Sci. 7, 239 (1977); Ohring, Materials Science of Thin Films (2002)"
_CRACKS = "Hutchinson and Suo, Mixed mode cracking in layered materials, Adv. Appl. Mech. 29, 63 (1991)"
_DIAMOND = "May, Diamond thin films: a 21st-century material, Phil. Trans. R. Soc. A 358, 473 (2000)"
_SOLAR = "Stranks and Snaith, Nature Nanotech. 10, 391 (2015): grains of perovskite films seen from above"
_PAINT = "ISO 4628, Paints and varnishes: evaluation of degradation of coatings: blisters, cracks, flakes"


def grains(stage: Stage) -> None:
    """Draw a polycrystalline film from above: domed or flat grains that close the surface, tops at one level, thin grooves between."""
    size = stage.size(0.012, 0.12)
    seeds = even_spots(stage, size)
    first, second, which = nearest(stage, seeds)
    border = (second - first) * np.float32(0.5)
    groove = np.exp(-border / np.float32(size * stage.between(0.05, 0.16)))
    dome = np.sqrt(np.clip(1 - (first / np.float32(size)) ** 2, 0, 1)) * np.float32(size * stage.between(0.0, 0.25))
    lie = stage.rng.normal(0, stage.between(0.0, 0.06), (2, len(seeds))).astype(np.float32)
    x, y = stage.axes()
    tilt = (x - seeds[which, 0]) * lie[0][which] + (y - seeds[which, 1]) * lie[1][which]
    tone = stage.values(-1, 1, len(seeds))[which] * np.float32(stage.between(0, 0.07))
    height = dome + tilt - groove * np.float32(size * stage.between(0.04, 0.15))
    stage.terrain(height, np.clip(np.float32(stage.between(0.38, 0.5)) + tone, 0.1, 0.9))
    if stage.chance(0.3):
        spots = stage.spots(stage.number(3, 40))
        stage.balls(
            np.column_stack([spots, np.full(len(spots), size * 0.1)]), size * stage.values(0.1, 0.4, len(spots)), 0.65
        )


def facets(stage: Stage) -> None:
    """Draw a film of crystals grown together: pyramids and cube corners of all sizes that fill the surface, no gaps down to the ground."""
    size = stage.size(0.04, 0.16)
    stage.terrain(np.full(stage.shape(), np.float32(-0.12 * size)), 0.4)
    textured = stage.chance(0.4)
    for x, y in stage.spots(min(1000, round(4.2 * (stage.width + size) * (stage.deep + size) / size**2)), size):
        mine = size * math.exp(stage.rng.normal(-0.25, 0.35))
        turned = any_turn(stage) if not textured else np.asarray(UPRIGHT)
        if textured:
            turn = stage.between(0, 6.3)
            turned = np.array([[math.cos(turn), math.sin(turn), 0], [-math.sin(turn), math.cos(turn), 0], [0, 0, 1.0]])
        stage.solid(
            np.array([x, y, -mine * stage.between(0.35, 0.6)]),
            sized(octahedron(1.6), mine * 0.8),
            turned,
            stage.between(0.44, 0.5),
        )


def cross_section(stage: Stage) -> None:
    """Draw a broken edge seen from the side: substrate, one to four layers, columns or plain, the top surface behind or vacuum."""
    rows, columns = stage.height, stage.width
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    lean = stage.between(-0.12, 0.12)
    level = stage.between(0.15, 0.45) * rows + (x - columns / 2) * np.float32(lean)
    top = level + np.interp(
        x[0], np.arange(columns), blurred(stage.rng.standard_normal((4, columns), dtype=np.float32), 2)[1] * 3
    )[None, :].astype(np.float32)
    depth = y - top
    matter = np.full((rows, columns), stage.between(0.25, 0.4), np.float32)
    relief = stage.rough(stage.unit * 0.25, 4, stretch=1.5)[:rows] * np.float32(stage.unit * 0.01)
    below = np.zeros_like(depth)
    for _ in range(stage.number(1, 4)):
        thick = stage.size(0.05, 0.35)
        band = (depth > below) & (depth < below + thick)
        grain = stage.rng.standard_normal((4, columns), dtype=np.float32)
        size = stage.between(2.0, 12.0)
        pillars = (
            np.abs(np.sin(np.cumsum(np.abs(blurred(grain, 1.5)[1]) + 0.3) / size * 2))[None, :]
            * stage.unit
            * stage.between(0.0, 0.012)
        )
        lump = stage.rough(size * 2, 2)[:rows] * np.float32(stage.between(0.0, 2.0))
        relief = np.where(band, pillars + lump + stage.between(0, 4), relief).astype(np.float32)
        matter[band] = stage.between(0.25, 0.7)
        below = below + np.float32(thick)
    down, right = np.gradient(blurred(relief, 0.6))
    behind = depth < 0
    if stage.chance(0.5):
        size = stage.size(0.01, 0.05)
        back = stage.rough(size, 2)[:rows] * np.float32(size * 0.12)
        bdown, bright = np.gradient(back)
        down, right = np.where(behind, bdown + 0.8, down), np.where(behind, bright, right)
        matter[behind] = stage.between(0.3, 0.5)
    else:
        matter[behind] = 0.04
    z = relief - np.where(behind, stage.unit * 0.02 - depth * 0.3, 0)
    slope_x, slope_y = np.asarray(right, np.float32), np.asarray(down, np.float32)
    stage.show(
        (slice(0, rows), slice(0, columns)), z.astype(np.float32), [-slope_x, -slope_y, np.ones_like(slope_x)], matter
    )


def cracked(stage: Stage) -> None:
    """Draw a film that shrank: polygonal plates divided by cracks with sharp edges, rims lifted or flat, the ground deep in the cracks."""
    size = stage.size(0.1, 0.5)
    seeds = even_spots(stage, size)
    warp = stage.rough(size * 0.5, 3) * np.float32(size * 0.012)
    first, second, which = nearest(stage, seeds)
    border = (second - first) * np.float32(0.5) + warp
    wide = size * stage.between(0.01, 0.06)
    plate = np.clip((border - np.float32(wide)) / 1.5, 0, 1)
    curl = np.exp(-np.clip(border - np.float32(wide), 0, None) / np.float32(size * 0.15)) * np.float32(
        size * stage.between(0, 0.12)
    )
    skin = stage.rough(stage.size(0.01, 0.1), 3) * np.float32(stage.between(0.1, 1.0))
    dark = stage.between(0.08, 0.3)
    lift = stage.values(-1, 1, len(seeds))[which] * np.float32(wide * 0.3)
    matter = dark + plate * np.float32(stage.between(0.4, 0.55) - dark)
    stage.terrain(plate * (np.float32(wide * 1.5 + 2) + curl + lift) + skin, matter)
    debris(stage)


def smooth(stage: Stage) -> None:
    """Draw a smooth coating: fine grain at most, a few pinholes, hillocks, droplets or a scratch that show that there is one."""
    grain = stage.size(0.004, 0.02)
    height = stage.rough(grain, 2) * np.float32(grain * stage.between(0.02, 0.12))
    height += stage.rough(stage.unit * 0.4, 2) * np.float32(stage.between(0, 3))
    matter = np.full_like(height, stage.between(0.35, 0.5))
    for x, y in stage.spots(stage.number(0, 30)):
        u, v = stage.axes(0, (x, y))
        radius = stage.size(0.004, 0.03)
        spot = np.clip(1 - np.hypot(u, v) / np.float32(radius), 0, 1)
        sign = stage.number(0, 1)
        height += np.sqrt(spot) * np.float32(radius * (0.7 if sign else -0.8))
        matter -= np.float32(0.0 if sign else 0.25) * (spot > 0)
    if stage.chance(0.35):
        u, v = stage.axes(stage.between(0, 3.1), stage.spot())
        wide = np.float32(stage.size(0.005, 0.03))
        height += (np.exp(-((np.abs(v) - wide * 1.6) ** 2) / wide**2) - 1.5 * np.exp(-((v / wide) ** 2))) * wide
    stage.terrain(height, np.clip(matter, 0.05, 1))
    debris(stage, 0.5)


def wrinkles(stage: Stage) -> None:
    """Draw a film under pressure: wrinkles or buckles of one width, straight in one direction or like a labyrinth."""
    size = stage.size(0.02, 0.1)
    if stage.chance(0.5):
        noise = stage.rough(size * 2, 1, stretch=stage.between(1, 3))
        height = np.sin(noise * np.float32(stage.between(2, 4)))
    else:
        u, _ = stage.axes(stage.between(0, 3.1))
        height = np.sin(
            u / np.float32(size) * np.float32(math.pi) + stage.rough(size * 4, 2) * np.float32(stage.between(0.5, 2))
        )
    height = np.where(height > 0, height, height * np.float32(stage.between(0.3, 1))) * np.float32(
        size * stage.between(0.1, 0.3)
    )
    stage.terrain(height + stage.rough(size * 0.2, 2) * np.float32(size * 0.005), stage.between(0.38, 0.5))


def nodules(stage: Stage) -> None:
    """Draw a thick deposit: cauliflower domes of unequal size that close the surface, fine nodules on the large ones."""
    size = stage.size(0.05, 0.2)
    stage.terrain(np.zeros(stage.shape(), np.float32), 0.42)
    spots = even_spots(stage, size, 900)
    radii = size * np.exp(stage.rng.normal(-0.12, 0.15, len(spots)))
    centres = np.column_stack([spots, -radii * stage.between(0.5, 0.75)])
    matter = stage.between(0.42, 0.5)
    stage.balls(centres, radii, matter)
    for share in (0.35, 0.13):
        if size * share < 2:
            break
        host = stage.rng.integers(0, len(radii), min(9000, round(len(radii) * 1.6 / share**2)))
        way = stage.rng.standard_normal((len(host), 3))
        way[:, 2] = np.abs(way[:, 2])
        way *= radii[host][:, None] / np.linalg.norm(way, axis=1)[:, None]
        stage.balls(
            centres[host] + way * (1 - share * 0.4),
            radii[host] * share * stage.rng.uniform(0.5, 1.1, len(host)),
            matter,
        )


def peeled(stage: Stage) -> None:
    """Draw a coating with a border: film on one side, bare ground on the other, its edge sharp, torn or stepped, flakes beside it."""
    turn = stage.between(0, 2 * math.pi)
    u, _ = stage.axes(turn, stage.spot(-stage.unit * 0.3))
    edge = u + stage.rough(stage.size(0.05, 0.4), 4) * np.float32(stage.unit * stage.between(0.0, 0.06))
    height, matter = (
        stage.rough(stage.unit * 0.2, 3) * np.float32(0.4),
        np.full(stage.shape(), stage.between(0.1, 0.3), np.float32),
    )
    for step in range(stage.number(1, 3)):
        film = np.clip(edge - np.float32(step * stage.size(0.03, 0.2)), 0, 1)
        grain = stage.size(0.006, 0.04)
        height += film * (np.float32(stage.size(0.01, 0.05)) + stage.rough(grain, 2) * np.float32(grain * 0.1))
        matter += film * np.float32(stage.between(0.1, 0.2))
    stage.terrain(height, np.clip(matter, 0, 0.8))
    debris(stage, 0.8)


def flat_grains(stage: Stage) -> None:
    """Draw a solution-grown film: flat grains that differ in grey, dark or bright lines between them, a few pinholes, small crystals on top."""
    size = stage.size(0.02, 0.14)
    seeds = even_spots(stage, size)
    first, second, which = nearest(stage, seeds)
    border = (second - first) * np.float32(0.5)
    line = np.exp(-((border / np.float32(stage.between(1.0, 2.2))) ** 2))
    tone = np.float32(stage.between(0.35, 0.5)) + stage.values(-1, 1, len(seeds))[which] * np.float32(
        stage.between(0.05, 0.16)
    )
    bright = stage.between(0.1, 0.3) if stage.chance(0.3) else -stage.between(0.15, 0.3)
    hole = (stage.values(0, 1, len(seeds))[which] < stage.between(0, 0.02)).astype(np.float32)
    height = (
        -line * np.float32(1.5) - hole * np.float32(size * 0.3) + stage.rough(size * 0.5, 2) * np.float32(size * 0.004)
    )
    stage.terrain(height, np.clip(tone + line * np.float32(bright) - hole * np.float32(0.3), 0.03, 0.95))
    debris(stage, 0.25)


def fine_columns(stage: Stage) -> None:
    """Draw a sputtered film at high magnification: rice-like grains of few pixels, densely packed, no ground seen, bundles with gaps as fine lines."""
    size = stage.size(0.008, 0.025)
    height = stage.rough(size, 2, stretch=stage.between(1, 2.2)) * np.float32(size * stage.between(0.12, 0.3))
    bundle = stage.size(0.08, 0.3)
    seeds = even_spots(stage, bundle)
    first, second, _ = nearest(stage, seeds, 2)
    gap = np.exp(
        -np.clip((second - first) * np.float32(0.5) + stage.rough(bundle * 0.2, 2) * np.float32(2), 0, None)
        / np.float32(2.0)
    )
    height -= gap * np.float32(size * stage.between(0, 0.8))
    stage.terrain(height, stage.between(0.4, 0.5))


def blisters(stage: Stage) -> None:
    """Draw a coating that lifts: round blisters, some burst with a torn cap, on a plain skin."""
    height = stage.rough(stage.unit * 0.05, 4) * np.float32(stage.between(0.2, 1.2))
    matter = np.full_like(height, stage.between(0.38, 0.5))
    for x, y in stage.spots(stage.many(2, 40)):
        radius = stage.size(0.03, 0.18)
        u, v = stage.axes(stage.between(0, 3), (x, y))
        away = np.hypot(u, v * np.float32(stage.between(0.8, 1.2))) + stage.rough(radius, 2) * np.float32(radius * 0.04)
        share = np.clip(1 - (away / np.float32(radius)) ** 2, 0, 1)
        if stage.chance(0.3):
            open_ = away < radius * stage.between(0.3, 0.7)
            height = np.where(open_, -radius * 0.1, height + share * np.float32(radius * 0.35)).astype(np.float32)
            matter = np.where(open_, 0.2, matter).astype(np.float32)
        else:
            height = height + share**2 * np.float32(radius * stage.between(0.2, 0.5))
    stage.terrain(height, matter)


KINDS: Final[tuple[SceneKind[Stage], ...]] = (
    SceneKind("closed grains", grains, (0.5, 30.0), _ZONES),
    SceneKind("grown-together crystals", facets, (1.0, 60.0), _DIAMOND),
    SceneKind("broken edge", cross_section, (0.5, 50.0), _ZONES),
    SceneKind("shrinkage cracks", cracked, (5.0, 500.0), _CRACKS),
    SceneKind("smooth coating", smooth, (1.0, 200.0), _ZONES),
    SceneKind("wrinkles", wrinkles, (2.0, 300.0), _CRACKS),
    SceneKind("nodules", nodules, (2.0, 200.0), _ZONES),
    SceneKind("border of a film", peeled, (2.0, 500.0), _PAINT),
    SceneKind("flat grains", flat_grains, (1.0, 20.0), _SOLAR),
    SceneKind("fine columns", fine_columns, (0.3, 5.0), _ZONES),
    SceneKind("lifted blisters", blisters, (10.0, 1000.0), _PAINT),
)
