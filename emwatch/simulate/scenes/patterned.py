"""Patterned_surface: lithography seen from above or at a tilt. Regular, repeated over the frame, made by a mask."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind
from emwatch.simulate.planes import blurred
from emwatch.simulate.scenes.canvas import bright, lay_ground

if TYPE_CHECKING:
    from PIL import ImageDraw

    from emwatch.simulate.planes import Plane
    from emwatch.simulate.scenes.canvas import Canvas


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
    """Return the offset from the nearest lattice site, and a random number of that site."""
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


def sparse_posts(canvas: Canvas) -> None:
    """Draw a few rows of small posts or bumps, far apart, seen at a slant on an even ground."""
    pitch = canvas.unit * canvas.spread(0.1, 0.3)
    radius = pitch * canvas.between(0.06, 0.2)
    turn, slant = canvas.between(0, math.pi / 2), canvas.between(0.4, 1.0)
    ground = lay_ground(canvas, rough=False)
    tone, count = bright(canvas, ground), int(canvas.rng.integers(3, 9))
    tall = radius * canvas.between(0.5, 3.0)
    sites = [(column - (count - 1) / 2, row - (count - 1) / 2) for row in range(count) for column in range(count)]
    places = [
        (
            canvas.width / 2 + pitch * (x * math.cos(turn) - y * math.sin(turn)),
            canvas.height / 2 + pitch * slant * (x * math.sin(turn) + y * math.cos(turn)),
        )
        for x, y in sites
    ]
    for x, y in sorted(places, key=lambda place: place[1]):
        canvas.capsule((x, y), (x, y - tall), (radius, radius * canvas.between(0.85, 1.0)), tone, 0.0, tall)


def layout(canvas: Canvas) -> None:
    """Draw a wiring layer after etching: parallel trenches along two axes, with rounded ends and right-angled turns."""
    pitch = canvas.unit * canvas.spread(0.07, 0.2)
    width = max(2, round(pitch * canvas.between(0.4, 0.6)))
    steps = int(1.2 * canvas.width / pitch) + 2

    def draw(brush: ImageDraw.ImageDraw) -> None:
        row = 0.0
        while row < canvas.height + pitch:
            column = -canvas.between(0, 4)
            while column < steps:
                end = column + canvas.between(1.5, 9)
                turn = canvas.chance(0.3)
                line = [(column * pitch, row), (end * pitch, row)]
                if turn:
                    line.append((end * pitch, row + pitch * 2 * (1 if canvas.chance(0.5) else -1)))
                brush.line(line, fill=255, width=width, joint="curve")
                for x, y in line:
                    brush.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
                column = end + canvas.between(1.0, 2.5)
            row += pitch * int(canvas.rng.integers(1, 4))

    lines = blurred(canvas.mask(draw), canvas.between(0.5, 1.5))
    if canvas.chance(0.5) and canvas.width == canvas.height:
        lines = lines.T
    _etch(canvas, lines.astype(np.float32), pitch)


def ridges(canvas: Canvas) -> None:
    """Draw tall narrow ridges close up: bright rough tops and flanks, dark between, some leaning or broken."""
    pitch = canvas.unit * canvas.spread(0.08, 0.25)
    x, y = canvas.grid(canvas.between(-0.06, 0.06) + (math.pi / 2 if canvas.chance(0.2) else 0))
    lane = np.floor(x / np.float32(pitch))
    site = np.abs(np.sin(lane * np.float32(91.17)) * np.float32(437.585)) % 1
    x = x + canvas.noise(pitch * 0.5, 2, stretch=0.3) * np.float32(pitch * canvas.between(0.01, 0.05))
    offset = np.abs((x / np.float32(pitch)) % 1 - np.float32(0.5))
    half = canvas.between(0.16, 0.32)
    inside = _edges((np.float32(half) - offset) * np.float32(pitch), max(1.5, pitch * 0.06))
    end = canvas.unit * canvas.between(0.2, 0.9)
    if canvas.chance(0.4):
        inside = inside * _edges(np.float32(end) - y + (site - np.float32(0.5)) * np.float32(canvas.unit * 0.3), 2)
    scallop = np.sin(y / np.float32(pitch * canvas.between(0.05, 0.15)) * np.float32(math.pi))
    ground = canvas.between(0.05, 0.3)
    canvas.tone[:] = ground
    canvas.lay(inside.astype(np.float32), pitch * canvas.between(0.4, 1.0), bright(canvas, ground))
    canvas.z += inside * scallop * np.float32(pitch * canvas.between(0.0, 0.03))


KINDS: Final = (
    SceneKind("gratings", gratings, (1.0, 60.0)),
    SceneKind("pillars", pillars, (2.0, 120.0)),
    SceneKind("holes", holes, (1.0, 120.0)),
    SceneKind("hexagonal", hexagonal, (1.0, 60.0)),
    SceneKind("rings", rings, (2.0, 200.0)),
    SceneKind("dashes", dashes, (1.0, 60.0)),
    SceneKind("field", field, (4.0, 300.0)),
    SceneKind("trenches", trenches, (1.0, 40.0)),
    SceneKind("sparse posts", sparse_posts, (1.0, 100.0)),
    SceneKind("layout", layout, (0.3, 10.0)),
    SceneKind("ridges", ridges, (0.5, 20.0)),
)
