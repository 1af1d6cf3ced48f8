"""
The command line: a table of commands, each imported only when it is used.

Help lists the commands from the table, so that it needs neither numpy nor SQLAlchemy nor pydantic nor rich.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from emwatch import __version__
from emwatch.cli.display import printable, wants_colour
from emwatch.cli.exits import Exit
from emwatch.cli.options import VERBOSITY
from emwatch.errors import ConfigError, EmwatchError

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Entry(NamedTuple):
    module: str
    attribute: str
    help: str


COMMANDS: Final = {
    "run": _Entry("emwatch.cli.run", "run", "Watch the acquisition directory and record every frame."),
    "log": _Entry("emwatch.cli.log", "log", "Ask the ledger what was recorded."),
    "classify": _Entry("emwatch.cli.classify", "classify", "Name the category of frames."),
    "meta": _Entry("emwatch.cli.meta", "meta", "Show what the microscope says about frames."),
    "config": _Entry("emwatch.cli.config", "config", "Check the configuration and show where it comes from."),
    "model": _Entry("emwatch.cli.model", "model", "Build, verify and describe model bundles."),
    "simulate": _Entry("emwatch.cli.simulate", "simulate", "Pretend to be a microscope: draw and write frames."),
    "demo": _Entry("emwatch.cli.demo", "demo", "Show everything at work on a pretend microscope."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name, and imports one only to run it or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Give the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import a command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        try:
            command: click.Command = getattr(importlib.import_module(entry.module), entry.attribute)
        except ModuleNotFoundError as error:
            raise click.ClickException(
                f"`emwatch {cmd_name}` needs the Python module {error.name}, which is not installed here; "
                "install emwatch again with all it depends on"
            ) from error
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or name the nearest."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1, cutoff=0.5)
            meant = f" Did you mean '{near[0]}'?" if near else f" There are: {', '.join(COMMANDS)}."
            ctx.fail(f"No such command '{printable(args[0])}'.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """List the commands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what goes wrong becomes one message and an exit code."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _drop_stdout()  # the reader has what it wanted (`emwatch log | head`): nothing failed
            ctx.exit(Exit.OK)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(Exit.INTERRUPTED)
        except EmwatchError as error:
            _tell(error, with_trace=ctx.meta.get(VERBOSITY, 0) >= 2)
            ctx.exit(Exit.BAD_CONFIG if isinstance(error, ConfigError) else Exit.RUNTIME)
        except OSError as error:  # a full disk below stdout, a folder that may not be made
            place = printable(os.fspath(error.filename)) if error.filename else "standard output"
            _drop_stdout()
            _tell(EmwatchError(f"{place}: {error.strerror or error}"), with_trace=ctx.meta.get(VERBOSITY, 0) >= 2)
            ctx.exit(Exit.RUNTIME)
        return result


def _tell(error: EmwatchError, *, with_trace: bool) -> None:
    if with_trace:
        click.echo(traceback.format_exc(), err=True, nl=False)
    # Only a configuration error is told in several lines; elsewhere a newline is part of a file's name.
    lines = str(error).splitlines() if isinstance(error, ConfigError) else [str(error)]
    click.secho("error: ", fg="red", bold=True, nl=False, err=True, color=wants_colour())
    click.echo("\n".join(printable(line) for line in lines), err=True)


def _drop_stdout() -> None:
    """Send what is still buffered nowhere: Python would complain about it at its end."""
    with suppress(OSError, ValueError):  # no descriptor below: nothing is buffered there either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="emwatch", message="%(prog)s %(version)s")
def cli() -> None:
    """
    Watch a scanning electron microscope's acquisition directory.

    Every frame is read, its metadata decoded, its category classified, the result recorded in a ledger; you are told
    when it is what you are looking for. Results go to stdout, logs and progress to stderr.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run emwatch and end the process with an `Exit` code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a micro sign must not end the program on an ASCII terminal
            stream.reconfigure(errors="backslashreplace")
    try:
        cli.main(args=None if arguments is None else list(arguments), prog_name="emwatch")
    except KeyboardInterrupt:  # while starting, before a command runs
        sys.exit(Exit.INTERRUPTED)
