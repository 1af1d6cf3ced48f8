"""From a recorded frame to a model of one's own: reviewed by hand, also while the daemon runs, and learned from."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Program

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("recorded")]


@pytest.fixture(name="recorded")
def _recorded(emwatch: Program) -> None:
    emwatch("simulate", "--out", emwatch.watched, "--frames", "6", "--rate", "0", "--seed", "7")
    emwatch("run", "--once", "--engine", "stub")


def test_a_head_learns_what_was_reviewed_and_classifies(emwatch: Program) -> None:
    first, second, third, *_, last = (str(path) for path in sorted(emwatch.watched.iterdir()))
    emwatch("review", first, second, "--as", "Tips")
    emwatch("review", third, "--confirm")
    emwatch("review", last, "--reject")
    made = emwatch.home / "made"
    done = emwatch("train", "heads", "--from-log", "--alone", "--drawn", "2", "--out", made, "--json")
    document = json.loads(done.stdout)

    assert document["from_log"] == {"frames": 3, "sources": 3, "left_out": []}  # of three microscopes
    learned = document["card"]["training"]["real_frames_by_category"]
    assert (sum(learned.values()), learned["Tips"]) == (3, 2)
    assert "so few frames or sources say little" in done.stderr
    again = emwatch("train", "heads", "--from-log", "--alone", "--drawn", "2", "--out", emwatch.home / "again").stdout
    assert "3 real frames, 2 drawn ones of each category" in again
    assert "cross-validated by source: 3 frames, 3 sources" in again
    [said] = [json.loads(emwatch("classify", "--bundle", made, first, "--json").stdout)]
    assert said["category"] == "Tips", "which the model that comes with emwatch does not say"
    assert json.loads(emwatch("classify", first, "--json").stdout)["category"] != "Tips"
    assert "--drawn N" in emwatch("train", "heads", "--from-log", "--alone", "--drawn", "0", expect=1).stderr


def test_beside_a_running_daemon_it_is_recorded_by_the_daemon(emwatch: Program) -> None:
    daemon = emwatch.start("run", "--engine", "stub", "--plain")
    try:
        assert daemon.stderr is not None
        while "ready" not in daemon.stderr.readline():
            assert daemon.poll() is None
        said = json.loads(emwatch("review", "1", "2", "--as", "Powder", "--by", "night", "--json").stdout)
        assert said["recorded"] is True
        rows = {row["id"]: row["reviewed"] for row in emwatch.rows("--reviewed")}
        assert rows == {1: "Powder", 2: "Powder"}
        assert list(emwatch.ledger.with_name("ledger.sqlite3.reviews").iterdir()) == []
    finally:
        daemon.terminate()
        daemon.communicate()


def test_beside_a_running_daemon_a_session_takes_its_frames_and_notes_are_found(emwatch: Program) -> None:
    daemon = emwatch.start("run", "--engine", "stub", "--plain")
    try:
        assert daemon.stderr is not None
        while "ready" not in daemon.stderr.readline():
            assert daemon.poll() is None
        started = emwatch("session", "start", "Wafer 7", "--operator", "Ana", "--json")
        assert json.loads(started.stdout)["recorded"] is True
        emwatch("note", "Wafer 7", "new filament")
        emwatch(
            "simulate", "--out", emwatch.watched, "--frames", "2", "--rate", "0", "--seed", "8", "--first-number", "91"
        )
        assert daemon.stdout is not None
        while "92" not in daemon.stdout.readline():
            assert daemon.poll() is None
        assert emwatch("session", "end").stdout == "Wafer 7: ended\n"
    finally:
        daemon.terminate()
        daemon.communicate()
    rows = list(emwatch.rows("--session", "Wafer 7"))

    assert [row["operator"] for row in rows] == ["Ana"] * 2
    assert {row["id"] for row in emwatch.rows("--text", "filament")} == {row["id"] for row in rows}


def test_what_waits_when_nobody_writes_is_recorded_at_the_next_start(emwatch: Program) -> None:
    folder = emwatch.ledger.with_name("ledger.sqlite3.reviews")
    folder.mkdir()
    review = {"frame_id": 1, "verdict": "reject", "category": None, "reviewed_by": "ana", "note": ""}
    document = {"reviews": [{**review, "reviewed_at": "2026-03-01T12:00:00+00:00"}]}
    (folder / "waiting.json").write_text(json.dumps(document), encoding="utf-8")
    emwatch("run", "--once", "--engine", "stub")

    with closing(sqlite3.connect(emwatch.ledger)) as connection:
        assert connection.execute("SELECT frame_id, verdict, reviewed_by FROM reviews").fetchall() == [
            (1, "reject", "ana")
        ]
    assert list(folder.iterdir()) == []
