"""Groups of commands listed in a table; each command is imported only when it is used."""

from __future__ import annotations

import gc
import importlib
import sys
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from emwatch.cli import raise_when_interrupted
from emwatch.cli.terminal.display import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def importing() -> Iterator[None]:
    """
    Import large modules without collecting garbage meanwhile, nor looking through them later: they stay to the end.

    A third of the time of a short command went there. Only for imports: what is there at the end is never collected.
    """
    was_enabled, modules = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > modules:
            gc.freeze()
        if was_enabled:
            gc.enable()


class Entry(NamedTuple):
    """Where a command is found, and its line in the help of its group."""

    module: str
    attribute: str
    help: str


class LazyGroup(click.Group):
    """A group that knows its commands by name, and imports one only to run it or to show its own help."""

    def __init__(self, *args: Any, table: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the table."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        entry = self._table.get(cmd_name)
        if entry is None:
            return None
        try:
            with importing():
                command: click.Command = getattr(importlib.import_module(entry.module), entry.attribute)
        except ModuleNotFoundError as error:
            raise click.ClickException(
                f"`{ctx.command_path} {cmd_name}` needs the Python module {error.name}, which is not installed here; "
                "install emwatch again with all it depends on"
            ) from error
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return a command; the error for an unknown one names the most similar."""
        if args and args[0] not in self._table and not args[0].startswith("-"):
            options = [each for known in self.get_params(ctx) for each in known.opts if each == f"--{args[0]}"]
            near = options or get_close_matches(args[0], self._table, n=1, cutoff=0.5)
            meant = f" Did you mean '{near[0]}'?" if near else f" There are: {', '.join(self._table)}."
            ctx.fail(f"No such command '{printable(args[0])}'.{meant}")
        name, command, rest = super().resolve_command(ctx, args)
        if not isinstance(command, LazyGroup):  # it runs now
            raise_when_interrupted()
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """List the commands without importing one."""
        if self._table:
            with formatter.section("Commands"):
                formatter.write_dl([(name, entry.help) for name, entry in self._table.items()])
