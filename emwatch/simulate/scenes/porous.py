"""Porous_Sponge: a connected solid full of holes of many sizes, without order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind
from emwatch.simulate.planes import blurred

if TYPE_CHECKING:
    from emwatch.simulate.scenes.canvas import Canvas


def closed_foam(canvas: Canvas) -> None:
    """Draw foam cells: thin bright walls around dark, deep cells."""
    size = canvas.unit * canvas.spread(0.05, 0.22)
    cells = canvas.cells(size, warp_px=size * canvas.between(0.0, 0.15))
    wall = np.float32(size * canvas.between(0.05, 0.13))
    solid = np.clip(1.5 - cells.border / wall, 0, 1)
    depth = np.float32(size * canvas.between(0.3, 0.8))
    canvas.z[:] = -depth * (1 - solid) * np.sqrt(np.clip(cells.border / np.float32(size * 0.4), 0, 1))
    canvas.tone[:] = (
        np.float32(0.12) + solid * np.float32(canvas.between(0.4, 0.7)) + cells.ident * np.float32(0.15) * (1 - solid)
    )


def threshold_sponge(canvas: Canvas) -> None:
    """Draw a bicontinuous sponge: two levels of winding ligaments."""
    size = canvas.unit * canvas.spread(0.025, 0.1)
    canvas.tone[:] = 0.08
    for level, floor in enumerate((-1.2, -0.5, 0.0)):
        plane = canvas.noise(size, 2)
        solid = np.clip((np.float32(canvas.between(0.35, 0.6)) - np.abs(plane)) * np.float32(3) + np.float32(0.5), 0, 1)
        canvas.z = (
            np.maximum(
                canvas.z * 1, np.where(solid > 0.1, np.float32(floor * size + size * 0.5) * 1 + solid * size, canvas.z)
            ).astype(np.float32)
            if level
            else (solid * np.float32(size * 0.4)).astype(np.float32)
        )
        canvas.tone += (solid > 0.1) * (np.float32(0.15 + 0.22 * level) - canvas.tone)


def bubbles(canvas: Canvas) -> None:
    """Draw round pores of many sizes, with windows into the pores behind."""
    canvas.tone[:] = canvas.between(0.4, 0.6)
    biggest = canvas.unit * canvas.spread(0.07, 0.2)
    pits = np.zeros_like(canvas.z)
    dark = np.zeros_like(canvas.z)
    area, wanted = 0.0, canvas.between(0.9, 1.6) * canvas.width * canvas.height
    while area < wanted:
        radius = biggest * min(1.0, canvas.rng.pareto(2.0) * 0.25 + 0.12)
        at = canvas.anywhere(radius)
        area += math.pi * radius * radius
        box = canvas.window(at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius)
        if box is None:
            continue
        y = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None] - np.float32(at[1])
        x = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None, :] - np.float32(at[0])
        inside = np.maximum(radius * radius - x * x - y * y, 0)
        pits[box] = np.maximum(pits[box], np.sqrt(inside))
        if canvas.chance(0.5):
            turn = canvas.between(0, 2 * math.pi)
            x, y = x - np.float32(radius * 0.4 * math.cos(turn)), y - np.float32(radius * 0.4 * math.sin(turn))
            dark[box] = np.maximum(dark[box], np.hypot(x, y) < radius * canvas.between(0.2, 0.4))
    canvas.z -= pits * np.float32(canvas.between(0.7, 1.2))
    canvas.lay(blurred(dark, 0.6), -biggest * 0.3, 0.05)


def open_foam(canvas: Canvas) -> None:
    """Draw open-cell foam: round struts in three layers, the deeper ones darker."""
    size = canvas.unit * canvas.spread(0.12, 0.32)
    canvas.tone[:] = 0.05
    for level in range(3):
        cells = canvas.cells(size * (0.75 + 0.12 * level), warp_px=size * 0.12)
        thick = np.float32(size * canvas.between(0.05, 0.11))
        inside = np.clip(1 - (cells.border / thick) ** 2, 0, None)
        z = np.where(
            inside > 0, np.float32((level - 2) * size * 0.6) + thick * np.sqrt(inside), np.float32(-1.6 * size)
        )
        canvas.z = z if level == 0 else np.maximum(canvas.z, z)
        canvas.tone += (inside > 0) * (np.float32(0.1 + 0.24 * level) - canvas.tone)


def membrane(canvas: Canvas) -> None:
    """Draw a filter membrane: a skin with irregular, often merging pores."""
    size = canvas.unit * canvas.spread(0.03, 0.12)
    plane = canvas.noise(size, 3)
    pore = np.clip((plane - np.float32(canvas.between(0.5, 1.1))) * np.float32(canvas.between(2, 6)), 0, 1)
    canvas.tone[:] = canvas.between(0.4, 0.6)
    canvas.z += canvas.noise(size * 0.5, 2) * np.float32(size * 0.05)
    canvas.lay(pore, -size * 1.2, 0.06)


def hierarchical(canvas: Canvas) -> None:
    """Draw big dark holes in a skeleton of small round grains, as an electrodeposited foam."""
    size = canvas.unit * canvas.spread(0.15, 0.4)
    holes = canvas.cells(size, jitter=0.7)
    hole = np.clip(
        (
            np.float32(size * canvas.between(0.22, 0.32))
            - holes.nearest
            + canvas.noise(size * 0.2, 2) * np.float32(size * 0.04)
        )
        / np.float32(size * 0.05),
        0,
        1,
    )
    grain = size * canvas.between(0.07, 0.14)
    grains = canvas.cells(grain, warp_px=grain * 0.2)
    dome = np.sqrt(np.clip(1 - (grains.nearest / np.float32(grain * 0.75)) ** 2, 0, 1))
    canvas.tone[:] = np.float32(canvas.between(0.4, 0.6)) + (grains.ident - np.float32(0.5)) * np.float32(0.15)
    canvas.z[:] = dome * np.float32(grain * 0.6) + grains.ident * np.float32(grain * 0.4)
    canvas.z += np.clip(holes.nearest, 0, size * 0.5) * np.float32(0.4)
    canvas.lay(hole, -size * 0.6, 0.04)


def lamellar(canvas: Canvas) -> None:
    """Draw a freeze-cast scaffold: wavy walls along one direction with bridges between them."""
    size = canvas.unit * canvas.spread(0.06, 0.16)
    angle = canvas.between(0, math.pi)
    x, y = canvas.grid(angle)
    x = x + canvas.noise(size * 3, 2) * np.float32(size * 0.8) + canvas.noise(size, 1) * np.float32(size * 0.15)
    sheet = np.abs((x / np.float32(size)) % 1 - np.float32(0.5)) * np.float32(size)
    bridge_phase = np.sin(np.floor(x / np.float32(size)) * np.float32(57.3)) * np.float32(400)
    pitch = np.float32(size * canvas.between(2.0, 4.0))
    bridge = (
        np.abs(((y + bridge_phase + canvas.noise(size, 1) * np.float32(size * 0.5)) / pitch) % 1 - np.float32(0.5))
        * pitch
    )
    thick = np.float32(size * canvas.between(0.08, 0.16))
    wall = np.clip(1.5 - np.minimum(np.float32(size / 2) - sheet, bridge * np.float32(1.4)) / thick, 0, 1)
    canvas.tone[:] = np.float32(0.07) + wall * np.float32(canvas.between(0.4, 0.6))
    canvas.z[:] = wall * np.float32(size * 0.6) + canvas.noise(size * 0.4, 2) * np.float32(size * 0.03)


def grain_foam(canvas: Canvas) -> None:
    """Draw an electrodeposited foam: strings of knobbed grains around large dark holes, deeper grains in shade."""
    size = canvas.unit * canvas.spread(0.14, 0.45)
    grain = size * canvas.between(0.07, 0.13)
    holes = canvas.cells(size, jitter=0.8)
    canvas.tone[:] = 0.04
    canvas.z[:] = -size
    open_radius = size * canvas.between(0.26, 0.36)
    count = min(4000, round(canvas.width * canvas.height / (grain * grain) * 1.6))
    for index in range(count):
        depth = index / count
        x, y = canvas.anywhere(grain)
        column, row = min(max(int(x), 0), canvas.width - 1), min(max(int(y), 0), canvas.height - 1)
        if holes.nearest[row, column] < open_radius + (depth - 0.6) * grain * 3:
            continue
        canvas.sphere(x, y, grain * canvas.between(0.6, 1.25), 0.12 + 0.5 * depth, (depth - 1) * size * 0.5)
    solid = canvas.tone > 0.1
    knobs = canvas.cells(grain * 0.6)
    bumps = np.sqrt(np.clip(1 - (knobs.nearest / np.float32(grain * 0.42)) ** 2, 0, 1))
    canvas.z += solid * bumps * np.float32(grain * canvas.between(0.1, 0.35))


def round_windows(canvas: Canvas) -> None:
    """Draw a foam of thick rounded struts: oval windows, and behind them the next walls with windows of their own."""
    size = canvas.unit * canvas.spread(0.12, 0.38)
    canvas.tone[:] = 0.05
    for level in range(3):
        cells = canvas.cells(size * (0.8 + 0.1 * level), jitter=0.75, warp_px=size * 0.06)
        radius = np.float32(size * canvas.between(0.27, 0.4))
        wall = np.clip((cells.nearest - radius * (np.float32(0.8) + cells.ident * np.float32(0.4))) / 2, 0, 1)
        rise = np.sqrt(np.clip((cells.nearest - radius) / np.float32(size * 0.25), 0, 1)) * np.float32(size * 0.12)
        z = np.float32((level - 2) * size * 0.5) + rise
        canvas.z = np.where(wall > 0.5, z, canvas.z if level else np.float32(-1.4 * size)).astype(np.float32)
        canvas.tone += wall * (np.float32(0.12 + 0.2 * level) - canvas.tone)


def ragged_sponge(canvas: Canvas) -> None:
    """Draw a dried gel: ragged ledges and thin sheets around ragged dark gaps, drawn out one way or not."""
    size = canvas.unit * canvas.spread(0.04, 0.14)
    stretch = canvas.between(1.0, 3.0)
    deep = canvas.noise(size, 4, stretch=stretch)
    gap = np.clip((deep - np.float32(canvas.between(0.2, 0.7))) * np.float32(2.5), 0, 1)
    ridged = np.abs(canvas.noise(size * 0.5, 3, stretch=stretch))
    canvas.z[:] = -ridged * np.float32(size * 0.22) - np.clip(deep, -1, 2) * np.float32(size * 0.3)
    canvas.tone[:] = np.float32(canvas.between(0.4, 0.55)) + np.clip(0.5 - ridged, 0, 1) * np.float32(0.2)
    canvas.lay(gap, -size * 0.4, 0.05)


KINDS: Final = (
    SceneKind("closed foam", closed_foam, (5.0, 1000.0)),
    SceneKind("threshold sponge", threshold_sponge, (0.5, 50.0)),
    SceneKind("bubbles", bubbles, (2.0, 500.0)),
    SceneKind("open foam", open_foam, (50.0, 3000.0)),
    SceneKind("membrane", membrane, (2.0, 100.0)),
    SceneKind("hierarchical", hierarchical, (5.0, 300.0)),
    SceneKind("lamellar", lamellar, (20.0, 1000.0)),
    SceneKind("grain foam", grain_foam, (5.0, 300.0)),
    SceneKind("round windows", round_windows, (20.0, 2000.0)),
    SceneKind("ragged sponge", ragged_sponge, (2.0, 100.0)),
)
