"""``emwatch plot``: how recorded frames are distributed."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.exits import Exit
from emwatch.cli.frame_filters import filter_of, frame_filters
from emwatch.cli.options import AnyPath, asked_ledger, asked_ledger_option, config_option, logging_options
from emwatch.cli.output_file import check_output, format_of, write_output
from emwatch.cli.parameter_types import Whole
from emwatch.cli.terminal.bars import print_bars
from emwatch.cli.terminal.display import counted
from emwatch.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_KINDS: Final = ("categories", "confidence", "magnification", "latency")
#: A terminal has 24 lines; some are the shell's.
_BARS_ON_A_TERMINAL: Final = 18
_BARS_IN_A_PICTURE: Final = 60


@click.command(short_help="Plot categories, confidence, magnification and latency.")
@click.argument("kind", type=click.Choice(_KINDS), default="categories")
@frame_filters
@click.option("--limit", metavar="N", type=Whole(min=1), help="At most N frames, the newest.")
@click.option("--out", metavar="FILE", type=AnyPath(), help="Write a .png or .svg file; needs emwatch[report].")
@asked_ledger_option
@config_option
@logging_options
def plot(kind: str, config_file: Path | None, ledger: Path | str | None, out: Path | None, **asked: Any) -> None:
    """
    Plot how recorded frames are distributed, on the terminal or into a file; a frame counts if it meets all filters.

    KIND is categories (over time), confidence, magnification or latency (from the file's last change to its row in the
    ledger). The exit code is 3 if nothing is found.

    For example:

    \b
      emwatch plot --session last
      emwatch plot magnification --category Nanowires --out wires.svg
    """  # noqa: D301 - click reads the backspace: it keeps the lines below as they are
    shape = "" if out is None else format_of(out, ("png", "svg"))
    wanted = replace(filter_of(asked), limit=asked["limit"])
    config, place = asked_ledger(config_file, ledger)
    if out is not None:
        check_output(config, out)
    if shape and importlib.util.find_spec("matplotlib") is None:
        raise ConfigError("--out needs matplotlib: pip install 'emwatch[report]', or go without --out")
    from emwatch.ledger.query import LedgerReader
    from emwatch.report import distributions

    with LedgerReader(place) as reader:
        most = _BARS_IN_A_PICTURE if shape else _BARS_ON_A_TERMINAL
        asked_for = distributions.KINDS[kind]
        shown = asked_for.distribution(reader.stored(wanted, asked_for.columns), most)
    if not shown.bars or not shown.parts:
        unknown = (
            f"the {kind} of {counted(shown.left_out, 'frame')} is not known" if shown.left_out else "nothing found"
        )
        click.echo(unknown, err=True)
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)
    if out is not None:
        write_output(out, distributions.picture(shown, shape))
    else:
        click.echo(f"{shown.title} ({shown.axis})")
        print_bars(shown.bars, shown.parts, distributions.COLOURS)
    if shown.left_out:
        click.echo(f"left out, not known: {counted(shown.left_out, 'frame')}", err=True)
