"""``emwatch doctor``: what is wrong with this installation, and what mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from emwatch.cli.exits import Exit
from emwatch.cli.options import VERBOSITY, AnyPath, LedgerFile, config_option, json_option, load_config, logging_options
from emwatch.cli.terminal.display import counted, print_json, printable, wants_colour
from emwatch.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.service.doctor import Finding

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


@click.command(short_help="Find what is wrong with this installation, and what mends it.")
@click.argument("directories", metavar="[DIRECTORY]...", nargs=-1, type=AnyPath())
@click.option("--ledger", type=LedgerFile(), help="Examine this ledger instead of ledger.path.")
@config_option
@json_option
@logging_options
def doctor(directories: tuple[Path, ...], ledger: Path | None, config_file: Path | None, as_json: bool) -> None:
    """
    Find what is wrong with this installation: one line for what was found, one for what mends it.

    DIRECTORY replaces watch.directory. Nothing is written to a watched directory, no alert is sent, and the daemon may
    run. Nothing is printed about what is in order, unless -v is given. The exit code is 5 if there is an error or a
    warning. Run it as the user of the service: sudo -u emwatch emwatch doctor.
    """
    flags = {"ledger.path": ledger, "watch.directory": [each.absolute() for each in directories] or None}
    config = load_config(config_file, flags, one_shot=True)
    from emwatch.service.doctor import Machine, examine

    examination = examine(config, Machine(SystemClock().now().astimezone()))
    if as_json:
        print_json(examination.document())
    else:
        if click.get_current_context().meta.get(VERBOSITY, 0) > 0:
            for each in examination.checked:
                click.echo(f"{each.check:<18}{printable(each.fact)}", err=True)
        for finding in examination.findings:
            _show(finding)
        number = len(examination.findings)
        word = counted(number, "finding") if number else "nothing to mend"
        click.echo(f"{counted(len(examination.checked), 'check')}, {word}", err=True)
    if not examination.healthy:
        raise click.exceptions.Exit(Exit.NOT_PROVED)


def _show(finding: Finding) -> None:
    click.secho(f"{finding.level}: ", fg=_COLOURS[finding.level], bold=True, nl=False, color=wants_colour())
    click.echo(f"{finding.check}: {printable(finding.found)}")
    click.echo(f"    expected: {printable(finding.expected)}")
    click.echo(f"    mend:     {printable(finding.mend)}")
