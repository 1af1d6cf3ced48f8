"""Biological: grains, shells, cells, skins, limbs and leaves: curved, grown, no two alike, detail upon detail."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.bodies.cells import nearest
from emwatch.simulate.bodies.grounds import substrate
from emwatch.simulate.bodies.shapes import any_turn, curve, even_ways, heap, lathe, leaning, sheet
from emwatch.simulate.bodies.shells import chambers, diatom, disc_diatom, pollen, round_shell
from emwatch.simulate.kind import SceneKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from emwatch.simulate.bodies.stage import Stage

_POLLEN = "Halbritter et al., Illustrated Pollen Terminology, 2nd ed. (2018)"
_ALGAE = "Round, Crawford, Mann, The Diatoms (1990)"
_SHELLS = "Armstrong and Brasier, Microfossils, 2nd ed. (2005): foraminifera, radiolaria, coccoliths"
_INSECTS = "Chapman, The Insects: Structure and Function, 5th ed. (2013): eyes, setae, scales, tarsi"
_LEAVES = "Evert, Esau's Plant Anatomy, 3rd ed. (2006): epidermis, stomata, trichomes"
_TISSUE = "Bozzola and Russell, Electron Microscopy: Principles and Techniques for Biologists, 2nd ed. (1999)"
_BLOOD = "Bessis, Living Blood Cells and Their Ultrastructure (1973)"


def eye(stage: Stage) -> None:
    """Draw an insect's eye: a dome of lenses in a six-sided net, bristles between, at its border the plain or hairy cuticle."""
    stage.terrain(stage.rough(stage.unit * 0.15, 4) * np.float32(stage.unit * 0.012), 0.4)
    radius = stage.unit * stage.between(0.5, 1.6)
    at = np.array(
        [
            stage.between(-0.4, 0.4) * stage.unit,
            stage.between(-0.3, 0.3) * stage.unit,
            -radius * stage.between(0.3, 0.6),
        ]
    )
    pitch = stage.unit * stage.between(0.025, 0.1)
    stage.balls(at[None], np.array([radius]), 0.35)
    ways = even_ways(int(min(3800, 13 * (radius / pitch) ** 2)))
    ways = ways[stage.camera(ways)[:, 2] > -0.1]
    stage.balls(at + ways * (radius - pitch * 0.25), np.full(len(ways), pitch * 0.62), 0.45)
    some = ways[stage.rng.random(len(ways)) < stage.between(0, 0.25)][:400]
    if len(some):
        off = some + stage.rng.normal(0, 0.03, some.shape)
        each = np.full(len(off), pitch * 0.08)
        stage.rods(
            at + off * radius, at + off * (radius + pitch * 2.5) + np.array([0, 1, 0]) * pitch, each, 0.55, each * 0.3
        )


def bristles(stage: Stage) -> None:
    """Draw an insect's skin: plates with folds and small scales, stout hairs in sockets, tapered and grooved, all leaning one way."""
    size = stage.size(0.05, 0.2)
    first, second, _ = nearest(stage, stage.spots(max(20, round(stage.width * stage.deep / size**2)), size))
    folds = np.exp(-((second - first) / np.float32(size * 0.2)))
    bumps = stage.rough(stage.unit * 0.5, 2) * np.float32(stage.unit * 0.08)
    stage.terrain(
        bumps - folds * np.float32(size * 0.12) + stage.rough(size * 0.2, 2) * np.float32(size * 0.01),
        stage.between(0.35, 0.45),
    )
    way, thick = stage.between(0, 6.3), stage.size(0.006, 0.03)
    for x, y in stage.spots(stage.many(8, 120), stage.unit * 0.1):
        lean = (math.cos(stage.rng.normal(way, 0.3)), math.sin(stage.rng.normal(way, 0.3)), stage.between(0.2, 1.0))
        points = curve(stage, (x, y, 0), lean, stage.unit * stage.between(0.1, 0.5), 0.6, 14)
        mine = thick * math.exp(stage.rng.normal(0, 0.3))
        stage.balls(np.array([[x, y, 0.0]]), np.array([mine * 1.9]), 0.42)
        stage.wire(points, np.linspace(mine, mine * 0.12, 14), 0.5)


def wing_scales(stage: Stage) -> None:
    """Draw a butterfly's wing: flat scales in rows that overlap like tiles, ribs along each, toothed ends."""
    stage.terrain(np.full(stage.shape(), -20.0, np.float32), 0.15)
    long, turn = stage.size(0.32, 0.8), stage.between(0, 6.3)
    wide, ribs, teeth = long * stage.between(0.28, 0.45), stage.number(10, 26), stage.number(2, 5)
    c, s = math.cos(turn), math.sin(turn)
    half = math.hypot(stage.width, stage.deep) / 2 + long
    u, v = np.linspace(0, 1, 70)[:, None], np.linspace(-1, 1, 60)[None, :]
    for row in np.arange(-half, half, long * 0.62):
        for column in np.arange(-half, half, wide * 0.95):
            x, y = column + stage.rng.normal(0, wide * 0.06) + (wide / 2 if round(row / long) % 2 else 0), -row
            if abs(x * c - y * s) > stage.width / 2 + long or abs(x * s + y * c) > stage.deep / 2 + long:
                continue
            shape = wide * 0.55 * np.clip(np.sin(np.clip(u * 1.35 + 0.15, 0, 1.9)), 0, 1) ** 0.6
            end = u * long * (1 + 0.1 * np.cos(v * teeth * math.pi))
            lift = u * long * 0.1 + (1 - v * v) * wide * 0.08 + 0.02 * wide * np.abs(np.sin(v * ribs * math.pi / 2))
            local = np.stack([shape * v + x, y + end + 0 * v, lift + 0 * u], axis=2)
            world = np.stack(
                [local[..., 0] * c - local[..., 1] * s, local[..., 0] * s + local[..., 1] * c, local[..., 2]], axis=2
            )
            sheet(stage, world, stage.between(0.42, 0.5), 300)


def leaf(stage: Stage) -> None:
    """Draw a leaf's skin: cells like a jigsaw or in files, stomata with two lips and a slit, wax, hairs or glands on stalks at times."""
    size = stage.size(0.06, 0.2)
    rows, columns = stage.shape()
    seeds = stage.spots(max(20, round(stage.width * stage.deep / size**2)), size)
    first, second, which = nearest(stage, seeds)
    border = np.clip((second - first) * np.float32(0.5) + stage.rough(size * 0.5, 2) * np.float32(size * 0.06), 0, None)
    height = np.sqrt(np.clip(border / np.float32(size * 0.35), 0, 1)) * np.float32(size * stage.between(0.1, 0.3))
    height += stage.rough(stage.unit * 0.5, 2) * np.float32(size * 0.2) + stage.rough(
        size * 0.12, 3, ridged=stage.chance(0.5)
    ) * np.float32(size * stage.between(0.0, 0.03))
    matter = np.full((rows, columns), stage.between(0.36, 0.46), np.float32)
    del which
    lips, main = size * stage.between(0.25, 0.45), stage.between(0, 3.1)
    strict = stage.chance(0.4)
    for x, y in stage.spots(min(90, max(2, round(len(seeds) * stage.between(0.05, 0.25))))):
        u, v = stage.axes(main if strict else stage.between(0, 3.1), (x, y))
        away = np.hypot(u / np.float32(1.4), v) / np.float32(lips)
        ring = np.exp(-(((away - 0.55) / 0.28) ** 2)) * np.float32(lips * 0.5)
        slit = np.exp(-((v / np.float32(lips * 0.14)) ** 2 + (u / np.float32(lips * 0.8)) ** 2))
        near = away < 1.3
        height = np.where(
            near, height * np.clip(away - 0.3, 0, 1) + ring - slit * np.float32(lips * 0.7), height
        ).astype(np.float32)
        matter = np.where(near, matter * (1 - 0.8 * slit), matter).astype(np.float32)
    stage.terrain(height, matter)
    if stage.chance(0.5):
        thick = size * stage.between(0.06, 0.2)
        for x, y in stage.spots(stage.number(2, 20)):
            points = curve(
                stage,
                (x, y, size * 0.1),
                (*stage.rng.normal(0, 0.7, 2), 0.5),
                stage.unit * stage.between(0.1, 0.5),
                0.8,
                14,
            )
            stage.wire(points, np.linspace(thick, thick * 0.15, 14), 0.5)
            if stage.chance(0.2):
                stage.balls(points[-1:], np.array([thick * 1.6]), 0.52)


def red_cells(stage: Stage) -> None:
    """Blood: dented discs in a heap or layer, a few balls with knobs between them, a net of threads at times."""
    substrate(stage, plain=True)
    radius = stage.size(0.06, 0.25)
    count = int(min(150, max(4, stage.between(0.3, 2.0) * stage.width * stage.deep / (math.pi * radius**2))))
    centres = heap(stage, np.full(count, radius * 0.5), radius, 0.7)
    share = np.linspace(0, 1, 24)
    half = np.sqrt(np.maximum(1 - share**2, 0)) * (0.1 + 1.0 * share**2 - 0.56 * share**4)
    profile = np.concatenate([np.column_stack([share, -half]), np.column_stack([share[::-1], half[::-1]])]) * radius
    for at in centres:
        if stage.chance(0.08):
            ways = even_ways(26) @ any_turn(stage)
            stage.balls(
                np.concatenate([at[None], at + ways * radius * 0.62]),
                np.r_[radius * 0.62, np.full(26, radius * 0.13)],
                0.52,
            )
            continue
        polar = abs(stage.rng.normal(0, 0.4)) if stage.chance(0.7) else stage.between(0, 1.5)
        lathe(stage, at, profile, leaning(stage.between(0, 6.3), polar), stage.between(0.44, 0.5), around=40)
    if stage.chance(0.4):
        threads = [
            curve(
                stage,
                (*stage.spot(), radius * stage.between(0.3, 1.5)),
                (*stage.rng.standard_normal(2), 0),
                stage.unit,
                1.5,
            )
            for _ in range(stage.number(5, 40))
        ]
        stage.wires(threads, np.full(len(threads), radius * 0.035), np.full(len(threads), 0.5))


def bacteria(stage: Stage) -> None:
    """Bacteria: rods with round ends, chains or grapes of balls, some dividing, with slime threads, on a filter or tissue."""
    substrate(stage)
    radius, long = stage.size(0.015, 0.07), (0.0, 2.5, 4.0)[stage.number(0, 2)]
    for _ in range(stage.many(3, 40)):
        middle = np.array([*stage.spot(), radius])
        for _ in range(stage.many(1, 14)):
            turn = stage.between(0, 6.3)
            at = middle + np.array([*stage.rng.normal(0, radius * 3.5, 2), abs(stage.rng.normal(0, radius * 0.5))])
            half = (
                np.array([math.cos(turn), math.sin(turn), stage.rng.normal(0, 0.1)])
                * radius
                * long
                * stage.between(0.5, 1.0)
            )
            mine = radius * stage.between(0.9, 1.1)
            if long:
                bow = np.array([-half[1], half[0], 0]) * stage.rng.normal(0, 0.08)
                stage.wire(np.stack([at - half, at + bow, at + half]), mine, 0.5)
            else:
                stage.balls(
                    np.stack([at, at + np.array([math.cos(turn), math.sin(turn), 0]) * mine * 1.3]),
                    np.full(2, mine),
                    0.5,
                )
    threads = [
        curve(stage, (*stage.spot(), radius), (*stage.rng.standard_normal(2), 0), stage.unit * 0.3, 2)
        for _ in range(stage.number(0, 25))
    ]
    stage.wires(threads, np.full(len(threads), max(0.7, radius * 0.07)), np.full(len(threads), 0.45))


def spread_cell(stage: Stage) -> None:
    """Cells in culture: flat at the border with feet that taper to threads, high in the middle, covered with short threads and blebs."""
    substrate(stage, plain=True)
    rows, columns = stage.shape()
    height, there = np.zeros((rows, columns), np.float32), np.zeros((rows, columns), bool)
    feet: list[npt.NDArray[np.floating]] = []
    villi_at, villi_to = [], []
    for _ in range(stage.number(1, 5)):
        spot, radius = stage.spot(-stage.unit * 0.1), stage.size(0.16, 0.42)
        u, v = stage.axes(0, spot)
        lie, away = np.arctan2(v, u), np.hypot(u, v)
        phase = stage.rng.uniform(0, 6.3, 6)
        edge = radius * (1 + sum(0.28 / (k + 1) * np.sin((k + 2) * lie + phase[k]) for k in range(5)))
        share = np.clip(1 - away / edge, 0, 1)
        inside = share > 0
        height = np.maximum(
            height, np.float32(radius * 0.45) * share ** stage.between(0.8, 2) + inside * np.float32(radius * 0.02)
        ).astype(np.float32)
        there |= inside
        for turn in stage.rng.uniform(0, 6.3, stage.number(6, 30)):
            start = (spot[0] + radius * 0.8 * math.cos(turn), spot[1] + radius * 0.8 * math.sin(turn), radius * 0.03)
            feet.append(
                curve(stage, start, (math.cos(turn), math.sin(turn), 0), radius * stage.between(0.3, 1.1), 0.5, 10)
            )
        for _ in range(stage.number(0, 260)):
            turn, out = stage.between(0, 6.3), radius * 0.75 * math.sqrt(stage.rng.random())
            at = np.array([spot[0] + out * math.cos(turn), spot[1] + out * math.sin(turn)])
            base = float(
                height[int(np.clip(at[1] + rows / 2, 0, rows - 1)), int(np.clip(at[0] + columns / 2, 0, columns - 1))]
            )
            villi_at.append((*at, base))
            villi_to.append((*(at + stage.rng.normal(0, radius * 0.05, 2)), base + radius * 0.06))
    ground = stage.rough(stage.unit * 0.3) * np.float32(0.2)
    skin = np.where(there, stage.rough(stage.unit * 0.04, 3, ridged=True) * np.float32(stage.unit * 0.003), 0)
    stage.terrain(
        height + skin + ground, np.where(there, stage.between(0.38, 0.48), stage.between(0.12, 0.25)).astype(np.float32)
    )
    stage.wires(feet, np.full(len(feet), stage.size(0.002, 0.008)), np.full(len(feet), 0.45))
    if villi_at:
        each = np.full(len(villi_at), stage.size(0.0025, 0.006))
        stage.rods(np.array(villi_at), np.array(villi_to), each, 0.52)


def limb(stage: Stage) -> None:
    """Draw a leg or antenna of an insect or mite: segments that swell and narrow, hairs along them, claws at the end."""
    substrate(stage)
    thick, bend = stage.unit * stage.between(0.04, 0.12), stage.between(0.3, 1.4)
    turn = stage.between(0, 6.3)
    start = (-0.6 * stage.unit * math.cos(turn), -0.6 * stage.unit * math.sin(turn), thick * 1.5)
    middle = curve(stage, start, (math.cos(turn), math.sin(turn), 0), stage.unit * stage.between(0.9, 1.4), bend, 60)
    middle[:, 2] = thick * 1.5
    segments = stage.number(3, 12)
    place = np.linspace(0, segments, 60)
    radii = thick * (0.55 + 0.45 * np.sin((place % 1) * math.pi) ** 0.6) * np.linspace(1.1, 0.55, 60)
    stage.wire(middle, radii, 0.46)
    hairs = stage.number(30, 220)
    host = stage.rng.integers(0, 59, hairs)
    way = stage.rng.standard_normal((hairs, 3))
    way /= np.linalg.norm(way, axis=1)[:, None]
    forward = (middle[host + 1] - middle[host]) / np.linalg.norm(middle[host + 1] - middle[host], axis=1)[:, None]
    begin = middle[host] + way * radii[host][:, None] * 0.9
    each = np.full(hairs, thick * 0.06)
    stage.rods(begin, begin + (way * 0.7 + forward) * thick * stage.between(0.6, 2.0), each, 0.52, each * 0.2)
    for sign in (-1, 1):
        claw = curve(stage, middle[-1], forward[-1] + sign * 0.8 * np.cross(forward[-1], (0, 0, 1)), thick * 2, 0.3, 10)
        claw[:, 2] -= np.linspace(0, 1, 10) ** 2 * thick
        stage.wire(claw, np.linspace(thick * 0.25, thick * 0.03, 10), 0.5)


def mould(stage: Stage) -> None:
    """Draw a mould: threads that branch over a rough ground, stalks with heads of round spores in chains, spores strewn about."""
    stage.terrain(stage.rough(stage.unit * 0.3, 4) * np.float32(stage.unit * 0.015), stage.between(0.2, 0.35))
    thick = stage.size(0.006, 0.022)
    heads, threads = [], []
    for _ in range(stage.number(5, 22)):
        at = np.array([*stage.spot(), 0.0])
        up = curve(stage, at, (*stage.rng.normal(0, 0.8, 2), 0.7), stage.unit * stage.between(0.2, 0.7), 0.9, 20)
        threads.append(up)
        heads.append(up[-1])
        threads.append(
            curve(stage, (*stage.spot(), thick), (*stage.rng.standard_normal(2), 0), stage.unit * 0.9, 2.0, 24)
        )
    stage.wires(threads, np.full(len(threads), thick), np.full(len(threads), 0.44))
    for head in heads[: stage.number(1, 9)]:
        ways = even_ways(stage.number(25, 70)) @ any_turn(stage)
        length = stage.number(2, 5)
        balls = np.concatenate([head + ways * thick * (3 + 1.9 * k) for k in range(length)])
        stage.balls(balls + stage.rng.normal(0, thick * 0.25, balls.shape), np.full(len(balls), thick * 1.15), 0.52)
    spores = stage.spots(stage.number(5, 120))
    stage.balls(np.column_stack([spores, np.full(len(spores), thick)]), np.full(len(spores), thick * 1.15), 0.52)


KINDS: Final[tuple[SceneKind[Stage], ...]] = (
    SceneKind("pollen in the round", pollen, (15.0, 200.0), _POLLEN),
    SceneKind("lattice ball", round_shell, (60.0, 300.0), _SHELLS),
    SceneKind("shell of chambers", chambers, (100.0, 1000.0), _SHELLS),
    SceneKind("boat-shaped diatoms", diatom, (8.0, 120.0), _ALGAE),
    SceneKind("round diatoms", disc_diatom, (10.0, 150.0), _ALGAE),
    SceneKind("eye of lenses", eye, (60.0, 1500.0), _INSECTS),
    SceneKind("skin with bristles", bristles, (50.0, 1000.0), _INSECTS),
    SceneKind("scales of a wing", wing_scales, (80.0, 600.0), _INSECTS),
    SceneKind("leaf with stomata", leaf, (80.0, 1000.0), _LEAVES),
    SceneKind("discs of blood", red_cells, (15.0, 100.0), _BLOOD),
    SceneKind("bacteria in groups", bacteria, (4.0, 50.0), _TISSUE),
    SceneKind("spread cells", spread_cell, (20.0, 150.0), _TISSUE),
    SceneKind("limb with claws", limb, (100.0, 2000.0), _INSECTS),
    SceneKind("mould with spores", mould, (30.0, 400.0), _TISSUE),
)
