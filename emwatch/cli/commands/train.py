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
        "Teach a new head on the backbone there is: seconds, no TensorFlow.",
    ),
    "original": Entry(
        "emwatch.cli.commands.train_original", "original", "Train by the original's recipe, to compare with."
    ),
    "finetune": Entry("emwatch.cli.commands.train_finetune", "finetune", "Fine-tune the network's last blocks."),
}


@click.group(cls=LazyGroup, table=COMMANDS, short_help="Teach a model from labelled frames.")
def train() -> None:
    """
    Teach a model from labelled frames, and write it as a bundle.

    The frames lie in a folder for each category, or in any folders that a labels table names.
    """
