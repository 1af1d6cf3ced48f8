"""``emwatch log``: ask the ledger what was recorded."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.exits import Exit
from emwatch.cli.frame_filters import filter_of, frame_filters
from emwatch.cli.options import (
    AnyPath,
    asked_ledger,
    asked_ledger_option,
    config_option,
    json_option,
    logging_options,
)
from emwatch.cli.output_file import refuse_watched_output
from emwatch.cli.parameter_types import Whole
from emwatch.cli.terminal.display import counted, is_terminal
from emwatch.cli.terminal.log_rows import print_fields, print_rows
from emwatch.frame import FrameState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from emwatch.ledger.query import LedgerReader, LogFilter

#: Rows shown on a terminal unless --limit says otherwise; anything else gets all of them.
SCREENFUL = 50
#: So many known names of a kind are told to who asks for another one.
_NAMED = 10


@click.command(short_help="List recorded frames.")
@frame_filters
@click.option("--failed", is_flag=True, help="Show only files that could not be read.")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also show files that are not frames, and those that watch.catch_up: new left out.",
)
@click.option("--limit", metavar="N", type=Whole(min=0), help="Show at most N rows; 0: all.")
@click.option("--oldest-first", is_flag=True, help="Show the oldest first.")
@asked_ledger_option
@config_option
@json_option
@click.option("--ndjson", is_flag=True, help="Print one JSON object per line.")
@click.option("--csv", is_flag=True, help="Print comma-separated values with a header.")
@click.option("--tsv", is_flag=True, help="Print tab-separated values with a header.")
@click.option("--parquet", metavar="FILE", type=AnyPath(), help="Write a Parquet file; needs emwatch[parquet].")
@click.option("--fields", metavar="NAMES", help="Only these fields, comma-separated, as they are called in --json.")
@click.option("--sort", metavar="NAMES", help="Sort by these fields, comma-separated; -NAME: the greatest first.")
@click.option("--count", is_flag=True, help="Print only the number of rows.")
@logging_options
def log(config_file: Path | None, ledger: Path | str | None, **asked: Any) -> None:
    """
    List recorded frames; a frame is shown if it meets all filters.

    Without filters: every frame recorded or failed, the newest first. Times are local, with their offset in --json,
    --ndjson and --csv. On a terminal the table ends after 50 rows unless --limit says otherwise; a pipe gets them all.
    The exit code is 3 if nothing is found; --count prints 0 and exits with 0.

    For example:

    \b
      emwatch log --category Nanowires --magnification 20k.. --since today
      emwatch log --hits --session last --csv > hits.csv
    """  # noqa: D301 - click reads the backspace: it keeps the lines below as they are
    formats = [
        name
        for name in ("json", "ndjson", "csv", "tsv", "parquet", "count")
        if asked["as_json" if name == "json" else name]
    ]
    _refuse_both(formats)
    _refuse_both([name for name in ("failed", "all") if asked["everything" if name == "all" else name]])
    wanted = _filter(**asked)
    names = _fields(asked["fields"], formats)
    config, place = asked_ledger(config_file, ledger)
    if asked["parquet"]:
        refuse_watched_output(config, asked["parquet"], "--parquet")
    from emwatch.ledger.query import LedgerReader

    with LedgerReader(place) as reader:
        if "count" in formats:
            click.echo(reader.count(wanted))
            return
        shape = formats[0] if formats else "table"
        if shape == "table" and not names:
            found = _print_table(reader, wanted, limited=asked["limit"] is not None)
        else:
            found = print_fields(reader, wanted, names, shape, asked["parquet"])
        if not found:
            for hint in _hints(reader, asked, [each.name for each in config.targets]):
                click.echo(hint, err=True)
    if not found:
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)


def _refuse_both(names: list[str]) -> None:
    if len(names) > 1:
        raise click.UsageError(f"--{names[0]} and --{names[1]} exclude each other")


def _hints(reader: LedgerReader, asked: Mapping[str, Any], configured: list[str]) -> Iterator[str]:
    """Yield a hint for each filter that no frame at all meets: no such session, target, instrument, and so on."""
    from emwatch.ledger.filters import LogFilter

    session, target, path = asked["session"], asked["target"], asked["path"]
    if session not in (None, "last"):
        sessions = reader.sessions()
        if all(session not in (each.name, str(each.id)) for each in sessions):
            last = "; ".join(f"{each.id} = {each.name} ({counted(each.frames, 'frame')})" for each in sessions[:5])
            yield f"there is no session {session!r}; {f'the last are {last}' if last else 'there is none at all'}"
    if target is not None and target not in configured and target not in (met := reader.targets()):
        names = ", ".join(repr(name) for name in dict.fromkeys([*met, *configured]))
        yield f"there is no target {target!r}; {f'known are {names}' if names else 'there is none at all'}"
    for name in ("instrument", "operator", "sample", "detector"):
        if (glob := asked[name]) is not None:
            known = [str(each.keys[0]) for each in reader.stats(LogFilter(), (name,)) if each.keys[0] is not None]
            if not any(fnmatchcase(each.lower(), glob.lower()) for each in known):
                first = ", ".join(repr(each) for each in known[:_NAMED]) + ", ..." * (len(known) > _NAMED)
                yield f"no frame has the {name} {glob!r}; {f'known are {first}' if known else 'it is known of none'}"
    if path is not None and not set(path) & set("*?["):
        yield f"--path {path!r} means exactly this name; a part of names: --path '*{path}*'"


def _filter(**asked: Any) -> LogFilter:
    states: tuple[FrameState, ...] = (FrameState.RECORDED, FrameState.FAILED)
    if asked["failed"] or asked["everything"]:
        states = (FrameState.FAILED,) if asked["failed"] else tuple(FrameState)
    limit, newest_first = asked["limit"] or None, not asked["oldest_first"]
    return replace(filter_of(asked, states), limit=limit, newest_first=newest_first, sort=_sort(asked["sort"]))


def _sort(text: str | None) -> tuple[str, ...]:
    from emwatch.ledger.choosing import SORTABLE

    names = tuple(name.strip() for name in text.split(",")) if text else ()
    if unknown := [name for name in names if name.removeprefix("-") not in SORTABLE]:
        raise click.BadParameter(f"{', '.join(unknown)}: sort by {', '.join(SORTABLE)}", param_hint="'--sort'")
    return names


def _fields(text: str | None, formats: list[str]) -> list[str]:
    """Return the fields that are asked for, none: all."""
    from emwatch.ledger.log_row import LogRow

    known = [each.name for each in dataclasses.fields(LogRow)]
    names = [name.strip() for name in text.split(",")] if text else []
    if unknown := [name for name in names if name not in known]:
        raise click.BadParameter(f"{', '.join(unknown)}: there are {', '.join(known)}", param_hint="'--fields'")
    if names and "count" in formats:
        raise click.UsageError("--fields and --count exclude each other")
    return names


def _print_table(reader: LedgerReader, wanted: LogFilter, *, limited: bool) -> int:
    """Print the rows for people, on a terminal a screenful. Returns their number."""
    screenful = is_terminal(sys.stdout) and not limited
    found = print_rows(reader.rows(replace(wanted, limit=SCREENFUL) if screenful else wanted))
    if not found:
        click.echo("nothing found", err=True)
    elif screenful and found == SCREENFUL and (total := reader.count(wanted)) > SCREENFUL:
        click.echo(f"{SCREENFUL} of {total:,} rows; --limit N shows more, --limit 0 all", err=True)
    return found
