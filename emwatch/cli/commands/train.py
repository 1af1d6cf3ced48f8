"""``emwatch train``: learn from labelled frames. Each way of learning is its own command."""

from __future__ import annotations

from typing import Final

import click

from emwatch.cli.lazy import Entry, LazyGroup

#: One line for each way of learning; its module is imported only when it is used.
COMMANDS: Final[dict[str, Entry]] = {
    "heads": Entry(
        "emwatch.cli.commands.train_heads",
        "heads",
        "Train a new head on the existing backbone: seconds, no TensorFlow.",
    ),
    "original": Entry(
        "emwatch.cli.commands.train_original", "original", "Train with the original recipe, as a reference."
    ),
    "finetune": Entry("emwatch.cli.commands.train_finetune", "finetune", "Fine-tune the network's last blocks."),
}


@click.group(cls=LazyGroup, table=COMMANDS, short_help="Train a model on labelled frames.")
def train() -> None:
    """
    Train a model on labelled frames, and write it as a bundle.

    The frames are in one folder per category, or in any folders that a labels table names.
    """
