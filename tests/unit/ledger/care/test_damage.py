"""A damaged ledger: moved aside whole, another one begun, nothing recorded twice in it and no alert repeated."""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emwatch.errors import LedgerError
from emwatch.frame import FrameState, Match, StatKey
from emwatch.ledger import database, held_file
from emwatch.ledger.care import replacement
from emwatch.ledger.care.backups import make_backup
from emwatch.ledger.care.replacement import set_aside_files
from emwatch.ledger.care.salvage import Salvage
from emwatch.ledger.sqlite_file import LedgerDamagedError, LedgerUnavailableError
from emwatch.ledger.writer import Ledger
from emwatch.testing import ManualClock
from tests.counts import counts

if TYPE_CHECKING:
    from collections.abc import Callable

    from emwatch.frame import Outcome


def damage(path: Path, *, how: str, seed: int = 1) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        if how == "zeroed":
            file.write(bytes(size))
        elif how == "emptied":
            file.truncate(0)
        elif how == "cut":
            file.truncate(size // 2)
        else:
            dice = random.Random(seed)
            file.seek(4096 * dice.randrange(1, size // 4096 - 1))
            file.write(dice.randbytes(4096))


def filled(path: Path, frame_of: Callable[..., Outcome], *, frames: int = 30) -> None:
    with Ledger(path) as ledger:
        for number in range(frames):
            now = datetime.now(UTC)
            ledger.record(frame_of(f"/acq/{number}.tif", str(number), targets=("t",), written_at=now), now)
        for alert in ledger.due_alerts("terminal", datetime.now(UTC), 1000):
            ledger.alert_delivered(alert.id, datetime.now(UTC))


def record_many(ledger: Ledger, frame_of: Callable[..., Outcome]) -> None:
    for number in range(200, 400):
        ledger.record(frame_of(f"/acq/{number}.tif", str(number)), datetime.now(UTC))


def damaged_after_filling(path: Path, frame_of: Callable[..., Outcome]) -> datetime:
    """Return when the ledger that was damaged had been written last."""
    filled(path, frame_of)
    damage(path, how="zeroed")
    os.utime(path, (1_800_000_000, 1_800_000_000))
    return datetime.fromtimestamp(1_800_000_000, UTC)


def key_at(moment: datetime) -> StatKey:
    nanoseconds = int(moment.timestamp() * 1e9)
    return StatKey(1000, nanoseconds, nanoseconds, 7)


@pytest.mark.parametrize("how", ["zeroed", "cut", "overwritten"])
def test_a_damaged_ledger_is_moved_aside_and_another_is_begun(
    tmp_path: Path, frame_of: Callable[..., Outcome], how: str
) -> None:
    path = tmp_path / "ledger.sqlite"
    filled(path, frame_of)
    damage(path, how=how)
    content = hashlib.sha256(path.read_bytes()).digest()
    with Ledger(path) as ledger:
        assert ledger.replaced is not None
        assert not ledger.knows_files_below(Path("/acq"))
        assert "`emwatch db repair`" in str(ledger.replaced)
    [aside] = set_aside_files(path)

    assert aside == ledger.replaced.set_aside
    assert hashlib.sha256(aside.read_bytes()).digest() == content
    with Ledger(path) as again:
        assert again.replaced is None


def test_an_emptied_ledger_keeps_its_wal_as_evidence(tmp_path: Path, frame_of: Callable[..., Outcome]) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.record(frame_of(), datetime.now(UTC))
        wal = path.with_name("ledger.sqlite-wal")
        kept = wal.read_bytes()
    path.unlink()
    wal.write_bytes(kept)
    with Ledger(path) as ledger:
        assert ledger.replaced is not None
    [aside] = set_aside_files(path)
    assert aside.with_name(f"{aside.name}-wal").read_bytes() == kept
    wal.write_bytes(kept)
    damage(path, how="emptied")
    with Ledger(path) as ledger:
        assert ledger.replaced is not None
    assert len(set_aside_files(path)) == 2


def test_old_files_are_recorded_again_without_an_alert_and_new_ones_with(
    tmp_path: Path, frame_of: Callable[..., Outcome]
) -> None:
    path = tmp_path / "ledger.sqlite"
    moment = damaged_after_filling(path, frame_of)
    with Ledger(path, clock=ManualClock(moment + timedelta(hours=1))) as ledger:
        old = frame_of("/acq/old.tif", "old", targets=("t",), key=key_at(moment - timedelta(seconds=1)))
        new = frame_of("/acq/new.tif", "new", targets=("t",), key=key_at(moment + timedelta(seconds=1)))
        copied = StatKey(1000, old.stat_key.mtime_ns, new.stat_key.ctime_ns, 7)  # type: ignore[union-attr]
        arrived = frame_of("/acq/copied.tif", "copied", targets=("t",), key=copied)

        assert [ledger.record(each, moment).alerts for each in (old, new, arrived)] == [0, 1, 1]
        again = replace(old, matches=(Match("another", "because", ("terminal",)),))
        assert ledger.record(again, moment).alerts == 0
        assert counts(ledger.path).hits == 3
    with Ledger(path) as ledger:  # it is remembered
        late = frame_of("/acq/late.tif", "late", targets=("t",), key=key_at(moment - timedelta(days=1)))
        assert ledger.record(late, moment).alerts == 0


def test_what_the_damaged_ledger_had_not_recorded_or_not_told_yet_is_told(
    tmp_path: Path, frame_of: Callable[..., Outcome]
) -> None:
    path = tmp_path / "ledger.sqlite"
    moment = datetime.now(UTC) - timedelta(days=1)
    told, owed, queued = (
        frame_of(f"/acq/{name}", name, targets=("t",), key=key_at(moment)) for name in ("told", "owed", "queued")
    )
    with Ledger(path) as ledger:
        for each in (told, owed):
            ledger.record(each, moment)
        ledger.alert_delivered(1, moment)
        for number in range(100):
            ledger.record(frame_of(f"/acq/{number}.tif", str(number)), moment)
    content = path.read_bytes()
    with path.open("r+b") as file:  # a page that holds nothing of what is asked for
        file.seek(path.stat().st_size - 4096)
        file.write(b"\xff" * 4096)
    with Ledger(path) as ledger:
        assert ledger.replaced is not None
        assert [ledger.record(each, moment).alerts for each in (told, owed, queued)] == [0, 1, 1]
    for each in set_aside_files(path):  # unreadable, or taken away: then the times alone count
        each.unlink()
        each.write_bytes(bytes(len(content)))
    with Ledger(path) as ledger:
        late = frame_of("/acq/late", "late", targets=("t",), key=key_at(moment))
        assert ledger.record(late, moment).alerts == 0


def test_a_baseline_of_a_ledger_begun_again_holds_only_what_is_old(
    tmp_path: Path, frame_of: Callable[..., Outcome]
) -> None:
    path = tmp_path / "ledger.sqlite"
    moment = damaged_after_filling(path, frame_of)
    entries = [
        (Path("/acq/old"), key_at(moment - timedelta(days=1))),
        (Path("/acq/new"), key_at(moment + timedelta(1))),
    ]
    with Ledger(path, clock=ManualClock(moment + timedelta(days=2))) as ledger:
        assert ledger.baseline(Path("/acq"), entries, moment) == 1
        assert list(ledger.known_files([path for path, _ in entries])) == [Path("/acq/old")]


def test_it_is_begun_from_the_newest_sound_backup(tmp_path: Path, frame_of: Callable[..., Outcome]) -> None:
    path = tmp_path / "ledger.sqlite"
    backups = tmp_path / "backups"
    filled(path, frame_of, frames=20)
    sound = make_backup(path, backups, datetime(2026, 1, 2, tzinfo=UTC))
    filled(path, frame_of)
    newest = make_backup(path, backups, datetime(2026, 1, 3, tzinfo=UTC))
    for each in (path, newest):
        damage(each, how="zeroed")
    with Ledger(path) as ledger:
        assert ledger.replaced is not None
        assert ledger.replaced.backup == sound
        assert counts(ledger.path).frames == 20
        beyond = ledger.record(frame_of("/acq/x.tif", "x"), datetime.now(UTC)).frame_id
        assert beyond > 1000
    assert sorted(each.name for each in backups.iterdir()) == [sound.name, newest.name]


def test_rows_are_numbered_far_beyond_those_of_the_damaged_ledger(
    tmp_path: Path, frame_of: Callable[..., Outcome]
) -> None:
    path = tmp_path / "ledger.sqlite"
    filled(path, frame_of)
    with path.open("r+b") as file:  # a leaf of some table; the schema and the counters stay readable
        file.seek(path.stat().st_size - 4096)
        file.write(b"\xff" * 4096)
    with Ledger(path) as ledger:
        assert ledger.replaced is not None
        new = key_at(datetime.now(UTC) + timedelta(seconds=5))
        ledger.record(frame_of("/acq/x.tif", "x", targets=("t",), key=new), datetime.now(UTC))
        [alert] = ledger.due_alerts("terminal", datetime.now(UTC) + timedelta(days=1))
        assert (alert.id, alert.frame_id) == (10_031, 10_031)


def test_killed_while_it_moves_aside_the_next_start_goes_on(tmp_path: Path, frame_of: Callable[..., Outcome]) -> None:
    path = tmp_path / "ledger.sqlite"
    filled(path, frame_of)
    # Moved, and killed before another one was begun: the name says what it was.
    path.rename(path.with_name("ledger.sqlite.corrupt-20260101T000000Z"))
    with Ledger(path) as ledger:
        old = frame_of("/acq/0.tif", "0", targets=("t",), key=key_at(datetime.now(UTC) - timedelta(days=1)))
        assert ledger.record(old, datetime.now(UTC)).alerts == 0


def test_killed_between_the_file_and_its_wal_both_come_together_again(
    tmp_path: Path, frame_of: Callable[..., Outcome]
) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.record(frame_of(), datetime.now(UTC))
        content, wal = path.read_bytes(), path.with_name("ledger.sqlite-wal").read_bytes()
    path.unlink()
    aside = path.with_name("ledger.sqlite.corrupt-20260101T000000Z")
    aside.write_bytes(content)
    path.with_name("ledger.sqlite-wal").write_bytes(wal)
    with Ledger(path) as ledger:
        assert ledger.replaced is not None
        assert ledger.unrepaired() == (aside,)
        with Salvage(aside) as source:
            assert ledger.take_over(source, send_waiting=False).frames == 1


def test_damage_found_while_recording_costs_one_try(tmp_path: Path, frame_of: Callable[..., Outcome]) -> None:
    path = tmp_path / "ledger.sqlite"
    filled(path, frame_of, frames=200)
    with Ledger(path) as ledger:
        assert ledger.replaced is None
        damage(path, how="zeroed")
        with pytest.raises(LedgerUnavailableError, match=r"moved aside as .*corrupt-.* and begun anew"):
            record_many(ledger, frame_of)
        again = ledger.record(frame_of("/acq/399.tif", "399"), datetime.now(UTC))
        assert again.new
        assert counts(ledger.path).frames == 1
    [aside] = set_aside_files(path)
    assert aside.stat().st_size
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_damage_that_the_first_look_had_no_time_for_is_found_when_the_file_is_opened(
    tmp_path: Path, frame_of: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.sqlite"
    filled(path, frame_of)
    damage(path, how="zeroed")
    monkeypatch.setattr(held_file, "quick_check", lambda _path, _seconds: "not finished")
    with Ledger(path) as ledger:
        assert ledger.replaced is not None


def test_a_folder_that_does_not_let_it_be_moved_aside_is_tried_again(
    tmp_path: Path, frame_of: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.sqlite"
    filled(path, frame_of, frames=200)

    def refuse(*_arguments: object) -> None:
        raise PermissionError(13, "not here")

    with Ledger(path) as ledger:
        damage(path, how="zeroed")
        with monkeypatch.context() as patched:
            patched.setattr(replacement, "replace", refuse)
            for _ in range(2):
                with pytest.raises(LedgerError, match="not here"):
                    record_many(ledger, frame_of)
        with pytest.raises(LedgerUnavailableError, match="moved aside"):
            record_many(ledger, frame_of)
        assert ledger.record(frame_of("/acq/399.tif", "399"), datetime.now(UTC)).new


def test_a_single_complaint_that_a_second_look_does_not_bear_out_changes_nothing(
    tmp_path: Path, frame_of: Callable[..., Outcome]
) -> None:
    path = tmp_path / "ledger.sqlite"
    filled(path, frame_of)
    with Ledger(path) as ledger:
        with pytest.raises(LedgerUnavailableError, match="a second look found no damage"), ledger._file.transaction():
            raise LedgerDamagedError("the memory of this machine is bad")
        assert counts(ledger.path).frames == 30
    assert set_aside_files(path) == []


@pytest.mark.parametrize("content", [b"a letter of somebody" * 500, b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40])
def test_a_file_that_never_was_a_ledger_is_refused_and_stays_where_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letter"
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="not a ledger"):
        Ledger(path)

    assert path.read_bytes() == content


def test_on_a_network_share_there_is_no_wal(
    tmp_path: Path, frame_of: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.sqlite"
    filled(path, frame_of)
    monkeypatch.setattr(database, "file_system_type", lambda _folder: "cifs")
    with Ledger(path) as ledger:
        ledger.record(frame_of("/acq/x", "x"), datetime.now(UTC))
        assert not path.with_name("ledger.sqlite-wal").exists()
        assert counts(ledger.path).frames == 31
    monkeypatch.setattr(database, "file_system_type", lambda _folder: "overlay")
    with Ledger(path) as ledger:
        ledger.record(
            frame_of(
                "/acq/y",
                "y",
            ),
            datetime.now(UTC),
        )
        assert path.with_name("ledger.sqlite-wal").exists()


def test_states_are_kept_apart(tmp_path: Path, failure_of: Callable[..., Outcome]) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.record(failure_of("/acq/a", "", state=FrameState.SKIPPED), datetime.now(UTC))
        assert ledger.start_check == "new ledger"
    with Ledger(path) as ledger:
        assert ledger.start_check == "ok"
