"""The report of an evaluation: one page that works offline and on paper, with its pictures and tables beside it."""

from __future__ import annotations

import base64
import csv
import importlib.util
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import emwatch
from emwatch.errors import ConfigError, FrameError
from emwatch.frame import CATEGORIES, path_to_text
from emwatch.report import plots
from emwatch.report.sheet import Print, SheetRow, contact_sheet
from emwatch.train.dataset.describe import UNKNOWN
from emwatch.train.dataset.survey import read_all
from emwatch.train.evaluate.evaluate import mistakes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from emwatch.train.evaluate.evaluate import JudgedFrame

PAGE: Final = "report.html"
DOCUMENT: Final = "evaluation.json"
PREDICTIONS: Final = "predictions.tsv"

_TEMPLATE: Final = "evaluation.html.j2"
_MISTAKES_IN_A_ROW: Final = 6

_MAGNIFICATION_TOLD: Final = "As in the files or, if that was asked for, in their data bars."
_MAGNIFICATION_UNTOLD: Final = "No file tells its magnification; --data-bar reads it from the bar in the picture."

#: Sources are many: so many are on the page, the JSON document has all.
_SOURCES_SHOWN: Final = 40


def check_extra() -> None:
    """Raise `ConfigError` if matplotlib or jinja2 are not installed; call it before a model runs."""
    if missing := [name for name in ("matplotlib", "jinja2") if importlib.util.find_spec(name) is None]:
        raise ConfigError(
            f"--out needs {' and '.join(missing)}, which {'are' if len(missing) > 1 else 'is'} not installed: "
            "pip install 'emwatch[report]', or go without --out"
        )


def write_report(
    folder: Path, document: Mapping[str, Any], judged: Sequence[JudgedFrame], history: Mapping[str, list[Any]] | None
) -> list[Path]:
    """
    Write the page, its pictures as PNG files, the document and what was said of each frame into a folder.

    ``document``: of `evaluation`, with bundle, dataset, part and time. Returns the files, the page first.
    """
    pictures = _pictures(document, history)
    sheet = mistakes_sheet(judged)
    files = {f"{name}.png": plot.png for name, plot in pictures.items()}
    if sheet is not None:
        files["mistakes.png"] = sheet
    embedded = {name: _embedded(plot.svg, "svg+xml") for name, plot in pictures.items()}
    embedded["mistakes"] = "" if sheet is None else _embedded(sheet, "png")
    content = {
        PAGE: page(document, embedded).encode(),
        DOCUMENT: json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False).encode(),
        PREDICTIONS: _predictions(judged).encode(),
        **files,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, each in content.items():
        made = folder / f".{name}.{os.getpid()}.tmp"
        made.write_bytes(each)
        made.replace(folder / name)
    return [folder / name for name in content]


def page(document: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """Write the page; every name in it is escaped. ``pictures``: data URIs by name, an empty one is left out."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    by = document["by"]
    known = any(group["name"] != UNKNOWN for group in by["magnification"])
    groupings = [
        ("magnification", by["magnification"], _MAGNIFICATION_TOLD if known else _MAGNIFICATION_UNTOLD),
        ("maker", by["maker"], "As in the files, else in the labels table."),
        (
            "source",
            by["source"][:_SOURCES_SHOWN],
            "The largest first; the JSON document has all."
            if len(by["source"]) > _SOURCES_SHOWN
            else "The largest first.",
        ),
    ]
    rendered: str = environment.get_template(_TEMPLATE).render(
        **document,
        dataset_name=Path(document["dataset"]).name or document["dataset"],
        plots={"history": "", **pictures},
        groupings=groupings,
        shade=_shade,
        version=emwatch.__version__,
    )
    return rendered


def mistakes_sheet(judged: Sequence[JudgedFrame]) -> bytes | None:
    """Draw the worst mistakes as the network saw them; ``None`` if there are none. Returns a PNG file."""
    worst = mistakes(judged)
    prints = [
        Print(result.views[0], _mistake_lines(each), alert=not each.prediction.uncertain)
        for each, result in zip(worst, read_all([each.frame.path for each in worst]), strict=True)
        if not isinstance(result, FrameError)
    ]
    if not prints:
        return None
    rows = [SheetRow("", "", prints[at : at + _MISTAKES_IN_A_ROW]) for at in range(0, len(prints), _MISTAKES_IN_A_ROW)]
    return contact_sheet(rows, _MISTAKES_IN_A_ROW)


def _mistake_lines(each: JudgedFrame) -> tuple[str, ...]:
    said = each.prediction
    return (
        f"{said.category.replace('_', ' ')} {said.probability:.0%}{' ?' if said.uncertain else ''}",
        f"is {CATEGORIES[each.frame.category].replace('_', ' ')}",
        each.frame.source,
        each.frame.path.name,
    )


def _pictures(document: Mapping[str, Any], history: Mapping[str, list[Any]] | None) -> dict[str, plots.Plot]:
    pictures = {
        "confusion": plots.confusion(document["confusion"]["counts"], shares=False),
        "confusion-normalised": plots.confusion(document["confusion"]["normalised"], shares=True),
        "reliability": plots.reliability(document["reliability"]),
        "coverage": plots.coverage(document["coverage"], document["uncertain"]),
    }
    return pictures if history is None else {**pictures, "history": plots.history(history)}


def _embedded(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _shade(share: float | None) -> str:
    """Return the paper's colour for a cell of a confusion matrix, from white to blue."""
    if share is None:
        return "#f0f0f0"
    red, green, blue = (round(255 + (end - 255) * share) for end in (0x25, 0x63, 0xA8))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _predictions(judged: Sequence[JudgedFrame]) -> str:
    """Write what was said of each frame, a row each, tab separated."""
    file = io.StringIO()
    table = csv.writer(file, delimiter="\t", lineterminator="\n")
    table.writerow(
        [
            "file",
            "category",
            "taken_for",
            "probability",
            "margin",
            "uncertain",
            "novelty",
            "source",
            "maker",
            "magnification",
            "sha256",
        ]
        + [f"p_{name}" for name in CATEGORIES]
    )
    for each in judged:
        said = each.prediction
        table.writerow(
            [
                path_to_text(each.frame.path),
                CATEGORIES[each.frame.category],
                said.category,
                f"{said.probability:.4f}",
                f"{said.margin:.4f}",
                "yes" if said.uncertain else "no",
                "" if said.novelty is None else f"{said.novelty:.4f}",
                each.frame.source,
                each.vendor,
                "" if each.magnification is None else f"{each.magnification:g}",
                each.sha256,
                *(f"{said.scores[name]:.4f}" for name in CATEGORIES),
            ]
        )
    return file.getvalue()
