"""Tips: one slender body that ends in an apex: scanning probes, etched wires, atom-probe needles, emitters, pipettes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.bodies.grounds import debris
from emwatch.simulate.bodies.shapes import cluster, extrude, lathe, prism, sheet
from emwatch.simulate.kind import SceneKind

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from emwatch.simulate.bodies.stage import Stage

_AFM = "Albrecht et al., Microfabrication of cantilever styli for the atomic force microscope, J. Vac. Sci. Technol. A 8, 3386 (1990)"
_STM = "Ibe et al., On the electrochemical etching of tips for scanning tunneling microscopy, J. Vac. Sci. Technol. A 8, 3570 (1990)"
_ATOM = "Gault, Moody, Cairney, Ringer, Atom Probe Microscopy (2012): needles, annular milling, posts"
_EMITTER = "Spindt et al., Physical properties of thin-film field emission cathodes, J. Appl. Phys. 47, 5248 (1976)"
_PIPETTE = "Morris, Friedman, Baker, Applications of nanopipettes in the analytical sciences, Analyst 135, 2190 (2010)"
_NEEDLE = "Kim, Park, Prausnitz, Microneedles for drug and vaccine delivery, Adv. Drug Deliv. Rev. 64, 1547 (2012)"
_COLLOID = "Ducker, Senden, Pashley, Direct measurement of colloidal forces using an AFM, Nature 353, 239 (1991)"


def _axis(stage: Stage, lie: float, rise: float = 0.0) -> npt.NDArray[np.floating]:
    """Return a rotation (3, 3) whose third axis points to an angle of the picture (0: right, pi/2: down), towards the detector by ``rise``."""
    way = np.array([math.cos(lie) * math.cos(rise), math.sin(lie) * math.cos(rise), math.sin(rise)])
    side = np.array([-math.sin(lie), math.cos(lie), 0.0])
    camera = np.stack([side, np.cross(way, side), way])
    turn = np.array([[1, 0, 0], [0, stage.cos, stage.sin], [0, -stage.sin, stage.cos]])
    return np.asarray(camera @ turn.T)


def _at(stage: Stage, right: float, down: float) -> npt.NDArray[np.floating]:
    """Return the world point seen at a place of the picture, at the depth of its middle."""
    return np.array([right, down * stage.cos, -down * stage.sin])


def _direction(stage: Stage) -> float:
    """Return where an apex points: mostly along an edge of the picture."""
    return (stage.number(0, 3) * math.pi / 2) + (
        stage.rng.normal(0, 0.12) if stage.chance(0.8) else stage.between(-0.8, 0.8)
    )


def _backdrop(stage: Stage) -> None:
    """Vacuum behind a tip: black, or a far surface out of focus."""
    if stage.chance(0.3):
        far = stage.rough(stage.unit * 0.4, 2)[: stage.height]
        window = (slice(0, stage.height), slice(0, stage.width))
        stage.show(
            window,
            np.full(far.shape, -3.0 * stage.unit, np.float32),
            [0 * far, 0 * far, 1 + 0 * far],
            np.clip(0.1 + 0.02 * far, 0.02, 0.3),
        )


def _needle(
    stage: Stage,
    profile: npt.NDArray[np.floating],
    lie: float,
    apex: npt.NDArray[np.floating],
    matter: float,
    grooves: float = 0.0,
    skin: float = 0.02,
) -> None:
    """Put a body of revolution whose apex, the last of ``profile`` (radius, distance behind the apex), is at a world point."""
    turned = _axis(stage, lie, stage.between(-0.15, 0.15))
    number, phase = stage.number(3, 14), stage.between(0, 6)
    size = float(profile[:, 0].max())
    bumps = stage.rng.standard_normal((24, 16))

    def rough(angle: npt.NDArray[np.floating], share: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        u, v = share * 22.9, angle / (2 * math.pi) * 15.9
        a, b = np.floor(u).astype(int), np.floor(v).astype(int)
        noise = bumps[a, b] * (1 - u + a) + bumps[np.minimum(a + 1, 23), b] * (u - a)
        ring = np.sin(angle * number + phase + 6 * share) * grooves
        return np.asarray((noise * skin + ring) * np.minimum(profile[:, :1], size * 0.3))

    body = np.column_stack([profile[:, 0], -profile[:, 1]])
    lathe(stage, apex, body, turned, matter, rough, 72)


def _profile(
    radius_at: Callable[[npt.NDArray[np.floating]], npt.NDArray[np.floating]],
    length: float,
    apex: float,
    points: int = 90,
) -> npt.NDArray[np.floating]:
    """Return radius and distance behind the apex (points, 2), from the far end to a round apex."""
    back = np.concatenate([np.linspace(1, 0.05, points // 2), np.geomspace(0.05, 1e-4, points // 2)]) * length
    radius = radius_at(back)
    ball = np.sqrt(np.maximum(apex**2 - np.maximum(apex - back, 0) ** 2, 0))
    radius = np.where(back < apex, np.minimum(ball, radius + apex), np.maximum(radius, ball))
    run = np.concatenate([[0.0], np.hypot(np.diff(radius), np.diff(back)).cumsum()])
    even = np.linspace(0, run[-1], 200)
    return np.column_stack([np.interp(even, run, radius), np.interp(even, run, back)])


def etched_wire(stage: Stage) -> None:
    """Draw a tungsten or platinum wire etched to a tip: shank, concave neck, fine apex; grooves along it, black behind."""
    _backdrop(stage)
    lie, length = _direction(stage), stage.size(0.5, 1.6)
    wide, power = stage.unit * stage.between(0.06, 0.3), stage.between(1.0, 3.0)
    apex = stage.size(0.002, 0.03)
    profile = _profile(
        lambda back: apex * 0.8 + wide * np.clip(back / (length * 0.7), 0, 1) ** power, length * 1.6, apex
    )
    at = _at(stage, *(stage.between(0.0, 0.3) * stage.unit * each for each in (math.cos(lie), math.sin(lie))))
    _needle(stage, profile, lie, at, stage.between(0.4, 0.6), stage.between(0, 0.05), stage.between(0.0, 0.04))
    if stage.chance(0.4):
        dirt = at + stage.rng.normal(0, apex * 3, (stage.number(1, 8), 3))
        stage.balls(dirt, apex * stage.values(0.3, 1.0, len(dirt)), 0.6)


def cut_wire(stage: Stage) -> None:
    """Draw a cut wire as a probe: sheared to a slanting, ragged point, striations along it."""
    _backdrop(stage)
    lie, wide = _direction(stage), stage.unit * stage.between(0.1, 0.3)
    length = stage.unit * 1.4
    slant = stage.between(0.6, 1.6)
    profile = _profile(
        lambda back: wide * np.clip(back / (wide * slant * 1.6), 0, 1) ** stage.between(0.6, 1.0), length, wide * 0.04
    )
    _needle(
        stage,
        profile,
        lie,
        _at(stage, stage.unit * 0.25 * math.cos(lie), stage.unit * 0.25 * math.sin(lie)),
        0.5,
        0.09,
        0.1,
    )


def atom_probe(stage: Stage) -> None:
    """Draw a needle milled by ions: a smooth slender cone on a stepped shank or a post, layers across it at times."""
    _backdrop(stage)
    lie = stage.rng.normal(-math.pi / 2, 0.1)
    long, apex = stage.unit * stage.between(0.4, 1.1), stage.size(0.006, 0.03)
    half, step = math.tan(math.radians(stage.between(3, 12))), stage.between(0.5, 0.9)
    shank = stage.unit * stage.between(0.12, 0.35)
    profile = _profile(
        lambda back: apex * 0.9 + back * half + shank * np.clip((back - long * step) / (long * 0.12), 0, 1),
        long * 1.8,
        apex,
    )
    at = _at(stage, stage.between(-0.15, 0.15) * stage.unit, -stage.between(0.15, 0.4) * stage.unit)
    _needle(stage, profile, lie, at, stage.between(0.4, 0.55), 0.0, stage.between(0, 0.015))
    if stage.chance(0.4):
        turned = _axis(stage, lie)
        middle = at - turned[2] * long * stage.between(0.1, 0.35)
        wide = apex + half * float(np.linalg.norm(middle - at))
        stage.rods(
            (middle - turned[2] * wide * 0.4)[None],
            (middle + turned[2] * wide * 0.4)[None],
            np.array([wide * 1.06]),
            0.8,
        )


def posts(stage: Stage) -> None:
    """Draw a coupon of sharpened posts seen at a slant, few, equal and far apart; one of them carries a specimen."""
    stage.terrain(stage.rough(stage.unit * 0.1) * np.float32(1.0), stage.between(0.2, 0.35))
    pitch, tall = stage.size(0.3, 0.7), stage.unit * stage.between(0.25, 0.6)
    for row in range(-2, 3):
        for column in range(-2, 3):
            at = np.array([column * pitch + stage.unit * 0.07, row * pitch / stage.cos, 0.0])
            wide = tall * stage.between(0.1, 0.12)
            profile = np.array(
                [(wide * 1.6, 0), (wide, tall * 0.3), (wide * 0.7, tall * 0.75), (wide * 0.08, tall), (0, tall * 1.005)]
            )
            dense = np.column_stack([np.interp(np.linspace(0, 4, 50), range(5), profile[:, axis]) for axis in (0, 1)])
            lathe(stage, at, dense, np.eye(3), 0.46)


def cantilever(stage: Stage) -> None:
    """Draw the end of a cantilever with its pyramid or cone on it, seen from below at a slant; chip or vacuum behind."""
    _backdrop(stage)
    turned = _axis(stage, _direction(stage) if stage.chance(0.5) else stage.between(0, 6.3), stage.between(-0.9, 0.2))
    half, thick = stage.unit * stage.between(0.12, 0.4), stage.unit * stage.between(0.02, 0.06)
    middle = _at(stage, stage.between(-0.2, 0.2) * stage.unit, stage.between(-0.2, 0.2) * stage.unit)
    side, normal, way = turned
    if normal[1] * stage.sin + normal[2] * stage.cos < 0:
        normal = -normal
    body = np.stack([side, way, normal])
    long = stage.unit * 1.6
    faces = np.array([[1, 0, 0, half], [-1, 0, 0, half], [0, -1, 0, long], [0, 0, 1, thick], [0, 0, -1, thick]], float)
    point = stage.between(0.35, 1.0)
    nose = (
        np.array([[math.cos(a), math.sin(a), 0, half * point] for a in (math.pi / 4, 3 * math.pi / 4)])
        if stage.chance(0.6)
        else np.array([[0, 1, 0, half]])
    )
    stage.solid(middle, np.concatenate([faces, nose]), body, stage.between(0.35, 0.5))
    tall = half * stage.between(0.6, 1.6)
    foot = middle + normal * thick - way * half * stage.between(0.0, 0.4)
    sides = (4, 4, 3, 8)[stage.number(0, 3)]
    base = half * stage.between(0.35, 0.6)
    stage.solid(foot + normal * tall / 2, prism(sides, tall / 2, base, 0.03), body, stage.between(0.4, 0.55))
    debris(stage, 0.15)


def chip_and_lever(stage: Stage) -> None:
    """Draw a whole probe from above: the corner of its chip, one beam or a triangle of two arms, a dot of a tip near the end."""
    stage.terrain(stage.rough(stage.unit * 0.4, 3) * np.float32(0.5) - stage.unit, stage.between(0.05, 0.2))
    edge, wide, long = (
        stage.unit * stage.between(0.1, 0.35),
        stage.unit * stage.between(0.06, 0.14),
        stage.unit * stage.between(0.35, 0.7),
    )
    left = stage.number(0, 1) * 2 - 1
    x0 = -left * (stage.width / 2 - edge)

    def mirrored(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(x0 + left * x, y) for x, y in points]

    extrude(
        stage,
        [mirrored([(-900, -900), (0, -stage.deep * 0.4), (0, stage.deep * 0.4), (-900, 900)])],
        -stage.unit * 0.2,
        0,
        0.42,
    )
    if stage.chance(0.45):
        arm = [
            mirrored([(0, sign * long * 0.45), (0, sign * (long * 0.45 - wide)), (long * 0.75, 0), (long, 0)])
            for sign in (-1, 1)
        ]
    else:
        arm = [mirrored([(0, -wide / 2), (long, -wide / 2), (long + wide * 0.5, 0), (long, wide / 2), (0, wide / 2)])]
    extrude(stage, arm, -wide * 0.12, 0, 0.5)
    base = wide * stage.between(0.15, 0.3)
    stage.solid(np.array([x0 + left * long * 0.92, 0, base]), prism(4, base, base, 0.05), np.eye(3), 0.62)


def apex_near(stage: Stage) -> None:
    """Draw an apex that fills the picture: a rounded or blunt end, smooth or coated with fine grains, worn or dirty."""
    _backdrop(stage)
    lie, apex = _direction(stage), stage.unit * stage.between(0.04, 0.22)
    half = math.tan(math.radians(stage.between(6, 28)))
    profile = _profile(lambda back: back * half + apex * 0.7, stage.unit * 2, apex)
    at = _at(stage, *(stage.between(0.05, 0.35) * stage.unit * each for each in (math.cos(lie), math.sin(lie))))
    _needle(stage, profile, lie, at, stage.between(0.4, 0.55), 0.0, stage.between(0, 0.03))
    turned = _axis(stage, lie)
    if stage.chance(0.5):
        grain, count = apex * stage.between(0.05, 0.15), 1600
        back = stage.rng.random(count) ** 1.4 * stage.unit * 1.2
        around = stage.between(0, 1) + stage.rng.random(count) * 2 * math.pi
        radius = np.where(back < apex, np.sqrt(np.maximum(apex**2 - (apex - back) ** 2, 0)), back * half + apex * 0.7)
        spots = (
            at
            - back[:, None] * turned[2]
            + (np.cos(around)[:, None] * turned[0] + np.sin(around)[:, None] * turned[1]) * radius[:, None]
        )
        stage.balls(spots, grain * np.exp(stage.rng.normal(0, 0.25, count)), 0.52)
    elif stage.chance(0.5):
        centres, radii = cluster(stage, stage.number(8, 60), apex * 0.25, compact=0.6, spread=0.4)
        stage.balls(centres + at, radii, 0.6)


def pyramid(stage: Stage) -> None:
    """Draw a pyramid from above, or close by at a slant: four or three smooth faces that meet in one bright point, flat ground about."""
    stage.terrain(stage.rough(stage.unit * 0.3) * np.float32(0.3), stage.between(0.25, 0.4))
    wide, sides = stage.unit * stage.between(0.2, 0.42), (4, 4, 3, 8)[stage.number(0, 3)]
    tall = wide * stage.between(0.8, 2.2)
    turn = stage.between(0, 6.3)
    turned = np.array([[math.cos(turn), math.sin(turn), 0], [-math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
    at = np.array([stage.between(-0.1, 0.1) * stage.unit, tall * stage.sin * 0.5 / stage.cos, 0.0])
    if stage.chance(0.5):
        stage.solid(at + np.array([0, 0, tall / 2]), prism(sides, tall / 2, wide, 0.02), turned, 0.46)
    else:
        rise = np.linspace(0, 1, 50)
        lathe(stage, at, np.column_stack([wide * (1 - rise) ** stage.between(1, 1.8), rise * tall]), turned, 0.46)
    if stage.chance(0.35):
        spike = at + np.array([0, 0, tall])
        stage.wire(
            np.stack([spike, spike + np.array([stage.rng.normal(0, 0.05), 0, 0.4]) * tall]),
            np.array([wide * 0.05, wide * 0.02]),
            0.6,
        )
    debris(stage, 0.3)


def emitter(stage: Stage) -> None:
    """Draw a field emitter: a sharp cone in the middle of a round hole of the gate electrode; one, or a few far apart."""
    radius = stage.size(0.12, 0.4)
    stage.terrain(np.full(stage.shape(), -radius * 1.2, np.float32), 0.12)
    ring = np.linspace(0, 2 * math.pi, 60)
    spots = (
        [(0.0, 0.0)]
        if radius > 0.2 * stage.unit
        else [(x * radius * 3.2, y * radius * 3.2) for x in range(-2, 3) for y in range(-2, 3)]
    )
    holes = [[(x + radius * math.cos(t), y + radius * math.sin(t)) for t in ring] for x, y in spots]
    field = [
        (-stage.width, -stage.deep),
        (stage.width, -stage.deep),
        (stage.width, stage.deep),
        (-stage.width, stage.deep),
    ]
    extrude(stage, [field], -radius * 0.25, 0, stage.between(0.35, 0.5), holes)
    for x, y in spots:
        rise = np.linspace(0, 1, 40)
        lathe(
            stage,
            (x, y, -radius * 1.2),
            np.column_stack([radius * 0.6 * (1 - rise) ** 1.2, rise * radius * 1.25]),
            np.eye(3),
            0.55,
        )


def colloid_probe(stage: Stage) -> None:
    """Draw a ball glued under the end of a cantilever, vacuum or a far ground behind."""
    _backdrop(stage)
    lie, wide = _direction(stage), stage.unit * stage.between(0.12, 0.3)
    turned = _axis(stage, lie, stage.between(-0.6, 0.0))
    end = _at(stage, 0.1 * stage.unit * math.cos(lie), 0.1 * stage.unit * math.sin(lie))
    side, normal, way = turned
    grid = (
        end
        - np.linspace(0, 1.6 * stage.unit, 30)[:, None, None] * way
        + np.linspace(-wide, wide, 12)[None, :, None] * side
    )
    sheet(stage, grid, 0.42)
    up = normal if normal[1] * stage.sin + normal[2] * stage.cos > 0 else -normal
    radius = wide * stage.between(0.4, 1.2)
    stage.balls((end - way * radius * 0.9 + up * radius)[None], np.array([radius]), 0.55)
    glue = stage.rng.normal(0, radius * 0.4, (12, 3))
    stage.balls(end - way * radius * 0.9 + glue * 0.6, radius * stage.values(0.2, 0.5, 12), 0.5)


def pipette(stage: Stage) -> None:
    """Draw a pulled glass pipette or hollow needle: a slender cone, smooth, its open mouth with a rim at the end."""
    _backdrop(stage)
    lie, mouth = _direction(stage), stage.unit * stage.between(0.02, 0.14)
    turned = _axis(stage, lie, stage.between(0.1, 0.6))
    apex = _at(stage, *(stage.between(0.0, 0.25) * stage.unit * each for each in (math.cos(lie), math.sin(lie))))
    half, back = math.tan(math.radians(stage.between(2, 10))), np.linspace(1.8 * stage.unit, 0, 70)
    outer = np.column_stack([mouth + back * half, -back])
    inner = np.column_stack([np.linspace(mouth, mouth * 0.7, 10), np.linspace(0, -mouth * 2, 10)])
    lathe(stage, apex, outer, turned, 0.48)
    lathe(stage, apex, inner, turned, 0.1)
    lathe(stage, apex, np.array([(mouth, 0.0), (mouth * 0.82, 0.0)]), turned, 0.6)


def micro_needles(stage: Stage) -> None:
    """One to three microneedles on the edge of their plate, seen from the side: broad cones, sharp or blunt ends."""
    _backdrop(stage)
    foot = stage.unit * stage.between(0.25, 0.45)
    tall = stage.unit * stage.between(0.45, 0.85)
    count = stage.number(1, 3)
    for number in range(count):
        wide, power = tall * stage.between(0.1, 0.24), stage.between(0.7, 1.3)

        def cone(back: npt.NDArray[np.floating], wide: float = wide, power: float = power) -> npt.NDArray[np.floating]:
            return np.asarray(wide * np.clip(back / tall, 0, 1) ** power)

        profile = _profile(cone, tall, tall * stage.between(0.004, 0.02))
        at = _at(
            stage, (number - (count - 1) / 2) * stage.unit * 0.45 + stage.between(-0.1, 0.1) * stage.unit, foot - tall
        )
        _needle(stage, profile, -math.pi / 2, at, 0.5, stage.between(0, 0.02), stage.between(0, 0.03))
    top = round(min(foot + stage.height / 2, stage.height - 2))
    plate = stage.rough(stage.unit * 0.2)[top : stage.height] * np.float32(0.02)
    window = (slice(top, stage.height), slice(0, stage.width))
    stage.show(
        window, np.full(plate.shape, tall * 0.3, np.float32), [plate, plate, 1 + 0 * plate], stage.between(0.25, 0.4)
    )


KINDS: Final[tuple[SceneKind[Stage], ...]] = (
    SceneKind("etched wire", etched_wire, (2.0, 500.0), _STM),
    SceneKind("sheared wire", cut_wire, (50.0, 800.0), _STM),
    SceneKind("milled needle", atom_probe, (0.5, 10.0), _ATOM),
    SceneKind("coupon of posts", posts, (50.0, 600.0), _ATOM),
    SceneKind("end of a cantilever", cantilever, (5.0, 80.0), _AFM),
    SceneKind("whole probe", chip_and_lever, (100.0, 800.0), _AFM),
    SceneKind("apex near", apex_near, (0.2, 5.0), _AFM),
    SceneKind("one pyramid", pyramid, (3.0, 40.0), _AFM),
    SceneKind("emitter in its gate", emitter, (1.0, 15.0), _EMITTER),
    SceneKind("ball on a lever", colloid_probe, (10.0, 100.0), _COLLOID),
    SceneKind("pipette", pipette, (0.5, 100.0), _PIPETTE),
    SceneKind("microneedle", micro_needles, (100.0, 1500.0), _NEEDLE),
)
