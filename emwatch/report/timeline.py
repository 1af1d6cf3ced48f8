"""How many frames were written when: bins of a round width, and a drawing of them by category."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any, Final

from emwatch.frame import CATEGORIES, FrameState
from emwatch.report.stage_map import CATEGORY_COLOURS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MOST_BINS: Final = 60
_MINUTES: Final = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080, 43200, 525600)
_FAILED: Final = "failed"
_FAILED_COLOUR: Final = "#b0b5bb"
_WIDTH: Final = 1000
_HEIGHT: Final = 200
_LEFT: Final = 46
_FOOT: Final = 28
_LABELS: Final = 8


def bins_of(written: Iterable[tuple[datetime, str]], most: int = _MOST_BINS) -> list[dict[str, Any]]:
    """
    Return the bins of frames in order, empty ones too: ``start``, ``minutes``, and the number of frames by category.

    ``written``: when each file was written, and its `kind_of`. The width is the smallest round one that makes at most
    ``most`` bins.
    """
    first = last = None
    by_minute: Counter[tuple[datetime, str]] = Counter()
    for moment, kind in written:
        first = moment if first is None else min(first, moment)
        last = moment if last is None else max(last, moment)
        by_minute[moment.replace(second=0, microsecond=0), kind] += 1
    if first is None or last is None:
        return []
    width = next((each for each in _MINUTES if (last - first) / timedelta(minutes=each) < most - 1), _MINUTES[-1])
    midnight = first.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    step = timedelta(minutes=width)
    start = midnight + (first - midnight) // step * step
    bins: list[Counter[str]] = [Counter() for _ in range((last - start) // step + 1)]
    for (minute, kind), count in by_minute.items():
        bins[(minute - start) // step][kind] += count
    return [
        {"start": (start + number * step).astimezone().isoformat(), "minutes": width, "frames": dict(each)}
        for number, each in enumerate(bins)
    ]


def kind_of(state: str, category: str | None) -> str:
    """Return what a frame counts as: its category, or ``failed``."""
    return category if state == FrameState.RECORDED and category else _FAILED


def timeline(bins: Sequence[Mapping[str, Any]]) -> str:
    """Return the bins as an SVG drawing, stacked by category; empty without bins."""
    if not bins:
        return ""
    most = max(sum(each["frames"].values()) for each in bins) or 1
    width, height = (_WIDTH - _LEFT) / len(bins), _HEIGHT - _FOOT - 8
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        'font-size="11" fill="#5b636d" role="img" aria-label="frames over time">'
    )
    parts = [
        head,
        f'<path d="M{_LEFT} {8 + height}H{_WIDTH}" stroke="#8a929c"/>',
        f'<text x="{_LEFT - 6}" y="16" text-anchor="end">{most:,}</text>',
        f'<text x="{_LEFT - 6}" y="{8 + height}" text-anchor="end">0</text>',
    ]
    every = max(1, -(-len(bins) // _LABELS))
    for number, each in enumerate(bins):
        x, y = _LEFT + number * width, 8.0 + height
        start = datetime.fromisoformat(each["start"])
        for kind in (*CATEGORIES, _FAILED):
            if count := each["frames"].get(kind, 0):
                tall = count / most * height
                y -= tall
                colour = CATEGORY_COLOURS.get(kind, _FAILED_COLOUR)
                title = escape(f"{start:%H:%M} {kind.replace('_', ' ')}: {count}")
                parts.append(
                    f'<rect x="{x + width * 0.08:.2f}" y="{y:.2f}" width="{width * 0.84:.2f}" height="{tall:.2f}" '
                    f'fill="{colour}"><title>{title}</title></rect>'
                )
        if number % every == 0:
            words = f"{start:%H:%M}" if each["minutes"] < 1440 else f"{start:%d %b}"
            parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 8}">{words}</text>')
    return "\n".join([*parts, "</svg>"])
