"""A bar on stderr that shows how far something long has come, where somebody looks; silent elsewhere and with ``-q``."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from emwatch.cli.display import is_terminal, wants_colour
from emwatch.cli.options import VERBOSITY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a function that is told how many of ``total`` are done."""
    if not is_shown() or total < 2:
        yield lambda done: None  # noqa: ARG005 - the same signature
        return
    from rich.console import Console  # noqa: PLC0415 - only for a terminal
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, no_color=wants_colour() is False), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def transferring(total_bytes: int) -> Iterator[Callable[[str, int], None]]:
    """Give a function that is told what is being fetched, and how many of all bytes are there."""
    if not is_shown():
        yield lambda what, done: None  # noqa: ARG005 - the same signature
        return
    from rich.console import Console  # noqa: PLC0415 - only for a terminal
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, no_color=wants_colour() is False), transient=True) as bar:
        task = bar.add_task("fetching", total=total_bytes)
        yield lambda what, done: bar.update(task, description=what, completed=done)


def is_shown() -> bool:
    """Tell whether progress is to be shown."""
    return is_terminal(sys.stderr) and click.get_current_context().meta.get(VERBOSITY, 0) >= 0
