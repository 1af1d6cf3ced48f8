"""The ledger's own troubles: a full disk, another program's lock, damage, a kill while its tables are brought up to date."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import frames
import pytest
from rig import FULL, mounted, sized

from emwatch.ledger import schema
from emwatch.ledger.care.check import check
from emwatch.ledger.care.replacement import set_aside_files
from emwatch.service.status_file import read_status_file

if TYPE_CHECKING:
    from pathlib import Path

    from rig import Rig

pytestmark = [pytest.mark.fault, pytest.mark.timeout(900)]


def as_text(truth: dict[Path, str]) -> dict[str, str]:
    return {os.fspath(path): sha256 for path, sha256 in truth.items()}


def wanted(truth: dict[Path, str]) -> list[str]:
    return [os.fspath(path) for path in truth if int(path.stem[-6:]) % len(frames.CATEGORIES) == 4]


def problems(path: Path) -> list[str]:
    return [f"{each.what}: {each.problems}" for each in check(path, full=True) if each.problems]


def nothing_waits(rig: Rig) -> bool:
    return rig.query("SELECT count(*) FROM alerts WHERE state = 'pending'") == [(0,)]


def test_a_full_disk_stops_recording_says_so_once_and_loses_nothing(rig: Rig) -> None:
    number, disk = sized(600, 2000), rig.home / "disk"
    with mounted("tmpfs", "tmpfs", disk, "size=12m"):
        ballast = disk / "ballast"
        daemon = rig.start("--ledger", os.fspath(disk / "ledger.sqlite3")).wait_until_ready()
        free = os.statvfs(disk)
        ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - 600_000)))
        truth = frames.write(rig.watched, range(number))
        rig.wait_for(lambda: bool(daemon.heard("the disk is full")), 120)
        time.sleep(6)
        assert daemon.alive
        told = read_status_file(disk / "ledger.sqlite3")
        assert told is not None
        assert "the disk is full" in told["ledger_trouble"]
        ballast.unlink()
        began = time.monotonic()
        question = "SELECT count(*) FROM frames WHERE state = 'recorded'"

        def ask(statement: str) -> list[tuple[object, ...]]:
            with closing(sqlite3.connect(f"file:{disk / 'ledger.sqlite3'}?mode=ro", uri=True, timeout=10)) as ledger:
                return ledger.execute(statement).fetchall()

        rig.wait_for(lambda: ask(question) == [(number,)], 200)
        rig.wait_for(lambda: ask("SELECT count(*) FROM alerts WHERE state <> 'delivered'") == [(0,)])
        took_s = time.monotonic() - began
        assert daemon.stop() == 0
        assert ask("SELECT count(*) FROM alerts") == [(len(wanted(truth)),)]
        assert problems(disk / "ledger.sqlite3") == []
        said = daemon.heard("the disk is full")
    announced = rig.announced.read_text(encoding="utf-8").splitlines()
    print(f"{number} frames: all recorded {took_s:.1f} s after the disk had room; told {len(said)} times")
    assert len([line for line in said if "no frame is recorded until" in line]) == 1
    assert len([line for line in announced if "the disk is full" in line]) == 1
    assert len(daemon.heard("info    the ledger can be used again")) == 1


def test_another_program_that_locks_the_ledger_costs_time_and_no_frame_and_readers_go_on(rig: Rig) -> None:
    number, held_s = sized(100, 500), sized(12, 30)
    daemon = rig.start().wait_until_ready()
    first = frames.write(rig.watched, range(10))
    rig.wait_for_count(10)
    took: list[float] = []
    failed: list[str] = []
    enough = threading.Event()

    def read() -> None:
        while not enough.is_set():
            began = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-m", "emwatch", "log", "--count", "--config", rig.config],
                env=rig.program.environ,
                capture_output=True,
                text=True,
                check=False,
            )
            took.append(time.monotonic() - began)
            if done.returncode != 0:
                failed.append(done.stderr)

    reader = threading.Thread(target=read)
    with closing(sqlite3.connect(rig.ledger, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # in WAL, EXCLUSIVE is no more than this to those who read
        reader.start()
        truth = frames.write(rig.watched, range(10, number))
        time.sleep(held_s)
        other.execute("ROLLBACK")
    began = time.monotonic()
    rig.wait_for_count(number)
    rig.wait_for(lambda: nothing_waits(rig))
    enough.set()
    reader.join()
    took_s = time.monotonic() - began
    # Beside the running daemon: the proof that nothing is missing, and a backup that is whole.
    assert "complete" in rig.program("reconcile", "--config", rig.config, "--grace", "0").stdout.splitlines()[-1]
    rig.program("db", "backup", "--config", rig.config)
    rig.program("db", "verify", "--config", rig.config)
    refused = rig.program("db", "repair", "--config", rig.config, expect=1)
    assert f"emwatch runs on this ledger (process {daemon.process.pid})" in refused.stderr
    assert daemon.stop() == 0
    truth |= first
    rig.assert_complete(as_text(truth), alerts=wanted(truth))
    print(
        f"locked {held_s} s, {number} frames: all recorded {took_s:.1f} s after; {len(took)} readers meanwhile, "
        f"median {statistics.median(took):.2f} s, none failed"
    )
    assert failed == []


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize(("call", "first"), [("fdatasync", 30), ("pwrite64", 400)])  # beyond the making of the tables
def test_a_disk_that_fails_for_a_while_costs_no_frame(rig: Rig, call: str, first: int) -> None:
    number = 60
    strace = [str(shutil.which("strace")), "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}"]
    truth = frames.write(rig.watched, range(number))
    daemon = rig.start(wrapped=[*strace, "-e", f"inject={call}:error=EIO:when={first}..{first + 3}"]).wait_until_ready()
    rig.wait_for_count(number)
    rig.wait_for(lambda: nothing_waits(rig))
    assert daemon.heard("the disk does not take it"), "no error was injected"
    daemon.stop()
    assert set_aside_files(rig.ledger) == []
    rig.assert_complete(as_text(truth), alerts=wanted(truth))
    print(f"{call} failed four times: {number} frames recorded")


def damage(path: Path, how: str, dice: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if how == "zeroed":
        content = bytearray(len(content))
    elif how == "cut":
        del content[len(content) // 2 :]
    else:
        for _ in range(3):
            at = 4096 * dice.randrange(2, len(content) // 4096)
            content[at : at + 4096] = dice.randbytes(4096)
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["zeroed", "cut", "overwritten"])
def test_a_damaged_ledger_never_stops_the_work_and_repeats_no_alert(rig: Rig, how: str) -> None:
    number, seeds = 60, sized(2, 7)
    truth = frames.write(rig.watched, range(number))
    time.sleep(0.1)
    assert rig.once().returncode == 0
    whole = rig.ledger.read_bytes()
    told = rig.told.read_text(encoding="utf-8")
    assert len(told.split()) == len(wanted(truth))
    ready: list[float] = []
    for seed in range(seeds):
        shutil.rmtree(rig.ledger.parent)
        rig.ledger.parent.mkdir()
        rig.ledger.write_bytes(whole)
        damage(rig.ledger, how, random.Random(seed))
        damaged = rig.ledger.read_bytes()
        daemon = rig.start().wait_until_ready(30)
        ready.append(daemon.ready_s or 0.0)
        rig.wait_for_count(number)
        late = frames.write(rig.watched, range(1000 + seed * 10, 1010 + seed * 10))
        rig.wait_for_count(len(truth) + len(late))
        rig.wait_for(lambda: nothing_waits(rig))
        assert daemon.stop() == 0
        truth |= late
        number = len(truth)
        aside = set_aside_files(rig.ledger)
        if aside:  # else only pages were hit that hold nothing
            assert aside[0].read_bytes() == damaged
            assert len(daemon.heard("moved aside")) == 1
        assert problems(rig.ledger) == []
        told_now = rig.told.read_text(encoding="utf-8")
        assert told_now.startswith(told)
        new = told_now[len(told) :].split()
        assert len(new) == len(set(new)) == len(wanted(late)), "an alert was repeated, or lost"
        told = told_now
        repaired = rig.program("db", "repair", "--config", rig.config, expect=repair_exit(rig))
        assert problems(rig.ledger) == []
        assert {path for path, _ in rig.rows()} == set(as_text(truth)), repaired.stdout
        whole = rig.ledger.read_bytes()
    print(f"{how}: {seeds} seeds, ready after {max(ready):.1f} s at most, no alert repeated, evidence kept")


def repair_exit(rig: Rig) -> int:
    """What `db repair` says: 5 where something could not be read. It only has to be one of both."""
    copy = rig.home / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(rig.ledger.parent, copy)
    done = subprocess.run(
        [sys.executable, "-m", "emwatch", "db", "repair", "--ledger", copy / rig.ledger.name],
        env=rig.program.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 5), done.stderr
    return done.returncode


MIGRATE = """
import sys
from pathlib import Path
from emwatch.ledger.writer import Ledger
Ledger(Path(sys.argv[1])).close()
"""
OLD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from emwatch.ledger.database import ledger_errors, writing_engine
from emwatch.ledger.care.upgrade import bring_up_to_date
path = Path(sys.argv[1])
engine = writing_engine(path)
with ledger_errors(path), engine.connect() as connection:
    bring_up_to_date(connection, path, datetime.now(UTC), revision=sys.argv[2])
    driver = connection.connection.driver_connection
    for number in range(40):
        driver.execute(
            "INSERT INTO frames (path, sha256, state, first_seen_at, recorded_at) VALUES (?, ?, 'recorded', ?, ?)",
            (f"/acq/{number}", f"{number}", "2026-01-01T00:00:00.000000+00:00", "2026-01-01T00:00:00.000000+00:00"),
        )
engine.dispose()
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("revision", [f"{number:04}" for number in range(1, int(schema.REVISION))])
def test_killed_at_any_write_of_a_migration_the_ledger_is_of_before_or_of_after(tmp_path: Path, revision: str) -> None:
    old = tmp_path / "old" / "ledger.sqlite3"
    old.parent.mkdir()
    subprocess.run([sys.executable, "-c", OLD, old, revision], check=True)
    calls = "pwrite64,fdatasync,fsync,ftruncate,rename,unlink"
    strace = [shutil.which("strace"), "-f", "-qq", "-e", f"trace={calls}"]
    trace = tmp_path / "trace"
    shutil.copytree(old.parent, tmp_path / "whole")
    subprocess.run(
        [*strace, "-o", trace, sys.executable, "-c", MIGRATE, tmp_path / "whole" / old.name], check=True, timeout=60
    )
    made = [line.split("(")[0].split()[-1] for line in trace.read_text().splitlines() if "(" in line]
    points = [(call, at + 1) for call in sorted(set(made)) for at in range(made.count(call))]
    tried = points if FULL else random.Random(3).sample(points, min(len(points), 8))
    killed = 0
    for call, at in tried:
        folder = tmp_path / "try"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(old.parent, folder)
        inject = ["-e", f"inject={call}:signal=SIGKILL:when={at}"]
        done = subprocess.run(
            [*strace, "-o", os.devnull, *inject, sys.executable, "-c", MIGRATE, folder / old.name],
            check=False,
            capture_output=True,
            timeout=60,
        )
        killed += done.returncode != 0
        with closing(sqlite3.connect(folder / old.name)) as ledger:
            found = ledger.execute("SELECT version_num FROM alembic_version").fetchone()[0]
            assert ledger.execute("SELECT count(*) FROM frames").fetchone() == (40,)
            assert ledger.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert found in (revision, schema.REVISION), "a revision in between"
        subprocess.run([sys.executable, "-c", MIGRATE, folder / old.name], check=True)
        assert set_aside_files(folder / old.name) == []
        with closing(sqlite3.connect(folder / old.name)) as ledger:
            assert ledger.execute("SELECT version_num FROM alembic_version").fetchone() == (schema.REVISION,)
            assert ledger.execute("SELECT count(*) FROM frames").fetchone() == (40,)
    print(f"from {revision}: {len(points)} writes, killed at {killed} of {len(tried)} tried")
    assert killed >= len(tried) * 0.9


@pytest.mark.parametrize("how", ["deleted", "folder deleted", "moved", "replaced by its backup"])
def test_a_ledger_lost_under_a_running_daemon_is_whole_again_and_told_on_the_channels(rig: Rig, how: str) -> None:
    daemon = rig.start().wait_until_ready()
    truth = frames.write(rig.watched, range(100))
    rig.wait_for_count(100)
    rig.wait_for(rig.all_alerts_told)
    if how == "deleted":
        for suffix in ("", "-wal", "-shm"):
            rig.ledger.with_name(rig.ledger.name + suffix).unlink()
    elif how == "folder deleted":
        shutil.rmtree(rig.ledger.parent)
    elif how == "moved":
        rig.ledger.parent.rename(rig.ledger.parent.with_name("away"))
    else:
        rig.program("db", "backup", "--config", rig.config)
        [backup] = (rig.ledger.parent / "backups").iterdir()
        backup.replace(rig.ledger)
    began = time.monotonic()
    rig.wait_for(lambda: bool(daemon.heard("deleted, moved or replaced") + daemon.heard("took its place")), 20)
    noticed_s = time.monotonic() - began
    truth |= frames.write(rig.watched, range(100, 200))
    rig.wait_for_count(200)
    rig.wait_for(rig.all_alerts_told)
    announced = rig.announced.read_text(encoding="utf-8").splitlines()
    assert len([line for line in announced if "while emwatch had it open" in line]) == 1
    assert daemon.stop() == 0
    repeated = rig.assert_complete(as_text(truth), alerts=wanted(truth))
    assert problems(rig.ledger) == []
    print(f"{how}: noticed after {noticed_s:.1f} s, 200 frames, {repeated} alerts repeated")
    assert repeated == 0
