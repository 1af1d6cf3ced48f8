"""``emwatch stats``: how many frames by day, category, session and more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.exits import Exit
from emwatch.cli.frame_filters import filter_of, frame_filters
from emwatch.cli.options import (
    asked_ledger,
    asked_ledger_option,
    config_option,
    json_option,
    logging_options,
)
from emwatch.cli.terminal.display import Column, category_text, is_narrow, print_json, print_table
from emwatch.frame import FrameState

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.ledger.stats import Counted

_NUMBERS: Final = (
    Column("Frames", align="right"),
    Column("Hits", align="right"),
    Column("Uncertain", align="right", spare=2),
    Column("Failed", align="right", spare=1),
    Column("Mean prob.", align="right", spare=3),
)


@click.command(short_help="Count frames by day, category, session and more.")
@click.option(
    "--by",
    metavar="NAMES",
    default="category",
    show_default=True,
    help="Count by these, comma-separated: month, day, weekday, hour, category, state, uncertain, session, instrument, "
    "operator, sample, detector, vendor.",
)
@frame_filters
@asked_ledger_option
@config_option
@json_option
@logging_options
def stats(by: str, ledger: Path | str | None, config_file: Path | None, *, as_json: bool, **asked: Any) -> None:
    """
    Count the frames that meet all filters by day, category, session and more.

    Days and hours are those of this machine's clock. The exit code is 3 if nothing is found.

    For example:

    \b
      emwatch stats --by day,category --since 7d
      emwatch stats --by operator,instrument --day 2026-11-01..30
    """  # noqa: D301 - click reads the backspace: it keeps the lines below as they are
    from emwatch.ledger.query import LedgerReader
    from emwatch.ledger.stats import GROUPS

    names = tuple(dict.fromkeys(name.strip() for name in by.split(",") if name.strip()))
    if unknown := [name for name in names if name not in GROUPS]:
        raise click.BadParameter(f"{', '.join(unknown)}: count by {', '.join(GROUPS)}", param_hint="'--by'")
    if not names:
        raise click.BadParameter(f"is empty: count by {', '.join(GROUPS)}", param_hint="'--by'")
    wanted = replace(filter_of(asked), states=(FrameState.RECORDED, FrameState.FAILED))
    _, place = asked_ledger(config_file, ledger)
    with LedgerReader(place) as reader:
        rows = reader.stats(wanted, names)
    if as_json:
        print_json([_document(names, row) for row in rows])
    elif rows:
        columns = (*(Column(name.capitalize()) for name in names), *_NUMBERS)
        print_table(columns, [_cells(names, row, narrow=is_narrow()) for row in rows])
    else:
        click.echo("nothing found", err=True)
    if not rows:
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)


def _document(names: tuple[str, ...], row: Counted) -> dict[str, Any]:
    return {
        **dict(zip(names, row.keys, strict=True)),
        "frames": row.frames,
        "hits": row.hits,
        "uncertain": row.uncertain,
        "failed": row.failed,
        "mean_probability": row.probability,
    }


def _cells(names: tuple[str, ...], row: Counted, *, narrow: bool) -> tuple[str, ...]:
    keys = zip(names, (key or "-" for key in row.keys), strict=True)
    numbers = (row.frames, row.hits, row.uncertain, row.failed)
    mean = "" if row.probability is None else f"{row.probability:.2f}"
    said = (category_text(key, narrow=narrow) if name == "category" else key for name, key in keys)
    return (*said, *(f"{number:,}" for number in numbers), mean)
