"""Progress bars on stderr for long tasks; only on a terminal, and not with ``-q``."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from emwatch.cli.options import VERBOSITY
from emwatch.cli.terminal.display import is_terminal, printable, wants_colour

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress, ProgressColumn


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the number of things done, out of ``total``."""
    if not is_shown() or total < 2:
        yield lambda done: None  # noqa: ARG005 - the same signature
        return
    with counting_bar() as bar:
        task = bar.add_task(printable(what), total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def naming(total: Callable[[], int]) -> Iterator[Callable[[str], None]]:
    """Yield a function to call with each thing's name before it is worked on; ``total`` counts them and may be slow."""
    if not is_shown():
        yield lambda name: None  # noqa: ARG005 - the same signature
        return
    with counting_bar() as bar:
        task = bar.add_task("counting", total=None)
        bar.update(task, total=total())
        yield lambda name: bar.update(task, advance=1, description=printable(name))


@contextmanager
def transferring(total_bytes: int) -> Iterator[Callable[[str, int], None]]:
    """Yield a function to call with the name of a download and the number of bytes received of the whole."""
    if not is_shown():
        yield lambda what, done: None  # noqa: ARG005 - the same signature
        return
    from rich.progress import DownloadColumn, TransferSpeedColumn

    with _bar(DownloadColumn(), TransferSpeedColumn()) as bar:
        task = bar.add_task("fetching", total=total_bytes)
        yield lambda what, done: bar.update(task, description=printable(what), completed=done)


def counting_bar(*, pace_over_s: float = 30.0) -> Progress:
    """Return a counting bar; it estimates the time left by the pace of the last ``pace_over_s`` seconds."""
    from rich.progress import MofNCompleteColumn

    return _bar(MofNCompleteColumn(), pace_over_s=pace_over_s)


def _bar(*numbers: ProgressColumn, pace_over_s: float = 30.0) -> Progress:
    """Return a bar on stderr; descriptions are plain text, never markup: they may be file names."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), *numbers, TimeRemainingColumn())
    console = Console(stderr=True, no_color=wants_colour() is False, highlight=False)
    return Progress(*columns, console=console, transient=True, speed_estimate_period=pace_over_s)


def is_shown() -> bool:
    """Return whether progress is shown."""
    return is_terminal(sys.stderr) and click.get_current_context().meta.get(VERBOSITY, 0) >= 0
