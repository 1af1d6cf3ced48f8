"""``emwatch train heads``: a model of one's own in seconds, on the backbone that is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.commands.model import progress
from emwatch.cli.frame_filters import filter_of, frame_filters
from emwatch.cli.options import AnyPath, config_option, json_option, load_config, logging_options
from emwatch.cli.terminal.display import Column, counted, print_json, print_table, tell_warning
from emwatch.cli.terminal.train_progress import TrainingProgress
from emwatch.frame import CATEGORIES

if TYPE_CHECKING:
    from emwatch.classify.bundles.bundle import Bundle
    from emwatch.config import Config
    from emwatch.train.dataset.labelled import LabelledFrame
    from emwatch.train.heads.from_log import FromLog

#: The options that go into the order as they are; all others choose among reviewed frames.
_ORDER: Final = ("drawn_per_category", "compare_float", "seed", "threads")
#: Files left out are told one by one up to so many.
_MOST_TOLD: Final = 20


@click.command(short_help="Train a new head on the existing backbone: seconds, no TensorFlow.")
@click.argument("dataset", type=AnyPath(), required=False)
@click.option("--from-log", is_flag=True, help="Train on the reviewed frames of the ledger, and on DATASET if given.")
@frame_filters
@click.option("--ledger", metavar="FILE", type=AnyPath(), help="Use this ledger instead of ledger.path.")
@config_option
@click.option(
    "--out",
    metavar="DIR",
    type=AnyPath(),
    help="The bundle's directory; default: named after the dataset, in the current folder.",
)
@click.option("--name", metavar="NAME", help="The bundle's name; default: the name of its directory.")
@click.option(
    "--backbone",
    metavar="DIR",
    type=AnyPath(),
    help="Use the backbone of this bundle; default: the one that comes with emwatch.",
)
@click.option(
    "--drawn",
    "drawn_per_category",
    default=200,
    show_default=True,
    metavar="N",
    type=click.IntRange(min=0),
    help="Number of drawn frames per category to train on beside the real ones.",
)
@click.option(
    "--compare-float",
    is_flag=True,
    help='Also evaluate the unquantised network, for the card. Needs the extra "train" and the stored weights.',
)
@click.option(
    "--seed", default=0, show_default=True, metavar="N", help="The same seed draws and splits the same frames."
)
@click.option(
    "--threads", default=2, show_default=True, metavar="N", type=click.IntRange(min=1), help="Number of threads."
)
@json_option
@logging_options
def heads(
    dataset: Path | None,
    from_log: bool,
    ledger: Path | None,
    config_file: Path | None,
    out: Path | None,
    name: str | None,
    backbone: Path | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """
    Train a new head: ten categories, their calibration, and the detection of unfamiliar frames. See [training](training.md).

    The head is trained on the frames of DATASET with an open licence (on all, if no licence is given) and on drawn ones.
    It is cross-validated by source on all frames: no instrument or folder is in training and validation. The embeddings
    of the frames are stored (EMWATCH_EMBEDDINGS), so that the next run takes seconds.

    With --from-log it is also trained on reviews (`emwatch review`): frames whose newest review names a category and whose
    files still hold the reviewed bytes; the filters choose among them. DATASET may then lack categories, or be left
    out: drawn frames replace what nobody reviewed.
    """
    from emwatch.classify.bundles.bundle import default_directory
    from emwatch.train.dataset.check import doubts
    from emwatch.train.dataset.labelled import labelled_frames
    from emwatch.train.heads.head_bundle import HeadOrder, train_heads

    filters = {key: value for key, value in asked.items() if key not in _ORDER}
    if not from_log and any(value not in {None, False, ()} for value in filters.values()):
        raise click.UsageError("filters go with --from-log")
    directory = out or Path("heads-from-log" if dataset is None else f"heads-{dataset.resolve().stem}")
    made = HeadOrder(
        backbone=backbone or default_directory(),
        out=directory,
        name=name or directory.name,
        **{key: asked[key] for key in _ORDER},
    )
    reviewed = None
    if from_log:
        config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
        frames, reviewed = _with_reviewed(config, dataset, filters, made.drawn_per_category)
    elif dataset is not None:
        frames = labelled_frames(dataset)
    else:
        raise click.UsageError("name a DATASET, or say --from-log, or both")
    for doubt in doubts(frames):
        tell_warning(doubt)
    with TrainingProgress() as shown:
        bundle = train_heads(made, frames, shown.say, shown.counting)
    if _says_little(bundle):
        tell_warning(
            "so few frames or sources say little: neither the figures nor the probabilities of this model are to be "
            "trusted; review frames of more sessions, or give a DATASET beside them"
        )
    if as_json:
        document = {"directory": bundle.directory, "sha256": bundle.sha256, "card": dict(bundle.card)}
        print_json(document if reviewed is None else {**document, "from_log": _log_document(reviewed)})
    else:
        print_table((Column("Fact", whole=True), Column("Value")), _rows(bundle))


def _with_reviewed(
    config: Config, dataset: Path | None, filters: dict[str, Any], drawn_per_category: int
) -> tuple[list[LabelledFrame], FromLog]:
    """Give the frames to learn from and judge by: reviewed ones of the ledger, and the dataset's."""
    from emwatch.ledger.query import LedgerReader
    from emwatch.train.dataset.labelled import open_dataset
    from emwatch.train.heads.from_log import beside, check_categories, reviewed_frames

    with LedgerReader(config.ledger.path) as reader:
        reviewed = reviewed_frames(reader, filter_of(filters))
    for each in reviewed.left_out[:_MOST_TOLD]:
        tell_warning(each.reason)
    if len(reviewed.left_out) > _MOST_TOLD:
        tell_warning(f"and {len(reviewed.left_out) - _MOST_TOLD} more; --json has all")
    labelled = [] if dataset is None else [frame for frame in open_dataset(dataset) if not frame.near_duplicate]
    frames = beside(labelled, reviewed.frames)
    check_categories(frames, drawn_per_category)
    sources = len({frame.source for frame in reviewed.frames})
    those = f"{counted(len(reviewed.frames), 'reviewed frame')} of {counted(sources, 'session')}"
    progress()(f"{those}, {len(labelled):,} of the dataset")
    return frames, reviewed


def _log_document(reviewed: FromLog) -> dict[str, Any]:
    return {
        "frames": len(reviewed.frames),
        "sources": len({frame.source for frame in reviewed.frames}),
        "left_out": [{"path": each.path, "kind": each.kind, "reason": each.reason} for each in reviewed.left_out],
    }


def _says_little(bundle: Bundle) -> bool:
    """Tell whether some fold had no source, or fewer frames judged than ten of each category."""
    from emwatch.train.heads.calibration import FOLDS

    metrics = bundle.card["metrics"]
    return bool(metrics["sources"] < FOLDS or metrics["frames"] < 10 * len(CATEGORIES))


def _rows(bundle: Bundle) -> list[tuple[str, str]]:
    training, metrics = bundle.card["training"], bundle.card["metrics"]
    figures = metrics["without_bar"]
    drawn = training["drawn_frames_per_category"]
    return [
        ("bundle", f"{bundle.directory}, {bundle.sha256[:12]}"),
        ("taught by", f"{training['real_frames']:,} real frames, {drawn:,} drawn ones of each category"),
        (
            "judged by",
            f"{counted(metrics['frames'], 'frame')} of {counted(metrics['sources'], 'source')}, none of which taught its judge",
        ),
        (
            "accuracy",
            f"{figures['accuracy']:.3f}, balanced {figures['balanced_accuracy']:.3f}, top-3 {figures['top_3_accuracy']:.3f}",
        ),
        ("calibration", f"ECE {figures['ece_before']:.3f} before, {figures['ece_after']:.3f} after"),
        ("certain", _certain(figures)),
        *((f"recall, {name}", f"{value:.2f}") for name, value in figures["recall"].items()),
        ("use it", f"emwatch model import {bundle.directory}"),
    ]


def _certain(figures: dict[str, Any]) -> str:
    if not figures["certain_share"]:
        return "not told: there were no other sources to choose by how sure to be"
    return f"{figures['certain_share']:.1%} of the frames, of these {figures['accuracy_when_certain']:.1%} right"
