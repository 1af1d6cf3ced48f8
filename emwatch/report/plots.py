"""Plots of an evaluation, drawn by matplotlib (extra "report"): each as PNG for papers and SVG for the page."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.frame import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK: Final = "#20242a"
_PALE: Final = "#8a929c"
_BLUE: Final = "#2563a8"
_ORANGE: Final = "#d9822b"
_GRID: Final = "#dfe3e8"

_STYLE: Final[Any] = {
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.edgecolor": _PALE,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.hashsalt": "emwatch",  # the same plot is the same file
}

#: Pixels of a PNG for each inch: fit for print.
_DPI: Final = 160


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot in both formats."""

    png: bytes
    svg: bytes


def confusion(rows: list[list[float | None]], *, shares: bool) -> Plot:
    """Draw a confusion matrix of counts or of shares of each true category (10, 10)."""
    names = [name.replace("_", " ") for name in CATEGORIES]
    values = np.array([[np.nan if cell is None else float(cell) for cell in row] for row in rows])
    per_row = values / np.maximum(np.nansum(values, axis=1, keepdims=True), 1e-9)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.grid(visible=False)
        axes.imshow(np.nan_to_num(per_row), cmap="Blues", vmin=0, vmax=1)
        for (row, column), value in np.ndenumerate(values):
            if np.isnan(value) or value == 0:
                continue
            text = f"{value:.2f}" if shares else f"{value:.0f}"
            axes.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                fontsize=8,
                color="white" if per_row[row, column] > 0.55 else INK,
            )
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel("taken for")
        axes.set_ylabel("true category")
        axes.spines[:].set_visible(False)

    return _plot(draw, (6.6, 5.8))


def reliability(bins: list[Mapping[str, Any]]) -> Plot:
    """Draw how sure the model was against how right it was, with the number of frames below."""
    full = [each for each in bins if each["frames"]]
    width = bins[0]["high"] - bins[0]["low"]

    def draw(figure: Figure) -> None:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        top.plot([0, 1], [0, 1], color=_PALE, linestyle="--", linewidth=1, label="honest")
        probability, accuracy = ([each[name] for each in full] for name in ("probability", "accuracy"))
        most = max(each["frames"] for each in full)
        top.plot(probability, accuracy, color=_BLUE, linewidth=1, alpha=0.5)
        sizes = [8 + 70 * each["frames"] / most for each in full]
        top.scatter(probability, accuracy, s=sizes, color=_BLUE, zorder=3, clip_on=False, label="this model")
        top.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="share that is right")
        top.legend(frameon=False, loc="lower right")
        centres = [(each["low"] + each["high"]) / 2 for each in bins]
        bottom.bar(centres, [each["frames"] for each in bins], width=width * 0.9, color=_BLUE, alpha=0.5)
        bottom.set(xlabel="probability of the likeliest category", ylabel="frames")

    return _plot(draw, (5.0, 4.6))


def coverage(points: list[Mapping[str, Any]], uncertain: Mapping[str, Any]) -> Plot:
    """Draw how right the model is against how much of it is believed; the cross marks this bundle."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.plot([each["coverage"] for each in points], [each["accuracy"] for each in points], color=_BLUE)
        if uncertain["accuracy_when_certain"] is not None:
            at = (1 - uncertain["share"], uncertain["accuracy_when_certain"])
            axes.plot(*at, "X", color=_ORANGE, markersize=9)
            right_half = at[0] > 0.5
            axes.annotate(
                f'without "Uncertain":\n{at[0]:.0%} of frames, {at[1]:.0%} right',
                at,
                xytext=(-12 if right_half else 12, -28),
                textcoords="offset points",
                ha="right" if right_half else "left",
                fontsize=8,
            )
        lowest = min((each["accuracy"] for each in points), default=0.0)
        axes.set(
            xlim=(0, 1.01),
            ylim=(max(0, lowest - 0.1), 1.02),
            xlabel="share of frames believed, the surest first",
            ylabel="share of these that is right",
        )

    return _plot(draw, (5.0, 4.6))


def history(columns: Mapping[str, list[Any]]) -> Plot:
    """Draw loss and accuracy of training and validation over the epochs, with a line at the start of each phase."""

    def draw(figure: Figure) -> None:
        for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
            for column, label, colour in ((name, "training", _BLUE), (f"val_{name}", "validation", _ORANGE)):
                if column in columns:
                    axes.plot(columns["epoch"], columns[column], label=label, color=colour, marker="o", markersize=3)
            _phases(axes, columns)
            axes.set(xlabel="epoch", ylabel=name)
            axes.legend(frameon=False)
            axes.xaxis.get_major_locator().set_params(integer=True)

    return _plot(draw, (9.0, 3.4))


def _phases(axes: Axes, columns: Mapping[str, list[Any]]) -> None:
    phases = columns.get("phase", [])
    for at in range(1, len(phases)):
        if phases[at] != phases[at - 1]:
            axes.axvline(columns["epoch"][at] - 0.5, color=_PALE, linestyle=":", linewidth=1)
            axes.annotate(
                f" {phases[at]}",
                (columns["epoch"][at] - 0.5, 0.02),
                xycoords=("data", "axes fraction"),
                fontsize=8,
                color=_PALE,
            )


def _plot(draw: Callable[[Figure], None], inches: tuple[float, float]) -> Plot:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=inches, layout="constrained")
        draw(figure)
        png, svg = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", dpi=_DPI, metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return Plot(png.getvalue(), svg.getvalue())
