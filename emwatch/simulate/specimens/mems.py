"""MEMS_devices_and_electrodes: parts that move, hang or conduct: beams, combs, hinges, pads, leads, bonds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind
from emwatch.simulate.planes import blurred
from emwatch.simulate.specimens.specimen import Specimen, Stroke, ball

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emwatch.simulate.planes import Plane, Point

_DESIGN = "Senturia, Microsystem Design (2001)"
_MACHINED = "Madou, Fundamentals of Microfabrication and Nanotechnology, 3rd ed. (2011)"
_COMBS = "Tang, Nguyen and Howe, Sens. Actuators 20 (1989) 25: lateral comb drives"
_HINGES = "Pister et al., Sens. Actuators A 33 (1992) 249: microfabricated hinges"
_BONDS = "Harman, Wire Bonding in Microelectronics, 3rd ed. (2010); MIL-STD-883, method 2011"
_CHIPS = "JEDEC and MIL-STD-883, method 2018: SEM inspection of metallisation"


def _box(x0: float, y0: float, x1: float, y1: float) -> list[Point]:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def _view(specimen: Specimen, shapes: Sequence[Sequence[Point]], closer: float = 1.0) -> list[list[Point]]:
    """Return shapes given in units round the picture's middle, in pixels, turned as the stage lies."""
    angle = specimen.rng.normal(0, 0.02) if specimen.chance(0.5) else specimen.between(0, 2 * math.pi)
    cos, sin, size = math.cos(angle), math.sin(angle), specimen.unit * closer
    return [
        [
            (specimen.width / 2 + size * (x * cos - y * sin), specimen.height / 2 + size * (x * sin + y * cos))
            for x, y in shape
        ]
        for shape in shapes
    ]


def _structural(
    specimen: Specimen, mask: Plane, ground: float, *, thick: float = 0.03, etch_holes: float = 0.0
) -> None:
    """Release a layer that hangs over the ground: thick, with a shadow below it, and etch holes at a pitch (units)."""
    rise = np.float32(specimen.unit * thick)
    if etch_holes:
        along, across, _ = specimen.lattice(specimen.unit * etch_holes)
        inner = blurred(mask, specimen.unit * etch_holes * 0.5) > 0.93
        mask = mask * (1 - inner * (np.maximum(np.abs(along), np.abs(across)) < specimen.unit * etch_holes * 0.16))
    shade = np.clip(np.roll(blurred(mask, specimen.unit * 0.02), 4, axis=0) - mask, 0, 1)
    specimen.matter *= 1 - shade * np.float32(0.5)
    specimen.layer(mask, float(rise), min(0.9, ground + specimen.between(0.1, 0.35)))
    specimen.z += mask * specimen.soft(specimen.unit * 0.01) * np.float32(specimen.between(0, 0.4))


def comb_close(specimen: Specimen) -> None:
    """Draw comb fingers close up: two combs that engage, seen over a recessed ground, the anchors at both sides."""
    ground = specimen.substrate(polish=0.9)
    pitch, gap = specimen.between(0.06, 0.24), specimen.between(0.1, 0.28)
    overlap, wide = specimen.between(0.05, 0.25), specimen.between(0.28, 0.4)
    shapes = [_box(-3, -0.9, 3, -0.45 + gap * 0.2), _box(-3, 0.45, 3, 0.9)]
    for index in range(-round(1 / pitch) - 1, round(1 / pitch) + 2):
        x = index * pitch * 2
        shapes.append(_box(x - wide * pitch, -0.9, x + wide * pitch, overlap))
        shapes.append(_box(x + pitch - wide * pitch, -overlap, x + pitch + wide * pitch, 0.9))
    mask = specimen.outline(*_view(specimen, shapes, specimen.between(0.7, 1.4)))
    _structural(specimen, mask, ground, thick=specimen.between(0.02, 0.08), etch_holes=specimen.chance(0.4) * 0.06)


def folded_springs(specimen: Specimen) -> None:
    """Draw a suspended mass on folded springs: a plate with etch holes, thin beams that go there and back, square anchors."""
    ground = specimen.substrate(polish=0.9)
    half, beam = specimen.between(0.12, 0.25), specimen.between(0.008, 0.02)
    shapes = [_box(-half, -half * 0.8, half, half * 0.8)]
    for side_x in (-1, 1):
        for side_y in (-1, 1):
            for step in range(specimen.count(2, 4)):
                x = side_x * (half * 0.5 + step * beam * 4)
                y0, y1 = sorted((side_y * half * 0.8, side_y * 0.42))
                shapes.append(_box(x - beam, y0, x + beam, y1))
            far = side_y * 0.42
            shapes.append(
                _box(min(0, side_x * half), far - beam * 1.5, max(0, side_x * half) + side_x * 0.02, far + beam * 1.5)
            )
    shapes += [_box(x - 0.06, y - 0.05, x + 0.06, y + 0.05) for x in (-half, half) for y in (-0.42, 0.42)]
    mask = specimen.outline(*_view(specimen, shapes, specimen.between(0.9, 1.8)))
    _structural(specimen, mask, ground, etch_holes=specimen.between(0.03, 0.06))


def hinge(specimen: Specimen) -> None:
    """Draw a hinge close up: a pin held by staples, plates at both sides, dimples and etch holes."""
    ground = specimen.substrate(polish=0.9)
    plates = [_box(-1.2, -1.2, 1.2, -0.16), _box(-1.2, 0.16, 1.2, 1.2)]
    pins, staples = [], []
    for index in range(-2, 3):
        x = index * 0.42
        pins += [
            _box(x - 0.16, -0.05, x + 0.16, 0.05),
            _box(x - 0.18, -0.2, x - 0.12, 0.06),
            _box(x + 0.12, -0.2, x + 0.18, 0.06),
        ]
        staples.append(_box(x - 0.06, -0.14, x + 0.06, 0.24))
    shapes = _view(specimen, [*plates, *pins, *staples], specimen.between(0.8, 1.6))
    lower, upper = shapes[: len(plates) + len(pins)], shapes[len(plates) + len(pins) :]
    _structural(specimen, specimen.outline(*lower), ground, etch_holes=0.1)
    specimen.layer(specimen.outline(*upper), specimen.unit * 0.05, min(0.9, ground + 0.4))


def cantilever_row(specimen: Specimen) -> None:
    """Draw cantilevers over an etched pit close up: flat beams from one edge, their slanted undercut, a gap below."""
    ground = specimen.substrate(polish=0.9)
    count, long = specimen.count(1, 6), specimen.between(0.35, 0.8)
    pitch = 1.4 / count
    pit = specimen.outline(*_view(specimen, [_box(-3, -0.4, 3, 3)]))
    specimen.layer(pit, -specimen.unit * 0.12, ground * 0.5)
    shapes = []
    for index in range(count):
        x, half = (index + 0.5) * pitch - 0.7, pitch * specimen.between(0.15, 0.38)
        reach = -0.4 + long * specimen.between(0.6, 1.0)
        point = half if specimen.chance(0.5) else half * 0.3
        shapes.append(
            [
                (x - half, -0.5),
                (x + half, -0.5),
                (x + half, reach - 0.05),
                (x + point, reach),
                (x - point, reach),
                (x - half, reach - 0.05),
            ]
        )
    mask = specimen.outline(*_view(specimen, shapes))
    _structural(specimen, mask, ground, thick=0.12)


def wire_bond(specimen: Specimen) -> None:
    """Draw a bond close up: a ball or a wedge pressed on its pad, the wire that leaves it, passivation round the pad."""
    ground = specimen.substrate(polish=0.7)
    side = specimen.scale(0.2, 0.45)
    at = (
        specimen.width / 2 + specimen.between(-0.2, 0.2) * specimen.unit,
        specimen.height * specimen.between(0.45, 0.65),
    )
    pad = specimen.outline(_box(at[0] - side, at[1] - side, at[0] + side, at[1] + side))
    specimen.layer(pad, -specimen.unit * 0.012, specimen.above(ground))
    specimen.z += pad * specimen.fractal(side * 0.1, 0.6) * np.float32(0.5)
    radius = side * specimen.between(0.45, 0.75)
    lie = -math.pi / 2 + specimen.between(-0.7, 0.7)
    wire = radius * specimen.between(0.35, 0.55)
    if specimen.chance(0.6):
        specimen.body(ball(radius, 0.4, 2.6), at, 0, 0.6)
        specimen.body(ball(radius * 0.6, 0.8), at, radius * 0.4, 0.65)
    else:
        wedge = specimen.path(at, lie, radius * 1.4)
        specimen.strokes([Stroke(wedge, wire * 1.9, 0, 0.6)], flat=0.5)
    points = specimen.path(at, lie, specimen.unit * 1.5, 0.15)
    specimen.strokes([Stroke(points, wire, radius * 0.6, 0.65)])


def interdigitated_close(specimen: Specimen) -> None:
    """Draw metal electrodes that mesh, close up: grainy strips of one width with round or square ends, clean gaps."""
    ground = specimen.substrate(polish=0.95)
    pitch, end = specimen.between(0.05, 0.2), specimen.between(0.1, 0.35)
    shapes = []
    for index in range(-round(1.2 / pitch), round(1.2 / pitch) + 1):
        x, half = index * pitch, pitch * 0.28
        shapes.append(_box(x - half, -2, x + half, end) if index % 2 else _box(x - half, -end, x + half, 2))
    if specimen.chance(0.5):
        shapes.append(_box(-2, 0.42, 2, 2))
    mask = specimen.outline(*_view(specimen, shapes))
    specimen.layer(mask, specimen.between(2, 8), specimen.above(ground))
    grain = specimen.scale(0.006, 0.015)
    specimen.z += mask * np.minimum(specimen.cells(grain, 0.9).border, grain) * np.float32(specimen.between(0.1, 0.5))


def electrode_fan(specimen: Specimen) -> None:
    """Draw leads that fan in from large pads to a small gap in the middle, as to contact one object."""
    ground = specimen.substrate(polish=0.9)
    leads, gap, tip = specimen.count(2, 12), specimen.between(0.01, 0.12), specimen.between(0.006, 0.05)
    shapes = []
    for index in range(leads):
        angle = 2 * math.pi * (index + 0.5) / leads + specimen.between(-0.1, 0.1)
        wide = math.pi / leads * specimen.between(0.4, 0.75)
        knee = specimen.between(0.25, 0.4)
        cos, sin = math.cos(angle), math.sin(angle)

        def ray(radius: float, half: float, cos: float = cos, sin: float = sin) -> list[Point]:
            return [
                (radius * cos - half * sin, radius * sin + half * cos),
                (radius * cos + half * sin, radius * sin - half * cos),
            ]

        near, bend, far = ray(gap, tip), ray(knee, tip * 2), ray(2, 2 * wide)
        shapes.append([near[1], near[0], bend[0], far[0], far[1], bend[1]])
    mask = specimen.outline(*_view(specimen, shapes, specimen.between(0.8, 1.5)))
    specimen.layer(mask, specimen.between(2, 10), specimen.above(ground))
    if specimen.chance(0.3):
        rim = np.clip(blurred(mask, 3) - mask, 0, 1)
        specimen.z += rim * 3


def chip_wiring(specimen: Specimen) -> None:
    """Draw two levels of wiring of a chip that was delayered: tracks along two axes, round or square vias where they cross."""
    ground = specimen.substrate(polish=0.9)
    pitch = specimen.between(0.05, 0.16)
    lines = round(1.2 / pitch)
    for level in range(2):
        shapes = []
        for index in range(-lines, lines):
            at, half = index * pitch, pitch * specimen.between(0.2, 0.36)
            start = specimen.between(-1.5, 0.6)
            for _ in range(specimen.count(0, 2)):
                end = start + specimen.between(0.2, 1.2)
                shapes.append(
                    _box(start, at - half, end, at + half) if level else _box(at - half, start, at + half, end)
                )
                start = end + pitch
        size = specimen.unit
        placed = [
            [(specimen.width / 2 + x * size, specimen.height / 2 + y * size) for x, y in shape] for shape in shapes
        ]
        specimen.layer(specimen.outline(*placed), specimen.unit * 0.012, min(0.9, ground + 0.15 + 0.2 * level))
    along, across, number = specimen.lattice(specimen.unit * pitch)
    via = (np.hypot(along, across) < specimen.unit * pitch * 0.2) & (number > 0.85)
    specimen.layer(via, specimen.unit * 0.02, 0.85)


def membrane_window(specimen: Specimen) -> None:
    """Draw a membrane window or a microhotplate: a thin square held by arms over a pit, a meander heater on it."""
    ground = specimen.substrate(polish=0.9)
    half, arm = specimen.between(0.18, 0.3), specimen.between(0.02, 0.06)
    pit = specimen.outline(*_view(specimen, [_box(-0.46, -0.46, 0.46, 0.46)]))
    shapes = [_box(-half, -half, half, half)]
    for x, y in ((1, 1), (-1, 1), (1, -1), (-1, -1)):
        shapes.append(
            [(x * half, y * (half - arm)), (x * 0.5, y * (0.5 - arm)), (x * 0.5, y * 0.5), (x * (half - arm), y * half)]
        )
    state = specimen.rng.bit_generator.state
    plate = specimen.outline(*_view(specimen, shapes))
    specimen.rng.bit_generator.state = state
    turns = specimen.count(3, 8)
    meander: list[Point] = []
    for index in range(turns + 1):
        row, end = half * 0.8 * (2 * index / turns - 1), half * (0.75 if index % 2 else -0.75)
        meander += [(end, row), (-end, row)]
    specimen.layer(pit, -specimen.unit * 0.15, ground * 0.4)
    specimen.layer(plate, specimen.unit * 0.15, ground + 0.1)
    specimen.rng.bit_generator.state = state
    (placed,) = _view(specimen, [meander])
    heater = specimen.outline(lines=[(placed, half / turns * 0.5 * specimen.unit)])
    specimen.layer(heater, 3, specimen.above(ground))


def gears(specimen: Specimen) -> None:
    """Draw a toothed wheel with a hub and etch holes, another meshing with it, and a rack or spring at its rim."""
    ground = specimen.substrate(polish=0.9)
    radius = specimen.scale(0.2, 0.45)
    at = specimen.place(-0.3 * specimen.unit)
    for index in range(specimen.count(1, 3)):
        x, y = specimen.axes(specimen.between(0, 6.3), at)
        away, around = np.hypot(x, y), np.arctan2(y, x)
        teeth = round(radius / specimen.unit * 60)
        rim = np.float32(radius) + np.clip(np.sin(around * np.float32(teeth)) * 2.5, -1, 1) * np.float32(radius * 0.06)
        holes = (np.cos(around * specimen.count(4, 9)) > 0.6) & (np.abs(away / radius - 0.55) < 0.15)
        wheel = np.clip(rim - away, 0, 1) * ~holes * (away > radius * 0.14)
        specimen.layer(wheel, specimen.unit * 0.03, min(0.85, ground + 0.2 + 0.06 * index))
        specimen.layer(
            np.clip(radius * 0.22 - away, 0, 1) * (away > radius * 0.06), specimen.unit * 0.03, ground + 0.35
        )
        lie = specimen.between(0, 2 * math.pi)
        smaller = radius * specimen.between(0.5, 1.0)
        at = (at[0] + (radius + smaller) * math.cos(lie), at[1] + (radius + smaller) * math.sin(lie))
        radius = smaller


KINDS: Final[tuple[SceneKind[Specimen], ...]] = (
    SceneKind("comb close up", comb_close, (10.0, 200.0), _COMBS),
    SceneKind("folded springs", folded_springs, (50.0, 800.0), _COMBS),
    SceneKind("hinge", hinge, (20.0, 300.0), _HINGES),
    SceneKind("cantilever row", cantilever_row, (20.0, 800.0), _DESIGN),
    SceneKind("wire bond", wire_bond, (50.0, 400.0), _BONDS),
    SceneKind("electrodes that mesh", interdigitated_close, (2.0, 200.0), _MACHINED),
    SceneKind("electrode fan", electrode_fan, (2.0, 500.0), _MACHINED),
    SceneKind("chip wiring", chip_wiring, (2.0, 60.0), _CHIPS),
    SceneKind("membrane window", membrane_window, (50.0, 1500.0), _MACHINED),
    SceneKind("gears", gears, (30.0, 600.0), _DESIGN),
)
