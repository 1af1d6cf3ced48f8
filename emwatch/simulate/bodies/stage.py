"""
What the third painter builds scenes of: solid bodies in space, put into a buffer of depths as seen along a tilted beam.

World coordinates are in pixels, from the middle of the picture: x to the right, y down the stage, z up from it. The
camera looks down and, at a tilt, leans towards positive y, so that what stands up reaches up the picture.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from emwatch.simulate.height_map import HeightMap
from emwatch.simulate.planes import blurred, resized

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from emwatch.simulate.planes import Plane, Point

Numbers = npt.NDArray[np.float32]

#: The depth where nothing is.
NOTHING: Final = -1e6

#: Surfaces are sampled this densely (pixels), so that they have no holes.
_STEP: Final = 0.7

#: So many samples of surfaces are made at once.
_AT_ONCE: Final = 1_500_000


class Stage(HeightMap):
    """
    A scene as the beam sees it: planes of shape (height, width).

    ``z``: height towards the detector in pixels, `NOTHING` where there is no body; ``nx``, ``ny``, ``nz``: the normal
    of what is seen, to the right, down the picture and towards the detector; ``matter``: the yield of flat matter, 0..1.
    """

    def __init__(self, rng: np.random.Generator, width: int, height: int, tilt_deg: float) -> None:
        super().__init__(rng, width, height)
        self.z[:] = NOTHING
        self.nx, self.ny = np.zeros_like(self.z), np.zeros_like(self.z)
        self.nz, self.matter = np.ones_like(self.z), np.full_like(self.z, 0.03)
        self.cos, self.sin = math.cos(math.radians(tilt_deg)), math.sin(math.radians(tilt_deg))
        #: The stage reaches so far in y that it fills the picture.
        self.deep = height / self.cos

    # random numbers

    def size(self, low: float, high: float) -> float:
        """Return a random length in pixels from limits that are shares of the picture's height, even in the logarithm."""
        return self.unit * math.exp(self.between(math.log(low), math.log(high)))

    def number(self, low: int, high: int) -> int:
        """Return a random whole number; both limits can come."""
        return int(self.rng.integers(low, high + 1))

    def many(self, low: float, high: float) -> int:
        """Return a random whole number, even in its logarithm."""
        return round(math.exp(self.between(math.log(low), math.log(high))))

    def spot(self, margin: float = 0.0) -> Point:
        """Return a random place (x, y) of the stage, up to ``margin`` pixels outside what is seen."""
        return (
            self.between(-self.width / 2 - margin, self.width / 2 + margin),
            self.between(-self.deep / 2 - margin, self.deep / 2 + margin),
        )

    def spots(self, count: int, margin: float = 0.0) -> Numbers:
        """Return random places (count, 2)."""
        half = np.array([self.width / 2 + margin, self.deep / 2 + margin])
        return self.rng.uniform(-half, half, (count, 2)).astype(np.float32)

    def values(self, low: float, high: float, count: int) -> Numbers:
        """Return random numbers (count,)."""
        return self.rng.uniform(low, high, count).astype(np.float32)

    # reliefs

    def shape(self) -> tuple[int, int]:
        """Return rows and columns of a relief that fills the picture at this tilt."""
        beyond = 0.15 * self.unit if self.sin else 1.0  # what stands there reaches into the picture
        return math.ceil(self.deep) + 2 * math.ceil(beyond), self.width

    def axes(self, angle: float = 0.0, origin: Point = (0.0, 0.0)) -> tuple[Plane, Plane]:
        """Return coordinates along and across an angle (radians) of each place of a relief."""
        rows, columns = self.shape()
        x = np.arange(columns, dtype=np.float32)[None, :] - np.float32(columns / 2 + origin[0])
        y = np.arange(rows, dtype=np.float32)[:, None] - np.float32(rows / 2 + origin[1])
        cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
        return x * cos + y * sin, y * cos - x * sin

    def rough(
        self, size: float, octaves: int = 4, gain: float = 0.5, *, ridged: bool = False, stretch: float = 1.0
    ) -> Plane:
        """
        Return a relief of noise (mean 0, deviation 1) whose largest hills have ``size`` pixels.

        Each octave is half as wide and ``gain`` times as high; ``ridged`` folds it into crests; ``stretch`` draws it out.
        """
        rows, columns = self.shape()
        total, strength = np.zeros((rows, columns), np.float32), 1.0
        for octave in range(octaves):
            step = max(size / 2**octave, 1.0)
            grid = (math.ceil(rows / step) + 4, math.ceil(columns / (step * stretch)) + 4)
            coarse = self.rng.standard_normal(grid, dtype=np.float32)
            fine = resized(coarse, math.ceil(grid[1] * step * stretch), math.ceil(grid[0] * step))
            top, left = (int(self.rng.integers(0, fine.shape[axis] - (rows, columns)[axis] + 1)) for axis in (0, 1))
            layer = fine[top : top + rows, left : left + columns]
            total += (1 - 2 * np.abs(layer) if ridged else layer) * np.float32(strength)
            strength *= gain
            if step <= 1.0:
                break
        total -= total.mean()
        total /= np.float32(total.std() + 1e-6)
        return total

    def drawn(self, draw: Callable[[ImageDraw.ImageDraw], None]) -> Plane:
        """Return what is drawn with fill 255 as a relief of 0..1; (0, 0) is the upper left corner of the stage."""
        rows, columns = self.shape()
        image = Image.new("L", (columns, rows))
        draw(ImageDraw.Draw(image))
        return np.asarray(image, dtype=np.float32) / np.float32(255)

    def terrain(self, height: Plane, matter: Plane | float) -> None:
        """Put a relief onto the stage, heights in pixels, of the shape of `shape`; steep walls hide what is behind them."""
        rows = len(height)
        material = np.broadcast_to(np.asarray(matter, np.float32), height.shape)
        down, right = np.gradient(blurred(height, 0.5))
        long = np.sqrt(1 + down * down + right * right)
        nx, ny, up = -right / long, -down / long, 1 / long
        cos, sin = np.float32(self.cos), np.float32(self.sin)
        world = (np.arange(rows, dtype=np.float32) - np.float32(rows / 2))[:, None]
        row = self._rows_seen(world * cos - height * sin) if sin else None

        def seen(plane: Plane) -> Plane:
            return plane[1 : self.height + 1] if row is None else np.take_along_axis(plane, row, axis=0)

        front = seen(height * cos + world * sin)
        above = front > self.z
        for mine, plane in (
            (self.z, front),
            (self.nx, seen(nx)),
            (self.ny, seen(ny * cos - up * sin)),
            (self.nz, seen(up * cos + ny * sin)),
            (self.matter, seen(material)),
        ):
            np.copyto(mine, plane, where=above)

    def _rows_seen(self, seen_at: Plane) -> npt.NDArray[np.intp]:
        """Return for each pixel the row of a relief that it shows, of the places (rows, columns) where rows are seen."""
        rows, columns = seen_at.shape
        horizon = np.minimum.accumulate(seen_at[::-1], axis=0)[::-1]
        apart = np.arange(columns, dtype=np.float64) * 1e5
        wanted = np.arange(self.height, dtype=np.float64)[None, :] - self.height / 2 + apart[:, None]
        found = np.searchsorted((horizon.T + apart[:, None]).ravel(), wanted.ravel()).reshape(columns, self.height)
        inside = found - (np.arange(columns) * rows)[:, None]
        return np.asarray(np.clip(inside, 0, rows - 1).T, dtype=np.intp)

    # bodies

    def camera(self, world: npt.NDArray[np.floating]) -> Numbers:
        """Return points or directions (..., 3) as the camera has them: right, down the picture, towards the detector."""
        out = np.empty(world.shape, np.float32)
        out[..., 0] = world[..., 0]
        out[..., 1] = world[..., 1] * self.cos - world[..., 2] * self.sin
        out[..., 2] = world[..., 2] * self.cos + world[..., 1] * self.sin
        return out

    def splat(self, points: Numbers, normals: Numbers, matter: Numbers | float) -> None:
        """Put samples of surfaces into the buffer: camera coordinates (n, 3) each; the nearest one of a pixel is seen."""
        column = np.floor(points[:, 0] + np.float32(self.width / 2)).astype(np.int32)
        row = np.floor(points[:, 1] + np.float32(self.height / 2)).astype(np.int32)
        inside = (column >= 0) & (column < self.width) & (row >= 0) & (row < self.height)
        place = (row * self.width + column)[inside]
        depth, normals = points[inside, 2], normals[inside]
        flat = self.z.reshape(-1)
        np.maximum.at(flat, place, depth)
        seen = flat[place] == depth
        place, normals = place[seen], normals[seen]
        for axis, plane in enumerate((self.nx, self.ny, self.nz)):
            plane.reshape(-1)[place] = normals[:, axis]
        material = np.broadcast_to(np.asarray(matter, np.float32), (len(points),))
        self.matter.reshape(-1)[place] = material[inside][seen]

    def balls(
        self, centres: npt.NDArray[np.floating], radii: npt.NDArray[np.floating], matter: Numbers | float
    ) -> None:
        """Put balls: centres (n, 3), radii (n,), yields (n,) or one."""
        at, radii = self.camera(centres), np.maximum(np.asarray(radii, np.float32), np.float32(0.6))
        yields = np.broadcast_to(np.asarray(matter, np.float32), radii.shape)
        inside = (np.abs(at[:, 0]) < self.width / 2 + radii) & (np.abs(at[:, 1]) < self.height / 2 + radii)
        order = np.flatnonzero(inside)
        order = order[np.argsort(radii[order])]
        while len(order):
            largest = float(radii[order[-1]])
            mine = order[radii[order] > largest * 0.8]
            side = math.ceil(largest)
            offset = np.mgrid[-side : side + 1, -side : side + 1].reshape(2, -1)[::-1].astype(np.float32)
            offset = offset[:, np.hypot(*offset) < side + 1]
            mine = mine[-max(1, _AT_ONCE // offset.shape[1]) :]
            order = order[: len(order) - len(mine)] if len(mine) else order[:-1]
            self._ball_group(at[mine], radii[mine], yields[mine], offset)

    def _ball_group(self, at: Numbers, radii: Numbers, yields: Numbers, offset: Numbers) -> None:
        half = np.array([self.width / 2, self.height / 2], np.float32) % 1
        across = np.floor(at[:, :2] + half)[:, :, None] - half[:, None] + np.float32(0.5) + offset[None]
        away = across - at[:, :2, None]
        square = (radii**2)[:, None] - (away**2).sum(axis=1)
        there = square > 0
        which = np.nonzero(there)[0]
        up = np.sqrt(square[there])
        x, y = away[:, 0][there], away[:, 1][there]
        points = np.stack([across[:, 0][there], across[:, 1][there], at[which, 2] + up], axis=1)
        normals = np.stack([x, y, up], axis=1) / radii[which][:, None]
        self.splat(np.asarray(points, np.float32), np.asarray(normals, np.float32), yields[which])

    def rods(
        self,
        starts: npt.NDArray[np.floating],
        ends: npt.NDArray[np.floating],
        radii: npt.NDArray[np.floating],
        matter: Numbers | float,
        tips: npt.NDArray[np.floating] | None = None,
    ) -> None:
        """Put round rods without caps: starts and ends (n, 3), radii (n,) at the start and ``tips`` (n,) at the end."""
        begin, finish = self.camera(starts), self.camera(ends)
        first = np.maximum(np.asarray(radii, np.float32), np.float32(0.5))
        last = first if tips is None else np.maximum(np.asarray(tips, np.float32), np.float32(0.3))
        yields = np.broadcast_to(np.asarray(matter, np.float32), first.shape)
        low, high = np.minimum(begin, finish), np.maximum(begin, finish)
        thick = np.maximum(first, last)
        inside = (low[:, 0] < self.width / 2 + thick) & (high[:, 0] > -self.width / 2 - thick)
        inside &= (low[:, 1] < self.height / 2 + thick) & (high[:, 1] > -self.height / 2 - thick)
        order = np.flatnonzero(inside)
        long = np.linalg.norm(finish - begin, axis=1)
        work = np.ceil(long / _STEP + 1) * np.ceil(thick * math.pi / _STEP + 2)
        order = order[np.argsort(work[order])]
        while len(order):
            count = max(1, int(np.searchsorted(np.cumsum(work[order[::-1]]), _AT_ONCE // 2)))
            alike = int((work[order] > work[order[-1]] * 0.5).sum())
            mine = order[-min(count, alike) :]
            order = order[: -len(mine)]
            self._rod_group(begin[mine], finish[mine], first[mine], last[mine], yields[mine])

    def _rod_group(self, begin: Numbers, finish: Numbers, first: Numbers, last: Numbers, yields: Numbers) -> None:
        axis = finish - begin
        long = np.maximum(np.linalg.norm(axis, axis=1), 1e-3)
        axis /= long[:, None]
        flat = np.hypot(axis[:, 0], axis[:, 1])
        side = np.stack([-axis[:, 1], axis[:, 0], np.zeros_like(flat)], axis=1) / np.maximum(flat, 1e-3)[:, None]
        side[flat < 1e-3] = (1, 0, 0)
        up = np.cross(axis, side)
        up *= np.where(up[:, 2] < 0, -1, 1)[:, None]
        along = np.linspace(0, 1, math.ceil(float(long.max()) / _STEP) + 1, dtype=np.float32)
        turn = np.linspace(
            0, math.pi, math.ceil(float(max(first.max(), last.max())) * math.pi / _STEP) + 2, dtype=np.float32
        )
        normal = np.cos(turn)[None, :, None] * side[:, None, :] + np.sin(turn)[None, :, None] * up[:, None, :]
        radius = first[:, None] + (last - first)[:, None] * along[None, :]
        points = (begin[:, None, :] + along[None, :, None] * (finish - begin)[:, None, :])[:, :, None, :]
        points = points + radius[:, :, None, None] * normal[:, None, :, :]
        normals = np.broadcast_to(normal[:, None, :, :], points.shape)
        material = np.broadcast_to(yields[:, None, None], points.shape[:3])
        self.splat(points.reshape(-1, 3), normals.reshape(-1, 3), material.reshape(-1))

    def wire(self, points: npt.NDArray[np.floating], radii: npt.NDArray[np.floating] | float, matter: float) -> None:
        """Put a bent wire with round ends: points (n, 3), radii (n,) or one."""
        each = np.broadcast_to(np.asarray(radii, np.float32), (len(points),))
        self.rods(points[:-1], points[1:], each[:-1], matter, each[1:])
        self.balls(points, each, matter)

    def wires(
        self, bundle: Sequence[npt.NDArray[np.floating]], radii: npt.NDArray[np.floating], matter: Numbers
    ) -> None:
        """Put many bent wires at once, each of one radius and one yield, with round ends."""
        if not bundle:
            return
        sizes = [len(each) - 1 for each in bundle]
        self.rods(
            np.concatenate([each[:-1] for each in bundle]),
            np.concatenate([each[1:] for each in bundle]),
            np.repeat(radii, sizes),
            np.repeat(matter, sizes),
        )
        thick = np.asarray(radii) > 4  # where such a one bends, a gap would show
        joints = [each if wide else each[[0, -1]] for each, wide in zip(bundle, thick, strict=True)]
        counts = [len(each) for each in joints]
        self.balls(np.concatenate(joints), np.repeat(radii, counts), np.repeat(matter, counts))

    def ellipsoid(
        self, centre: npt.NDArray[np.floating], radii: Sequence[float], turned: npt.NDArray[np.floating], matter: float
    ) -> None:
        """Put an ellipsoid; the rows of ``turned`` (3, 3) are its axes in the world."""
        axes = self.camera(turned).astype(np.float64)
        form = axes.T @ np.diag(1 / np.asarray(radii, np.float64) ** 2) @ axes
        at, reach = self.camera(np.asarray(centre)), float(max(radii))
        found = self.window(at, reach)
        if found is None:
            return
        window, x, y = found
        b = form[0, 2] * x + form[1, 2] * y
        c = form[0, 0] * x * x + 2 * form[0, 1] * x * y + form[1, 1] * y * y - 1
        square = b * b - form[2, 2] * c
        up = (-b + np.sqrt(np.maximum(square, 0))) / form[2, 2]
        normal = [form[row, 0] * x + form[row, 1] * y + form[row, 2] * up for row in range(3)]
        self.show(window, np.where(square > 0, at[2] + up, NOTHING), normal, matter)

    def solid(
        self,
        centre: npt.NDArray[np.floating],
        faces: npt.NDArray[np.floating],
        turned: npt.NDArray[np.floating],
        matter: float,
    ) -> None:
        """
        Put a body cut by planes: ``faces`` (n, 4) are normals and distances from the centre in pixels.

        The rows of ``turned`` (3, 3) are the body's axes in the world.
        """
        normals = self.camera(faces[:, :3] @ turned).astype(np.float32)
        distances = faces[:, 3].astype(np.float32)
        at = self.camera(np.asarray(centre))
        found = self.window(at, float(distances.max()) * 1.9)
        if found is None:
            return
        window, x, y = found
        front, back = (
            np.full((y.shape[0], x.shape[1]), 1e6, np.float32),
            np.full((y.shape[0], x.shape[1]), -1e6, np.float32),
        )
        which = np.zeros(front.shape, np.intp)
        for index, (normal, distance) in enumerate(zip(normals, distances, strict=True)):
            rest = distance - normal[0] * x - normal[1] * y
            if normal[2] > 1e-3:
                cut = rest / normal[2]
                lower = cut < front
                which[lower] = index
                np.minimum(front, cut, out=front)
            elif normal[2] < -1e-3:
                np.maximum(back, rest / normal[2], out=back)
            else:
                front[rest < 0] = -2e6
        there = (front > back) & (front < 1e5)
        self.show(window, np.where(there, at[2] + front, NOTHING), [normals[which, axis] for axis in range(3)], matter)

    def window(self, at: Numbers, reach: float) -> tuple[tuple[slice, slice], Plane, Plane] | None:
        """Return the part of the picture within ``reach`` of a point, and its offsets in x (1, n) and y (m, 1)."""
        x, y = float(at[0]) + self.width / 2, float(at[1]) + self.height / 2
        left, right = max(0, math.floor(x - reach)), min(self.width, math.ceil(x + reach) + 1)
        top, bottom = max(0, math.floor(y - reach)), min(self.height, math.ceil(y + reach) + 1)
        if left >= right or top >= bottom:
            return None
        across = np.arange(left, right, dtype=np.float32)[None, :] + np.float32(0.5 - x)
        down = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5 - y)
        return (slice(top, bottom), slice(left, right)), across, down

    def show(self, window: tuple[slice, slice], depth: Plane, normal: Sequence[Plane], matter: Plane | float) -> None:
        """Put a piece of surface where it is in front; normals of any length."""
        above = depth > self.z[window]
        long = np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2) + 1e-9
        np.copyto(self.z[window], depth, where=above, casting="same_kind")
        for plane, part in zip((self.nx, self.ny, self.nz), normal, strict=True):
            np.copyto(plane[window], part / long, where=above, casting="same_kind")
        np.copyto(self.matter[window], np.asarray(matter, np.float32), where=above)
