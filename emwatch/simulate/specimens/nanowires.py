"""Nanowires: straight thin rods, grown from a substrate or lying on it, their ends in view; strands that bend are Fibres."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind
from emwatch.simulate.specimens.specimen import Specimen, Stroke, ball, crystal, prism_faces

if TYPE_CHECKING:
    import numpy.typing as npt

_VLS = "Wagner and Ellis, Appl. Phys. Lett. 4 (1964) 89: whiskers under a drop of catalyst"
_ZINC = "Yang et al., Adv. Funct. Mater. 12 (2002) 323: growth of ZnO nanowires"
_ETCHED = "Huang et al., Adv. Mater. 23 (2011) 285: metal-assisted etching of silicon"
_CONTACTS = "Cui and Lieber, Science 291 (2001) 851: nanowires on oxidised silicon"


def _leant(azimuth: float, lean: float, twist: float = 0.0) -> npt.NDArray[np.float64]:
    """Return the rotation that twists a body about its upright axis, then leans it towards an azimuth; radians."""
    cos_a, sin_a, cos_l, sin_l = math.cos(azimuth), math.sin(azimuth), math.cos(lean), math.sin(lean)
    cos_t, sin_t = math.cos(twist), math.sin(twist)
    spin = np.array([[cos_t, -sin_t, 0], [sin_t, cos_t, 0], [0, 0, 1]])
    tip = np.array([[cos_l, 0, sin_l], [0, 1, 0], [-sin_l, 0, cos_l]])
    aim = np.array([[cos_a, -sin_a, 0], [sin_a, cos_a, 0], [0, 0, 1]])
    return np.asarray(aim @ tip @ spin)


def forest_above(specimen: Specimen) -> None:
    """Draw a dense forest from right above: ends only, bright dots of nearly one size, dark between, stems that lean."""
    specimen.matter[:] = specimen.between(0.04, 0.12)
    width = specimen.scale(0.008, 0.02)
    cells = specimen.cells(width * specimen.between(1.7, 2.6), 1.0)
    lean = specimen.soft(specimen.unit * 0.12)
    strokes, dots = [], []
    step = width * specimen.between(1.9, 2.6)
    for _ in range(min(1300, round(0.8 * specimen.width * specimen.height / step**2))):
        at = specimen.place(width)
        x, y = min(max(int(at[0]), 0), specimen.width - 1), min(max(int(at[1]), 0), specimen.height - 1)
        angle = float(lean[y, x]) * 2
        length = width * specimen.between(1.5, 6)
        tip = (at[0] + length * math.cos(angle), at[1] + length * math.sin(angle))
        rise = specimen.between(2, 5) * width
        strokes.append((rise, Stroke(np.array([at, tip]), width * 0.8, rise - 2 * width, 0.28)))
        dots.append((tip, rise))
    specimen.strokes(stroke for _, stroke in sorted(strokes, key=lambda pair: pair[0]))
    end = ball(width * 0.6, 0.7)
    for tip, rise in dots:
        specimen.body(end, tip, rise, 0.75)
    specimen.matter += cells.ident * np.float32(0.02)


def clumped_tips(specimen: Specimen) -> None:
    """Draw etched wires whose tips stuck together as they dried: bundles like tents, dark alleys between."""
    specimen.matter[:] = 0.05
    tent = specimen.scale(0.08, 0.2)
    cells = specimen.cells(tent, 1.0)
    width = max(2.0, specimen.scale(0.003, 0.007))
    strokes = []
    for _ in range(min(1500, round(2.2 * specimen.width * specimen.height / (tent * width * 4)))):
        at = specimen.place()
        x, y = min(max(int(at[0]), 0), specimen.width - 1), min(max(int(at[1]), 0), specimen.height - 1)
        pull = (-float(cells.dx[y, x]) * 0.8, -float(cells.dy[y, x]) * 0.8)
        near = 1 - math.hypot(*pull) / tent
        tip = (at[0] + pull[0], at[1] + pull[1])
        strokes.append((near, Stroke(np.array([at, tip]), width, near * tent * 0.6, 0.15 + 0.6 * max(0.0, near))))
    specimen.strokes(stroke for _, stroke in sorted(strokes, key=lambda pair: pair[0]))


def forest_side(specimen: Specimen) -> None:
    """Draw a cleaved edge: upright wires in ranks on the substrate, their tips against the dark."""
    foot = specimen.height * specimen.between(0.75, 1.05)
    tall, width = specimen.unit * specimen.between(0.35, 0.7), specimen.scale(0.006, 0.02)
    specimen.matter[:] = specimen.between(0.03, 0.1)
    specimen.matter[max(0, int(foot)) :] = specimen.between(0.2, 0.4)
    count = round(min(350, 1.3 * specimen.width / width))
    strokes = []
    for index in range(count):
        depth = index / count
        at = (specimen.between(-20, specimen.width + 20), foot - (1 - depth) * specimen.unit * 0.1)
        points = specimen.path(at, -math.pi / 2 + specimen.rng.normal(0, 0.05), tall * specimen.between(0.8, 1.1))
        strokes.append(Stroke(points, width, depth * width * 5, 0.15 + 0.55 * depth))
    specimen.strokes(strokes)
    if specimen.chance(0.5):
        drop = ball(width * 0.75)
        for stroke in strokes:
            specimen.body(drop, (stroke.points[-1][0], stroke.points[-1][1]), stroke.base, 0.9)


def single(specimen: Specimen) -> None:
    """Draw one to three wires lying on a wafer, straight from end to end, maybe a drop at one end and crumbs beside."""
    ground = specimen.substrate(polish=0.8)
    for _ in range(specimen.count(1, 3)):
        width = specimen.scale(0.01, 0.07)
        at, angle = specimen.place(-0.15 * specimen.unit), specimen.between(0, 2 * math.pi)
        length = specimen.unit * specimen.between(0.4, 1.1)
        start = (at[0] - math.cos(angle) * length / 2, at[1] - math.sin(angle) * length / 2)
        points = specimen.path(start, angle, length)
        specimen.strokes([Stroke(points, width, 0, specimen.above(ground))])
        if specimen.chance(0.5):
            specimen.body(ball(width * specimen.between(0.6, 0.9)), (points[-1][0], points[-1][1]), 0, 0.95)
    for _ in range(specimen.count(0, 8)):
        specimen.body(ball(specimen.scale(0.003, 0.01)), specimen.place(), 0, specimen.above(ground))


def scattered(specimen: Specimen) -> None:
    """Draw many thin wires dropped from a suspension: straight, crossing, their ends in view, ground between."""
    ground = specimen.substrate()
    width = specimen.scale(0.004, 0.012)
    matter = specimen.above(ground)
    strokes = []
    for index in range(specimen.count(15, 90)):
        points = specimen.path(
            specimen.place(), specimen.between(0, 2 * math.pi), specimen.unit * specimen.between(0.15, 0.6)
        )
        strokes.append(Stroke(points, width * specimen.between(0.8, 1.2), index * width * 0.02, matter))
    specimen.strokes(strokes)


def hexagonal_array(specimen: Specimen) -> None:
    """Draw faceted prisms that stand on the substrate and lean a little: flat six-sided ends, side faces in view."""
    specimen.matter[:] = specimen.between(0.05, 0.15)
    radius = specimen.scale(0.014, 0.04)
    spread = specimen.between(0.05, 0.5)
    tops = [
        crystal(
            prism_faces(6, specimen.between(2.5, 5)) * 1.0,
            radius * specimen.between(0.7, 1.2),
            _leant(specimen.between(0, 6.3), abs(specimen.rng.normal(0, spread)), specimen.between(0, 1)),
        )
        for _ in range(12)
    ]
    for _ in range(
        min(700, round(specimen.between(0.5, 1.3) * specimen.width * specimen.height / (radius * radius * 5)))
    ):
        specimen.body(
            tops[specimen.count(0, 11)],
            specimen.place(radius),
            specimen.between(-1, 1) * radius,
            specimen.between(0.35, 0.55),
        )


def flowers(specimen: Specimen) -> None:
    """Draw rods that grow out of common roots, like urchins: needles every way from each middle."""
    specimen.substrate()
    specimen.matter *= np.float32(0.4)
    width = specimen.scale(0.006, 0.016)
    strokes = []
    for _ in range(specimen.count(3, 16)):
        at, long = specimen.place(), specimen.scale(0.08, 0.25)
        for _ in range(specimen.count(25, 60)):
            angle, up = specimen.between(0, 2 * math.pi), specimen.between(0, 1)
            points = specimen.path(at, angle, long * math.sqrt(1 - up * up))
            strokes.append((up, Stroke(points, width, up * long, 0.25 + 0.5 * up)))
    specimen.strokes(stroke for _, stroke in sorted(strokes, key=lambda pair: pair[0]))


def whiskers(specimen: Specimen) -> None:
    """Draw tapered whiskers of unequal length on their growth substrate, thin ends up, seen at a slant."""
    specimen.substrate()
    specimen.matter *= np.float32(0.5)
    width = specimen.scale(0.008, 0.022)
    main = -math.pi / 2 + specimen.between(-0.5, 0.5)
    for index in range(specimen.count(25, 90)):
        angle = specimen.rng.normal(main, 0.25)
        points = specimen.path(specimen.place(0.1 * specimen.unit), angle, specimen.unit * specimen.between(0.1, 0.5))
        middle = (points[0] + points[-1]) / 2
        base, matter = index / 90 * width * 6, specimen.between(0.35, 0.65)
        halves = (np.array([points[0], middle]), np.array([middle, points[-1]]))
        specimen.strokes(
            Stroke(half, width * share, base, matter) for half, share in zip(halves, (1.0, 0.6), strict=True)
        )


def contacted(specimen: Specimen) -> None:
    """Draw a carpet combed flat: wires side by side in one direction, ends at unequal places."""
    specimen.substrate()
    specimen.matter *= np.float32(0.5)
    width, angle = specimen.scale(0.006, 0.016), specimen.between(0, math.pi)
    strokes = []
    count = specimen.count(120, 320)
    for index in range(count):
        points = specimen.path(
            specimen.place(60), specimen.rng.normal(angle, 0.08), specimen.unit * specimen.between(0.15, 0.5)
        )
        strokes.append(Stroke(points, width, index / count * width * 4, 0.2 + 0.5 * index / count))
    specimen.strokes(strokes)


KINDS: Final[tuple[SceneKind[Specimen], ...]] = (
    SceneKind("forest from above", forest_above, (0.8, 20.0), _ZINC),
    SceneKind("clumped tips", clumped_tips, (2.0, 60.0), _ETCHED),
    SceneKind("forest from the side", forest_side, (1.0, 60.0), _VLS),
    SceneKind("single", single, (0.5, 15.0), _CONTACTS),
    SceneKind("scattered", scattered, (2.0, 60.0), _CONTACTS),
    SceneKind("hexagonal prisms", hexagonal_array, (0.8, 15.0), _ZINC),
    SceneKind("flowers", flowers, (1.0, 30.0), _ZINC),
    SceneKind("whiskers", whiskers, (1.0, 40.0), _VLS),
    SceneKind("combed flat", contacted, (1.0, 40.0), _CONTACTS),
)
