"""Patterned_surface: lithography seen from above or at a tilt. Regular, repeated over the frame, made by a mask."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.canvas import blurred
from emwatch.simulate.scenes.ground import bright, lay_ground
from emwatch.simulate.scenes.kind import Kind

if TYPE_CHECKING:
    from emwatch.simulate.canvas import Canvas, Plane


def _flat_angle(canvas: Canvas) -> float:
    """Choose how the pattern is turned: mostly along the scan, as an operator aligns it."""
    return canvas.between(-0.03, 0.03) if canvas.chance(0.6) else canvas.between(-math.pi / 2, math.pi / 2)


def _edges(value: Plane, soft: float) -> Plane:
    """Turn a signed distance (pixels, > 0 inside) into a mask with an edge ``soft`` pixels wide."""
    return np.asarray(np.clip(value / np.float32(soft) + np.float32(0.5), 0, 1), dtype=np.float32)


def _etch(canvas: Canvas, inside: Plane, pitch: float) -> None:
    """Let the pattern stand up or lie deep, in one material or two."""
    ground = lay_ground(canvas, rough=False)
    depth = pitch * canvas.between(0.1, 0.5) * (1 if canvas.chance(0.7) else -1)
    top = ground if canvas.chance(0.3) else bright(canvas, ground)
    wall = canvas.between(0.1, 0.5) * pitch if canvas.chance(0.35) and depth > 0 else 0.0
    canvas.raise_block(inside, depth, top, wall)


def gratings(canvas: Canvas) -> None:
    """Draw lines and spaces, with a little line-edge roughness."""
    pitch = canvas.unit * canvas.spread(0.03, 0.25)
    x, y = canvas.grid(_flat_angle(canvas))
    if canvas.chance(0.5):
        x = x + canvas.noise(pitch * 0.3, 2) * np.float32(pitch * canvas.between(0.005, 0.03))
    fill = canvas.between(0.3, 0.7)
    phase = np.abs((x / np.float32(pitch)) % 1 - np.float32(0.5)) * np.float32(pitch)
    inside = _edges(np.float32(pitch * fill / 2) - phase, max(1.5, pitch * canvas.between(0.03, 0.15)))
    if canvas.chance(0.25):
        inside = inside * _edges(np.float32(canvas.unit * canvas.between(0.1, 0.4)) - y, 2)
    _etch(canvas, inside, pitch)


def _lattice(canvas: Canvas, pitch: float, *, hexagonal: bool) -> tuple[Plane, Plane, Plane]:
    """Give the offset from the nearest lattice site, and a random number of that site."""
    x, y = canvas.grid(_flat_angle(canvas))
    rise = pitch * (math.sqrt(3) / 2 if hexagonal else 1.0)
    row = np.floor(y / np.float32(rise) + np.float32(0.5))
    shift = np.where(row % 2 == 1, np.float32(0.5 if hexagonal else 0.0), np.float32(0))
    column = np.floor(x / np.float32(pitch) - shift + np.float32(0.5))
    site = np.abs(np.sin(row * np.float32(12.9898) + column * np.float32(78.233)) * np.float32(437.585)) % 1
    return x - (column + shift) * np.float32(pitch), y - row * np.float32(rise), site


def _dots(canvas: Canvas, pitch: float, *, hexagonal: bool) -> Plane:
    dx, dy, site = _lattice(canvas, pitch, hexagonal=hexagonal)
    radius = np.float32(pitch * canvas.between(0.22, 0.42))
    shape = canvas.rng.integers(4)
    if shape == 0:
        distance = np.maximum(np.abs(dx), np.abs(dy))
    elif shape == 1:
        distance = np.maximum(np.abs(dx), np.abs(dx) * np.float32(0.5) + np.abs(dy) * np.float32(0.866))
    else:
        distance = np.hypot(dx, dy)
    inside = _edges(radius - distance, max(1.5, pitch * canvas.between(0.02, 0.12)))
    if canvas.chance(0.25):
        inside = inside * (site > canvas.between(0.01, 0.06))
    return inside.astype(np.float32)


def pillars(canvas: Canvas) -> None:
    """Draw a square array of posts, their walls seen from the side."""
    pitch = canvas.unit * canvas.spread(0.07, 0.35)
    inside = _dots(canvas, pitch, hexagonal=False)
    ground = lay_ground(canvas, rough=False)
    canvas.raise_block(inside, pitch * 0.4, bright(canvas, ground), pitch * canvas.between(0.0, 0.5))


def holes(canvas: Canvas) -> None:
    """Draw a regular array of round or square holes."""
    pitch = canvas.unit * canvas.spread(0.05, 0.35)
    inside = _dots(canvas, pitch, hexagonal=canvas.chance(0.4))
    ground = lay_ground(canvas, rough=False)
    canvas.tone[:] = bright(canvas, ground)
    canvas.lay(inside, -pitch * canvas.between(0.3, 0.8), ground * canvas.between(0.2, 0.7))
    if canvas.chance(0.3):
        canvas.z += blurred(inside, pitch * 0.1) * np.float32(pitch * 0.3)


def hexagonal(canvas: Canvas) -> None:
    """Draw dots or flat rings on a hexagonal lattice."""
    pitch = canvas.unit * canvas.spread(0.05, 0.3)
    dx, dy, _ = _lattice(canvas, pitch, hexagonal=True)
    distance = np.hypot(dx, dy)
    inside = _edges(np.float32(pitch * canvas.between(0.3, 0.46)) - distance, max(1.5, pitch * 0.05))
    if canvas.chance(0.5):
        inside = inside - _edges(np.float32(pitch * canvas.between(0.12, 0.28)) - distance, max(1.5, pitch * 0.05))
    _etch(canvas, inside, pitch)


def rings(canvas: Canvas) -> None:
    """Draw concentric rings, as a zone plate or a bull's eye."""
    pitch = canvas.unit * canvas.spread(0.04, 0.15)
    x, y = canvas.grid()
    x, y = (
        x - np.float32(canvas.between(-0.3, 0.3) * canvas.unit),
        y - np.float32(canvas.between(-0.3, 0.3) * canvas.unit),
    )
    radius = np.hypot(x, y)
    turn = radius * radius / np.float32(canvas.unit * pitch * 4) if canvas.chance(0.4) else radius / np.float32(pitch)
    inside = np.clip((np.abs(turn % 1 - np.float32(0.5)) - np.float32(0.25)) * np.float32(8) + np.float32(0.5), 0, 1)
    if canvas.chance(0.5):
        inside = inside * _edges(np.float32(canvas.unit * canvas.between(0.35, 0.6)) - radius, 2)
    _etch(canvas, inside.astype(np.float32), pitch)


def dashes(canvas: Canvas) -> None:
    """Draw short bars, crosses or squares repeated in columns, as in a test field or a metasurface."""
    pitch = canvas.unit * canvas.spread(0.08, 0.3)
    dx, dy, site = _lattice(canvas, pitch, hexagonal=False)
    arm, thick = np.float32(pitch * canvas.between(0.3, 0.42)), np.float32(pitch * canvas.between(0.07, 0.16))
    flat = np.minimum(arm - np.abs(dx), thick - np.abs(dy))
    upright = np.minimum(arm - np.abs(dy), thick - np.abs(dx))
    shape = canvas.rng.integers(4)
    if shape == 0:
        signed = np.maximum(flat, upright)
    elif shape == 1:
        signed = np.where(site > 0.5, flat, upright)
    elif shape == 2:
        corner = np.minimum(arm - np.abs(dy), thick - np.abs(dx - arm + thick))
        signed = np.maximum(np.minimum(arm - np.abs(dx), thick - np.abs(dy - arm + thick)), corner)
    else:
        signed = upright
    _etch(canvas, _edges(signed, max(1.5, pitch * 0.03)), pitch)


def field(canvas: Canvas) -> None:
    """Draw a patterned field that ends: an array in the middle of bare ground."""
    pitch = canvas.unit * canvas.spread(0.02, 0.07)
    inside = _dots(canvas, pitch, hexagonal=canvas.chance(0.3))
    x, y = canvas.grid()
    half_x, half_y = canvas.width * canvas.between(0.25, 0.42), canvas.unit * canvas.between(0.3, 0.45)
    inside = inside * _edges(np.minimum(np.float32(half_x) - np.abs(x), np.float32(half_y) - np.abs(y)), 2)
    _etch(canvas, inside, pitch)


def trenches(canvas: Canvas) -> None:
    """Draw deep trenches in cross-section: the broken edge of a line pattern."""
    pitch = canvas.unit * canvas.spread(0.08, 0.25)
    x, y = canvas.grid()
    wobble = canvas.noise(pitch * 0.6, 2) * np.float32(pitch * canvas.between(0.005, 0.03))
    depth = canvas.unit * canvas.between(0.15, 0.35)
    taper = np.float32(canvas.between(0.0, 0.3)) * (y / np.float32(depth))
    phase = np.abs(((x + wobble) / np.float32(pitch)) % 1 - np.float32(0.5))
    trench = _edges((np.float32(canvas.between(0.18, 0.32)) - taper * np.float32(0.15) - phase) * np.float32(pitch), 2)
    trench = trench * _edges(np.float32(depth) - np.abs(y), 4)
    ground = lay_ground(canvas, rough=False)
    canvas.tone[:] = bright(canvas, ground)
    canvas.lay(trench, -pitch * 0.5, ground * canvas.between(0.1, 0.5))
    canvas.tone[y < -depth] *= np.float32(canvas.between(0.1, 1.0))


KINDS: Final = (
    Kind("gratings", gratings, (1.0, 60.0)),
    Kind("pillars", pillars, (2.0, 120.0)),
    Kind("holes", holes, (1.0, 120.0)),
    Kind("hexagonal", hexagonal, (1.0, 60.0)),
    Kind("rings", rings, (2.0, 200.0)),
    Kind("dashes", dashes, (1.0, 60.0)),
    Kind("field", field, (4.0, 300.0)),
    Kind("trenches", trenches, (1.0, 40.0)),
)
