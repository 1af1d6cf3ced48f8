"""Biological: what grew: cells, shells, grains, skins and limbs, soft or shaped by an organism, never by a mask."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind
from emwatch.simulate.planes import blurred
from emwatch.simulate.specimens.specimen import Specimen, Stroke, ball, oval

if TYPE_CHECKING:
    from emwatch.simulate.planes import Plane, Point

_CELLS = "Bozzola and Russell, Electron Microscopy: Principles and Techniques for Biologists, 2nd ed. (1999)"
_POLLEN = "Hesse et al., Pollen Terminology: an Illustrated Handbook (2009)"
_DIATOMS = "Round, Crawford and Mann, The Diatoms (1990)"
_INSECTS = "Chapman, The Insects: Structure and Function, 5th ed. (2013)"
_PLANTS = "Evert, Esau's Plant Anatomy, 3rd ed. (2006)"
_BLOOD = "Weisel and Litvinov, Subcell. Biochem. 82 (2017) 405: fibrin and red cells"
_BONE = "Boyde, J. R. Microsc. Soc. 92 (1972): bone by backscattered electrons"


def bacteria(specimen: Specimen) -> None:
    """Draw bacteria in a film of their own: soft curved rods, some dividing at a waist, held by slime and threads."""
    specimen.substrate(polish=0.3)
    width = specimen.scale(0.03, 0.09)
    matter = specimen.between(0.45, 0.6)
    threads = []
    for _ in range(specimen.count(12, 45)):
        at, angle, curve = specimen.place(width), specimen.between(0, 6.3), specimen.rng.normal(0, 0.25)
        cells = specimen.count(1, 3)
        base = specimen.between(0, width * 0.8)
        for _ in range(cells):
            for step in range(6):
                pinch = 0.82 if step in {0, 5} else 1.0
                specimen.body(ball(width * 0.5 * pinch, 0.85), at, base, matter)
                at = (at[0] + width * 0.36 * math.cos(angle), at[1] + width * 0.36 * math.sin(angle))
                angle += curve * 0.3
        for _ in range(specimen.count(1, 4)):
            points = specimen.path(at, specimen.between(0, 6.3), width * specimen.between(1, 4), 3.0)
            threads.append(Stroke(points, 1.6, width * 0.6, matter))
    specimen.strokes(threads)
    slime = np.clip(specimen.fractal(width * 4, 0.6) - specimen.between(0.0, 1.0), 0, 1)
    specimen.z += slime * np.float32(width * 0.4) + specimen.fractal(width * 0.4, 0.8) * np.float32(width * 0.012)


def yeast(specimen: Specimen) -> None:
    """Draw budding yeast: ovals with smaller ovals at one end, round scars, wrinkled where they dried."""
    specimen.substrate(polish=0.4)
    size, matter = specimen.scale(0.06, 0.16), specimen.between(0.45, 0.6)
    for _ in range(specimen.count(5, 26)):
        at, angle = specimen.place(), specimen.between(0, 6.3)
        long, wide = size * specimen.between(0.85, 1.2), size * specimen.between(0.65, 0.85)
        specimen.body(oval(long, wide, angle, wide), at, wide * 0.4, matter)
        if specimen.chance(0.6):
            share = specimen.between(0.3, 0.75)
            away = long + wide * share * 0.75
            bud = (at[0] + away * math.cos(angle), at[1] + away * math.sin(angle))
            specimen.body(oval(long * share, wide * share, angle, wide * share), bud, wide * 0.4, matter)
        if specimen.chance(0.5):
            lie = angle + specimen.between(0.8, 2.4)
            ring = np.hypot(
                *specimen.axes(origin=(at[0] + wide * 0.5 * math.cos(lie), at[1] + wide * 0.5 * math.sin(lie)))
            )
            specimen.z += np.exp(-(((ring - wide * 0.2) / (wide * 0.05)) ** 2)) * np.float32(wide * 0.08)
    body = specimen.z > size * 0.3
    specimen.z += body * specimen.fractal(size * 0.5, 0.7) * np.float32(size * specimen.between(0.0, 0.03))


def blood_and_fibrin(specimen: Specimen) -> None:
    """Draw red cells, dented discs, caught in a net of thin branching threads."""
    specimen.substrate()
    size = specimen.scale(0.1, 0.24)
    specimen.matter *= np.float32(0.5)
    threads = []
    for index in range(specimen.count(0, 70)):
        points = specimen.across(specimen.place(), specimen.between(0, 3.1), 0.8)
        threads.append(
            Stroke(points, size * specimen.between(0.02, 0.07), index % 5 * size * 0.12, specimen.between(0.3, 0.5))
        )
    specimen.strokes(threads[::2])
    side = np.linspace(-1, 1, 2 * math.ceil(size) + 1, dtype=np.float32)
    for _ in range(specimen.count(5, 24)):
        squash, angle = specimen.between(0.45, 1.0), specimen.between(0, 3.1)
        cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
        run, off = side[None, :] * cos + side[:, None] * sin, side[:, None] * cos - side[None, :] * sin
        square = run * run + (off / np.float32(squash)) ** 2
        rim = np.sqrt(np.maximum(1 - square, 0)) * (np.float32(0.3) + np.float32(1.1) * square)
        disc = np.where(square < 1, (rim * np.float32(0.6) + off * np.float32(1 - squash)) * np.float32(size), -np.inf)
        specimen.body(disc.astype(np.float32), specimen.place(size * 0.5), size * specimen.between(0.3, 0.9), 0.5)
    specimen.strokes(Stroke(stroke.points, stroke.width, size * 1.2, stroke.matter) for stroke in threads[1::6])


def microvilli(specimen: Specimen) -> None:
    """Draw cells in culture close up: round bodies covered with short threads, ruffles between, a flat skirt."""
    specimen.substrate()
    width = max(1.5, specimen.scale(0.004, 0.01))
    strokes = []
    for _ in range(specimen.count(1, 5)):
        radius, at = specimen.scale(0.14, 0.4), specimen.place(-0.1 * specimen.unit)
        specimen.body(
            oval(radius, radius * specimen.between(0.75, 1), specimen.between(0, 3), radius * 0.7), at, 0, 0.4
        )
        for number in range(round(radius * radius / (width * width) * 0.05)):
            away, lie = math.sqrt(specimen.rng.random()) * radius * 0.97, number * 2.399963
            foot = (at[0] + away * math.cos(lie), at[1] + away * math.sin(lie))
            rise = radius * 0.7 * math.sqrt(max(0.0, 1 - (away / radius) ** 2))
            points = specimen.path(
                foot, lie + specimen.rng.normal(0, 0.7), width * specimen.between(2, 6) * (0.4 + away / radius), 5
            )
            strokes.append(Stroke(points, width, rise, 0.6))
        for _ in range(specimen.count(10, 40)):
            lie = specimen.between(0, 6.3)
            foot = (at[0] + radius * 0.9 * math.cos(lie), at[1] + radius * 0.9 * math.sin(lie))
            strokes.append(Stroke(specimen.path(foot, lie, radius * specimen.between(0.2, 0.9), 0.8), width, 1, 0.5))
    specimen.strokes(strokes)


def grain_with_furrows(specimen: Specimen) -> None:
    """Draw a pollen grain, large: an oval with furrows from end to end, its wall a net, or spiny, or finely pitted."""
    specimen.substrate()
    for _ in range(specimen.count(1, 3)):
        long, squash, angle = specimen.scale(0.22, 0.45), specimen.between(0.6, 1.0), specimen.between(0, 3.1)
        at = specimen.place(-0.25 * specimen.unit)
        run, off = specimen.axes(angle, at)
        square = (run / np.float32(long)) ** 2 + (off / np.float32(long * squash)) ** 2
        dome = np.sqrt(np.maximum(1 - square, 0))
        there = square < 1
        wall = specimen.count(0, 2)
        cell = long * specimen.between(0.07, 0.2)
        cells = specimen.cells(cell, 0.8, bend=cell * 0.1)
        if wall == 0:
            relief = np.clip(1 - cells.border / np.float32(cell * 0.15), 0, 1) * np.float32(cell * 0.3)
        elif wall == 1:
            relief = np.clip(1 - cells.away / np.float32(cell * 0.35), 0, 1) * np.float32(cell * 0.9)
        else:
            relief = -np.clip(1 - cells.away / np.float32(cell * 0.3), 0, 1) * np.float32(cell * 0.3)
        lobes = specimen.count(1, 3)
        across = off / np.maximum(dome, 0.2) / np.float32(long * squash)
        furrow = np.exp(-(((across - np.rint(across * lobes / 2) * 2 / lobes) / np.float32(0.09)) ** 2)) * (
            np.abs(run) < long * 0.85
        )
        z = (
            dome * np.float32(long * squash * 0.8)
            + relief * (1 - furrow)
            - furrow * np.float32(long * 0.14)
            + np.float32(2)
        )
        higher = there & (z > specimen.z)
        specimen.z = np.where(higher, z, specimen.z).astype(np.float32)
        specimen.matter[higher] = 0.5


def round_diatom(specimen: Specimen) -> None:
    """Draw a round diatom valve: pores in rows that run out from the middle, a plain ring, ribs and spines at the rim."""
    specimen.substrate()
    radius, at = specimen.scale(0.3, 0.6), specimen.place(-0.4 * specimen.unit)
    squash = specimen.between(0.6, 1.0)
    x, y = specimen.axes(specimen.between(0, 3.1), at)
    y = y / np.float32(squash)
    away, around = np.hypot(x, y), np.arctan2(y, x)
    pitch = radius * specimen.between(0.03, 0.07)
    ring = np.rint(away / np.float32(pitch))
    number = np.maximum(np.rint(ring * np.float32(2 * math.pi)), 1)
    step = around * number / np.float32(2 * math.pi)
    pore = np.hypot(
        away - ring * np.float32(pitch), (step - np.rint(step)) * np.float32(pitch)
    ) < pitch * specimen.between(0.25, 0.38)
    valve = away < radius
    plain = (np.abs(away / radius - specimen.between(0.15, 0.5)) < 0.03) | (away > radius * 0.9)
    ribs = np.cos(around * np.float32(specimen.count(24, 70))) * (away > radius * 0.9)
    dome = np.float32(radius * 0.25) * (1 - (away / np.float32(radius)) ** specimen.count(2, 6)) + np.float32(3)
    z = dome + ribs * np.float32(pitch * 0.2) - (pore & ~plain) * np.float32(pitch)
    specimen.z = np.where(valve, z, specimen.z).astype(np.float32)
    specimen.matter = np.where(valve, np.where(pore & ~plain, 0.18, 0.5), specimen.matter).astype(np.float32)
    specimen.matter = blurred(specimen.matter, 0.8)


def compound_eye(specimen: Specimen) -> None:
    """Draw an insect's eye: a large dome of six-sided lenses, smaller towards its rim, bristles between them, the cheek beside."""
    specimen.matter[:] = specimen.between(0.2, 0.35)
    specimen.z += specimen.fractal(specimen.unit * 0.05, 0.5) * np.float32(1.5)
    radius = specimen.scale(0.45, 0.75)
    at = specimen.place(-0.3 * specimen.unit)
    x, y = specimen.axes(specimen.between(0, 1), at)
    away = np.hypot(x, y) / np.float32(radius)
    there = away < 1
    bend = np.arcsin(np.minimum(away, 0.999)) / np.maximum(away, 1e-3)
    pitch = np.float32(radius * specimen.between(0.06, 0.14))
    u, v = x * bend / pitch, y * bend / (pitch * np.float32(0.866))
    row = np.rint(v)
    shift = (row % 2) * np.float32(0.5)
    du, dv = u - shift - np.rint(u - shift), (v - row) * np.float32(0.866)
    lens = np.sqrt(np.maximum(1 - (du * du + dv * dv) * np.float32(3.0), 0))
    dome = np.sqrt(np.maximum(1 - away * away, 0)) * np.float32(radius * 0.5)
    specimen.z = np.where(there, dome + lens * pitch * np.float32(0.22) + np.float32(4), specimen.z).astype(np.float32)
    specimen.matter[there] = 0.45
    bristles = []
    for _ in range(specimen.count(10, 70)):
        lie, far = specimen.between(0, 6.3), math.sqrt(specimen.rng.random()) * radius * 0.95
        foot = (at[0] + far * math.cos(lie), at[1] + far * math.sin(lie))
        points = specimen.path(foot, lie + specimen.between(-0.4, 0.4), float(pitch) * specimen.between(0.6, 1.4), 0.5)
        bristles.append(Stroke(points, max(1.5, float(pitch) * 0.1), radius * 0.6, 0.65))
    specimen.strokes(bristles)


def hair_in_skin(specimen: Specimen) -> None:
    """Draw skin with a hair or two growing out of it: polygons of horny cells, their rims lifted, the hair scaly at its root."""
    size = specimen.scale(0.1, 0.25)
    cells = specimen.cells(size, 0.9, bend=size * 0.15)
    specimen.matter[:] = specimen.between(0.35, 0.5)
    lie = cells.ident * np.float32(30)
    specimen.z += (cells.dx * np.cos(lie) + cells.dy * np.sin(lie)) * np.float32(0.12)
    specimen.z += specimen.fractal(size, 0.5) * np.float32(size * 0.04) + specimen.soft(
        specimen.unit * 0.3
    ) * np.float32(size * 0.2)
    for _ in range(specimen.count(1, 3)):
        at, width = specimen.place(-0.1 * specimen.unit), specimen.scale(0.05, 0.14)
        specimen.layer(np.clip(width * 0.9 - np.hypot(*specimen.axes(origin=at)), 0, 1), -width * 0.5, 0.15)
        points = specimen.path(at, specimen.between(0, 6.3), 2 * specimen.unit, 0.4)
        pieces = [
            Stroke(points[number : number + 2], width * (1 - 0.04 * (number % 3)), width + number % 3 * 1.5, 0.5)
            for number in range(len(points) - 1)
        ]
        specimen.strokes(pieces)


def leaf_hairs(specimen: Specimen) -> None:
    """Draw a leaf's surface: bulging cells like a jigsaw, long tapered or star-shaped hairs over them, flakes of wax."""
    size = specimen.scale(0.07, 0.16)
    cells = specimen.cells(size, 0.9, bend=size * 0.25)
    specimen.z += np.sqrt(np.clip(cells.border / np.float32(size * 0.4), 0, 1)) * np.float32(size * 0.25)
    specimen.z += specimen.fractal(size * 0.3, 0.4) * np.float32(size * 0.02)
    specimen.matter[:] = specimen.between(0.3, 0.45)
    star, strokes = specimen.chance(0.4), []
    for _ in range(specimen.count(4, 18)):
        at, width, angle = specimen.place(), specimen.scale(0.012, 0.035), specimen.between(0, 6.3)
        arms = specimen.count(5, 9) if star else 1
        for arm in range(arms):
            points = specimen.path(
                at, angle + 2 * math.pi * arm / arms, specimen.unit * specimen.between(0.1, 0.5) / (1 + star), 0.4
            )
            count = len(points) - 1
            strokes += [
                Stroke(
                    points[index : index + 2],
                    width * (1 - 0.85 * index / count),
                    size * 0.4 + width * index * 0.1,
                    0.55,
                )
                for index in range(count)
            ]
    specimen.strokes(strokes)


def moulds(specimen: Specimen) -> None:
    """Draw a mould: threads that branch, heads of radiating chains, round warty spores strewn about."""
    specimen.substrate(polish=0.2)
    width = specimen.scale(0.02, 0.05)
    strokes: list[Stroke] = []
    heads: list[Point] = []
    for _ in range(specimen.count(3, 9)):
        points = specimen.path(
            specimen.place(), specimen.between(0, 6.3), specimen.unit * specimen.between(0.5, 1.2), 0.8
        )
        strokes.append(Stroke(points, width, specimen.between(0, width), 0.45))
        fork = points[len(points) // 2]
        strokes.append(
            Stroke(
                specimen.path((fork[0], fork[1]), specimen.between(0, 6.3), specimen.unit * 0.4, 0.8),
                width * 0.8,
                width * 0.3,
                0.45,
            )
        )
        heads.append((points[-1][0], points[-1][1]))
    specimen.strokes(strokes)
    spore = ball(width * 0.8)
    for at in heads:
        radius = width * specimen.between(1.5, 4)
        for index in range(round((radius / width) ** 2 * 5)):
            share, lie = math.sqrt((index + 0.5) / ((radius / width) ** 2 * 5)), index * 2.399963
            here = (at[0] + radius * share * math.cos(lie), at[1] + radius * share * math.sin(lie))
            specimen.body(spore, here, width + radius * math.sqrt(1 - share * share), 0.55)
    for _ in range(specimen.count(5, 40)):
        specimen.body(spore, specimen.place(), 0, 0.55)


def bone(specimen: Specimen) -> None:
    """Draw polished bone by backscattered electrons: rings of lamellae round dark canals, small dark spindles along them."""
    size = specimen.scale(0.2, 0.5)
    cells = specimen.cells(size, 0.8, bend=size * 0.12)
    away = cells.away + specimen.soft(size * 0.3) * np.float32(size * 0.02)
    lamella: Plane = np.cos(away / np.float32(size * specimen.between(0.012, 0.03)) * np.float32(math.pi))
    specimen.matter[:] = (
        np.float32(0.4) + (cells.ident - np.float32(0.5)) * np.float32(0.2) + lamella * np.float32(0.02)
    )
    canal = np.clip((np.float32(size * 0.1) * (np.float32(0.6) + cells.ident) - away) / 2, 0, 1)
    line = np.clip(1 - np.abs(cells.border - np.float32(size * 0.02)) / 2, 0, 1)
    specimen.matter += line * np.float32(0.1)
    lacunae = specimen.cells(size * 0.13, 1.0)
    flat = np.hypot(lacunae.dx, lacunae.dy * np.float32(2.4))
    hole = np.clip((np.float32(size * 0.018) * (1 + lacunae.ident) - flat) / 1.5, 0, 1)
    specimen.matter *= 1 - np.maximum(canal, hole) * np.float32(0.9)
    specimen.z -= np.maximum(canal, hole) * np.float32(size * 0.03)


KINDS: Final[tuple[SceneKind[Specimen], ...]] = (
    SceneKind("bacteria", bacteria, (3.0, 40.0), _CELLS),
    SceneKind("yeast", yeast, (15.0, 100.0), _CELLS),
    SceneKind("blood and fibrin", blood_and_fibrin, (15.0, 100.0), _BLOOD),
    SceneKind("microvilli", microvilli, (10.0, 60.0), _CELLS),
    SceneKind("pollen with furrows", grain_with_furrows, (20.0, 150.0), _POLLEN),
    SceneKind("round diatom", round_diatom, (10.0, 150.0), _DIATOMS),
    SceneKind("compound eye", compound_eye, (100.0, 2000.0), _INSECTS),
    SceneKind("hair in skin", hair_in_skin, (100.0, 1500.0), _CELLS),
    SceneKind("leaf hairs", leaf_hairs, (80.0, 1500.0), _PLANTS),
    SceneKind("mould", moulds, (20.0, 400.0), _CELLS),
    SceneKind("bone", bone, (100.0, 2000.0), _BONE),
)
