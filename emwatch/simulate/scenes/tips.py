"""Tips: one sharp end (or a row of them) against empty space."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind
from emwatch.simulate.scenes.canvas import bright, lay_ground

if TYPE_CHECKING:
    from PIL import ImageDraw

    from emwatch.simulate.planes import Point
    from emwatch.simulate.scenes.canvas import Canvas


def _backdrop(canvas: Canvas) -> float:
    """Make the empty space behind: even, dark to middle grey, brighter to one side."""
    tone = canvas.between(0.05, 0.32)
    x, y = canvas.grid(canvas.between(0, 2 * math.pi))
    canvas.tone[:] = np.float32(tone) + x / np.float32(canvas.width) * np.float32(canvas.between(0, 0.12))
    canvas.tone += y * np.float32(0)
    return tone


def _cone(canvas: Canvas, apex: Point, angle: float, profile: list[Point], tone: float) -> None:
    """Put a body of revolution: ``profile`` is (distance from the apex, radius), the axis runs from the apex at ``angle``."""
    y, x = np.mgrid[0 : canvas.height, 0 : canvas.width].astype(np.float32)
    x, y = x - np.float32(apex[0]), y - np.float32(apex[1])
    along = x * np.float32(math.cos(angle)) + y * np.float32(math.sin(angle))
    across = y * np.float32(math.cos(angle)) - x * np.float32(math.sin(angle))
    stations, radii = zip(*profile, strict=True)
    radius = np.interp(along, stations, radii, left=0.0).astype(np.float32)
    inside = radius * radius - across * across
    z = np.where(inside > 0, np.sqrt(np.maximum(inside, 0)) + np.float32(1), np.float32(-np.inf))
    canvas.stamp((slice(0, canvas.height), slice(0, canvas.width)), z.astype(np.float32), tone)


def needle(canvas: Canvas) -> None:
    """Draw a single needle pointing up (or in from a side), slim, with a rounded apex and a wider shank."""
    tone = bright(canvas, _backdrop(canvas))
    angle = math.pi / 2 + (canvas.between(-0.15, 0.15) if canvas.chance(0.6) else canvas.between(-2.0, 2.0))
    apex = (
        canvas.width / 2 + canvas.between(-0.2, 0.2) * canvas.unit,
        canvas.height / 2 - math.sin(angle) * canvas.unit * canvas.between(0.1, 0.42),
    )
    end, half = canvas.unit * canvas.spread(0.004, 0.04), canvas.between(0.05, 0.22)
    length = canvas.unit * 2
    profile = [(0.0, 0.0), (end * 0.4, end * 0.8), (end, end)]
    steps = np.linspace(0, 1, 24)[1:]
    power = canvas.between(0.8, 1.8)
    profile += [(end + s * length, end + half * length * s**power) for s in steps]
    _cone(canvas, apex, angle, profile, tone)


def stepped_needle(canvas: Canvas) -> None:
    """Draw a field-emission or probe needle: a thin tip on a shoulder on a thick shank."""
    tone = bright(canvas, _backdrop(canvas))
    apex = (canvas.width / 2 + canvas.between(-0.2, 0.2) * canvas.unit, canvas.unit * canvas.between(0.1, 0.35))
    thin, neck = canvas.unit * canvas.between(0.008, 0.03), canvas.unit * canvas.between(0.2, 0.4)
    wide = canvas.unit * canvas.between(0.08, 0.2)
    profile = [
        (0, 0),
        (thin, thin),
        (neck * 0.6, thin * 1.4),
        (neck, thin * 2.6),
        (neck * 1.15, wide * 0.8),
        (neck * 1.4, wide),
        (3 * canvas.unit, wide * 1.2),
    ]
    _cone(canvas, apex, math.pi / 2 + canvas.between(-0.1, 0.1), profile, tone)
    grooves = canvas.noise(canvas.unit * 0.01, 1, stretch=8) * np.float32(canvas.between(0, 0.6))
    canvas.z += grooves * (canvas.z > 1)


def afm_probe(canvas: Canvas) -> None:
    """Draw an AFM probe: the end of a beam, from below, with a pyramid near its point."""
    _backdrop(canvas)
    half, nose = canvas.unit * canvas.between(0.12, 0.26), canvas.unit * canvas.between(0.1, 0.3)
    angle = canvas.between(0, 2 * math.pi) if canvas.chance(0.4) else canvas.between(-0.2, 0.2)
    cos, sin = math.cos(angle), math.sin(angle)
    front = canvas.unit * canvas.between(0.1, 0.4)

    def place(x: float, y: float) -> Point:
        return canvas.width / 2 + x * cos - y * sin, canvas.height / 2 + x * sin + y * cos

    outline = [
        place(*p)
        for p in (
            (-2 * canvas.width, -half),
            (front - nose, -half),
            (front, 0),
            (front - nose, half),
            (-2 * canvas.width, half),
        )
    ]
    beam = canvas.polygons([outline])
    tone = canvas.between(0.3, 0.55)
    canvas.raise_block(beam, canvas.unit * 0.02, tone, canvas.unit * canvas.between(0, 0.04))
    side = half * canvas.between(0.35, 0.7)
    x, y = canvas.grid(angle)
    x = x - np.float32(front - nose * 0.6)
    pyramid = np.clip(1 - np.maximum(np.abs(x), np.abs(y)) / np.float32(side), 0, 1)
    canvas.z += pyramid * np.float32(side * canvas.between(0.8, 1.8))
    canvas.tone += (pyramid > 0) * np.float32(0.1) + np.clip(pyramid * 8 - 7, 0, 1) * np.float32(0.4)


def tip_in_profile(canvas: Canvas) -> None:
    """Draw a cantilever seen from the side: a thin slanted bar with one sharp tooth at its end."""
    tone = bright(canvas, _backdrop(canvas))
    slope = canvas.between(-0.35, 0.35)
    y0 = canvas.height * canvas.between(0.35, 0.6)
    thick = canvas.unit * canvas.between(0.04, 0.12)
    end = canvas.width * canvas.between(0.55, 0.85)
    left = -canvas.width * 0.1
    bar = [
        (left, y0 - slope * end),
        (end, y0),
        (end + thick * 0.6, y0 + thick * 0.4),
        (end, y0 + thick),
        (left, y0 + thick - slope * end),
    ]
    tall, base = canvas.unit * canvas.between(0.15, 0.35), canvas.unit * canvas.between(0.06, 0.18)
    foot = end - base * canvas.between(0.6, 1.2)
    tooth = [
        (foot - base * 0.5, y0 + thick * 0.9 - slope * (end - foot)),
        (foot + canvas.between(-0.3, 0.4) * base, y0 + thick + tall),
        (foot + base * 0.5, y0 + thick * 0.9),
    ]
    flip = canvas.chance(0.5)
    outlines = [[(x, canvas.height - y if flip else y) for x, y in line] for line in (bar, tooth)]
    canvas.lay(canvas.polygons(outlines[:1]), canvas.unit * 0.015, tone)
    canvas.lay(canvas.polygons(outlines[1:]), canvas.unit * 0.01, tone * 0.9)


def tip_row(canvas: Canvas) -> None:
    """Draw a few separate emitters or microneedles standing in a row, seen from the side."""
    lay_ground(canvas, rough=False)
    canvas.tone *= np.float32(0.5)
    count = int(canvas.rng.integers(2, 6))
    pitch = canvas.width / count
    tall, wide = canvas.unit * canvas.between(0.35, 0.6), pitch * canvas.between(0.1, 0.25)
    foot = canvas.height * canvas.between(0.75, 0.95)
    power = canvas.between(0.8, 2.0)
    tone = canvas.between(0.45, 0.7)
    for index in range(count):
        profile = [(s * tall, wide * s**power + 0.5) for s in np.linspace(0, 1, 12)] + [(tall + 1, 0.0)]
        _cone(canvas, ((index + 0.5) * pitch, foot - tall), math.pi / 2, profile, tone)
    canvas.tone[int(foot) :] += np.float32(0.15)


def pyramid(canvas: Canvas) -> None:
    """Draw one pyramid or cone from above or at a slant: faces that meet in one bright point."""
    ground = lay_ground(canvas, rough=False)
    side = canvas.unit * canvas.between(0.18, 0.42)
    x, y = canvas.grid(canvas.between(0, math.pi / 2))
    x, y = x + np.float32(side * 0.1), y * np.float32(canvas.between(0.7, 1.2))
    reach = np.hypot(x, y) if canvas.chance(0.35) else np.maximum(np.abs(x), np.abs(y))
    body = np.clip(1 - reach / np.float32(side), 0, 1)
    canvas.z += body ** np.float32(canvas.between(0.9, 1.6)) * np.float32(side * canvas.between(0.7, 1.6))
    canvas.tone += (body > 0) * np.float32(canvas.between(0.05, 0.2)) + np.clip(body * 20 - 19, 0, 1) * np.float32(0.4)
    canvas.tone += np.float32(ground * 0)


def manipulator(canvas: Canvas) -> None:
    """Draw a needle coming in from a corner to touch a block or the edge of a trench."""
    lay_ground(canvas)
    edge = canvas.between(0.35, 0.7) * canvas.width
    x, y = canvas.grid()
    wall = np.clip(x + np.float32(canvas.width / 2 - edge), 0, 1)
    canvas.lay(wall, canvas.unit * 0.03, canvas.between(0.35, 0.6))
    canvas.z += wall * canvas.noise(canvas.unit * 0.03, 2) * np.float32(canvas.unit * 0.001)
    target = (edge + canvas.unit * canvas.between(-0.15, 0.05), canvas.height * canvas.between(0.35, 0.65))
    angle = math.pi + canvas.between(-0.5, 0.5)
    half = canvas.between(0.1, 0.2)
    lump = canvas.unit * canvas.between(0.05, 0.1)
    outline = [
        (target[0] - lump, target[1] - lump * 0.7),
        (target[0] + lump, target[1] - lump * 0.7),
        (target[0] + lump, target[1] + lump * 0.7),
        (target[0] - lump, target[1] + lump * 0.7),
    ]
    canvas.raise_block(canvas.polygons([outline]), canvas.unit * 0.05, canvas.between(0.5, 0.8), lump * 0.4)
    end = canvas.unit * canvas.between(0.008, 0.03)
    profile = [(0.0, 0.0), (end, end), (2.5 * canvas.unit, end + 2.5 * half * canvas.unit)]
    before = canvas.z.copy()
    canvas.z[:] = 0
    _cone(canvas, (target[0] - lump * 0.6, target[1]), angle, profile, canvas.between(0.55, 0.85))
    canvas.z[:] = np.where(canvas.z > 0, canvas.z + np.float32(canvas.unit * 0.06), before)
    canvas.tone += y * np.float32(0)


def _needle_from(canvas: Canvas, target: Point, angle: float, lift: float) -> None:
    """Bring a needle in over everything, its apex at a place, its shank at an angle."""
    end, half = canvas.unit * canvas.between(0.008, 0.04), canvas.between(0.08, 0.24)
    profile = [(0.0, 0.0), (end * 0.5, end), (2.5 * canvas.unit, end + 2.5 * half * canvas.unit)]
    before = canvas.z.copy()
    canvas.z[:] = 0
    _cone(canvas, target, angle, profile, canvas.between(0.45, 0.85))
    canvas.z[:] = np.where(canvas.z > 0, canvas.z + np.float32(lift), before)


def lift_out(canvas: Canvas) -> None:
    """Draw a lift-out: trenches milled into a worn surface, a lamella between them, the needle welded to its end."""
    lay_ground(canvas)
    canvas.tone[:] += np.float32(0.12)
    canvas.z += canvas.noise(canvas.unit * canvas.between(0.02, 0.06), 4) * np.float32(
        canvas.unit * canvas.between(0.001, 0.008)
    )
    long, thin = canvas.unit * canvas.between(0.08, 0.3), canvas.unit * canvas.between(0.03, 0.09)
    x, y = canvas.width * canvas.between(0.35, 0.65), canvas.height * canvas.between(0.3, 0.65)
    gap = thin * canvas.between(0.6, 2.0)
    trench = [
        [(x - long - gap, y + side * (thin + gap * 2)), (x + long + gap, y + side * (thin + gap * 2))]
        for side in (-1, 1)
    ]
    canvas.lay(canvas.polygons([trench[0] + trench[1][::-1]]), -canvas.unit * 0.05, canvas.between(0.02, 0.12))
    lamella = [(x - long, y - thin), (x + long, y - thin), (x + long, y + thin), (x - long, y + thin)]
    canvas.raise_block(canvas.polygons([lamella]), canvas.unit * 0.05, canvas.between(0.4, 0.7), thin * 0.6)
    angle = math.pi + canvas.between(-0.7, 0.2)
    _needle_from(canvas, (x - long * canvas.between(0.8, 1.05), y), angle, canvas.unit * 0.06)


def grid_post(canvas: Canvas) -> None:
    """Draw a lamella being brought to the post of a lift-out grid: a wide rough bar, grooved, a block, a needle tip."""
    _backdrop(canvas)
    edge, thick = canvas.width * canvas.between(0.42, 0.8), canvas.unit * canvas.between(0.25, 0.9)
    x, _ = canvas.grid(canvas.between(-0.05, 0.05))
    x = x + np.float32(canvas.width / 2 - edge)
    ragged = canvas.noise(canvas.unit * 0.05, 3) * np.float32(canvas.unit * canvas.between(0.0, 0.008))
    post = np.clip(x + ragged, 0, 1) * np.clip(np.float32(thick) - x + ragged, 0, 1)
    tone = canvas.between(0.4, 0.65)
    canvas.lay(post, canvas.unit * 0.03, tone)
    for _ in range(int(canvas.rng.integers(1, 4))):
        groove = np.exp(
            -(((x - np.float32(thick * canvas.between(0.15, 0.85))) / np.float32(canvas.unit * 0.006)) ** 2)
        )
        canvas.z -= post * groove * np.float32(canvas.unit * canvas.between(0.003, 0.015))
        step = post * np.clip(x - np.float32(thick * canvas.between(0.2, 0.8)), 0, 1)
        canvas.tone += step * np.float32(tone * canvas.between(-0.15, 0.1))
    rough = canvas.noise(canvas.unit * canvas.between(0.01, 0.04), 3)
    canvas.z += post * rough * np.float32(canvas.unit * canvas.between(0.0005, 0.003))
    block, deep = canvas.unit * canvas.between(0.07, 0.2), canvas.between(0.4, 1.0)
    near, row = edge - block * canvas.between(0.7, 3.0), canvas.height * canvas.between(0.35, 0.7)
    outline = [(-1, 0), (1, 0), (1, deep), (-1, deep)]
    mask = canvas.polygons([[(near + block * dx, row + block * dy) for dx, dy in outline]])
    canvas.raise_block(mask, canvas.unit * 0.04, tone * canvas.between(0.5, 1.1), block * canvas.between(0.2, 0.7))
    canvas.z += mask * rough * np.float32(canvas.unit * canvas.between(0.0, 0.002))
    if canvas.chance(0.7):
        apex = (near - block * canvas.between(0.7, 1.1), row + block * 0.5)
        _needle_from(canvas, apex, math.pi + canvas.between(-0.9, 0.4), canvas.unit * 0.05)


def grid_finger(canvas: Canvas) -> None:
    """Draw the fingers of a lift-out grid: round-ended posts hanging from a pierced bar over nothing, a needle beside them."""
    _backdrop(canvas)
    pitch = canvas.unit * canvas.between(0.4, 1.1)
    half, bar = pitch * canvas.between(0.06, 0.16), canvas.height * canvas.between(0.1, 0.4)
    end, start = bar + canvas.unit * canvas.between(0.25, 0.5), canvas.between(0, pitch)
    tone, tilt = canvas.between(0.45, 0.65), canvas.between(-0.06, 0.06)
    hole, rows = pitch * canvas.between(0.06, 0.12), int(canvas.rng.integers(0, 4))

    def draw(brush: ImageDraw.ImageDraw) -> None:
        brush.polygon([(0, -9), (canvas.width, -9), (canvas.width, bar + tilt * canvas.width), (0, bar)], fill=255)
        x = start
        while x < canvas.width + half:
            low = end + tilt * x
            brush.rectangle((x - half, 0, x + half, low), fill=255)
            brush.ellipse((x - half, low - half, x + half, low + half), fill=255)
            x += pitch
        for row in range(rows):
            for column in range(2 + round(canvas.width / pitch * 2)):
                x, y = start + (column - 1 + 0.5 * (row % 2)) * pitch / 2, bar * (0.85 - 0.3 * row)
                brush.ellipse((x - hole, y - hole * 0.6, x + hole, y + hole * 0.6), fill=0)

    posts = canvas.mask(draw)
    canvas.raise_block(posts, canvas.unit * 0.03, tone, canvas.unit * canvas.between(0.0, 0.03))
    canvas.z += posts * canvas.noise(canvas.unit * 0.02, 3) * np.float32(canvas.unit * 0.0015)
    if canvas.chance(0.8):
        target = (start + pitch * canvas.between(0.2, 0.8), end * canvas.between(0.75, 1.15))
        _needle_from(canvas, target, math.pi + canvas.between(-0.9, 0.4), canvas.unit * 0.05)


def blunt_needle(canvas: Canvas) -> None:
    """Draw the end of a thick needle close up, its flanks streaked, over a coarse or milled ground."""
    lay_ground(canvas)
    canvas.tone += np.float32(0.05)
    grain = canvas.unit * canvas.spread(0.02, 0.1)
    canvas.z += canvas.noise(grain, 3) * np.float32(grain * canvas.between(0.02, 0.2))
    if canvas.chance(0.4):
        low, high = sorted((canvas.between(0, 1), canvas.between(0, 1)))
        outline = [(0.0, low), (1.0, low), (1.0, high), (0.0, high)]
        pit = [(x * canvas.width, y * canvas.height) for x, y in outline]
        canvas.lay(canvas.polygons([pit]), -canvas.unit * 0.05, canvas.between(0.05, 0.3))
    apex = (canvas.width * canvas.between(0.35, 0.85), canvas.height * canvas.between(0.2, 0.6))
    angle = math.pi + canvas.between(-1.0, 0.5)
    end, half = canvas.unit * canvas.between(0.02, 0.14), canvas.between(0.03, 0.25)
    profile = [(0.0, 0.0), (end * 0.2, end), (2.5 * canvas.unit, end + 2.5 * half * canvas.unit)]
    before = canvas.z.copy()
    canvas.z[:] = 0
    _cone(canvas, apex, angle, profile, canvas.between(0.5, 0.85))
    needle = canvas.z > 0
    across = canvas.noise(canvas.unit * 0.015, 2, stretch=canvas.between(2, 8)) * np.float32(canvas.between(0, 2.0))
    canvas.z[:] = np.where(needle, canvas.z + np.float32(canvas.unit * 0.08) + across, before)


KINDS: Final = (
    SceneKind("needle", needle, (0.5, 200.0)),
    SceneKind("stepped needle", stepped_needle, (1.0, 500.0)),
    SceneKind("AFM probe", afm_probe, (20.0, 300.0)),
    SceneKind("tip in profile", tip_in_profile, (20.0, 300.0)),
    SceneKind("tip row", tip_row, (2.0, 1000.0)),
    SceneKind("pyramid", pyramid, (1.0, 50.0)),
    SceneKind("manipulator", manipulator, (10.0, 300.0)),
    SceneKind("lift-out", lift_out, (10.0, 200.0)),
    SceneKind("grid post", grid_post, (20.0, 300.0)),
    SceneKind("grid finger", grid_finger, (50.0, 2000.0)),
    SceneKind("blunt needle", blunt_needle, (5.0, 200.0)),
)
