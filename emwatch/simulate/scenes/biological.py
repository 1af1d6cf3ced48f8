"""Biological: shapes of organisms: soft, curved, bilateral or radial, never machined."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind
from emwatch.simulate.planes import blurred
from emwatch.simulate.scenes.canvas import lay_ground

if TYPE_CHECKING:
    from emwatch.simulate.planes import Plane
    from emwatch.simulate.scenes.canvas import Canvas


def blood_cells(canvas: Canvas) -> None:
    """Draw discs with a dent on both sides, lying apart or leaning on each other."""
    lay_ground(canvas)
    radius = canvas.unit * canvas.spread(0.09, 0.3)
    x, y = canvas.grid()
    tone = canvas.between(0.4, 0.65)
    wanted = canvas.between(0.2, 0.6) * canvas.width * canvas.height / (3 * radius * radius)
    for index in range(max(1, min(22, round(wanted)))):
        at = (canvas.between(-0.5, 0.5) * canvas.width, canvas.between(-0.5, 0.5) * canvas.height)
        squash, turn = canvas.between(0.55, 1.0), canvas.between(0, math.pi)
        dx, dy = x - np.float32(at[0]), y - np.float32(at[1])
        along, across = dx * math.cos(turn) + dy * math.sin(turn), (dy * math.cos(turn) - dx * math.sin(turn)) / squash
        r2 = (along * along + across * across) / np.float32(radius * radius)
        thick = np.sqrt(np.clip(1 - r2, 0, 1)) * (
            np.float32(0.22) + np.float32(1.6) * np.clip(r2, 0, 1) - np.float32(1.1) * np.clip(r2, 0, 1) ** 2
        )
        z = np.where(
            r2 < 1,
            thick * np.float32(radius * 0.5)
            + np.float32(index * radius * 0.04 + 1)
            + across * np.float32((1 - squash) * 0.5),
            np.float32(-np.inf),
        )
        canvas.stamp((slice(0, canvas.height), slice(0, canvas.width)), z.astype(np.float32), tone)


def diatom(canvas: Canvas) -> None:
    """Draw one diatom shell: a long or round valve with rows of fine pores, a rib and a rim."""
    lay_ground(canvas)
    x, y = canvas.grid(canvas.between(0, math.pi))
    long, wide = canvas.unit * canvas.between(0.38, 0.62), canvas.unit * canvas.between(0.12, 0.38)
    power = np.float32(canvas.between(1.6, 2.6))
    r = (np.abs(x) / np.float32(long)) ** power + (np.abs(y) / np.float32(wide)) ** np.float32(2)
    shell = r < 1
    dome = np.sqrt(np.clip(1 - r, 0, 1))
    pitch = np.float32(canvas.unit * canvas.between(0.018, 0.04))
    fan = y / (np.float32(0.35) + dome)
    pores = np.cos(x / pitch * np.float32(2 * math.pi)) + np.cos(
        fan / pitch * np.float32(2 * math.pi * canvas.between(0.6, 1.2))
    )
    rib = np.abs(y) < wide * canvas.between(0.03, 0.08)
    dark = np.clip(pores - np.float32(0.7), 0, 1) * (shell & ~rib & (r < 0.86))
    rim = np.exp(-(((r - np.float32(0.95)) / np.float32(0.07)) ** 2))
    z = dome * np.float32(wide * 0.6) + rim * np.float32(wide * 0.12) - dark * pitch * np.float32(0.8)
    canvas.stamp(
        (slice(0, canvas.height), slice(0, canvas.width)),
        np.where(shell, z, -np.inf).astype(np.float32),
        canvas.between(0.45, 0.65),
    )
    canvas.tone -= dark * np.float32(0.3)


def pollen(canvas: Canvas) -> None:
    """Draw one to a few pollen grains: large balls covered with spines, or with a net of ridges."""
    lay_ground(canvas)
    radius = canvas.unit * canvas.spread(0.16, 0.42)
    spiny = canvas.chance(0.5)
    for _ in range(1 if radius > canvas.unit * 0.28 else int(canvas.rng.integers(1, 5))):
        x, y = canvas.anywhere(-radius * 0.7)
        canvas.sphere(x, y, radius, canvas.between(0.4, 0.55))
        if spiny:
            _spines(canvas, x, y, radius)
    if not spiny:
        solid = canvas.z > radius * 0.2
        size = radius * canvas.between(0.12, 0.3)
        cells = canvas.cells(size, warp_px=size * 0.2)
        ridge = np.clip(1 - cells.border / np.float32(size * 0.12), 0, 1)
        canvas.z += solid * ridge * np.float32(size * 0.3)
        canvas.tone += solid * (ridge * np.float32(0.25) - np.float32(0.1))


def _spines(canvas: Canvas, x: float, y: float, radius: float) -> None:
    """Set spines evenly over the near half of a ball (golden-angle spiral), and around its outline."""
    count = round(canvas.between(40, 110))
    size = radius * canvas.between(0.08, 0.14)
    for index in range(count):
        level = 1 - index / count
        away = math.sqrt(max(0.0, 1 - level * level))
        turn = index * 2.399963 + x
        foot = (x + radius * away * math.cos(turn), y + radius * away * math.sin(turn))
        reach = size * (0.3 + 1.6 * away)
        end = (foot[0] + reach * math.cos(turn), foot[1] + reach * math.sin(turn))
        base = radius * level
        canvas.capsule(foot, end, (size * 0.5, size * 0.12), 0.6, base, base + size * 1.5 * level)


def spread_cell(canvas: Canvas) -> None:
    """Draw an adherent cell: a raised nucleus, a flat veil, and thin processes that reach out and branch."""
    lay_ground(canvas)
    middle = (canvas.width * canvas.between(0.35, 0.65), canvas.height * canvas.between(0.35, 0.65))
    core = canvas.unit * canvas.between(0.08, 0.2)
    tone = canvas.between(0.5, 0.7)
    for _ in range(int(canvas.rng.integers(18, 60))):
        lie, at = canvas.between(0, 2 * math.pi), middle
        thick = core * canvas.between(0.02, 0.14)
        points = [at]
        for _ in range(int(canvas.rng.integers(4, 12))):
            lie += canvas.rng.normal(0, 0.22)
            points.append((points[-1][0] + core * 0.5 * math.cos(lie), points[-1][1] + core * 0.5 * math.sin(lie)))
        canvas.strand(np.array(points), (thick, max(0.8, thick * 0.2)), tone)
    canvas.ellipsoid(middle, (core * 1.7, core * 1.2), canvas.between(0, math.pi), tone, height_px=core * 0.5)
    canvas.ellipsoid(
        middle, (core, core * 0.85), canvas.between(0, math.pi), tone + 0.1, base=core * 0.2, height_px=core * 0.7
    )
    canvas.z += (canvas.z > core * 0.2) * canvas.noise(core * 0.12, 3) * np.float32(core * 0.02)


def scales(canvas: Canvas) -> None:
    """Draw overlapping scales of a wing or a skin, in staggered rows, each with fine ridges."""
    pitch = canvas.unit * canvas.spread(0.16, 0.4)
    turn = canvas.between(-0.5, 0.5)
    rows, columns = round(canvas.height / pitch * 2.4) + 5, round(canvas.width / pitch) + 5
    canvas.tone[:] = 0.15
    for row in range(rows):
        for column in range(columns):
            x = (column - 2 + 0.5 * (row % 2) + canvas.between(-0.07, 0.07)) * pitch - canvas.width / 2
            y = (row - 2) * pitch * 0.55 - canvas.height / 2
            at = (
                canvas.width / 2 + x * math.cos(turn) - y * math.sin(turn),
                canvas.height / 2 + x * math.sin(turn) + y * math.cos(turn),
            )
            lie = turn + canvas.rng.normal(0, 0.08)
            _scale(canvas, at, lie, pitch, row)


def _scale(canvas: Canvas, at: tuple[float, float], lie: float, pitch: float, row: int) -> None:
    cos, sin = abs(math.cos(lie)) * pitch, abs(math.sin(lie)) * pitch
    wide, tall = 0.52 * cos + 1.1 * sin, 1.1 * cos + 0.52 * sin
    box = canvas.window(at[0] - wide, at[1] - tall, at[0] + wide, at[1] + tall)
    if box is None:
        return
    y = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None] - np.float32(at[1])
    x = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None, :] - np.float32(at[0])
    across, along = x * math.cos(lie) + y * math.sin(lie), y * math.cos(lie) - x * math.sin(lie)
    down = along * np.where(along > 0, np.float32(1 / (pitch * 0.75)), np.float32(1 / (pitch * 1.1)))
    down *= down  # twice squared: a power of floats takes longer than all the rest
    inside = 1 - (across / np.float32(pitch * 0.52)) ** 2 - down * down
    ridges = np.abs(np.sin(across * np.float32(math.pi * 9 / pitch)))
    z = np.where(
        inside > 0,
        np.float32(row * pitch * 0.02)
        + along * np.float32(0.35)
        + ridges * np.float32(pitch * 0.015)
        + np.sqrt(np.maximum(inside, 0)) * np.float32(pitch * 0.12),
        np.float32(-np.inf),
    )
    canvas.stamp(box, (z + np.float32(pitch)).astype(np.float32), canvas.between(0.4, 0.55))


def leaf(canvas: Canvas) -> None:
    """Draw a leaf's skin: jigsaw cells that bulge, and lens-shaped stomata with two lips."""
    size = canvas.unit * canvas.spread(0.14, 0.32)
    cells = canvas.cells(size, warp_px=size * 0.3)
    bulge = np.clip(cells.border / np.float32(size * 0.25), 0, 1)
    canvas.z[:] = np.sqrt(bulge) * np.float32(size * 0.16) + canvas.noise(size * 0.15, 2) * np.float32(size * 0.008)
    canvas.tone[:] = canvas.between(0.35, 0.5)
    x, y = canvas.grid()
    lie = canvas.between(0, math.pi)
    for _ in range(int(canvas.rng.integers(2, 9))):
        at = (canvas.between(-0.5, 0.5) * canvas.width, canvas.between(-0.5, 0.5) * canvas.height)
        turn = lie + canvas.rng.normal(0, 0.4)
        dx, dy = x - np.float32(at[0]), y - np.float32(at[1])
        along, across = dx * math.cos(turn) + dy * math.sin(turn), dy * math.cos(turn) - dx * math.sin(turn)
        r = np.sqrt((along / np.float32(size * 0.42)) ** 2 + (across / np.float32(size * 0.27)) ** 2)
        lips = np.exp(-(((r - np.float32(0.7)) / np.float32(0.22)) ** 2))
        slit = np.clip(1 - ((along / np.float32(size * 0.24)) ** 2 + (across / np.float32(size * 0.06)) ** 2), 0, 1)
        canvas.z *= 1 - np.exp(-(r**4))
        canvas.z += lips * np.float32(size * 0.16)
        canvas.lay(np.clip(slit * 4, 0, 1).astype(np.float32), -size * 0.1, 0.05)


def insect(canvas: Canvas) -> None:
    """Draw a jointed leg or feeler with bristles, against empty space."""
    lay_ground(canvas)
    canvas.tone *= np.float32(0.4)
    at = (canvas.between(-0.1, 0.2) * canvas.width, canvas.between(0.1, 0.9) * canvas.height)
    lie = math.atan2(canvas.height / 2 - at[1], canvas.width / 2 - at[0]) + canvas.rng.normal(0, 0.15)
    thick = canvas.unit * canvas.between(0.05, 0.15)
    for joint in range(int(canvas.rng.integers(3, 7))):
        length = canvas.unit * canvas.between(0.2, 0.45)
        end = (at[0] + length * math.cos(lie), at[1] + length * math.sin(lie))
        canvas.capsule(at, end, (thick * 0.8, thick), 0.5)
        for _ in range(round(canvas.between(10, 28))):
            place, side = canvas.rng.random(), 1 if canvas.chance(0.5) else -1
            root = (at[0] + (end[0] - at[0]) * place, at[1] + (end[1] - at[1]) * place)
            out = canvas.between(-0.9, 0.9) * thick
            root = (root[0] - out * math.sin(lie), root[1] + out * math.cos(lie))
            reach = thick * canvas.between(0.6, 1.8)
            canvas.straight(
                root, lie + side * canvas.between(0.3, 1.0), reach, (thick * 0.05 + 0.6, 0.5), 0.75, thick * 1.9
            )
        at, lie, thick = end, lie + canvas.rng.normal(0, 0.3), thick * canvas.between(0.7, 0.95)
        if joint > 6:
            break
    canvas.z += (canvas.z > thick * 0.3) * canvas.noise(thick * 0.3, 3) * np.float32(thick * 0.02)


def foraminifer(canvas: Canvas) -> None:
    """Draw a shell of round chambers that grow along a spiral, with fine pores."""
    lay_ground(canvas)
    size = canvas.unit * canvas.between(0.14, 0.24)
    turn, grow = canvas.between(0, 2 * math.pi), canvas.between(0.82, 0.92)
    middle = (canvas.width * canvas.between(0.4, 0.6), canvas.height * canvas.between(0.4, 0.6))
    for index in range(int(canvas.rng.integers(8, 18)), -1, -1):
        chamber = size * grow**index
        angle = turn - index * canvas.between(0.62, 0.72)
        at = (middle[0] + 1.15 * chamber * math.cos(angle), middle[1] + 1.15 * chamber * math.sin(angle))
        canvas.ellipsoid(
            at,
            (chamber, chamber * canvas.between(0.8, 1.0)),
            angle,
            canvas.between(0.45, 0.6),
            base=1.0,
            height_px=chamber * 0.9,
        )
    shell = canvas.z > size * 0.15
    pit = size * canvas.between(0.07, 0.13)
    pores = np.clip(1 - (canvas.cells(pit).nearest / np.float32(pit * 0.33)) ** 2, 0, 1)
    canvas.z -= shell * pores * np.float32(pit * 0.4)
    canvas.tone -= shell * pores * np.float32(0.15)


def tissue(canvas: Canvas) -> None:
    """Draw an embedded, stained section: pale cells with membranes, nuclei and granules, squeezed along one direction."""
    size = canvas.unit * canvas.spread(0.2, 0.45)
    cells = canvas.cells(size, warp_px=size * 0.25, angle=canvas.between(0, math.pi))
    canvas.tone[:] = np.float32(0.3) + (cells.ident - np.float32(0.5)) * np.float32(0.12)
    canvas.tone += canvas.noise(size * 0.15, 2) * np.float32(0.015)
    membrane = np.exp(-((cells.border / np.float32(size * canvas.between(0.02, 0.05))) ** 2))
    edge = np.float32(size * 0.26) - cells.nearest + canvas.noise(size * 0.2, 1) * np.float32(size * 0.03)
    nucleus = np.clip(edge / 2, 0, 1) * (cells.ident > 0.35)
    envelope = np.exp(-((edge / np.float32(size * 0.02)) ** 2)) * (cells.ident > 0.35)
    chromatin = np.clip(canvas.noise(size * 0.08, 2), -1, 1.5)
    canvas.tone += membrane * np.float32(0.35) + envelope * np.float32(0.25)
    canvas.tone += nucleus * (np.float32(0.08) + chromatin * np.float32(0.06))
    grains = canvas.cells(size * 0.13, warp_px=size * 0.03)
    granule = np.clip((np.float32(size * 0.035) - grains.nearest) / 2, 0, 1) * (grains.ident > 0.6)
    canvas.tone += granule * (1 - nucleus) * np.float32(canvas.between(0.15, 0.4))


def plant_section(canvas: Canvas) -> None:
    """Draw a cut through a stem: rounded cells with thick grey walls, open or half full, a skin where the stem ends."""
    size = canvas.unit * canvas.spread(0.09, 0.26)
    cells = canvas.cells(size, jitter=canvas.between(0.5, 0.85), warp_px=size * 0.05)
    border = blurred(cells.border, size * 0.06)
    half = np.float32(size * canvas.between(0.09, 0.17)) * (np.float32(0.7) + cells.ident * np.float32(0.6))
    if canvas.chance(0.5):
        x, _ = canvas.grid(canvas.between(0, 2 * math.pi))
        skin = np.clip(x / np.float32(canvas.unit * 0.05) - canvas.between(2.0, 8.0), 0, 1)
        half = half + skin * np.float32(size)
    lumen = np.clip((border - half) / np.float32(max(1.0, size * 0.03)) + np.float32(0.5), 0, 1)
    wall = canvas.between(0.4, 0.55)
    canvas.tone[:] = wall
    canvas.tone -= np.clip(1 - cells.border / np.float32(max(1.0, size * 0.02)), 0, 1) * np.float32(
        canvas.between(0.0, 0.12)
    )
    inside = np.float32(wall * canvas.between(0.35, 0.7)) + (cells.ident - np.float32(0.5)) * np.float32(0.14)
    inside = inside + np.clip(cells.dy / np.float32(size), -0.5, 0.5) * np.float32(0.2)
    canvas.tone += lumen * (inside - canvas.tone)
    canvas.z -= lumen * np.float32(size * canvas.between(0.15, 0.3))
    canvas.z += canvas.noise(size * 0.12, 3) * np.float32(size * canvas.between(0.002, 0.012))
    for _ in range(int(canvas.rng.integers(0, 14))):
        x0, y0 = canvas.anywhere()
        canvas.ellipsoid((x0, y0), (size * 0.12, size * 0.07), canvas.between(0, 3), 0.75, base=size * 0.1)


def microfossil(canvas: Canvas) -> None:
    """Draw one shell that nearly fills the frame: an oval or lobed dome, pierced, knobbed, ribbed or ringed."""
    lay_ground(canvas, rough=False)
    x, y = canvas.grid(canvas.between(0, math.pi))
    long = canvas.unit * canvas.between(0.3, 0.55)
    wide = long * canvas.between(0.55, 1.0)
    angle, away = np.arctan2(y / np.float32(wide), x / np.float32(long)), np.hypot(x / long, y / wide)
    lobes = int(canvas.rng.integers(5, 14))
    lobed = np.cos(angle * np.float32(lobes) + away * np.float32(canvas.between(0, 5)))
    away = away * (1 + lobed * np.float32(canvas.between(0.0, 0.09)))
    dome = np.sqrt(np.clip(1 - away * away, 0, 1)) * np.float32(wide * canvas.between(0.5, 0.9))
    size = wide * canvas.spread(0.05, 0.2)
    style = int(canvas.rng.integers(4))
    dark: Plane | float = 0.0
    if style == 0:
        cells = canvas.cells(size, jitter=canvas.between(0.3, 0.8))
        dark = np.clip((np.float32(size * canvas.between(0.25, 0.38)) - cells.nearest) / np.float32(size * 0.1), 0, 1)
        relief = -dark * np.float32(size * 0.5)
    elif style == 1:
        cells = canvas.cells(size * 0.8)
        relief = np.sqrt(np.clip(1 - (cells.nearest / np.float32(size * 0.5)) ** 2, 0, 1)) * np.float32(size * 0.3)
    elif style == 2:
        relief = lobed * np.float32(size * 0.4) * np.clip(away, 0, 1)
        relief += np.sin(away * np.float32(canvas.between(20, 45))) * np.float32(size * 0.05)
    else:
        turn = away * np.float32(canvas.between(3, 9)) + angle / np.float32(2 * math.pi)
        relief = -(np.clip(1 - np.abs(turn % 1 - np.float32(0.5)) * 8, 0, 1)) * np.float32(size * 0.25)
        relief += np.clip(lobed * 3 - 2, 0, 1) * np.float32(size * 0.15)
    relief = relief + canvas.noise(size * 0.2, 2) * np.float32(size * 0.02)
    z = np.where(away < 1, dome + relief + np.float32(2), -np.inf)
    canvas.stamp((slice(0, canvas.height), slice(0, canvas.width)), z.astype(np.float32), canvas.between(0.45, 0.65))
    canvas.tone -= (away < 1) * dark * np.float32(0.35)


def chambered_shell(canvas: Canvas) -> None:
    """Draw a shell of swollen chambers, each larger than the last: a coil, or a tower of two rows; its skin pierced."""
    lay_ground(canvas, rough=False)
    count, growth = int(canvas.rng.integers(5, 15)), canvas.between(1.06, 1.25)
    coil, lie = canvas.chance(0.5), canvas.between(0, 2 * math.pi)
    step, at, radius = canvas.between(0.5, 1.1), (0.0, 0.0), 1.0
    bodies = []
    for index in range(count):
        bodies.append((at, radius))
        turn = index * step if coil else (0.7 if index % 2 else -0.7)
        at = (at[0] + radius * 0.95 * math.cos(turn), at[1] + radius * 0.95 * math.sin(turn))
        radius *= growth
    places = np.array([place for place, _ in bodies])
    reach = float(np.abs(places - places.mean(axis=0)).max()) + radius
    scale, middle = canvas.unit * canvas.between(0.38, 0.6) / reach, places.mean(axis=0)
    for (x, y), size in bodies:
        dx, dy = (x - middle[0]) * scale, (y - middle[1]) * scale
        place = (
            canvas.width / 2 + dx * math.cos(lie) - dy * math.sin(lie),
            canvas.height / 2 + dx * math.sin(lie) + dy * math.cos(lie),
        )
        canvas.sphere(*place, size * scale, canvas.between(0.48, 0.6), 1.0, canvas.between(0.8, 1.0))
    body = canvas.z > canvas.unit * 0.02
    pore = canvas.unit * canvas.spread(0.01, 0.035)
    cells = canvas.cells(pore, jitter=0.5)
    pierced = np.clip(1 - cells.nearest / np.float32(pore * canvas.between(0.25, 0.5)), 0, 1) * body
    sign = -1 if canvas.chance(0.7) else 1
    canvas.z += pierced * np.float32(sign * pore * canvas.between(0.2, 0.7))
    canvas.tone -= pierced * np.float32(0.12 * (sign < 0))
    canvas.z += body * canvas.noise(canvas.unit * 0.02, 3) * np.float32(canvas.unit * 0.0008)


KINDS: Final = (
    SceneKind("blood cells", blood_cells, (8.0, 60.0)),
    SceneKind("diatom", diatom, (10.0, 150.0)),
    SceneKind("pollen", pollen, (20.0, 200.0)),
    SceneKind("spread cell", spread_cell, (10.0, 120.0)),
    SceneKind("scales", scales, (50.0, 1000.0)),
    SceneKind("leaf", leaf, (50.0, 500.0)),
    SceneKind("insect", insect, (100.0, 3000.0)),
    SceneKind("foraminifer", foraminifer, (50.0, 800.0)),
    SceneKind("tissue", tissue, (10.0, 300.0)),
    SceneKind("plant section", plant_section, (30.0, 500.0)),
    SceneKind("microfossil", microfossil, (50.0, 1000.0)),
    SceneKind("chambered shell", chambered_shell, (50.0, 1000.0)),
)
