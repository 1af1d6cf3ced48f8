"""Another model judges recorded frames: beside what was said before, only of the very bytes that were recorded."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Program

pytestmark = pytest.mark.slow


def predictions(program: Program) -> dict[str, list[tuple[str, str, int]]]:
    """Of each file: bundle, category and whether it is the newest, in the order in which they were made."""
    with sqlite3.connect(f"{program.ledger.as_uri()}?mode=ro", uri=True) as connection:
        found: dict[str, list[tuple[str, str, int]]] = {}
        for path, *said in connection.execute(
            "SELECT f.path, p.bundle_sha256, p.category, p.newest FROM predictions p JOIN frames f ON f.id = p.frame_id "
            "ORDER BY p.id"
        ):
            found.setdefault(Path(path).name, []).append(tuple(said))
    connection.close()
    return found


def count(program: Program, table: str) -> int:
    with sqlite3.connect(f"{program.ledger.as_uri()}?mode=ro", uri=True) as connection:
        found: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    connection.close()
    return found


@pytest.fixture(name="recorded")
def _recorded(emwatch: Program) -> list[str]:
    """Six frames recorded by the stub; returns their names."""
    emwatch("simulate", "--out", emwatch.watched, "--frames", "6", "--rate", "0", "--seed", "7")
    config = emwatch.home / "config.yaml"
    config.write_text("targets: [{name: anything, min_probability: 0.01}]\n", encoding="utf-8")
    emwatch("run", "--once", "--engine", "stub")
    return sorted(path.name for path in emwatch.watched.iterdir())


def judged(program: Program, *arguments: str, expect: int = 0) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(program("reclassify", "--json", *arguments, expect=expect).stdout)
    return document


def test_predictions_are_added_once_and_what_was_said_before_stays(emwatch: Program, recorded: list[str]) -> None:
    before = predictions(emwatch)
    first, second = judged(emwatch), judged(emwatch)
    after = predictions(emwatch)

    assert (first["judged"], first["problems"], second["judged"]) == (6, [], 0)
    for name in recorded:
        [(stub, category, _)], [old, new] = before[name], after[name]
        assert old == (stub, category, 0)
        assert (new[0], new[2]) == (first["bundle"]["sha256"], 1)
    assert {row["bundle_sha256"] for row in emwatch.rows()} == {first["bundle"]["sha256"]}
    assert sum(each["frames"] for each in first["moves"]) == sum(
        old[1] != new[1] for old, new in (after[name] for name in recorded)
    )
    assert count(emwatch, "matches") == count(emwatch, "alerts") == 0


def test_files_that_are_gone_changed_or_spoilt_are_told_and_the_others_judged(
    emwatch: Program, recorded: list[str]
) -> None:
    gone, changed, spoilt, *whole = (emwatch.watched / name for name in recorded)
    gone.unlink()
    changed.write_bytes(whole[0].read_bytes())
    spoilt.write_bytes(spoilt.read_bytes()[:1000])

    found = judged(emwatch, expect=4)

    assert {Path(each["path"]).name: each["kind"] for each in found["problems"]} == {
        gone.name: "missing",
        changed.name: "changed",
        spoilt.name: "unreadable",
    }
    assert found["judged"] == 3
    assert {name for name, said in predictions(emwatch).items() if len(said) == 2} == {path.name for path in whole}
    told = emwatch("reclassify", expect=4).stderr
    assert f"missing: {gone}: is missing" in told
    assert "its content differs from what was recorded" in told
    assert "0 judged by default" in told
    assert "; 3 were before;" in told
    assert emwatch("reclassify", "--path", "nothing*").stderr == "no recorded frame meets the filters\n"
    emwatch.watched.rename(emwatch.home / "unmounted")
    assert "nor is its folder (is the share mounted?)" in emwatch("reclassify", expect=4).stderr


def test_filters_choose_the_frames_and_alerts_are_made_only_when_asked_for(
    emwatch: Program, recorded: list[str]
) -> None:
    config = str(emwatch.home / "config.yaml")
    one = judged(emwatch, "--path", recorded[0], "--config", config)
    assert (one["judged"], one["alerts"], count(emwatch, "alerts")) == (1, 0, 0)

    rest = judged(emwatch, "--since", "1h", "--alerts", "--config", config)
    certain = sum(not row["uncertain"] for row in emwatch.rows() if Path(row["path"]).name != recorded[0])
    assert (rest["judged"], rest["alerts"]) == (5, certain)
    assert certain > 0
    assert count(emwatch, "alerts") == certain

    emwatch("run", "--once", "--config", config)
    assert count(emwatch, "alerts WHERE state = 'delivered'") == certain


def test_beside_a_running_daemon_it_is_refused_with_what_to_do(emwatch: Program, recorded: list[str]) -> None:
    daemon = emwatch.start("run", "--engine", "stub", "--plain")
    try:
        assert daemon.stderr is not None
        while "ready" not in daemon.stderr.readline():
            assert daemon.poll() is None
        told = emwatch("reclassify", expect=1).stderr

        assert f"emwatch runs on this ledger (process {daemon.pid})" in told
        assert "stop it (systemctl stop emwatch), reclassify, start it again" in told
        assert all(len(said) == 1 for said in predictions(emwatch).values())
        assert len(recorded) == 6
    finally:
        daemon.terminate()
        daemon.communicate()


def test_a_run_that_is_killed_goes_on_where_it_was(emwatch: Program, recorded: list[str]) -> None:
    for number in range(20):
        shutil.copy(emwatch.watched / recorded[number % 6], emwatch.watched / f"copy-{number}.tif")
    emwatch("run", "--once", "--engine", "stub")
    process = emwatch.start("reclassify", "--json")
    deadline = time.monotonic() + 60
    while not 3 <= count(emwatch, "predictions") - 26 < 20:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = count(emwatch, "predictions") - 26

    assert judged(emwatch)["judged"] == 26 - done > 0
    assert all(len(said) == 2 for said in predictions(emwatch).values())


def test_without_a_ledger_none_is_made(emwatch: Program) -> None:
    told = emwatch("reclassify", expect=1).stderr
    assert "no ledger here yet" in told
    assert "judged" not in told
    assert not emwatch.ledger.exists()
