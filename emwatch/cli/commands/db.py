"""``emwatch db``: check, back up, prune, merge and repair the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.exits import Exit
from emwatch.cli.lazy import Entry, LazyGroup
from emwatch.cli.options import AnyPath, config_option, json_option, ledger_option, load_config, logging_options
from emwatch.cli.terminal.display import print_json, printable
from emwatch.clock import SystemClock
from emwatch.frame import path_to_text

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.ledger.care.check import LedgerCheck

COMMANDS = {
    "check": Entry("emwatch.cli.commands.db", "check", "Check that the ledger is intact and consistent."),
    "backup": Entry("emwatch.cli.commands.db", "backup", "Back up the ledger, also while the daemon runs."),
    "verify": Entry("emwatch.cli.commands.db", "verify", "Check backups."),
    "prune": Entry("emwatch.cli.commands.db_changes", "prune", "Remove old rows of the chosen kinds."),
    "merge": Entry("emwatch.cli.commands.db_changes", "merge", "Add the rows of another ledger."),
    "repair": Entry("emwatch.cli.commands.db_changes", "repair", "Recover what can be read of a damaged ledger."),
}


@click.command(cls=LazyGroup, table=COMMANDS, short_help="Check, back up, prune, merge and repair the ledger.")
def db() -> None:
    """
    Check, back up, prune, merge and repair the ledger.

    check, backup and verify do not change it and work while the daemon runs. prune, merge and repair need exclusive
    access: stop the daemon first.
    """


@click.command(short_help="Check that the ledger is intact and consistent.")
@click.option(
    "--full", is_flag=True, help="Also compare each index with its table; takes minutes for millions of rows."
)
@ledger_option
@config_option
@json_option
@logging_options
def check(full: bool, ledger: Path | None, config_file: Path | None, as_json: bool) -> None:
    """
    Check that the ledger is intact and consistent.

    Checks the structure of the file, the references between rows, and the rules of recording: one current row per
    path, one alert per match and channel, and so on. The exit code is 5 if something is wrong.
    """
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    document = _checked(config.ledger.path, full=full, silent=as_json, advice="see emwatch db repair")
    if as_json:
        print_json(document)
    if not document["sound"]:
        raise click.exceptions.Exit(Exit.NOT_PROVED)


def _checked(file: Path, *, full: bool, silent: bool, advice: str) -> dict[str, Any]:
    from emwatch.ledger.care.check import check as checks

    found: list[LedgerCheck] = []
    for each in checks(file, full=full):
        found.append(each)
        if not silent:
            _print_check(each)
    sound = not any(each.problems for each in found)
    if not silent:
        click.echo(f"{printable(path_to_text(file))}: {'sound' if sound else f'NOT sound; {advice}'}")
    shown = [{"check": each.what, "ok": not each.problems, "problems": list(each.problems)} for each in found]
    return {"path": path_to_text(file), "sound": sound, "checks": shown}


def _print_check(checked: LedgerCheck) -> None:
    click.echo(f"{'BROKEN' if checked.problems else 'ok':<8}{checked.what}")
    for problem in checked.problems:
        click.echo(f"        {printable(problem)}")


@click.command(short_help="Back up the ledger, also while the daemon runs.")
@click.option(
    "--to",
    "directory",
    metavar="DIR",
    type=AnyPath(),
    help="Write to this directory instead of ledger.backup_directory.",
)
@click.option(
    "--keep",
    metavar="DAYS",
    type=click.IntRange(min=1),
    help="Keep the newest backup of this many days; default: keep all.",
)
@ledger_option
@config_option
@json_option
@logging_options
def backup(
    directory: Path | None, keep: int | None, ledger: Path | None, config_file: Path | None, as_json: bool
) -> None:
    """
    Copy the ledger as it is at one moment, also while the daemon runs; the copy is checked before it gets its name.

    The daemon makes one each day by itself (ledger.backup_every_hours). To restore one: stop the daemon, move the ledger
    with its -wal and -shm aside, copy the backup to ledger.path, start the daemon.
    """
    config = load_config(config_file, {"ledger.path": ledger, "ledger.backup_directory": directory}, one_shot=True)
    from emwatch.ledger.care.backups import make_backup, rotate
    from emwatch.service.roots import refuse_watched

    refuse_watched(config)

    made = make_backup(config.ledger.path, config.ledger.backups, SystemClock().now())
    if made is None:  # cannot happen: no stop is requested
        raise AssertionError
    removed = rotate(config.ledger.path, config.ledger.backups, keep) if keep is not None else []
    if as_json:
        size = made.stat().st_size
        print_json({"path": path_to_text(made), "bytes": size, "removed": [path_to_text(each) for each in removed]})
        return
    click.echo(printable(path_to_text(made)))
    for each in removed:
        click.echo(f"removed {printable(path_to_text(each))}", err=True)


@click.command(short_help="Check backups.")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=AnyPath())
@ledger_option
@config_option
@json_option
@logging_options
def verify(files: tuple[Path, ...], ledger: Path | None, config_file: Path | None, as_json: bool) -> None:
    """
    Check backups as "check --full" checks the ledger; without FILE, the newest one. The exit code is 5 if one is damaged.

    Of a backup that an older emwatch made, only the structure of the file is checked.
    """
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    from emwatch.errors import LedgerError
    from emwatch.ledger.care.backups import backups_of

    chosen = files or tuple(backups_of(config.ledger.path, config.ledger.backups)[-1:])
    if not chosen:
        raise LedgerError(
            f"{config.ledger.backups}: no backup of {config.ledger.path.name} there; make one: emwatch db backup"
        )
    for file in chosen:
        if not file.is_file():
            raise LedgerError(f"{file}: {'is a directory; name a backup in it' if file.is_dir() else 'no such file'}")
    advice = "go by another one, and make one now: emwatch db backup"
    documents = [_checked(file, full=True, silent=as_json, advice=advice) for file in chosen]
    if as_json:
        print_json(documents if len(documents) > 1 else documents[0])
    if not all(each["sound"] for each in documents):
        raise click.exceptions.Exit(Exit.NOT_PROVED)
