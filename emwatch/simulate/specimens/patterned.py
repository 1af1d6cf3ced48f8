"""Patterned_surface: what a mask, a stamp or a written dose repeats over the picture; no leads, no moving parts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from emwatch.simulate.planes import Plane
    from emwatch.simulate.specimens.specimen import Specimen

_RESIST = "Mack, Fundamental Principles of Optical Lithography (2007); SEMI P35, microlithography metrology"
_CRYSTALS = "Joannopoulos et al., Photonic Crystals, 2nd ed. (2008)"
_PLATES = "Attwood and Sakdinawat, X-Rays and Extreme Ultraviolet Radiation, 2nd ed. (2016): zone plates"
_META = "Yu and Capasso, Nat. Mater. 13 (2014) 139: flat optics"
_IMPRINT = "Chou et al., Science 272 (1996) 85: imprint lithography"


def _turned(specimen: Specimen) -> float:
    """Return how the pattern lies: mostly along the scan, as an operator turns it."""
    return specimen.rng.normal(0, 0.015) if specimen.chance(0.65) else specimen.between(0, math.pi / 2)


def _relief(specimen: Specimen, inside: Plane, pitch: float) -> None:
    """Let the pattern stand or sink, in the ground's matter or another, with soft shoulders."""
    ground = specimen.substrate(polish=1.0)
    rise = pitch * specimen.between(0.1, 0.6)
    other = specimen.above(ground)
    if specimen.chance(0.3):
        specimen.matter[:] = other
        specimen.layer(inside, -rise, ground * specimen.between(0.3, 1.0))
    else:
        specimen.layer(inside, rise, ground if specimen.chance(0.3) else other)


def _soft(distance: npt.NDArray[np.floating], blur: float = 1.2) -> Plane:
    return np.asarray(np.clip(distance / np.float32(max(blur, 1.0)) + np.float32(0.5), 0, 1), dtype=np.float32)


def lines(specimen: Specimen) -> None:
    """Draw resist lines and spaces whose edges wander together or apart, as roughness metrology measures."""
    pitch, angle = specimen.scale(0.03, 0.22), _turned(specimen)
    along, _ = specimen.axes(angle)
    rough = np.float32(pitch * specimen.between(0.0, 0.04))
    stretch = 5.0
    left = specimen.fractal(pitch, 0.6, stretch, angle + math.pi / 2) * rough
    right = specimen.fractal(pitch, 0.6, stretch, angle + math.pi / 2) * rough
    offset = along - np.rint(along / np.float32(pitch)) * np.float32(pitch)
    half = np.float32(pitch * specimen.between(0.18, 0.35))
    _relief(specimen, _soft(half - np.where(offset < 0, -offset + left, offset + right), pitch * 0.06), pitch)


def dots(specimen: Specimen) -> None:
    """Draw round or square posts or holes on a square or hexagonal lattice, a few missing or misshapen."""
    pitch = specimen.scale(0.05, 0.28)
    along, across, number = specimen.lattice(pitch, hexagonal=specimen.chance(0.5), angle=_turned(specimen))
    radius = np.float32(pitch * specimen.between(0.18, 0.42)) * (
        1 + (number - np.float32(0.5)) * np.float32(specimen.between(0, 0.15))
    )
    power = np.float32((2, 2, 4, 12)[specimen.count(0, 3)])
    away = (np.abs(along) ** power + np.abs(across) ** power) ** (1 / power)
    _relief(specimen, _soft(radius - away, pitch * 0.05) * (number > specimen.between(-0.05, 0.03)), pitch)


def photonic_crystal(specimen: Specimen) -> None:
    """Draw a slab of holes on a triangular lattice with a defect: a missing row, or a cavity of a few missing holes."""
    pitch, angle = specimen.scale(0.04, 0.14), _turned(specimen)
    along, across, _ = specimen.lattice(pitch, hexagonal=True, angle=angle)
    x, y = specimen.axes(angle)
    row, column = np.rint((y - across) / np.float32(pitch * 0.866)), (x - along) / np.float32(pitch)
    missing = row == 0
    if specimen.chance(0.5):
        missing &= np.abs(column) < specimen.count(1, 4)
    radius = np.float32(pitch * specimen.between(0.25, 0.4))
    hole = _soft(radius - np.hypot(along, across)) * ~missing
    if specimen.chance(0.5):
        hole = hole * (np.abs(row) <= specimen.count(5, 10))
    matter = specimen.between(0.35, 0.6)
    specimen.matter[:] = matter
    specimen.layer(hole, -pitch * 0.6, 0.06)


def zone_plate(specimen: Specimen) -> None:
    """Draw a zone plate: rings whose width falls with the radius, buttresses across them."""
    at = (specimen.width * specimen.between(0.1, 0.9), specimen.height * specimen.between(0.2, 1.1))
    x, y = specimen.axes(origin=at)
    square = x * x + y * y
    inner = np.float32(specimen.scale(0.06, 0.2))
    zone = square / inner**2
    edge = np.abs(zone % 2 - 1) - np.float32(0.5)
    narrow = inner * inner / (2 * np.sqrt(square) + inner)
    ring = _soft(edge * narrow)
    spokes = specimen.count(0, 1) * specimen.count(12, 40)
    if spokes:
        turn = np.arctan2(y, x) * np.float32(spokes / (2 * math.pi)) + zone * np.float32(0.3)
        ring = ring * (np.abs(turn - np.rint(turn)) > 0.04)
    outer = specimen.between(0.7, 2.0) * specimen.unit
    _relief(specimen, ring * (np.sqrt(square) < outer) * (narrow > 1.2), float(inner) * 0.3)


def metasurface(specimen: Specimen) -> None:
    """Draw small antennas on a square lattice: crosses, split rings, or bars whose angle turns from site to site."""
    pitch = specimen.scale(0.07, 0.25)
    along, across, _ = specimen.lattice(pitch, angle=_turned(specimen))
    arm, thick = np.float32(pitch * specimen.between(0.3, 0.42)), np.float32(pitch * specimen.between(0.06, 0.13))
    form = specimen.count(0, 2)
    if form == 0:
        distance = np.maximum(
            np.minimum(arm - np.abs(along), thick - np.abs(across)),
            np.minimum(arm - np.abs(across), thick - np.abs(along)),
        )
    elif form == 1:
        away = np.hypot(along, across)
        distance = np.minimum(thick - np.abs(away - arm * np.float32(0.75)), np.maximum(np.abs(across) - thick, -along))
    else:
        x, y = specimen.axes()
        lie = np.rint((x - along + y - across) / np.float32(pitch)) * np.float32(math.pi / 8)
        run, off = along * np.cos(lie) + across * np.sin(lie), across * np.cos(lie) - along * np.sin(lie)
        distance = np.minimum(arm - np.abs(run), thick - np.abs(off))
    _relief(specimen, _soft(distance), pitch * 0.4)


def imprinted_pyramids(specimen: Specimen) -> None:
    """Draw inverted pyramids or moth-eye cones in a lattice without flat ground between, as imprint or wet etching makes."""
    pitch = specimen.scale(0.05, 0.22)
    square = specimen.chance(0.5)
    along, across, _ = specimen.lattice(pitch, hexagonal=not square, angle=_turned(specimen))
    away = np.maximum(np.abs(along), np.abs(across)) if square else np.hypot(along, across) * np.float32(0.9)
    cone = np.clip(1 - away / np.float32(pitch * specimen.between(0.42, 0.5)), 0, 1)
    specimen.matter[:] = specimen.between(0.3, 0.5)
    specimen.z += cone * np.float32(pitch * specimen.between(0.4, 0.8) * (-1 if square else 1))


def trench_section(specimen: Specimen) -> None:
    """Draw a cleaved wafer with etched lines in profile: their side walls, the tops receding, the substrate below."""
    pitch, tall = specimen.scale(0.06, 0.25), specimen.scale(0.12, 0.5)
    x, y = specimen.axes(origin=(specimen.between(0, 100), specimen.height * specimen.between(0.6, 0.85)))
    taper = np.float32(specimen.between(-0.08, 0.12))
    offset = np.abs(x - np.rint(x / np.float32(pitch)) * np.float32(pitch))
    up = -y
    half = np.float32(pitch * specimen.between(0.2, 0.32)) - up * taper
    line = _soft(half - offset) * (up < tall) * (up >= 0)
    specimen.matter[:] = specimen.between(0.05, 0.14)
    behind = (up >= tall) & (up < tall * specimen.between(1.2, 2.0))
    specimen.matter[behind] = 0.2
    specimen.layer(_soft(half - offset) * behind, pitch * 0.1, 0.5)
    ground = specimen.between(0.25, 0.5)
    specimen.layer(line, pitch * 0.3, specimen.above(ground) if specimen.chance(0.5) else ground)
    specimen.layer((y > 0).astype(np.float32), pitch * 0.3, ground)


def test_field(specimen: Specimen) -> None:
    """Draw a dose or resolution test: fields of gratings of unlike pitch and direction, tiled with gaps between."""
    size = specimen.scale(0.25, 0.55)
    angle = _turned(specimen)
    along, across, number = specimen.lattice(size, angle=angle)
    pitch = np.float32(size) / np.rint(4 + number * np.float32(specimen.between(6, 20)))
    run = np.where((number * 31) % 1 > 0.5, along, across)
    fill = np.float32(0.2) + (number * 7) % 1 * np.float32(0.15)
    grating = _soft((np.abs(run / pitch - np.rint(run / pitch)) < fill).astype(np.float32) * 2 - 1)
    gap = np.maximum(np.abs(along), np.abs(across)) < size * specimen.between(0.3, 0.44)
    _relief(specimen, grating * gap, float(size) * 0.06)


def self_assembled(specimen: Specimen) -> None:
    """Draw lines of a block copolymer between guides: one pitch, fingerprints where the guide is weak."""
    pitch = specimen.scale(0.02, 0.05)
    angle = _turned(specimen)
    along, _ = specimen.axes(angle)
    guided = np.sin(along * np.float32(2 * math.pi / pitch))
    free = specimen.waves(pitch, 0.12)
    hold = np.clip(specimen.soft(specimen.unit * 0.3) + np.float32(specimen.between(-0.5, 1.5)), 0, 1)
    _relief(specimen, _soft((guided * hold + free * (1 - hold)) * np.float32(pitch * 0.3)), pitch * 0.4)


KINDS: Final[tuple[SceneKind[Specimen], ...]] = (
    SceneKind("lines", lines, (0.5, 60.0), _RESIST),
    SceneKind("dots", dots, (1.0, 100.0), _RESIST),
    SceneKind("photonic crystal", photonic_crystal, (2.0, 30.0), _CRYSTALS),
    SceneKind("zone plate", zone_plate, (2.0, 200.0), _PLATES),
    SceneKind("metasurface", metasurface, (1.0, 60.0), _META),
    SceneKind("imprinted", imprinted_pyramids, (1.0, 60.0), _IMPRINT),
    SceneKind("lines in section", trench_section, (0.5, 30.0), _RESIST),
    SceneKind("test fields", test_field, (4.0, 300.0), _RESIST),
    SceneKind(
        "self assembled",
        self_assembled,
        (0.3, 5.0),
        "Bates and Fredrickson, Phys. Today 52 (1999) 32: block copolymers",
    ),
)
