"""Films_Coated_Surface: a layer, from above or in section; flat or nearly so, without a pattern."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind
from emwatch.simulate.planes import blurred
from emwatch.simulate.scenes.canvas import lay_ground

if TYPE_CHECKING:
    from emwatch.simulate.scenes.canvas import Canvas


def polycrystal(canvas: Canvas) -> None:
    """Draw flat grains told apart by orientation contrast, with straight boundaries."""
    size = canvas.unit * canvas.spread(0.04, 0.2)
    cells = canvas.cells(size)
    canvas.tone[:] = np.float32(0.3) + cells.ident * np.float32(canvas.between(0.12, 0.35))
    groove = np.clip(1 - cells.border / np.float32(max(1.5, size * 0.03)), 0, 1)
    canvas.z[:] = -groove * np.float32(canvas.between(0.5, 2.0))
    if canvas.chance(0.3):
        canvas.tone += (canvas.noise(size * 0.1, 1) > 2.3) * np.float32(0.3)


def cracked(canvas: Canvas) -> None:
    """Draw mud cracks in a dried or brittle layer."""
    size = canvas.unit * canvas.spread(0.12, 0.45)
    cells = canvas.cells(size, warp_px=size * canvas.between(0.05, 0.12))
    canvas.tone[:] = canvas.between(0.35, 0.55)
    canvas.tone += canvas.noise(size, 2) * np.float32(0.02)
    gap = np.clip(1.5 - cells.border / np.float32(size * canvas.between(0.012, 0.04)), 0, 1)
    curl = np.clip(1 - cells.border / np.float32(size * 0.25), 0, 1) ** 2
    canvas.z += curl * np.float32(size * canvas.between(0.0, 0.05))
    canvas.lay(gap, -size * 0.08, 0.06)


def smooth(canvas: Canvas) -> None:
    """Draw a smooth coating: next to nothing but large soft stains, scratches and a few specks."""
    canvas.tone[:] = canvas.between(0.3, 0.5)
    canvas.tone += canvas.noise(canvas.unit * canvas.between(0.3, 0.9), 2) * np.float32(canvas.between(0.02, 0.08))
    for _ in range(int(canvas.rng.integers(0, 5))):
        x, y = canvas.anywhere()
        canvas.straight(
            (x, y),
            canvas.between(0, math.pi),
            canvas.unit * canvas.between(0.2, 1.2),
            (1.0, 1.0),
            canvas.between(0.2, 0.6),
        )
    for _ in range(int(canvas.rng.integers(1, 8))):
        x, y = canvas.anywhere()
        canvas.sphere(x, y, canvas.unit * canvas.between(0.003, 0.008), 0.8)


def wrinkled(canvas: Canvas) -> None:
    """Draw winding wrinkles of one wavelength, as a buckled stiff skin."""
    size = canvas.unit * canvas.spread(0.03, 0.1)
    x, y = canvas.grid(canvas.between(0, math.pi))
    order = canvas.between(0.5, 2.0)
    phase = x / np.float32(size) + canvas.noise(size * 4, 2) * np.float32(order)
    envelope = np.clip(canvas.noise(size * 6, 1) + np.float32(canvas.between(0.5, 2.0)), 0, 1)
    canvas.z[:] = np.cos(phase * np.float32(2 * math.pi)) * envelope * np.float32(size * canvas.between(0.06, 0.16))
    canvas.z += np.cos(y / np.float32(canvas.unit)) * np.float32(0.5)
    canvas.tone[:] = canvas.between(0.35, 0.5)


def section(canvas: Canvas) -> None:
    """Draw a layer stack in section: bands of different grey with rough interfaces, resin or vacuum above."""
    _, y = canvas.grid(canvas.between(-0.12, 0.12))
    y = y + np.float32(canvas.height / 2)
    levels = np.sort(canvas.rng.uniform(0.12, 0.9, int(canvas.rng.integers(2, 5)))) * canvas.height
    canvas.tone[:] = canvas.between(0.02, 0.15)
    for level in levels:
        rough = canvas.noise(canvas.unit * canvas.spread(0.03, 0.2), 3) * np.float32(
            canvas.unit * canvas.between(0.001, 0.025)
        )
        below = np.clip((y - np.float32(level) + rough) / np.float32(2) + np.float32(0.5), 0, 1)
        tone = canvas.between(0.2, 0.85)
        canvas.lay(below, canvas.between(-2, 4), tone)
        kind = canvas.rng.integers(3)
        inner = below * (y - level > 6)
        if kind == 0:
            pores = np.clip(
                (
                    canvas.noise(canvas.unit * canvas.between(0.015, 0.05), 2, stretch=canvas.between(1, 4))
                    - np.float32(1.7)
                )
                * 3,
                0,
                1,
            )
            canvas.tone += inner * pores * (np.float32(tone * 0.35) - canvas.tone)
        elif kind == 1:
            streak = canvas.noise(canvas.unit * 0.04, 2, stretch=0.15 if canvas.chance(0.5) else 6.0)
            canvas.tone += inner * streak * np.float32(0.04)


def pinholes(canvas: Canvas) -> None:
    """Draw a smooth layer with a few round pinholes and blisters, far apart."""
    canvas.tone[:] = canvas.between(0.35, 0.55)
    canvas.tone += canvas.noise(canvas.unit * 0.4, 2) * np.float32(0.03)
    canvas.z += canvas.noise(canvas.unit * canvas.between(0.02, 0.06), 2) * np.float32(0.2)
    x, y = canvas.grid()
    for _ in range(int(canvas.rng.integers(3, 22))):
        at = canvas.anywhere()
        radius = canvas.unit * canvas.spread(0.006, 0.05)
        away = np.hypot(x + np.float32(canvas.width / 2 - at[0]), y + np.float32(canvas.height / 2 - at[1]))
        if canvas.chance(0.6):
            canvas.lay(np.clip((np.float32(radius) - away) / 2, 0, 1), -radius * 0.5, 0.1)
        else:
            canvas.z += np.clip(1 - (away / np.float32(radius * 1.5)) ** 2, 0, 1) * np.float32(radius * 0.4)


def delaminated(canvas: Canvas) -> None:
    """Draw the torn edge of a layer: film on one side, bare substrate on the other, flakes between."""
    x, _ = canvas.grid(canvas.between(0, 2 * math.pi))
    edge = x + canvas.noise(canvas.unit * canvas.between(0.15, 0.4), 4) * np.float32(
        canvas.unit * canvas.between(0.05, 0.15)
    )
    film = np.clip(edge / np.float32(3) + np.float32(0.5), 0, 1)
    lay_ground(canvas)
    canvas.lay(film, canvas.unit * canvas.between(0.004, 0.02), canvas.between(0.4, 0.7))
    lifted = np.exp(-((edge / np.float32(canvas.unit * canvas.between(0.03, 0.12))) ** 2))
    canvas.z += film * lifted * np.float32(canvas.unit * canvas.between(0.0, 0.04))
    canvas.z += film * canvas.noise(canvas.unit * canvas.between(0.02, 0.1), 2) * np.float32(canvas.unit * 0.0006)


def ring_stain(canvas: Canvas) -> None:
    """Draw a dried drop or a coated edge: broad arcs of different grey around a far centre."""
    x, y = canvas.grid()
    at = (canvas.between(-0.5, 0.5) * canvas.width, canvas.between(-0.5, 0.5) * canvas.height)
    away = np.hypot(x - np.float32(at[0]), y - np.float32(at[1])) + canvas.noise(canvas.unit * 0.4, 2) * np.float32(
        canvas.unit * 0.01
    )
    canvas.tone[:] = canvas.between(0.15, 0.5)
    for _ in range(int(canvas.rng.integers(2, 6))):
        radius, soft = canvas.unit * canvas.between(0.2, 0.8), canvas.unit * canvas.spread(0.004, 0.1)
        step = np.clip((np.float32(radius) - away) / np.float32(soft), 0, 1)
        canvas.tone += step * (np.float32(canvas.between(0.1, 0.7)) - canvas.tone) * np.float32(0.7)
        canvas.z += step * np.float32(canvas.between(0, 3))
    grain = np.clip(canvas.noise(canvas.unit * 0.01, 1) - 2, 0, 1)
    canvas.tone += blurred(grain, 0.5) * np.float32(canvas.between(0, 0.5))


KINDS: Final = (
    SceneKind("polycrystal", polycrystal, (1.0, 200.0)),
    SceneKind("cracked", cracked, (5.0, 1000.0)),
    SceneKind("smooth", smooth, (1.0, 500.0)),
    SceneKind("wrinkled", wrinkled, (5.0, 500.0)),
    SceneKind("section", section, (0.5, 200.0)),
    SceneKind("pinholes", pinholes, (1.0, 200.0)),
    SceneKind("delaminated", delaminated, (2.0, 500.0)),
    SceneKind("ring stain", ring_stain, (50.0, 3000.0)),
)
