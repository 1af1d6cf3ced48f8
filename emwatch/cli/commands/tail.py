"""``emwatch tail``: the newest rows of the log, and those that come."""

from __future__ import annotations

import select
import signal
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.exits import Exit
from emwatch.cli.frame_filters import filter_of, frame_filters
from emwatch.cli.options import asked_ledger, asked_ledger_option, config_option, logging_options
from emwatch.cli.parameter_types import Whole
from emwatch.cli.terminal.display import json_text, printable, tell_warning
from emwatch.cli.terminal.log_rows import row_document, row_line
from emwatch.errors import LedgerError
from emwatch.frame import FrameState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emwatch.ledger.query import LogFilter, LogRow
    from emwatch.ledger.server.connect import Server

_PAUSE_S: Final = 0.5
#: Rows are handed over about every second.
_SERVER_PAUSE_S: Final = 1.0
_STATES: Final = (FrameState.RECORDED, FrameState.FAILED)


@click.command(short_help="Show the newest rows of the log, and those that come.")
@frame_filters
@click.option("-f", "--follow", is_flag=True, help="Go on with rows as they are recorded, until Ctrl-C.")
@click.option("-n", "--lines", metavar="N", type=Whole(min=0), default=10, show_default=True, help="Begin with N rows.")
@click.option("--ndjson", is_flag=True, help="Print one JSON object per line.")
@asked_ledger_option
@config_option
@logging_options
def tail(
    follow: bool, lines: int, ndjson: bool, ledger: Path | str | None, config_file: Path | None, **asked: Any
) -> None:
    """
    Show the newest rows that meet all filters, the oldest first; with -f also those that come.

    A ledger that is replaced meanwhile is read on; one that cannot be read for a moment is waited for. From a server, rows
    come as the microscopes hand them over: those of a microscope that was away come later, all of them. The exit code is
    3 if nothing is found.

    For example:

    \b
      emwatch tail -f --hits
      emwatch tail -f --ndjson --category Nanowires | my-program
    """  # noqa: D301 - click reads the backspace: it keeps the lines below as they are
    wanted = replace(filter_of(asked), states=_STATES)
    _, place = asked_ledger(config_file, ledger)
    found = False
    try:
        with _interrupt() as interrupted:
            goes_on = lambda: follow and not interrupted.is_set()  # noqa: E731 - one line says it
            if isinstance(place, Path):
                rows = _rows(place, wanted, lines, goes_on)
            else:
                rows = _rows_of_server(place, wanted, lines, goes_on)
            for row in rows:
                found = True
                click.echo(json_text(row_document(row), indent=None) if ndjson else row_line(row))
    except KeyboardInterrupt:
        if not follow:
            raise
        return
    if not found and not follow:
        click.echo("nothing found", err=True)
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)


@contextmanager
def _interrupt() -> Iterator[threading.Event]:
    """Remember Ctrl-C beside raising it: an exception that meets Python in a callback of SQLite or a finalizer is lost."""
    came = threading.Event()

    def remember(_number: int, _frame: object) -> None:
        came.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)


def _rows_of_server(server: Server, wanted: LogFilter, lines: int, follows: Callable[[], bool]) -> Iterator[LogRow]:
    """Yield the newest rows of all ledgers, and as long as it ``follows`` those that come, in each ledger by number."""
    from emwatch.ledger.query import LedgerReader
    from emwatch.ledger.server.tables import SPAN

    with LedgerReader(server) as reader:
        at_first = reader.newest_ids() if follows() else {}
        newest = list(reader.rows(replace(wanted, limit=lines))) if lines else []
        yield from reversed(newest)
        began_at = max((row.recorded_at for row in newest), default=wanted.asked_at)
        seen = dict(at_first)
        for row in newest:
            seen[row.id // SPAN] = max(seen.get(row.id // SPAN, 0), row.id)

        def look() -> list[LogRow]:
            come: list[LogRow] = []
            now = reader.newest_ids()
            for number, newest_id in now.items():
                if newest_id <= (known := seen.get(number, number * SPAN)):
                    continue
                asked = replace(wanted, newest_first=False, asked_at=None, after_id=known, up_to_id=newest_id)
                if number not in at_first:  # one begun anew has frames of years, known by another number
                    asked = replace(asked, since=began_at)
                come += reader.rows(asked)
            # A server restored from a backup has lower numbers for a moment, and gets the same rows again.
            seen.update({number: newest_id for number, newest_id in now.items() if newest_id > seen.get(number, 0)})
            return sorted(come, key=lambda row: (row.recorded_at, row.id))

        yield from _as_they_come(look, _SERVER_PAUSE_S, follows)


def _rows(path: Path, wanted: LogFilter, lines: int, follows: Callable[[], bool]) -> Iterator[LogRow]:
    """Yield the newest rows, and as long as it ``follows`` those that come."""
    from emwatch.ledger.query import LedgerReader

    with LedgerReader(path) as reader:
        seen, file = reader.newest_id(), _identity(path)
        newest = list(reader.rows(replace(wanted, limit=lines))) if lines else []
    yield from reversed(newest)
    seen = max((seen, *(row.id for row in newest)))
    last_at = max((row.recorded_at for row in newest), default=wanted.asked_at)

    def look() -> list[LogRow]:
        nonlocal seen, file, last_at
        now = _identity(path)
        with LedgerReader(path) as reader:
            newest_id = reader.newest_id()
            # Another file, or one restored from a backup: its numbers mean other rows.
            anew = now != file and newest_id < seen
            if newest_id == seen and now == file:
                return []
            asked = replace(wanted, newest_first=False, asked_at=None)
            asked = replace(asked, since=last_at) if anew else replace(asked, after_id=seen)
            come = list(reader.rows(asked))
        seen, file = max((newest_id, *(row.id for row in come))), now
        for row in come:
            last_at = row.recorded_at if last_at is None else max(last_at, row.recorded_at)
        return come

    yield from _as_they_come(look, _PAUSE_S, follows)


def _as_they_come(look: Callable[[], list[LogRow]], pause_s: float, follows: Callable[[], bool]) -> Iterator[LogRow]:
    """Yield what each look finds, one every ``pause_s`` seconds; a ledger that cannot be read is waited for."""
    trouble = ""
    while follows():
        time.sleep(pause_s)
        if _nobody_reads():
            raise BrokenPipeError
        try:
            come = look()
        except LedgerError as error:  # it is just being replaced, or a share or the server is away
            if str(error) != trouble:
                trouble = str(error)
                tell_warning(f"{trouble}; waiting for it")
            continue
        trouble = ""
        yield from come


def _nobody_reads() -> bool:
    """Return whether the reader of a pipe has closed it, as far as the system says so without a write."""
    if not hasattr(select, "poll"):
        return False
    stdout = select.poll()
    stdout.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in stdout.poll(0))


def _identity(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise LedgerError(f"{printable(path)}: {error.strerror or error}") from error
    return found.st_dev, found.st_ino
