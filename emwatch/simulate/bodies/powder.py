"""Powder: heaps and beds of bodies that lie on each other and fill the picture, with dark gaps and depth between them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.bodies.shapes import any_turn, box, cluster, heap, leaning, octahedron, prism, shard, sized
from emwatch.simulate.kind import SceneKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from emwatch.simulate.bodies.stage import Numbers, Stage

_METAL = "Dawes, Bowerman, Trepleton, Introduction to the additive manufacturing powder metallurgy supply chain (2015)"
_CERAMIC = "Reed, Principles of Ceramics Processing, 2nd ed. (1995): powders, granules, agglomerates"
_MILLING = "Prasher, Crushing and Grinding Process Handbook (1987): shapes of broken grains"
_BATTERY = "Yoshio, Brodd, Kozawa (eds.), Lithium-Ion Batteries (2009): secondary particles, graphite flakes"


def _bed(stage: Stage, radii: npt.NDArray[np.floating], sink: float = 0.6) -> Numbers:
    """Return where bodies of these sizes come to lie, on hills that fill the picture; the floor far below is dark."""
    stage.terrain(np.full(stage.shape(), -np.float32(np.median(radii) * 2)), 0.03)
    hills = stage.rough(stage.unit * stage.between(0.25, 0.6), 2) * np.float32(
        np.median(radii) * stage.between(0.3, 2.0)
    )
    margin = float(np.percentile(radii, 90)) + 0.3 * stage.unit * stage.sin
    return heap(stage, radii, margin, sink, hills)


def _enough(stage: Stage, radius: float, layers: float, most: int = 1500) -> int:
    margin = 2 * radius + 0.6 * stage.unit * stage.sin
    area = (stage.width + margin) * (stage.deep + margin)
    return int(min(most, max(12, layers * area / (math.pi * radius * radius))))


def atomised(stage: Stage) -> None:
    """Gas-atomised metal: balls of unequal size in a bed, satellites on some, a few drawn out or splat on others."""
    radius = stage.size(0.02, 0.16)
    spread = stage.between(0.15, 0.6)
    radii = np.clip(
        radius * np.exp(stage.rng.normal(-0.1, spread, _enough(stage, radius, 3.4))), radius * 0.15, radius * 2
    )
    centres = _bed(stage, radii)
    yields = stage.values(0.42, 0.55, len(radii))
    stage.balls(centres, radii, yields)
    for index in np.flatnonzero(stage.rng.random(len(radii)) < stage.between(0, 0.12))[:120]:
        turned = any_turn(stage)
        long = float(radii[index])
        stage.ellipsoid(centres[index], (long * 0.8, long * 0.9, long * stage.between(1.2, 1.9)), turned, 0.5)
    host = stage.rng.integers(0, len(radii), min(900, len(radii) * stage.number(0, 4)))
    way = stage.rng.standard_normal((len(host), 3))
    way[:, 2] = np.abs(way[:, 2])
    way *= radii[host][:, None] / np.linalg.norm(way, axis=1)[:, None]
    stage.balls(centres[host] + way, radii[host] * stage.rng.uniform(0.06, 0.3, len(host)), 0.5)


def splinters(stage: Stage) -> None:
    """Crushed or milled grains: splinters with flat faces and sharp corners, of all sizes down to dust on the faces."""
    size, flat = stage.size(0.025, 0.15), stage.between(0.45, 1)
    radii = np.clip(
        size * np.exp(stage.rng.normal(-0.3, stage.between(0.2, 0.6), _enough(stage, size, 4.5, 1000))), 1.5, size * 2
    )
    for centre, radius in zip(_bed(stage, radii * 0.8), radii, strict=True):
        stage.solid(
            centre,
            sized(shard(stage, stage.number(6, 11), flat), float(radius)),
            any_turn(stage),
            stage.between(0.4, 0.58),
        )


def fine_lumps(stage: Stage) -> None:
    """Draw a dry nanopowder: tiny grains grown to lumps, lumps heaped with deep gaps between them."""
    grain = stage.size(0.008, 0.024)
    lump = grain * stage.between(2.6, 3.4)
    places = _bed(stage, lump * np.exp(stage.rng.normal(0, 0.3, _enough(stage, lump, 4.0, 1300))), 0.3)
    moulds = [cluster(stage, stage.number(25, 60), grain, compact=stage.between(0.5, 0.95)) for _ in range(6)]
    parts = [moulds[stage.number(0, 5)] for _ in places]
    centres = np.concatenate([place + at @ any_turn(stage) for place, (at, _) in zip(places, parts, strict=True)])
    stage.balls(centres, np.concatenate([radii for _, radii in parts]), stage.between(0.4, 0.6))


def grown_crystals(stage: Stage) -> None:
    """Draw a heap of grown crystals of one habit: salt or sugar cubes, octahedra, stout prisms; edges a little unequal."""
    size = stage.size(0.03, 0.16)
    habit = (box(1, 1, 1), octahedron(1.4), prism(6, 1.3), box(0.7, 0.8, 1.5), prism(4, 1.0, 1.0, 0.7))[
        stage.number(0, 4)
    ]
    radii = size * np.exp(stage.rng.normal(0, 0.25, _enough(stage, size, 4.0, 900)))
    for centre, radius in zip(_bed(stage, radii), radii, strict=True):
        mine = habit * np.array([1, 1, 1, radius * 0.8])
        mine[:, 3] *= stage.rng.uniform(0.8, 1.2, len(mine))
        stage.solid(centre, mine, any_turn(stage), stage.between(0.42, 0.55))


def flakes(stage: Stage) -> None:
    """Graphite, clay or talc: thin uneven flakes lying across each other at all angles, edges bright."""
    size, thick = stage.size(0.04, 0.16), stage.between(0.05, 0.16)
    radii = size * np.exp(stage.rng.normal(-0.1, 0.35, _enough(stage, size, 4.5, 900)))
    for centre, radius in zip(_bed(stage, radii * 0.55), radii, strict=True):
        faces = sized(prism(stage.number(5, 8), thick), float(radius))
        faces[:-2, 3] *= stage.rng.uniform(0.6, 1.15, len(faces) - 2)
        turned = leaning(stage.between(0, 6.3), abs(stage.rng.normal(0, 0.6)), stage.between(0, 6.3))
        stage.solid(centre, faces, turned, stage.between(0.4, 0.55))


def secondary_balls(stage: Stage) -> None:
    """Battery cathode powder: large balls, each grown of hundreds of small grains, lying on each other."""
    radius = stage.size(0.07, 0.3)
    radii = radius * np.exp(stage.rng.normal(0, 0.25, _enough(stage, radius, 3.0, 200)))
    centres = _bed(stage, radii, 0.6)
    grain = stage.between(0.06, 0.14)
    stage.balls(centres, radii * 0.97, 0.45)
    near = centres[:, 2] > np.percentile(centres[:, 2], 35)
    rows, sizes = [], []
    for centre, mine in zip(centres[near], radii[near], strict=True):
        count = min(420, round(3.2 / grain**2))
        lie = np.arange(count) * 2.399963
        up = 1 - 2 * (np.arange(count) + 0.5) / count
        way = np.stack([np.sqrt(1 - up * up) * np.cos(lie), np.sqrt(1 - up * up) * np.sin(lie), up], axis=1)
        rows.append(centre + (way @ any_turn(stage)) * mine)
        sizes.append(mine * grain * np.exp(stage.rng.normal(0, 0.2, count)))
    stage.balls(np.concatenate(rows), np.concatenate(sizes), stage.values(0.42, 0.55, sum(map(len, rows))))


def granules(stage: Stage) -> None:
    """Draw rounded potato-shaped grains, dusted with fines: cement, toner, starch, excipients."""
    size = stage.size(0.03, 0.18)
    radii = size * np.exp(stage.rng.normal(-0.1, 0.35, _enough(stage, size, 4.0, 800)))
    centres = _bed(stage, radii)
    lean = stage.between(0, 0.5)
    for centre, radius in zip(centres, radii, strict=True):
        long = radius * stage.rng.uniform(1 - lean, 1 + lean, 3)
        turned = any_turn(stage)
        stage.ellipsoid(centre, tuple(long), turned, 0.5)
        if lean > 0.25:
            stage.ellipsoid(centre + turned[0] * radius * 0.5, tuple(long * 0.75), any_turn(stage), 0.5)
    host = stage.rng.integers(0, len(radii), stage.many(1, 2500))
    way = stage.rng.standard_normal((len(host), 3))
    way[:, 2] = np.abs(way[:, 2])
    way *= radii[host][:, None] / np.linalg.norm(way, axis=1)[:, None]
    stage.balls(centres[host] + way, size * stage.rng.uniform(0.01, 0.07, len(host)), 0.55)


def two_sizes(stage: Stage) -> None:
    """Draw a blend: coarse balls or splinters bedded in much finer grains."""
    coarse, fine = stage.size(0.08, 0.25), stage.size(0.01, 0.03)
    few = _enough(stage, coarse, stage.between(0.3, 0.9), 60)
    radii = np.concatenate(
        [
            coarse * np.exp(stage.rng.normal(0, 0.3, few)),
            fine * np.exp(stage.rng.normal(0, 0.35, _enough(stage, fine, 2.4, 4000))),
        ]
    )
    centres = _bed(stage, radii, 0.5)
    sharp = stage.chance(0.5)
    if sharp:
        for centre, radius in zip(centres[:few], radii[:few], strict=True):
            stage.solid(centre, sized(shard(stage, 10), float(radius)), any_turn(stage), 0.5)
    else:
        stage.balls(centres[:few], radii[:few], 0.5)
    stage.balls(centres[few:], radii[few:], stage.values(0.4, 0.6, len(radii) - few))


def sponge_metal(stage: Stage) -> None:
    """Water-atomised or reduced metal: knobbly grains of several lobes grown together, heaped."""
    size = stage.size(0.04, 0.14)
    radii = size * np.exp(stage.rng.normal(0, 0.3, _enough(stage, size, 3.2, 450)))
    centres = _bed(stage, radii, 0.45)
    moulds = [cluster(stage, stage.number(5, 14), 0.42, compact=0.6, spread=0.35) for _ in range(9)]
    parts = [moulds[stage.number(0, 8)] for _ in radii]
    rows = [at + (each @ any_turn(stage)) * radius for at, radius, (each, _) in zip(centres, radii, parts, strict=True)]
    sizes = [lobes * radius for radius, (_, lobes) in zip(radii, parts, strict=True)]
    stage.balls(np.concatenate(rows), np.concatenate(sizes), stage.between(0.4, 0.55))


KINDS: Final[tuple[SceneKind[Stage], ...]] = (
    SceneKind("bed of balls", atomised, (50.0, 800.0), _METAL),
    SceneKind("heap of splinters", splinters, (2.0, 1000.0), _MILLING),
    SceneKind("lumps of nanograins", fine_lumps, (0.8, 30.0), _CERAMIC),
    SceneKind("heap of crystals", grown_crystals, (5.0, 1500.0), _MILLING),
    SceneKind("heap of flakes", flakes, (3.0, 200.0), _BATTERY),
    SceneKind("balls of grains", secondary_balls, (5.0, 80.0), _BATTERY),
    SceneKind("dusted granules", granules, (10.0, 600.0), _CERAMIC),
    SceneKind("blend of two sizes", two_sizes, (5.0, 500.0), _CERAMIC),
    SceneKind("knobbly metal", sponge_metal, (50.0, 800.0), _METAL),
)
