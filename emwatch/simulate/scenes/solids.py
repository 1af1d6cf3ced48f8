"""Bodies with flat faces, turned any way: crystals, plates, faceted rods. Seen from above, in parallel projection."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from collections.abc import Iterable

    from emwatch.simulate.planes import Point
    from emwatch.simulate.scenes.canvas import Canvas


@dataclass(frozen=True, slots=True)
class Face:
    """A flat polygon that is seen: its outline in pixels, its mean height, its tone."""

    outline: list[Point]
    z: float
    tone: float


def turned(lean: float, azimuth: float, twist: float) -> npt.NDArray[np.float64]:
    """Return the rotation (3, 3) that twists a body about its axis and leans the axis from upright towards an azimuth; radians."""
    cos_l, sin_l = math.cos(lean), math.sin(lean)
    cos_a, sin_a = math.cos(azimuth), math.sin(azimuth)
    cos_t, sin_t = math.cos(twist), math.sin(twist)
    to_azimuth = np.array([[cos_a, -sin_a, 0], [sin_a, cos_a, 0], [0, 0, 1]])
    leaning = np.array([[cos_l, 0, sin_l], [0, 1, 0], [-sin_l, 0, cos_l]])
    twisted = np.array([[cos_t, -sin_t, 0], [sin_t, cos_t, 0], [0, 0, 1]])
    return np.asarray(to_azimuth @ leaning @ twisted)


def anyhow(canvas: Canvas) -> npt.NDArray[np.float64]:
    """Turn a body at random."""
    lean = math.acos(canvas.between(-1, 1))
    return turned(lean, canvas.between(0, 2 * math.pi), canvas.between(0, 2 * math.pi))


def prism(
    at: Point,
    base: float,
    shape: tuple[int, float, float],
    rotation: npt.NDArray[np.float64],
    tone: float,
    taper: float = 1.0,
) -> list[Face]:
    """
    Return the faces of a prism that look up.

    ``shape``: sides, radius and length in pixels; the foot's middle is ``at`` and ``base`` high. ``taper`` < 1 narrows
    the far end. Faces that look up are brighter than those that look aside.
    """
    sides, radius, length = shape
    around = (np.arange(sides) + 0.5) * 2 * math.pi / sides
    ring = np.stack([np.cos(around), np.sin(around)], axis=1) * radius
    foot = np.column_stack([ring, np.zeros(sides)]) @ rotation.T
    far = np.column_stack([ring * taper, np.full(sides, length)]) @ rotation.T
    then = np.roll(np.arange(sides), -1)
    walls = np.stack([foot, foot[then], far[then], far], axis=1)
    away = np.roll(ring, -1, axis=0) + ring
    away_3 = np.column_stack([away, np.full(sides, radius * (1 - taper) / max(length, 1e-6) * 2 * radius)])
    normals = away_3 @ rotation.T / np.linalg.norm(away_3, axis=1)[:, np.newaxis]
    ends = ((far, rotation[:, 2]), (foot[::-1], -rotation[:, 2]))
    seen = []
    for corners, normal in (*zip(walls, normals, strict=True), *ends):
        if normal[2] <= 0.02:
            continue
        outline = [(at[0] + x, at[1] + y) for x, y in corners[:, :2].tolist()]
        shade = 0.62 + 0.3 * float(normal[2]) + 0.14 * float(normal[0])
        seen.append(Face(outline, base + float(corners[:, 2].mean()), tone * shade))
    return seen


def put(canvas: Canvas, faces: Iterable[Face]) -> None:
    """Lay faces over each other in the order given."""
    z, tone = (Image.fromarray(plane, mode="F") for plane in (canvas.z, canvas.tone))
    on_z, on_tone = ImageDraw.Draw(z), ImageDraw.Draw(tone)
    for face in faces:
        on_z.polygon(face.outline, fill=face.z)
        on_tone.polygon(face.outline, fill=face.tone)
    canvas.z = np.array(z)
    canvas.tone = np.array(tone)
