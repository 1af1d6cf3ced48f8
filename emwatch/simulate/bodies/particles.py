"""Particles: bodies apart from each other, or in small groups, on a ground that is seen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.bodies.grounds import debris, substrate
from emwatch.simulate.bodies.shapes import (
    any_turn,
    box,
    carve,
    cluster,
    heap,
    lathe,
    leaning,
    octahedron,
    prism,
    shard,
    sized,
)
from emwatch.simulate.kind import SceneKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from emwatch.simulate.bodies.stage import Stage

_COLLOID = "Hunter, Foundations of Colloid Science, 2nd ed. (2001): latex and silica spheres, sols, aggregates"
_SHAPES = "Xia et al., Shape-controlled synthesis of metal nanocrystals, Angew. Chem. 48, 60 (2009)"
_ATLAS = "McCrone and Delly, The Particle Atlas, 2nd ed. (1973): dust, soot, minerals, spheres from combustion"
_CARRIERS = "Vehring, Pharmaceutical particle engineering via spray drying, Pharm. Res. 25, 999 (2008)"


def spheres(stage: Stage) -> None:
    """Latex or silica balls of one size: a few, or a sparse layer with islands, some in a second layer."""
    substrate(stage)
    radius = stage.size(0.008, 0.2)
    cover = stage.between(0.05, 0.5)
    count = max(2, min(1500, round(cover * stage.width * stage.deep / (math.pi * radius * radius))))
    spread = stage.between(0.0, 0.12)
    radii = radius * np.exp(stage.rng.normal(0, spread, count))
    if stage.chance(0.5):
        centres = heap(stage, radii, radius, 0.9)
    else:
        middles = stage.spots(stage.number(2, 9))
        group = middles[stage.rng.integers(0, len(middles), count)]
        spots = group + stage.rng.normal(0, radius * math.sqrt(count) * 0.6, (count, 2))
        centres = np.column_stack([_apart(spots, radius * 2), radii])
    stage.balls(centres, radii, stage.between(0.4, 0.65))
    debris(stage)


def _apart(spots: npt.NDArray[np.floating], least: float) -> npt.NDArray[np.floating]:
    """Return places pushed to distances of at least ``least``, about."""
    spots = spots.astype(float)
    if len(spots) > 700:
        return spots
    for _ in range(12):
        offset = spots[:, None] - spots[None]
        away = np.hypot(offset[..., 0], offset[..., 1]) + np.eye(len(spots)) * 1e9
        push = np.clip(least - away, 0, None) / 2 / away
        spots = spots + (offset * push[..., None]).sum(axis=1) * 0.7
    return spots


def sol(stage: Stage) -> None:
    """Draw a metal sol dried on a ground: small bright balls, single, in pairs and in flat patches."""
    ground = substrate(stage)
    radius = stage.size(0.004, 0.025)
    pieces = []
    for _ in range(stage.many(15, 220)):
        centres, _ = cluster(stage, stage.many(1, 14), radius, compact=0.7)
        centres[:, 2] = np.abs(centres[:, 2]) * stage.between(0.0, 0.6)
        pieces.append(centres + np.array([*stage.spot(), radius]))
    every = np.concatenate(pieces)
    stage.balls(
        every, radius * np.exp(stage.rng.normal(0, 0.15, len(every))), min(0.95, ground + stage.between(0.4, 0.6))
    )


def crystals(stage: Stage) -> None:
    """Nanocrystals of one habit strewn apart: cubes, octahedra, cut octahedra, decahedra; lying on their faces or not."""
    substrate(stage)
    size = stage.size(0.012, 0.12)
    habit = (box(1, 1, 1), octahedron(2), octahedron(1.25), prism(5, 0.7), box(1, 1, 0.6), prism(3, 0.35))[
        stage.number(0, 5)
    ]
    flat = stage.chance(0.6)
    count = min(500, max(3, round(stage.between(0.04, 0.4) * stage.width * stage.deep / (4 * size * size))))
    yields = stage.between(0.45, 0.75)
    for x, y in stage.spots(count, size):
        mine = size * math.exp(stage.rng.normal(0, 0.1))
        turned = (
            leaning(stage.between(0, 6.3), abs(stage.rng.normal(0, 0.06)), stage.between(0, 6.3))
            if flat
            else any_turn(stage)
        )
        stage.solid(np.array([x, y, mine * 0.9]), sized(habit, mine), turned, yields)
    debris(stage, 0.2)


def dust(stage: Stage) -> None:
    """Mineral splinters of very unequal size strewn on tape or a stub, the ground seen between them."""
    substrate(stage)
    largest = stage.size(0.04, 0.25)
    for _ in range(stage.many(6, 220)):
        size = largest * stage.between(0.05, 1) ** 2.2 + 1.0
        x, y = stage.spot(size)
        stage.solid(
            np.array([x, y, size * 0.5]),
            sized(shard(stage, stage.number(6, 11), stage.between(0.5, 1)), size),
            any_turn(stage),
            stage.between(0.35, 0.65),
        )


def soot(stage: Stage) -> None:
    """Draw aggregates like soot or fumed silica: branching chains of tiny balls, several islands on a plain ground."""
    substrate(stage, plain=stage.chance(0.6))
    radius = stage.size(0.006, 0.03)
    for _ in range(stage.many(1, 14)):
        count = stage.many(20, 350)
        centres, radii = cluster(stage, count, radius, compact=stage.between(0.0, 0.35), spread=0.15)
        centres[:, 2] -= centres[:, 2].min()
        centres[:, 2] *= 0.6
        stage.balls(centres + np.array([*stage.spot(), radius]), radii, stage.between(0.45, 0.7))


def raspberries(stage: Stage) -> None:
    """Rough balls, apart: covered with smaller balls, or dented, or pocked by pores, as spray drying or coating makes them."""
    substrate(stage)
    radius = stage.size(0.05, 0.3)
    way = stage.number(0, 2)
    for _ in range(stage.many(1, 12)):
        mine = radius * math.exp(stage.rng.normal(0, 0.25))
        at = np.array([*stage.spot(-radius * 0.3), mine])
        if way == 1:
            dents = [(stage.between(0, 6.3), stage.between(0.2, 0.8), stage.between(0.2, 0.6)) for _ in range(5)]

            def dented(
                angle: npt.NDArray[np.floating],
                share: npt.NDArray[np.floating],
                mine: float = mine,
                dents: list[tuple[float, float, float]] = dents,
            ) -> npt.NDArray[np.floating]:
                total = np.zeros_like(angle)
                for turn, where, wide in dents:
                    off = np.abs((angle - turn + math.pi) % (2 * math.pi) - math.pi)
                    total -= np.exp(-((off / (wide * 2)) ** 2 + ((share - where) / (wide * 0.5)) ** 2))
                return np.asarray(total * mine * 0.35 * np.sin(share * math.pi))

            rise = np.linspace(0, math.pi, 60)
            lathe(stage, at, mine * np.column_stack([np.sin(rise), -np.cos(rise)]), any_turn(stage), 0.5, dented)
            continue
        stage.balls(at[None], np.array([mine]), 0.5)
        grain = mine * stage.between(0.05, 0.16)
        way3 = stage.rng.standard_normal((min(900, round((mine / grain) ** 2 * stage.between(1, 4))), 3))
        around = at + way3 / np.linalg.norm(way3, axis=1)[:, None] * mine
        if way == 0:
            stage.balls(around, grain * np.exp(stage.rng.normal(0, 0.2, len(around))), 0.5)
        else:
            carve(stage, around[: min(len(around), 150)], np.full(min(len(around), 150), grain * 1.4), 0.4, -grain)
    debris(stage)


def grains(stage: Stage) -> None:
    """Ovals and short rods apart: rice, peanuts and beans of hematite, silica or polymer."""
    substrate(stage)
    size, long = stage.size(0.012, 0.1), stage.between(1.0, 2.6)
    count = min(400, max(3, round(stage.between(0.05, 0.45) * stage.width * stage.deep / (4 * size * size * long))))
    waist = stage.chance(0.35)
    for x, y in stage.spots(count, size):
        turned = leaning(stage.between(0, 6.3), math.pi / 2 + stage.rng.normal(0, 0.15))
        at, yields = np.array([x, y, size]), stage.between(0.45, 0.6)
        if waist:
            for side in (-1, 1):
                stage.ellipsoid(
                    at + turned[2] * side * size * long * 0.45, (size, size, size * long * 0.7), turned, yields
                )
        else:
            stage.ellipsoid(at, (size, size, size * long), turned, yields)
    debris(stage)


def plates(stage: Stage) -> None:
    """Six-sided or three-sided plates strewn flat, a few on edge or on each other: gold, gibbsite, layered hydroxides."""
    substrate(stage)
    size, sides = stage.size(0.02, 0.2), (3, 6, 6, 8)[stage.number(0, 3)]
    thick = stage.between(0.03, 0.15)
    for index, (x, y) in enumerate(
        stage.spots(min(300, max(3, round(stage.between(0.1, 0.7) * 2e5 / (size * size)))), size)
    ):
        mine = size * math.exp(stage.rng.normal(0, 0.25))
        tilt = abs(stage.rng.normal(0, 0.12)) if stage.chance(0.85) else stage.between(0.5, 1.5)
        turned = leaning(stage.between(0, 6.3), tilt, stage.between(0, 6.3))
        stage.solid(
            np.array([x, y, mine * (thick + tilt * 0.5) + index * 0.02]),
            sized(prism(sides, thick, 1.0), mine),
            turned,
            0.5,
        )


def close_up(stage: Stage) -> None:
    """One particle that nearly fills the picture: a ball of fused grains, a crystal, or a splinter, on its ground."""
    substrate(stage)
    size = stage.unit * stage.between(0.25, 0.42)
    at = np.array([stage.between(-0.1, 0.1) * stage.unit, stage.between(-0.1, 0.1) * stage.unit, size])
    way = stage.number(0, 2)
    if way == 0:
        centres, radii = cluster(stage, stage.many(60, 700), size * stage.between(0.07, 0.18), compact=0.97)
        reach = np.percentile(np.linalg.norm(centres, axis=1), 95)
        stage.balls(at + centres * size / reach, radii * size / reach, 0.5)
    elif way == 1:
        stage.solid(
            at,
            sized((box(1, 1, 1), octahedron(1.3), prism(6, 1.2))[stage.number(0, 2)], size * 0.8),
            any_turn(stage),
            0.5,
        )
    else:
        for _ in range(stage.number(2, 5)):
            off = stage.rng.normal(0, size * 0.25, 3)
            stage.solid(
                at + off,
                sized(shard(stage, 12, stage.between(0.5, 1)), size * stage.between(0.6, 0.9)),
                any_turn(stage),
                0.5,
            )
    debris(stage, 0.7)


def cenospheres(stage: Stage) -> None:
    """Fly ash: balls of very unequal size, apart, one or two broken and hollow, small ones on large ones."""
    substrate(stage)
    largest = stage.size(0.08, 0.3)
    count = stage.many(15, 250)
    radii = largest * stage.between(0.3, 1) * stage.rng.uniform(0.05, 1, count) ** 3 + 1.2
    radii[0] = largest
    centres = heap(stage, np.sort(radii)[::-1], 0, 0.9)
    stage.balls(centres, np.sort(radii)[::-1], stage.values(0.4, 0.6, count))
    for index in range(stage.number(0, 2)):
        mine = float(np.sort(radii)[::-1][index])
        way = np.array([stage.between(-0.5, 0.5), stage.between(-0.2, 0.6), 0.8])
        carve(stage, (centres[index] + way * mine * 0.5)[None], np.array([mine * 0.75]), 0.35, -mine)


KINDS: Final[tuple[SceneKind[Stage], ...]] = (
    SceneKind("colloid balls", spheres, (0.5, 60.0), _COLLOID),
    SceneKind("metal sol", sol, (0.2, 5.0), _COLLOID),
    SceneKind("strewn crystals", crystals, (0.3, 30.0), _SHAPES),
    SceneKind("mineral dust", dust, (5.0, 500.0), _ATLAS),
    SceneKind("chain aggregates", soot, (0.3, 10.0), _ATLAS),
    SceneKind("rough balls", raspberries, (1.0, 60.0), _CARRIERS),
    SceneKind("ovals", grains, (0.5, 20.0), _COLLOID),
    SceneKind("flat plates", plates, (0.5, 50.0), _SHAPES),
    SceneKind("one particle", close_up, (0.3, 100.0), _ATLAS),
    SceneKind("fly ash", cenospheres, (10.0, 300.0), _ATLAS),
)
