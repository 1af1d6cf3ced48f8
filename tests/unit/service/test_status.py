"""What `emwatch status` tells: from the lock, the file in which the daemon tells how it stands, and the ledger."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from emwatch.cli.main import cli
from emwatch.config import load
from emwatch.config.schema import server_url
from emwatch.frame import FrameState, Match, Outcome, Prediction, StatKey
from emwatch.ingest.events import FrameDone
from emwatch.ledger.care.backups import make_backup
from emwatch.ledger.server.connect import Server
from emwatch.ledger.summary import summarise
from emwatch.ledger.writer import Ledger
from emwatch.service.lock import SingleInstance, holder, lock_file
from emwatch.service.progress import Progress
from emwatch.service.status import sqlite_is_sound, status_document
from emwatch.service.status_file import StatusFile, read_status_file, status_file_path
from emwatch.testing import ManualClock
from emwatch.watch.directory import WatchedDirectory
from emwatch.watch.hints import ASKED, HintBox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emwatch.config import Config


@pytest.fixture(name="config")
def _config(tmp_path: Path) -> Config:
    flags = {"ledger.path": tmp_path / "state" / "ledger.sqlite3", "watch.directory": tmp_path / "frames"}
    return load(flags=flags, environ={}, user_file=tmp_path / "none", system_file=tmp_path / "none").config


class Rig:
    """A daemon's status_file, without the daemon."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.clock = ManualClock()
        self.hints = HintBox()
        self.progress = Progress()
        self.root = config.watch.directory[0]
        self.root.mkdir()
        self.directory = WatchedDirectory(self.root, config.watch, self.hints)
        self.ledger = config.ledger.path
        self.ledger.parent.mkdir()
        self.status_file = StatusFile(self.ledger, self.clock, [self.directory], self.hints, self.progress, once=False)

    def ask(self) -> dict[str, Any]:
        return status_document(self.config, self.clock.now())


@pytest.fixture(name="rig")
def _rig(config: Config) -> Rig:
    return Rig(config)


@pytest.fixture(name="lock")
def _lock(rig: Rig) -> Iterator[SingleInstance]:
    lock = SingleInstance(rig.ledger)
    lock.acquire()
    yield lock
    lock.release()


def outcome(rig: Rig, name: str, *, state: FrameState = FrameState.RECORDED, matched: bool = False) -> Outcome:
    prediction = Prediction("Tips", 1.0, {"Tips": 1.0}, uncertain=False, margin=1.0, bundle_sha256="ab")
    matches = (Match("any", "because", ("terminal",)),) if matched else ()
    said = prediction if state is FrameState.RECORDED else None
    at = int(rig.clock.now().timestamp() * 1e9)
    return Outcome(rig.root / name, state, StatKey(1, at, at, 4), sha256=name, prediction=said, matches=matches)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql+psycopg://owner@127.0.0.1:1/emwatch", "127.0.0.1:1/emwatch"),
        ("postgresql://db.lab/emwatch", "db.lab/emwatch"),
        ("postgresql://a%40b@db.lab:5433/my%20log?sslmode=require", "db.lab:5433/my log"),
        ("postgresql:///emwatch?host=/run/postgresql", "/run/postgresql/emwatch"),
    ],
)
def test_a_server_has_one_name_whether_the_daemon_told_it_or_not(config: Config, url: str, name: str) -> None:
    ledger = config.ledger.model_copy(update={"server": server_url(url)})
    asked = status_document(config.model_copy(update={"ledger": ledger}), ManualClock().now())

    assert asked["server"]["name"] == Server(url).name == name


def test_without_a_daemon_or_a_ledger_it_says_so(config: Config, tmp_path: Path) -> None:
    asked = status_document(config, ManualClock().now())

    assert (asked["running"], asked["state"], asked["pid"]) == (False, "not running", None)
    assert asked["directories"] == [{"path": str(tmp_path / "frames"), "mode": "not watched", "why": ""}]
    assert "no ledger here yet" in asked["ledger"]["trouble"]
    assert asked["frames"]["recorded"] is None


def test_a_running_daemon_is_told_by_the_lock_and_by_what_it_wrote(rig: Rig, lock: SingleInstance) -> None:
    with Ledger(rig.ledger) as ledger:
        for each in (
            outcome(rig, "a", matched=True),
            outcome(rig, "b"),
            outcome(rig, "c", state=FrameState.FAILED),
        ):
            recorded = ledger.record(each, rig.clock.now())
            rig.progress.note(
                FrameDone(recorded.frame_id, each, True, None, 0.5, 7, recorded.hit, (0.3, 0.1, 0.0, 0.06, 0.04)),
                rig.clock.monotonic(),
            )
        rig.status_file.waiting = lambda: 7
        rig.directory.swept_at = rig.clock.now()
        rig.hints.everything("the queue ran over")
        rig.hints.everything(ASKED)
        rig.clock.advance(30)
        rig.status_file.become("watching")
        asked = rig.ask()

    assert (asked["running"], asked["state"], asked["pid"]) == (True, "watching", os.getpid())
    [directory] = asked["directories"]
    assert (directory["path"], directory["mode"]) == (str(rig.root), "degraded")
    assert directory["last_sweep_at"] == "2026-01-01T00:00:00.000+00:00"
    assert {name: asked["frames"][name] for name in ("seen", "recorded", "failed", "waiting")} == {
        "seen": 10,
        "recorded": 2,
        "failed": 1,
        "waiting": 7,
    }
    assert asked["frames"]["since_start"] == {"recorded": 2, "hits": 1, "failed": 1, "skipped": 0, "overflows": 1}
    assert (asked["lag_s"], asked["last_frame_age_s"]) == (0.5, 30.0)
    assert asked["stages"]["settling"] == {"sum_s": 0.6, "counts": [0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2]}
    assert asked["stages"]["committing"]["sum_s"] == 0.08
    assert asked["alerts"]["terminal"]["pending"] == 1
    assert any("events were lost 1 times" in warning for warning in asked["warnings"])
    lock.release()
    assert rig.ask()["state"] == "not running (it was killed)"


def test_what_a_reload_did_not_take_over_is_warned_of(rig: Rig, lock: SingleInstance) -> None:  # noqa: ARG001 - held
    rig.status_file.notes["configuration"] = {"read_at": "", "trouble": "a.yaml:3:1: x", "needs_restart": []}
    rig.status_file.become("watching")
    mistaken = rig.ask()["warnings"]
    rig.status_file.notes["configuration"] = {"read_at": "", "trouble": "", "needs_restart": ["watch.mode"]}
    rig.status_file.become("watching")
    restart = rig.ask()["warnings"]

    assert [each for each in mistaken if "stays in use: a.yaml:3:1: x" in each]
    assert [each for each in restart if "after a restart: watch.mode" in each]


def test_where_no_new_file_can_be_made_the_old_one_is_written_over(rig: Rig, lock: SingleInstance) -> None:
    with Ledger(rig.ledger):
        pass
    rig.status_file.become("watching")
    status_file_path(rig.ledger).with_name(f"{status_file_path(rig.ledger).name}.part").mkdir()
    rig.status_file.ledger_trouble = lambda: "the disk is full"
    rig.status_file.become("watching")
    assert "the disk is full" in rig.ask()["warnings"]
    rig.status_file.ledger_trouble = str
    rig.status_file.become("ended")
    lock.release()

    assert rig.ask()["state"] == "not running"


def test_a_daemon_that_is_silent_is_not_well_for_a_script(rig: Rig, lock: SingleInstance, tmp_path: Path) -> None:
    settings = tmp_path / "lab.yaml"
    settings.write_text(f"watch: {{directory: {rig.root}}}\nledger: {{path: {rig.ledger}}}\n", encoding="utf-8")
    with Ledger(rig.ledger):
        rig.status_file.become("watching")
        later = CliRunner().invoke(cli, ["status", "--config", str(settings)])
    lock.release()

    assert later.exit_code == 5
    assert "silent, process" in later.stdout
    assert "no sign of life for" in later.stdout
    assert "no sign of life for" in later.stderr


def test_a_daemon_that_no_longer_writes_is_silent(rig: Rig, lock: SingleInstance) -> None:
    rig.status_file.become("watching")
    rig.clock.advance(19)
    assert rig.ask()["no_sign_of_life_s"] is None
    rig.clock.advance(2)
    quiet = rig.ask()
    rig.clock.advance(28)
    assert rig.ask()["state"] == "watching"  # a file may take its reader two tries of 20 s
    rig.clock.advance(2)
    asked = rig.ask()

    assert (quiet["state"], quiet["no_sign_of_life_s"]) == ("watching", 21.0)
    assert any("no sign of life for 21 s" in warning for warning in quiet["warnings"])
    assert asked["state"] == "silent"
    assert any("no sign of life for 51 s" in warning for warning in asked["warnings"])
    rig.status_file.become("ended")
    lock.release()
    assert rig.ask()["state"] == "not running"


def test_another_daemons_file_is_not_believed(rig: Rig, lock: SingleInstance) -> None:
    rig.status_file.become("watching")
    told = json.loads(status_file_path(rig.ledger).read_bytes())
    status_file_path(rig.ledger).write_text(json.dumps({**told, "pid": 1}))

    assert rig.ask()["state"] == "starting"
    lock.release()


def test_the_file_is_written_every_five_seconds_and_within_one_of_a_change(rig: Rig) -> None:
    times = []
    for at in range(1, 81):
        rig.clock.advance(0.125)
        if at == 48:
            rig.status_file.change()
        before = status_file_path(rig.ledger).stat().st_ino if at > 1 else 0
        rig.status_file.publish(rig.clock.monotonic())
        if before != status_file_path(rig.ledger).stat().st_ino:
            times.append(rig.clock.monotonic())

    assert times == [0.125, 5.125, 6.125]


def test_a_disk_that_takes_nothing_costs_the_file_only(rig: Rig) -> None:
    status_file_path(rig.ledger).with_name(f"{status_file_path(rig.ledger).name}.part").mkdir()
    rig.status_file.become("watching")

    assert read_status_file(rig.ledger) is None


@pytest.mark.parametrize("suffix", ["", ".part"])
def test_it_is_not_written_where_a_link_leads(rig: Rig, tmp_path: Path, suffix: str) -> None:
    victim = tmp_path / "passwd"
    victim.write_text("root:x:0:0", encoding="utf-8")
    status_file = status_file_path(rig.ledger)
    status_file.with_name(f"{status_file.name}{suffix}").symlink_to(victim)
    if not suffix:  # no new file can be made: then it is written in place
        status_file.with_name(f"{status_file.name}.part").mkdir()
    rig.status_file.become("watching")

    assert victim.read_text(encoding="utf-8") == "root:x:0:0"


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b'{"written_at": 5, "state": null}'])
def test_a_torn_file_is_no_trouble(rig: Rig, content: bytes) -> None:
    status_file_path(rig.ledger).write_bytes(content)

    assert rig.ask()["running"] is False


def test_a_ledger_that_is_none_is_told_and_not_raised(rig: Rig) -> None:
    rig.ledger.write_bytes(b"x" * 5000)
    asked = rig.ask()

    assert "is not a ledger: it does not begin like a database" in asked["ledger"]["trouble"]
    assert asked["frames"]["seen"] is None
    assert asked["alerts"] is None


def test_dead_and_old_alerts_are_warned_of(rig: Rig) -> None:
    with Ledger(rig.ledger) as ledger:
        ledger.record(outcome(rig, "a", matched=True), rig.clock.now())
        ledger.record(outcome(rig, "b", matched=True), rig.clock.now())
        first, second = ledger.due_alerts("terminal", rig.clock.now())
        ledger.alert_dead(first.id, "no such host")
        ledger.alert_failed(second.id, "refused", rig.clock.now() + timedelta(minutes=5))
    rig.clock.advance(120)
    asked = rig.ask()

    assert asked["alerts"]["terminal"] == {
        "pending": 1,
        "dead": 1,
        "oldest_pending_at": "2026-01-01T00:00:00.000000+00:00",
        "last_error": "refused",
    }
    assert "alerts: terminal: 1 given up; see them with: emwatch log --hits" in asked["warnings"]
    assert "alerts: terminal: 1 wait, the oldest for 120 s refused" in asked["warnings"]


def test_a_backup_that_somebody_made_by_hand_is_the_last_one(rig: Rig) -> None:
    with Ledger(rig.ledger):
        pass
    rig.status_file.notes["backup"] = {"at": None, "path": None, "trouble": "no space"}
    rig.status_file.become("watching")
    assert rig.ask()["ledger"]["backup"]["trouble"] == "no space"
    made = make_backup(rig.ledger, rig.config.ledger.backups, rig.clock.now())

    at = rig.clock.now().isoformat(timespec="seconds")
    assert rig.ask()["ledger"]["backup"] == {"at": at, "path": str(made), "trouble": ""}
    status_file_path(rig.ledger).unlink()
    assert rig.ask()["ledger"]["backup"]["path"] == str(made)


def test_backups_on_a_share_are_not_looked_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger(rig.ledger):
        pass
    make_backup(rig.ledger, rig.config.ledger.backups, rig.clock.now())
    monkeypatch.setattr("emwatch.service.status.file_system_type", lambda _directory: "nfs4")

    assert rig.ask()["ledger"]["backup"] is None


def test_a_count_that_takes_too_long_is_left_out(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger") as ledger:
        pass
    with closing(sqlite3.connect(ledger.path)) as connection, connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
            " INSERT INTO frames (path, state, first_seen_at, recorded_at) SELECT i, 'baseline', t, t"
            " FROM n, (SELECT '2026-03-01T12:00:00.000000+00:00' AS t)"
        )

    assert summarise(ledger.path, seconds=-1).frames is None
    assert summarise(ledger.path, seconds=60).frames == {"baseline": 20000}


def test_asking_who_holds_the_lock_does_not_hinder_a_start(rig: Rig) -> None:
    assert holder(rig.ledger) is None
    lock = SingleInstance(rig.ledger)
    lock.acquire()
    assert holder(rig.ledger) == os.getpid()
    lock.release()
    assert holder(rig.ledger) is None
    lock_file(rig.ledger).unlink()
    assert holder(rig.ledger) is None


def test_what_nobody_can_change_today_is_a_note_and_no_warning(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger(rig.ledger):
        pass
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 40, 1))
    asked = rig.ask()

    assert asked["warnings"] == []
    assert "do not write to the ledger" in asked["versions"]["sqlite_note"]


@pytest.mark.parametrize(
    ("release", "sound"),
    [
        ((3, 40, 1), False),
        ((3, 44, 6), True),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 53, 0), True),
    ],
)
def test_which_releases_of_sqlite_are_sound(release: tuple[int, ...], sound: bool) -> None:
    assert sqlite_is_sound(release) is sound
