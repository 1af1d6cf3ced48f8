"""``emwatch sheet``: a contact sheet of recorded frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.exits import Exit
from emwatch.cli.frame_filters import filter_of, frame_filters
from emwatch.cli.options import AnyPath, asked_ledger, asked_ledger_option, config_option, logging_options
from emwatch.cli.output_file import check_output, format_of, write_output
from emwatch.cli.terminal.display import counted, printable
from emwatch.frame import path_to_text
from emwatch.units import number_text

if TYPE_CHECKING:
    from emwatch.ledger.positions import Position
    from emwatch.pictures.thumbnails import Thumbnails
    from emwatch.report.sheet import Print

_FORMATS: Final = ("png", "pdf")
#: A page is higher than wide by so much, as A4 is.
_PAGE_SHAPE: Final = 1.414
_CAPTION_PX: Final = 62
_NO_PICTURE: Final = 225


@click.command(short_help="Print recorded frames on a contact sheet.")
@frame_filters
@click.option("--limit", metavar="N", type=click.IntRange(1, 2000), default=60, show_default=True, help="At most N.")
@click.option("--oldest-first", is_flag=True, help="Start with the oldest.")
@click.option(
    "--out", metavar="FILE", type=AnyPath(), default=Path("sheet.png"), show_default=True, help=".png or .pdf (pages)."
)
@click.option(
    "--columns", metavar="N", type=click.IntRange(1, 20), default=5, show_default=True, help="Frames in a row."
)
@click.option(
    "--size",
    metavar="PX",
    type=click.IntRange(96, 1024),
    default=256,
    show_default=True,
    help="Longest side of a frame.",
)
@asked_ledger_option
@config_option
@logging_options
def sheet(config_file: Path | None, ledger: Path | str | None, out: Path, **asked: Any) -> None:
    """
    Print recorded frames on a contact sheet, each with a true scale bar; a frame is on it if it meets all filters.

    A scale bar is drawn if the file tells the pixel size. Frames that met a target have their name in red. The exit
    code is 3 if nothing is found.

    For example:

    \b
      emwatch sheet --hits --session last
      emwatch sheet --category Nanowires --day yesterday --out wires.pdf
    """  # noqa: D301 - click reads the backspace: it keeps the lines below as they are
    shape = format_of(out, _FORMATS)
    wanted = replace(filter_of(asked), limit=asked["limit"], newest_first=not asked["oldest_first"])
    config, place = asked_ledger(config_file, ledger)
    check_output(config, out)
    from emwatch.ledger.query import LedgerReader
    from emwatch.pictures.cache import PictureCache, picture_folder
    from emwatch.pictures.thumbnails import opened
    from emwatch.report.sheet import SheetRow, contact_sheet, contact_sheets

    with LedgerReader(place) as reader:
        chosen = reader.positions(wanted)
        total = reader.count(replace(wanted, limit=None))
    if not chosen:
        click.echo("nothing found", err=True)
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)
    columns, side_px = min(asked["columns"], len(chosen)), asked["size"]
    with opened(PictureCache(picture_folder())) as pictures:
        prints = [_print(each, pictures, side_px) for each in chosen]
    rows = [SheetRow("", "", prints[at : at + columns]) for at in range(0, len(prints), columns)]
    if shape == "pdf":
        per_page = max(1, int(columns * side_px * _PAGE_SHAPE / (side_px + _CAPTION_PX)))
        write_output(
            out, contact_sheets([rows[at : at + per_page] for at in range(0, len(rows), per_page)], columns, side_px)
        )
    else:
        write_output(out, contact_sheet(rows, columns, side_px))
    more = f" of {total:,}; --limit N takes more" if total > len(chosen) else ""
    click.echo(f"{counted(len(chosen), 'frame')}{more}")
    for reason in list(pictures.failed.values())[:5]:
        click.echo(f"no picture: {printable(reason)}", err=True)


def _print(frame: Position, pictures: Thumbnails, side_px: int) -> Print:
    import numpy as np

    from emwatch.pictures.thumbnails import Pictured
    from emwatch.report.sheet import Print, pixels_of

    jpeg = pictures.jpeg(Pictured.of(frame), side_px)
    view = np.full((side_px * 3 // 4, side_px), _NO_PICTURE, np.uint8) if jpeg is None else pixels_of(jpeg)
    said = "not classified"
    if frame.category is not None and frame.probability is not None:
        said = f"{frame.category.replace('_', ' ')} {frame.probability:.2f}{' ?' if frame.uncertain else ''}"
    magnification = "" if frame.magnification is None else f"{number_text(frame.magnification)}x"
    when = f"{frame.recorded_at.astimezone():%Y-%m-%d %H:%M}"
    lines = (path_to_text(frame.path.name), said, "  ".join(each for each in (magnification, when) if each))
    return Print(view, lines, alert=bool(frame.targets))
