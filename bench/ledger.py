"""
What the ledger costs: recording, one directory's known files, the log over a million rows.

    python bench/ledger.py [--rows 1000000] [--folder DIR]

DIR should be on the disk a ledger would be on: recording waits for it (synchronous=FULL).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emwatch.frame import (
    CATEGORIES,
    FIELDS,
    AcquisitionMetadata,
    FieldKind,
    FrameReading,
    FrameState,
    Match,
    Outcome,
    Prediction,
    Reading,
    StatKey,
    Window,
)
from emwatch.ledger.care.backups import make_backup
from emwatch.ledger.care.check import check
from emwatch.ledger.column_types import instant
from emwatch.ledger.query import LedgerReader, LogFilter
from emwatch.ledger.sqlite_file import quick_check
from emwatch.ledger.summary import summarise
from emwatch.ledger.writer import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 1, 1, tzinfo=UTC)
NUMBERS = [name for name, field in FIELDS.items() if field.kind is FieldKind.NUMBER]


def outcome(number: int) -> Outcome:
    """Make a frame as the pipeline hands it over: 17 readings, ten scores, every tenth a hit on two channels."""
    path, sha256 = Path(f"/acquisition/day/frame_{number:07}.tif"), f"{number:064x}"
    key = StatKey(800_000, (1_767_225_600 + number) * 10**9, (1_767_225_600 + number) * 10**9, number)
    readings = {name: Reading(float(number), f"{number} raw", "tag 34118 AP_SOMETHING") for name in NUMBERS}
    reading = FrameReading(
        path,
        sha256,
        key,
        "TIFF",
        1024,
        768,
        "uint8",
        1,
        AcquisitionMetadata("zeiss", readings),
        np.zeros((1, 1, 1), "f4"),
    )
    prediction = Prediction("Tips", 0.9, dict.fromkeys(CATEGORIES, 0.1), False, 0.5, "b" * 64)
    matches = (Match("sharp", "Tips 0.90 >= 0.80", ("terminal", "lamp")),) if number % 10 == 0 else ()
    return Outcome(path, FrameState.RECORDED, key, sha256, reading=reading, prediction=prediction, matches=matches)


def milliseconds(work: Callable[[], object], times: int = 7) -> str:
    """Time some work; the first run, which compiles and fills caches, is not counted."""
    work()
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begun) * 1000)
    return f"{statistics.median(taken):9.1f} ms  (of {times}: {min(taken):.1f} to {max(taken):.1f})"


def fill(path: Path, rows: int) -> None:
    """Write many rows at once, as years of recording would have."""
    scores = json.dumps(dict.fromkeys(CATEGORIES, 0.1))
    chance = np.random.default_rng(1)
    with Ledger(path) as ledger, ledger._file.transaction() as connection:  # noqa: SLF001 - quicker than recording one by one
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("PRAGMA cache_size = -400000")  # indexes in random order
        driver.execute("INSERT INTO bundles VALUES (?, '', ?)", ("b" * 64, instant(START)))
        for first in range(1, rows + 1, 20_000):
            ids = range(first, min(first + 20_000, rows + 1))
            at = [instant(START + timedelta(seconds=10 * number)) for number in ids]
            driver.executemany(
                "INSERT INTO frames (id, path, sha256, state, stat_key, first_seen_at, recorded_at, file_modified_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (n, f"/acquisition/{n // 1000:05}/{n:07}.tif", f"{n:064x}", "failed" if n % 50 == 0 else "recorded",
                     f"800000:{n}:{n}:{n}", when, when, when)
                    for n, when in zip(ids, at, strict=True)
                ),
            )  # fmt: skip
            draws = zip(ids, chance.integers(0, 10, len(ids)), chance.random(len(ids)), at, strict=True)
            driver.executemany(
                "INSERT INTO predictions (frame_id, bundle_sha256, category, probability, margin, uncertain, scores,"
                " made_at) VALUES (?, ?, ?, ?, 0.1, 0, ?, ?)",
                ((n, "b" * 64, CATEGORIES[c], float(p), scores, when) for n, c, p, when in draws if n % 50),
            )
            magnifications = chance.lognormal(9, 1.5, len(ids))
            driver.executemany(
                "INSERT INTO metadata (frame_id, vendor, magnification, stage_tilt_deg, flags, readings)"
                " VALUES (?, 'zeiss', ?, ?, '[]', '{}')",
                ((n, float(m), float(n % 60)) for n, m in zip(ids, magnifications, strict=True) if n % 50),
            )
            driver.executemany(
                "INSERT INTO matches (frame_id, target, reason, made_at) VALUES (?, 'sharp', 'Tips', ?)",
                ((n, when) for n, when in zip(ids, at, strict=True) if n % 100 == 1),
            )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        small, large = Path(folder) / "small.sqlite", Path(folder) / "large.sqlite"
        outcomes = [outcome(number) for number in range(2050)]
        with Ledger(small) as ledger:
            for each in outcomes[:50]:
                ledger.record(each, START)
            begun, used = time.perf_counter(), time.process_time()
            for each in outcomes[50:]:
                ledger.record(each, START)
            took, used = time.perf_counter() - begun, time.process_time() - used
            print(f"record                     {2000 / took:9.0f} frames/s, {used / 2:.2f} ms of CPU each")
            listed = [(Path(f"/acquisition/old/{n:05}.tif"), outcomes[0].stat_key) for n in range(10_000)]
            begun = time.perf_counter()
            ledger.baseline(Path("/acquisition"), listed, START)  # type: ignore[arg-type]
            print(f"baseline of 10,000         {(time.perf_counter() - begun) * 1000:9.1f} ms")
            paths = [path for path, _ in listed]
            slices = [paths[at : at + 500] for at in range(0, len(paths), 500)]
            sweeps = [{path.name: outcomes[0].stat_key for path in each} for each in slices]
            print("known, 10,000 by 500      ", milliseconds(lambda: [ledger.known_files(each) for each in slices]))
            folder_of = Path("/acquisition/old")
            print(
                "unlike, 10,000 by 500     ", milliseconds(lambda: [ledger.unlike(folder_of, each) for each in sweeps])
            )
        begun = time.perf_counter()
        fill(large, arguments.rows)
        print(
            f"\n{arguments.rows:,} rows, {large.stat().st_size / 1e6:.0f} MB, filled in {time.perf_counter() - begun:.0f} s"
        )
        with Ledger(large) as ledger:
            print("for `emwatch status`      ", milliseconds(lambda: summarise(large, seconds=60)))
            print("looked over               ", milliseconds(lambda: quick_check(large, 600), 3))
            began = time.perf_counter()
            backup = make_backup(large, Path(folder) / "backups", datetime.now(UTC))
            print(f"backed up and looked over  {time.perf_counter() - began:9.1f} s")
            assert backup is not None
            began = time.perf_counter()
            problems = [each for each in check(large) if each.problems]
            print(f"`emwatch db check`         {time.perf_counter() - began:9.1f} s, {len(problems)} rules broken")
        filters = {
            "everything": LogFilter(),
            "one category": LogFilter(categories=("Tips",)),
            "category, probability": LogFilter(categories=("Tips",), probability=Window(0.95)),
            "target": LogFilter(target="sharp"),
            "magnification": LogFilter(magnification=Window(100_000, 200_000)),
            "failed": LogFilter(states=(FrameState.FAILED,)),
            "last 2 h": LogFilter(since=START + timedelta(seconds=10 * arguments.rows) - timedelta(hours=2)),
            "path *77.tif": LogFilter(path="*77.tif"),
        }
        with LedgerReader(large) as reader:
            for name, wanted in filters.items():
                newest = LogFilter(**{field: getattr(wanted, field) for field in wanted.__slots__} | {"limit": 50})
                print(
                    f"{name:24}{reader.count(wanted):>10,} rows; count",
                    milliseconds(lambda w=wanted: reader.count(w), 3),
                )  # type: ignore[misc]
                print(f"{'':38}newest 50", milliseconds(lambda w=newest: list(reader.rows(w)), 3))  # type: ignore[misc]
            begun = time.perf_counter()
            streamed = sum(1 for _ in reader.rows(LogFilter(limit=100_000)))
            print(f"streamed {streamed:,} rows in {time.perf_counter() - begun:.1f} s")
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
