"""``emwatch classify``: name the category of frames."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.commands.bars import DataBars, with_bar
from emwatch.cli.exits import Exit
from emwatch.cli.options import AnyPath, config_option, json_option, load_config, logging_options
from emwatch.cli.terminal.display import (
    Column,
    category_text,
    common_folder,
    is_narrow,
    print_json,
    print_table,
    tell_warning,
)
from emwatch.cli.terminal.frames import (
    Tally,
    failure_document,
    gather,
    is_single,
    metadata_document,
    read_all,
)
from emwatch.errors import FrameError
from emwatch.frame import path_to_text
from emwatch.units import degrees_text, number_text

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.frame import FrameReading, Prediction

_COLUMNS = (
    Column("Category", whole=True),
    Column("Probability", align="right"),
    Column("Second", style="dim", whole=True, spare=3),
    Column("Magnification", align="right", spare=1),
    Column("Tilt °", align="right", spare=2),
    Column("File", shorten=True),
)


@click.command(short_help="Classify frames without recording them.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=AnyPath())
@config_option
@click.option("--bundle", metavar="DIR", type=AnyPath(), help="Classify with this model bundle.")
@click.option("--engine", metavar="NAME", help="Run the model with this engine: litert, keras or, for tests, stub.")
@click.option(
    "--data-bar/--no-data-bar",
    default=None,
    help="Read missing values from the data bar in the picture; by default only suggest it.",
)
@json_option
@logging_options
def classify(
    files: tuple[Path, ...],
    config_file: Path | None,
    bundle: Path | None,
    engine: str | None,
    data_bar: bool | None,
    as_json: bool,
) -> None:
    """
    Show the category of frames, its probability, magnification and tilt.

    A "?" marks a category of which the model is uncertain. A directory means all frames below it. Nothing is recorded.
    With --json, one FILE gives an object, anything else a list.

    With --data-bar, values that the file lacks, such as the magnification, are read from the bar of text in the picture.
    This needs the extra "ocr" and takes about a second per frame. The category does not depend on it.
    """
    config = load_config(config_file, {"model.bundle": bundle, "model.engine": engine}, one_shot=True)
    # Imported here, numpy and the engine cost nothing to the commands that need neither.
    from emwatch.classify.bundles import store
    from emwatch.classify.preprocess import prepared_by
    from emwatch.classify.scale_doubt import field_width_um
    from emwatch.readers.sandbox.frame_sandbox import Sandbox
    from emwatch.readers.sandbox.limits import bar_limits, reading_limits

    asked = gather(files)
    tally = Tally(len(asked))
    documents: list[dict[str, Any]] = []
    found: list[tuple[FrameReading, Prediction]] = []
    with (
        Sandbox(prepared_by(config.model.views), reading_limits(config)) as sandbox,
        DataBars(data_bar, bar_limits(config), if_asked=True) as bars,
    ):
        sandbox.start()  # the child starts while the model is loaded
        classifier = store.in_use(config).load(config.model.engine, config.model.threads)
        for each, result in read_all(sandbox, asked, pixels=True):
            tally.next(each)
            if isinstance(result, FrameError):
                if not tally.passes_over(each, result):
                    documents.append(failure_document(each.path, result))
                continue
            reading = with_bar(replace(result, views=result.views[:0]), bars.read(result))
            width_um = field_width_um(reading.metadata, reading.width) if config.model.doubt_by_scale else None
            prediction = classifier.classify(result.views, result.coloured_share, width_um)
            if prediction.doubt:
                tally.clear()
                tell_warning(f"{path_to_text(reading.path)}: {prediction.doubt}")
            documents.append(_document(reading, prediction))
            if not as_json:
                found.append((reading, prediction))
        tally.clear()
        bars.tell()
    if as_json:
        print_json(documents[0] if is_single(files) else documents)
    elif found:
        below = common_folder([reading.path for reading, _ in found])
        print_table(_COLUMNS, [_row(*each, below, narrow=is_narrow()) for each in found])
    if tally.failed:
        raise click.exceptions.Exit(Exit.SOME_FAILED)
    if not documents:
        click.echo("no frames here", err=True)
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)


def _document(reading: FrameReading, prediction: Prediction) -> dict[str, Any]:
    metadata = metadata_document(reading)
    return {
        "path": metadata.pop("path"),
        "category": prediction.category,
        "probability": prediction.probability,
        "scores": dict(prediction.scores),
        "uncertain": prediction.uncertain,
        "doubt": prediction.doubt,
        "margin": prediction.margin,
        "novelty": prediction.novelty,
        "bundle_sha256": prediction.bundle_sha256,
        "sha256": metadata.pop("sha256"),
        "metadata": metadata,
    }


def _row(reading: FrameReading, prediction: Prediction, below: Path | None, *, narrow: bool) -> list[str]:
    others = sorted(((score, name) for name, score in prediction.scores.items() if name != prediction.category))
    score, second = others[-1]
    magnification, tilt = (reading.metadata.number(name) for name in ("magnification", "stage_tilt_deg"))
    return [
        f"{category_text(prediction.category, narrow=narrow)}{' ?' if prediction.uncertain else ''}",
        f"{prediction.probability:.2f}",
        f"{category_text(second, narrow=narrow)} {score:.2f}",
        "" if magnification is None else number_text(magnification),
        "" if tilt is None else degrees_text(tilt),
        path_to_text(reading.path if below is None else reading.path.relative_to(below)),
    ]
