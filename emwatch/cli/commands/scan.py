"""``emwatch scan``: read, classify and record years of frames that are there already."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from emwatch.cli.exclusive import exclusive_ledger
from emwatch.cli.exits import Exit
from emwatch.cli.options import AnyPath, LedgerFile, config_option, json_option, load_config, logging_options
from emwatch.cli.terminal.display import print_json, printable, result_words, tell_warning
from emwatch.cli.terminal.progress import counting
from emwatch.clock import SystemClock
from emwatch.errors import ConfigError
from emwatch.frame import path_to_text

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from emwatch.config import Config
    from emwatch.ingest.archive import Scanned, Workers
    from emwatch.ingest.archive_worker import Work
    from emwatch.ledger.writer import Ledger


@click.command(short_help="Record an archive: years of frames, with several workers.")
@click.argument("directories", metavar="DIRECTORY...", nargs=-1, required=True, type=AnyPath())
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    help="Number of worker processes; half the processors by default. Each takes about 200 MB.",
)
@click.option(
    "--dask", metavar="ADDRESS", help="Let the Dask cluster work whose scheduler is there, as tcp://host:8786."
)
@click.option("--ledger", type=LedgerFile(), help="Record into this file instead of ledger.path.")
@click.option("--bundle", type=AnyPath(), help="Classify with this model bundle instead of model.bundle.")
@click.option("--engine", help="Run the model with this engine instead of model.engine.")
@config_option
@json_option
@logging_options
def scan(
    directories: tuple[Path, ...],
    workers: int | None,
    dask: str | None,
    ledger: Path | None,
    bundle: Path | None,
    engine: str | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """
    Record an archive: read and classify every frame below the directories that the ledger does not hold yet.

    A scan that was stopped goes on with the rest. Targets of the configuration are matched, so that 'emwatch log --hits'
    finds them, but no alert is raised. Which files count is set by watch.include and watch.exclude. The daemon must be
    stopped, or use another ledger: the ledger has one writer. The exit code is 4 if some frames failed.

    With --dask, the workers of a cluster read and classify, and this process records. They must see the archive and the
    bundle at the same paths, and have the same version of emwatch.

    For example:

    \b
      emwatch scan /archive/2019 /archive/2020 --ledger archive.db
      emwatch scan /archive --ledger archive.db --dask tcp://head:8786
    """  # noqa: D301 - click reads the backspace: it keeps the lines below as they are
    if workers is not None and dask is not None:
        raise click.UsageError("--workers counts processes of this machine, --dask asks a cluster: choose one")
    flags = {"ledger.path": ledger, "model.bundle": bundle, "model.engine": engine}
    config = load_config(config_file, flags, one_shot=True)
    from emwatch.ingest.archive import Scanned
    from emwatch.service.roots import archive_roots

    roots = archive_roots(config, directories)
    began, result, finished = time.monotonic(), Scanned(), False
    with exclusive_ledger(config, what="scan") as opened:
        try:
            _work(config, opened, roots, (workers, dask), result)
            finished = True
        finally:
            if finished or result.done:
                _report(result, time.monotonic() - began, config, as_json=as_json, finished=finished)
    if result.failed:
        raise click.exceptions.Exit(Exit.SOME_FAILED)


def _work(
    config: Config, ledger: Ledger, roots: list[Path], where: tuple[int | None, str | None], result: Scanned
) -> None:
    from emwatch.ingest.archive import SETTLED_S, Archive, scan_archive
    from emwatch.watch.patterns import Patterns

    archive = Archive(
        roots,
        Patterns(config.watch.include, config.watch.exclude),
        config.watch.max_depth,
        ledger,
        SystemClock(),
        tell=lambda trouble: tell_warning(printable(trouble)),
    )
    total, young = archive.count()
    if young:
        tell_warning(f"{young:,} files changed less than {SETTLED_S:g} s ago and are left out; scan again later")
    if not total:
        return
    with ExitStack() as stack:
        workers = stack.enter_context(_workers(*where))
        advance = stack.enter_context(counting("scanning", total))
        for done in scan_archive(archive.batches(), _work_of(config, workers), workers, ledger, SystemClock(), result):
            advance(done)


def _workers(processes: int | None, address: str | None) -> AbstractContextManager[Workers]:
    if address is None:
        from emwatch.ingest.archive import local_workers

        return local_workers(processes or max(1, _processors() // 2))
    try:
        from emwatch.ingest.cluster import cluster_workers
    except ImportError as error:
        raise ConfigError(
            f'--dask needs the Python module {error.name}: install emwatch with the extra "dask"'
        ) from error
    return cluster_workers(address)


def _work_of(config: Config, workers: Workers) -> Work:
    """Return what every worker is told; the model is loaded and tested here as well, so that a bad one is told at once."""
    from emwatch.classify.bundles import store
    from emwatch.classify.bundles.bundle import default_directory
    from emwatch.ingest.archive_worker import Work
    from emwatch.readers.sandbox.limits import reading_limits
    from emwatch.teaching.store import with_judges

    used = store.in_use(config)
    classifier = used.load(config.model.engine, config.model.threads)
    comes_with_emwatch = classifier.bundle is None or used.directory == default_directory()
    silent = tuple(each.without_alerts() for each in with_judges(config.wanted(), config.ledger.path))
    return Work(
        bundle=None if comes_with_emwatch else used.directory,
        bundle_sha256=classifier.bundle_sha256,
        engine=config.model.engine,
        threads=max(1, _processors() // workers.count) if workers.are_local else 1,
        views=config.model.views,
        doubt_by_scale=config.model.doubt_by_scale,
        limits=reading_limits(config),
        targets=silent,
    )


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _report(result: Scanned, seconds: float, config: Config, *, as_json: bool, finished: bool) -> None:
    ledger = path_to_text(config.ledger.path)
    if as_json:
        print_json({**asdict(result), "finished": finished, "seconds": round(seconds, 3), "ledger": ledger})
        return
    words = result_words(result.recorded, result.hits, result.failed, result.skipped)
    if not result.done:
        words = ["nothing new"]
    elif seconds:
        words.append(f"{result.done / seconds:.1f} files/s")
    words += [] if finished else ["stopped; the same command goes on from here"]
    click.echo(f"{', '.join(words)}; ledger {printable(ledger)}", err=True)
