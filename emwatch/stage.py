"""
Where on the stage a frame was taken: its field of view as a polygon, and the way from one frame to another.

Coordinates are those of the stage's own drives, in which an operator finds the place again: x to the right, y upwards.
Plain geometry, standard library only. What a file does not tell is taken as 0, and said in `FieldOfView.assumed`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

#: Makers whose drives run against the picture: the right side of a picture has the smaller x (read in fibsem-os).
_AGAINST_THE_PICTURE: Final = frozenset({"Tescan"})
#: A surface steeper than this is seen from the side; what it shows of the stage's plane has no useful length.
_STEEPEST_DEG: Final = 80.0
_ARROWS: Final = "→↗↑↖←↙↓↘"
_SAME_PLACE_UM: Final = 1e-3


class Point(NamedTuple):
    """A place on the stage, in micrometres."""

    x_um: float
    y_um: float


class Bounds(NamedTuple):
    """The smallest upright box around something on the stage, in micrometres."""

    left_um: float
    bottom_um: float
    right_um: float
    top_um: float


@dataclass(frozen=True, slots=True)
class Placement:
    """
    What is known of how a frame lay on the stage; names and units as in `emwatch.frame.FIELDS`.

    ``width_px`` and ``height_px`` are those of the whole file, data bar included.
    """

    stage_x_mm: float | None = None
    stage_y_mm: float | None = None
    stage_rotation_deg: float | None = None
    stage_tilt_deg: float | None = None
    scan_rotation_deg: float | None = None
    tilt_correction: bool | None = None
    tilt_correction_deg: float | None = None
    horizontal_field_width_um: float | None = None
    pixel_size_nm: float | None = None
    pixel_size_y_nm: float | None = None
    data_bar_height_px: float | None = None
    width_px: int | None = None
    height_px: int | None = None
    vendor: str | None = None


@dataclass(frozen=True, slots=True)
class FieldOfView:
    """
    The part of the stage that a frame shows.

    Attributes:
        centre: what stands in the middle of the picture.
        width_um: along the rows of the picture, ``None`` if its scale is not known.
        height_um: along its columns, as seen by the beam; on a tilted surface the polygon is longer.
        corners: of the picture: upper left, upper right, lower right, lower left; empty if its scale is not known.
        assumed: what was taken for granted, a sentence each.

    """

    centre: Point
    width_um: float | None = None
    height_um: float | None = None
    corners: tuple[Point, ...] = ()
    assumed: tuple[str, ...] = ()

    @property
    def bounds(self) -> Bounds:
        """The box around the polygon, a point if the scale is not known."""
        xs, ys = zip(*(self.corners or (self.centre,)), strict=True)
        return Bounds(min(xs), min(ys), max(xs), max(ys))


@dataclass(frozen=True, slots=True)
class Offset:
    """The way from one place on the stage to another, in micrometres."""

    dx_um: float
    dy_um: float

    @property
    def distance_um(self) -> float:
        """The length of the way."""
        return math.hypot(self.dx_um, self.dy_um)

    @property
    def arrow(self) -> str:
        """The direction as one of eight arrows, up is +y; ``·`` for the same place."""
        if self.distance_um < _SAME_PLACE_UM:
            return "·"
        return _ARROWS[round(math.degrees(math.atan2(self.dy_um, self.dx_um)) / 45) % 8]

    def __str__(self) -> str:
        """Return the way as people read it from the stage's display, such as ``1.24 mm, x +1.10, y -0.57``."""
        distance = self.distance_um
        if distance < _SAME_PLACE_UM:
            return "the same place"
        size_um, unit = next(each for each in ((1e3, "mm"), (1.0, "µm"), (1e-3, "nm")) if distance >= each[0])
        decimals = max(0, 2 - math.floor(math.log10(distance / size_um)))
        dx, dy = self.dx_um / size_um, self.dy_um / size_um
        return f"{distance / size_um:.{decimals}f} {unit}, x {dx:+.{decimals}f}, y {dy:+.{decimals}f}"


def field_of_view(placement: Placement, *, on_sample: bool = False) -> FieldOfView | None:
    """
    Return where a frame lies, ``None`` if its stage position is not known.

    ``on_sample``: in the axes of the sample, which turns with the stage: position and polygon are turned back by the
    stage rotation about x = y = 0. Frames that were taken at several rotations then lie as they do on the sample.

    The picture is turned by the scan rotation (counter-clockwise), and on a tilted surface it reaches further along y, the
    tilt axis being parallel to x; a tilt correction shortens the scan by the cosine of its angle first.
    """
    if placement.stage_x_mm is None or placement.stage_y_mm is None:
        return None
    assumed: list[str] = []
    centre = Point(placement.stage_x_mm * 1e3, placement.stage_y_mm * 1e3)
    size = _size_um(placement)
    corners: tuple[Point, ...] = ()
    if size is None:
        assumed.append("the scale is not known: drawn as a point")
    else:
        corners = _corners(placement, *size, assumed)
    if on_sample:
        back = -_known(placement.stage_rotation_deg, "stage rotation", assumed)
        corners = tuple(_turned(each, back) for each in corners)
        centre = _turned(centre, back)
    placed = tuple(Point(centre.x_um + each.x_um, centre.y_um + each.y_um) for each in corners)
    width_um, height_um = size or (None, None)
    return FieldOfView(centre, width_um, height_um, placed, tuple(assumed))


def offset(start: FieldOfView, end: FieldOfView) -> Offset:
    """Return the way of the stage from the middle of one frame to that of another."""
    return Offset(end.centre.x_um - start.centre.x_um, end.centre.y_um - start.centre.y_um)


def _size_um(placement: Placement) -> tuple[float, float] | None:
    """Return width and height of the picture above its data bar as the scan has them, ``None`` without a scale."""
    columns, rows = placement.width_px, placement.height_px
    if not columns or not rows:
        return None
    width_um = _positive(placement.horizontal_field_width_um)
    if width_um is None and (pixel_nm := _positive(placement.pixel_size_nm)) is not None:
        width_um = columns * pixel_nm / 1e3
    if width_um is None:
        return None
    bar_rows = placement.data_bar_height_px or 0
    shown = rows - bar_rows if 0 < bar_rows < rows / 2 else rows
    row_nm = _positive(placement.pixel_size_y_nm) or width_um * 1e3 / columns
    return width_um, shown * row_nm / 1e3


def _corners(placement: Placement, width_um: float, height_um: float, assumed: list[str]) -> tuple[Point, ...]:
    """Return the corners of the picture about its middle, on the surface of the stage."""
    turn = _known(placement.scan_rotation_deg, "scan rotation", assumed)
    if placement.vendor in _AGAINST_THE_PICTURE:
        turn += 180
    shorter, longer = _tilt_factors(placement, assumed)
    right, top = width_um / 2, height_um / 2 * shorter
    picture = (Point(-right, top), Point(right, top), Point(right, -top), Point(-right, -top))
    return tuple(Point(each.x_um, each.y_um * longer) for each in (_turned(corner, turn) for corner in picture))


def _tilt_factors(placement: Placement, assumed: list[str]) -> tuple[float, float]:
    """Return by how much a correction shortens the scan along the columns, and a tilted surface lengthens along y."""
    tilt = _known(placement.stage_tilt_deg, "stage tilt", assumed)
    corrected = 0.0
    if placement.tilt_correction:
        corrected = tilt if placement.tilt_correction_deg is None else placement.tilt_correction_deg
    elif placement.tilt_correction is None and tilt:
        assumed.append("tilt correction is not known: taken as off")
    if max(abs(tilt), abs(corrected)) > _STEEPEST_DEG:
        assumed.append(f"tilt of {tilt:g}°: drawn as if it were flat")
        return 1.0, 1.0
    return math.cos(math.radians(corrected)), 1 / math.cos(math.radians(tilt))


def _known(angle_deg: float | None, name: str, assumed: list[str]) -> float:
    if angle_deg is not None:
        return angle_deg
    assumed.append(f"{name} is not known: taken as 0")
    return 0.0


def _turned(point: Point, degrees: float) -> Point:
    """Return a point turned counter-clockwise about the origin."""
    if not degrees % 360:
        return point
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return Point(point.x_um * cosine - point.y_um * sine, point.x_um * sine + point.y_um * cosine)


def _positive(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) and value > 0 else None
