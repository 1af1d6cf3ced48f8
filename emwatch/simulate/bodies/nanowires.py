"""Nanowires: mats, arrays from above and from the side, single wires, urchins; straight or bent, thin against their length."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.bodies.grounds import debris, substrate
from emwatch.simulate.bodies.shapes import curve, extrude, leaning, prism, sized
from emwatch.simulate.kind import SceneKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from emwatch.simulate.bodies.stage import Stage

_VLS = "Wagner and Ellis, Appl. Phys. Lett. 4, 89 (1964); Law, Goldberger, Yang, Annu. Rev. Mater. Res. 34, 83 (2004)"
_ZINC = "Greene et al., Solution-grown zinc oxide nanowires, Inorg. Chem. 45, 7535 (2006)"
_SILVER = "Sun, Gates, Mayers, Xia, Crystalline silver nanowires by soft solution processing, Nano Lett. 2, 165 (2002)"
_TUBES = "Dresselhaus, Dresselhaus, Avouris (eds.), Carbon Nanotubes (2001): mats and forests"
_ETCHED = "Peng, Yan, Gao, Zhu, Synthesis of large-area silicon nanowire arrays, Adv. Mater. 14, 1164 (2002)"
_DEVICES = (
    "Cui, Duan, Hu, Lieber, Doping and electrical transport in silicon nanowires, J. Phys. Chem. B 104, 5213 (2000)"
)


def mat(stage: Stage) -> None:
    """Draw a tangled mat: long bent wires in many layers that fill the picture, ends here and there."""
    stage.terrain(np.full(stage.shape(), -20.0, np.float32), 0.06)
    radius, bend = stage.size(0.0018, 0.012), stage.between(0.1, 3.5)
    count = int(min(420, max(60, stage.between(0.7, 2.2) * stage.deep / radius)))
    bundle = []
    for index in range(count):
        x, y = stage.spot(stage.unit * 0.2)
        turn = stage.between(0, 2 * math.pi)
        rise = index / count * radius * stage.between(15, 30)
        way = (math.cos(turn), math.sin(turn), stage.rng.normal(0, 0.15))
        wire = curve(stage, (x, y, rise), way, stage.unit * stage.between(0.5, 1.6), bend, 22)
        wire[:, 2] = rise + (wire[:, 2] - wire[:, 2].mean()) * 0.15
        bundle.append(wire)
    stage.wires(
        bundle, radius * np.exp(stage.rng.normal(0, stage.between(0.05, 0.35), count)), stage.values(0.4, 0.6, count)
    )


def scattered(stage: Stage) -> None:
    """Wires dropped from a suspension: straight, crossing at all angles, few to hundreds, ground between, some particles."""
    substrate(stage)
    radius = stage.size(0.0015, 0.012)
    count = stage.many(8, 260)
    long = stage.size(0.15, 0.8)
    bend = stage.between(0, 0.4)
    bundle = []
    for index in range(count):
        turn = stage.between(0, 2 * math.pi)
        at = (*stage.spot(), radius * (1 + index / count * 4))
        wire = curve(
            stage, at, (math.cos(turn), math.sin(turn), 0.0), long * math.exp(stage.rng.normal(0, 0.35)), bend, 8
        )
        wire[:, 2] = at[2]
        bundle.append(wire)
    stage.wires(bundle, radius * np.exp(stage.rng.normal(0, 0.15, count)), np.full(count, stage.between(0.5, 0.8)))
    if stage.chance(0.4):
        spots = stage.spots(stage.number(3, 40))
        stage.balls(
            np.column_stack([spots, np.full(len(spots), radius)]), radius * stage.values(0.8, 2.0, len(spots)), 0.6
        )


def _standing(stage: Stage, pitch: float, jitter: float) -> npt.NDArray[np.floating]:
    """Return feet (n, 2) on a hexagonal net, moved by up to ``jitter`` of the pitch; at most 2,500."""
    reach = stage.unit * 0.35
    pitch = max(pitch, math.sqrt((stage.width + 2 * reach) * (stage.deep + 2 * reach) / 2500))
    x, y = np.meshgrid(
        np.arange(-stage.width / 2 - reach, stage.width / 2 + reach, pitch),
        np.arange(-stage.deep / 2 - reach, stage.deep / 2 + reach, pitch * 0.866),
    )
    x = x + (np.arange(x.shape[0]) % 2)[:, None] * pitch / 2
    feet = np.column_stack([x.ravel(), y.ravel()])
    return feet + stage.rng.uniform(-jitter, jitter, feet.shape) * pitch


def array(stage: Stage) -> None:
    """Draw an array that stands on its wafer: ordered or not, seen from above or at the tilt, with or without catalyst balls."""
    stage.terrain(stage.rough(stage.unit * 0.1) * np.float32(0.3), stage.between(0.05, 0.2))
    radius = stage.size(0.003, 0.016)
    feet = _standing(stage, radius * stage.between(3.2, 9), stage.chance(0.35) * 0.05 or stage.between(0.2, 0.5))
    tall = radius * stage.between(8, 45)
    count = len(feet)
    lean = stage.between(0.0, 0.18)
    tops = feet + stage.rng.normal(0, lean, (count, 2)) * tall
    height = tall * np.exp(stage.rng.normal(0, stage.between(0.0, 0.3), count))
    thick = radius * np.exp(stage.rng.normal(0, stage.between(0.0, 0.25), count))
    begin, end = np.column_stack([feet, np.zeros(count)]), np.column_stack([tops, height])
    yields = stage.values(0.4, 0.52, count)
    stage.rods(begin, end, thick, yields, thick * stage.between(0.5, 1.0))
    catalyst = stage.chance(0.45)
    stage.balls(end, thick * (stage.between(1.0, 1.5) if catalyst else 0.95), 0.8 if catalyst else yields)


def clumped(stage: Stage) -> None:
    """Draw an etched array after drying: wires bent together by the liquid, tips in clumps like tents, dark lanes between."""
    stage.terrain(np.zeros(stage.shape(), np.float32), 0.05)
    radius = stage.size(0.002, 0.008)
    feet = _standing(stage, radius * stage.between(3, 6), 0.4)
    tall = stage.size(0.15, 0.5)
    knots = stage.spots(stage.many(12, 160), stage.unit * 0.2)
    square = ((feet[:, None] - knots[None]) ** 2).sum(axis=2)
    near = knots[square.argmin(axis=1)]
    pull = stage.between(0.5, 0.9)
    middles = np.column_stack([feet + (near - feet) * pull * 0.35, np.full(len(feet), tall * 0.55)])
    tops = np.column_stack(
        [feet + (near - feet) * pull + stage.rng.normal(0, radius * 2, feet.shape), np.full(len(feet), tall)]
    )
    tops[:, 2] += stage.rng.normal(0, tall * 0.05, len(feet))
    begin = np.column_stack([feet, np.full(len(feet), tall * 0.2)])
    each, yields = np.full(len(feet), radius), stage.values(0.42, 0.55, len(feet))
    stage.rods(begin, middles, each, yields * 0.8)
    stage.rods(middles, tops, each, yields)
    stage.balls(tops, each, yields)


def side_view(stage: Stage) -> None:
    """Draw a cleaved edge: wires stand up the picture, side by side in depth, on the broken face of their wafer."""
    top = stage.between(0.05, 0.38) * stage.unit
    tall = stage.between(0.25, 0.9) * stage.unit
    radius, bend = stage.size(0.002, 0.016), stage.between(0.0, 1.6)
    count = int(min(420, stage.between(1.2, 3.5) * stage.width / radius / 2.2))
    bundle = []
    for index in range(count):
        foot = np.array([stage.between(-0.55, 0.55) * stage.width, top, index / count * radius * 40.0])
        wire = curve(
            stage, (0, 0, 0), (stage.rng.normal(0, 0.08), -1.0, 0), tall * math.exp(stage.rng.normal(0, 0.12)), bend, 16
        )
        bundle.append(_facing(stage, wire + foot))
    stage.wires(
        bundle, np.full(count, radius) * np.exp(stage.rng.normal(0, 0.15, count)), stage.values(0.38, 0.6, count)
    )
    rows, columns = slice(max(0, min(stage.height, round(top + stage.height / 2))), stage.height), slice(0, stage.width)
    face = stage.rough(stage.unit * 0.2, 4, stretch=0.5)[: stage.height][rows, columns]
    if face.size:
        down, right = np.gradient(face * np.float32(2))
        stage.show(
            (rows, columns),
            np.full(face.shape, radius * 45.0, np.float32),
            [-right, -down, np.ones_like(down)],
            stage.between(0.2, 0.45),
        )


def _facing(stage: Stage, points: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return world points that the camera sees at these places of the picture, whatever the tilt."""
    out = points.copy()
    out[:, 1] = points[:, 1] * stage.cos + points[:, 2] * stage.sin
    out[:, 2] = points[:, 2] * stage.cos - points[:, 1] * stage.sin
    return out


def hexagons(stage: Stage) -> None:
    """Zinc oxide rods: six-sided, flat or pointed ends, standing close and leaning, sides and ends seen."""
    stage.terrain(np.full(stage.shape(), 0.0, np.float32), 0.06)
    radius = stage.size(0.012, 0.045)
    spread, point = stage.between(0.02, 0.45), (0.0, 1.0, 1.0)[stage.number(0, 2)] * 0.99 + 0.01
    tall = radius * stage.between(4, 13)
    count = int(min(650, stage.between(0.9, 1.8) * (stage.width + tall) * (stage.deep + tall) / (radius * radius * 6)))
    for x, y in stage.spots(count, tall * 0.5):
        mine = radius * math.exp(stage.rng.normal(0, 0.25))
        turned = leaning(stage.between(0, 6.3), abs(stage.rng.normal(0, spread)), stage.between(0, 1))
        half = tall / 2 * math.exp(stage.rng.normal(0, 0.15))
        at, yields = np.array([x, y, 0.0]) + turned[2] * half, stage.between(0.42, 0.52)
        stage.solid(at, sized(prism(6, half / mine, 0.9), mine), turned, yields)
        if point < 0.5:
            stage.solid(at + turned[2] * (half + mine * 0.6), sized(prism(6, 0.6, 0.9, 0.15), mine), turned, yields)


def urchins(stage: Stage) -> None:
    """Needles grown from common middles every way: urchins and flowers, a few large or many small."""
    substrate(stage)
    long = stage.size(0.08, 0.4)
    radius = long * stage.between(0.015, 0.05)
    starts, ends = [], []
    for _ in range(min(24, max(1, round(stage.between(0.2, 1.0) * stage.width * stage.deep / (3 * long * long))))):
        middle = np.array([*stage.spot(), long * 0.4])
        way = stage.rng.standard_normal((stage.number(60, 170), 3))
        way /= np.linalg.norm(way, axis=1)[:, None]
        starts.append(np.broadcast_to(middle, way.shape))
        ends.append(middle + way * long * stage.rng.uniform(0.7, 1.0, (len(way), 1)))
    begin, end = np.concatenate(starts), np.concatenate(ends)
    each = np.full(len(begin), radius)
    stage.rods(begin, end, each, stage.values(0.42, 0.6, len(begin)), each * stage.between(0.1, 0.9))


def one_device(stage: Stage) -> None:
    """One wire, or two, across metal electrodes on oxide: the wire thin and straight, the electrodes flat and brighter."""
    ground = stage.between(0.08, 0.2)
    stage.terrain(stage.rough(stage.unit * 0.3) * np.float32(0.1), ground)
    turn = stage.between(0, math.pi)
    along, across = np.array([math.cos(turn), math.sin(turn)]), np.array([-math.sin(turn), math.cos(turn)])
    wide, gap, thick = stage.size(0.05, 0.25), stage.size(0.06, 0.35), stage.size(0.004, 0.015)
    radius = stage.size(0.004, 0.018)
    middle = np.array(stage.spot(-stage.unit * 0.3))
    shapes = []
    for index in range(-3, 4):
        at = middle + along * (index + 0.5) * (wide + gap)
        side = 1 if stage.chance(0.5) else -1
        low, high = (-0.12, 2.0) if side > 0 else (-2.0, 0.12)
        ends = [
            at + along * sx * wide / 2 + across * sy * stage.unit
            for sx, sy in ((-1, low), (1, low), (1, high), (-1, high))
        ]
        shapes.append([(float(x), float(y)) for x, y in ends])
    for number in range(stage.number(1, 2)):
        off = middle + across * stage.rng.normal(0, 0.03) * stage.unit * number
        way = along + across * stage.rng.normal(0, 0.12)
        half = stage.size(0.4, 1.0)
        points = np.array([[*(off + way * share * half), radius] for share in np.linspace(-1, 1, 5)])
        stage.wire(points, radius, ground + stage.between(0.2, 0.5))
    extrude(stage, shapes[: stage.number(4, 7)], 0, thick, ground + stage.between(0.15, 0.45))
    debris(stage)


def forest(stage: Stage) -> None:
    """Draw a nanotube forest seen closely from its side: wavy tubes mostly one way, touching and crossing, no ground."""
    radius = stage.size(0.002, 0.009)
    count = int(min(420, stage.between(1.2, 3.0) * stage.width / radius / 2.5))
    bundle = []
    for index in range(count):
        foot = np.array([stage.between(-0.6, 0.6) * stage.width, stage.height * 0.65, index / count * radius * 60])
        wire = curve(stage, (0, 0, 0), (stage.rng.normal(0, 0.2), -1, 0), stage.height * 1.5, stage.between(1.5, 5), 40)
        wire[:, 2] *= 0.1
        bundle.append(_facing(stage, wire + foot))
    stage.wires(bundle, np.full(count, radius), stage.values(0.35, 0.6, count))


def whiskers(stage: Stage) -> None:
    """Tapered whiskers of unequal length growing out of a rough ground at all angles, one or two kinked or branched."""
    grain = stage.size(0.01, 0.04)
    stage.terrain(stage.rough(grain, 3) * np.float32(grain * 0.25), stage.between(0.15, 0.3))
    radius = stage.size(0.004, 0.018)
    for _ in range(stage.many(8, 120)):
        turn, polar = stage.between(0, 6.3), abs(stage.rng.normal(0, 0.7))
        way = (math.sin(polar) * math.cos(turn), math.sin(polar) * math.sin(turn), math.cos(polar))
        points = curve(
            stage,
            (*stage.spot(stage.unit * 0.1), 0),
            way,
            stage.unit * stage.between(0.15, 0.8),
            stage.between(0, 0.5),
            10,
        )
        thick = np.linspace(radius, radius * stage.between(0.2, 1.0), 10) * math.exp(stage.rng.normal(0, 0.3))
        stage.wire(points, thick, stage.between(0.42, 0.6))
        if stage.chance(0.15):
            side = np.cross(way, stage.rng.standard_normal(3))
            stage.wire(curve(stage, points[5], side, stage.unit * 0.15, 0.1, 6), thick[5] * 0.7, 0.5)


def close_up(stage: Stage) -> None:
    """Draw a few wires near enough to see their facets or rough skin, ends in view, against a ground out of focus."""
    substrate(stage)
    radius = stage.size(0.02, 0.06)
    rough = stage.chance(0.4)
    for index in range(stage.number(1, 6)):
        turn = stage.between(0, 6.3)
        points = curve(
            stage,
            (*stage.spot(-stage.unit * 0.1), radius * (2 + index)),
            (math.cos(turn), math.sin(turn), stage.rng.normal(0, 0.1)),
            stage.unit * stage.between(0.6, 1.4),
            stage.between(0, 0.4),
            14,
        )
        mine = radius * math.exp(stage.rng.normal(0, 0.2))
        stage.wire(points, mine, 0.5)
        if rough:
            at = points[stage.rng.integers(0, 13, 350)]
            along = (points[-1] - points[0]) / 13
            way = stage.rng.standard_normal((350, 3))
            way /= np.linalg.norm(way, axis=1)[:, None]
            stage.balls(
                at + along * stage.rng.random((350, 1)) + way * mine * 0.9, mine * stage.values(0.1, 0.3, 350), 0.55
            )


KINDS: Final[tuple[SceneKind[Stage], ...]] = (
    SceneKind("tangled mat", mat, (0.8, 30.0), _TUBES),
    SceneKind("dropped wires", scattered, (1.0, 60.0), _SILVER),
    SceneKind("standing array", array, (0.8, 30.0), _VLS),
    SceneKind("tents of tips", clumped, (2.0, 60.0), _ETCHED),
    SceneKind("cleaved edge", side_view, (1.0, 60.0), _ETCHED),
    SceneKind("six-sided rods", hexagons, (0.8, 15.0), _ZINC),
    SceneKind("urchins", urchins, (1.0, 30.0), _ZINC),
    SceneKind("wire and electrodes", one_device, (0.5, 15.0), _DEVICES),
    SceneKind("wavy forest", forest, (0.5, 15.0), _TUBES),
    SceneKind("tapered whiskers", whiskers, (1.0, 40.0), _VLS),
    SceneKind("few wires near", close_up, (0.3, 5.0), _SILVER),
)
