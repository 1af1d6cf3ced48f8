"""``emwatch meta``: what the microscope says about frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from emwatch.classify.scale_doubt import contradiction, doubted_at, field_width_um
from emwatch.cli.commands.bars import DataBars, with_bar
from emwatch.cli.exits import Exit
from emwatch.cli.options import AnyPath, config_option, json_option, load_config, logging_options
from emwatch.cli.terminal.display import print_json, printable, wants_colour
from emwatch.cli.terminal.explain import (
    explained,
    print_explanation,
    print_flags,
    print_values,
    recognised_by,
)
from emwatch.cli.terminal.frames import Tally, failure_document, gather, is_single, metadata_document, read_all
from emwatch.errors import FrameError

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.frame import FrameReading
    from emwatch.readers.sandbox.frame_sandbox import Sandbox


@click.command(short_help="Show the metadata of frames.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=AnyPath())
@click.option("--raw", is_flag=True, help="Show the original text beside each value.")
@click.option(
    "--explain",
    is_flag=True,
    help="Show every field: its source, how it was computed, why it is missing or not trusted.",
)
@click.option("--csv", is_flag=True, help="Print one row per frame with every field as a column: for whole archives.")
@click.option(
    "--data-bar/--no-data-bar",
    default=None,
    help="Read the data bar in the picture of every frame, or of none; default: if the file lacks values.",
)
@config_option
@json_option
@logging_options
def meta(
    files: tuple[Path, ...],
    raw: bool,
    explain: bool,
    csv: bool,
    data_bar: bool | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """
    Show the metadata of frames: magnification, tilt, detector and the rest, with units.

    Each value is shown with its source; "computed" marks one that the file does not state itself. A directory means all
    frames below it. With --json, one FILE gives an object, anything else a list; --json always holds the original text.
    Categories that are hardly ever imaged at the frame's field width are named (model.doubt_by_scale), and a field width
    that contradicts the pixel size is reported.

    If the file lacks values and the extra "ocr" is installed, they are read from the data bar in the picture, which
    takes about a second per frame. A value of the file is never replaced; a bar that differs from it raises a flag.
    """
    if csv and (as_json or raw or explain):
        raise click.UsageError("--csv cannot be combined with --json, --raw or --explain")
    from emwatch.readers.sandbox.frame_sandbox import Sandbox
    from emwatch.readers.sandbox.limits import bar_limits, reading_limits

    config = load_config(config_file, one_shot=True)
    scale = config.model.doubt_by_scale
    # An explanation sets bar and file side by side.
    every = explain or bool(data_bar)
    with Sandbox(limits=reading_limits(config)) as sandbox, DataBars(data_bar, bar_limits(config), every=every) as bars:
        if csv:
            from emwatch.cli.commands.archive import write_archive

            found, failed = write_archive(files, sandbox, bars)
        else:
            documents, failed = _print_all(files, sandbox, bars, raw=raw, explain=explain, scale=scale, as_json=as_json)
            found = len(documents)
            if as_json:
                print_json(documents[0] if is_single(files) else documents)
        bars.tell()
    if failed:
        raise click.exceptions.Exit(Exit.SOME_FAILED)
    if not found:
        click.echo("no frames here", err=True)
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)


def _print_all(
    files: tuple[Path, ...], sandbox: Sandbox, bars: DataBars, *, raw: bool, explain: bool, scale: bool, as_json: bool
) -> tuple[list[dict[str, Any]], int]:
    """Print each frame as it is read, or keep its document for JSON. Returns the documents and how many files failed."""
    asked = gather(files)
    tally = Tally(len(asked))
    documents: list[dict[str, Any]] = []
    for each, result in read_all(sandbox, asked, pixels=False):
        tally.next(each)
        if isinstance(result, FrameError):
            if not tally.passes_over(each, result):
                documents.append(failure_document(each.path, result))
            continue
        bar = bars.read(result)
        unread = bars.why_not(result.metadata)
        reading = with_bar(result, bar)
        doubted = _doubts_by_scale(reading) if scale else {}
        documents.append({**metadata_document(reading), **doubted})
        if as_json:
            documents[-1] |= {"explained": explained(reading, bar, unread)} if explain else {}
            continue
        tally.clear()
        _heading(reading)
        if explain:
            click.echo(printable(recognised_by(result.metadata)))
            print_explanation(reading, bar, unread)
            print_flags(reading.metadata)
        else:
            print_values(reading.metadata, raw=raw)
        _tell_doubts(doubted)
        click.echo()
    tally.clear()
    return documents, tally.failed


def _doubts_by_scale(reading: FrameReading) -> dict[str, Any]:
    """Return the categories that are uncertain at the frame's field width, and why a width raises no doubt."""
    width_um = field_width_um(reading.metadata, reading.width)
    return {
        "doubted_by_scale": list(doubted_at(width_um)),
        "scale_contradiction": contradiction(reading.metadata, reading.width),
    }


def _tell_doubts(doubted: dict[str, Any]) -> None:
    if told := doubted.get("scale_contradiction"):
        click.secho(f"! {printable(told)}", fg="yellow", color=wants_colour())
    if names := doubted.get("doubted_by_scale"):
        click.echo(f"Hardly ever imaged at this field width, so uncertain if named: {', '.join(names)}")


def _heading(reading: FrameReading) -> None:
    click.secho(printable(reading.path), bold=True, color=wants_colour())
    pages = f", {reading.pages} pages" if reading.pages > 1 else ""
    click.echo(
        f"{printable(reading.metadata.vendor or 'maker unknown')}: {reading.image_format}, "
        f"{reading.width} x {reading.height}, {reading.pixel_type}{pages}"
    )
