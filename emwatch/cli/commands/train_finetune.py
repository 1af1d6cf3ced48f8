"""``emwatch train finetune``: the network's last blocks, for facilities with many labelled frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.options import AnyPath, json_option, logging_options
from emwatch.cli.parameter_types import Number
from emwatch.cli.terminal.train_progress import TrainingProgress
from emwatch.cli.train_options import run_options, tell, told

if TYPE_CHECKING:
    from pathlib import Path


@click.command(short_help="Fine-tune the network's last blocks.")
@click.argument("dataset", type=AnyPath())
@click.option(
    "--epochs", metavar="N", type=click.IntRange(min=1), default=20, show_default=True, help="Maximum number of epochs."
)
@click.option(
    "--batch", metavar="N", type=click.IntRange(min=1), default=16, show_default=True, help="Frames per batch."
)
@click.option(
    "--from-block",
    metavar="N",
    type=click.IntRange(1, 15),
    default=13,
    show_default=True,
    help="The first of Xception's 14 blocks that is trained; 15: only the softmax.",
)
@click.option(
    "--learning-rate",
    metavar="RATE",
    type=Number(min=0, min_open=True),
    default=1e-4,
    show_default=True,
    help="Peak learning rate, at the softmax.",
)
@click.option(
    "--block-decay",
    metavar="F",
    type=Number(0, 1, min_open=True),
    default=0.7,
    show_default=True,
    help="Factor of the learning rate from one block to the one below it.",
)
@click.option(
    "--label-smoothing",
    metavar="P",
    type=Number(0, 0.5),
    default=0.1,
    show_default=True,
    help="Label smoothing: this part of each label is spread over all categories.",
)
@click.option(
    "--patience",
    metavar="N",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Stop after this many epochs without a better validation loss.",
)
@click.option(
    "--drawn",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Also train on this many drawn frames per category.",
)
@click.option(
    "--weight-type",
    type=click.Choice(["pointwise-int8", "integer", "float16", "float32", "dynamic-range"]),
    default="pointwise-int8",
    show_default=True,
    help="Arithmetic of the bundle's backbone; integer: ranges are set with real frames.",
)
@run_options
@json_option
@logging_options
def finetune(dataset: Path, as_json: bool, **options: Any) -> None:
    """
    Fine-tune the network's last blocks on DATASET, and export a bundle.

    First the softmax is fitted by regression, then the last blocks are trained with it: cosine schedule with warm-up,
    lower rates for deeper blocks, batch normalisation fixed, rare categories weighted up, label smoothing, frames turned
    and mirrored, data bars cut or redrawn. It stops early by the validation part, whose sources are not in training.
    If nothing is better than the regression, that is the result. Useful with thousands of labelled frames.

    If it is interrupted, the same command continues. Needs the extra "train" (pip install 'emwatch[train]').
    """
    from emwatch.train.network.finetune import FinetuneOrder
    from emwatch.train.network.finetune import finetune as tune

    with TrainingProgress() as progress:
        report = tune(FinetuneOrder(dataset=dataset, **told(options, dataset, "finetune")), progress)
    tell(report, as_json=as_json)
