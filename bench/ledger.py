"""
What the ledger costs: recording, the log over a million rows, exporting it; another emwatch beside this one.

    python bench/ledger.py [--rows 1000000] [--folder DIR] [--beside PYTHON] [--ledger FILE] [--keep FILE]

DIR should be on the disk a ledger would be on: recording waits for it (synchronous=FULL). PYTHON is the interpreter of
another emwatch: the same questions are put to it in the same run, over the same rows. They are written in the form of
revision 0004, which each emwatch migrates; ``--keep`` keeps them in a file, ``--ledger`` takes them from it. While
questions are asked, a second process records ten frames a second; each error of either side ends the run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import emwatch
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
from emwatch.ledger.column_types import instant
from emwatch.ledger.database import writing_engine
from emwatch.ledger.query import LedgerReader, LogFilter
from emwatch.ledger.writer import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 1, 1, tzinfo=UTC)
NUMBERS = [name for name, field in FIELDS.items() if field.kind is FieldKind.NUMBER]
SCREENFUL = 50
FILLED = "0004"  # the revision in which rows are written
EMBEDDED_BYTES = 128
RECORDED = 2000
ON_DISK = 1000
SUMMARIES = ("stats --by day", "stats --by session,operator", "plot categories", "plot confidence", "plot latency")
_LONG_MS = 500.0
MEASURED = (
    *("magnification", "stage_tilt_deg", "working_distance_mm", "accelerating_voltage_kv", "pixel_size_nm"),
    *("horizontal_field_width_um", "stage_x_mm", "stage_y_mm"),
)


def outcome(number: int) -> Outcome:
    """Make a frame as the pipeline hands it over: all numbers, ten scores, every tenth a hit on two channels."""
    path, sha256 = Path(f"/acquisition/day/frame_{number:07}.tif"), f"{number:064x}"
    key = StatKey(800_000, (1_767_225_600 + number) * 10**9, (1_767_225_600 + number) * 10**9, number)
    readings = {name: Reading(float(number), f"{number} raw", "tag 34118 AP_SOMETHING") for name in NUMBERS}
    metadata = AcquisitionMetadata("zeiss", readings)
    views = np.zeros((1, 1, 1), "f4")
    reading = FrameReading(path, sha256, key, "TIFF", 1024, 768, "uint8", 1, metadata, views)
    prediction = Prediction("Tips", 0.9, dict.fromkeys(CATEGORIES, 0.1), False, 0.5, "b" * 64)
    matches = (Match("sharp", "Tips 0.90 >= 0.80", ("terminal", "lamp")),) if number % 10 == 0 else ()
    return Outcome(path, FrameState.RECORDED, key, sha256, reading=reading, prediction=prediction, matches=matches)


def fill(path: Path, rows: int, revision: str = FILLED) -> None:
    """Write many rows at once, as years of recording would have; indexes are made at the end."""
    from emwatch.ledger.care.upgrade import bring_up_to_date

    engine = writing_engine(path)
    with engine.connect() as connection:
        bring_up_to_date(connection, path, START, revision=revision)
    engine.dispose()
    driver = sqlite3.connect(path, isolation_level=None)
    driver.execute("PRAGMA cache_size = -200000")
    driver.execute("BEGIN")
    indexes = driver.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL").fetchall()
    for name, _ in indexes:
        driver.execute(f"DROP INDEX {name}")
    driver.execute("INSERT INTO bundles VALUES (?, '', ?)", ("b" * 64, instant(START)))
    scores, chance = json.dumps(dict.fromkeys(CATEGORIES, 0.1), separators=(",", ":")), np.random.default_rng(1)
    kilovolts = (1, 3, 5, 10, 15, 20, 30)
    for first in range(1, rows + 1, 20_000):
        ids = range(first, min(first + 20_000, rows + 1))
        at = [instant(START + timedelta(seconds=10 * number)) for number in ids]
        for n in ids:
            if n % 300 == 1:
                when = at[n - first]
                driver.execute("INSERT INTO sessions (id, name, started_at, ended_at) VALUES (?, ?, ?, ?)", (n // 300 + 1, when[:16], when, when))  # fmt: skip
        driver.executemany(
            "INSERT INTO frames (id, path, sha256, state, stat_key, first_seen_at, recorded_at, file_modified_at,"
            " session_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (n, f"/acquisition/{n // 1000:05}/{n:07}.tif", f"{n:064x}", "failed" if n % 50 == 0 else "recorded",
                 f"800000:{n}:{n}:{n}", when, when, when, (n - 1) // 300 + 1)
                for n, when in zip(ids, at, strict=True)
            ),
        )  # fmt: skip
        draws = list(zip(ids, chance.random((len(ids), 14)).tolist(), at, strict=True))
        driver.executemany(
            "INSERT INTO predictions (frame_id, bundle_sha256, category, probability, margin, uncertain, novelty, scores,"
            " made_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (n, "b" * 64, CATEGORIES[int(d[0] * 10)], d[1], d[2], d[1] < 0.1, d[3], scores, when)
                for n, d, when in draws
                if n % 50
            ),
        )
        driver.executemany(
            f"INSERT INTO metadata (frame_id, vendor, {', '.join(MEASURED)}, operator, instrument, detector, sample, flags,"
            " readings) VALUES (?, 'zeiss', ?, ?, ?, ?, ?, ?, ?, ?, ?, 'Merlin', 'InLens', ?, '[]', '{}')",
            (
                (n, 10 ** (2 + 4 * d[4]), float(n % 60), 20 * d[5], kilovolts[int(d[6] * 7)], 100 * d[7], 1000 * d[8],
                 100 * d[9], 100 * d[10], f"user{int(d[11] * 20)}", f"wafer {n // 1000}")
                for n, d, _ in draws
                if n % 50
            ),
        )  # fmt: skip
        driver.executemany(
            "INSERT INTO matches (frame_id, target, reason, made_at) VALUES (?, 'sharp', 'Tips', ?)",
            ((n, when) for n, when in zip(ids, at, strict=True) if n % 100 == 1),
        )
    for _, sql in indexes:
        driver.execute(sql)
    driver.execute("COMMIT")
    driver.close()


def questions(rows: int) -> dict[str, dict[str, Any]]:
    """Return the filters that are measured; the last ones older versions do not have."""
    end = START + timedelta(seconds=10 * rows)
    return {
        "everything": {},
        "category": {"categories": ("Tips",)},
        "probability > 0.9999": {"probability": Window(0.9999)},
        "target": {"target": "sharp"},
        "magnification": {"magnification": Window(100_000, 200_000)},
        "magnification, none": {"magnification": Window(2e6)},
        "failed": {"states": (FrameState.FAILED,)},
        "last 2 h": {"since": end - timedelta(hours=2)},
        "session": {"session": "17"},
        "path *77.tif": {"path": "*77.tif"},
        "path, one file": {"path": "0123456.tif"},
        "category, probability": {"categories": ("Tips",), "probability": Window(0.95)},
        "magnification, tilt": {"magnification": Window(1e5, 2e5), "stage_tilt_deg": Window(58, None)},
        "target, magnification": {"target": "sharp", "magnification": Window(1e5, 2e5)},
        "category, magn., prob.": {"categories": ("Tips",), "magnification": Window(1e5, 2e5), "probability": Window(0.95)},
        "category, tilt, target": {"categories": ("Tips",), "stage_tilt_deg": Window(50, None), "target": "sharp"},
        "working distance": {"working_distance_mm": Window(None, 0.01)},
        "novelty, kV, field width": {"novelty": Window(0.99), "accelerating_voltage_kv": Window(30), "horizontal_field_width_um": Window(None, 10)},
        "stage box": {"stage_x_mm": Window(10, 11), "stage_y_mm": Window(10, 11)},
        "text, rare": {"text": '"wafer 77"'},
        "text, common": {"text": "zeiss"},
        "text, operator, category": {"text": "user7", "categories": ("Tips",)},
        "where": {"where": "magnification > 900000 AND detector = 'InLens'"},
    }  # fmt: skip


def spread(work: Callable[[], object], times: int) -> tuple[float, float]:
    """Return p50 and p95 of some work in milliseconds; what takes over half a second is done twice only."""
    taken: list[float] = []
    while len(taken) < (times if not taken or taken[0] < _LONG_MS else 2):
        begun = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begun) * 1000)
    return float(np.percentile(taken, 50)), float(np.percentile(taken, 95))


def measure(path: Path, rows: int) -> dict[str, tuple[float, ...]]:
    """Ask one emwatch's ledger, the one this interpreter has, everything it can be asked."""
    found: dict[str, tuple[float, ...]] = {}
    with LedgerReader(path) as reader:
        for name, asked in questions(rows).items():
            try:
                wanted, newest = LogFilter(**asked), LogFilter(**asked, limit=SCREENFUL)
            except TypeError:
                continue
            rows_took = spread(lambda w=newest: list(reader.rows(w)), 20)  # type: ignore[misc]
            counts: list[int] = []
            count_took = spread(lambda w=wanted, c=counts: c.append(reader.count(w)), 3)  # type: ignore[misc]
            found[name] = (*rows_took, *count_took, counts[-1])
    return found


def with_embedding(made: Outcome) -> Outcome | None:
    """Return the same frame with an embedding, ``None`` if this emwatch has none."""
    try:
        from emwatch.frame import Embedding, EmbeddingSpace
    except ImportError:
        return None
    assert made.prediction is not None
    space = EmbeddingSpace("c" * 64, "d" * 64, "e" * 64, EMBEDDED_BYTES)
    embedding = Embedding(space, bytes(EMBEDDED_BYTES))
    return replace(made, prediction=replace(made.prediction, embedding=embedding))


def recording(path: Path) -> dict[str, tuple[float, float]]:
    """Return milliseconds of wall and processor time for a frame, of recording into a ledger of its own."""
    plain = [outcome(number) for number in range(RECORDED)]
    kinds: dict[str, list[Any]] = {"recording": plain}
    if with_embedding(plain[0]) is not None:
        kinds["with an embedding"] = [with_embedding(each) for each in plain]
    found = {}
    for kind, outcomes in kinds.items():
        with Ledger(path.with_suffix(f".{len(found)}")) as ledger:
            for each in outcomes[:50]:
                ledger.record(each, START)
            begun, used = time.perf_counter(), time.process_time()
            for each in outcomes[50:]:
                ledger.record(each, START)
            spent = time.perf_counter() - begun, time.process_time() - used
        found[kind] = (spent[0] * 1000 / (RECORDED - 50), spent[1] * 1000 / (RECORDED - 50))
    return found


def record_on(path: Path) -> None:
    """Record ten frames a second until stdin is closed; prints the number recorded and the longest wait."""
    worst, number = 0.0, 5_000_000
    with Ledger(path) as ledger:
        print("begun", flush=True)
        while os.getppid() != 1 and not path.with_suffix(".stop").exists():
            begun = time.perf_counter()
            ledger.record(outcome(number), datetime.now(UTC))
            worst, number = max(worst, time.perf_counter() - begun), number + 1
            time.sleep(max(0.0, 0.1 - (time.perf_counter() - begun)))
    print(f"{number - 5_000_000} frames recorded meanwhile, the slowest in {worst * 1000:.0f} ms")


def asked_of(python: str, folder: Path, ledger: Path, rows: int) -> dict[str, Any]:
    """Have an interpreter migrate a ledger, measure it beside a recording process, and export it."""
    run, environment = [python, str(Path(__file__).resolve())], dict(os.environ)
    environment.pop("PYTHONPATH", None)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed emwatch is compiled once, not at each start
    if python == sys.executable:  # the same emwatch as here
        environment["PYTHONPATH"] = str(Path(emwatch.__file__).parents[1])

    def answer(*arguments: str) -> Any:
        return json.loads(subprocess.check_output([*run, *arguments], env=environment))

    small = folder / f"small-{len(python)}"
    said: dict[str, Any] = {"record": answer("--record", str(small))}
    begun = time.perf_counter()
    beside = subprocess.Popen([*run, "--record-on", str(ledger)], stdout=subprocess.PIPE, text=True, env=environment)
    assert beside.stdout is not None
    beside.stdout.readline()
    said["opened"] = time.perf_counter() - begun
    said["filters"] = answer("--measure", str(ledger), "--rows", str(rows))
    log = [python, "-m", "emwatch", "log", "--ledger", str(ledger)]

    def shown() -> None:
        subprocess.run([*log, "--limit", "50"], stdout=subprocess.DEVNULL, check=True, env=environment)

    shown()  # compiles what is not yet
    said["process"] = spread(shown, 8)
    asked = {name: [python, "-m", "emwatch", *name.split(), "--ledger", str(ledger)] for name in SUMMARIES}
    said["summaries"] = {name: summarized(command, environment) for name, command in asked.items()}
    said["csv"] = exported([*log, "--csv"], folder / "log.csv", environment)
    said["reconcile"] = reconciled(python, ledger, folder, environment)
    ledger.with_suffix(".stop").touch()
    said["recorder"] = beside.communicate()[0].strip()
    assert beside.returncode == 0, "the recording process failed"
    return said


def exported(command: list[str], to: Path, environment: dict[str, str]) -> tuple[float, float, int]:
    """Return seconds, MB of memory, and how many lines a command writes into a file."""
    begun = time.perf_counter()
    with to.open("wb") as target:
        export = subprocess.Popen(command, stdout=target, env=environment)
        _, status, usage = os.wait4(export.pid, 0)
    took = time.perf_counter() - begun
    assert status == 0, command
    with to.open("rb") as written:
        lines = sum(1 for _ in written)
    to.unlink()
    return took, usage.ru_maxrss / 1024, lines


def summarized(command: list[str], environment: dict[str, str]) -> float | None:
    """Return seconds of a whole command, ``None`` if this emwatch does not have it."""
    begun = time.perf_counter()
    ended = subprocess.run(command, capture_output=True, check=False, env=environment)
    return time.perf_counter() - begun if ended.returncode == 0 else None


def reconciled(python: str, ledger: Path, folder: Path, environment: dict[str, str]) -> float:
    """Return seconds of `emwatch reconcile` for a directory of files, none of which the ledger knows."""
    place = folder / "on-disk"
    place.mkdir(exist_ok=True)
    for number in range(ON_DISK):
        (place / f"{number}.tif").touch()
    begun = time.perf_counter()
    asked = [python, "-m", "emwatch", "reconcile", str(place), "--ledger", str(ledger), "--json", "--grace", "0"]
    subprocess.run(asked, stdout=subprocess.DEVNULL, check=False, env=environment)
    return time.perf_counter() - begun


def show(said: dict[str, Any], other: dict[str, Any] | None) -> None:
    """Print both, one line each."""

    def line(name: str, values: Callable[[dict[str, Any]], str]) -> None:
        print(f"{name:26}{values(said):46}{'' if other is None else values(other)}")

    line("", lambda _each: "first 50: p50, p95; count: p50 (ms)")
    for name in said["filters"]:

        def cells(each: dict[str, Any], name: str = name) -> str:
            one = each["filters"].get(name)
            return "-" if one is None else f"{one[0]:8.1f} {one[1]:8.1f}   {one[2]:8.1f}  of {int(one[4]):,}"

        line(name, cells)
    line("all filters", lambda each: " ".join(f"{figure:8.1f}" for figure in over_all(each["filters"])))
    line("emwatch log --limit 50", lambda each: f"{each['process'][0]:8.1f} {each['process'][1]:8.1f}")
    for name in SUMMARIES:
        line(f"emwatch {name}", lambda each, name=name: f"{each['summaries'][name] or float('nan'):8.1f} s")  # type: ignore[misc]
    line(
        "emwatch log --csv", lambda each: f"{each['csv'][0]:8.1f} s, {each['csv'][1]:.0f} MB, {each['csv'][2]:,} lines"
    )
    line(f"reconcile {ON_DISK:,} files", lambda each: f"{each['reconcile']:8.1f} s")
    for kind in said["record"]:

        def costs(each: dict[str, Any], kind: str = kind) -> str:
            one = each["record"].get(kind)
            return "-" if one is None else f"{one[0]:8.2f} ms a frame, {one[1]:.2f} ms of processor"

        line(kind, costs)
    line("opened, migrated", lambda each: f"{each['opened']:8.1f} s")
    line("beside", lambda each: each["recorder"])


def over_all(filters: dict[str, Any]) -> tuple[float, float, float]:
    """Return the median of the filters' p50, the 95th percentile of their p95, and the slowest count."""
    columns = list(zip(*filters.values(), strict=True))
    return float(np.median(columns[0])), float(np.percentile(columns[1], 95)), max(columns[2])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--beside", metavar="PYTHON")
    parser.add_argument("--ledger", type=Path, metavar="FILE", help="take the rows from this file")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep the rows in this file")
    for part in ("--measure", "--record", "--record-on"):
        parser.add_argument(part, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.rows)))
    elif arguments.record:
        print(json.dumps(recording(arguments.record)))
    elif arguments.record_on:
        record_on(arguments.record_on)
    else:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            compare(Path(folder).resolve(), arguments)


def compare(folder: Path, arguments: argparse.Namespace) -> None:
    """Fill a ledger, ask this emwatch and the other one, and print both."""
    ledger, begun, rows = folder / "large.sqlite", time.perf_counter(), arguments.rows
    if arguments.ledger:
        shutil.copyfile(arguments.ledger, ledger)
    else:
        fill(ledger, rows)
    if arguments.keep:
        shutil.copyfile(ledger, arguments.keep)
    os.chdir(folder)  # each interpreter imports the emwatch that it has, not that of the present directory
    print(f"{rows:,} rows of revision {FILLED}, {ledger.stat().st_size / 1e6:.0f} MB, in {time.perf_counter() - begun:.0f} s", flush=True)  # fmt: skip
    other = None
    if arguments.beside:
        copy = folder / "other.sqlite"
        shutil.copyfile(ledger, copy)
        other = asked_of(arguments.beside, folder, copy, rows)
        copy.unlink()
    said = asked_of(sys.executable, folder, ledger, rows)
    show(said, other)
    print(f"{ledger.stat().st_size / 1e6:.0f} MB at the end")


if __name__ == "__main__":
    main()
