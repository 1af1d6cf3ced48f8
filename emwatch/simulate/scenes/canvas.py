"""
What a scene is made of: a height map and a material tone, and the shapes and textures to build them from.

Everything is numpy in single precision, seeded, and sized in fractions of `Canvas.unit`, so that a scene looks the
same at every frame size. Heights are in pixels: a hemisphere is as high as it is wide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from emwatch.simulate.height_map import HeightMap
from emwatch.simulate.planes import resized

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from emwatch.simulate.planes import Plane, Point


@dataclass(frozen=True, slots=True)
class Cells:
    """
    A random tessellation (jittered-grid Voronoi). All planes have the canvas' shape.

    ``nearest``, ``second``: distance in pixels to the nearest and second nearest seed; ``ident``: a number in 0..1 that is
    the same all over a cell; ``dx``, ``dy``: offset from the seed in pixels.
    """

    nearest: Plane
    second: Plane
    ident: Plane
    dx: Plane
    dy: Plane

    @property
    def border(self) -> Plane:
        """Distance to the cell's border, about, in pixels."""
        return (self.second - self.nearest) * np.float32(0.5)


class Canvas(HeightMap):
    """A height map ``z`` (pixels) and a tone map ``tone`` (0..1), both of shape (height, width), to draw a scene on."""

    def __init__(self, rng: np.random.Generator, width: int, height: int, unit: float | None = None) -> None:
        super().__init__(rng, width, height, unit)
        self.tone = np.full((height, width), 0.35, np.float32)

    def spread(self, low: float, high: float) -> float:
        """Draw a number from a range, evenly in its logarithm."""
        return float(math.exp(self.rng.uniform(math.log(low), math.log(high))))

    def anywhere(self, margin: float = 0.0) -> Point:
        """Draw a place; a positive margin (pixels) may lie outside the canvas, a negative one keeps inside."""
        return self.between(-margin, self.width + margin), self.between(-margin, self.height + margin)

    def grid(self, angle: float = 0.0) -> tuple[Plane, Plane]:
        """Return x and y of every pixel from the centre, in pixels, in axes turned by ``angle`` (radians)."""
        y, x = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        x -= self.width / 2
        y -= self.height / 2
        cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
        return x * cos + y * sin, y * cos - x * sin

    def noise(self, size_px: float, octaves: int = 1, *, stretch: float = 1.0) -> Plane:
        """
        Return a smooth random plane, mean 0 and deviation 1, with features of ``size_px``.

        Each further octave is half as large and half as strong; ``stretch`` draws features out along x.
        """
        total = np.zeros((self.height, self.width), np.float32)
        for octave in range(octaves):
            step = max(1.0, size_px / 2**octave)
            shape = (int(self.height / step) + 3, int(self.width / (step * stretch)) + 3)
            coarse = self.rng.standard_normal(shape, dtype=np.float32)
            wide, tall = round(shape[1] * step * stretch), round(shape[0] * step)
            fine = resized(coarse, max(wide, self.width), max(tall, self.height))
            total += fine[: self.height, : self.width] * np.float32(0.5**octave)
        total -= total.mean()
        total /= np.float32(total.std() + 1e-6)
        return total

    def cells(self, size_px: float, *, jitter: float = 0.9, warp_px: float = 0.0, angle: float = 0.0) -> Cells:
        """Cut the canvas into random cells of about ``size_px``; ``warp_px`` bends their borders."""
        factor = 2 if size_px > 16 and self.width > 500 else 1
        wide, tall = -(-self.width // factor), -(-self.height // factor)
        small = Canvas(self.rng, wide, tall)
        x, y = small.grid(angle)
        if warp_px:
            x = x + small.noise(size_px / factor / 2) * np.float32(warp_px / factor)
            y = y + small.noise(size_px / factor / 2) * np.float32(warp_px / factor)
        planes = _worley(self.rng, x * np.float32(factor / size_px), y * np.float32(factor / size_px), jitter)
        size = np.float32(size_px)
        nearest, second, ident, dx, dy = planes
        return Cells(
            self._grown(np.sqrt(nearest) * size, factor),
            self._grown(np.sqrt(second) * size, factor),
            self._grown(ident, factor, Image.Resampling.NEAREST),
            self._grown(dx * size, factor, Image.Resampling.NEAREST),
            self._grown(dy * size, factor, Image.Resampling.NEAREST),
        )

    def _grown(self, plane: Plane, factor: int, how: Image.Resampling = Image.Resampling.BILINEAR) -> Plane:
        if factor == 1:
            return plane
        height, width = plane.shape
        return resized(plane, width * factor, height * factor, how)[: self.height, : self.width]

    def mask(self, draw: Callable[[ImageDraw.ImageDraw], None]) -> Plane:
        """Return what ``draw`` paints with fill 255, as 0..1."""
        image = Image.new("L", (self.width, self.height))
        draw(ImageDraw.Draw(image))
        return np.asarray(image, dtype=np.float32) / np.float32(255)

    def polygons(self, outlines: Sequence[Sequence[Point]]) -> Plane:
        """Return the union of polygons as a mask, 0..1."""

        def draw(brush: ImageDraw.ImageDraw) -> None:
            for outline in outlines:
                brush.polygon([(float(x), float(y)) for x, y in outline], fill=255)

        return self.mask(draw)

    def lay(self, mask: npt.NDArray[np.floating], height_px: float, tone: float) -> None:
        """Put a flat layer of material where the mask is."""
        mask = mask.astype(np.float32, copy=False)
        self.z += mask * np.float32(height_px)
        self.tone += mask * (np.float32(tone) - self.tone)

    def raise_block(self, mask: Plane, height_px: float, tone: float, wall_px: float = 0.0) -> None:
        """Put a layer whose near walls (towards the bottom of the frame) show, ``wall_px`` tall, as under tilt."""
        if wall_px >= 1:
            wall = np.clip(swept_down(mask, round(wall_px)) - mask, 0, 1)
            self.tone += wall * (np.float32(tone * self.between(0.35, 0.6)) - self.tone)
            self.z += wall * np.float32(height_px * 0.3)
        self.lay(mask, height_px, tone)

    def window(self, x0: float, y0: float, x1: float, y1: float) -> tuple[slice, slice] | None:
        """Return the slices of a box, clipped to the canvas; ``None`` if nothing of it is inside."""
        left, right = max(0, math.floor(x0)), min(self.width, math.ceil(x1) + 1)
        top, bottom = max(0, math.floor(y0)), min(self.height, math.ceil(y1) + 1)
        return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None

    def stamp(self, where: tuple[slice, slice], z: Plane, tone: Plane | float) -> None:
        """Put a body: it is seen where it stands higher than what is there (-inf where it is not)."""
        seen = z > self.z[where]
        np.copyto(self.z[where], z, where=seen)
        np.copyto(self.tone[where], np.float32(tone) if isinstance(tone, float) else tone, where=seen)

    def sphere(self, x: float, y: float, radius: float, tone: float, base: float = 0.0, squash: float = 1.0) -> None:
        """Put a ball on ``base``; ``squash`` < 1 flattens it."""
        self.ellipsoid((x, y), (radius, radius), 0.0, tone, base=base, height_px=radius * squash)

    def ellipsoid(
        self, at: Point, radii: Point, angle: float, tone: float, *, base: float = 0.0, height_px: float = 0.0
    ) -> None:
        """Put an ellipsoid's upper half of a given height."""
        reach = max(radii)
        box = self.window(at[0] - reach, at[1] - reach, at[0] + reach, at[1] + reach)
        if box is None:
            return
        y = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None] - np.float32(at[1])
        x = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None, :] - np.float32(at[0])
        cos, sin = math.cos(angle), math.sin(angle)
        inside = 1 - ((x * cos + y * sin) / radii[0]) ** 2 - ((y * cos - x * sin) / radii[1]) ** 2
        height = height_px or min(radii)
        z = np.where(inside > 0, base + height * np.sqrt(np.maximum(inside, 0)), -np.inf)
        self.stamp(box, z.astype(np.float32), tone)

    def capsule(
        self, start: Point, end: Point, radii: Point, tone: float, base: float = 0.0, end_base: float | None = None
    ) -> None:
        """Put a round rod from ``start`` to ``end``; its radius goes from ``radii[0]`` to ``radii[1]``, its base likewise."""
        reach = max(radii)
        box = self.window(
            min(start[0], end[0]) - reach,
            min(start[1], end[1]) - reach,
            max(start[0], end[0]) + reach,
            max(start[1], end[1]) + reach,
        )
        if box is None:
            return
        y = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None] - np.float32(start[1])
        x = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None, :] - np.float32(start[0])
        along_x, along_y = end[0] - start[0], end[1] - start[1]
        length_2 = max(along_x * along_x + along_y * along_y, 1e-6)
        t = np.clip((x * np.float32(along_x) + y * np.float32(along_y)) / np.float32(length_2), 0, 1)
        away = (x - t * np.float32(along_x)) ** 2 + (y - t * np.float32(along_y)) ** 2
        radius = np.float32(radii[0]) + t * np.float32(radii[1] - radii[0])
        inside = radius * radius - away
        lift = base if end_base is None else np.float32(base) + t * np.float32(end_base - base)
        z = np.where(inside > 0, lift + radius + np.sqrt(np.maximum(inside, 0)), -np.inf)
        self.stamp(box, z.astype(np.float32), tone)

    def strand(self, points: npt.NDArray[np.floating], radii: Point, tone: float, base: float = 0.0) -> None:
        """Put a bent round strand through points, shape (n, 2)."""
        steps = len(points) - 1
        for index in range(steps):
            here = radii[0] + (radii[1] - radii[0]) * index / steps
            then = radii[0] + (radii[1] - radii[0]) * (index + 1) / steps
            start, end = points[index], points[index + 1]
            self.capsule((float(start[0]), float(start[1])), (float(end[0]), float(end[1])), (here, then), tone, base)

    def straight(self, at: Point, angle: float, length: float, radii: Point, tone: float, base: float = 0.0) -> None:
        """Put a straight round rod from a place, in pieces small enough to be cheap on a slant."""
        pieces = max(1, int(length / max(8 * max(radii), 40)))
        along = np.linspace(0, length, pieces + 1)
        points = np.stack([at[0] + along * math.cos(angle), at[1] + along * math.sin(angle)], axis=1)
        self.strand(points, radii, tone, base)


def swept_down(mask: Plane, steps: int) -> Plane:
    """Return the mask smeared downwards by so many rows."""
    out = mask.copy()
    done = 0
    while done < steps:
        step = min(done + 1, steps - done)
        out[step:] = np.maximum(out[step:], out[:-step].copy())
        done += step
    return out


def _worley(rng: np.random.Generator, x: Plane, y: Plane, jitter: float) -> tuple[Plane, Plane, Plane, Plane, Plane]:
    """Return squared distances to the nearest two seeds, the cell's number and the offset, in units of the cell size."""
    column, row = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
    left, top = int(column.min()) - 1, int(row.min()) - 1
    shape = (int(row.max()) - top + 2, int(column.max()) - left + 2)
    offsets = (0.5 + jitter * (rng.random((2, *shape), dtype=np.float32) - 0.5)).astype(np.float32)
    idents = rng.random(shape, dtype=np.float32).ravel()
    seeds_x = (offsets[0] + np.arange(shape[1], dtype=np.float32) + left).ravel()
    seeds_y = (offsets[1] + np.arange(shape[0], dtype=np.float32)[:, None] + top).ravel()
    nearest = np.full(x.shape, 1e9, np.float32)
    second = nearest.copy()
    owner = np.zeros(x.shape, np.int32)
    home = (row - top) * shape[1] + (column - left)
    for step_y in (-1, 0, 1):
        for step_x in (-1, 0, 1):
            seed = home + (step_y * shape[1] + step_x)
            distance = (seeds_x[seed] - x) ** 2 + (seeds_y[seed] - y) ** 2
            closer = distance < nearest
            second = np.minimum(second, np.maximum(nearest, distance))
            owner = np.where(closer, seed, owner)
            nearest = np.minimum(nearest, distance)
    return nearest, second, idents[owner], x - seeds_x[owner], y - seeds_y[owner]


def lay_ground(canvas: Canvas, *, rough: bool = True) -> float:
    """
    Make a flat or slightly uneven ground and return its tone; ``rough=False`` keeps it polished.

    The same choice for every category, so that the ground says nothing about what lies there.
    """
    tone = canvas.between(0.12, 0.42)
    canvas.tone[:] = tone
    if rough and canvas.chance(0.5):
        size = canvas.unit * canvas.spread(0.01, 0.2)
        canvas.z += canvas.noise(size, 2) * np.float32(size * canvas.between(0.0, 0.06))
    if canvas.chance(0.4):
        canvas.tone += canvas.noise(canvas.unit * canvas.between(0.2, 0.6), 2) * np.float32(0.02)
    return tone


def bright(canvas: Canvas, ground: float) -> float:
    """Choose a tone that stands out from the ground."""
    return min(0.95, ground + canvas.between(0.2, 0.5))
