"""``emwatch map``: where on the stage frames were taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.exits import Exit
from emwatch.cli.frame_filters import filter_of, frame_filters
from emwatch.cli.options import AnyPath, asked_ledger, asked_ledger_option, config_option, logging_options
from emwatch.cli.output_file import check_output, format_of, write_output
from emwatch.cli.parameter_types import Whole
from emwatch.cli.terminal.display import counted
from emwatch.cli.thumbnails import thumbnails

if TYPE_CHECKING:
    from emwatch.report.stage_map import StageMap

_FORMATS: Final = ("html", "svg")
_THUMBNAIL_PX: Final = 192


@click.command("map", short_help="Draw where on the stage frames were taken.")
@frame_filters
@click.option("--limit", metavar="N", type=Whole(min=1), help="At most N frames, the newest.")
@click.option(
    "--out", metavar="FILE", type=AnyPath(), default=Path("stage-map.html"), show_default=True, help=".html or .svg."
)
@click.option("--on-sample", is_flag=True, help="Turn frames back by the stage rotation about x = y = 0.")
@click.option(
    "--thumbnails",
    metavar="N",
    type=click.IntRange(0, 5000),
    default=300,
    show_default=True,
    help="Pictures in the HTML page for at most N frames: hits first, then the newest.",
)
@asked_ledger_option
@config_option
@logging_options
def stage_map(config_file: Path | None, ledger: Path | str | None, out: Path, **asked: Any) -> None:
    """
    Draw the stage with each frame's field of view to scale; a frame is drawn if it meets all filters.

    The .html page has pan, zoom, and the details of a frame under the mouse; it needs no network. Frames that met a
    target are marked. The exit code is 3 if no frame with a stage position is found.

    For example:

    \b
      emwatch map --session last
      emwatch map --hits --since yesterday --out hits.svg
    """  # noqa: D301 - click reads the backspace: it keeps the lines below as they are
    shape = format_of(out, _FORMATS)
    wanted = replace(filter_of(asked), limit=asked["limit"])
    config, place = asked_ledger(config_file, ledger)
    check_output(config, out)
    from emwatch.ledger.query import LedgerReader
    from emwatch.report import stage_map as drawing

    with LedgerReader(place) as reader:
        positions = reader.positions(wanted)
    chart = drawing.stage_map(positions, on_sample=asked["on_sample"])
    if not chart.placed:
        click.echo(
            "nothing found" if not positions else f"no stage position: {counted(len(positions), 'frame')}", err=True
        )
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)
    title = f"Stage map: {asked['session']}" if asked["session"] not in {None, "last"} else "Stage map"
    if shape == "svg":
        write_output(out, drawing.svg(chart, title))
    else:
        write_output(out, drawing.page(chart, title, _thumbnails(chart, asked["thumbnails"])))
    click.echo(f"{counted(len(chart.placed), 'frame')}, {counted(chart.hits, 'hit')}")
    for note in chart.notes:
        click.echo(note, err=True)


def _thumbnails(chart: StageMap, most: int) -> dict[int, bytes]:
    """Return pictures of the most interesting frames by number."""
    # By time: on a server, numbers are in order within a ledger only.
    rank = lambda each: (bool(each.targets), each.recorded_at, each.frame_id)  # noqa: E731 - one line says it
    chosen = sorted((each for each, _ in chart.placed), key=rank, reverse=True)[:most]
    return thumbnails(chosen, _THUMBNAIL_PX)
