"""``emwatch dataset fetch``: the public set of labelled frames."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.options import VERBOSITY, AnyPath, json_option, logging_options
from emwatch.cli.parameter_types import Category
from emwatch.cli.terminal.display import Column, print_json, print_table, printable
from emwatch.cli.terminal.progress import is_shown, transferring
from emwatch.frame import CATEGORIES
from emwatch.train.dataset.repository import PUBLIC_RECORD, PUBLIC_URL

if TYPE_CHECKING:
    from emwatch.train.dataset.fetch import FetchOrder
    from emwatch.train.dataset.repository import RemoteFile


@click.command(short_help="Download the public set of labelled frames.")
@click.option(
    "--out",
    default=Path("nffa-sem"),
    show_default=True,
    metavar="DIR",
    type=AnyPath(),
    help="Write the frames here, one folder per category.",
)
@click.option(
    "--url",
    default=PUBLIC_URL,
    show_default=True,
    metavar="BASE",
    help="The repository, or a mirror of it.",
)
@click.option(
    "--record",
    default=PUBLIC_RECORD,
    show_default=True,
    metavar="ID",
    help="The record of the data set in the repository.",
)
@click.option(
    "--categories",
    multiple=True,
    metavar="NAME",
    type=Category(),
    help="Download only this category; can be repeated.",
)
@json_option
@logging_options
def fetch(out: Path, url: str, record: str, categories: tuple[str, ...], as_json: bool) -> None:
    """
    Download the public set of labelled frames: 21,283 frames of one laboratory, about 12 GB, CC BY (Aversa et al., 2018).

    If it is interrupted, the same command continues; categories that are complete are left as they are. Every archive
    is checked against the repository's checksum before it is unpacked, and removed afterwards. NAME is one of the
    ten categories. A table labels.tsv with the licence and an attribution are written beside the frames.
    """
    from emwatch.train.dataset.fetch import FetchOrder, label, planned

    order = FetchOrder(out, url, record, categories or CATEGORIES)
    plan = planned(order, _wait)
    _fetch_all(order, plan)
    counts = label(order)
    if as_json:
        print_json({"directory": out, "frames": counts.total(), "fetched": list(plan), "categories": dict(counts)})
        return
    rows = [
        [name, f"{counts[name]:,}", "fetched" if name in plan else "was there"] for name in CATEGORIES if counts[name]
    ]
    print_table((Column("Category", whole=True), Column("Frames", align="right"), Column("")), rows)
    click.echo(
        f"{counts.total():,} frames in {printable(out)}; next: emwatch dataset describe {printable(out)}", err=True
    )


def _fetch_all(order: FetchOrder, plan: dict[str, RemoteFile]) -> None:
    from emwatch.train.dataset.fetch import fetch_category

    in_lines = not is_shown() and click.get_current_context().meta.get(VERBOSITY, 0) >= 0
    before = 0
    with transferring(sum(remote.size for remote in plan.values())) as tell:
        for name, remote in plan.items():
            if in_lines:
                click.echo(f"{name}: {remote.size / 1e6:,.0f} MB", err=True)
            fetch_category(order, name, remote, _telling(tell, name, before), _wait)
            before += remote.size


def _telling(tell: Any, name: str, before: int) -> Any:
    return lambda done: tell(name, before + done)


def _wait(seconds: float) -> None:
    if click.get_current_context().meta.get(VERBOSITY, 0) >= 0:
        click.echo(f"no answer; trying again in {seconds:g} s", err=True)
    time.sleep(seconds)
