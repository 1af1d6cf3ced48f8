"""``emwatch evaluate``: how good a model is on labelled frames."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.commands.dataset_describe import bars_for
from emwatch.cli.commands.model import directory_of
from emwatch.cli.exits import Exit
from emwatch.cli.options import AnyPath, config_option, json_option, load_config, logging_options
from emwatch.cli.terminal.display import Column, counted, print_json, print_table, printable, tell_error, tell_warning
from emwatch.cli.terminal.progress import counting
from emwatch.cli.train_options import seed_option, threads_option
from emwatch.errors import DatasetError
from emwatch.whole_file import check_writable

if TYPE_CHECKING:
    from pathlib import Path

#: Figures of a model, with their names for people.
HEADLINE = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "by_source": "balanced, each source once",
    "merged_balanced_accuracy": "balanced, borders merged",
    "top_3_accuracy": "among the likeliest three",
    "macro_f1": "macro F1",
    "ece": "calibration error (ECE)",
}
_HISTORY = ("epoch", "loss", "accuracy")


@click.command(short_help="Measure how good a model is on labelled frames.")
@click.argument("bundle", metavar="BUNDLE")
@click.argument("dataset", metavar="DATASET", type=AnyPath())
@click.option(
    "--part",
    type=click.Choice(["training", "validation", "test"]),
    help="Use this part of a manifest; default: test, if the dataset has parts.",
)
@click.option(
    "--out",
    metavar="DIR",
    type=AnyPath(),
    help="Write the report to this folder: report.html, PNG files, JSON, predictions.",
)
@click.option(
    "--history",
    metavar="FILE",
    type=AnyPath(),
    help="Show loss and accuracy from this history.json of a training run.",
)
@click.option("--data-bar", is_flag=True, help="Read the magnification from the data bar if the file has none.")
@click.option(
    "--engine",
    default="litert",
    show_default=True,
    metavar="NAME",
    help="Run the model with this engine: litert, keras or, for tests, stub.",
)
@threads_option("Threads of the model.")
@seed_option("The same seed gives the same intervals.")
@config_option
@json_option
@logging_options
def evaluate(
    bundle: str,
    dataset: Path,
    part: str | None,
    out: Path | None,
    history: Path | None,
    data_bar: bool,
    engine: str,
    threads: int,
    seed: int,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """
    Measure how good a model is on labelled frames: scores, confusions, calibration, and what "uncertain" catches.

    BUNDLE is the name of a stored bundle, six or more digits of its sha256, or a bundle's directory. Frames are read as the
    daemon reads them. Intervals say how far chance reaches, counting sources, since frames of one source are alike.
    Frames of sources that the bundle has learned from are reported, with separate figures for the others. Near duplicates
    count once. Ends with 4 when some files could not be read.

    --out needs the extra "report" (pip install 'emwatch[report]').
    """
    from emwatch.classify.classifier import Classifier
    from emwatch.train.dataset.labelled import Part, open_dataset
    from emwatch.train.evaluate import evaluate as judging
    from emwatch.train.heads.lessons import taught_sha256

    if out is not None:
        from emwatch.report.evaluation import check_extra

        check_extra()
        check_writable(out)
    epochs = None if history is None else _history(history)
    directory = directory_of(bundle, config_file, None)
    model = load_config(config_file, one_shot=True).model
    views = model.views
    frames, judged_by = judging.chosen(open_dataset(dataset), None if part is None else Part(part))
    classifier = Classifier.load(directory, engine, threads)
    with bars_for(data_bar) as complete, counting("judging frames", len(frames)) as tell:
        judgement = judging.judge(classifier, frames, tell, complete, views, doubt_by_scale=model.doubt_by_scale)
    opened = classifier.bundle
    taught = frozenset() if opened is None else taught_sha256(opened.directory)
    document = {
        "bundle": {
            "name": "stub" if opened is None else opened.name,
            "sha256": classifier.bundle_sha256,
            "directory": str(directory),
            "engine": engine,
            "views": views,
        },
        "dataset": str(dataset.absolute()),
        "part": judged_by,
        "made_at": datetime.now().astimezone().isoformat(timespec="minutes"),
        **judging.evaluation(judgement, {} if opened is None else opened.card, seed, taught),
        "history": epochs,
    }
    if out is not None:
        from emwatch.report.evaluation import write_report

        click.echo(f"report written: {printable(write_report(out, document, judgement.judged, epochs)[0])}", err=True)
    if as_json:
        print_json(document)
    else:
        _print(document)
    if judgement.unreadable:
        raise click.exceptions.Exit(Exit.SOME_FAILED)


def _history(file: Path) -> dict[str, list[Any]]:
    """Read the epochs of a training. Raises `DatasetError`."""
    try:
        columns = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{file} cannot be read: {error}; expected the history.json that training writes") from error
    rows = columns.get("epoch") if isinstance(columns, dict) else None
    if not isinstance(rows, list) or not all(
        isinstance(column, list) and len(column) == len(rows) for column in columns.values()
    ):
        raise DatasetError(f"{file} is no history: expected columns of one length, {', '.join(_HISTORY)} among them")
    if missing := [name for name in _HISTORY if name not in columns]:
        raise DatasetError(f"{file} has no column {', '.join(missing)}; expected the history.json that training writes")
    return dict(columns)


def _print(document: dict[str, Any]) -> None:
    for warning in document["warnings"]:
        tell_warning(warning)
    for each in document["unreadable"]:
        tell_error(each["message"])
    part = f", {document['part']} part" if document["part"] else ""
    click.echo(
        f"{printable(document['bundle']['name'])}: {counted(document['frames'], 'frame')} of {counted(document['sources'], 'source')}{part}"
    )
    columns = [Column("Figure", whole=True), Column("All", align="right"), Column("19 times of 20", style="dim")]
    groups = [("New sources", document["unseen"]), ("Blind sources", document["blind"])]
    there = [(title, group) for title, group in groups if group is not None]
    for title, group in there:
        columns += [Column(f"{title} ({group['frames']:,})", align="right"), Column("19 times of 20", style="dim")]
    shown = [document["headline"], *(group for _, group in there)]
    print_table(columns, [_figure(title, [each[name] for each in shown]) for name, title in HEADLINE.items()])
    worth = ", ".join(f"{name} {count:.1f}" for name, count in document["effective_sources"].items())
    click.echo(f"effective number of sources: {worth}")
    doubt = document["uncertain"]
    click.echo(
        f"uncertain: {doubt['share']:.1%} of the frames; of the others {_per_cent(doubt['accuracy_when_certain'])} are right; "
        f"{_per_cent(doubt['right_kept_certain'])} of what is right stays certain"
    )
    click.echo()
    names = ("Category", "Frames", "Precision", "Recall", "F1", "Uncertain")
    rows = [
        [
            name,
            f"{each['frames']:,}",
            *(_per_cent(each[key]) for key in ("precision", "recall", "f1")),
            f"{each['uncertain']:,}",
        ]
        for name, each in document["categories"].items()
    ]
    print_table(
        [Column(name, align="left" if name == "Category" else "right", whole=name == "Category") for name in names],
        rows,
    )
    if document["most_confused"]:
        click.echo()
        print_table(
            (
                Column("Most confused", whole=True),
                Column("Taken for", whole=True),
                Column("Frames", align="right"),
                Column("Share", align="right"),
            ),
            [
                [each["true"], each["taken_for"], f"{each['frames']:,}", _per_cent(each["share"])]
                for each in document["most_confused"]
            ],
        )


def _figure(title: str, figures: list[dict[str, float]]) -> list[str]:
    cells = [title]
    for each in figures:
        cells += [f"{each['value']:.3f}", f"{each['low']:.3f} to {each['high']:.3f}"]
    return cells


def _per_cent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"
