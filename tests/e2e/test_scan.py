"""``emwatch scan``: years of frames into a ledger, stopped, killed and gone on with, on this machine and on a cluster."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

FRAMES = 60


@pytest.fixture(name="drawn", scope="module")
def _drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six frames of the simulator."""
    folder = tmp_path_factory.mktemp("drawn")
    asked = ["simulate", "--out", str(folder), "--frames", "6", "--rate", "0", "--seed", "3"]
    subprocess.run([sys.executable, "-m", "emwatch", *asked], check=True, capture_output=True)
    return sorted(folder.iterdir())


@pytest.fixture(name="archive")
def _archive(emwatch: Program, drawn: list[Path]) -> Path:
    """Sixty frames, none like another, and a text that is none, all of years ago."""
    archive = emwatch.home / "archive"
    archive.mkdir()
    for number in range(FRAMES):
        original = drawn[number % len(drawn)]
        (archive / f"{number:02}-{original.name}").write_bytes(original.read_bytes() + bytes([number]))
    (archive / "notes.txt").write_text("no frame", encoding="utf-8")
    for path in archive.iterdir():
        os.utime(path, (1_700_000_000, 1_700_000_000))
    config = emwatch.home / "config.yaml"
    config.write_text("targets: [{name: anything, min_probability: 0.01}]\n", encoding="utf-8")
    emwatch.watched.mkdir(exist_ok=True)
    return archive


def scanned(program: Program, archive: Path, *arguments: str, expect: int = 0) -> dict[str, Any]:
    done = program(
        "scan",
        archive,
        "--engine",
        "stub",
        "--json",
        "--config",
        program.home / "config.yaml",
        *arguments,
        expect=expect,
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def states(program: Program) -> dict[str, tuple[str, int]]:
    """Of each file name: its state, and how many rows it has."""
    connection = sqlite3.connect(f"{program.ledger.as_uri()}?mode=ro", uri=True)
    found = {
        Path(path).name: (state, count)
        for path, state, count in connection.execute("SELECT path, state, count(*) FROM frames GROUP BY path")
    }
    connection.close()
    return found


def assert_complete(program: Program, archive: Path) -> None:
    found = states(program)
    assert set(found) == {path.name for path in archive.rglob("*") if path.is_file()}
    assert {count for _state, count in found.values()} == {1}
    assert sum(state == "recorded" for state, _count in found.values()) == FRAMES


def test_an_archive_is_recorded_with_its_hits_and_raises_no_alert(emwatch: Program, archive: Path) -> None:
    first = scanned(emwatch, archive, "--workers", "2")
    assert (first["recorded"], first["skipped"], first["failed"], first["finished"]) == (FRAMES, 1, 0, True)
    assert first["hits"] > 0
    assert_complete(emwatch, archive)
    assert json.loads(emwatch("alerts", "list", "--json", expect=3).stdout)["alerts"] == []
    hits = json.loads(emwatch("log", "--hits", "--json", "--limit", "1000").stdout)
    assert len(hits) == first["hits"]
    assert scanned(emwatch, archive)["recorded"] == 0


@pytest.mark.parametrize(
    ("how", "times"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGINT, 5), (signal.SIGKILL, 1)]
)
def test_a_scan_that_ends_early_goes_on_with_the_rest_and_leaves_no_process(
    emwatch: Program, archive: Path, how: signal.Signals, times: int
) -> None:
    process = emwatch.start("scan", archive, "--engine", "stub", "--workers", "2")
    _wait_for(lambda: emwatch.ledger.exists() and len(_states_or_none(emwatch)) >= 16)
    children = psutil.Process(process.pid).children(recursive=True)
    for _ in range(times):  # by somebody who does not wait for the first Ctrl-C to be heard
        process.send_signal(how)
        time.sleep(0.05)
    process.communicate(timeout=30)
    assert not psutil.wait_procs(children, timeout=30)[1]
    scanned(emwatch, archive)
    assert_complete(emwatch, archive)


def test_a_place_named_twice_is_recorded_once(emwatch: Program, archive: Path) -> None:
    link = emwatch.home / "link"
    link.symlink_to(archive)
    done = scanned(emwatch, archive, str(archive / ".." / archive.name), str(link))
    assert (done["recorded"], done["skipped"]) == (FRAMES, 1)
    assert_complete(emwatch, archive)


def test_a_worker_that_is_killed_costs_no_frame(emwatch: Program, archive: Path) -> None:
    process = emwatch.start("scan", archive, "--engine", "stub", "--workers", "2")
    _wait_for(lambda: emwatch.ledger.exists() and len(_states_or_none(emwatch)) >= 16)
    workers = [each for each in psutil.Process(process.pid).children() if "spawn_main" in " ".join(each.cmdline())]
    workers[0].kill()
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert_complete(emwatch, archive)


def test_a_place_that_is_not_there_is_not_called_watched(emwatch: Program) -> None:
    (emwatch.home / "file").touch()
    for name, why in (("none-such", "No such file or directory"), ("file", "Not a directory")):
        told = emwatch("scan", emwatch.home / name, "--engine", "stub", expect=1).stderr
        assert f"{name}: the directory is not available: {why}" in told


def test_two_places_to_work_are_refused(emwatch: Program, archive: Path) -> None:
    done = emwatch("scan", archive, "--workers", "2", "--dask", "tcp://127.0.0.1:9", expect=2)
    assert "choose one" in done.stderr


class Cluster:
    """A scheduler and two workers of Dask, each in its own process."""

    def __init__(self, home: Path, environ: dict[str, str]) -> None:
        self._environ = environ
        self._file = home / "scheduler.json"
        self.scheduler = self._start(
            "scheduler", "--no-dashboard", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(self._file)
        )
        _wait_for(self._file.exists)
        self.address: str = json.loads(self._file.read_text(encoding="utf-8"))["address"]
        self.workers = [
            self._start(
                "worker",
                self.address,
                "--no-dashboard",
                "--no-nanny",
                "--nthreads",
                "1",
                "--local-directory",
                str(home),
            )
            for _ in range(2)
        ]

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]],
            env=self._environ,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@contextmanager
def cluster(program: Program) -> Iterator[Cluster]:
    pytest.importorskip("distributed")
    made = Cluster(program.home, program.environ)
    try:
        yield made
    finally:
        made.stop()


def test_a_cluster_records_the_same_rows_also_when_it_loses_a_worker(emwatch: Program, archive: Path) -> None:
    with cluster(emwatch) as dask:
        process = emwatch.start("scan", archive, "--engine", "stub", "--dask", dask.address)
        _wait_for(lambda: emwatch.ledger.exists() and len(_states_or_none(emwatch)) >= 16)
        dask.workers[0].kill()
        process.communicate(timeout=120)
    assert process.returncode == 0
    assert_complete(emwatch, archive)


def test_a_cluster_that_goes_away_is_told_and_the_scan_goes_on_elsewhere(emwatch: Program, archive: Path) -> None:
    with cluster(emwatch) as dask:
        process = emwatch.start("scan", archive, "--engine", "stub", "--dask", dask.address)
        _wait_for(lambda: emwatch.ledger.exists() and len(_states_or_none(emwatch)) >= 16)
        dask.stop()
        _out, told = process.communicate(timeout=120)
    assert process.returncode == 1, told
    assert "goes on from here" in told
    scanned(emwatch, archive)
    assert_complete(emwatch, archive)


def test_an_address_without_a_scheduler_is_told(emwatch: Program, archive: Path) -> None:
    pytest.importorskip("distributed")
    done = emwatch("scan", archive, "--engine", "stub", "--dask", "tcp://127.0.0.1:9", expect=1)
    assert "tcp://127.0.0.1:9: no Dask scheduler answers there" in done.stderr


def test_an_address_that_is_none_is_told_in_one_line(emwatch: Program, archive: Path) -> None:
    pytest.importorskip("distributed")
    process = emwatch.start("scan", archive, "--engine", "stub", "--dask", "head")
    _out, told = process.communicate(timeout=120)
    assert process.returncode == 1
    assert told.startswith("error: head: no Dask scheduler answers there")
    assert told.count("\n") == 1


def _states_or_none(program: Program) -> dict[str, tuple[str, int]]:
    try:
        return states(program)
    except sqlite3.OperationalError:  # its tables are being made
        return {}


def _wait_for(met: Any, seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
