"""Fibres: threads thicker than about half a micrometre that run out of the picture: felts, weaves, yarns, paper, single ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.bodies.grounds import substrate
from emwatch.simulate.bodies.shapes import curve, lathe, leaning, sheet
from emwatch.simulate.kind import SceneKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from emwatch.simulate.bodies.stage import Stage

_SPUN = "Ramakrishna et al., An Introduction to Electrospinning and Nanofibers (2005): mats, alignment, beads, fused crossings"
_TEXTILE = "Morton and Hearle, Physical Properties of Textile Fibres, 4th ed. (2008); Greaves and Saville, Microscopy of Textile Fibres (1995)"
_PAPER = "Niskanen (ed.), Paper Physics, 2nd ed. (2008): flat, collapsed fibres, fibrils, pits"
_COMPOSITE = "Greenhalgh, Failure Analysis and Fractography of Polymer Composites (2009)"


def _through(stage: Stage, turn: float, rise: float, bend: float, points: int = 30) -> npt.NDArray[np.floating]:
    """Return a thread (points, 3) that enters and leaves the picture, about level at a height."""
    half = 0.8 * math.hypot(stage.width, stage.deep)
    x, y = stage.spot()
    begin = (x - math.cos(turn) * half, y - math.sin(turn) * half, rise)
    thread = curve(stage, begin, (math.cos(turn), math.sin(turn), 0.0), 2 * half, bend, points)
    thread[:, 2] = rise + (thread[:, 2] - thread[:, 2].mean()) * 0.05
    return thread


def felt(stage: Stage) -> None:
    """Draw an electrospun mat: threads at all angles in many layers, gently bent, the deep ones dark."""
    stage.terrain(np.full(stage.shape(), -30.0, np.float32), 0.05)
    radius, bend = stage.size(0.004, 0.04), stage.between(0.1, 1.6)
    main, strict = stage.between(0, math.pi), stage.between(0.0, 1.0) if stage.chance(0.3) else 0.0
    count = int(min(160, max(8, stage.between(0.4, 1.3) * stage.unit / radius)))
    threads = []
    for index in range(count):
        turn = stage.rng.normal(main, 0.15) if stage.chance(strict) else stage.between(0, 2 * math.pi)
        threads.append(_through(stage, turn, index / count * radius * stage.between(8, 16), bend))
    radii = radius * np.exp(stage.rng.normal(0, stage.between(0.05, 0.4), count))
    stage.wires(threads, radii, stage.values(0.42, 0.56, count))


def aligned(stage: Stage) -> None:
    """Threads wound side by side: one direction, a few that stray across."""
    stage.terrain(np.full(stage.shape(), -20.0, np.float32), 0.05)
    radius, turn = stage.size(0.006, 0.05), stage.between(0, math.pi)
    count = int(min(160, stage.between(0.8, 1.8) * 1.6 * stage.unit / radius / 2))
    threads = [_through(stage, stage.rng.normal(turn, 0.06), stage.between(0, radius * 8), 0.15) for _ in range(count)]
    threads += [_through(stage, stage.between(0, 6.3), radius * 9, 0.6) for _ in range(stage.number(0, 4))]
    stage.wires(
        threads,
        np.full(len(threads), radius) * np.exp(stage.rng.normal(0, 0.15, len(threads))),
        stage.values(0.42, 0.55, len(threads)),
    )


def beaded(stage: Stage) -> None:
    """Electrospun threads with beads on the string: thin threads, spindle-shaped beads at unequal distances."""
    stage.terrain(np.full(stage.shape(), -20.0, np.float32), 0.06)
    radius = stage.size(0.003, 0.012)
    for index in range(stage.number(15, 60)):
        thread = _through(stage, stage.between(0, 6.3), index * radius * 0.3, stage.between(0.2, 1.2))
        stage.wire(thread, radius, 0.48)
        for at in stage.rng.integers(1, 29, stage.number(0, 5)):
            way = thread[at] - thread[at - 1]
            lie = leaning(math.atan2(way[1], way[0]), math.pi / 2)
            fat = radius * stage.between(2.5, 6)
            stage.ellipsoid(thread[at], (fat, fat, fat * stage.between(1.2, 2.5)), lie, 0.5)


def weave(stage: Stage) -> None:
    """Draw a woven cloth: yarns of many filaments over and under each other, in plain or twill, gaps at the crossings."""
    stage.terrain(np.full(stage.shape(), -stage.unit * 0.3, np.float32), 0.03)
    pitch = stage.size(0.1, 0.5)
    twill, lie = stage.number(1, 2), stage.between(0, math.pi)
    filaments = stage.number(5, 14)
    radius = pitch * stage.between(0.32, 0.44) / filaments * 1.5
    half = 0.75 * math.hypot(stage.width, stage.deep)
    many = int(half / pitch) + 1
    cos, sin = math.cos(lie), math.sin(lie)
    threads = []
    for warp in (0, 1):
        for number in range(-many, many + 1):
            along = np.arange(-half, half, pitch / 5)
            wave = np.cos((along / pitch + number * (1 if twill == 1 else 0.5)) * math.pi / twill) * pitch * 0.2
            for fibre in range(filaments):
                off = ((fibre + 0.5) / filaments - 0.5) * pitch * 0.85
                hump = math.sqrt(max(0.0, 1 - (2 * off / pitch) ** 2)) * pitch * 0.12
                across = number * pitch + off + np.interp(along, [-half, 0, half], stage.rng.normal(0, radius * 0.6, 3))
                u, v = (along, across) if warp == 0 else (across, along)
                threads.append(
                    np.column_stack([u * cos - v * sin, u * sin + v * cos, (wave if warp == 0 else -wave) + hump])
                )
    stage.wires(threads, np.full(len(threads), radius), stage.values(0.43, 0.55, len(threads)))


def yarn(stage: Stage) -> None:
    """One or two twisted yarns: filaments wound round a common middle, loose ends that stand off."""
    substrate(stage)
    for _ in range(stage.number(1, 2)):
        thick = stage.size(0.1, 0.32)
        count, twist = stage.number(24, 56), stage.between(0.5, 4)
        middle = _through(stage, stage.between(0, 6.3), thick, 0.3, 60)
        way = np.gradient(middle, axis=0)
        way /= np.linalg.norm(way, axis=1)[:, None]
        side = np.cross(way, (0, 0, 1.0))
        up = np.cross(side, way)
        share = np.linspace(0, 1, 60)
        threads = []
        for index in range(count):
            lie = index * 2.4 + share * twist * 2 * math.pi + stage.rng.normal(0, 0.1, 60).cumsum() * 0.3
            out = thick * math.sqrt((index + 1) / count)
            threads.append(middle + out * (np.cos(lie)[:, None] * side + np.sin(lie)[:, None] * up))
        threads += [
            curve(stage, middle[stage.number(5, 55)], stage.rng.standard_normal(3), stage.unit * 0.6, 2.5)
            for _ in range(stage.number(0, 8))
        ]
        stage.wires(
            threads, np.full(len(threads), thick / math.sqrt(count) * 0.95), stage.values(0.43, 0.53, len(threads))
        )


def paper(stage: Stage) -> None:
    """Paper: flat collapsed ribbons across each other, twisted here and there, fine fibrils between."""
    stage.terrain(stage.rough(stage.unit * 0.2) * np.float32(4) - 20, 0.08)
    wide = stage.size(0.06, 0.2)
    count = int(min(90, max(10, stage.between(1.5, 3.2) * stage.unit / wide)))
    for index in range(count):
        thread = _through(stage, stage.between(0, 6.3), index / count * wide * 1.6, stage.between(0.2, 1.2), 40)
        way = np.gradient(thread, axis=0)
        side = np.cross(way, (0, 0, 1.0))
        side /= np.linalg.norm(side, axis=1)[:, None]
        roll = stage.rng.normal(0, 0.12, 40).cumsum() * stage.between(0.2, 1.0)
        across = np.linspace(-1, 1, 9)
        mine = wide / 2 * math.exp(stage.rng.normal(0, 0.25))
        lift = (np.sqrt(1.05 - across**2) * stage.between(0.15, 0.4) - np.exp(-((across / 0.3) ** 2)) * 0.15) * mine
        grid = thread[:, None] + across[None, :, None] * mine * (np.cos(roll)[:, None] * side)[:, None]
        grid[:, :, 2] += np.sin(roll)[:, None] * across * mine * 0.6 + lift
        sheet(stage, grid, stage.between(0.4, 0.54))
    fine = [_through(stage, stage.between(0, 6.3), wide * 1.4, 3.0) for _ in range(stage.number(0, 30))]
    stage.wires(fine, np.full(len(fine), wide * 0.05), np.full(len(fine), 0.5))


def close_up(stage: Stage) -> None:
    """One to three fibres across the picture: scales as on wool, grooves along them as on rayon and carbon, or smooth glass."""
    substrate(stage)
    for index in range(stage.number(1, 3)):
        radius = stage.size(0.07, 0.28)
        turn, way = stage.between(0, math.pi), stage.number(0, 2)
        count, depth, lobes = stage.number(5, 16), radius * stage.between(0.02, 0.05), stage.number(6, 26)
        phase = stage.between(0, 6.3)

        def skin(
            angle: npt.NDArray[np.floating],
            share: npt.NDArray[np.floating],
            way: int = way,
            count: int = count,
            depth: float = depth,
            lobes: int = lobes,
            phase: float = phase,
        ) -> npt.NDArray[np.floating]:
            if way == 0:
                step = share * count * 3 + 0.35 * np.sin(2 * angle + phase) + 0.2 * np.sin(5 * angle - phase)
                return np.asarray((step - np.floor(step)) * depth * 1.5)
            return np.asarray(
                (depth if way == 1 else 0.0) * np.abs(np.cos(angle * lobes / 2 + np.sin(share * 9) * 0.2))
            )

        half = 0.8 * math.hypot(stage.width, stage.deep)
        along = np.linspace(-half, half, 420)
        turned = leaning(turn, math.pi / 2, 0.0)
        at = np.array([*stage.spot(-stage.unit * 0.25), radius * (1 + 1.5 * index)])
        lathe(stage, at, np.column_stack([np.full(420, radius), along]), turned, stage.between(0.42, 0.54), skin, 180)
    if stage.chance(0.5):
        spots = stage.spots(stage.number(4, 40))
        heights = np.array([_top(stage, x, y) for x, y in spots])
        stage.balls(np.column_stack([spots, heights]), stage.unit * stage.values(0.003, 0.015, len(spots)), 0.6)


def _top(stage: Stage, x: float, y: float) -> float:
    row = int(np.clip(y * stage.cos + stage.height / 2, 0, stage.height - 1))
    found = float(stage.z[row, int(np.clip(x + stage.width / 2, 0, stage.width - 1))])
    return max((found - y * stage.sin) / max(stage.cos, 0.3), 0.0)


def broken_composite(stage: Stage) -> None:
    """Draw a broken composite: stiff fibres that stick out of resin side by side, flat broken ends, holes where others were pulled out."""
    resin = stage.rough(stage.unit * 0.12, 5, 0.55, ridged=True) * np.float32(stage.unit * 0.02)
    stage.terrain(resin, stage.between(0.25, 0.4))
    radius = stage.size(0.02, 0.06)
    lean, turn = stage.between(0.2, 1.3), stage.between(0, 6.3)
    for x, y in stage.spots(
        int(min(260, stage.between(0.15, 0.5) * stage.width * stage.deep / (math.pi * radius**2))), radius * 6
    ):
        way = leaning(stage.rng.normal(turn, 0.1), stage.rng.normal(lean, 0.06))[2]
        long = radius * stage.between(0.5, 14)
        begin = np.array([[x, y, -radius * 2]])
        end = begin + way * long
        stage.rods(begin, end, np.array([radius]), 0.46)
        _face(stage, end[0], way, radius)


def _face(stage: Stage, at: npt.NDArray[np.floating], way: npt.NDArray[np.floating], radius: float) -> None:
    """Put a flat round end."""
    side = np.cross(way, (0.3, 0.2, 1.0))
    side /= np.linalg.norm(side)
    up = np.cross(side, way)
    lie, out = np.linspace(0, 2 * math.pi, 17), np.linspace(0, radius, 5)
    grid = at + out[:, None, None] * (np.cos(lie)[None, :, None] * side + np.sin(lie)[None, :, None] * up)
    sheet(stage, grid, 0.5)


def fused(stage: Stage) -> None:
    """Draw a filter felt of few thick fibres, fused or bridged where they cross, round pores between, particles caught."""
    stage.terrain(np.full(stage.shape(), -stage.unit * 0.25, np.float32), 0.03)
    radius = stage.size(0.015, 0.07)
    count = int(min(60, max(6, stage.between(0.5, 1.1) * stage.unit / radius)))
    threads = [
        _through(stage, stage.between(0, 6.3), stage.between(0, radius * 3), stage.between(0.2, 1.2))
        for _ in range(count)
    ]
    stage.wires(threads, radius * np.exp(stage.rng.normal(0, 0.3, count)), stage.values(0.42, 0.52, count))
    for one in threads[::2]:
        for at in one[:: stage.number(4, 9)]:
            if stage.chance(0.4):
                stage.ellipsoid(
                    at, (radius * 1.6, radius * 1.2, radius * 0.9), leaning(stage.between(0, 6.3), 0.0), 0.48
                )


KINDS: Final[tuple[SceneKind[Stage], ...]] = (
    SceneKind("spun felt", felt, (8.0, 200.0), _SPUN),
    SceneKind("threads side by side", aligned, (10.0, 300.0), _SPUN),
    SceneKind("beads on threads", beaded, (10.0, 150.0), _SPUN),
    SceneKind("cloth", weave, (200.0, 4000.0), _TEXTILE),
    SceneKind("twisted yarn", yarn, (100.0, 2000.0), _TEXTILE),
    SceneKind("paper ribbons", paper, (80.0, 1500.0), _PAPER),
    SceneKind("single fibres", close_up, (15.0, 300.0), _TEXTILE),
    SceneKind("broken composite", broken_composite, (50.0, 500.0), _COMPOSITE),
    SceneKind("bridged felt", fused, (20.0, 400.0), _TEXTILE),
)
