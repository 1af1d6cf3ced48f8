"""Backups: whole and sound although the ledger is written meanwhile, made when due, told when they fail, and rotated."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from emwatch.errors import LedgerError
from emwatch.frame import FrameState, Outcome
from emwatch.ledger.care import backups
from emwatch.ledger.care.backups import backups_of, made_at, make_backup, rotate
from emwatch.ledger.writer import Ledger
from emwatch.service import upkeep
from emwatch.service.upkeep import Upkeep
from emwatch.testing import ManualClock
from tests.counts import counts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emwatch.ingest.events import Event

DAY = timedelta(days=1)
NO_DAY = "ledger.sqlite.backup-20260299T010000Z"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(name="ledger")
def _ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


def record(ledger: Ledger, number: int) -> None:
    path = ledger.path.with_name(f"{number}.tif")
    ledger.record(Outcome(path, FrameState.RECORDED, None, sha256=str(number)), NOON)


def frames_in(path: Path) -> int:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(connection.execute("SELECT count(*) FROM frames").fetchone()[0])


def test_a_backup_is_one_moment_although_frames_are_recorded_meanwhile(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "_PAGES_AT_A_TIME", 8)
    for number in range(300):
        record(ledger, number)
    enough = threading.Event()
    recorded, at_each_step = [300], []

    def go_on() -> None:
        while not enough.is_set():
            record(ledger, recorded[0])
            recorded[0] += 1

    def step() -> bool:
        at_each_step.append(recorded[0])
        return False

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        made = make_backup(ledger.path, tmp_path / "safe", NOON, pause_s=0.05, stop=step)
    finally:
        enough.set()
        writer.join()

    assert made == tmp_path / "safe" / "ledger.sqlite.backup-20260301T120000Z"
    assert at_each_step[-1] > at_each_step[0] + 1, "nothing was recorded meanwhile: the test shows nothing"
    assert 300 <= frames_in(made) <= at_each_step[0] + 1
    assert [each.name for each in made.parent.iterdir()] == [made.name]


def test_a_backup_that_fails_leaves_nothing_half_done(ledger: Ledger, tmp_path: Path) -> None:
    record(ledger, 1)
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="cannot be written"):
        make_backup(ledger.path, tmp_path / "file", NOON)
    with pytest.raises(LedgerError, match="no ledger here yet"):
        make_backup(tmp_path / "none", tmp_path / "safe", NOON)
    assert make_backup(ledger.path, tmp_path / "safe", NOON, stop=lambda: True) is None
    assert list((tmp_path / "safe").iterdir()) == []


def test_the_last_one_of_each_of_the_last_days_is_kept(tmp_path: Path) -> None:
    names = ["20260301T010000Z", "20260301T230000Z", "20260302T010000Z", "20260304T010000Z", "20260304T020000Z"]
    for name in names:
        (tmp_path / f"ledger.sqlite.backup-{name}").touch()
    for other in ("other.sqlite.backup-20260301T010000Z", "ledger.sqlite.backup-notes", "ledger.sqlite", NO_DAY):
        (tmp_path / other).touch()
    ledger = tmp_path / "ledger.sqlite"
    rotate(ledger, tmp_path, keep=2)

    assert [f"{made_at(each):%dT%H}" for each in backups_of(ledger, tmp_path)] == ["02T01", "04T02"]
    assert (tmp_path / "other.sqlite.backup-20260301T010000Z").exists()
    assert (tmp_path / "ledger.sqlite.backup-notes").exists()
    assert (tmp_path / NO_DAY).exists()


class Rig:
    def __init__(self, ledger: Ledger) -> None:
        self.clock = ManualClock(NOON)
        self.told: list[Event] = []
        self.notes: dict[str, Any] = {}
        self.directory = ledger.path.parent / "backups"
        self.upkeep = Upkeep(
            ledger,
            self.directory,
            every=DAY,
            keep=2,
            clock=self.clock,
            tell=self.told.append,
            note=self.notes.__setitem__,
        )

    def after(self, **time: float) -> bool:
        self.clock.advance(timedelta(**time).total_seconds())
        return self.upkeep.back_up_if_due() is not None


def test_one_is_made_a_while_after_the_start_and_then_each_day(ledger: Ledger) -> None:
    record(ledger, 1)
    rig = Rig(ledger)

    assert [rig.after(minutes=4), rig.after(minutes=1), rig.after(hours=23), rig.after(hours=1)] == [
        False,
        True,
        False,
        True,
    ]
    assert rig.notes["backup"] == {
        "at": "2026-03-02T12:05:00+00:00",
        "path": str(rig.directory / "ledger.sqlite.backup-20260302T120500Z"),
        "trouble": "",
    }
    assert rig.after(days=1)
    assert len(list(rig.directory.iterdir())) == 2
    again = Rig(ledger)  # started anew: the last one is still fresh
    again.clock.advance((rig.clock.now() - NOON).total_seconds())
    assert not again.after(hours=1)
    assert rig.told == []


def test_a_failed_one_is_told_once_a_day_and_tried_each_hour(ledger: Ledger) -> None:
    rig = Rig(ledger)
    rig.directory.touch()
    for _ in range(25):
        rig.after(hours=1)

    assert len(rig.told) == 2
    assert "could not be backed up" in str(rig.told[0])
    assert "cannot be written" in rig.notes["backup"]["trouble"]
    rig.directory.unlink()
    assert rig.after(hours=1)
    assert rig.notes["backup"]["trouble"] == ""


def test_a_clock_put_back_does_not_stop_backups(ledger: Ledger) -> None:
    rig = Rig(ledger)
    make_backup(ledger.path, rig.directory, NOON + 40 * DAY)

    assert rig.after(minutes=10)


def test_a_clock_put_back_while_it_runs_does_not_stop_backups(ledger: Ledger) -> None:
    rig = Rig(ledger)
    rig.clock.put(-9000 * DAY.total_seconds())

    assert rig.after(minutes=10)


def test_it_is_looked_over_each_hour(ledger: Ledger) -> None:
    rig = Rig(ledger)
    rig.upkeep.check_if_due()
    assert rig.notes == {}
    rig.after(hours=1)
    rig.upkeep.check_if_due()

    assert rig.notes["check"] == {"result": "ok", "at": "2026-03-01T13:00:00+00:00"}
    assert rig.told == []


def test_damage_that_a_backup_or_the_look_finds_is_dealt_with_and_told(ledger: Ledger) -> None:
    for number in range(200):
        record(ledger, number)
    rig = Rig(ledger)
    assert rig.after(hours=1)
    ledger.close()  # so that nothing is left in the -wal
    with Ledger(ledger.path) as used:
        rig = Rig(used)
        content = bytearray(used.path.read_bytes())
        content[4096:-4096] = bytes(len(content) - 8192)
        used.path.write_bytes(content)
        rig.after(days=1, hours=1)
        rig.upkeep.check_if_due()

        assert "could not be backed up" in str(rig.told[0])
        assert "moved aside as" in str(rig.told[1])
        assert "begun again from the backup" in rig.notes["check"]["result"]
        assert counts(used.path).frames == 200


def test_a_thread_that_died_is_started_again_and_makes_no_backup_at_once(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(ledger)
    assert not rig.upkeep.worker.revive(0.0)  # not started yet
    rig.clock.advance(301)
    monkeypatch.setattr(upkeep, "_WAKE_EVERY_S", 0.0)
    with monkeypatch.context() as faulty:
        faulty.setattr(upkeep, "make_backup", lambda *_, **__: 1 / 0)
        rig.upkeep.start()
        assert rig.upkeep.worker.join(20)
    monkeypatch.setattr(upkeep, "_WAKE_EVERY_S", 60.0)

    assert rig.upkeep.worker.revive(0.0)
    assert not rig.upkeep.worker.revive(0.0)
    assert not rig.after(minutes=59)
    assert rig.after(minutes=2)
    rig.upkeep.stop()
    assert not rig.upkeep.worker.revive(1e6)
