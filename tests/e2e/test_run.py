"""The main job, end to end: every file one row, nothing touched, nothing twice, the operator told at once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    import subprocess

    from conftest import Program

pytestmark = pytest.mark.slow


def picture_of(directory: Path) -> dict[str, tuple[str, int, int, int]]:
    """Everything that must not change: bytes, mtime, mode and size of every file, by name."""
    return {
        path.relative_to(directory).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
            path.stat().st_mode,
            path.stat().st_size,
        )
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def simulate(program: Program, *, frames: int, out: Path | None = None, **options: str) -> list[dict[str, object]]:
    manifest = program.home / "manifest.ndjson"
    program(
        "simulate",
        *(
            "--out",
            out or program.watched,
            "--frames",
            str(frames),
            "--rate",
            "0",
            "--manifest",
            manifest,
            "--seed",
            "7",
        ),
        *(word for name, value in options.items() for word in (f"--{name}", value)),
    )
    return [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]


@pytest.mark.timeout(600)  # with the ocr extra it reads the data bars of all frames, too
def test_every_real_file_has_exactly_one_row_nothing_is_touched_and_a_second_run_adds_none(
    emwatch: Program, real_frames: Path
) -> None:
    shutil.rmtree(emwatch.watched)
    shutil.copytree(real_frames, emwatch.watched)
    before = picture_of(emwatch.watched)

    emwatch("run", "--once")
    rows = emwatch.rows()

    assert sorted(Path(row["path"]).relative_to(emwatch.watched).as_posix() for row in rows) == sorted(before)
    assert picture_of(emwatch.watched) == before
    assert {row["path"] for row in rows if row["state"] == "failed"} == set()

    emwatch("run", "--once")

    assert emwatch.rows() == rows


def test_what_the_pretend_microscope_wrote_is_what_the_log_says(emwatch: Program) -> None:
    truth = {str(entry["path"]): entry for entry in simulate(emwatch, frames=12)}

    emwatch("run", "--once")
    rows = {row["path"]: row for row in emwatch.rows()}

    assert rows.keys() == truth.keys()
    for path, row in rows.items():
        assert row["state"] == "recorded"
        assert row["sha256"] == truth[path]["sha256"]
        assert row["magnification"] == pytest.approx(truth[path]["magnification"], rel=0.005)
        assert row["stage_tilt_deg"] == pytest.approx(truth[path]["stage_tilt_deg"], abs=0.06)
        assert sum(row["scores"].values()) == pytest.approx(1.0, abs=1e-4)


def test_bad_files_get_a_row_with_a_reason_and_the_rest_goes_on(emwatch: Program) -> None:
    simulate(emwatch, frames=2)
    good = sorted(emwatch.watched.iterdir())
    content = good[0].read_bytes()
    (emwatch.watched / "empty.tif").write_bytes(b"")
    (emwatch.watched / "half.tif").write_bytes(content[: len(content) // 2])
    (emwatch.watched / "notes.txt").write_text("not a frame", encoding="utf-8")
    (emwatch.watched / "damaged.tif").write_bytes(content[:8] + b"\xff" * (len(content) - 8))

    done = emwatch("run", "--once", expect=4)
    rows = {Path(row["path"]).name: row for row in emwatch.rows()}

    assert {name: row["state"] for name, row in rows.items()} == {
        **{path.name: "recorded" for path in good},
        "empty.tif": "failed",
        "half.tif": "failed",
        "notes.txt": "skipped",
        "damaged.tif": "failed",
    }
    assert rows["empty.tif"]["code"] == "empty"
    assert rows["half.tif"]["code"] == "truncated"
    assert all("half.tif" in line for line in done.stdout.splitlines() if "truncated" in line)

    (emwatch.watched / "half.tif").write_bytes(content + b"\0")
    emwatch("run", "--once")
    again = {Path(row["path"]).name: row for row in emwatch.rows()}

    assert again["half.tif"]["state"] == "recorded"
    assert len(again) == len(rows)


def test_a_live_frame_is_recorded_and_alerted_within_a_second_and_sigterm_ends_cleanly(emwatch: Program) -> None:
    drawn = emwatch.home / "drawn"
    simulate(emwatch, frames=3, out=drawn)
    told = emwatch.home / "told.ndjson"
    config = emwatch.home / "config.yaml"
    teller = emwatch.home / "tell.py"
    teller.write_text(
        "import pathlib, sys\nwith open(sys.argv[1], 'a') as told:\n    told.write(sys.stdin.read() + '\\n')\n",
        encoding="utf-8",
    )
    config.write_text(
        textwrap.dedent(f"""
            model: {{engine: stub}}
            targets:
              - {{name: anything, min_probability: 0, alerts: [terminal, phone]}}
            alerts:
              phone: {{kind: command, argv: ["{sys.executable}", "{teller}", "{told}"]}}
        """),
        encoding="utf-8",
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(os.fspath(emwatch.home / "notify"))
        manager.settimeout(60)
        daemon = emwatch.start("run", "--config", config, NOTIFY_SOCKET=os.fspath(emwatch.home / "notify"))
        try:
            assert daemon.stdout is not None
            assert manager.recv(4096).startswith(b"READY=1\n")
            lags = []
            for path in sorted(drawn.iterdir()):
                (emwatch.watched / path.name).write_bytes(path.read_bytes())
                closed = time.monotonic()
                lines = [daemon.stdout.readline(), daemon.stdout.readline()]
                lags.append(time.monotonic() - closed)
                assert any(line.startswith("HIT anything") for line in lines), lines
            # Not a benchmark: it fails when a frame has to wait for settling or for a sweep.
            assert sorted(lags)[1] < 1.0
            deadline = time.monotonic() + 20
            while len(told.read_text(encoding="utf-8").splitlines() if told.exists() else []) < 3:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            daemon.send_signal(signal.SIGTERM)
            assert b"STOPPING=1" in manager.recv(4096)

            assert daemon.wait(timeout=30) == 0
        finally:
            daemon.kill()
            daemon.communicate()
    assert emwatch("log", "--hits", "--count").stdout == "3\n"
    alerted = [json.loads(line) for line in told.read_text(encoding="utf-8").splitlines()]
    assert len({alert["key"] for alert in alerted}) == 3


@pytest.mark.parametrize("mode", ["atomic", "tmp-rename", "slow-write", "prealloc", "sidecar-late", "burst"])
@pytest.mark.parametrize("watching", ["events", "poll"])
def test_every_way_of_writing_ends_with_the_final_bytes_of_every_frame(
    emwatch: Program, mode: str, watching: str
) -> None:
    config = emwatch.home / "config.yaml"
    config.write_text(
        f"model: {{engine: stub}}\nwatch: {{mode: {watching}, sweep_seconds: 1}}\n",
        encoding="utf-8",
    )
    daemon = emwatch.start("run", "--config", config, "--plain")
    try:
        truth = simulate(emwatch, frames=6, mode=mode, rate="20")
        deadline = time.monotonic() + 80
        while int(emwatch("log", "--count").stdout if emwatch.ledger.exists() else 0) < 6:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=30)
    finally:
        daemon.kill()
    rows = {row["path"]: row["sha256"] for row in emwatch.rows() if row["state"] == "recorded"}

    assert rows == {entry["path"]: entry["sha256"] for entry in truth}


def test_frames_there_at_the_first_start_are_a_baseline_when_only_new_ones_are_wanted(emwatch: Program) -> None:
    simulate(emwatch, frames=3)
    config = emwatch.home / "config.yaml"
    config.write_text("model: {engine: stub}\nwatch: {catch_up: new}\n", encoding="utf-8")
    time.sleep(0.5)  # what came in the last moment before the start may count as live

    emwatch("run", "--once", "--config", config)

    assert [row["state"] for row in emwatch.rows()] == ["baseline"] * 3

    shutil.copy(next(emwatch.watched.iterdir()), emwatch.watched / "new.tif")
    emwatch("run", "--once", "--config", config)

    assert sorted(row["state"] for row in emwatch.rows()) == ["baseline", "baseline", "baseline", "recorded"]


def test_a_ledger_inside_the_watched_directory_is_refused(emwatch: Program) -> None:
    done = emwatch("run", "--once", "--ledger", emwatch.watched / "ledger.sqlite3", expect=78)

    assert "never writes" in done.stderr
    assert list(emwatch.watched.iterdir()) == []


def test_a_second_daemon_on_the_same_ledger_is_refused(emwatch: Program) -> None:
    daemon = emwatch.start("run", "--engine", "stub", "--plain")
    try:
        assert daemon.stderr is not None
        while "ready" not in daemon.stderr.readline():
            assert daemon.poll() is None

        assert "already uses this ledger" in emwatch("run", "--once", expect=1).stderr
    finally:
        daemon.terminate()
        daemon.communicate()


def wait_for_rows(program: Program, count: int) -> None:
    deadline = time.monotonic() + 60
    while int(program("log", "--count").stdout if program.ledger.exists() else 0) < count:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def wait_until_ready(daemon: subprocess.Popen[str]) -> None:
    assert daemon.stderr is not None
    while "ready" not in (line := daemon.stderr.readline()):
        assert line, "the daemon ended before it was ready"


def test_a_hangup_looks_everywhere_and_a_reader_that_leaves_costs_no_frame(emwatch: Program) -> None:
    drawn = emwatch.home / "drawn"
    simulate(emwatch, frames=2, out=drawn)
    first, second = sorted(drawn.iterdir())
    config = emwatch.home / "config.yaml"
    config.write_text("model: {engine: stub}\nwatch: {mode: poll, sweep_seconds: 3600}\n", encoding="utf-8")
    daemon = emwatch.start("run", "--config", config)
    try:
        wait_until_ready(daemon)
        assert daemon.stdout is not None
        daemon.stdout.close()
        for path, count in ((first, 1), (second, 2)):
            shutil.copy(path, emwatch.watched)
            daemon.send_signal(signal.SIGHUP)
            wait_for_rows(emwatch, count)
        daemon.send_signal(signal.SIGTERM)

        assert daemon.wait(timeout=30) == 0
    finally:
        daemon.kill()
        daemon.wait()
        assert daemon.stderr is not None
        daemon.stderr.close()


def test_a_directory_behind_a_link_is_watched_by_events_and_kept_free_of_the_ledger(emwatch: Program) -> None:
    drawn = emwatch.home / "drawn"
    simulate(emwatch, frames=1, out=drawn)
    link = emwatch.home / "link"
    link.symlink_to(emwatch.watched, target_is_directory=True)

    emwatch("run", "--once", emwatch.watched, "--ledger", link / "ledger.sqlite3", "--engine", "stub", expect=78)
    assert list(emwatch.watched.iterdir()) == []

    daemon = emwatch.start("run", link, "--engine", "stub")
    try:
        wait_until_ready(daemon)
        shutil.copy(next(drawn.iterdir()), emwatch.watched)
        began = time.monotonic()
        wait_for_rows(emwatch, 1)

        assert time.monotonic() - began < 15, "only the sweep found it"
    finally:
        daemon.terminate()
        daemon.communicate()


def test_status_tells_how_the_daemon_is_while_it_runs_and_after(emwatch: Program) -> None:
    emwatch("status", expect=3)
    daemon = emwatch.start("run", "--engine", "stub", "--plain")
    try:
        assert daemon.stderr is not None
        while "ready" not in (line := daemon.stderr.readline()):
            assert line
        asked = json.loads(emwatch("status", "--json").stdout)
        assert "watching" in emwatch("status").stdout
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=30)
    after = json.loads(emwatch("status", "--json", expect=3).stdout)

    assert (asked["running"], asked["pid"], asked["state"]) == (True, daemon.pid, "watching")
    assert asked["model"]["engine"] == "stub"
    assert (after["running"], after["state"]) == (False, "not running")


def test_a_directory_that_is_not_there_at_the_start_is_told_of_once(emwatch: Program) -> None:
    missing = emwatch.home / "not mounted yet"
    daemon = emwatch.start("run", "--engine", "stub", "--plain", missing)
    told: list[str] = []
    try:
        assert daemon.stderr is not None
        while not told or "ready" not in told[-1]:
            told.append(daemon.stderr.readline())
            assert told[-1]
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=30)

    assert sum(" warning " in line or " error " in line for line in told) == 1


def test_an_archive_raises_no_alert_is_summed_up_once_and_is_recorded_with_its_hits(emwatch: Program) -> None:
    alerts = emwatch.home / "alerts"
    config = emwatch.home / "config.yaml"
    config.write_text(
        "model: {engine: stub}\ntargets: [{name: any, min_probability: 0, alerts: [horn]}]\n"
        f"alerts: {{horn: {{kind: command, argv: [/bin/sh, -c, 'echo \"$0\" >> {alerts}', '{{path}}']}}}}\n",
        encoding="utf-8",
    )
    for number in range(5):
        path = emwatch.watched / f"{number}.png"
        Image.fromarray(np.random.default_rng(number).integers(1, 255, (64, 64), np.uint8)).save(path)
        if number:
            os.utime(path, (time.time() - 40 * 86400,) * 2)
    done = emwatch("run", "--once", "--plain", "--config", config)

    assert alerts.read_text().splitlines() == [str(emwatch.watched / "0.png")]
    assert (done.stdout + done.stderr).count("raised no alert") == 1
    assert "4 frames that meet a target raised no alert" in done.stdout + done.stderr
    assert len(emwatch.rows("--hits")) == 5
