"""``emwatch train heads``: a model of one's own in seconds, on the backbone that is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.display import Column, print_json, print_table
from emwatch.cli.model import progress
from emwatch.cli.options import AnyPath, json_option, logging_options

if TYPE_CHECKING:
    from emwatch.classify.bundle import Bundle


@click.command(short_help="Teach a new head on the backbone there is: seconds, no TensorFlow.")
@click.argument("dataset", type=AnyPath())
@click.option(
    "--out", metavar="DIR", type=AnyPath(), help="The bundle's directory; without it, named after the dataset, here."
)
@click.option("--name", metavar="NAME", help="The bundle's name; without it, that of its directory.")
@click.option(
    "--backbone",
    metavar="DIR",
    type=AnyPath(),
    help="The bundle whose backbone is taken; without it, the one that comes with emwatch.",
)
@click.option(
    "--drawn",
    "drawn_per_category",
    default=200,
    show_default=True,
    metavar="N",
    type=click.IntRange(min=0),
    help="Drawn frames of each category to learn from beside the real ones.",
)
@click.option(
    "--compare-float",
    is_flag=True,
    help='Also judge with the unquantised network, for the card. Needs the extra "train" and the kept weights.',
)
@click.option(
    "--seed", default=0, show_default=True, metavar="N", help="The same seed draws and deals the same frames."
)
@click.option(
    "--threads", default=2, show_default=True, metavar="N", type=click.IntRange(min=1), help="Threads to compute with."
)
@json_option
@logging_options
def heads(
    dataset: Path, out: Path | None, name: str | None, backbone: Path | None, as_json: bool, **order: Any
) -> None:
    """
    Teach a new head: ten categories, their calibration, and what is unfamiliar. See [training](training.md).

    The head learns from those frames of DATASET that have an open licence (all, where none is told) and from drawn ones;
    it is judged on all frames, by source: no instrument or folder that taught it judges it. What the network makes of each
    frame is kept (EMWATCH_EMBEDDINGS), so that the next time takes seconds.
    """
    from emwatch.classify.bundle import default_directory  # noqa: PLC0415 - numpy only when a command needs it
    from emwatch.train.dataset import labelled_frames  # noqa: PLC0415 - as above
    from emwatch.train.head_bundle import HeadOrder, train_heads  # noqa: PLC0415 - as above

    directory = out or Path(f"heads-{dataset.resolve().stem}")
    made = HeadOrder(backbone=backbone or default_directory(), out=directory, name=name or directory.name, **order)
    bundle = train_heads(made, labelled_frames(dataset), progress())
    if as_json:
        print_json({"directory": bundle.directory, "sha256": bundle.sha256, "card": dict(bundle.card)})
    else:
        print_table((Column("Fact", whole=True), Column("Value")), _rows(bundle))


def _rows(bundle: Bundle) -> list[tuple[str, str]]:
    training, metrics = bundle.card["training"], bundle.card["metrics"]
    figures = metrics["without_bar"]
    drawn = training["drawn_frames_per_category"]
    return [
        ("bundle", f"{bundle.directory}, {bundle.sha256[:12]}"),
        ("taught by", f"{training['real_frames']:,} real frames, {drawn:,} drawn ones of each category"),
        (
            "judged by",
            f"{metrics['frames']:,} frames of {metrics['sources']:,} sources, none of which taught what judged it",
        ),
        (
            "accuracy",
            f"{figures['accuracy']:.3f}, balanced {figures['balanced_accuracy']:.3f}, top-3 {figures['top_3_accuracy']:.3f}",
        ),
        ("calibration", f"ECE {figures['ece_before']:.3f} before, {figures['ece_after']:.3f} after"),
        (
            "certain",
            f"{figures['certain_share']:.1%} of the frames, of these {figures['accuracy_when_certain']:.1%} right",
        ),
        *((f"recall, {name}", f"{value:.2f}") for name, value in figures["recall"].items()),
        ("use it", f"emwatch model import {bundle.directory}"),
    ]
