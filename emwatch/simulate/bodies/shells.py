"""Grains and shells of single cells: pollen, radiolaria, foraminifera, diatoms; shown by `biological`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from emwatch.simulate.bodies.grounds import substrate
from emwatch.simulate.bodies.shapes import any_turn, carve, even_ways, lathe, leaning, sheet

if TYPE_CHECKING:
    import numpy.typing as npt

    from emwatch.simulate.bodies.stage import Stage


def pollen(stage: Stage) -> None:
    """Pollen: spiny balls, netted balls, grains with pores or furrows; one that fills the picture or a dozen of one kind."""
    substrate(stage)
    radius, way = stage.size(0.07, 0.42), stage.number(0, 3)
    count = 1 if radius > 0.25 * stage.unit else stage.number(2, 14)
    many, squash = stage.number(60, 240), stage.between(0.75, 1.25)
    for _ in range(count):
        at, turned = np.array([*stage.spot(-radius * 0.4), radius * 0.8]), any_turn(stage)
        if count == 1:
            at[:2] = 0
        ways = even_ways(many) * np.array([1, 1, squash]) @ turned
        yields = stage.between(0.42, 0.52)
        if way == 0:
            stage.ellipsoid(at, (radius, radius, radius * squash), turned, yields)
            long = radius * stage.between(0.12, 0.3)
            each = np.full(many, radius * 1.6 / math.sqrt(many))
            stage.rods(at + ways * radius * 0.95, at + ways * (radius + long), each, yields, each * 0.08)
        elif way == 1:
            stage.ellipsoid(at, (radius, radius, radius * squash), turned, yields)
            carve(stage, at + ways * radius * 1.05, np.full(many, radius * 3.0 / math.sqrt(many)), 0.35, -radius)
        else:
            lobes, deep = stage.number(2, 6), stage.between(0.1, 0.3)

            def furrowed(
                angle: npt.NDArray[np.floating], share: npt.NDArray[np.floating], lobes: int = lobes, deep: float = deep
            ) -> npt.NDArray[np.floating]:
                ridge = np.abs(np.sin(angle * lobes / 2)) ** 0.5
                wall = 0.02 * np.sin(angle * 40) * np.sin(share * 60) if way == 3 else 0
                return np.asarray(radius * ((ridge - 1) * deep + wall) * np.sin(share * math.pi))

            rise = np.linspace(0, math.pi, 90)
            lathe(
                stage,
                at,
                radius * np.column_stack([np.sin(rise), -np.cos(rise) * stage.between(1.0, 1.7)]),
                turned,
                yields,
                furrowed,
                120,
            )


def round_shell(stage: Stage) -> None:
    """Draw a radiolarian: a lattice ball with round windows and long spines, another ball seen inside."""
    substrate(stage)
    radius, many = stage.unit * stage.between(0.2, 0.36), stage.number(50, 150)
    at, ways = np.array([0.0, 0.0, radius]), even_ways(many) @ any_turn(stage)
    stage.balls(at[None], np.array([radius]), 0.48)
    carve(stage, at + ways * radius, np.full(many, radius * 2.7 / math.sqrt(many)), 0.12, -radius)
    stage.balls((at + np.array([0, 0, -radius * 0.3]))[None], np.array([radius * 0.5]), 0.3)
    spines = ways[:: max(1, many // stage.number(6, 30))]
    each = np.full(len(spines), radius * 0.05)
    stage.rods(at + spines * radius * 0.95, at + spines * radius * stage.between(1.3, 1.9), each, 0.5, each * 0.1)


def chambers(stage: Stage) -> None:
    """Draw a foraminifer: swollen chambers in a spiral or a row, each larger than the last, finely pored, a mouth in the last one."""
    substrate(stage)
    size, number, turn = stage.unit * stage.between(0.1, 0.2), stage.number(4, 10), stage.between(0.5, 1.1)
    spiral, start = stage.chance(0.7), stage.between(0, 6.3)
    places, radii = [], []
    for index in range(number):
        radius = size * 0.88 ** (number - index - 1)
        out = radius * 1.35 if spiral else 0.0
        lie = start + index * turn
        along = (index - number / 2) * size * 0.7
        places.append(
            (math.cos(lie) * out, math.sin(lie) * out, size + index * size * 0.1)
            if spiral
            else (along, stage.rng.normal(0, 3), size)
        )
        radii.append(radius)
    centres, reach = np.array(places), np.array(radii)
    stage.balls(centres, reach, 0.48)
    host = stage.rng.integers(0, number, 700)
    ways = stage.rng.standard_normal((700, 3))
    ways /= np.linalg.norm(ways, axis=1)[:, None]
    carve(
        stage, centres[host] + ways * reach[host][:, None], np.full(700, size * stage.between(0.03, 0.07)), 0.25, -size
    )
    carve(stage, (centres[-1] + np.array([0.3, 0.5, 0.8]) * reach[-1])[None], reach[-1:] * 0.3, 0.08, -size)


def diatom(stage: Stage) -> None:
    """Diatoms: boats or rods with a slit along and ribs or rows of pores across; one near, or several, with broken pieces."""
    substrate(stage)
    size = stage.size(0.12, 0.55)
    for _ in range(1 if size > 0.35 * stage.unit else stage.number(2, 7)):
        turned = leaning(stage.between(0, 6.3), abs(stage.rng.normal(0, 0.25)), stage.between(0, 6.3))
        wide, ribs, blunt = size * stage.between(0.12, 0.4), stage.number(14, 44), stage.between(0.5, 2)
        u, v = np.linspace(-1, 1, 160)[:, None], np.linspace(-1, 1, 48)[None, :]
        half = wide * np.clip(1 - np.abs(u) ** (2 * blunt), 0, 1) ** stage.between(0.5, 0.9)
        dome = np.sqrt(np.maximum(1 - v * v, 0)) * half * stage.between(0.25, 0.6)
        rib = np.abs(np.sin(u * ribs * math.pi / 2 + 0.3 * np.abs(v))) * wide * 0.05 * (np.abs(v) > 0.12)
        slit = np.exp(-((v / 0.05) ** 2)) * wide * 0.09 * (np.abs(np.abs(u) - 0.45) < 0.38)
        grid = np.stack([u * size + 0 * v, half * v, dome + rib - slit + 0 * u], axis=2)
        pore = 0.5 - 0.28 * (
            (np.sin(u * ribs * math.pi) > 0.2)
            & (np.sin(np.abs(v) * 30) > 0.1)
            & (np.abs(v) > 0.12)
            & (np.abs(v) < 0.85)
        )
        sheet(stage, grid @ turned + np.array([*stage.spot(-size * 0.3), wide * 0.7]), pore.astype(np.float32))


def disc_diatom(stage: Stage) -> None:
    """Draw a round diatom, or coccoliths in a ball: plates with radial ribs or pores in a net, a rim that stands up."""
    substrate(stage)
    radius = stage.size(0.14, 0.45)
    for _ in range(1 if radius > 0.25 * stage.unit else stage.number(2, 7)):
        turned = leaning(stage.between(0, 6.3), abs(stage.rng.normal(0, 0.35)))
        r, t = np.linspace(0, 1, 90)[:, None], np.linspace(0, 2 * math.pi, 240)[None, :]
        x, y = r * np.cos(t), r * np.sin(t)
        net = stage.between(9, 24)
        cell = np.cos(x * net * 2) + np.cos((x / 2 + y * 0.866) * net * 2) + np.cos((x / 2 - y * 0.866) * net * 2)
        ribs = np.cos(t * stage.number(20, 60)) * (r > 0.8) + 0 * cell
        rim = np.exp(-(((r - 0.95) / 0.04) ** 2)) * 0.09
        z = 0.25 * (1 - r**2) * stage.between(-1, 1.4) + rim - 0.03 * (cell > 1.0) * (r < 0.85) + 0.015 * ribs
        grid = np.stack([x, y, z + 0 * x], axis=2) * radius
        matter = np.where((cell > 1.0) & (r < 0.85), 0.22, 0.5).astype(np.float32)
        sheet(stage, grid @ turned + np.array([*stage.spot(-radius * 0.4), radius * 0.4]), matter)
