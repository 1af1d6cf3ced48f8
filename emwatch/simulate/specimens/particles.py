"""Particles: bodies apart from each other, or one layer of them, on ground that is seen; a heap is Powder."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind
from emwatch.simulate.specimens.specimen import (
    CUBE,
    OCTAHEDRON,
    Specimen,
    ball,
    broken,
    crystal,
    oval,
    prism_faces,
    turn,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emwatch.simulate.planes import Plane

_SIZES = "ISO 19749, Nanotechnologies: particle sizes by scanning electron microscopy"
_SILICA = "Stöber, Fink and Bohn, J. Colloid Interface Sci. 26 (1968) 62"
_SHAPES = "Sun and Xia, Science 298 (2002) 2176; Murphy et al., J. Phys. Chem. B 109 (2005) 13857"
_LAYERS = "Denkov et al., Langmuir 8 (1992) 3183: drying of suspensions into layers"


def _scatter(specimen: Specimen, bodies: Sequence[Plane], size: float, cover: tuple[float, float], most: int) -> None:
    """Scatter bodies of about ``size`` (radius, pixels) apart on the ground, so that they cover such a share of it."""
    matter = specimen.above(float(specimen.matter.mean()))
    count = specimen.between(*cover) * specimen.width * specimen.height / (math.pi * size * size)
    for _ in range(max(2, min(most, round(count)))):
        top = bodies[int(specimen.rng.integers(len(bodies)))]
        flip = slice(None, None, -1 if specimen.chance(0.5) else 1)
        specimen.body(top[flip], specimen.place(), 0.0, matter)


def dispersed_balls(specimen: Specimen) -> None:
    """Draw balls of nearly one size dispersed on a wafer, few touching."""
    specimen.substrate()
    size = specimen.scale(0.012, 0.06)
    _scatter(specimen, [ball(size * specimen.between(0.92, 1.08)) for _ in range(5)], size, (0.04, 0.2), 300)


def colloid_layer(specimen: Specimen) -> None:
    """Draw one layer of balls in islands: hexagonal order inside, bare wafer between."""
    specimen.substrate()
    size = specimen.scale(0.015, 0.05)
    along, across, number = specimen.lattice(2.04 * size, hexagonal=True, angle=specimen.between(0, 1))
    islands = specimen.soft(specimen.unit * specimen.between(0.08, 0.2)) + specimen.soft(size * 3) * np.float32(0.5)
    # An island ends between balls, not through them: each pixel asks for the island at its ball's middle.
    rows, columns = np.mgrid[0 : specimen.height, 0 : specimen.width]
    middle_y = np.clip(np.rint(rows - across).astype(np.int64), 0, specimen.height - 1)
    middle_x = np.clip(np.rint(columns - along).astype(np.int64), 0, specimen.width - 1)
    there = (islands[middle_y, middle_x] > specimen.between(-0.3, 0.8)) & (number > 0.02)
    inside = np.maximum(np.float32(size**2) - along**2 - across**2, 0)
    body = there & (inside > 0)
    specimen.z += np.where(body, np.float32(size) + np.sqrt(inside), 0).astype(np.float32)
    specimen.matter[body] = specimen.above(float(specimen.matter.mean()))


def shaped(specimen: Specimen) -> None:
    """Draw faceted nanocrystals, each alone: cubes, octahedra, hexagonal plates or prisms."""
    specimen.substrate()
    size = specimen.scale(0.025, 0.08)
    faces = (CUBE * 1.2, OCTAHEDRON * 1.3, prism_faces(6, 0.35), prism_faces(3, 0.3) * 0.8, prism_faces(5, 1.8))[
        specimen.count(0, 4)
    ]
    flat = specimen.chance(0.5)
    bodies = []
    for _ in range(8):
        about = specimen.between(0, 6.3)
        cos, sin = math.cos(about), math.sin(about)
        lying = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
        bodies.append(crystal(faces, size * specimen.between(0.85, 1.15), lying if flat else turn(specimen.rng)))
    _scatter(specimen, bodies, size, (0.05, 0.22), 150)


def rods_short(specimen: Specimen) -> None:
    """Draw rods two to five times as long as wide, side by side in small rafts and alone."""
    specimen.substrate()
    wide, aspect = specimen.scale(0.01, 0.03), specimen.between(2, 5)
    matter = specimen.above(float(specimen.matter.mean()))
    for _ in range(specimen.count(12, 70)):
        at, angle = specimen.place(), specimen.between(0, math.pi)
        for step in range(specimen.count(1, 4)):
            here = (at[0] - step * 2.1 * wide * math.sin(angle), at[1] + step * 2.1 * wide * math.cos(angle))
            specimen.body(
                oval(wide * aspect, wide, angle + specimen.between(-0.06, 0.06), wide), here, wide * 0.5, matter
            )


def islands_of_metal(specimen: Specimen) -> None:
    """Draw drops of a metal film that dewetted: caps of two sizes, evenly far from each other, bright."""
    specimen.substrate(polish=1.0)
    size = specimen.scale(0.02, 0.06)
    cells = specimen.cells(size * 2.6, 0.8)
    radius = np.float32(size) * (np.float32(0.45) + np.float32(0.5) * cells.ident)
    inside = np.maximum(radius**2 - cells.away**2, 0)
    specimen.z += np.sqrt(inside) * np.float32(specimen.between(0.4, 0.9))
    specimen.matter[inside > 0] = specimen.between(0.6, 0.9)


def gold_specks(specimen: Specimen) -> None:
    """Draw labels of gold: bright specks of one size, single and in pairs, on carbon or oxide."""
    specimen.substrate()
    specimen.matter *= np.float32(0.6)
    size = specimen.scale(0.003, 0.01)
    for _ in range(specimen.count(30, 350)):
        at = specimen.place()
        for _ in range(1 + specimen.chance(0.25)):
            specimen.body(ball(size), at, 0.0, 0.9)
            at = (at[0] + 2.2 * size * specimen.between(-1, 1), at[1] + 2.2 * size * specimen.between(-1, 1))


def chained(specimen: Specimen) -> None:
    """Draw aggregates of soot or pyrogenic oxide on a wafer: branched chains of small balls, bare ground between."""
    specimen.substrate()
    size = specimen.scale(0.006, 0.014)
    matter = specimen.above(float(specimen.matter.mean()))
    tops = [ball(size * factor) for factor in (0.8, 1.0, 1.2)]
    for _ in range(specimen.count(2, 9)):
        cluster = [specimen.place(-0.05 * specimen.unit)]
        for _ in range(specimen.count(15, 90)):
            at = cluster[max(specimen.count(0, len(cluster) - 1), len(cluster) - specimen.count(1, 12))]
            angle = specimen.between(0, 6.3)
            cluster.append((at[0] + 1.7 * size * math.cos(angle), at[1] + 1.7 * size * math.sin(angle)))
        for at in cluster:
            specimen.body(tops[specimen.count(0, 2)], at, specimen.between(0, 2) * size, matter)


def debris(specimen: Specimen) -> None:
    """Draw dust or wear debris on an adhesive tab: splinters and crumbs of many sizes, far apart."""
    specimen.substrate(polish=0.3)
    size = specimen.scale(0.02, 0.07)
    bodies = [
        crystal(
            broken(specimen.rng, specimen.count(10, 18)),
            size * math.exp(specimen.rng.normal(-0.3, 0.5)),
            turn(specimen.rng),
        )
        for _ in range(12)
    ]
    _scatter(specimen, bodies, size, (0.04, 0.18), 150)


def hollow_or_burst(specimen: Specimen) -> None:
    """Draw capsules and cenospheres apart on the ground: balls with a hole broken through the shell."""
    specimen.substrate()
    size = specimen.scale(0.05, 0.14)
    matter = specimen.above(float(specimen.matter.mean()))
    for _ in range(specimen.count(4, 24)):
        radius, at = size * specimen.between(0.5, 1.1), specimen.place()
        specimen.body(ball(radius), at, 0.0, matter)
        if specimen.chance(0.5):
            off, angle, hole = (
                radius * specimen.between(0.1, 0.5),
                specimen.between(0, 6.3),
                radius * specimen.between(0.2, 0.4),
            )
            away = np.hypot(*specimen.axes(origin=(at[0] + off * math.cos(angle), at[1] + off * math.sin(angle))))
            specimen.layer(
                np.clip(hole - away + specimen.soft(hole) * np.float32(hole * 0.1), 0, 1), -radius * 0.8, 0.08
            )


KINDS: Final[tuple[SceneKind[Specimen], ...]] = (
    SceneKind("dispersed balls", dispersed_balls, (0.5, 50.0), _SIZES),
    SceneKind("colloid layer", colloid_layer, (1.0, 30.0), _LAYERS),
    SceneKind("shaped", shaped, (0.4, 10.0), _SHAPES),
    SceneKind("short rods", rods_short, (0.3, 5.0), _SHAPES),
    SceneKind(
        "islands of metal", islands_of_metal, (0.5, 20.0), "Thompson, Annu. Rev. Mater. Res. 42 (2012) 399: dewetting"
    ),
    SceneKind("gold specks", gold_specks, (0.3, 5.0), _SIZES),
    SceneKind("chained", chained, (0.5, 10.0), _SIZES),
    SceneKind("debris", debris, (20.0, 1000.0), "ISO 16232, Road vehicles: cleanliness of components"),
    SceneKind("hollow", hollow_or_burst, (2.0, 300.0), _SILICA),
)
