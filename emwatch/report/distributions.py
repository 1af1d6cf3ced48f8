"""How frames are distributed: over time, confidence, magnification and latency; as bars for a terminal or a picture."""

from __future__ import annotations

import io
import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from emwatch.frame import CATEGORIES
from emwatch.report.stage_map import CATEGORY_COLOURS, round_length
from emwatch.report.timeline import bins_of, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    #: Values of frames as the ledger stores them, in the order of `DistributionKind.columns`.
    Rows = Iterable[Sequence[Any]]

_SURE: Final = {"certain": "#2563a8", "uncertain": "#b9cbe4", "failed": "#b0b5bb", "frames": "#2563a8"}
#: The colour of each part of a bar.
COLOURS: Final[Mapping[str, str]] = CATEGORY_COLOURS | _SURE
_SECONDS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600)
_TENTHS: Final = 10


@dataclass(frozen=True, slots=True)
class Distribution:
    """Bars in order: a label each, and how many frames of each part."""

    title: str
    axis: str
    bars: Sequence[tuple[str, Mapping[str, int]]]
    left_out: int = 0  #: frames of which the value is not known

    @property
    def parts(self) -> list[str]:
        """The parts that occur, in their order."""
        found = {part for _, counts in self.bars for part, count in counts.items() if count}
        return [each for each in (*CATEGORIES, *_SURE) if each in found]


def _categories(rows: Rows, most_bins: int) -> Distribution:
    """Return the frames over time, by category."""
    bins = bins_of(
        (
            (datetime.fromisoformat(written_at or recorded_at), kind_of(state, category))
            for written_at, recorded_at, state, category in rows
        ),
        most_bins,
    )
    days = len({each["start"][:10] for each in bins}) > 1
    form = "%d %b %H:%M" if days else "%H:%M"
    bars = [(datetime.fromisoformat(each["start"]).strftime(form), each["frames"]) for each in bins]
    width = f"{bins[0]['minutes']} min each" if bins else ""
    return Distribution("Categories over time", f"written, {width}", bars)


def _confidence(rows: Rows, _most_bins: int) -> Distribution:
    """Return the probabilities of the likeliest category, the uncertain ones apart."""
    bars: list[Counter[str]] = [Counter() for _ in range(_TENTHS)]
    unknown = 0
    for probability, uncertain in rows:
        if probability is None:
            unknown += 1
            continue
        bars[min(int(probability * _TENTHS), _TENTHS - 1)]["uncertain" if uncertain else "certain"] += 1
    labels = [f"{at / _TENTHS:.1f}" for at in range(_TENTHS)]
    return Distribution(
        "Confidence", "probability of the category, from", list(zip(labels, bars, strict=True)), unknown
    )


def _magnification(rows: Rows, _most_bins: int) -> Distribution:
    """Return the magnifications in steps of 1, 2 and 5, by category."""
    found: dict[float, Counter[str]] = {}
    unknown = 0
    for magnification, state, category in rows:
        if not magnification or magnification <= 0:
            unknown += 1
            continue
        found.setdefault(round_length(magnification), Counter())[kind_of(state, category)] += 1
    if not found:
        return Distribution("Magnification", "", [], unknown)
    steps = [min(found)]
    while steps[-1] < max(found):
        steps.append(round_length(steps[-1] * 2.6))
    bars = [(f"{step / 1e3:g}kx" if step >= 1e3 else f"{step:g}x", found.get(step, Counter())) for step in steps]
    return Distribution("Magnification", "from", bars, unknown)


def _latency(rows: Rows, _most_bins: int) -> Distribution:
    """Return the seconds from the file's last change to its row in the ledger."""
    bars: list[Counter[str]] = [Counter() for _ in range(len(_SECONDS) + 1)]
    unknown = 0
    for recorded_at, written_at in rows:
        if written_at is None:
            unknown += 1
            continue
        seconds = (datetime.fromisoformat(recorded_at) - datetime.fromisoformat(written_at)).total_seconds()
        bars[next((at for at, limit in enumerate(_SECONDS) if seconds < limit), len(_SECONDS))]["frames"] += 1
    labels = [f"< {limit:g} s" for limit in _SECONDS] + [f">= {_SECONDS[-1]:g} s"]
    while len(bars) > 1 and not bars[-1]:
        bars.pop()
    return Distribution("Latency", "from written to recorded", list(zip(labels, bars, strict=False)), unknown)


@dataclass(frozen=True, slots=True)
class DistributionKind:
    """
    One kind of distribution.

    Attributes:
        columns: of the log, that it is made of; whole rows of a million frames take twenty times as long.
        distribution: makes it of stored values of these columns and the most bins that there may be.

    """

    columns: Sequence[str]
    distribution: Callable[[Rows, int], Distribution]


#: What can be plotted.
KINDS: Final[Mapping[str, DistributionKind]] = {
    "categories": DistributionKind(("file_modified_at", "recorded_at", "state", "category"), _categories),
    "confidence": DistributionKind(("probability", "uncertain"), _confidence),
    "magnification": DistributionKind(("magnification", "state", "category"), _magnification),
    "latency": DistributionKind(("recorded_at", "file_modified_at"), _latency),
}


def picture(shown: Distribution, shape: str) -> bytes:
    """Return the bars as a PNG or SVG file, drawn by matplotlib."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    labels = [label for label, _ in shown.bars]
    below = [0] * len(labels)
    for part in shown.parts:
        heights = [counts.get(part, 0) for _, counts in shown.bars]
        axes.bar(
            range(len(labels)), heights, bottom=below, width=0.85, color=COLOURS[part], label=part.replace("_", " ")
        )
        below = [low + height for low, height in zip(below, heights, strict=True)]
    every = max(1, math.ceil(len(labels) / 12))
    axes.set_xticks(range(0, len(labels), every), labels[::every], fontsize=8)
    axes.set(title=shown.title, xlabel=shown.axis, ylabel="frames")
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if shown.parts != ["frames"]:
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    file = io.BytesIO()
    settings: Any = {"format": shape, "dpi": 160, "metadata": {"Date": None} if shape == "svg" else None}
    figure.savefig(file, **settings)
    return file.getvalue()
