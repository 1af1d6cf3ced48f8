"""``emwatch sql``: ask the ledger in SQL, without being able to change it."""

from __future__ import annotations

import csv
import sys
from itertools import count
from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.exits import Exit
from emwatch.cli.options import (
    asked_ledger_option,
    asked_server,
    config_option,
    json_option,
    load_config,
    logging_options,
)
from emwatch.cli.parameter_types import Number, Words, spelled
from emwatch.cli.terminal.display import Column, csv_cell, print_json_list, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    #: Names of columns, and rows.
    Answers = AbstractContextManager[tuple[list[str], Iterator[tuple[Any, ...]]]]

_MOST_IN_A_TABLE = 1000


@click.command(short_help="Ask the ledger in SQL, read-only.")
@click.argument("question", type=Words())
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values with a header.")
@click.option(
    "--seconds",
    metavar="S",
    type=Number(0, 86_400),
    default=60.0,
    show_default=True,
    help="Give up after so many seconds; 0: never.",
)
@asked_ledger_option
@config_option
@json_option
@logging_options
def sql(
    question: str, as_csv: bool, seconds: float, ledger: Path | str | None, config_file: Path | None, *, as_json: bool
) -> None:
    """
    Ask the ledger in SQL. QUESTION is one SELECT; "-" reads it from stdin.

    The views v_log, v_hits and v_sessions hold what people ask for most, "emwatch docs ledger" explains all tables.
    The database itself, SQLite or the PostgreSQL of a server, refuses what would write, and its SQL is asked. Times are
    text in UTC. The exit code is 3 if there is no row.

    For example:

    \b
      emwatch sql "SELECT category, count(*) FROM v_log GROUP BY 1 ORDER BY 2 DESC"
    """  # noqa: D301 - click reads the backspace: it keeps the lines below as they are
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other")
    if question == "-":
        question = spelled(sys.stdin.buffer.read().decode("utf-8", "surrogateescape"))
    with _asked(ledger, config_file, question, seconds or None) as (names, rows):
        found = _print(names, rows, "csv" if as_csv else "json" if as_json else "table")
    if not found:
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)


def _asked(ledger: Path | str | None, config_file: Path | None, question: str, seconds: float | None) -> Answers:
    if isinstance(ledger, str):
        _, server = asked_server(config_file, ledger)
        from emwatch.ledger.server import asking

        return asking.answers(server, question, seconds)
    from emwatch.ledger.asking import answers

    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)  # without SQLAlchemy, which takes longer
    return answers(config.ledger.path, question, seconds)


def _print(names: Sequence[str], rows: Iterator[tuple[Any, ...]], shape: str) -> int:
    """Print the rows as they come; a table all at once. Returns their number."""
    found = 0
    if shape == "json":
        keys = _distinct(names)
        found = print_json_list(dict(zip(keys, map(_plain, row), strict=True)) for row in rows)
    elif shape == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        for found, row in enumerate(rows, start=1):  # noqa: B007 - counted on the way
            writer.writerow([csv_cell(_plain(cell)) for cell in row])
    else:
        found = _print_table(names, rows)
    return found


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names of columns, each once: an object of JSON has one value for each, and two tables share names like ``id``."""
    found: list[str] = []
    for name in names:
        others = (f"{name}_{number}" for number in count(2))
        found.append(
            name if name not in found else next(each for each in others if each not in found and each not in names)
        )
    return found


def _print_table(names: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> int:
    shown = [
        ["" if cell is None else str(_plain(cell)) for cell in row]
        for row, _ in zip(rows, range(_MOST_IN_A_TABLE), strict=False)
    ]
    if shown:
        print_table([Column(name) for name in names], shown)
    else:
        click.echo("nothing found", err=True)
    if next(rows, None) is not None:
        click.echo(f"only the first {_MOST_IN_A_TABLE:,} rows; --csv and --json have all", err=True)
    return len(shown)


def _plain(cell: Any) -> Any:
    """Return what JSON can hold: bytes as hexadecimal digits, and infinities, which SQLite makes of 9e999, as text."""
    if isinstance(cell, bytes):
        return cell.hex()
    return str(cell) if isinstance(cell, float) and cell - cell != 0 else cell
