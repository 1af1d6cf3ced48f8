"""``emwatch service``: install emwatch as a service of systemd, ask how it is, and remove it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from emwatch.cli.exits import Exit
from emwatch.cli.options import AnyPath, json_option, load_settings, logging_options
from emwatch.cli.terminal.display import print_json, printable, tell_warning
from emwatch.errors import ConfigError, EmwatchError
from emwatch.frame import path_to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from emwatch.service.units import Step, Unit

    Function = TypeVar("Function", bound=Callable[..., Any])


@click.group(short_help="Install emwatch as a service of systemd, or remove it.")
def service() -> None:
    """
    Install emwatch as a service of systemd, ask how it is, and remove it.

    As root the service is the machine's and runs as user "emwatch"; else it is the user's own. See emwatch docs service.
    """


def unit_options(command: Function) -> Function:
    """Add the options that choose a unit to a command."""
    options = (
        click.option("--system", "scope", flag_value="system", help="The machine's service; default for root."),
        click.option("--user", "scope", flag_value="user", help="The user's own service; default for others."),
        click.option("--page", is_flag=True, help="The page (emwatch serve) instead of the daemon."),
        click.option(
            "--instance", metavar="NAME", default="", help="One of several instruments: NAME.yaml, its own ledger."
        ),
        click.option(
            "--root", metavar="DIR", type=AnyPath(), help="Work on the system image in this directory; start nothing."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


dry_run_option = click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")


@service.command(short_help="Install the service and start it.")
@unit_options
@click.option("--config", "config_file", metavar="FILE", type=AnyPath(), help="Read this configuration file.")
@click.option("--no-start", is_flag=True, help="Enable it for the next boot, but do not start it now.")
@click.option("--force", is_flag=True, help="Replace a unit file that was written by somebody else.")
@dry_run_option
@logging_options
def install(
    scope: str | None,
    page: bool,
    instance: str,
    root: Path | None,
    config_file: Path | None,
    no_start: bool,
    force: bool,
    dry_run: bool,
) -> None:
    """
    Install the service and start it; once installed, bring it up to date and restart it.

    The unit file is made from the shipped one: program and configuration are those of this installation. Your own
    changes belong into a drop-in ("systemctl edit emwatch"), which stays. The configuration must be there and valid:
    "emwatch init" writes it.
    """
    from emwatch.service.units import closed_to_others, to_install

    unit = _unit(scope, page, instance, root, config_file)
    if root is None:
        unit = _checked(unit, dry_run=dry_run)
    if unit.scope == "system" and (folder := closed_to_others(Path(sys.executable))) is not None:
        tell_warning(f"the user emwatch may not enter {folder}, where this emwatch lies: install it into /opt/emwatch")
    steps = list(to_install(unit, force=force, user_exists=_user_exists("emwatch"), start=not no_start))
    _take(steps, unit, dry_run=dry_run)
    if not dry_run:
        click.echo(f"{unit.name} is installed ({printable(unit.found() or unit.file)})", err=True)


@service.command(short_help="Stop the service and remove it.")
@unit_options
@dry_run_option
@logging_options
def uninstall(scope: str | None, page: bool, instance: str, root: Path | None, dry_run: bool) -> None:
    """
    Stop the service and remove its unit file.

    The configuration, the ledger with its backups and the user "emwatch" stay.
    """
    from emwatch.service.units import to_uninstall

    unit = _unit(scope, page, instance, root, None)
    _take(list(to_uninstall(unit)), unit, dry_run=dry_run)
    if not dry_run:
        click.echo(f"{unit.name} is removed; configuration and ledger are kept", err=True)


@service.command(short_help="Show whether the service is installed, enabled and running.")
@unit_options
@json_option
@logging_options
def status(scope: str | None, page: bool, instance: str, root: Path | None, as_json: bool) -> None:
    """
    Show whether the service is installed, up to date, enabled and running.

    The exit code is 0 while it runs, else 3. "emwatch status" shows what the daemon does.
    """
    from emwatch.service.units import instructions

    unit = _unit(scope, page, instance, root, None)
    file = unit.found()
    found, wanted = (
        instructions(text, without=("Exec",))
        for text in (file.read_text(encoding="utf-8", errors="replace") if file else "", unit.text())
    )
    document = {
        "unit": unit.name,
        "file": path_to_text(file or unit.file),
        "installed": file is not None,
        "changed": file is not None and found != wanted,
        "enabled": _ask(unit, "is-enabled"),
        "state": "unknown" if root else _ask(unit, "is-active"),
    }
    if as_json:
        print_json(document)
    else:
        note = ", not the unit of this version: emwatch service install" if document["changed"] else ""
        click.echo(f"{unit.name}: {document['state']}, {document['enabled']}")
        click.echo(f"{printable(file or unit.file)}: {'there' if file else 'not there'}{note}")
    if document["state"] != "active":
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)


def _unit(scope: str | None, page: bool, instance: str, root: Path | None, config: Path | None) -> Unit:
    from emwatch.service.units import Unit

    if scope is None:
        scope = "system" if root is not None or os.geteuid() == 0 else "user"
    if scope == "user" and root is not None:
        raise click.UsageError("--root is for the machine's service: leave out --user")
    return Unit("user" if scope == "user" else "system", page, instance, config, root and root.absolute())


def _checked(unit: Unit, *, dry_run: bool) -> Unit:
    """Check the configuration; returns the unit with the folders that it has the daemon write to."""
    from emwatch.service.units import written_elsewhere

    try:
        loaded = load_settings(unit.config_file, one_shot=True)
    except ConfigError as error:
        if not dry_run and not os.path.lexists(unit.config_file):
            named = path_to_text(unit.config_file)
            raise ConfigError(
                f"{named}: there is no configuration yet; write it first: emwatch init --out {named}"
            ) from error
        if not dry_run:
            raise
        click.echo(f"# the configuration has to be mended first: {printable(str(error).splitlines()[0])}")
        return unit
    written = written_elsewhere(loaded, unit.instance) if unit.scope == "system" else ()
    for place in written:
        if not place.is_dir():
            make = f"install -d -o emwatch -g emwatch {shlex.quote(path_to_text(place))}"
            tell_warning(f"{path_to_text(place)} is not there, and the service may not make it: {make}")
    return replace(unit, written=written)


def _user_exists(name: str) -> bool:
    import pwd

    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _take(steps: Iterable[Step], unit: Unit, *, dry_run: bool) -> None:
    """Take steps, or print them. Raises `EmwatchError` at the first one that fails."""
    if not dry_run and unit.scope == "system" and unit.root is None and os.geteuid() != 0:
        raise EmwatchError("the machine's service is installed by root: use sudo, or --user for a service of your own")
    for step in steps:
        (_print if dry_run else _do)(step)


def _print(step: Step) -> None:
    from emwatch.service.units import Remove, Write

    if isinstance(step, Write):
        click.echo(f"write {printable(step.path)}:")
        click.echo("\n".join(f"    {line}".rstrip() for line in step.text.splitlines()))
    else:
        click.echo(f"remove {printable(step.path)}" if isinstance(step, Remove) else f"run {shlex.join(step.argv)}")


def _do(step: Step) -> None:
    from emwatch.service.units import Remove, Write
    from emwatch.whole_file import written_whole

    if isinstance(step, Write):
        step.path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(step.path) as made:
            made.write_text(step.text, encoding="utf-8")
            made.chmod(0o644)
    elif isinstance(step, Remove):
        step.path.unlink(missing_ok=True)
    else:
        if shutil.which(step.argv[0]) is None:
            raise EmwatchError(f"{step.argv[0]} is not there: a service needs a system with systemd")
        ended = subprocess.run(step.argv, capture_output=True, text=True, check=False)
        if ended.returncode and not step.may_fail:
            said = " ".join((ended.stderr or ended.stdout).split())
            raise EmwatchError(f"`{' '.join(step.argv)}` failed: {said or f'exit status {ended.returncode}'}")


def _ask(unit: Unit, question: str) -> str:
    """Return systemd's one-word answer."""
    argv = unit.manager(question, unit.name).argv
    if shutil.which(argv[0]) is None:
        return "unknown"
    said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.split()
    return said[0] if said else "unknown"
