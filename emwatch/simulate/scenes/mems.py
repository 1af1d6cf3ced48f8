"""MEMS_devices_and_electrodes: drawn devices; few large parts with straight edges that belong together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind
from emwatch.simulate.planes import blurred
from emwatch.simulate.scenes.canvas import bright, lay_ground

if TYPE_CHECKING:
    from PIL import ImageDraw

    from emwatch.simulate.planes import Plane, Point
    from emwatch.simulate.scenes.canvas import Canvas


def _box(x0: float, y0: float, x1: float, y1: float) -> list[Point]:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def _turned(canvas: Canvas, outlines: list[list[Point]], angle: float) -> list[list[Point]]:
    """Turn outlines given around (0, 0) and move them to the middle of the frame."""
    cos, sin = math.cos(angle), math.sin(angle)
    middle = (canvas.width / 2, canvas.height / 2)
    return [[(middle[0] + x * cos - y * sin, middle[1] + x * sin + y * cos) for x, y in line] for line in outlines]


def _angle(canvas: Canvas) -> float:
    return canvas.between(-0.04, 0.04) if canvas.chance(0.6) else canvas.between(-0.8, 0.8)


def _metal(canvas: Canvas, mask: Plane, ground: float) -> None:
    """Deposit the mask as a layer: thin metal, or a thick part whose walls show."""
    thick = canvas.unit * canvas.spread(0.003, 0.03)
    wall = canvas.unit * canvas.between(0.01, 0.05) if canvas.chance(0.4) else 0.0
    canvas.raise_block(mask, thick, bright(canvas, ground), wall)


def fan_out(canvas: Canvas) -> None:
    """Draw electrodes that come from all sides, narrow and meet in the middle."""
    ground = lay_ground(canvas)
    count = int(canvas.rng.integers(4, 26))
    inner, outer = canvas.unit * canvas.between(0.05, 0.2), canvas.unit * 1.2
    knee = canvas.unit * canvas.between(0.25, 0.5)
    narrow, wide = inner * canvas.between(1.0, 2.0) / count * 1.6, canvas.unit * canvas.between(1.2, 2.2) / count
    arc = 2 * math.pi if canvas.chance(0.6) else canvas.between(1.5, 3.5)
    start = canvas.between(0, 2 * math.pi)
    outlines = []
    for index in range(count):
        angle = start + arc * (index + 0.5) / count
        bend = angle + canvas.between(-0.05, 0.05)
        line = []
        for reach, half, turn in ((inner, narrow, angle), (knee, narrow * 1.5, angle), (outer, wide, bend)):
            line.append((reach, half / 2, turn))
        left = [(r * math.cos(t) - h * math.sin(t), r * math.sin(t) + h * math.cos(t)) for r, h, t in line]
        right = [(r * math.cos(t) + h * math.sin(t), r * math.sin(t) - h * math.cos(t)) for r, h, t in line]
        outlines.append(left + right[::-1])
    _metal(canvas, canvas.polygons(_turned(canvas, outlines, 0.0)), ground)


def comb_drive(canvas: Canvas) -> None:
    """Draw two combs of fingers pushed into each other, with their spines and a suspension spring."""
    ground = lay_ground(canvas, rough=False) * 0.6
    canvas.tone[:] = ground
    count = int(canvas.rng.integers(5, 18))
    pitch = canvas.unit * canvas.between(0.7, 1.0) / count
    finger, reach = pitch * canvas.between(0.3, 0.42), canvas.unit * canvas.between(0.25, 0.4)
    overlap, spine = reach * canvas.between(0.3, 0.8), canvas.unit * canvas.between(0.06, 0.14)
    half = (2 * reach - overlap) / 2
    span = count * pitch / 2
    outlines = [_box(-half - spine, -span, -half, span), _box(half, -span, half + spine, span)]
    for index in range(count):
        y = -span + (index + 0.25) * pitch
        outlines += [
            _box(-half, y, -half + reach, y + finger),
            _box(half - reach, y + pitch / 2, half, y + pitch / 2 + finger),
        ]
    beam = spine * canvas.between(0.15, 0.3)
    outlines += [_box(half + spine, y - beam, canvas.width, y + beam) for y in (-span * 0.8, span * 0.8)]
    outlines.append(_box(-canvas.width, -span * 0.3, -half - spine, span * 0.3))
    mask = canvas.polygons(_turned(canvas, outlines, _angle(canvas)))
    canvas.raise_block(mask, canvas.unit * 0.02, bright(canvas, ground), canvas.unit * canvas.between(0.01, 0.04))


def cantilevers(canvas: Canvas) -> None:
    """Draw beams over an etched pit, held at one side or both."""
    ground = lay_ground(canvas, rough=False)
    top = bright(canvas, ground)
    canvas.tone[:] = top
    angle = _angle(canvas)
    half_x, half_y = canvas.unit * canvas.between(0.35, 0.55), canvas.unit * canvas.between(0.25, 0.4)
    pit = canvas.polygons(_turned(canvas, [_box(-half_x, -half_y, half_x, half_y)], angle))
    canvas.lay(pit, -canvas.unit * 0.04, ground * 0.4)
    count = int(canvas.rng.integers(1, 7))
    width = 2 * half_x / count * canvas.between(0.2, 0.6)
    outlines = []
    both = canvas.chance(0.3)
    for index in range(count):
        x = -half_x + (index + 0.5) * 2 * half_x / count
        end = half_y if both else half_y * canvas.between(-0.2, 0.7)
        outlines.append(_box(x - width / 2, -half_y - 2, x + width / 2, end))
        if canvas.chance(0.3):
            outlines.append(_box(x - width, end - width * 1.5, x + width, end))
    beams = canvas.polygons(_turned(canvas, outlines, angle))
    canvas.raise_block(beams, canvas.unit * 0.04, min(0.95, top + 0.05), canvas.unit * canvas.between(0.0, 0.03))


def bond_pads(canvas: Canvas) -> None:
    """Draw square pads with tracks, some with a bond ball and its wire."""
    ground = lay_ground(canvas, rough=False)
    count = int(canvas.rng.integers(2, 6))
    pitch = canvas.width / count
    side = pitch * canvas.between(0.5, 0.75)
    row = canvas.height * canvas.between(0.25, 0.7)
    outlines = []
    for index in range(count):
        x = (index + 0.5) * pitch
        outlines.append(_box(x - side / 2, row - side / 2, x + side / 2, row + side / 2))
        outlines.append(
            _box(
                x - side * 0.12,
                0 if canvas.chance(0.5) else row,
                x + side * 0.12,
                canvas.height if canvas.chance(0.5) else row,
            )
        )
    _metal(canvas, canvas.polygons(outlines), ground)
    for index in range(count):
        if canvas.chance(0.5):
            x, y = (index + 0.5) * pitch, row + side * canvas.between(-0.1, 0.1)
            canvas.sphere(x, y, side * 0.28, 0.7, 0.0, 0.4)
            lie = -math.pi / 2 + canvas.between(-0.4, 0.4)
            canvas.straight((x, y), lie, canvas.height, (side * 0.09, side * 0.09), 0.75, side * 0.2)


def interdigitated(canvas: Canvas) -> None:
    """Draw two electrodes with flat interleaved fingers between two bus bars."""
    ground = lay_ground(canvas, rough=False)
    count = int(canvas.rng.integers(4, 14))
    pitch = canvas.unit * canvas.between(0.9, 1.4) / count
    half, bus, gap = (
        canvas.unit * canvas.between(0.25, 0.38),
        canvas.unit * 0.09,
        canvas.unit * canvas.between(0.03, 0.08),
    )
    span = count * pitch / 2
    outlines = [_box(-span, -half - bus, span, -half), _box(-span, half, span, half + bus)]
    for index in range(count):
        x, thick = -span + (index + 0.25) * pitch, pitch * 0.5
        outlines.append(_box(x, -half, x + thick, half - gap) if index % 2 else _box(x, -half + gap, x + thick, half))
    outlines += [_box(span, -half - bus, canvas.width, -half), _box(-canvas.width, half, -span, half + bus)]
    _metal(
        canvas,
        canvas.polygons(_turned(canvas, outlines, _angle(canvas) + (math.pi / 2 if canvas.chance(0.5) else 0))),
        ground,
    )


def coil(canvas: Canvas) -> None:
    """Draw a flat spiral inductor, square, with its leads."""
    ground = lay_ground(canvas, rough=False)
    turns = int(canvas.rng.integers(2, 8))
    pitch = canvas.unit * 0.42 / (turns + 1)
    points: list[Point] = []
    for step in range(4 * turns):
        reach = pitch * (1 + step / 4)
        points.append(((1, 1, -1, -1)[step % 4] * reach, (-1, 1, 1, -1)[step % 4] * reach))
    points.append((points[-1][0], -canvas.unit))
    (track,) = _turned(canvas, [points], _angle(canvas))

    def draw(brush: ImageDraw.ImageDraw) -> None:
        brush.line(track, fill=255, width=max(2, round(pitch * 0.55)), joint="curve")
        side = pitch * 0.9
        brush.rectangle((track[0][0] - side, track[0][1] - side, track[0][0] + side, track[0][1] + side), fill=255)

    _metal(canvas, canvas.mask(draw), ground)


def gear(canvas: Canvas) -> None:
    """Draw a toothed wheel on its hub, often with a second one in mesh."""
    ground = lay_ground(canvas, rough=False) * 0.7
    canvas.tone[:] = ground
    x, y = canvas.grid()
    radius = canvas.unit * canvas.between(0.2, 0.38)
    teeth = int(canvas.rng.integers(12, 32))
    places = [(canvas.between(-0.2, 0.2) * canvas.unit, canvas.between(-0.1, 0.1) * canvas.unit)]
    if canvas.chance(0.6):
        turn = canvas.between(0, 2 * math.pi)
        places.append((places[0][0] + 2.05 * radius * math.cos(turn), places[0][1] + 2.05 * radius * math.sin(turn)))
    tone = bright(canvas, ground)
    for at_x, at_y in places:
        dx, dy = x - np.float32(at_x), y - np.float32(at_y)
        away, around = np.hypot(dx, dy), np.arctan2(dy, dx)
        rim = np.float32(radius) * (1 + np.float32(0.06) * np.clip(np.sin(around * np.float32(teeth)) * 3, -1, 1))
        body = np.clip(rim - away, 0, 1) - np.clip(np.float32(radius * 0.18) - away, 0, 1)
        spokes = int(canvas.rng.integers(3, 7))
        hollow = (away > radius * 0.35) & (away < radius * 0.72) & (np.cos(around * np.float32(spokes)) > -0.4)
        canvas.raise_block(
            (body * ~hollow).astype(np.float32), canvas.unit * 0.02, tone, canvas.unit * canvas.between(0.0, 0.03)
        )
        canvas.raise_block(
            np.clip(np.float32(radius * 0.12) - away, 0, 1), canvas.unit * 0.03, tone, canvas.unit * 0.01
        )


def tracks(canvas: Canvas) -> None:
    """Draw circuit tracks that run along two axes, with bright contacts at their ends."""
    ground = lay_ground(canvas, rough=False)
    step = canvas.unit * canvas.spread(0.05, 0.14)
    outlines, contacts = [], []
    half = step * canvas.between(0.18, 0.3)
    for _ in range(round(canvas.width * canvas.height / (step * step) * 0.055)):
        x, y = (
            round(canvas.between(0, canvas.width / step)) * step,
            round(canvas.between(0, canvas.height / step)) * step,
        )
        for _ in range(int(canvas.rng.integers(1, 4))):
            reach = int(canvas.rng.integers(1, 6)) * step * (1 if canvas.chance(0.5) else -1)
            then = (x + reach, y) if canvas.chance(0.5) else (x, y + reach)
            outlines.append(
                _box(min(x, then[0]) - half, min(y, then[1]) - half, max(x, then[0]) + half, max(y, then[1]) + half)
            )
            x, y = then
        contacts.append((x, y))
    _metal(canvas, canvas.polygons(outlines), ground)
    if canvas.chance(0.6):
        for x, y in contacts:
            canvas.sphere(x, y, half * canvas.between(0.8, 1.3), 0.95, canvas.unit * 0.02, 0.5)


def hall_bar(canvas: Canvas) -> None:
    """Draw a narrow bar with side contacts that widen to large pads."""
    ground = lay_ground(canvas)
    arms, bar = int(canvas.rng.integers(1, 5)), canvas.unit * canvas.between(0.02, 0.08)
    length = canvas.unit * canvas.between(0.3, 0.6)
    pad = canvas.unit * 0.22
    outlines = [
        _box(-length, -bar, length, bar),
        _box(-length - 2 * pad, -pad, -length, pad),
        _box(length, -pad, length + 2 * pad, pad),
    ]
    for index in range(arms):
        x = -length + (index + 1) * 2 * length / (arms + 1)
        thin, wide = bar * 0.6, length / (arms + 1) * 0.8
        for side in (-1, 1):
            knee, far = side * canvas.unit * 0.2, side * canvas.unit
            outlines.append(
                [
                    (x - thin, 0),
                    (x - thin, knee),
                    (x - wide, knee * 1.6),
                    (x - wide, far),
                    (x + wide, far),
                    (x + wide, knee * 1.6),
                    (x + thin, knee),
                    (x + thin, 0),
                ]
            )
    _metal(canvas, canvas.polygons(_turned(canvas, outlines, _angle(canvas))), ground)


def tracks_close(canvas: Canvas) -> None:
    """Draw circuit tracks close up: few broad ones with rounded ends and turns, and pairs of shining contacts on them."""
    ground = lay_ground(canvas, rough=False)
    step = canvas.unit * canvas.spread(0.1, 0.3)
    half = step * canvas.between(0.25, 0.4)
    contacts: list[Point] = []

    def draw(brush: ImageDraw.ImageDraw) -> None:
        for _ in range(round(canvas.between(4, 10) * canvas.width / step / 6) + 2):
            x, y = canvas.anywhere(step)
            line = [(round(x / step) * step, round(y / step) * step)]
            for _ in range(int(canvas.rng.integers(1, 4))):
                reach = step * int(canvas.rng.integers(1, 7)) * (1 if canvas.chance(0.5) else -1)
                flat = canvas.chance(0.65)
                line.append((line[-1][0] + (reach if flat else 0), line[-1][1] + (0 if flat else reach)))
            brush.line(line, fill=255, width=max(2, round(2 * half)), joint="curve")
            for x, y in (line[0], line[-1]):
                brush.ellipse((x - half, y - half, x + half, y + half), fill=255)
            contacts.append(line[-1])

    mask = blurred(canvas.mask(draw), canvas.unit * canvas.spread(0.002, 0.012))
    canvas.lay(mask, canvas.unit * canvas.between(0.0, 0.01), ground + canvas.between(0.08, 0.3))
    for x, y in contacts:
        for side in range(int(canvas.rng.integers(0, 3))):
            spot = half * canvas.between(0.45, 0.7)
            canvas.sphere(x + side * half * 1.6, y, spot, 1.0, canvas.unit * 0.01, 0.3)


def perforated_plate(canvas: Canvas) -> None:
    """Draw a moving plate full of release holes, hung on folded springs between anchors over a dark gap."""
    ground = lay_ground(canvas, rough=False) * 0.6
    canvas.tone[:] = ground
    long, wide = canvas.unit * canvas.between(0.25, 0.7), canvas.unit * canvas.between(0.1, 0.3)
    beam, reach = canvas.unit * canvas.between(0.008, 0.025), canvas.unit * canvas.between(0.12, 0.3)
    outlines = [_box(-long, -wide, long, wide)]
    for side_x in (-1, 1):
        for side_y in (-1, 1):
            x = side_x * (long + beam * 3)
            folds = int(canvas.rng.integers(1, 4))
            for fold in range(folds + 1):
                at = x + side_x * fold * beam * 4
                outlines.append(_box(at - beam, side_y * wide * 0.2, at + beam, side_y * (wide * 0.2 + reach)))
            far = x + side_x * folds * beam * 4
            outlines.append(
                _box(far - 4 * beam, side_y * (wide * 0.2 + reach), far + 4 * beam, side_y * (wide * 0.2 + reach * 1.5))
            )
            outlines.append(
                _box(min(x, far) - beam, side_y * wide * 0.2 - beam, max(x, far) + beam, side_y * wide * 0.2 + beam)
            )
            outlines.append(_box(min(0, x), side_y * wide * 0.2 - beam, max(0, x), side_y * wide * 0.2 + beam))
    angle = _angle(canvas)
    mask = canvas.polygons(_turned(canvas, outlines, angle))
    pitch = canvas.unit * canvas.between(0.03, 0.08)
    hole = pitch * canvas.between(0.15, 0.3)
    columns, rows = int((long - hole) / pitch), int((wide - hole) / pitch)
    holes = [
        _box(column * pitch - hole, row * pitch - hole, column * pitch + hole, row * pitch + hole)
        for column in range(-columns, columns + 1)
        for row in range(-rows, rows + 1)
    ]
    mask = mask - canvas.polygons(_turned(canvas, holes, angle)) * mask
    canvas.raise_block(mask, canvas.unit * 0.02, bright(canvas, ground), canvas.unit * canvas.between(0.0, 0.03))


def narrow_gap(canvas: Canvas) -> None:
    """Draw two broad electrodes that leave a narrow gap, or touch by a thin bridge; nothing else is in view."""
    ground = lay_ground(canvas)
    gap, half = canvas.unit * canvas.spread(0.015, 0.12), canvas.unit * canvas.between(0.15, 0.6)
    neck = half * canvas.between(0.03, 0.9)
    taper = canvas.unit * canvas.between(0.0, 0.3)
    far = 1.2 * canvas.width
    outlines = [
        [
            (side * gap / 2, -neck),
            (side * (gap / 2 + taper), -half),
            (side * far, -half),
            (side * far, half),
            (side * (gap / 2 + taper), half),
            (side * gap / 2, neck),
        ]
        for side in (-1, 1)
    ]
    if canvas.chance(0.4):
        bridge = neck * canvas.between(0.05, 0.3)
        outlines.append(_box(-gap, -bridge, gap, bridge))
    angle = _angle(canvas) + (math.pi / 2 if canvas.chance(0.4) else 0)
    _metal(canvas, canvas.polygons(_turned(canvas, outlines, angle)), ground)


KINDS: Final = (
    SceneKind("fan-out", fan_out, (5.0, 1000.0)),
    SceneKind("comb drive", comb_drive, (30.0, 1000.0)),
    SceneKind("cantilevers", cantilevers, (20.0, 1000.0)),
    SceneKind("bond pads", bond_pads, (100.0, 2000.0)),
    SceneKind("interdigitated", interdigitated, (5.0, 500.0)),
    SceneKind("coil", coil, (50.0, 2000.0)),
    SceneKind("gear", gear, (50.0, 1000.0)),
    SceneKind("tracks", tracks, (2.0, 100.0)),
    SceneKind("hall bar", hall_bar, (5.0, 300.0)),
    SceneKind("tracks close up", tracks_close, (1.0, 50.0)),
    SceneKind("perforated plate", perforated_plate, (50.0, 1500.0)),
    SceneKind("narrow gap", narrow_gap, (0.5, 100.0)),
)
