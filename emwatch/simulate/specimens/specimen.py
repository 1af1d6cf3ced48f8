"""
What the second painter builds a specimen of: a height map, a map of what the matter yields, and ways to fill them.

Textures come from shaped spectra, bodies from planes that cut each other, strands from strokes laid one over the other.
Sizes are in pixels; kinds take them as shares of `Specimen.unit`, the height of the finished frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from emwatch.simulate.height_map import HeightMap
from emwatch.simulate.planes import blurred, resized

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from emwatch.simulate.planes import Plane, Point

#: Cells of a tessellation are computed at most this large (pixels) and enlarged: their number, not their size, costs time.
_CELL_PX = 20.0

#: So many cells, about, are computed; a picture that holds more repeats them.
_CELLS = 160


@dataclass(frozen=True, slots=True)
class Stroke:
    """A bent strand: points (n, 2) in pixels, its width, the height of its foot and its yield."""

    points: npt.NDArray[np.floating]
    width: float
    base: float
    matter: float


@dataclass(frozen=True, slots=True)
class Tessellation:
    """
    Cells that fill the plane; every plane has the specimen's shape.

    ``border``: distance to the nearest border, about, in pixels; ``away``: distance to the cell's seed; ``ident``: 0..1,
    the same all over a cell; ``dx``, ``dy``: offset from the seed in pixels.
    """

    border: Plane
    away: Plane
    ident: Plane
    dx: Plane
    dy: Plane


class Specimen(HeightMap):
    """Height ``z`` in pixels and ``matter``, the yield of flat matter 0..1: planes of shape (height, width)."""

    def __init__(self, rng: np.random.Generator, width: int, height: int, unit: float | None = None) -> None:
        super().__init__(rng, width, height, unit)
        self.matter = np.full((height, width), 0.3, np.float32)

    def scale(self, low: float, high: float) -> float:
        """Return a random length in pixels, from limits given as shares of the unit, even in its logarithm."""
        return self.unit * math.exp(self.between(math.log(low), math.log(high)))

    def count(self, low: int, high: int) -> int:
        """Return a random whole number; both limits can come."""
        return int(self.rng.integers(low, high + 1))

    def place(self, margin: float = 0.0) -> Point:
        """Return a random place in pixels, up to ``margin`` outside the picture."""
        return self.between(-margin, self.width + margin), self.between(-margin, self.height + margin)

    def axes(self, angle: float = 0.0, origin: Point | None = None) -> tuple[Plane, Plane]:
        """Return each pixel's coordinates along and across ``angle`` (radians) from ``origin`` (default: the middle)."""
        at_x, at_y = origin or (self.width / 2, self.height / 2)
        x = np.arange(self.width, dtype=np.float32)[None, :] - np.float32(at_x)
        y = np.arange(self.height, dtype=np.float32)[:, None] - np.float32(at_y)
        cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
        return x * cos + y * sin, y * cos - x * sin

    # textures

    def fractal(self, size: float, hurst: float = 0.7, stretch: float = 1.0, angle: float = 0.0) -> Plane:
        """Return a self-affine surface (mean 0, deviation 1), rough below ``size``; ``stretch`` draws it out along ``angle``."""

        def amplitude(along: Plane, across: Plane) -> Plane:
            square = (along * np.float32(stretch)) ** 2 + across**2
            return np.asarray((square + np.float32(1 / size**2)) ** np.float32(-(hurst + 1) / 2), dtype=np.float32)

        return self._spectral(amplitude, 2 if size > 6 else 1, angle)

    def soft(self, size: float, stretch: float = 1.0, angle: float = 0.0) -> Plane:
        """Return a smooth random surface (mean 0, deviation 1) of hills of about ``size``."""

        def amplitude(along: Plane, across: Plane) -> Plane:
            square = (along * np.float32(stretch)) ** 2 + across**2
            return np.asarray(np.exp(square * np.float32(-0.5 * (2.2 * size) ** 2)), dtype=np.float32)

        return self._spectral(amplitude, max(1, int(size / 4)), angle)

    def waves(self, size: float, width: float = 0.2, stretch: float = 1.0, angle: float = 0.0) -> Plane:
        """Return a random surface (mean 0, deviation 1) of one wavelength, as phases that part or a skin that buckles."""

        def amplitude(along: Plane, across: Plane) -> Plane:
            frequency = np.sqrt((along * np.float32(stretch)) ** 2 + across**2) * np.float32(size)
            return np.asarray(np.exp(-(((frequency - 1) / np.float32(width)) ** 2)), dtype=np.float32)

        return self._spectral(amplitude, max(1, int(size / 6)), angle)

    def _spectral(self, amplitude: Callable[[Plane, Plane], Plane], step: int, angle: float) -> Plane:
        """Return noise whose spectrum has the amplitude of the frequencies (cycles a pixel) along and across an angle."""
        wide, tall = _even(self.width / step + 8), _even(self.height / step + 8)
        fx = np.fft.rfftfreq(wide, step).astype(np.float32)[None, :]
        fy = np.fft.fftfreq(tall, step).astype(np.float32)[:, None]
        cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
        shape = (tall, wide // 2 + 1)
        phases = self.rng.standard_normal((2, *shape), dtype=np.float32)
        spectrum = (phases[0] + np.complex64(1j) * phases[1]) * amplitude(fx * cos + fy * sin, fy * cos - fx * sin)
        spectrum[0, 0] = 0
        plane = np.fft.irfft2(spectrum, (tall, wide)).astype(np.float32)
        if step > 1:
            plane = resized(plane, wide * step, tall * step)
        plane = plane[: self.height, : self.width]
        plane = plane - plane.mean()
        return np.asarray(plane / np.float32(plane.std() + 1e-9), dtype=np.float32)

    def cells(self, size: float, disorder: float = 0.5, bend: float = 0.0) -> Tessellation:
        """
        Return cells of about ``size``: 0 disorder is a honeycomb, 1 is random; ``bend`` (pixels) curves their borders.

        Where there would be too many, a patch of them is repeated; bent or not, the repeated patch is wider than tall.
        """
        shrink = max(1, round(size / _CELL_PX))
        cell = size / shrink
        rows = 2 * max(2, math.ceil(min(self.height / size / 2 + 1, math.sqrt(_CELLS) / 2 * 0.9)))
        columns = max(4, math.ceil(min(self.width / size + 2, _CELLS / rows)))
        tall, wide = round(rows * cell * 0.866), round(columns * cell)
        planes = self._voronoi(rows, columns, (tall, wide), cell, disorder)
        coarse = 2 if size > 12 and self.height > 500 else 1
        small = Specimen(self.rng, -(-self.width // coarse), -(-self.height // coarse))
        x, y = small.axes(origin=(-self.between(0, wide), -self.between(0, tall)))
        if bend:
            hill = size * 0.6 / coarse
            x, y = x + small.soft(hill) * np.float32(bend / coarse), y + small.soft(hill) * np.float32(bend / coarse)
        step = np.float32(coarse / shrink)
        where = (y * step).astype(np.int32) % tall * wide + (x * step).astype(np.int32) % wide
        border, away, ident, dx, dy = (plane.ravel()[where] for plane in planes)
        border, away, dx, dy = (
            self._enlarged(plane * np.float32(shrink), coarse, shrink) for plane in (border, away, dx, dy)
        )
        return Tessellation(border, away, self._enlarged(ident, coarse), dx, dy)

    def _enlarged(self, plane: Plane, coarse: int, soft: float = 0.0) -> Plane:
        """Return a plane of every ``coarse``-th pixel at full size, blurred by half of ``soft`` pixels if it is above 1."""
        if soft > 1:
            plane = blurred(plane, min(soft * 0.5 / coarse, 2.9))
        if coarse == 1:
            return plane
        how = Image.Resampling.BILINEAR if soft else Image.Resampling.NEAREST
        height, width = plane.shape
        return resized(plane, width * coarse, height * coarse, how)[: self.height, : self.width]

    def _voronoi(
        self, rows: int, columns: int, shape: tuple[int, int], cell: float, disorder: float
    ) -> tuple[Plane, Plane, Plane, Plane, Plane]:
        """Return the planes of a tessellation on a patch that joins itself at its borders."""
        tall, wide = shape
        row, column = np.mgrid[0:rows, 0:columns]
        jog = self.rng.normal(0, 0.3 * disorder, (2, rows, columns))
        seeds_x = ((column + 0.5 * (row % 2) + jog[0]) * wide / columns).ravel()
        seeds_y = ((row + 0.5 + jog[1]) * tall / rows).ravel()
        ident = self.rng.random(rows * columns, dtype=np.float32)
        # Copies of the seeds all round make the patch join itself.
        all_x = np.concatenate([seeds_x + wide * (step % 3 - 1) for step in range(9)])
        all_y = np.concatenate([seeds_y + tall * (step // 3 - 1) for step in range(9)])
        reach = math.ceil(cell * (1.2 + 0.6 * disorder))
        near = np.flatnonzero((all_x > -reach) & (all_x < wide + reach) & (all_y > -reach) & (all_y < tall + reach))
        nearest, second = np.full(shape, 1e9, np.float32), np.full(shape, 1e9, np.float32)
        owner = np.zeros(shape, np.int32)
        x, y = np.arange(wide, dtype=np.float32)[None, :], np.arange(tall, dtype=np.float32)[:, None]
        for number in near.tolist():
            seed_x, seed_y = float(all_x[number]), float(all_y[number])
            columns_here = slice(max(0, int(seed_x) - reach), max(0, int(seed_x) + reach + 1))
            rows_here = slice(max(0, int(seed_y) - reach), max(0, int(seed_y) + reach + 1))
            here = (rows_here, columns_here)
            distance = (x[:, columns_here] - np.float32(seed_x)) ** 2 + (y[rows_here] - np.float32(seed_y)) ** 2
            closest, then = nearest[here], second[here]
            np.copyto(owner[here], number, where=distance < closest)
            np.minimum(then, np.maximum(closest, distance), out=then)
            np.minimum(closest, distance, out=closest)
        offset_x, offset_y = x - all_x[owner].astype(np.float32), y - all_y[owner].astype(np.float32)
        away = np.sqrt(nearest)
        border = np.minimum((np.sqrt(second) - away) * np.float32(0.5), np.float32(cell))
        return border, np.minimum(away, np.float32(2 * cell)), ident[owner % ident.size], offset_x, offset_y

    # masks and layers

    def outline(self, *shapes: Sequence[Point], lines: Iterable[tuple[Sequence[Point], float]] = ()) -> Plane:
        """Return a mask, 0..1, of polygons and of lines of a width, with edges one pixel soft."""
        image = Image.new("L", (self.width, self.height))
        brush = ImageDraw.Draw(image)
        for shape in shapes:
            brush.polygon([(float(x), float(y)) for x, y in shape], fill=255)
        for points, width in lines:
            brush.line([(float(x), float(y)) for x, y in points], 255, max(1, round(width)), joint="curve")
        return blurred(np.asarray(image, dtype=np.float32) / np.float32(255), 0.6)

    def layer(self, mask: npt.NDArray[np.floating] | npt.NDArray[np.bool], thick: float, matter: float) -> None:
        """Put a layer on what is there where the mask is 1; a negative thickness digs."""
        mask = np.asarray(mask, dtype=np.float32)
        self.z += mask * np.float32(thick)
        self.matter += mask * (np.float32(matter) - self.matter)

    def substrate(self, polish: float = 0.5) -> float:
        """Make an even ground, polished with a probability, and return its yield: the same choice for every category."""
        matter = self.between(0.1, 0.45)
        self.matter[:] = matter
        if not self.chance(polish):
            size = self.scale(0.01, 0.15)
            self.z += self.fractal(size, self.between(0.4, 1.0)) * np.float32(size * self.between(0.01, 0.06))
        return matter

    def above(self, matter: float) -> float:
        """Return a yield that stands out from another."""
        return min(0.95, matter + self.between(0.18, 0.5))

    # bodies

    def body(self, top: Plane, at: Point, base: float, matter: float) -> None:
        """Put a body: ``top`` is its height over ``base`` round its middle, -inf outside; the higher one is seen."""
        tall, wide = top.shape
        left, above = round(at[0] - wide / 2), round(at[1] - tall / 2)
        x0, x1, y0, y1 = max(0, left), min(self.width, left + wide), max(0, above), min(self.height, above + tall)
        if x0 >= x1 or y0 >= y1:
            return
        part = top[y0 - above : y1 - above, x0 - left : x1 - left] + np.float32(base)
        here = (slice(y0, y1), slice(x0, x1))
        higher = part > self.z[here]
        np.copyto(self.z[here], part, where=higher)
        self.matter[here][higher] = matter

    def path(self, at: Point, angle: float, length: float, bend: float = 0.0) -> npt.NDArray[np.float64]:
        """Return the points (n, 2) of a line that begins at a place; ``bend``: radians it turns by, about, in a unit."""
        pieces = max(2, min(70, round(length / self.unit * 24))) if bend else 1
        step = length / pieces
        turns = self.rng.normal(0, bend * math.sqrt(step / self.unit), pieces + 2)
        heading = angle + np.cumsum(np.convolve(turns, np.ones(3) / math.sqrt(3), "valid")[:pieces])
        steps = np.stack([np.cos(heading), np.sin(heading)], axis=1) * step
        return np.concatenate([[at], at + np.cumsum(steps, axis=0)])

    def across(self, at: Point, angle: float, bend: float = 0.0) -> npt.NDArray[np.float64]:
        """Return the points (n, 2) of a line through a place that leaves the picture at both ends."""
        half = math.hypot(self.width, self.height)
        back, forth = self.path(at, angle + math.pi, half, bend), self.path(at, angle, half, bend)
        return np.concatenate([back[:0:-1], forth])

    def strokes(self, strokes: Iterable[Stroke], flat: float = 1.0) -> None:
        """Lay round strands over each other in the order given; ``flat`` < 1 makes ribbons."""
        z, matter = Image.fromarray(self.z, mode="F"), Image.fromarray(self.matter, mode="F")
        on_z, on_matter = ImageDraw.Draw(z), ImageDraw.Draw(matter)
        for stroke in strokes:
            levels = max(1, min(4, round(stroke.width / 3)))
            for level in range(levels):
                share = (level + 0.5) / levels if levels > 1 else 1.0
                outline = _band(stroke.points, stroke.width * math.sqrt(1 - (level / levels) ** 2))
                on_z.polygon(outline, fill=stroke.base + flat * stroke.width * 0.5 * (1 + share))
                if level == 0:
                    on_matter.polygon(outline, fill=stroke.matter)
        self.z, self.matter = np.array(z), np.array(matter)

    def lattice(self, pitch: float, *, hexagonal: bool = False, angle: float = 0.0) -> tuple[Plane, Plane, Plane]:
        """Return each pixel's offset (along, across, pixels) from the nearest site of a lattice, and the site's number 0..1."""
        along, across = self.axes(angle)
        rise = pitch * (0.866 if hexagonal else 1.0)
        row = np.rint(across / np.float32(rise))
        shift = (row % 2) * np.float32(0.5) if hexagonal else np.float32(0)
        column = np.rint(along / np.float32(pitch) - shift)
        mixed = (row.astype(np.int64) * 73856093) ^ (column.astype(np.int64) * 19349663)
        number = ((mixed % 9973) / np.float32(9973)).astype(np.float32)
        return along - (column + shift) * np.float32(pitch), across - row * np.float32(rise), number


def _band(points: npt.NDArray[np.floating], width: float) -> list[float]:
    """Return the outline, x and y in turn, of a line that is so wide."""
    ahead = np.empty_like(points)
    ahead[1:-1] = points[2:] - points[:-2]
    ahead[0], ahead[-1] = points[1] - points[0], points[-1] - points[-2]
    half = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)
    half *= (max(width, 1.0) / 2 / np.maximum(np.hypot(half[:, 0], half[:, 1]), 1e-6))[:, None]
    outline: list[float] = np.concatenate([points + half, (points - half)[::-1]]).ravel().tolist()
    return outline


def _even(length: float) -> int:
    """Return a length that a Fourier transform takes fast: a multiple of 32."""
    return -(-math.ceil(length) // 32) * 32


def ball(radius: float, squash: float = 1.0, power: float = 2.0) -> Plane:
    """Return the upper half of a ball that lies on its ground; ``power`` > 2 makes it boxy, ``squash`` < 1 flat."""
    side = np.arange(-math.ceil(radius), math.ceil(radius) + 1, dtype=np.float32) / np.float32(radius)
    inside = 1 - (np.abs(side[None, :]) ** np.float32(power) + np.abs(side[:, None]) ** np.float32(power))
    top = np.float32(radius * squash) * (1 + np.maximum(inside, 0) ** np.float32(1 / power))
    return np.where(inside > 0, top, -np.inf).astype(np.float32)


def oval(long: float, wide: float, angle: float, rise: float) -> Plane:
    """Return the upper half of an ellipsoid, ``rise`` high, its long axis turned by ``angle`` (radians)."""
    reach = math.ceil(max(long, wide))
    side = np.arange(-reach, reach + 1, dtype=np.float32)
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    along, across = side[None, :] * cos + side[:, None] * sin, side[:, None] * cos - side[None, :] * sin
    inside = 1 - (along / np.float32(long)) ** 2 - (across / np.float32(wide)) ** 2
    return np.where(inside > 0, np.float32(rise) * np.sqrt(np.maximum(inside, 0)), -np.inf).astype(np.float32)


def turn(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a random rotation (3, 3), every direction as likely."""
    return np.linalg.qr(rng.standard_normal((3, 3)))[0]


#: Normals of faces: a cube, an octahedron, a dodecahedron-like garnet.
CUBE = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=np.float64)
OCTAHEDRON = np.array([[x, y, z] for x in (1, -1) for y in (1, -1) for z in (1, -1)], dtype=np.float64) / math.sqrt(3)
GARNET = np.array(
    [p for a in (1, -1) for b in (1, -1) for p in ([a, b, 0], [a, 0, b], [0, a, b])], dtype=np.float64
) / math.sqrt(2)


def prism_faces(sides: int, long: float) -> npt.NDArray[np.float64]:
    """Return the normals of a prism, each divided by its face's distance: sides at 1, ends at ``long``."""
    around = np.arange(sides) * 2 * math.pi / sides
    walls = np.stack([np.cos(around), np.sin(around), np.zeros(sides)], axis=1)
    return np.concatenate([walls, [[0, 0, 1 / long], [0, 0, -1 / long]]])


def broken(rng: np.random.Generator, faces: int) -> npt.NDArray[np.float64]:
    """Return the faces of a splinter: normals every way, at unequal distances."""
    normals = rng.standard_normal((faces, 3))
    return np.asarray(normals / np.linalg.norm(normals, axis=1)[:, None] / rng.uniform(0.55, 1.1, (faces, 1)))


def crystal(faces: npt.NDArray[np.float64], radius: float, rotation: npt.NDArray[np.float64] | None = None) -> Plane:
    """
    Return the top of a convex body that lies on its ground, -inf outside: the highest point below all upward planes.

    ``faces``: normals (n, 3) divided by the faces' distances from the middle, in units of ``radius``.
    """
    turned = faces if rotation is None else faces @ rotation.T
    reach = math.ceil(radius * 1.75)
    side = np.arange(-reach, reach + 1, dtype=np.float32) / np.float32(radius)
    x, y = side[None, :], side[:, None]
    upper, lower = np.full((side.size, side.size), 9.0, np.float32), np.full((side.size, side.size), -9.0, np.float32)
    inside = np.ones_like(upper, dtype=bool)
    for nx, ny, nz in turned.tolist():
        rest = 1 - np.float32(nx) * x - np.float32(ny) * y
        if nz > 1e-3:
            upper = np.minimum(upper, rest / np.float32(nz))
        elif nz < -1e-3:
            lower = np.maximum(lower, rest / np.float32(nz))
        else:
            inside &= rest > 0
    inside &= upper > lower
    foot = float(lower[inside].min()) if inside.any() else -1.0
    return np.where(inside, (upper - np.float32(foot)) * np.float32(radius), -np.inf).astype(np.float32)
