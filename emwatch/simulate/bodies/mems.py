"""MEMS devices and electrodes: parts of different function at several levels: combs, springs, pads, beams, released plates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.bodies.electrodes import bonds, channels, coil, fan_out, fingers, probe_shank
from emwatch.simulate.bodies.grounds import debris
from emwatch.simulate.bodies.layout import Layout, wafer
from emwatch.simulate.bodies.shapes import curve, extrude
from emwatch.simulate.kind import SceneKind

if TYPE_CHECKING:
    from emwatch.simulate.bodies.stage import Stage

_COMBS = "Tang, Nguyen, Howe, Laterally driven polysilicon resonant microstructures, Sens. Actuators 20, 25 (1989)"
_MUMPS = (
    "Senturia, Microsystem Design (2001); Koester et al., PolyMUMPs Design Handbook: levels, holes, anchors, hinges"
)
_ELECTRODES = "Liu, Foundations of MEMS, 2nd ed. (2011): pads, leads, interdigitated electrodes, heaters, bridges"
_NEURAL = (
    "Wise et al., Microelectrodes, microelectronics, and implantable neural microsystems, Proc. IEEE 96, 1184 (2008)"
)
_BONDS = "Harman, Wire Bonding in Microelectronics, 3rd ed. (2010)"
_FLUID = "Nguyen and Wereley, Fundamentals and Applications of Microfluidics, 2nd ed. (2006)"


def comb_drive(stage: Stage) -> None:
    """Draw a comb drive: a plate with holes on folded springs between fixed combs, fingers between fingers, a gap under all that moves."""
    ground = wafer(stage)
    lay = Layout(stage, math.exp(stage.between(math.log(0.6), math.log(3.5))))
    thick, gap = stage.unit * stage.between(0.012, 0.06), stage.unit * stage.between(0.01, 0.03)
    poly = ground + stage.between(0.12, 0.3)
    half, fingers, long = stage.between(0.08, 0.16), stage.number(8, 24), stage.between(0.12, 0.22)
    wide = 0.9 / fingers
    still, moving = [], [lay.bar(-half, -0.5, half, 0.5)]
    for side in (-1, 1):
        far = side * (half + long * 1.6)
        still.append(lay.bar(far, -0.48, far + side * 0.12, 0.48))
        for number in range(fingers):
            y = -0.45 + number * wide
            moving.append(lay.bar(side * half, y, side * (half + long), y + wide * 0.3))
            still.append(lay.bar(far - side * long, y + wide * 0.5, far, y + wide * 0.8))
    for end in (-1, 1):
        for side in (-1, 1):
            x = side * half * 0.8
            moving += lay.strip(
                [(x, end * 0.5), (x, end * 0.78), (side * half * 0.3, end * 0.78), (side * half * 0.3, end * 0.55)],
                0.014,
            )
        still.append(lay.bar(-half * 0.45, end * 0.54, half * 0.45, end * 0.62))
    pitch = stage.between(0.035, 0.07)
    gaps = lay.holes(-half, -0.5, half, 0.5, pitch, pitch * 0.4, round_=stage.chance(0.4))
    extrude(stage, still, 0, gap + thick, poly, grain=0.03)
    extrude(stage, moving, gap, gap + thick, poly, gaps, 0.03)
    debris(stage, 0.2)


def beams(stage: Stage) -> None:
    """Cantilevers or bridges side by side over an etched pit, different lengths, some bent up or stuck."""
    top, pit = stage.between(0.35, 0.5), stage.unit * stage.between(0.06, 0.25)
    stage.terrain(stage.rough(stage.unit * 0.05, 3) * np.float32(0.8) - pit, stage.between(0.12, 0.25))
    lay = Layout(stage, math.exp(stage.between(math.log(0.7), math.log(2.5))))
    count, width = stage.number(2, 7), stage.between(0.03, 0.09)
    thick = stage.unit * stage.between(0.008, 0.03)
    bridge, tee = stage.chance(0.3), stage.chance(0.3)
    field = [
        lay.bar(-3, -3, 3, -0.4),
        lay.bar(-3, 0.4, 3, 3),
        lay.bar(-3, -0.4, -0.75, 0.4),
        lay.bar(0.75, -0.4, 3, 0.4),
    ]
    extrude(stage, field, -pit, 0, top, grain=0.05)
    parts = []
    for index in range(count):
        x = (index - (count - 1) / 2) * 1.3 / count
        long = 0.8 if bridge else stage.between(0.25, 0.7) if stage.chance(0.5) else 0.25 + 0.45 * index / count
        parts.append(lay.bar(x - width / 2, -0.42, x + width / 2, -0.4 + long))
        if tee and not bridge:
            parts.append(lay.bar(x - width, -0.4 + long, x + width, -0.4 + long + width))
    extrude(stage, parts, -thick, 0, top + 0.06)
    if stage.chance(0.5):
        leads = [
            each
            for index in range(count)
            for each in lay.strip(
                [((index - (count - 1) / 2) * 1.3 / count, -0.7), ((index - (count - 1) / 2) * 1.3 / count, -0.35)],
                width * 0.4,
            )
        ]
        extrude(stage, leads, 0, thick * 0.3, top + 0.25)


def proof_mass(stage: Stage) -> None:
    """Draw an inertial sensor: a large square plate full of release holes on four bent springs, short combs at its sides, anchors."""
    ground = wafer(stage)
    lay = Layout(stage, math.exp(stage.between(math.log(0.7), math.log(4.0))))
    thick, gap, poly = stage.unit * stage.between(0.015, 0.08), stage.unit * 0.02, ground + stage.between(0.12, 0.3)
    pitch = stage.between(0.05, 0.1)
    plate = [lay.bar(-0.35, -0.35, 0.35, 0.35)]
    still = [lay.bar(-0.9, -0.75, -0.7, 0.75), lay.bar(0.7, -0.75, 0.9, 0.75)]
    for sx in (-1, 1):
        for sy in (-1, 1):
            x, y = sx * 0.3, sy * 0.35
            path = [(x, y)] + [(x - sx * 0.25 * ((n + 1) // 2 % 2), y + sy * 0.04 * (n // 2 + 1)) for n in range(1, 8)]
            plate += lay.strip(path, 0.015)
            still.append(lay.bar(path[-1][0] - 0.05, path[-1][1], path[-1][0] + 0.05, path[-1][1] + sy * 0.08))
        for n in range(12):
            y = -0.33 + n * 0.056
            plate.append(lay.bar(sx * 0.35, y, sx * 0.58, y + 0.014))
            still.append(lay.bar(sx * 0.47, y + 0.028, sx * 0.7, y + 0.042))
    extrude(stage, still, 0, gap + thick, poly)
    extrude(
        stage,
        plate,
        gap,
        gap + thick,
        poly,
        lay.holes(-0.35, -0.35, 0.35, 0.35, pitch, pitch * stage.between(0.3, 0.5), round_=stage.chance(0.3)),
        0.03,
    )


def ring_device(stage: Stage) -> None:
    """Draw a round device: ring or disc resonator, gear or rotor with spokes and teeth, electrodes in arcs round it."""
    ground = wafer(stage)
    lay = Layout(stage, math.exp(stage.between(math.log(0.7), math.log(3.0))))
    thick, poly, teeth = stage.unit * stage.between(0.015, 0.07), ground + stage.between(0.12, 0.3), stage.number(8, 36)
    lie = np.linspace(0, 2 * math.pi, 240, endpoint=False)
    edge = 0.3 + (stage.between(0.015, 0.04) * (np.sin(lie * teeth) > 0) if stage.chance(0.6) else 0 * lie)
    outer = lay.put([(r * math.cos(t), r * math.sin(t)) for r, t in zip(edge, lie, strict=True)])
    spokes = stage.number(3, 8)
    windows = []
    for n in range(spokes):
        arc = np.linspace(2 * math.pi * (n + 0.12) / spokes, 2 * math.pi * (n + 0.88) / spokes, 14)
        windows.append(
            lay.put(
                [(0.24 * math.cos(t), 0.24 * math.sin(t)) for t in arc]
                + [(0.1 * math.cos(t), 0.1 * math.sin(t)) for t in arc[::-1]]
            )
        )
    extrude(stage, [outer], thick * 0.3, thick * 1.3, poly, windows, 0.03)
    extrude(stage, [lay.disc(0, 0, 0.05)], 0, thick * 1.8, poly + 0.05)
    parts = []
    for n in range(stage.number(4, 12)):
        arc = np.linspace(2 * math.pi * (n + 0.08) / 12, 2 * math.pi * (n + 0.92) / 12, 10)
        parts.append(
            lay.put(
                [(0.37 * math.cos(t), 0.37 * math.sin(t)) for t in arc]
                + [(0.5 * math.cos(t), 0.5 * math.sin(t)) for t in arc[::-1]]
            )
        )
        parts += lay.strip(
            [(0.48 * math.cos(arc[5]), 0.48 * math.sin(arc[5])), (0.95 * math.cos(arc[5]), 0.95 * math.sin(arc[5]))],
            0.03,
        )
    extrude(stage, parts, 0, thick, poly + 0.04)


def membrane(stage: Stage) -> None:
    """Draw a heated or released membrane: a square plate on four diagonal arms over a pit, a winding lead on it, frame around."""
    top, pit = stage.between(0.35, 0.5), stage.unit * stage.between(0.06, 0.25)
    lay = Layout(stage, math.exp(stage.between(math.log(0.7), math.log(2.6))))
    stage.terrain(
        np.full(stage.shape(), -pit, np.float32) + stage.rough(stage.unit * 0.1) * np.float32(0.8),
        stage.between(0.06, 0.2),
    )
    thick, field = stage.unit * 0.012, lay.bar(-4, -4, 4, 4)
    extrude(stage, [field], -pit, 0, top, [lay.bar(-0.42, -0.42, 0.42, 0.42)], 0.03)
    plate = [lay.bar(-0.2, -0.2, 0.2, 0.2)]
    for sx in (-1, 1):
        for sy in (-1, 1):
            plate += lay.strip([(sx * 0.19, sy * 0.19), (sx * 0.46, sy * 0.46)], stage.between(0.04, 0.08))
    extrude(stage, plate, -thick, 0, top + 0.04)
    path = [(-0.15 + 0.3 * (n // 2) / 6, (-0.14, 0.14)[((n + 1) // 2) % 2]) for n in range(13)]
    metal = lay.strip([(-1.5, -1.5), *path, (1.5, 1.5)], 0.02)
    metal += [lay.bar(0.7, 0.7, 1.1, 1.1), lay.bar(-1.1, -1.1, -0.7, -0.7)]
    extrude(stage, metal, 0, stage.unit * 0.004, top + 0.25)


def hinged(stage: Stage) -> None:
    """Parts near: a corner where plates, hinge staples, a dimple and etch holes meet at three levels; a spring to one side."""
    ground = wafer(stage)
    lay = Layout(stage, stage.between(0.8, 1.6))
    step, poly = stage.unit * stage.between(0.02, 0.06), ground + stage.between(0.12, 0.25)
    pitch = stage.between(0.08, 0.16)
    extrude(
        stage,
        [lay.bar(-1.2, -0.1, 0.35, 1.2)],
        step * 0.4,
        step,
        poly,
        lay.holes(-0.7, -0.1, 0.35, 0.9, pitch, pitch * 0.35, round_=False),
    )
    extrude(
        stage,
        [lay.bar(-1.2, -0.75, 0.3, -0.2)],
        0,
        step * 0.8,
        poly + 0.03,
        lay.holes(-0.7, -0.75, 0.3, -0.2, pitch, pitch * 0.3, round_=True),
    )
    pins = [lay.bar(x, -0.22, x + 0.06, 0.02) for x in np.arange(-0.6, 0.3, 0.2)]
    extrude(stage, pins, step * 0.5, step * 1.2, poly)
    staples = [lay.bar(x + 0.08, -0.2, x + 0.16, -0.05) for x in np.arange(-0.6, 0.2, 0.2)]
    extrude(stage, staples, 0, step * 1.9, poly + 0.06)
    path = [(0.45 + (0.0, 0.35)[((n + 1) // 2) % 2], -0.7 + 0.13 * (n // 2)) for n in range(18)]
    extrude(stage, lay.strip(path, 0.035), step * 0.4, step * 1.1, poly)
    if stage.chance(0.4):
        stage.wire(curve(stage, (*stage.spot(), step * 2), stage.rng.standard_normal(3), stage.unit * 0.4, 2), 1.2, 0.6)
    debris(stage, 0.4)


KINDS: Final[tuple[SceneKind[Stage], ...]] = (
    SceneKind("comb drive at levels", comb_drive, (20.0, 500.0), _COMBS),
    SceneKind("beams over a pit", beams, (20.0, 600.0), _ELECTRODES),
    SceneKind("finger electrodes", fingers, (10.0, 1000.0), _ELECTRODES),
    SceneKind("leads to a middle", fan_out, (5.0, 500.0), _ELECTRODES),
    SceneKind("coil or meander", coil, (50.0, 1000.0), _ELECTRODES),
    SceneKind("mass on springs", proof_mass, (50.0, 1200.0), _MUMPS),
    SceneKind("ring with electrodes", ring_device, (20.0, 800.0), _MUMPS),
    SceneKind("welded wires", bonds, (80.0, 1000.0), _BONDS),
    SceneKind("shank with sites", probe_shank, (50.0, 800.0), _NEURAL),
    SceneKind("channels", channels, (50.0, 2000.0), _FLUID),
    SceneKind("plate on arms", membrane, (30.0, 800.0), _ELECTRODES),
    SceneKind("hinge and holes", hinged, (10.0, 200.0), _MUMPS),
)
