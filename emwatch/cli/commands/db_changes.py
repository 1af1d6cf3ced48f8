"""The commands of ``emwatch db`` that change the ledger: each alone with it, and only after a backup."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.exclusive import exclusive_ledger
from emwatch.cli.exits import Exit
from emwatch.cli.options import AnyPath, config_option, json_option, ledger_option, load_config, logging_options
from emwatch.cli.parameter_types import moment
from emwatch.cli.terminal.display import counted, print_json, printable
from emwatch.clock import SystemClock
from emwatch.errors import LedgerError
from emwatch.filesystem import real_path
from emwatch.frame import path_to_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from emwatch.config import Config
    from emwatch.ledger.care.merge import Merged
    from emwatch.ledger.care.prune import Pruned


_WHAT: Final = "do this"
_HOPELESS: Final = "the ledger works without it; move the file away when it is not needed, and this message ends"


def _back_up(config: Config) -> bool:
    from emwatch.ledger.care.backups import make_backup

    made = make_backup(config.ledger.path, config.ledger.backups, SystemClock().now())
    if made is not None:
        click.echo(f"as it was: {printable(path_to_text(made))}", err=True)
    return made is not None


@click.command(short_help="Remove old rows of the chosen kinds.")
@click.option("--superseded-before", metavar="WHEN", help="Earlier contents of files that were overwritten.")
@click.option("--failed-before", metavar="WHEN", help="Files that could not be read and are gone.")
@click.option("--skipped-before", metavar="WHEN", help="Files that were not frames and are gone.")
@click.option("--alerts-before", metavar="WHEN", help="Alerts that were delivered or given up.")
@click.option("--frames-before", metavar="WHEN", help="Recorded frames whose files are gone, with all their data.")
@click.option("--apply", is_flag=True, help="Remove the rows; without this they are only counted.")
@ledger_option
@config_option
@json_option
@logging_options
def prune(ledger: Path | None, config_file: Path | None, apply: bool, as_json: bool, **asked: str | None) -> None:
    """
    Remove rows of the chosen kinds recorded before WHEN (90d, 2026-01-01, ...); without --apply, count them.

    Rows of files that still exist stay, because the files would be read and alerted again; so do frames of which others
    are copies. A file counts as gone only if its place can be seen: a share that is away, and outside the watched directories a
    folder that is not there, may have it. The ledger is backed up first. The file does not shrink, but its free space is used again.
    """
    now = SystemClock().now().astimezone()
    before = {
        name.removesuffix("_before"): moment(word, now, option=f"--{name.replace('_', '-')}")
        for name, word in asked.items()
        if word is not None
    }
    if not before:
        raise click.UsageError("say what is to be removed, for example --alerts-before 90d")
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    from emwatch.ledger.care.prune import Prune

    roots = [real_path(each) for each in config.watch.directory]
    with exclusive_ledger(config, what=_WHAT, must_exist=True) as opened:
        if apply:
            _back_up(config)
        wanted = Prune(is_there=lambda path: _is_there(path, roots), **before)
        found = opened.prune(wanted, apply=apply)
    _print_pruned(found, apply=apply, as_json=as_json)


def _is_there(path: Path, roots: Sequence[Path]) -> bool:
    """
    Return whether a file is there; one that cannot be looked for just now counts as there.

    Of a watched directory that is the case while it, or what is left of the way to the file, is missing or empty, as the
    place of a share that is away. Elsewhere the file's folder must be there: it may be one of another PC, whose ledger was
    merged, or of an archive that is not mounted.
    """
    seen = next((each for each in path.parents if os.path.isdir(each)), None)  # noqa: PTH112 - a Path raises where it may not look
    root = next((root for root in roots if path.is_relative_to(root)), None)
    if seen is None or _shows_nothing(seen):
        return True
    if not seen.is_relative_to(root) if root is not None else seen != path.parent:
        return True
    return os.path.lexists(path)


@lru_cache(maxsize=1024)
def _shows_nothing(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return True


def _print_pruned(found: dict[str, Pruned], *, apply: bool, as_json: bool) -> None:
    if as_json:
        counts = {kind: {"removed": each.removed, "kept": each.kept} for kind, each in found.items()}
        print_json({"applied": apply, "rows": counts})
        return
    for kind, each in found.items():
        stays = f", {each.kept:,} old ones stay" if each.kept else ""
        click.echo(f"{kind:<12}{each.removed:,} {'removed' if apply else 'to remove'}{stays}")
    if not apply:
        click.echo("nothing was removed; --apply does it", err=True)


@click.command(short_help="Add the rows of another ledger.")
@click.argument("other", metavar="FILE", type=AnyPath())
@click.option("--send-waiting", is_flag=True, help="Send the alerts that wait in FILE; without this they are dropped.")
@ledger_option
@config_option
@json_option
@logging_options
def merge(other: Path, send_waiting: bool, ledger: Path | None, config_file: Path | None, as_json: bool) -> None:
    """
    Add the rows of another ledger: of another machine, of the time before a move, or one found again.

    Existing rows stay, nothing is added twice, and no alert is raised. FILE is only read. The ledger is backed up
    first.
    """
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    from emwatch.ledger.care.salvage import Salvage

    if not other.is_file():
        raise LedgerError(f"{other}: no such file")
    if config.ledger.path.exists() and other.samefile(config.ledger.path):
        raise LedgerError(f"{other}: is the ledger itself")
    with Salvage(other) as source, exclusive_ledger(config, what=_WHAT) as opened:
        _back_up(config)
        merged = opened.take_over(source, send_waiting=send_waiting)
    document = _merged(other, merged, source.lost)
    if as_json:
        print_json(document)
    else:
        click.echo(_merged_text(document))
    if source.lost:
        raise click.exceptions.Exit(Exit.NOT_PROVED)


@click.command(short_help="Recover what can be read of a damaged ledger.")
@click.option(
    "--from",
    "given",
    metavar="FILE",
    type=AnyPath(),
    help="Recover this file instead of the ones that were moved aside.",
)
@ledger_option
@config_option
@json_option
@logging_options
def repair(given: Path | None, ledger: Path | None, config_file: Path | None, as_json: bool) -> None:
    """
    Recover what can be read of a damaged ledger into the current one.

    A damaged ledger is moved aside as LEDGER.corrupt-TIME, by this command or by the daemon, and a new one is started.
    This reads the damaged one row by row, skips what cannot be read, and adds the rest: nothing twice. Alerts that
    waited are sent. The damaged file is not changed. Indexes and views that were dropped are created again. The exit code
    is 5 if rows were lost.
    """
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    from emwatch.ledger.care.replacement import set_aside_files
    from emwatch.ledger.care.salvage import Salvage

    if given is not None and not given.is_file():
        raise LedgerError(f"{given}: no such file")
    documents = []
    # Killed after it was moved aside, there may be no ledger at all yet.
    must_exist = not set_aside_files(config.ledger.path)
    with exclusive_ledger(config, what=_WHAT, must_exist=must_exist) as opened:
        if opened.replaced is not None:
            click.echo(printable(str(opened.replaced)), err=True)
        backed_up = False
        for each in opened.unrepaired() if given is None else (given,):
            try:
                with Salvage(each) as source:
                    backed_up = backed_up or _back_up(config)
                    merged = opened.take_over(source, send_waiting=True, repaired_at=SystemClock().now())
                documents.append(_merged(each, merged, source.lost))
            except LedgerError as error:
                advice = "; the ledger goes on without it" if given is not None else f"; {_HOPELESS}"
                documents.append({"path": path_to_text(each), "error": f"{error}{advice}"})
        restored = opened.restore_parts()
    for name in restored:
        click.echo(f"made again: {name}", err=True)
    if as_json:
        print_json(documents)
    else:
        for document in documents:
            click.echo(_merged_text(document))
        if not documents and not restored:
            click.echo(f"{printable(path_to_text(config.ledger.path))}: nothing to repair")
    if any(each.get("places_lost") or each.get("error") for each in documents):
        raise click.exceptions.Exit(Exit.NOT_PROVED)


def _merged(other: Path, merged: Merged, lost: int) -> dict[str, Any]:
    return {
        "path": path_to_text(other),
        "frames": merged.frames,
        "known": merged.known,
        "alerts": merged.alerts,
        "findings_without_frame": merged.skipped,
        "places_lost": lost,
    }


def _merged_text(document: dict[str, Any]) -> str:
    if "error" in document:
        return printable(document["error"])
    lost = f", {counted(document['places_lost'], 'place')} could not be read" if document["places_lost"] else ""
    return (
        f"{printable(document['path'])}: {counted(document['frames'], 'row')} taken over, {document['known']:,} known already, "
        f"{counted(document['alerts'], 'alert')}{lost}"
    )
