"""``emwatch train original``: the recipe that emwatch is measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.options import AnyPath, json_option, logging_options
from emwatch.cli.terminal.train_progress import TrainingProgress
from emwatch.cli.train_options import run_options, tell, told

if TYPE_CHECKING:
    from pathlib import Path


@click.command(short_help="Train with the original recipe, as a reference.")
@click.argument("dataset", type=AnyPath())
@click.option(
    "--network",
    type=click.Choice(["xception", "simple-cnn"]),
    default="xception",
    show_default=True,
    help="Xception from ImageNet, or the small network of the comparison.",
)
@click.option(
    "--epochs", metavar="N", type=click.IntRange(min=1), default=20, show_default=True, help="Total number of epochs."
)
@click.option(
    "--warm-up",
    metavar="N",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Number of epochs in which only the softmax is trained.",
)
@click.option(
    "--batch", metavar="N", type=click.IntRange(min=1), default=16, show_default=True, help="Frames per batch."
)
@click.option("--antialias", is_flag=True, help="Resize with antialiasing; the original did not.")
@run_options
@json_option
@logging_options
def original(dataset: Path, as_json: bool, **options: Any) -> None:
    """
    Train with the original recipe, as a reference.

    Xception from ImageNet at 170x170, whole frames squashed by nearest neighbour with their data bar, small rotations,
    shifts and zooms; RMSprop at 0.001 for a warm-up of the softmax, then with block 14 at 0.0001; the epoch of the least
    validation loss is kept. DATASET has a folder for each category, or is a labels table or a manifest with parts.

    If it is interrupted, the same command continues. Needs the extra "train" (pip install 'emwatch[train]').
    """
    from emwatch.train.network.original import OriginalOrder, train_original

    with TrainingProgress() as progress:
        report = train_original(OriginalOrder(dataset=dataset, **told(options, dataset, "original")), progress)
    tell(report, as_json=as_json)
