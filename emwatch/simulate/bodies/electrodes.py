"""Electrodes, leads, pads and channels: the flat parts of the devices that `mems` shows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from emwatch.simulate.bodies.grounds import debris
from emwatch.simulate.bodies.layout import Layout, wafer
from emwatch.simulate.bodies.shapes import extrude, leaning

if TYPE_CHECKING:
    from emwatch.simulate.bodies.stage import Stage


def fingers(stage: Stage) -> None:
    """Interdigitated electrodes with their bus bars, leads and square pads; near, one end of the fingers."""
    ground = wafer(stage)
    lay = Layout(stage, math.exp(stage.between(math.log(0.6), math.log(4.0))))
    count, thick = stage.number(6, 26), stage.unit * stage.between(0.003, 0.015)
    pitch, metal = 0.7 / count, ground + stage.between(0.15, 0.45)
    parts = [lay.bar(-0.4, -0.5, 0.4, -0.42), lay.bar(-0.4, 0.42, 0.4, 0.5)]
    parts += [
        lay.bar(-0.35 + n * pitch, (-0.42, -0.32)[n % 2], -0.35 + (n + 0.5) * pitch, (0.32, 0.42)[n % 2])
        for n in range(count)
    ]
    for end in (-1, 1):
        parts += lay.strip([(0, end * 0.46), (0, end * 0.6), (end * 0.5, end * 0.75)], 0.06)
        parts.append(lay.bar(end * 0.5 - 0.18, end * 0.75 - 0.15, end * 0.5 + 0.18, end * 0.75 + 0.15))
    extrude(stage, parts, 0, thick, metal)
    debris(stage, 0.4)


def fan_out(stage: Stage) -> None:
    """Leads that run from pads at the border to a small middle, four to twenty, bent at angles; something tiny between their ends."""
    ground = wafer(stage)
    lay = Layout(stage, math.exp(stage.between(math.log(0.7), math.log(4.0))))
    count, thick = stage.number(4, 18), stage.unit * stage.between(0.003, 0.014)
    hub, metal = stage.between(0.03, 0.1), ground + stage.between(0.15, 0.45)
    parts = []
    for index in range(count):
        lie = 2 * math.pi * (index + 0.5) / count
        c, s = math.cos(lie), math.sin(lie)
        wide = stage.between(0.012, 0.02) + 0.1 / count
        square = 1 / max(abs(c), abs(s))
        tip = (hub * c, hub * s)
        parts.append(
            lay.put(
                [
                    (tip[0] - s * 0.008, tip[1] + c * 0.008),
                    (0.35 * c - s * wide, 0.35 * s + c * wide),
                    (0.35 * c + s * wide, 0.35 * s - c * wide),
                    (tip[0] + s * 0.008, tip[1] - c * 0.008),
                ]
            )
        )
        parts += lay.strip([(0.34 * c, 0.34 * s), (0.6 * c * square, 0.6 * s * square)], wide * 2)
        parts.append(
            lay.bar(
                0.72 * c * square - 0.09, 0.72 * s * square - 0.09, 0.72 * c * square + 0.09, 0.72 * s * square + 0.09
            )
        )
    extrude(stage, parts, 0, thick, metal)
    if stage.chance(0.5):
        extrude(
            stage,
            [lay.disc(0, 0, hub * 0.6) if stage.chance(0.5) else lay.bar(-hub * 1.4, -hub * 0.3, hub * 1.4, hub * 0.3)],
            0,
            thick * 1.4,
            ground + 0.12,
        )
    debris(stage, 0.4)


def coil(stage: Stage) -> None:
    """Draw a flat coil or a meander: one lead wound round a middle or to and fro, pads at its ends, a bridge across."""
    ground = wafer(stage)
    lay = Layout(stage, math.exp(stage.between(math.log(0.7), math.log(2.6))))
    turns, thick = stage.number(3, 8), stage.unit * stage.between(0.006, 0.04)
    metal, width = ground + stage.between(0.15, 0.4), stage.between(0.35, 0.65) * 0.42 / turns
    if stage.chance(0.5):
        path, reach = [], 0.44
        for index in range(turns * 4):
            sx, sy = ((1, 1), (-1, 1), (-1, -1), (1, -1))[index % 4]
            path.append((sx * reach, sy * reach))
            if index % 4 == 3:
                reach -= 0.42 / turns
        parts = lay.strip(path, width)
        extrude(
            stage,
            lay.strip([(path[-1][0], path[-1][1]), (0.8, path[-1][1])], width),
            thick * 1.2,
            thick * 2,
            metal + 0.05,
        )
    else:
        path = [((-0.45 + 0.9 * (n // 2) / (2 * turns)), (-0.35, 0.35)[((n + 1) // 2) % 2]) for n in range(4 * turns)]
        parts = lay.strip(path, width * 0.7)
    parts += [lay.bar(path[0][0] - 0.02, path[0][1] - 0.02, path[0][0] + 0.3, path[0][1] + 0.25)]
    extrude(stage, parts, 0, thick, metal)
    debris(stage, 0.3)


def bonds(stage: Stage) -> None:
    """Bond pads in a row at a chip's edge, with wires welded on: squashed balls or wedges, wires that arch out of the picture."""
    ground = wafer(stage)
    pad, thick = stage.size(0.12, 0.4), stage.unit * 0.006
    count, wire = stage.number(1, 5), stage.between(0.1, 0.2)
    spots = [((n - (count - 1) / 2) * pad * 1.5, stage.between(-0.1, 0.3) * stage.unit) for n in range(count)]
    extrude(
        stage,
        [
            [
                (x - pad / 2, y - pad / 2),
                (x + pad / 2, y - pad / 2),
                (x + pad / 2, y + pad / 2),
                (x - pad / 2, y + pad / 2),
            ]
            for x, y in spots
        ],
        0,
        thick,
        ground + 0.25,
    )
    leads = [
        [(x - pad * 0.12, y), (x + pad * 0.12, y), (x + pad * 0.12, y + stage.deep), (x - pad * 0.12, y + stage.deep)]
        for x, y in spots
    ]
    extrude(stage, leads, 0, thick * 0.8, ground + 0.2)
    way = stage.rng.normal(-math.pi / 2, 0.4)
    for x, y in spots:
        radius = pad * wire
        if stage.chance(0.6):
            stage.ellipsoid(np.array([x, y, radius * 0.7]), (radius * 2.2, radius * 2.2, radius * 0.9), np.eye(3), 0.6)
            stage.balls(np.array([[x, y, radius * 1.8]]), np.array([radius * 1.3]), 0.6)
            start, rise = np.array([x, y, radius * 2]), 1.2
        else:
            stage.ellipsoid(
                np.array([x, y, radius * 0.4]), (radius * 2.4, radius * 1.3, radius * 0.6), leaning(way, 0.0), 0.6
            )
            start, rise = np.array([x, y, radius * 0.7]), 0.5
        share = np.linspace(0, 1, 40)[:, None]
        out = np.array([math.cos(way + stage.rng.normal(0, 0.05)), math.sin(way), 0.0])
        arch = (
            start
            + share * out * stage.unit * 1.6
            + np.array([0, 0, 1.0]) * np.sin(share * math.pi) ** 0.8 * rise * stage.unit * 0.35
        )
        stage.wire(arch, radius, 0.6)
    debris(stage, 0.4)


def probe_shank(stage: Stage) -> None:
    """Draw a shank with electrode sites along it and leads to each, pointed at its end, over a dark ground; or a row of sites near."""
    stage.terrain(stage.rough(stage.unit * 0.3) * np.float32(0.3) - stage.unit * 0.4, stage.between(0.05, 0.15))
    lay = Layout(stage, math.exp(stage.between(math.log(0.8), math.log(3.0))))
    wide, shanks, body = stage.between(0.12, 0.26), stage.number(1, 3), stage.between(0.3, 0.42)
    thick = stage.unit * stage.between(0.02, 0.05)
    sites, leads, outlines, rims = stage.number(4, 9), [], [], []
    for shank in range(shanks):
        y = (shank - (shanks - 1) / 2) * wide * 1.8
        outlines.append(
            lay.put([(-1.5, y - wide / 2), (0.4, y - wide / 2), (0.7, y), (0.4, y + wide / 2), (-1.5, y + wide / 2)])
        )
        for n in range(sites):
            x = 0.42 - n * 0.9 / sites
            rims.append(
                lay.disc(x, y, wide * 0.13)
                if shank % 2 == 0
                else lay.bar(x - wide * 0.12, y - wide * 0.12, x + wide * 0.12, y + wide * 0.12)
            )
            off = y + (n - (sites - 1) / 2) * wide * 0.75 / sites
            leads += lay.strip([(x, y), (x - 0.04, off), (-1.5, off)], wide * 0.035)
    extrude(stage, outlines, -thick, 0, body)
    extrude(stage, leads, 0, stage.unit * 0.002, body + 0.18)
    extrude(stage, rims, 0, stage.unit * 0.003, body + 0.3)


def channels(stage: Stage) -> None:
    """Draw a microfluidic device: channels that branch, chambers, round posts or a filter row within, inlets; walls upright."""
    top, depth = stage.between(0.35, 0.5), stage.unit * stage.between(0.03, 0.15)
    stage.terrain(
        np.full(stage.shape(), -depth, np.float32) + stage.rough(8, 2) * np.float32(0.1), stage.between(0.2, 0.32)
    )
    lay = Layout(stage, math.exp(stage.between(math.log(0.7), math.log(2.5))))
    width = stage.between(0.05, 0.14)
    cuts = lay.strip([(-2, 0), (-0.3, 0)], width) + lay.strip([(0.3, 0), (2, 0)], width)
    if stage.chance(0.6):
        cuts += [
            lay.put(
                [
                    (-0.35, -width / 2),
                    (-0.2, -0.25),
                    (0.2, -0.25),
                    (0.35, -width / 2),
                    (0.35, width / 2),
                    (0.2, 0.25),
                    (-0.2, 0.25),
                    (-0.35, width / 2),
                ]
            )
        ]
    else:
        cuts += (
            lay.strip([(-0.3, 0), (0.3, 0)], width)
            + lay.strip([(0, 0), (0.0, -1.5)], width)
            + lay.strip([(0, 0), (0.4, 1.5)], width)
        )
    cuts.append(lay.disc(-0.75, 0, stage.between(0.1, 0.2)))
    field = [
        [
            (-2 * stage.width, -2 * stage.deep),
            (2 * stage.width, -2 * stage.deep),
            (2 * stage.width, 2 * stage.deep),
            (-2 * stage.width, 2 * stage.deep),
        ]
    ]
    extrude(stage, field, -depth, 0, top, cuts, 0.04)
    inside = [lay.disc(x, y, 0.016, 16) for x in np.arange(-0.15, 0.16, 0.06) for y in np.arange(-0.18, 0.19, 0.06)]
    extrude(stage, inside, -depth, 0, top, grain=0.04)
    debris(stage, 0.3)
