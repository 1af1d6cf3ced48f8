"""Powder: grains in a bed or heap that fills the picture, with dark gaps between them; grains apart are Particles."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind
from emwatch.simulate.specimens.specimen import (
    CUBE,
    GARNET,
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

_METAL = "ISO/ASTM 52907, Additive manufacturing: metal powders; German, Powder Metallurgy (2005)"
_CERAMIC = "Rahaman, Ceramic Processing and Sintering, 2nd ed. (2003)"
_PHARMACY = "USP <776>, Optical microscopy: shapes of powder particles"


def _heap(specimen: Specimen, bodies: Sequence[Plane], size: float, cover: float = 3.2, most: int = 900) -> None:
    """Heap bodies of about ``size`` (radius, pixels) until the picture is covered so many times, later ones higher."""
    specimen.matter[:] = specimen.between(0.04, 0.1)
    hills = specimen.soft(specimen.unit * specimen.between(0.2, 0.4)) * np.float32(size * specimen.between(0.3, 1.0))
    count = min(most, round(cover * specimen.width * specimen.height / (3 * size * size)))
    for index in range(count):
        top = bodies[int(specimen.rng.integers(len(bodies)))]
        flip = slice(None, None, -1 if specimen.chance(0.5) else 1)
        at = specimen.place(size)
        x, y = min(max(int(at[0]), 0), specimen.width - 1), min(max(int(at[1]), 0), specimen.height - 1)
        base = float(hills[y, x]) + index / count * size * 1.8
        specimen.body(top[flip, flip], at, base, specimen.between(0.38, 0.6))


def atomised(specimen: Specimen) -> None:
    """Draw a bed of gas-atomised metal: balls of many sizes, dense, small ones stuck to the large as satellites."""
    size = specimen.scale(0.04, 0.13)
    radii = size * np.exp(specimen.rng.normal(-0.2, 0.45, 14))
    bodies = [ball(float(radius)) for radius in np.clip(radii, size * 0.15, size * 1.8)]
    _heap(specimen, bodies, size * 0.75)
    dendrites = specimen.cells(size * specimen.between(0.12, 0.3), 0.9).border
    specimen.z += np.minimum(dendrites, np.float32(size * 0.05)) * np.float32(specimen.between(0.0, 0.4))
    for _ in range(specimen.count(20, 90)):
        radius = size * specimen.between(0.1, 0.25)
        at = specimen.place(-radius)
        base = float(specimen.z[int(at[1]), int(at[0])])
        specimen.body(ball(radius), at, base - radius * 0.5, 0.5)


def water_atomised(specimen: Specimen) -> None:
    """Draw irregular rounded metal grains, as water atomising or crushing gives: lobes grown together."""
    size = specimen.scale(0.05, 0.13)
    bodies = []
    for _ in range(10):
        side = math.ceil(size * 1.3)
        lobes = Specimen(specimen.rng, 2 * side + 1, 2 * side + 1)
        lobes.z[:] = -np.inf
        for _ in range(specimen.count(3, 6)):
            at = (side + specimen.between(-0.5, 0.5) * size, side + specimen.between(-0.5, 0.5) * size)
            long = size * specimen.between(0.35, 0.7)
            lobes.body(
                oval(long, long * specimen.between(0.5, 1), specimen.between(0, 3.1), long * 0.8), at, size * 0.4, 0.5
            )
        bodies.append(lobes.z.copy())
    _heap(specimen, bodies, size * 0.8)
    specimen.z += specimen.fractal(size * 0.4, 0.6) * np.float32(size * 0.02)


def crushed(specimen: Specimen) -> None:
    """Draw crushed mineral: splinters with flat faces, every size, corners sharp."""
    size = specimen.scale(0.04, 0.13)
    bodies = [
        crystal(broken(specimen.rng, specimen.count(9, 15)), size * specimen.between(0.5, 1.3), turn(specimen.rng))
        for _ in range(12)
    ]
    _heap(specimen, bodies, size * 0.8)


def crystals(specimen: Specimen) -> None:
    """Draw grown crystals heaped up: cubes of salt, octahedra, garnets or stout prisms of one habit."""
    size = specimen.scale(0.05, 0.14)
    faces = (CUBE * 1.3, OCTAHEDRON * 1.3, GARNET * 1.1, prism_faces(6, 1.6), prism_faces(4, 1.8))[specimen.count(0, 4)]
    bodies = [crystal(faces, size * specimen.between(0.5, 1.1), turn(specimen.rng)) for _ in range(12)]
    _heap(specimen, bodies, size * 0.8)


def platelets(specimen: Specimen) -> None:
    """Draw clay, talc or graphite: thin plates heaped up and leaning."""
    size = specimen.scale(0.05, 0.13)
    bodies = []
    for _ in range(14):
        plate = prism_faces(6, specimen.between(0.06, 0.14)) * np.array([specimen.between(0.8, 1.3), 1, 1])
        lean = turn(specimen.rng)
        bodies.append(crystal(plate, size * specimen.between(0.6, 1.1), lean))
    _heap(specimen, bodies, size * 0.7, 4.0)


def nano_aggregates(specimen: Specimen) -> None:
    """Draw a dry nanopowder: tiny grains in soft lumps, lumps in larger lumps, deep gaps at every scale."""
    grain = specimen.scale(0.008, 0.022)
    lumps = specimen.fractal(specimen.unit * specimen.between(0.15, 0.3), specimen.between(0.3, 0.6))
    specimen.z[:] = lumps * np.float32(grain * specimen.between(3, 6))
    cells, finer = specimen.cells(grain * 1.7, 1.0), specimen.cells(grain, 1.0)
    specimen.z += np.sqrt(np.maximum(np.float32(grain**2) - cells.away**2, 0)) + cells.ident * np.float32(grain * 1.2)
    specimen.z += np.sqrt(np.maximum(np.float32((grain * 0.6) ** 2) - finer.away**2, 0)) + finer.ident * np.float32(
        grain * 0.6
    )
    specimen.matter[:] = specimen.between(0.35, 0.55)


def spray_dried(specimen: Specimen) -> None:
    """Draw granules of spray-dried ceramic: balls made of fine grains, some with a dimple."""
    size = specimen.scale(0.08, 0.22)
    bodies = [ball(size * specimen.between(0.4, 1.1)) for _ in range(10)]
    side = np.hypot(*np.meshgrid(np.arange(-9, 10), np.arange(-9, 10)))
    for index in range(0, 10, 3):
        tall = bodies[index].shape[0]
        dimple = np.interp(np.linspace(-9, 9, tall), np.arange(-9, 10), side[9])
        well = np.exp(-((dimple[:, None] ** 2 + dimple[None, :] ** 2) / 8))
        bodies[index] = (bodies[index] - well * size * 0.5).astype(np.float32)
    _heap(specimen, bodies, size * 0.8)
    grain = specimen.scale(0.008, 0.016)
    specimen.z += np.clip(grain - specimen.cells(grain * 1.6, 1.0).away, 0, None) * np.float32(0.5)


def sintered_neck(specimen: Specimen) -> None:
    """Draw calcined oxide: rounded grains of one size joined by necks, a network with gaps."""
    size = specimen.scale(0.02, 0.05)
    _heap(
        specimen,
        [oval(size * specimen.between(0.9, 1.6), size * 0.9, specimen.between(0, 3.1), size) for _ in range(9)],
        size,
        3.0,
    )
    specimen.z += specimen.soft(size) * np.float32(size * 0.1)


def toner(specimen: Specimen) -> None:
    """Draw potato-shaped grains dusted with much finer ones, as toner, cement or excipients with a flow aid."""
    size = specimen.scale(0.06, 0.16)
    bodies = [
        oval(
            size * specimen.between(0.7, 1.2),
            size * specimen.between(0.5, 0.9),
            specimen.between(0, 3.1),
            size * specimen.between(0.5, 1),
        )
        for _ in range(12)
    ]
    _heap(specimen, bodies, size * 0.8)
    specimen.z += specimen.fractal(size * 0.7, 0.4) * np.float32(size * 0.03)
    dust = specimen.cells(size * 0.09, 1.0)
    grains = np.clip(np.float32(size * 0.03) - dust.away, 0, None) * (dust.ident > 0.5)
    specimen.z += grains
    specimen.matter += (grains > 0) * np.float32(0.12)


KINDS: Final[tuple[SceneKind[Specimen], ...]] = (
    SceneKind("atomised", atomised, (50.0, 600.0), _METAL),
    SceneKind("water atomised", water_atomised, (50.0, 800.0), _METAL),
    SceneKind("crushed", crushed, (5.0, 800.0), _CERAMIC),
    SceneKind("crystals", crystals, (10.0, 1500.0), _PHARMACY),
    SceneKind("platelets", platelets, (3.0, 200.0), _PHARMACY),
    SceneKind("nano aggregates", nano_aggregates, (1.0, 40.0), _CERAMIC),
    SceneKind("spray dried", spray_dried, (60.0, 600.0), _CERAMIC),
    SceneKind("sintered neck", sintered_neck, (1.0, 50.0), _CERAMIC),
    SceneKind("toner", toner, (10.0, 200.0), _PHARMACY),
)
