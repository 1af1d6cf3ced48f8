"""
The scale bar as pixels: a line between two ticks, in one piece or about its label; a solid block; or a row of ticks.

All work on masks of ink, shape (rows, width of the frame), whose first row is the frame's row ``start``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

#: A scale bar is at least this share of the width; a letter's stroke or an underscore is shorter.
_SHORTEST_RULER: Final = 0.02
#: Ticks of a Hitachi scale bar: eleven, that is ten steps.
_STEPS: Final = 10
_TICK_OFF_PX: Final = 2.5
_TICKS_END: Final = 0.95
_SHORTEST_TICKS: Final = 0.15
_MOST_MARKS: Final = 80
_STRANGE_MARKS: Final = 5
_SAME_EDGE_PX: Final = 2
#: A picture that looks like more lines than this holds no scale bar worth the search.
_MOST_LINES: Final = 400


@dataclass(frozen=True, slots=True)
class Ruler:
    """
    The scale bar in pixels of the frame, ends and thickness included: columns ``left`` to ``right`` - 1.

    ``length_px`` is what the label stands for: the whole line, or for a row of ticks the distance of the outer two.
    """

    left: int
    right: int
    top: int
    bottom: int
    length_px: float


def runs(
    mask: npt.NDArray[np.bool_], shortest: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return row, first and last + 1 column of every horizontal run of at least ``shortest`` pixels."""
    height, width = mask.shape
    padded = np.zeros((height, width + 2), np.bool_)
    padded[:, 1:-1] = mask
    changes = np.flatnonzero(padded[:, 1:] != padded[:, :-1])
    starts, ends = changes[::2], changes[1::2]
    long = ends - starts >= shortest
    starts, ends = starts[long], ends[long]
    rows = starts // (width + 1)
    return rows, starts - rows * (width + 1), ends - rows * (width + 1)


def line_ruler(ink: npt.NDArray[np.bool_], rows: tuple[int, int], columns: tuple[int, int], start: int) -> Ruler | None:
    """Find a line with ticks at its ends, in one piece or two about its label, or a solid block; the longest counts."""
    area = ink[rows[0] : rows[1], columns[0] : columns[1]]
    width = area.shape[1]
    edges = np.concatenate([np.flatnonzero(area.mean(axis=0) > 0.85), [0, width - 1]])
    lines = []
    for line in _thick_lines(area, max(12, width // 100)):
        begins, ends = (int(abs(edges - at).min()) <= _SAME_EDGE_PX for at in (line[0], line[1] - 1))
        # A line between two lines from top to bottom belongs to a table.
        if not (begins and ends) and (line[3] - line[2]) * 3 <= line[1] - line[0] and line[1] - line[0] < 0.93 * width:
            lines.append(line)
    lines += [joined for one in lines for other in lines if (joined := _joined(one, other)) is not None]
    lines.sort(key=lambda line: (not _is_block(area, line), line[0] - line[1]))
    for left, right, top, bottom in lines:
        if right - left < _SHORTEST_RULER * ink.shape[1]:
            continue
        tick = None if _is_block(area, (left, right, top, bottom)) else _tick_width(area, (left, right, top, bottom))
        if tick is None and not _is_block(area, (left, right, top, bottom)):
            continue
        # The label counts from the middle of one tick to the middle of the other.
        length = float(right - left - (tick or 0))
        across, down = columns[0], start + rows[0]
        return Ruler(across + left, across + right, down + top, down + bottom, length)
    return None


def _is_block(area: npt.NDArray[np.bool_], line: tuple[int, int, int, int]) -> bool:
    """Return whether a line is a solid block, as JEOL instruments draw, with nothing right above and below it."""
    left, right, top, bottom = line
    beside = [area[row, left:right].mean() for row in (top - 2, bottom + 1) if 0 <= row < len(area)]
    solid = bool(area[top + 1 : bottom - 1, left + 2 : right - 2].all())
    return bottom - top >= max(5, len(area) // 20) and solid and all(share < 0.25 for share in beside)


def _tick_width(area: npt.NDArray[np.bool_], line: tuple[int, int, int, int]) -> int | None:
    """Return the columns that a tick at each end of a line takes, ``None`` if an end has none."""
    left, right, top, bottom = line
    for away in (2, 1):
        widths = []
        for row in (top - away, bottom - 1 + away):
            if not 0 <= row < len(area) or area[row, left:right].mean() >= 0.25:
                continue
            ends = area[row, left : left + 8], area[row, right - 8 : right][::-1]
            widths.append(
                min(int(np.argmin(np.append(end[np.argmax(end) :], False))) * bool(end[:3].any()) for end in ends)
            )
        if widths and 1 <= max(widths) <= 7:
            return max(widths)
    return None


def _thick_lines(area: npt.NDArray[np.bool_], shortest: int) -> list[tuple[int, int, int, int]]:
    """Put runs of neighbouring rows with the same ends together: left, right, top, bottom of each."""
    growing: list[list[int]] = []
    done: list[list[int]] = []
    for row, left, right in zip(*(part.tolist() for part in runs(area, shortest)), strict=True):
        if growing and growing[0][3] < row:
            done += [line for line in growing if line[3] < row]
            growing = [line for line in growing if line[3] >= row]
        for line in growing:
            same = abs(line[0] - left) <= _SAME_EDGE_PX and abs(line[1] - right) <= _SAME_EDGE_PX
            if same and line[3] == row:
                line[0], line[1], line[3] = min(line[0], left), max(line[1], right), row + 1
                break
        else:
            growing.append([left, right, row, row + 1])
    return [(line[0], line[1], line[2], line[3]) for line in done + growing][:_MOST_LINES]


def _joined(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> tuple[int, int, int, int] | None:
    """Join the two halves of a scale bar with its label in the middle, as xT draws it: same row, same length."""
    gap = other[0] - one[1]
    lengths = one[1] - one[0], other[1] - other[0]
    level = abs(one[2] - other[2]) <= 1 and abs(one[3] - other[3]) <= 1
    if not level or gap < 12 or gap > 4 * max(lengths) or abs(lengths[0] - lengths[1]) > 3 + 0.1 * max(lengths):
        return None
    return one[0], other[1], min(one[2], other[2]), max(one[3], other[3])


def tick_ruler(ink: npt.NDArray[np.bool_], rows: tuple[int, int], start: int, frame_height: int) -> Ruler | None:
    """Find eleven ticks at equal distances with nothing between them, as Hitachi instruments draw."""
    first, last = rows
    tall = max(4, frame_height // 160)
    width = ink.shape[1]
    narrow = max(3, width // 160)
    area = ink[first:last]
    if len(area) <= tall:
        return None
    # A tick has ink in so many rows on end.
    upright = area[: len(area) - tall + 1].copy()
    for down in range(1, tall):
        upright &= area[down : len(area) - tall + 1 + down]
    reaching = upright[:, round(_TICKS_END * width) :].any(axis=1)
    for row in np.flatnonzero(reaching)[::3].tolist():
        padded = np.concatenate([[False], upright[row], [False]])
        edge = np.flatnonzero(padded[1:] != padded[:-1])
        if not _STEPS - 1 < len(edge) // 2 <= _MOST_MARKS:
            continue
        starts, ends = edge[::2], edge[1::2]
        thin = ends - starts <= narrow
        found = _equal_steps((starts[thin] + ends[thin] - 1) / 2, upright[row])
        if found is not None:
            left, right = found
            top = start + first + row
            return Ruler(round(left), round(right) + 1, top, top + tall, right - left)
    return None


def _equal_steps(centres: npt.NDArray[np.float64], row: npt.NDArray[np.bool_]) -> tuple[float, float] | None:
    """
    Return the outer two of eleven marks at equal distances that end near the right edge of the frame.

    One may drown in bright picture and a few strange marks may stand between: text lies on the picture on some frames.
    """
    width = len(row)
    for last in centres[centres >= _TICKS_END * width][::-1]:
        firsts = centres[centres <= last - _SHORTEST_TICKS * width]
        places = firsts[:, np.newaxis] + (last - firsts)[:, np.newaxis] * np.linspace(0, 1, _STEPS + 1)
        lit = row[np.rint(places).astype(int)].sum(axis=1) >= _STEPS
        for expected in places[lit]:
            off = np.abs(centres[:, np.newaxis] - expected)
            strange = (off.min(axis=1) > _TICK_OFF_PX) & (centres > expected[0]) & (centres < last)
            if int((off.min(axis=0) <= _TICK_OFF_PX).sum()) >= _STEPS and int(strange.sum()) <= _STRANGE_MARKS:
                return float(expected[0]), float(last)
    return None


def ended_line(ink: npt.NDArray[np.bool_], start: int, frame_height: int) -> Ruler | None:
    """Find a thin white line with an upright at each end, as XL instruments draw straight on the picture."""
    width = ink.shape[1]
    for left, right, top, bottom in _thick_lines(ink, width // 20):
        reach = max(3, frame_height // 120)
        sides = [ink[max(0, top - reach) : bottom + reach, max(0, at - 1) : at + 2] for at in (left, right - 1)]
        middle = ink[max(0, top - reach) : bottom + reach, left + reach : right - reach]
        ended = all(side.any(axis=1).mean() > 0.9 for side in sides)
        if bottom - top <= reach and ended and float(middle.mean(axis=1)[[0, -1]].max()) < 0.15:
            return Ruler(left, right, start + top, start + bottom, float(right - left))
    return None
