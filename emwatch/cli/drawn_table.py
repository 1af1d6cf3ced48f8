"""Tables on a terminal, drawn by rich."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emwatch.cli.display import Column


def draw(columns: Sequence[Column], cells: Sequence[Sequence[str]], styles: Sequence[str]) -> None:
    """Draw a table on stdout; cells are plain text already escaped, never markup."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(
            Text(column.title), justify=column.align, style=column.style, no_wrap=column.whole, overflow="fold"
        )
    for at, row in enumerate(cells):
        table.add_row(*(Text(cell) for cell in row), style=styles[at] if styles else None)
    Console().print(table)
