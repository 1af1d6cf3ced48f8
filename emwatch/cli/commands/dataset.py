"""``emwatch dataset``: labelled frames, before a model learns from them."""

from __future__ import annotations

from typing import Final

import click

from emwatch.cli.lazy import Entry, LazyGroup

COMMANDS: Final = {
    "describe": Entry(
        "emwatch.cli.commands.dataset_describe", "describe", "Show what a dataset holds and what is wrong with it."
    ),
    "split": Entry(
        "emwatch.cli.commands.dataset_split", "split", "Split a dataset into training, validation and test."
    ),
    "fetch": Entry("emwatch.cli.commands.dataset_fetch", "fetch", "Download the public set of labelled frames."),
}


@click.group(cls=LazyGroup, table=COMMANDS, short_help="Describe, split and download labelled frames.")
def dataset() -> None:
    """
    Describe, split and download labelled frames.

    A DATASET is a folder with one folder per category, a folder with a table labels.tsv, or a table itself,
    such as the manifest that "emwatch dataset split" writes. Nothing in it is ever changed.
    """
