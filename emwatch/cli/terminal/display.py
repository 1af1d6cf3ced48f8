"""Results on stdout: safe text, JSON, CSV and tables. Rich is used on a terminal only."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

import click

from emwatch.escape import escaped, escaped_json
from emwatch.frame import path_to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Widths on a terminal: the gap between columns, with and without room for all, the least readable width of a name, and
#: the least at all.
_GAP = 3
_NARROW_GAP = 2
_LEAST_WIDTH = 12
_CRUMB = 6
#: On a narrower terminal, times and categories are shortened, so that numbers and names stay complete.
_ROOMY = 120

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def printable(text: str | os.PathLike[str]) -> str:
    r"""Escape what a terminal would obey instead of show: an ESC in a file name becomes ``\x1b``, a newline ``\n``."""
    return escaped(text if isinstance(text, str) else os.fspath(text))


def local_time(moment: datetime | None) -> str | None:
    """Return a moment as ISO 8601 with milliseconds, by this machine's clock and with its offset."""
    return None if moment is None else moment.astimezone().isoformat(timespec="milliseconds")


def is_terminal(stream: TextIO) -> bool:
    """Return whether a stream is a terminal."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # not there at all (`>&-`), or closed
        return False


def wants_colour() -> bool | None:
    """Return the ``color`` argument of `click.echo`: ``False`` under NO_COLOR, else ``None`` (as the stream is)."""
    return False if os.environ.get("NO_COLOR") else None


def tell_warning(text: str) -> None:
    """Print a warning on stderr."""
    _tell("warning: ", "yellow", text)


def tell_event(event: object) -> None:
    """Print what an event of the service says as a warning."""
    tell_warning(getattr(event, "text", str(event)))


def tell_error(text: str) -> None:
    """Print an error on stderr."""
    _tell("error: ", "red", text)


def _tell(word: str, colour: str, text: str) -> None:
    click.secho(word, fg=colour, bold=True, nl=False, err=True, color=wants_colour())
    click.echo(printable(text), err=True)


def json_text(document: Any, *, indent: int | None = 2) -> str:
    """Return a JSON document; paths as plain text, times as ISO 8601, never NaN, nothing that steers a terminal."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    text = json.dumps(
        document,
        indent=indent,
        ensure_ascii=not encoding.startswith("utf"),
        allow_nan=False,
        default=_jsonable,
        separators=None if indent else (",", ":"),
    )
    return escaped_json(text)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Path):
        return path_to_text(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(json_text(document))


def print_json_list(documents: Iterable[Any]) -> int:
    """Print a JSON list as it comes, one document a line. Returns their number."""
    found = 0
    for found, document in enumerate(documents, start=1):
        click.echo(f"{',' if found > 1 else '['}\n{json_text(document, indent=None)}", nl=False)
    click.echo("\n]" if found else "[]")
    return found


def print_ndjson(documents: Iterable[Any]) -> int:
    """Print one JSON document a line. Returns their number."""
    found = 0
    for found, document in enumerate(documents, start=1):  # noqa: B007 - counted on the way
        click.echo(json_text(document, indent=None))
    return found


def csv_cell(value: object) -> str:
    """
    Return a value as a CSV cell that a spreadsheet does not read as a formula.

    Text that begins like a formula gets an apostrophe before it; numbers stay numbers.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    text = printable(path_to_text(value) if isinstance(value, Path) else str(value))
    return f"'{text}" if text.startswith(_FORMULA_STARTS) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    align: Literal["left", "right"] = "left"
    style: str = ""  #: rich's name of a style; terminal only
    whole: bool = False  #: never broken over lines on a terminal; numbers (``right``) never are
    shorten: bool = False  #: on a terminal, shortened in the middle instead of broken over lines
    spare: int = 0  #: left out where a terminal has no room for it, the highest first; 0: never

    @property
    def breaks(self) -> bool:
        """Return whether its cells may be broken over lines."""
        return not self.whole and self.align == "left"


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]], *, styles: Sequence[str] = ()) -> None:
    """
    Print a table: drawn by rich on a terminal, else as plain aligned columns that are never cut.

    Cells are escaped here. ``styles``: one per row, terminal only.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    if is_terminal(sys.stdout):
        _draw(columns, cells, styles)
        return
    widths = [max([len(column.title), *(len(row[at]) for row in cells)]) for at, column in enumerate(columns)]
    for row in [[column.title for column in columns], *cells]:
        words = [
            cell.rjust(width) if column.align == "right" else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ]
        click.echo("  ".join(words).rstrip())


def _draw(columns: Sequence[Column], cells: Sequence[Sequence[str]], styles: Sequence[str]) -> None:
    """Draw a table; cells are plain text already escaped, never markup."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    widths = fitting_widths(columns, cells, console.width)
    tight = widths != fitting_widths(columns, cells, sys.maxsize)
    if tight:
        widths = fitting_widths(columns, cells, console.width, _NARROW_GAP)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=tight, header_style="bold", show_edge=False)
    for at, width in widths.items():
        column = columns[at]
        table.add_column(Text(column.title), justify=column.align, style=column.style, width=width, overflow="fold")
    for number, row in enumerate(cells):
        words = (both_ends(row[at], width) if columns[at].shorten else row[at] for at, width in widths.items())
        table.add_row(*map(Text, words), style=styles[number] if styles else None)
    console.print(table)
    if left_out := [column.title for at, column in enumerate(columns) if at not in widths]:
        click.echo(f"no room for: {', '.join(left_out)}", err=True)


def both_ends(name: str, width: int) -> str:
    """
    Shorten a name in its middle to ``width`` cells of a terminal.

    Frames of a series differ at the end of their names, sessions at the start.
    """
    from rich.cells import cell_len, chop_cells

    if cell_len(name) <= width:
        return name
    tail = chop_cells(name[::-1], max(width // 2, 1))[0][::-1]
    head = chop_cells(name, max(width - 1 - cell_len(tail), 1))[0]
    return f"{head}…{tail}"


def fitting_widths(
    columns: Sequence[Column], cells: Sequence[Sequence[str]], room: int, gap: int = _GAP
) -> dict[int, int]:
    """
    Choose which columns of a table are drawn, and how wide: by index, the width in a terminal's cells.

    Numbers and whole cells are never broken; other columns, and titles, are broken if necessary. Spare columns go
    before a name would be broken into crumbs.
    """
    from rich.cells import cell_len

    titles = [cell_len(column.title) for column in columns]
    words = [max(map(cell_len, column.title.split()), default=0) for column in columns]
    content = [max([0, *(cell_len(row[at]) for row in cells)]) for at in range(len(columns))]
    shortest = [min(wide, _CRUMB) if column.breaks else wide for wide, column in zip(content, columns, strict=True)]
    readable = [
        max(min(wide, _LEAST_WIDTH) if column.breaks else wide, word)
        for wide, word, column in zip(content, words, columns, strict=True)
    ]
    kept = list(range(len(columns)))

    def left(widths: Sequence[int]) -> int:
        return room - sum(widths[at] for at in kept) - gap * (len(kept) - 1)

    for spare in sorted((at for at in kept if columns[at].spare), key=lambda at: -columns[at].spare):
        if left(readable) < 0:
            kept.remove(spare)
    widths = shortest
    for wanted in (readable, list(map(max, readable, content)), list(map(max, content, titles))):
        widths = _grown(widths, wanted, kept, left(widths))
    return {at: widths[at] for at in kept}


def _grown(widths: Sequence[int], wanted: Sequence[int], kept: Sequence[int], left: int) -> list[int]:
    """Return widths grown towards ``wanted``: the smallest need first, each at most a fair share of what is left."""
    grown = list(widths)
    order = sorted(kept, key=lambda at: wanted[at] - widths[at])
    for served, at in enumerate(order):
        more = max(0, min(wanted[at] - widths[at], left // (len(order) - served)))
        grown[at] += more
        left -= more
    return grown


def common_folder(paths: Sequence[Path]) -> Path | None:
    """
    Return the common folder of a table's files and print it once on stderr, so that the table stays narrow.

    ``None`` without a terminal: piped output has whole paths.
    """
    if not paths or not is_terminal(sys.stdout):
        return None
    try:
        below = Path(os.path.commonpath([path.parent for path in paths]))
    except ValueError:  # on several drives, or some relative
        return None
    if below == Path():
        return None
    click.echo(f"below {printable(below)}", err=True)
    return below


def is_narrow() -> bool:
    """Return whether standard output is a terminal too narrow for whole times and categories."""
    return is_terminal(sys.stdout) and shutil.get_terminal_size().columns < _ROOMY


def moment_texts(moments: Sequence[datetime], now: datetime, *, narrow: bool) -> list[str]:
    """
    Return the moments of a table's rows for people, by this machine's clock.

    On a narrow terminal, year and month are left out if all are of the present month, else the seconds.
    """
    local = [each.astimezone() for each in moments]
    of_this_month = {(each.year, each.month) for each in local} <= {(now.astimezone().year, now.astimezone().month)}
    shape = ("%d %H:%M:%S" if of_this_month else "%Y-%m-%d %H:%M") if narrow else "%Y-%m-%d %H:%M:%S"
    return [each.strftime(shape) for each in local]


def category_text(category: str, *, narrow: bool) -> str:
    """Return the name of a category for people; on a narrow terminal its first word, which no two share."""
    return category.split("_", maxsplit=1)[0] if narrow else category


def counted(number: int, thing: str) -> str:
    """Return a number with its noun: 1 source, 2 sources."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def result_words(recorded: int, hits: int, failed: int, skipped: int) -> list[str]:
    """Return what became of files, for people: 12 recorded, 1 hit, 0 failed, 3 skipped."""
    return [f"{recorded:,} recorded", counted(hits, "hit"), f"{failed:,} failed", f"{skipped:,} skipped"]
