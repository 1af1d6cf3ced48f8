"""``emwatch train heads``: a model of one's own in seconds, on the backbone that is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.commands.model import progress
from emwatch.cli.frame_filters import filter_of, frame_filters
from emwatch.cli.options import AnyPath, config_option, json_option, ledger_option, load_config, logging_options
from emwatch.cli.terminal.display import Column, counted, print_json, print_table, tell_warning
from emwatch.cli.terminal.train_progress import TrainingProgress
from emwatch.cli.train_options import drawn_option, seed_option, threads_option
from emwatch.errors import DatasetError
from emwatch.filesystem import real_path
from emwatch.frame import CATEGORIES, path_to_text

if TYPE_CHECKING:
    from emwatch.classify.bundles.bundle import Bundle
    from emwatch.config import Config
    from emwatch.train.dataset.labelled import LabelledFrame
    from emwatch.train.heads.from_log import FromLog

#: The options that go into the order as they are; all others choose among reviewed frames.
_ORDER: Final = ("drawn_per_category", "alone", "open_only", "seed", "threads")
#: At most so many skipped files are listed one by one.
_MOST_TOLD: Final = 20


@click.command(short_help="Train a new head on the existing backbone: seconds, no TensorFlow.")
@click.argument("dataset", type=AnyPath(), required=False)
@click.option("--from-log", is_flag=True, help="Train on the reviewed frames of the ledger, and on DATASET if given.")
@frame_filters
@ledger_option
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
@drawn_option("With --alone: drawn frames of each category to learn from beside the real ones.")
@click.option(
    "--alone",
    is_flag=True,
    help="Start from drawn frames and DATASET only, not from what taught the head that comes with the backbone.",
)
@click.option(
    "--open-only",
    is_flag=True,
    help="Learn only from frames with an open licence; the others are still used to validate.",
)
@seed_option("The same seed draws and splits the same frames.")
@threads_option("Number of threads.")
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
    Train a new head: ten categories, their calibration, and the detection of unfamiliar frames. See emwatch docs training.

    The head starts from what taught the head that comes with the backbone, and learns the frames of DATASET beside it, which
    may be of any number of categories: 20 frames of each of two categories of one's own instrument help. It takes about a
    minute, and a second for each ten new frames. It is judged by source: no instrument or folder that taught it judges it.
    What the network makes of each frame is kept (EMWATCH_EMBEDDINGS), so that the next time takes seconds.

    With --alone it starts from nothing: DATASET needs frames of all ten categories, and drawn ones are put beside them.

    With --from-log it also learns from what people said with `emwatch review`: frames whose newest review names a category
    and whose files still hold the reviewed bytes; the filters choose among them. DATASET may then be left out.
    """
    from emwatch.classify.bundles.bundle import default_directory
    from emwatch.train.dataset.check import doubts
    from emwatch.train.dataset.labelled import labelled_frames, open_dataset
    from emwatch.train.heads.head_bundle import HeadOrder, starts_from_lessons, train_heads

    filters = {key: value for key, value in asked.items() if key not in _ORDER}
    if not from_log and any(value not in {None, False, ()} for value in filters.values()):
        raise click.UsageError("filters go with --from-log")
    directory = out or Path("heads-from-log" if dataset is None else f"heads-{real_path(dataset).stem}")
    made = HeadOrder(
        backbone=backbone or default_directory(),
        out=directory,
        name=name or directory.name,
        **{key: asked[key] for key in _ORDER},
    )
    reviewed, starts = None, starts_from_lessons(made)
    if from_log:
        config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
        frames, reviewed = _with_reviewed(config, dataset, filters, need_all=not starts and not made.drawn_per_category)
    elif dataset is not None:
        frames = (
            [each for each in open_dataset(dataset) if not each.near_duplicate] if starts else labelled_frames(dataset)
        )
        if not frames:
            raise DatasetError(
                f"{path_to_text(dataset)} holds no frames: expected some in a folder named after a category"
            )
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
    config: Config, dataset: Path | None, filters: dict[str, Any], *, need_all: bool
) -> tuple[list[LabelledFrame], FromLog]:
    """Return the frames to learn from and judge by: reviewed ones of the ledger, and the dataset's."""
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
    if need_all:
        check_categories(frames)
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
    """Return whether some fold had no source, or fewer frames judged than ten of each category."""
    from emwatch.train.heads.calibration import FOLDS

    metrics = bundle.card["metrics"]
    return bool(metrics["sources"] < FOLDS or metrics["frames"] < 10 * len(CATEGORIES))


def _rows(bundle: Bundle) -> list[tuple[str, str]]:
    training, metrics = bundle.card["training"], bundle.card["metrics"]
    figures = metrics["without_bar"]
    drawn = training["drawn_frames_per_category"]
    own = f", {training['own_frames']:,} of them given now" if "own_frames" in training else ""
    return [
        ("bundle", f"{bundle.directory}, {bundle.sha256[:12]}"),
        ("taught by", f"{training['real_frames']:,} real frames{own}, {drawn:,} drawn ones of each category"),
        (
            "judged by",
            f"cross-validated by source: {counted(metrics['frames'], 'frame')}, {counted(metrics['sources'], 'source')}",
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
        return "n/a: too few sources to set a confidence limit"
    return f"{figures['certain_share']:.1%} of the frames, of these {figures['accuracy_when_certain']:.1%} right"
