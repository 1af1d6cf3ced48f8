"""``emwatch reconcile``: prove that every file in the directory is in the ledger."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.exits import Exit
from emwatch.cli.options import AnyPath, config_option, json_option, ledger_option, load_config, logging_options
from emwatch.cli.parameter_types import Number
from emwatch.cli.terminal.display import counted, is_terminal, json_text, printable
from emwatch.filesystem import real_path
from emwatch.frame import path_to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from emwatch.config import Config
    from emwatch.ingest.reconcile import Area, CheckedFile, Comparison

_EXPLAINED = {
    "recorded": "in the ledger as they are",
    "duplicate": "in the ledger, same content as another frame",
    "skipped": "not a frame",
    "baseline": "there before the first start, not read (watch.catch_up: new)",
    "waiting": "too young to be in the ledger",
    "failed": "in the ledger, with the reason",
    "missing": "NOT in the ledger",
    "changed": "not as recorded",
    "unreadable": "cannot be looked at",
}


@click.command(short_help="Check that every file in the directory is in the ledger.")
@click.argument("directories", metavar="[DIRECTORY]...", nargs=-1, type=AnyPath())
@click.option("--deep", is_flag=True, help="Read and hash every recorded file; default: compare size and times.")
@click.option(
    "--grace",
    "grace_s",
    metavar="SECONDS",
    type=Number(min=0),
    help="Files younger than this may still be in progress; default: the longest time that sweep, settle and patience can take.",
)
@ledger_option
@config_option
@json_option
@logging_options
def reconcile(
    directories: tuple[Path, ...],
    deep: bool,
    grace_s: float | None,
    ledger: Path | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """
    Check that every file in the watched directories, or in DIRECTORY, is in the ledger.

    Files that are missing, changed since they were recorded, failed or waiting are listed, the rest is counted. Ends
    with 0 only if nothing is missing, changed or unreadable, else with 5. Nothing is written, and it does not matter
    whether the daemon runs; while it catches up, what it has not come to yet is missing. Without --deep, a file that was
    overwritten on a share with the same size and times counts as recorded; on a local disk its ctime tells.
    """
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    from emwatch.ingest.reconcile import Comparison, default_grace_s
    from emwatch.ledger.query import LedgerReader

    areas = _areas(config, directories)
    with LedgerReader(config.ledger.path) as reader:
        comparison = Comparison(reader, default_grace_s(config) if grace_s is None else grace_s, deep)
        lines = _progress(comparison, areas)
        (_print_json if as_json else _print_lines)(comparison, lines, areas)
    if not comparison.complete:
        raise click.exceptions.Exit(Exit.NOT_PROVED)


def _areas(config: Config, directories: Sequence[Path]) -> list[Area]:
    """Find the watched directory that each folder asked for lies in: patterns and depth count from there."""
    from emwatch.ingest.reconcile import Area
    from emwatch.service.roots import checked_roots
    from emwatch.watch.patterns import Patterns

    watch = config.watch
    patterns = Patterns(watch.include, watch.exclude)
    roots = checked_roots(config) if watch.directory or not directories else ()
    starts = [real_path(each) for each in directories] or list(roots)
    return [
        Area(
            next((root for root in roots if start.is_relative_to(root)), start),
            start,
            patterns,
            watch.recursive,
            watch.max_depth,
        )
        for start in starts
    ]


def _progress(comparison: Comparison, areas: list[Area]) -> Iterable[CheckedFile]:
    """Yield the findings one by one, and show the progress on a terminal."""
    shown = is_terminal(sys.stderr)
    for findings in comparison.run(areas):
        if shown:
            click.echo(f"\r\033[K{comparison.counts.total():,} files", nl=False, err=True)
        if findings and shown:
            click.echo("\r\033[K", nl=False, err=True)
        yield from findings
    if shown:
        click.echo("\r\033[K", nl=False, err=True)


def _print_lines(comparison: Comparison, findings: Iterable[CheckedFile], areas: list[Area]) -> None:
    for each in findings:
        reason = f"  {each.reason}" if each.reason else ""
        click.echo(f"{each.verdict:<10}  {printable(path_to_text(each.path))}{printable(reason)}")
    for verdict, words in _EXPLAINED.items():
        if number := comparison.counts[verdict]:  # type: ignore[index]  # a StrEnum's member is its text
            click.echo(f"{number:>12,}  {verdict:<10}  {words}")
    if comparison.gone:
        click.echo(
            f"{comparison.gone:>12,}  gone        in the ledger, and no longer there or no longer watched", err=True
        )
    where = ", ".join(printable(path_to_text(area.start)) for area in areas)
    but = [
        words.format(counted(number, "file"))
        for verdict, words in (("waiting", "{} too young"), ("failed", "{} that failed, with no frame recorded"))
        if (number := comparison.counts[verdict])  # type: ignore[index]  # as above
    ]
    said = f"complete, but for {' and '.join(but)}" if but else "complete"
    if not comparison.counts.total():
        click.echo(f"{where}: nothing to check: no file there that watch.include and watch.exclude let through")
        return
    how = "" if comparison.deep else " (by size and times; --deep compares contents)"
    click.echo(f"{where}: {said if comparison.complete else 'NOT complete'}{how}")


def _print_json(comparison: Comparison, findings: Iterable[CheckedFile], areas: list[Area]) -> None:
    """Print one document, written as it is found out, whatever the number of files."""
    click.echo('{\n"files": [', nl=False)
    comma = ""
    for each in findings:
        entry = {"path": path_to_text(each.path), "verdict": each.verdict.value, "reason": each.reason}
        click.echo(f"{comma}\n{json_text(entry, indent=None)}", nl=False)
        comma = ","
    rest: dict[str, Any] = {
        "directories": [path_to_text(area.start) for area in areas],
        "deep": comparison.deep,
        "grace_s": comparison.grace_s,
        "counts": {verdict: comparison.counts[verdict] for verdict in _EXPLAINED},  # type: ignore[index]  # as above
        "gone": comparison.gone,
        "complete": comparison.complete,
    }
    click.echo(f"],\n{json_text(rest, indent=None)[1:]}")
