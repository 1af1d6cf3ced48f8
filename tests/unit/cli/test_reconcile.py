"""`emwatch reconcile` as an operator runs it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from emwatch.frame import FrameState, Outcome, StatKey
from emwatch.ledger.writer import Ledger

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(name="emwatch")
def _emwatch(emwatch_here: Run) -> Run:
    return emwatch_here


@pytest.fixture(name="watched")
def _watched(tmp_path: Path) -> Path:
    watched = tmp_path / "frames"
    (watched / "day").mkdir(parents=True)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        for name in ("a.tif", "day/b.tif"):
            (watched / name).write_text(name)
            key = StatKey.of((watched / name).stat())
            ledger.record(Outcome(watched / name, FrameState.RECORDED, key, name), datetime.now(UTC))
    return watched


def test_it_ends_with_0_only_if_nothing_is_missing(emwatch: Run, watched: Path, tmp_path: Path) -> None:
    asked = ("reconcile", watched, "--ledger", tmp_path / "ledger.sqlite", "--grace", "0")
    whole = emwatch(*asked)
    (watched / "day" / "esc\x1b[31m.tif").write_text("new")
    (watched / "hidden.part").write_text("not wanted")
    lacking = emwatch(*asked)

    assert (whole.returncode, whole.stderr) == (0, "")
    assert whole.stdout.endswith(": complete (by size and times; --deep compares contents)\n")
    assert lacking.returncode == 5
    assert f"missing     {watched}/day/esc\\x1b[31m.tif\n" in lacking.stdout
    assert "           1  missing     NOT in the ledger" in lacking.stdout
    assert "\x1b" not in lacking.stdout


def test_a_directory_of_which_no_file_is_looked_at_is_not_called_complete(
    emwatch: Run, watched: Path, tmp_path: Path
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(f"watch: {{directory: {watched}, include: '*.bmp'}}")
    ended = emwatch("reconcile", "--config", config, "--ledger", tmp_path / "ledger.sqlite")

    assert ended.returncode == 0
    assert "nothing to check: no file there that watch.include" in ended.stdout
    assert "complete" not in ended.stdout


def test_a_file_that_failed_is_told_apart_from_complete(emwatch: Run, watched: Path, tmp_path: Path) -> None:
    failed = watched / "c.tif"
    failed.write_text("c")
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        key = StatKey.of(failed.stat())
        outcome = Outcome(failed, FrameState.FAILED, key, code="reader-died", reason="was still busy after 50 s")
        ledger.record(outcome, datetime.now(UTC))
    done = emwatch("reconcile", watched, "--ledger", tmp_path / "ledger.sqlite", "--grace", "0")

    assert done.returncode == 0
    assert done.stdout.endswith(
        ": complete, but for 1 file that failed, with no frame recorded (by size and times; --deep compares contents)\n"
    )


def test_a_folder_below_a_watched_one_is_held_to_its_rules(emwatch: Run, watched: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        f"watch: {{directory: {watched}, include: ['day/*.tif']}}\nledger: {{path: {tmp_path / 'ledger.sqlite'}}}\n"
    )
    (watched / "day" / "c.tif").write_text("new")
    (watched / "day" / "c.txt").write_text("not wanted")
    done = emwatch("reconcile", watched / "day", "--config", config, "--json", "--grace", "0")
    document = json.loads(done.stdout)

    assert done.returncode == 5
    assert document["files"] == [{"path": f"{watched}/day/c.tif", "verdict": "missing", "reason": ""}]
    assert document["counts"]["recorded"] == 1
    assert (document["complete"], document["gone"]) == (False, 0)
    young = json.loads(emwatch("reconcile", "--config", config, "--json").stdout)
    assert [each["verdict"] for each in young["files"]] == ["waiting"]
    assert young["complete"]


def test_without_a_ledger_it_says_so(emwatch: Run, tmp_path: Path) -> None:
    done = emwatch("reconcile", tmp_path, "--ledger", tmp_path / "state" / "none")

    assert done.returncode == 1
    assert "no ledger here yet" in done.stderr
