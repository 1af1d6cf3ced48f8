"""The ledger's files are looked after while nothing is recorded, and a -wal that somebody keeps growing is told and cut."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from emwatch.frame import FrameState, Outcome
from emwatch.ingest.events import Notice
from emwatch.ledger.writer import Ledger
from emwatch.service import ledger_watch
from emwatch.service.ledger_watch import LedgerWatch, readers_of
from emwatch.service.lock import SingleInstance, holder, lock_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emwatch.ingest.events import Event

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Rig:
    def __init__(self, path: Path) -> None:
        self.lock = SingleInstance(path)
        self.lock.acquire()
        self.ledger = Ledger(path)
        self.told: list[Notice] = []
        self.watch = LedgerWatch(self.ledger, self.lock, self.hear)
        self.now = 0.0

    def hear(self, event: Event) -> None:
        assert isinstance(event, Notice)
        self.told.append(event)

    def tick(self) -> list[str]:
        """What is told within the next ten seconds."""
        before = len(self.told)
        for _ in range(10):
            self.now += 1
            self.watch.tick(self.now)
        return [f"{each.level} {each.text}" for each in self.told[before:]]

    def record(self, number: int) -> None:
        path = self.ledger.path.with_name(f"{number}.tif")
        self.ledger.record(Outcome(path, FrameState.RECORDED, None, sha256=str(number)), NOON)


@pytest.fixture(name="rig")
def _rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "state" / "ledger.sqlite")
    yield rig
    rig.ledger.close()
    rig.lock.release()


def test_a_ledger_deleted_while_nothing_is_recorded_is_back_and_told_as_an_error(rig: Rig) -> None:
    rig.record(1)
    for each in list(rig.ledger.path.parent.iterdir()):
        each.unlink()
    told = rig.tick()

    assert [line.partition(" ")[0] for line in told] == ["warning", "error"]
    assert "its lock file was deleted" in told[0]
    assert "nothing is lost" in told[1]
    assert rig.tick() == []
    with closing(sqlite3.connect(rig.ledger.path)) as connection:
        assert connection.execute("SELECT count(*) FROM frames").fetchone() == (1,)


def test_a_lock_file_that_was_deleted_is_held_again(rig: Rig) -> None:
    lock_file(rig.ledger.path).unlink()
    rig.tick()
    ask = "import sys; from pathlib import Path; from emwatch.service.lock import holder; print(holder(Path(sys.argv[1])))"
    done = subprocess.run([sys.executable, "-c", ask, rig.ledger.path], capture_output=True, text=True, check=True)

    assert done.stdout == f"{os.getpid()}\n"


def test_what_cannot_be_begun_again_is_told_once(rig: Rig) -> None:
    rig.record(1)
    folder = rig.ledger.path.parent
    folder.rename(folder.with_name("away"))
    folder.touch()
    told = rig.tick()

    assert len(told) == 1
    assert rig.tick() == []
    folder.unlink()
    assert any("nothing is lost" in line for line in rig.tick())


def test_a_wal_that_a_reader_lets_grow_is_told_once_and_cut_back_when_it_ends(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_watch, "LARGE_WAL_BYTES", 500_000)
    rig.record(0)
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN')\n"
    code += "c.execute('SELECT * FROM frames').fetchall(); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, os.fspath(rig.ledger.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        for number in range(1, 60):
            rig.record(number)
        assert rig.ledger.wal_bytes() > 500_000
        [told] = rig.tick()
        assert "kept the ledger open for reading" in told
        assert f"(process {reader.pid})" in told
        assert rig.tick() == []
        rig.record(60)
        reader.communicate()
    [told] = rig.tick()

    assert "was emptied" in told
    assert rig.ledger.wal_bytes() == 0
    assert readers_of(rig.ledger.path) == []
    rig.record(61)


@pytest.mark.timeout(20)
def test_a_lock_file_that_is_none_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(lock_file(tmp_path / "ledger"))
    assert holder(tmp_path / "ledger") is None
    lock_file(tmp_path / "ledger").unlink()
    lock_file(tmp_path / "ledger").write_text("\N{SUPERSCRIPT TWO}", encoding="utf-8")
    lock = SingleInstance(tmp_path / "ledger")
    lock.acquire()
    os.pwrite(lock._descriptor or 0, "\N{SUPERSCRIPT TWO}".ljust(20).encode(), 0)
    assert holder(tmp_path / "ledger") == 0
