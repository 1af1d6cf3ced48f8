"""Another model without a restart: nothing is lost, every row names the model that made it, memory comes back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest
import yaml

from emwatch.classify.bundles.bundle import default_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Program

pytestmark = pytest.mark.slow

#: One more model in memory takes about 60 MB.
HALF_A_MODEL_MB = 30


def another(program: Program, name: str) -> Path:
    """A bundle like the shipped one under another name, and so with another sha256."""
    directory = program.home / name
    shutil.copytree(default_directory(), directory)
    card = yaml.safe_load((directory / "card.yaml").read_text(encoding="utf-8"))
    card["name"] = name
    (directory / "card.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    return directory


def wait_for(program: Program, *words: str) -> None:
    """Wait until the daemon's log has a line with all the words."""
    deadline = time.monotonic() + 60
    while not any(all(word in line for word in words) for line in log(program)):
        assert time.monotonic() < deadline, "\n".join(log(program))
        time.sleep(0.05)


def log(program: Program) -> list[str]:
    return (program.home / "log").read_text(encoding="utf-8").splitlines()


@pytest.fixture(name="daemon")
def _daemon(emwatch: Program) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "emwatch", "run", "--plain"]
    with (emwatch.home / "log").open("w") as told:
        process = subprocess.Popen(command, env=emwatch.environ, stdout=subprocess.DEVNULL, stderr=told, text=True)
    try:
        wait_for(emwatch, "ready")
        yield process
    finally:
        process.kill()
        process.wait()


def test_frames_go_on_while_models_change_and_every_row_names_its_own(
    emwatch: Program, daemon: subprocess.Popen[str]
) -> None:
    second = another(emwatch, "second")
    manifest = emwatch.home / "manifest.ndjson"
    microscope = emwatch.start(
        "simulate", "--quiet", "--out", emwatch.watched, "--frames", "60", "--rate", "6", "--manifest", manifest
    )
    while len(list(emwatch.watched.iterdir())) < 5:
        time.sleep(0.05)

    before, after = (
        json.loads(emwatch("model", *words, "--json").stdout)["sha256"] for words in (("info",), ("activate", second))
    )
    wait_for(emwatch, "model in use from now on: second", "before: default")
    assert microscope.poll() is None, "the microscope was to write before and after the change"
    microscope.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while len(rows := emwatch.rows()) < 60:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    daemon.send_signal(signal.SIGTERM)

    assert daemon.wait(timeout=30) == 0
    assert {row["bundle_sha256"] for row in rows} == {before, after}
    made_by = [row["bundle_sha256"] for row in sorted(rows, key=lambda row: row["id"])]
    assert made_by == sorted(made_by, key=[before, after].index), "a row after the change names the model before it"
    written = {json.loads(line)["path"] for line in manifest.read_text(encoding="utf-8").splitlines()}
    assert {row["path"] for row in rows} == written
    assert len({row["path"] for row in rows}) == 60
    assert {row["state"] for row in rows} == {"recorded"}


def test_a_model_that_fails_is_told_once_and_the_old_one_goes_on(
    emwatch: Program,
    daemon: subprocess.Popen[str],  # noqa: ARG001 - it runs
) -> None:
    used = json.loads(emwatch("model", "info", "--json").stdout)["sha256"]
    emwatch("model", "import", another(emwatch, "spoilt"))
    [spoilt] = [each for each in (emwatch.home / "state" / "models").iterdir() if each.name.startswith("spoilt")]
    emwatch("model", "activate", "spoilt")
    wait_for(emwatch, "model in use from now on: spoilt")
    emwatch("model", "rollback")
    wait_for(emwatch, "model in use from now on: default")
    os.truncate(spoilt / "backbone.tflite", 1000)
    # By hand, as no command would do it.
    pointer = emwatch.home / "state" / "models" / "active.json"
    entry = json.loads(pointer.read_text(encoding="utf-8"))
    sha256 = json.loads(emwatch("model", "list", "--json").stdout)["bundles"][1]["sha256"]
    entry["active"] |= {"name": "spoilt", "folder": spoilt.name, "sha256": sha256}
    pointer.write_text(json.dumps(entry), encoding="utf-8")
    wait_for(emwatch, "error", "backbone.tflite is not the file", "default", "stays in use")

    drawn = emwatch.home / "drawn"
    emwatch("simulate", "--out", drawn, "--frames", "3", "--rate", "0")
    for path in drawn.iterdir():
        shutil.copy(path, emwatch.watched)
    deadline = time.monotonic() + 60
    while int(emwatch("log", "--count").stdout) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(5)  # the time of two more looks

    assert {row["bundle_sha256"] for row in emwatch.rows()} == {used}
    assert sum("stays in use" in line for line in log(emwatch)) == 1


def test_the_memory_of_models_that_were_exchanged_comes_back(emwatch: Program, daemon: subprocess.Popen[str]) -> None:
    second = another(emwatch, "second")
    emwatch("model", "activate", second)
    wait_for(emwatch, "model in use from now on: second")
    process = psutil.Process(daemon.pid)
    first_mb, threads = process.memory_info().rss / 1e6, process.num_threads()
    for number in range(6):
        name = ("default", "second")[number % 2]
        seen = sum(f"from now on: {name}" in line for line in log(emwatch))
        emwatch("model", "activate", name)
        deadline = time.monotonic() + 60
        while sum(f"from now on: {name}" in line for line in log(emwatch)) == seen:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    time.sleep(1)
    last_mb = process.memory_info().rss / 1e6
    print(
        f"resident before six exchanges {first_mb:.0f} MB, after {last_mb:.0f} MB, threads {threads}, {process.num_threads()}"
    )

    assert last_mb - first_mb < HALF_A_MODEL_MB
    assert process.num_threads() <= threads + 1
