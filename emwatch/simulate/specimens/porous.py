"""Porous_Sponge: holes in a solid that go on below the surface, their walls joined."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind
from emwatch.simulate.planes import blurred
from emwatch.simulate.specimens.specimen import Specimen, Stroke

if TYPE_CHECKING:
    from emwatch.simulate.planes import Plane

_CELLULAR = "Gibson and Ashby, Cellular Solids, 2nd ed. (1997)"
_MEMBRANES = "Mulder, Basic Principles of Membrane Technology, 2nd ed. (1996)"
_DEALLOYED = "Erlebacher et al., Nature 410 (2001) 450: nanoporous gold"
_SCAFFOLDS = "O'Brien, Mater. Today 14 (2011) 88: freeze-dried scaffolds"


def _walls(specimen: Specimen, solid: Plane, deep: float, matter: float) -> None:
    """Make height and yield from a share of solid 0..1: what is not solid lies deep and dark."""
    specimen.z += solid * np.float32(deep)
    specimen.matter[:] = np.float32(matter * 0.35) + solid * np.float32(matter * 0.65)


def bicontinuous(specimen: Specimen) -> None:
    """Draw a dealloyed metal: round ligaments of one width that branch and join, pores as wide, deeper ones behind."""
    size = specimen.scale(0.04, 0.13)
    front, behind = specimen.waves(size, 0.3), specimen.waves(size * 0.9, 0.3)
    level = specimen.between(-0.1, 0.4)
    near = np.sqrt(np.clip((front - level) * 0.8, 0, 1))
    far = np.sqrt(np.clip((behind - level) * 0.8, 0, 1))
    depth = np.float32(size * 0.45)
    specimen.z[:] = np.where(near > 0, depth + near * depth, far * depth * np.float32(0.7))
    specimen.matter[:] = np.where(near > 0, 0.55, 0.1 + 0.2 * far)


def closed_cells(specimen: Specimen) -> None:
    """Draw a cut foam of closed cells: polygons with thin walls, each cell a deep bowl, membranes torn in some."""
    size = specimen.scale(0.08, 0.28)
    cells = specimen.cells(size, specimen.between(0.4, 1.0), bend=size * specimen.between(0, 0.06))
    wall = np.float32(size * specimen.between(0.03, 0.09))
    into = np.clip((cells.border - wall) / np.float32(size * 0.4), 0, 1)
    depth = np.float32(size * 0.7) * (np.float32(0.5) + cells.ident)
    specimen.z[:] = -np.sqrt(1 - (1 - into) ** 2) * depth
    specimen.matter[:] = np.float32(0.5) - into * np.float32(0.2)
    hole = (cells.away < size * 0.18 * (0.6 + cells.ident)) & (((cells.ident * 11) % 1) > 0.4)
    specimen.layer(blurred(hole.astype(np.float32), 1.0), -size * 0.5, 0.04)


def open_struts(specimen: Specimen) -> None:
    """Draw an open foam: struts between cells, thicker where they meet, two more layers in the dark behind."""
    size = specimen.scale(0.14, 0.4)
    specimen.matter[:] = 0.03
    for depth in (0.25, 0.55, 1.0):
        cells = specimen.cells(size * (0.6 + 0.4 * depth), specimen.between(0.5, 0.9), bend=size * 0.04)
        thick = np.float32(size * specimen.between(0.05, 0.1) * (0.5 + 0.5 * depth))
        meet = np.clip((cells.away / np.float32(size * (0.6 + 0.4 * depth)) - np.float32(0.5)) * 2, 0, 1)
        reach = thick * (1 + meet)
        inside = np.clip(1 - (cells.border / reach) ** 2, 0, 1)
        z = np.sqrt(inside) * thick + np.float32(depth * size)
        over = inside > 0
        specimen.z = np.where(over, z, specimen.z).astype(np.float32)
        specimen.matter = np.where(over, np.float32(0.55 * depth), specimen.matter).astype(np.float32)


def broken_foam(specimen: Specimen) -> None:
    """Draw the fracture of a foam or an aerated ceramic: round pores cut at every depth, small ones in the walls."""
    size = specimen.scale(0.08, 0.22)
    specimen.z[:] = specimen.fractal(size * 2, 0.6) * np.float32(size * 0.12)
    specimen.matter[:] = 0.5
    for share in (1.0, 0.5, 0.22):
        cells = specimen.cells(size * share * 1.15, 1.0)
        radius = np.float32(size * share * 0.5) * (np.float32(0.5) + np.float32(0.55) * cells.ident)
        inside = np.maximum(radius**2 - cells.away**2, 0) * (cells.ident > 0.25)
        specimen.z -= np.sqrt(inside) * np.float32(1.2)
    specimen.matter -= (specimen.z < -size * 0.3) * np.float32(0.2)


def phase_inversion(specimen: Specimen) -> None:
    """Draw a membrane in section: a dense skin, long finger-like voids below it, a fine sponge between."""
    specimen.matter[:] = 0.5
    fine = specimen.waves(specimen.scale(0.01, 0.02), 0.4)
    specimen.z += fine * 2
    specimen.matter += np.clip(fine, -1, 1) * np.float32(0.1)
    pitch = specimen.scale(0.06, 0.16)
    skin = specimen.height * specimen.between(0.08, 0.25)
    for x in np.arange(-pitch, specimen.width + pitch, pitch):
        foot, wide = specimen.unit * specimen.between(0.4, 0.9), pitch * specimen.between(0.15, 0.4)
        along = np.linspace(0, 1, 14)
        half = wide * np.sin(np.pi * along**0.7) * (0.6 + 0.4 * along)
        sway = specimen.between(-0.2, 0.2) * pitch * along
        top = specimen.unit * specimen.between(0.02, 0.12) + skin
        left = [(x + s - h, top + a * foot) for a, h, s in zip(along, half, sway, strict=True)]
        right = [(x + s + h, top + a * foot) for a, h, s in zip(along, half, sway, strict=True)]
        void = specimen.outline([*left, *right[::-1]])
        specimen.layer(void, -wide * 0.8, 0.1)
    specimen.matter[: int(skin * 0.6)] = 0.03
    specimen.z[: int(skin * 0.6)] -= np.float32(pitch)


def track_etched(specimen: Specimen) -> None:
    """Draw a track-etched membrane: round holes of one size at random places, some overlapping, flat between."""
    specimen.matter[:] = specimen.between(0.35, 0.5)
    size = specimen.scale(0.01, 0.04)
    share = specimen.between(0.08, 0.2)
    hole = np.zeros_like(specimen.z)
    side = np.arange(-math.ceil(size) - 1, math.ceil(size) + 2, dtype=np.float32)
    disc = np.clip(np.float32(size) - np.hypot(side[None, :], side[:, None]) + np.float32(0.5), 0, 1)
    wide = len(side)
    for _ in range(min(900, round(share * specimen.width * specimen.height / (math.pi * size * size)))):
        x, y = (int(value) for value in specimen.place(-wide))
        part = hole[y : y + wide, x : x + wide]
        np.maximum(part, disc[: part.shape[0], : part.shape[1]], out=part)
    specimen.layer(hole, -size * 2, 0.05)


def freeze_dried(specimen: Specimen) -> None:
    """Draw a freeze-dried scaffold: thin bent sheets stacked as lamellae, bridges between them, deep gaps."""
    size = specimen.scale(0.06, 0.2)
    angle = specimen.between(0, math.pi)
    sheets = specimen.waves(size, 0.35, stretch=specimen.between(2, 5), angle=angle)
    ridge = np.exp(-((sheets / np.float32(specimen.between(0.15, 0.35))) ** 2))
    bridge = np.exp(-((specimen.waves(size * 0.8, 0.4) / np.float32(0.15)) ** 2)) * np.float32(0.6)
    _walls(specimen, np.maximum(ridge, bridge), size * 0.8, 0.6)


def aerogel(specimen: Specimen) -> None:
    """Draw an aerogel or a stretched membrane: a three-dimensional net of thin strings with knots, holes behind holes."""
    specimen.matter[:] = 0.04
    width = specimen.scale(0.006, 0.014)
    for depth in (0.0, 0.4, 1.0):
        net = specimen.cells(specimen.scale(0.04, 0.09), 1.0, bend=width * 3)
        string = np.clip(1 - (net.border / np.float32(width)) ** 2, 0, 1)
        over = string > 0
        specimen.z = np.where(over, np.sqrt(string) * width + np.float32(depth * width * 8), specimen.z).astype(
            np.float32
        )
        specimen.matter = np.where(over, np.float32(0.15 + 0.4 * depth), specimen.matter).astype(np.float32)
    knots = [
        Stroke(specimen.path(specimen.place(), specimen.between(0, 6.3), width * 4), width * 2, width * 8, 0.55)
        for _ in range(60)
    ]
    specimen.strokes(knots)


KINDS: Final[tuple[SceneKind[Specimen], ...]] = (
    SceneKind("bicontinuous", bicontinuous, (0.3, 10.0), _DEALLOYED),
    SceneKind("closed cells", closed_cells, (20.0, 3000.0), _CELLULAR),
    SceneKind("open struts", open_struts, (100.0, 5000.0), _CELLULAR),
    SceneKind("broken foam", broken_foam, (20.0, 2000.0), _CELLULAR),
    SceneKind("phase inversion", phase_inversion, (20.0, 300.0), _MEMBRANES),
    SceneKind("track etched", track_etched, (3.0, 60.0), _MEMBRANES),
    SceneKind("freeze dried", freeze_dried, (50.0, 1500.0), _SCAFFOLDS),
    SceneKind("aerogel", aerogel, (0.5, 20.0), _MEMBRANES),
)
