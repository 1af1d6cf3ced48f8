"""
The command line: a table of commands, each imported only when it is used.

Help lists the commands from the table, so that it needs neither numpy nor SQLAlchemy nor pydantic nor rich.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch import __version__
from emwatch.cli import end_when_interrupted
from emwatch.cli.exits import Exit, leave
from emwatch.cli.lazy import Entry, LazyGroup
from emwatch.cli.options import VERBOSITY
from emwatch.cli.terminal.display import is_terminal, printable, wants_colour
from emwatch.errors import ConfigError, DatasetError, EmwatchError, QuestionError

if TYPE_CHECKING:
    from collections.abc import Sequence


#: Why a stream cannot be written; such an error names no file.
_OF_WRITING: Final = {errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC}

COMMANDS: Final = {
    "init": Entry("emwatch.cli.commands.init", "init", "Write the first configuration, from sample frames."),
    "run": Entry("emwatch.cli.commands.run", "run", "Watch the acquisition directory and record every frame."),
    "scan": Entry("emwatch.cli.commands.scan", "scan", "Record an archive: years of frames, with several workers."),
    "status": Entry(
        "emwatch.cli.commands.status", "status", "Show the state of the daemon, its ledger and its alerts."
    ),
    "doctor": Entry(
        "emwatch.cli.commands.doctor", "doctor", "Find what is wrong with this installation, and what mends it."
    ),
    "support-bundle": Entry(
        "emwatch.cli.commands.support_bundle", "support_bundle", "Collect facts for whoever helps you, without secrets."
    ),
    "reconcile": Entry(
        "emwatch.cli.commands.reconcile", "reconcile", "Check that every file in the directory is in the ledger."
    ),
    "log": Entry("emwatch.cli.commands.log", "log", "List recorded frames."),
    "show": Entry("emwatch.cli.commands.show", "show", "Show everything about one frame."),
    "tail": Entry("emwatch.cli.commands.tail", "tail", "Show the newest rows of the log, and those that come."),
    "stats": Entry("emwatch.cli.commands.stats", "stats", "Count frames by day, category, session and more."),
    "sql": Entry("emwatch.cli.commands.sql", "sql", "Ask the ledger in SQL, read-only."),
    "session": Entry("emwatch.cli.commands.session", "session", "Start, end, list, show and rename sessions."),
    "note": Entry("emwatch.cli.commands.note", "note", "Write a note about a frame or a session."),
    "review": Entry("emwatch.cli.commands.review", "review", "Record what frames really show."),
    "target": Entry("emwatch.cli.commands.target", "target", "Teach targets by example, and search the past for them."),
    "similar": Entry("emwatch.cli.commands.similar", "similar", "List the frames of the log that look most alike."),
    "map": Entry("emwatch.cli.commands.map", "stage_map", "Draw where on the stage frames were taken."),
    "sheet": Entry("emwatch.cli.commands.sheet", "sheet", "Print recorded frames on a contact sheet."),
    "report": Entry("emwatch.cli.commands.report", "report", "Report a session on one page, or as JSON."),
    "plot": Entry("emwatch.cli.commands.plot", "plot", "Plot categories, confidence, magnification and latency."),
    "alerts": Entry("emwatch.cli.commands.alerts", "alerts", "List, try, snooze, acknowledge and retry alerts."),
    "db": Entry("emwatch.cli.commands.db", "db", "Check, back up, prune, merge and repair the ledger."),
    "classify": Entry("emwatch.cli.commands.classify", "classify", "Classify frames without recording them."),
    "meta": Entry("emwatch.cli.commands.meta", "meta", "Show the metadata of frames."),
    "config": Entry(
        "emwatch.cli.commands.config", "config", "Check the configuration and show where each value comes from."
    ),
    "reclassify": Entry(
        "emwatch.cli.commands.reclassify", "reclassify", "Classify recorded frames again with another model."
    ),
    "model": Entry("emwatch.cli.commands.model", "model", "Build, verify, store and exchange model bundles."),
    "train": Entry("emwatch.cli.commands.train", "train", "Train a model on labelled frames."),
    "dataset": Entry("emwatch.cli.commands.dataset", "dataset", "Describe, split and download labelled frames."),
    "evaluate": Entry("emwatch.cli.commands.evaluate", "evaluate", "Measure how good a model is on labelled frames."),
    "simulate": Entry("emwatch.cli.commands.simulate", "simulate", "Simulate a microscope: draw and write frames."),
    "serve": Entry("emwatch.cli.commands.serve", "serve", "Serve the local page: live view, gallery, review, ask."),
    "service": Entry(
        "emwatch.cli.commands.service", "service", "Install emwatch as a service of systemd, or remove it."
    ),
    "completion": Entry(
        "emwatch.cli.commands.completion", "completion", "Print the script that completes commands in a shell."
    ),
    "docs": Entry("emwatch.cli.commands.docs", "docs", "Read the documentation that comes with emwatch."),
    "demo": Entry("emwatch.cli.commands.demo", "demo", "Show emwatch at work with a simulated microscope."),
}


class CommandLine(LazyGroup):
    """All of emwatch: whatever goes wrong in a command ends here."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what goes wrong becomes one message and an exit code."""
        try:
            result = super().invoke(ctx)
            if sys.stdout is not None:  # closed by the parent process (`>&-`)
                sys.stdout.flush()
        except BrokenPipeError:
            _drop_stdout()  # the reader has what it wanted (`emwatch log | head`): nothing failed
            ctx.exit(Exit.OK)
        except KeyboardInterrupt:
            exec("")  # noqa: S102 - Python ends with SIGINT, not with the exit code, if the last `exec` was interrupted
            _tell_interrupted("\r\033[K" if is_terminal(sys.stderr) else "")  # in place of a line that shows progress
            ctx.exit(Exit.INTERRUPTED)
        except click.Abort as abort:
            if not isinstance(abort.__context__, KeyboardInterrupt):
                raise
            _tell_interrupted("\n")  # the question stays to be read
            ctx.exit(Exit.INTERRUPTED)
        except QuestionError as error:
            hint = error.key if error.key.isupper() else f"--{error.key.replace('_', '-')}"
            raise click.BadParameter(str(error), param_hint=f"'{hint}'") from error
        except EmwatchError as error:
            _tell(error, with_trace=ctx.meta.get(VERBOSITY, 0) >= 2)
            ctx.exit(Exit.BAD_CONFIG if isinstance(error, ConfigError) else Exit.RUNTIME)
        except OSError as error:  # a full disk below stdout, a folder that may not be made
            place = _place_of(error)
            _drop_stdout()
            _tell(EmwatchError(f"{place}: {error.strerror or error}"), with_trace=ctx.meta.get(VERBOSITY, 0) >= 2)
            ctx.exit(Exit.RUNTIME)
        return result


def _tell_interrupted(before: str) -> None:
    click.echo(f"{before}interrupted", err=True)


def _place_of(error: OSError) -> str:
    """Return what could not be used: the file that is named, else standard output if it may be that."""
    if error.filename:
        return os.fsdecode(error.filename)
    return "standard output" if error.errno in _OF_WRITING else type(error).__name__


def _tell(error: EmwatchError, *, with_trace: bool) -> None:
    if with_trace:
        click.echo(traceback.format_exc(), err=True, nl=False)
    # Only these errors have several lines; in others a newline is part of a file's name.
    lines = str(error).splitlines() if isinstance(error, (ConfigError, DatasetError)) else [str(error)]
    click.secho("error: ", fg="red", bold=True, nl=False, err=True, color=wants_colour())
    click.echo("\n".join(printable(line) for line in lines), err=True)


def _drop_stdout() -> None:
    """Send what is still buffered nowhere: Python would complain about it at its end."""
    with suppress(OSError, ValueError):  # no descriptor below: nothing is buffered there either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.command(
    cls=CommandLine, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="emwatch", message="%(prog)s %(version)s")
def cli() -> None:
    """
    Watch a scanning electron microscope's acquisition directory.

    Every frame is read, its metadata decoded, its category classified and the result recorded in a ledger; an alert is
    raised if it meets a target. Results go to stdout, logs and progress to stderr.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run emwatch and end the process with an `Exit` code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a micro sign must not end the program on an ASCII terminal
            stream.reconfigure(errors="backslashreplace")
    try:
        cli.main(args=None if arguments is None else list(arguments), prog_name="emwatch")
    except KeyboardInterrupt:  # after a command has run; before it, Ctrl-C ends the process at once
        leave(Exit.INTERRUPTED)
    except SystemExit as ended:
        end_when_interrupted()  # all is done, and said
        leave(ended.code)
