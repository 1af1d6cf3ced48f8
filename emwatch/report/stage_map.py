"""A map of the stage: each frame's field of view to scale, coloured by category; as SVG and as one page that works offline."""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final

from emwatch.escape import escaped
from emwatch.frame import CATEGORIES, path_to_text
from emwatch.stage import Bounds, Point, field_of_view
from emwatch.units import degrees_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from emwatch.ledger.positions import Position
    from emwatch.stage import FieldOfView

#: Ten colours that stay apart on paper and for most colour-blind people, in the order of `CATEGORIES`.
CATEGORY_COLOURS: Final = dict(
    zip(
        CATEGORIES,
        (
            *("#117733", "#88ccee", "#ddaa33", "#332288", "#ee3377"),
            *("#0077bb", "#aa4499", "#44aa99", "#999933", "#882255"),
        ),
        strict=True,
    )
)
_NO_COLOUR: Final = "#8a929c"
_PLOT: Final = (64, 34, 700, 640)  # left, top, width and height of the stage in the drawing, in pixels
_LEGEND_LEFT: Final = 790
_SIZE: Final = (1060, 720)
_MARGIN_SHARE: Final = 0.06
#: A single frame without a scale still needs something around it.
_SMALLEST_SPAN_UM: Final = 1.0
_TEMPLATE: Final = Path(__file__).with_name("stage_map.html")


@dataclass(frozen=True, slots=True)
class StageMap:
    """
    Frames on the stage.

    Attributes:
        placed: those with a stage position, hits last so that they lie on top.
        unplaced: how many have none.
        notes: what whoever reads the map must know: what was assumed of how many frames, several makers.

    """

    placed: Sequence[tuple[Position, FieldOfView]]
    unplaced: int
    notes: tuple[str, ...]

    @property
    def hits(self) -> int:
        """How many of the frames met a target."""
        return sum(bool(position.targets) for position, _ in self.placed)


def stage_map(positions: Iterable[Position], *, on_sample: bool = False) -> StageMap:
    """Return the map of frames; ``on_sample``: in the axes of the sample, see `emwatch.stage.field_of_view`."""
    seen = [(each, field_of_view(each.placement, on_sample=on_sample)) for each in positions]
    placed = [(each, field) for each, field in seen if field is not None]
    unplaced = len(seen) - len(placed)
    notes = [f"{unplaced:,} without a stage position: not on the map"] if unplaced else []
    assumed = Counter(each for _, field in placed for each in field.assumed)
    notes += [f"{count:,} of {len(placed):,}: {each}" for each, count in assumed.most_common()]
    makers = sorted({each.placement.vendor or "unknown" for each, _ in placed})
    if len(makers) > 1:
        notes.append(
            f"frames of {', '.join(makers)} on one map: each stage has its own axes; choose one with emwatch map --instrument"
        )
    rotations = {round(each.placement.stage_rotation_deg or 0.0, 1) % 360 for each, _ in placed}
    if len(rotations) > 1 and not on_sample:
        notes.append(f"{len(rotations)} stage rotations on one map: emwatch map --on-sample turns the frames back")
    return StageMap(sorted(placed, key=lambda pair: bool(pair[0].targets)), unplaced, tuple(notes))


def svg(chart: StageMap, title: str) -> str:
    """Return the map as an SVG document. There must be at least one frame with a position."""
    shown = _shown(chart)
    parts = [*_head(title, chart), _stage(chart, shown), *_axes(shown), *_legend(chart)]
    width, height = _SIZE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" id="map" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12" fill="#20242a">\n' + "\n".join(parts) + "\n</svg>\n"
    )


def page(chart: StageMap, title: str, thumbnails: Mapping[int, bytes]) -> str:
    """Return the map as one HTML page with pan, zoom and details; ``thumbnails``: JPEG files by frame number."""
    shown = _shown(chart)
    facts = {
        "frames": [_facts(position, field, thumbnails) for position, field in chart.placed],
        "centre": _centre(shown),
        "plot": _PLOT,
    }
    data = json.dumps(facts, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    template = Template(_TEMPLATE.read_text("utf-8"))
    return template.substitute(title=escape(escaped(title)), drawing=svg(chart, title), data=data)


def _facts(position: Position, field: FieldOfView, thumbnails: Mapping[int, bytes]) -> dict[str, Any]:
    jpeg = thumbnails.get(position.frame_id)
    size = None if field.width_um is None or field.height_um is None else [field.width_um, field.height_um]
    return {
        "id": position.frame_id,
        "name": escaped(path_to_text(position.path.name)),
        "recorded": f"{position.recorded_at.astimezone():%Y-%m-%d %H:%M:%S}",
        "category": position.category,
        "probability": position.probability,
        "uncertain": position.uncertain,
        "targets": [escaped(each) for each in position.targets],
        "at": field.centre,
        "size": size,
        "tilt": None if (tilt := position.placement.stage_tilt_deg) is None else degrees_text(tilt),
        "assumed": field.assumed,
        "thumbnail": None if jpeg is None else base64.b64encode(jpeg).decode("ascii"),
    }


def _shown(chart: StageMap) -> Bounds:
    """Return the part of the stage that the map shows: all frames, in the shape of the plot."""
    boxes = [field.bounds for _, field in chart.placed]
    left, right = min(each.left_um for each in boxes), max(each.right_um for each in boxes)
    bottom, top = min(each.bottom_um for each in boxes), max(each.top_um for each in boxes)
    _, _, width_px, height_px = _PLOT
    per_px = max((right - left) / width_px, (top - bottom) / height_px, _SMALLEST_SPAN_UM / width_px)
    per_px *= 1 + 2 * _MARGIN_SHARE
    x, y = (left + right) / 2, (bottom + top) / 2
    half_width, half_height = per_px * width_px / 2, per_px * height_px / 2
    return Bounds(x - half_width, y - half_height, x + half_width, y + half_height)


def _centre(shown: Bounds) -> Point:
    """Return what the drawing's own coordinates count from: browsers draw with seven digits, not with sixteen."""
    return Point((shown.left_um + shown.right_um) / 2, (shown.bottom_um + shown.top_um) / 2)


def _stage(chart: StageMap, shown: Bounds) -> str:
    left, top, width, height = _PLOT
    centre = _centre(shown)
    x, y = shown.left_um - centre.x_um, centre.y_um - shown.top_um
    box = f"{x:.6g} {y:.6g} {shown.right_um - shown.left_um:.6g} {shown.top_um - shown.bottom_um:.6g}"
    frames = "\n".join(_frame(number, *pair, centre) for number, pair in enumerate(chart.placed))
    return (
        f'<g id="plot"><rect x="{left}" y="{top}" width="{width}" height="{height}" fill="#fbfbf9" stroke="#8a929c"/>\n'
        f'<svg id="stage" x="{left}" y="{top}" width="{width}" height="{height}" viewBox="{box}" '
        f'preserveAspectRatio="none">\n{frames}\n</svg></g>'
    )


def _frame(number: int, position: Position, field: FieldOfView, centre: Point) -> str:
    """Draw the polygon to scale, and a dot of constant size that shows where small ones are."""
    colour = CATEGORY_COLOURS.get(position.category or "", _NO_COLOUR)
    hit = bool(position.targets)
    opacity = 0.08 if position.uncertain else 0.3
    x, y = field.centre.x_um - centre.x_um, centre.y_um - field.centre.y_um
    dot = f'<path d="M{x:.9g} {y:.9g}h0" stroke-linecap="round" vector-effect="non-scaling-stroke" '
    ring = f'{dot}stroke="#c81e1e" stroke-width="11"/>' if hit else ""
    outline = ""
    if field.corners:
        points = " ".join(f"{each.x_um - centre.x_um:.9g},{centre.y_um - each.y_um:.9g}" for each in field.corners)
        outline = (
            f'<polygon points="{points}" fill="{colour}" fill-opacity="{opacity}" stroke="{colour}" '
            f'stroke-width="{2 if hit else 1}" vector-effect="non-scaling-stroke"/>'
        )
    name = escape(escaped(path_to_text(position.path.name)))
    said = escape(_words(position))
    return (
        f'<g data-frame="{number}" data-category="{escape(position.category or "")}">{outline}{ring}'
        f'{dot}stroke="{colour}" stroke-width="{7 if hit else 5}"/><title>{name}: {said}</title></g>'
    )


def _words(position: Position) -> str:
    if position.category is None or position.probability is None:
        return "not classified"
    doubt = ", uncertain" if position.uncertain else ""
    targets = f", {', '.join(position.targets)}" if position.targets else ""
    return escaped(f"{position.category} {position.probability:.2f}{doubt}{targets}")


def _head(title: str, chart: StageMap) -> list[str]:
    left, top, *_ = _PLOT
    count = len(chart.placed)
    said = f"{count:,} frame{'' if count == 1 else 's'}, {chart.hits:,} hit{'' if chart.hits == 1 else 's'}"
    return [
        f'<rect width="{_SIZE[0]}" height="{_SIZE[1]}" fill="#ffffff"/>',
        f'<text x="{left}" y="{top - 12}" font-size="15" font-weight="bold">{escape(escaped(title))}</text>',
        f'<text x="{left + _PLOT[2]}" y="{top - 12}" text-anchor="end" fill="#5b636d">{said}</text>',
    ]


def _axes(shown: Bounds) -> list[str]:
    """Return ticks in mm and a scale bar; the page draws its own while it zooms."""
    left, top, width, height = _PLOT
    per_px = (shown.right_um - shown.left_um) / width
    step = round_length(per_px * width / 5)
    decimals = max(0, 3 - math.floor(math.log10(step) + 1e-9))
    parts = ['<g id="axes" font-size="11" fill="#5b636d" stroke="none">']
    for value in _ticks(shown.left_um, shown.right_um, step):
        x = left + (value - shown.left_um) / per_px
        parts.append(f'<path d="M{x:.1f} {top + height}v5" stroke="#8a929c"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{top + height + 17}" text-anchor="middle">{value / 1e3:.{decimals}f}</text>'
        )
    for value in _ticks(shown.bottom_um, shown.top_um, step):
        y = top + (shown.top_um - value) / per_px
        parts.append(f'<path d="M{left} {y:.1f}h-5" stroke="#8a929c"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{value / 1e3:.{decimals}f}</text>')
    bar_um = round_length(per_px * width * 0.25)
    bar_px = bar_um / per_px
    x, y = left + 14, top + height - 14
    parts += [
        f'<text x="{left + width}" y="{top + height + 34}" text-anchor="end">stage x, y in mm</text>',
        f'<rect id="bar" x="{x}" y="{y - 4}" width="{bar_px:.2f}" height="4" fill="#20242a"/>',
        f'<text id="bar-label" x="{x}" y="{y - 9}" fill="#20242a">{length_text(bar_um)}</text>',
        "</g>",
    ]
    return parts


def _ticks(low: float, high: float, step: float) -> list[float]:
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _legend(chart: StageMap) -> list[str]:
    counts = Counter(position.category or "" for position, _ in chart.placed)
    top = _PLOT[1] + 10
    parts = []
    for name in (*CATEGORIES, ""):
        if not counts[name]:
            continue
        colour = CATEGORY_COLOURS.get(name, _NO_COLOUR)
        words = name.replace("_", " ") or "not classified"
        parts.append(
            f'<g data-legend="{name}"><rect x="{_LEGEND_LEFT}" y="{top - 10}" width="12" height="12" fill="{colour}" '
            f'fill-opacity="0.3" stroke="{colour}"/><circle cx="{_LEGEND_LEFT + 6}" cy="{top - 4}" r="2.5" fill="{colour}"/>'
            f'<text x="{_LEGEND_LEFT + 20}" y="{top}">{words} ({counts[name]:,})</text></g>'
        )
        top += 20
    top += 8
    parts += [
        f'<circle cx="{_LEGEND_LEFT + 6}" cy="{top - 4}" r="5.5" fill="#c81e1e"/>',
        f'<circle cx="{_LEGEND_LEFT + 6}" cy="{top - 4}" r="3.5" fill="#ffffff"/>',
        f'<text x="{_LEGEND_LEFT + 20}" y="{top}">met a target ({chart.hits:,})</text>',
        f'<text x="{_LEGEND_LEFT}" y="{top + 20}" fill="#5b636d">paler: the model is uncertain</text>',
    ]
    top += 52
    for note in chart.notes:
        for line in _wrapped(note, 40):
            parts.append(f'<text x="{_LEGEND_LEFT}" y="{top}" font-size="11" fill="#5b636d">{escape(line)}</text>')
            top += 14
        top += 6
    return parts


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def round_length(most: float) -> float:
    """Return the longest of 1, 2 or 5 times a power of ten that is not above ``most``."""
    power = 10.0 ** math.floor(math.log10(most))
    return max(each * power for each in (1, 2, 5) if each * power <= most * (1 + 1e-9))


def length_text(length_um: float) -> str:
    """Return a round length as people write it."""
    for unit_um, name in ((1e3, "mm"), (1.0, "µm")):
        if length_um >= unit_um * (1 - 1e-9):
            return f"{length_um / unit_um:g} {name}"
    return f"{length_um * 1e3:g} nm"
