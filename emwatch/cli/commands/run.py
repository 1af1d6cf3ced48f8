"""``emwatch run``: watch, classify, record, alert."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from emwatch.cli.exits import Exit
from emwatch.cli.options import AnyPath, LedgerFile, config_option, json_option, load_config, logging_options
from emwatch.cli.terminal.display import print_json, printable, result_words
from emwatch.frame import path_to_text

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.config import Config


@click.command(short_help="Watch the acquisition directory.")
@click.argument("directories", metavar="[DIRECTORY]...", nargs=-1, type=AnyPath())
@config_option
@click.option(
    "--once", is_flag=True, help="Process the files that exist, then exit; the exit code is 4 if some frames failed."
)
@click.option("--ledger", type=LedgerFile(), help="Record into this file instead of ledger.path.")
@click.option("--bundle", type=AnyPath(), help="Classify with this model bundle instead of model.bundle.")
@click.option("--engine", help="Run the model with this engine instead of model.engine.")
@click.option("--plain", is_flag=True, help="Print plain lines, also on a terminal.")
@json_option
@logging_options
def run(
    directories: tuple[Path, ...],
    config_file: Path | None,
    once: bool,
    ledger: Path | None,
    bundle: Path | None,
    engine: str | None,
    plain: bool,
    as_json: bool,
) -> None:
    """
    Watch the acquisition directory and record every frame that appears in it.

    Existing frames are recorded too, unless watch.catch_up is "new". Stop with Ctrl-C or SIGTERM: the current frame is
    finished first. With --json the final counts are printed as one document, and lines go to stderr.
    """
    flags = {
        "watch.directory": [each.absolute() for each in directories] or None,
        "ledger.path": ledger,
        "model.bundle": bundle,
        "model.engine": engine,
    }
    config = load_config(config_file, flags)
    from emwatch.cli.terminal.foreground import run_in_foreground

    context = click.get_current_context()

    def reread() -> Config:
        with context.scope(cleanup=False):  # another thread, in which click would not know of -v
            return load_config(config_file, flags)

    progress = run_in_foreground(config, once=once, plain=plain, lines_to_stderr=as_json, reread=reread)
    counts = {
        "recorded": progress.frames,
        "hits": progress.hits,
        "failed": progress.failed,
        "skipped": progress.skipped,
        "ledger": path_to_text(config.ledger.path),
    }
    if as_json:
        print_json(counts)
    else:
        words = result_words(progress.frames, progress.hits, progress.failed, progress.skipped)
        click.echo(f"{', '.join(words)}; ledger {printable(path_to_text(config.ledger.path))}", err=True)
    if once and progress.failed:
        raise click.exceptions.Exit(Exit.SOME_FAILED)
