"""
What a server costs: recording with the handover noted, handing years over, and questions to the server.

    python bench/handover.py --server postgresql+psycopg://USER@HOST/DATABASE [--rows 200000] [--folder DIR]

The database must be empty; its password is where libpq finds it (PGPASSWORD, ~/.pgpass). DIR should be on the disk a ledger
would be on. Runs with and without the notes of the handover take turns.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from ledger import RECORDED, START, fill, outcome, questions, spread

from emwatch.ledger.query import LedgerReader, LogFilter
from emwatch.ledger.server import changes
from emwatch.ledger.server.connect import Server
from emwatch.ledger.server.handover import Handover
from emwatch.ledger.server.tables import SPAN
from emwatch.ledger.writer import Ledger

if TYPE_CHECKING:
    from emwatch.ledger.query import LogRow

RUNS = 5


def recording_s(path: Path, *, noted: bool) -> float:
    """Seconds of processor time for a frame, each in a transaction of its own; ``noted``: for a handover."""
    with Ledger(path) as ledger:
        if noted:
            ledger.handover_changes(changes.begin)
        outcomes = [outcome(number) for number in range(RECORDED)]
        began = time.process_time()
        for each in outcomes:
            ledger.record(each, START)
        return (time.process_time() - began) / RECORDED


def rows_of(reader: LedgerReader, asked: dict[str, Any]) -> list[LogRow]:
    """Return the first rows of a filter."""
    return list(reader.rows(LogFilter(limit=50, **asked)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        ratios = []
        for run in range(RUNS):
            without, noted = (recording_s(folder / f"{run}{each}.sqlite3", noted=each) for each in (False, True))
            ratios.append(noted / without)
            print(
                f"recording: {without * 1e3:.2f} ms of processor time a frame, {noted * 1e3:.2f} ms with the handover noted"
            )
        print(f"ratio, median of {RUNS}: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)
        years = folder / "years.sqlite3"
        fill(years, arguments.rows)
        server = Server(arguments.server)
        with Ledger(years) as ledger:
            handover = Handover(ledger, server)
            began, number = time.perf_counter(), 0
            while some := handover.hand_over(datetime.now(UTC)):
                number += some
        took = time.perf_counter() - began
        print(f"handed over: {number:,} frames and sessions in {took:.0f} s, {number / took:,.0f} a second", flush=True)
        with LedgerReader(years) as file, LedgerReader(server) as there:
            print(f"{'':34}{'file':>10}{'server':>10}   median of 5, ms, first 50 rows")
            for what, asked in questions(arguments.rows).items():
                asked_there = asked | ({"session": str(SPAN + int(asked["session"]))} if "session" in asked else {})
                times = [
                    spread(partial(rows_of, of, given), 5)[0] for of, given in ((file, asked), (there, asked_there))
                ]
                print(f"{what:34}{times[0]:10.0f}{times[1]:10.0f}", flush=True)


if __name__ == "__main__":
    main()
