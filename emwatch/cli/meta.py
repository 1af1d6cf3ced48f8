"""``emwatch meta``: what the microscope says about frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.display import Column, number_text, print_json, print_table, printable, wants_colour
from emwatch.cli.exits import Exit
from emwatch.cli.frames import Tally, failure_document, gather, is_single, metadata_document, read_ahead
from emwatch.cli.options import json_option, logging_options
from emwatch.errors import FrameError
from emwatch.frame import FIELDS, FieldKind

if TYPE_CHECKING:
    from emwatch.frame import FrameReading, Reading


@click.command(short_help="Show what the microscope says about frames.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--raw", is_flag=True, help="Show the instrument's own text beside each value.")
@json_option
@logging_options
def meta(files: tuple[Path, ...], raw: bool, as_json: bool) -> None:
    """
    Show what the microscope says about frames: magnification, tilt, detector and the rest, with units.

    Each value comes with where it was found; "computed" marks one that the file does not state itself. A directory
    stands for all frames below it. With --json, one FILE gives an object, anything else a list; --json always holds
    the instrument's own text.
    """
    from emwatch.readers.sandbox import Sandbox  # noqa: PLC0415 - numpy only where files are read

    asked = gather(files)
    tally = Tally(len(asked))
    documents: list[dict[str, Any]] = []
    with Sandbox() as sandbox:
        for each, result in read_ahead(sandbox, asked, pixels=False):
            tally.next(each)
            if isinstance(result, FrameError):
                if not tally.passes_over(each, result):
                    documents.append(failure_document(each.path, result))
                continue
            documents.append(metadata_document(result))
            if not as_json:
                tally.clear()
                _show(result, raw=raw)
    tally.clear()
    if as_json:
        print_json(documents[0] if is_single(files) else documents)
    if tally.failed:
        raise click.exceptions.Exit(Exit.SOME_FAILED)
    if not documents:
        click.echo("no frames here", err=True)
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)


def _show(reading: FrameReading, *, raw: bool) -> None:
    metadata = reading.metadata
    click.secho(printable(reading.path), bold=True, color=wants_colour())
    pages = f", {reading.pages} pages" if reading.pages > 1 else ""
    click.echo(
        f"{printable(metadata.vendor or 'maker unknown')}: {reading.image_format}, "
        f"{reading.width} x {reading.height}, {reading.pixel_type}{pages}"
    )
    known = [(name, metadata.readings[name]) for name in FIELDS if name in metadata.readings]
    if known:
        columns = [Column("Field", whole=True), Column("Value", style="bold"), Column("From", style="dim")]
        rows = [[FIELDS[name].title, _value_text(name, each), _source_text(each)] for name, each in known]
        if raw:
            columns.insert(2, Column("As written"))
            for row, (_, each) in zip(rows, known, strict=True):
                row.insert(2, each.raw)
        print_table(columns, rows)
    for flag in metadata.flags:
        click.secho(f"! {printable(flag)}", fg="yellow", color=wants_colour())
    if missing := [field.title for name, field in FIELDS.items() if name not in metadata.readings]:
        click.secho(f"Not stated: {', '.join(missing)}", dim=True, color=wants_colour())
    click.echo()


def _value_text(name: str, reading: Reading) -> str:
    value = reading.value
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number_text(value)
    return value.replace("T", " ") if FIELDS[name].kind is FieldKind.TIME else value


def _source_text(reading: Reading) -> str:
    parts = (reading.source, "computed" if reading.computed else "", reading.reason)
    return "; ".join(part for part in parts if part)
