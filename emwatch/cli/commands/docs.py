"""``emwatch docs``: the documentation that was installed with the program, readable without a network."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import click

from emwatch.cli.options import logging_options
from emwatch.cli.terminal.display import Column, is_terminal, print_table
from emwatch.shipped import shipped

if TYPE_CHECKING:
    from pathlib import Path


@click.command(short_help="Read the documentation that comes with emwatch.")
@click.argument("page", required=False)
@click.option("--path", "as_path", is_flag=True, help="Print the path of the file instead of its text.")
@click.option("--man", "as_manual", is_flag=True, help="Print the manual page of all commands, for man(1).")
@logging_options
def docs(page: str | None, as_path: bool, as_manual: bool) -> None:
    """
    Read the documentation that comes with emwatch; no network is needed.

    Without PAGE: list the pages. With `--path`: print the path of the folder, or of PAGE, for a browser or a copy.
    """
    if as_manual:
        from emwatch.cli.main import cli
        from emwatch.cli.manual import manual

        click.echo(manual(cli, "emwatch"), nl=False)
        return
    folder = shipped("docs")
    if page is None:
        if as_path:
            click.echo(folder)
        else:
            print_table(
                [Column("Page", whole=True), Column("About")], [[each.stem, _title(each)] for each in _pages(folder)]
            )
        return
    found = {each.stem: each for each in _pages(folder)}.get(page.removesuffix(".md"))
    if found is None:
        names = ", ".join(each.stem for each in _pages(folder))
        raise click.BadParameter(f"no page {page!r}; the pages are: {names}", param_hint="PAGE")
    if as_path:
        click.echo(found)
    elif is_terminal(sys.stdout):
        _render(found.read_text(encoding="utf-8"))
    else:
        click.echo(found.read_text(encoding="utf-8"), nl=False)


def _render(markdown: str) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    # Without -R, `less` shows colours as ESC[1m and the like. What the user has set for it stays.
    shows_colours = re.search("[rR]", os.environ.setdefault("LESS", "-R")) is not None
    console = Console(width=min(Console().width, 100))
    with console.pager(styles=shows_colours):
        console.print(Markdown(markdown))


def _pages(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.md"))


def _title(page: Path) -> str:
    with page.open(encoding="utf-8") as lines:
        return next((line.lstrip("# ").strip() for line in lines if line.startswith("# ")), "")
