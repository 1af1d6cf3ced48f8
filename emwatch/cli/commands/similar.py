"""``emwatch similar``: the frames of the log that look most like one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from emwatch.cli.commands.target import tell_found
from emwatch.cli.options import config_option, json_option, ledger_option, load_config, logging_options
from emwatch.cli.parameter_types import moment
from emwatch.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path


@click.command(short_help="List the frames of the log that look most alike.")
@click.argument("frame")
@click.option("--since", metavar="WHEN", help="Only frames recorded since: 2h, yesterday, 2026-11-20.")
@click.option("--limit", metavar="N", type=click.IntRange(1, 100_000), default=20, show_default=True, help="At most N.")
@ledger_option
@config_option
@json_option
@logging_options
def similar(
    frame: str, since: str | None, limit: int, ledger: Path | None, config_file: Path | None, as_json: bool
) -> None:
    """
    List the frames of the log that look most like FRAME, a path or number of the log; the most similar first.

    The score is the cosine of the angle between embeddings: 1 for the same picture. No file is opened.
    """
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    from emwatch.teaching.targets import similar as search

    begin = moment(since, SystemClock().now().astimezone(), option="--since")
    tell_found(search(config, frame, since=begin, limit=limit), as_json=as_json)
