"""
The data bar: its position in a frame, the length of its scale bar, and its text.

Finding it takes numpy and milliseconds; reading it takes a recogniser (see `emwatch.readers.data_bar.ocr`) and about a second.
Layouts are those seen on real frames: full-width strips of one plain grey (Zeiss, FEI, JEOL, Tescan, Hitachi, Phenom),
at the bottom or inside the frame; boxes (Zeiss corner box, XL30); and text straight on the picture (Hitachi, XL30).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from emwatch.frame import DATA_BAR_SOURCE, AcquisitionMetadata, Reading
from emwatch.readers.data_bar.ruler import Ruler, ended_line, line_ruler, runs, tick_ruler
from emwatch.readers.data_bar.scale import ScaleBar
from emwatch.readers.data_bar.text import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from emwatch.readers.data_bar.scale import TextLine

#: A bar is looked for in this share of the rows, from the bottom; a strip takes between the other two shares.
_LOWEST: Final = 0.35
_LEAST: Final = 0.02
_MOST: Final = 0.24
#: In each row of a strip at least this share of pixels is plain paper; letters, rulers and table lines take the rest.
_PLAIN: Final = 0.5
#: "The same grey": JPEG rings around letters on black and white; paper of another grey has to be exact.
_NEAR_EXTREME: Final = 10
_NEAR_GREY: Final = 0
#: Ink differs by so much from its paper; on a picture without paper, ink is saturated white.
_INK: Final = 90
_WHITE_INK: Final = 245
#: A row of dark picture above a black strip has noise in so large a share of its pixels.
_PICTURE_SHARE: Final = 0.25
#: So many rows at a time stay in the processor's cache.
_ROWS_AT_A_TIME: Final = 32


@dataclass(frozen=True, slots=True)
class Bar:
    """
    Where the data bar is: rows ``top`` to ``bottom`` - 1, columns ``left`` to ``right`` - 1 of the frame.

    ``kind`` is ``strip`` (full width), ``box``, or ``overlay`` (text on the picture). ``paper`` is the background's grey
    in 0..255, ``None`` for an overlay. ``height_px`` is the number of rows from a strip's first to the frame's last if
    the strip closes the frame and its edge is sharp, else ``None``: nothing can be cut off then without loss.
    """

    kind: str
    top: int
    bottom: int
    left: int
    right: int
    paper: int | None
    ruler: Ruler | None
    height_px: int | None


class Recogniser(Protocol):
    """Reads text in a picture."""

    def read(self, picture: npt.NDArray[np.uint8]) -> Sequence[TextLine]:
        """Return the lines of text in a picture of shape (height, width, 3), positions in its pixels."""
        ...


@dataclass(frozen=True, slots=True)
class _Foot:
    """The lower rows of a frame as 8 bits: the darkest and the brightest channel of each pixel, and the first row's number."""

    low: npt.NDArray[np.uint8]
    high: npt.NDArray[np.uint8]
    start: int
    frame_height: int

    def paper(self, grey: int) -> npt.NDArray[np.bool_]:
        """Return which pixels have the grey of a paper."""
        if grey == 255:
            return self.low >= 255 - _NEAR_EXTREME
        if grey == 0:
            return self.high <= _NEAR_EXTREME
        return (self.low >= grey - _NEAR_GREY) & (self.high <= grey + _NEAR_GREY)

    def ink(self, grey: int | None) -> npt.NDArray[np.bool_]:
        """Return which pixels are written on: coloured ink counts by the channel that differs most."""
        if grey is None:
            return self.low >= _WHITE_INK
        return self.low <= grey - _INK if grey > 127 else self.high >= grey + _INK


def find_bar(pixels: npt.NDArray[Any]) -> Bar | None:
    """
    Find the data bar of a frame of shape (height, width) or (height, width, 3), any number type.

    ``None`` if there is none. A strip or box without anything written on it is no bar; an overlay is known by its scale bar.
    """
    if pixels.ndim not in (2, 3) or min(pixels.shape[:2]) < 64:
        return None
    foot = _foot(pixels)
    found = _strip(foot) or _box(foot)
    if found is not None:
        return found
    ink = foot.ink(None)
    ruler = tick_ruler(ink, (0, len(ink)), foot.start, foot.frame_height) or ended_line(
        ink, foot.start, foot.frame_height
    )
    if ruler is None:
        return None
    margin = foot.frame_height // 18
    top, bottom = max(foot.start, ruler.top - margin), min(foot.frame_height, ruler.bottom + 2 * margin)
    return Bar("overlay", top, bottom, 0, foot.low.shape[1], None, ruler, None)


def _foot(pixels: npt.NDArray[Any]) -> _Foot:
    height = pixels.shape[0]
    start = height - round(height * _LOWEST)
    rows = pixels[start:]
    if rows.dtype != np.uint8:
        rows = _scaled_to_white(rows)
    if rows.ndim == 2:
        return _Foot(rows, rows, start, height)
    red, green, blue = rows[..., 0], rows[..., 1], rows[..., 2]
    return _Foot(np.minimum(np.minimum(red, green), blue), np.maximum(np.maximum(red, green), blue), start, height)


def _scaled_to_white(rows: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return rows as 8 bits, the brightest pixel as white: 12-bit pictures lie in 16-bit samples, and bars have white in them."""
    blocks = range(0, len(rows), _ROWS_AT_A_TIME)
    white = max(float(_finite(rows[top : top + _ROWS_AT_A_TIME]).max()) for top in blocks)
    scaled = np.empty(rows.shape, np.uint8)
    for top in blocks:
        finite = _finite(rows[top : top + _ROWS_AT_A_TIME])
        np.clip(finite, 0, None, out=finite)
        finite *= np.float32(255.0 / max(white, 1e-9))
        scaled[top : top + _ROWS_AT_A_TIME] = finite
    return scaled


def _finite(rows: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    values = rows.astype(np.float32)
    return np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0) if rows.dtype.kind == "f" else values


# --- strips and boxes


def _strip(foot: _Foot) -> Bar | None:
    """Look for a full-width strip: white anywhere in the foot, any other grey at the very bottom; one with a scale bar first."""
    last = foot.low[-max(2, foot.frame_height // 40) :]
    common = int(np.bincount(last.ravel(), minlength=256).argmax())
    extreme = common <= _NEAR_EXTREME or common >= 255 - _NEAR_EXTREME
    without: Bar | None = None
    for paper in [0, 255] if extreme else [common, 0, 255]:
        plain = foot.paper(paper).mean(axis=1) >= _PLAIN
        rows = _run_of_rows(plain, foot, bottom_only=paper != 255)
        bar = None if rows is None else _strip_in(foot, rows, paper)
        if bar is not None and bar.ruler is not None:
            return bar
        if without is None and paper in (0, 255):
            without = bar
    return without


def _run_of_rows(plain: npt.NDArray[np.bool_], foot: _Foot, *, bottom_only: bool) -> tuple[int, int] | None:
    """Return first and last + 1 of the lowest run of plain rows that is tall enough; rows full of letters may interrupt it."""
    gap = max(3, foot.frame_height // 60)
    rows = np.flatnonzero(plain)
    if not rows.size:
        return None
    runs = np.split(rows, np.flatnonzero(np.diff(rows) > gap) + 1)[::-1]
    for run in runs[:1] if bottom_only else runs:
        first, last = int(run[0]), int(run[-1]) + 1
        if bottom_only and last < len(plain) - gap:
            return None
        if last - first >= _LEAST * foot.frame_height:
            return first, last
    return None


def _strip_in(foot: _Foot, rows: tuple[int, int], paper: int) -> Bar | None:
    """Make a bar of plain rows if something is written there, cutting dark picture above a dark strip."""
    first, last = _below_picture(foot, rows, paper)
    ink = foot.ink(paper)
    sharp = first > 0
    if last - first > _MOST * foot.frame_height:
        # The picture above is as plain as the strip: the writing alone tells where the strip is.
        first = last - round(_MOST * foot.frame_height)
        sharp = False
    written = ink[first:last].mean(axis=1)
    inked = np.flatnonzero((written > 0.002) & (written < 0.6))
    edge = max(3, foot.low.shape[1] // 50)
    sides = [foot.paper(paper)[first:last, columns].mean() for columns in (slice(edge), slice(-edge, None))]
    if paper == 255 and min(sides) < _PLAIN / 2:
        return None  # a box: picture stands beside it
    if inked.size < 6 or not 0.002 < float(ink[first:last].mean()) < 0.45:
        return None
    if not sharp:
        first += max(0, int(inked[0]) - max(2, foot.frame_height // 200))
    width = foot.low.shape[1]
    top = _table_top(foot, first, paper)
    at_bottom = last >= len(ink) - max(3, foot.frame_height // 60)
    height = foot.frame_height - foot.start - top if sharp and at_bottom else None
    ruler = tick_ruler(ink, (max(0, first - 4), last), foot.start, foot.frame_height) or line_ruler(
        ink, (first, last), (0, width), foot.start
    )
    return Bar("strip", foot.start + top, foot.start + last, 0, width, paper, ruler, height)


def _below_picture(foot: _Foot, rows: tuple[int, int], paper: int) -> tuple[int, int]:
    """Cut off rows that are only nearly plain: dark picture above a black strip has noise, paper has none."""
    first, last = rows
    if paper != 0:
        return rows
    dark = foot.high[first:last]
    murky = ((dark > 0) & (dark < _INK)).mean(axis=1) > _PICTURE_SHARE
    # Letters have rims too, but not from the first row on.
    picture = np.flatnonzero(murky & (np.cumsum(murky) >= 0.8 * np.arange(1, len(murky) + 1)))
    if not picture.size or len(murky) - picture[-1] < _LEAST * foot.frame_height:
        return rows
    return first + int(picture[-1]) + 1, last


def _table_top(foot: _Foot, first: int, paper: int) -> int:
    """Take in a strip's upper border: up to three rows of one other grey across the frame."""
    top = first
    while top > max(0, first - 3):
        row = foot.high[top - 1]
        if int(np.ptp(row)) > _NEAR_EXTREME or abs(int(row[0]) - paper) <= _NEAR_EXTREME:
            break
        top -= 1
    return top


def _box(foot: _Foot) -> Bar | None:
    """Look for a plain box with a scale bar in it: margins above, below and between lines end in the same columns."""
    for paper in (255, 0):
        mask = foot.paper(paper)
        rows, starts, ends = runs(mask, mask.shape[1] // 10)
        if not rows.size:
            continue
        edges, counts = np.unique(np.stack([starts, ends], axis=1), axis=0, return_counts=True)
        often = edges[counts >= 3]
        for left, right in often[np.argsort(often[:, 0] - often[:, 1])][:3].tolist():
            same = rows[(starts == left) & (ends == right)]
            top, bottom = _box_rows(mask[:, left:right], int(same[0]))
            if not _LEAST * foot.frame_height <= bottom - top <= _MOST * foot.frame_height:
                continue
            ruler = line_ruler(foot.ink(paper), (top, bottom), (left, right), foot.start)
            if ruler is not None:
                return Bar("box", foot.start + top, foot.start + bottom, left, right, paper, ruler, None)
    return None


def _box_rows(mask: npt.NDArray[np.bool_], inside: int) -> tuple[int, int]:
    """Return first and last + 1 row of a box around one of its rows: paper at its left or right edge, and some between: a scale bar takes most of a row."""
    edge = mask[:, :3].all(axis=1) | mask[:, -3:].all(axis=1)
    out = np.flatnonzero(~(edge & (mask.mean(axis=1) > 0.1)))
    above, below = out[out < inside], out[out > inside]
    return int(above[-1]) + 1 if above.size else 0, int(below[0]) if below.size else len(mask)


# --- reading

#: Around what is given to the recogniser: text at the very edge is missed.
_MARGIN_PX: Final = 16
#: How many times the surroundings of a scale bar are enlarged to read a label that was missed.
_CLOSER: Final = 2


def read_bar(pixels: npt.NDArray[Any], recogniser: Recogniser) -> AcquisitionMetadata:
    """
    Read a frame's data bar: shape (height, width) or (height, width, 3), any number type.

    Without a bar there are no readings. The vendor stays ``None``: a bar does not say whose file it is in.
    """
    bar = find_bar(pixels)
    if bar is None:
        return AcquisitionMetadata()
    picture = bar_picture(pixels, bar)
    scale = None if bar.ruler is None else _scale_bar(bar, bar.ruler, pixels.shape[1])
    lines = list(recogniser.read(picture))
    if bar.kind == "overlay":
        # Read once more with the picture behind held down; if the two disagree, neither counts.
        lines += recogniser.read(np.clip((picture.astype(np.int16) - 155) * 255 // 100, 0, 255).astype(np.uint8))
    readings, flags = parse(lines, scale)
    if scale is not None and "pixel_size_nm" not in readings and not flags:
        readings, flags = parse([*lines, *_closer(picture, scale, recogniser)], scale)
    if bar.height_px is not None:
        found = f"rows {bar.top} to {bar.bottom - 1} are a plain strip"
        height = Reading(float(bar.height_px), str(bar.height_px), DATA_BAR_SOURCE, computed=True, reason=found)
        readings["data_bar_height_px"] = height
    return AcquisitionMetadata(None, readings, flags)


def _scale_bar(bar: Bar, ruler: Ruler, frame_width: int) -> ScaleBar:
    """Place the scale bar in the picture given to the recogniser."""
    across, down = _MARGIN_PX - bar.left, _MARGIN_PX - bar.top
    edges = ruler.left + across, ruler.top + down, ruler.right + across, ruler.bottom + down
    return ScaleBar(*edges, ruler.length_px, frame_width)


def _closer(picture: npt.NDArray[np.uint8], scale: ScaleBar, recogniser: Recogniser) -> list[TextLine]:
    """Look at the surroundings of the scale bar alone, enlarged: a label of one digit is missed in a wide strip."""
    left = max(0, round(scale.left) - scale.frame_width_px // 16)
    right = round(scale.right) + scale.frame_width_px // 8
    near = picture[:, left:right].repeat(_CLOSER, axis=0).repeat(_CLOSER, axis=1)
    return [
        replace(
            line,
            left=line.left / _CLOSER + left,
            right=line.right / _CLOSER + left,
            top=line.top / _CLOSER,
            bottom=line.bottom / _CLOSER,
        )
        for line in recogniser.read(near)
    ]


def bar_picture(pixels: npt.NDArray[Any], bar: Bar) -> npt.NDArray[np.uint8]:
    """Cut the bar out as uint8 (height, width, 3) with a margin of its own paper around."""
    area = pixels[bar.top : bar.bottom, bar.left : bar.right]
    if area.dtype != np.uint8:
        finite = np.nan_to_num(area.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        area = (np.clip(finite, 0, None) * (255.0 / max(float(finite.max()), 1e-9))).astype(np.uint8)
    if area.ndim == 2:
        area = np.repeat(area[..., np.newaxis], 3, axis=2)
    height, width = area.shape[:2]
    margin = _MARGIN_PX
    paper = int(np.median(area)) if bar.paper is None else bar.paper
    picture = np.full((height + 2 * margin, width + 2 * margin, 3), paper, np.uint8)
    picture[margin : margin + height, margin : margin + width] = area[..., :3]
    return picture


#: How far a stored value and the bar's may differ: share of the value, and an amount. Bars round to two or three digits.
_TOLERANCES: Final = {
    "magnification": (0.02, 0.5),
    "horizontal_field_width_um": (0.02, 0.0),
    "pixel_size_nm": (0.04, 0.0),
    "stage_tilt_deg": (0.0, 0.6),
    "stage_z_mm": (0.0, 0.05),
    "working_distance_mm": (0.01, 0.1),
    "accelerating_voltage_kv": (0.02, 0.05),
    "beam_current_na": (0.1, 0.0),
    "data_bar_height_px": (0.0, 3.0),
}


def merge(stored: AcquisitionMetadata, bar: AcquisitionMetadata) -> AcquisitionMetadata:
    """
    Fill the fields that the file does not have from its data bar.

    A stored value always stays; if the bar says another beyond its rounding, a flag says both.
    """
    readings: dict[str, Reading] = dict(stored.readings)
    flags = [*stored.flags, *(flag for flag in bar.flags if flag not in stored.flags)]
    for name, seen in bar.readings.items():
        kept = stored.readings.get(name)
        if kept is None or (kept.value is None and seen.value is not None):
            readings[name] = seen
        elif kept.value is not None and seen.value is not None and not _same(name, kept, seen):
            flag = f"{name}: {_shown(kept.value)} in the {kept.source}, {_shown(seen.value)} in the data bar"
            flags += [] if flag in flags else [flag]
    return replace(stored, readings=readings, flags=tuple(flags))


def _shown(value: float | str | bool | None) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _same(name: str, kept: Reading, seen: Reading) -> bool:
    one, other = kept.value, seen.value
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        share, amount = _TOLERANCES.get(name, (0.02, 0.0))
        return abs(one - other) <= max(share * abs(one), amount) + 1e-9
    if name == "acquired_at":
        # Bars stop at the minute or the day, and a file is saved seconds after its bar was drawn: the day must agree.
        return str(one)[:10] == str(other)[:10]
    plain = ["".join(char for char in str(text).casefold() if char.isalnum()) for text in (one, other)]
    return plain[0] == plain[1]
