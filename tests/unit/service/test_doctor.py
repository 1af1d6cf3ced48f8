"""`emwatch doctor` against injected faults: each is named with its remedy, and a healthy machine has none."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emwatch.config import load
from emwatch.ledger.care.backups import make_backup
from emwatch.ledger.sqlite_file import explained
from emwatch.ledger.writer import Ledger
from emwatch.service.doctor import (
    Examination,
    Finding,
    Level,
    Machine,
    channels,
    clocks,
    daemon,
    directories,
    examine,
    ledger,
    model,
    page,
    processor,
    space,
    taught,
    versions,
)
from emwatch.service.doctor.finding import NoAnswerError, answer_in_time
from emwatch.service.lock import SingleInstance
from emwatch.testing import make_metadata, make_outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emwatch.config import Config
    from emwatch.service.doctor.finding import Checked

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)

CPUINFO = "processor\t: 0\nmodel name\t: A Processor @ 3 GHz\nflags\t\t: fpu sse2 pni ssse3 cx16 sse4_1 sse4_2 popcnt\n"
MOUNTS = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"


@pytest.fixture(name="machine")
def _machine(tmp_path: Path) -> Machine:
    """A machine whose /proc tells of nothing bad."""
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "sys" / "fs" / "inotify").mkdir(parents=True)
    (proc / "cpuinfo").write_text(CPUINFO)
    (proc / "self" / "mountinfo").write_text(MOUNTS)
    (proc / "sys/fs/inotify/max_user_watches").write_text("65536\n")
    (proc / "sys/fs/inotify/max_user_instances").write_text("128\n")
    return Machine(NOW, proc)


@pytest.fixture(name="configure")
def _configure(tmp_path: Path) -> Callable[..., Config]:
    def configure(text: str = "", **flags: Any) -> Config:
        file = tmp_path / "lab.yaml"
        file.write_text(text)
        (tmp_path / "frames").mkdir(exist_ok=True)
        given = {"watch.directory": tmp_path / "frames", "ledger.path": tmp_path / "state" / "ledger.sqlite3"}
        given |= {key.replace("__", "."): value for key, value in flags.items()}
        none = tmp_path / "none"
        return load(file, given, environ={}, user_file=none, system_file=none).config

    return configure


def record(config: Config, *, made: list[timedelta], recorded: list[timedelta], acquired: bool = False) -> None:
    """Record frames that were made and recorded so long before NOW, by the clocks of the instrument and of the PC."""
    with Ledger(config.ledger.path) as opened:
        for number, (one, two) in enumerate(zip(made, recorded, strict=True)):
            metadata = make_metadata(acquired_at=(NOW - one).isoformat()) if acquired else make_metadata()
            written_at = NOW - two if acquired else NOW - one
            outcome = make_outcome(f"/acq/{number}.tif", str(number), written_at=written_at, metadata=metadata)
            opened.record(outcome, NOW - two)


def minutes(*numbers: float) -> list[timedelta]:
    return [timedelta(minutes=each) for each in numbers]


def only(checked: Iterator[Checked]) -> Finding:
    [finding] = [finding for each in checked for finding in each.findings]
    assert finding.mend
    assert finding.expected
    return finding


def none(checked: Iterator[Checked]) -> bool:
    return [finding for each in checked for finding in each.findings] == []


class TestHealthy:
    def test_nothing_is_found_with_a_model_a_ledger_and_a_backup(
        self, machine: Machine, configure: Callable[..., Config]
    ) -> None:
        config = configure("alerts: {horn: {kind: command, argv: [/bin/true]}}")
        record(config, made=minutes(*range(20)), recorded=minutes(*range(20)))
        make_backup(config.ledger.path, config.ledger.backups, NOW - timedelta(hours=20))

        found = examine(config, replace(machine, now=NOW))

        assert found.findings == ()
        assert found.healthy
        assert {each.check for each in found.checked} >= {
            "model",
            "ledger",
            "backup",
            "watch.events",
            "clock",
            "alerts.horn",
        }

    def test_before_the_first_start_nothing_is_found(self, machine: Machine, configure: Callable[..., Config]) -> None:
        assert examine(configure(model__engine="stub"), machine).findings == ()

    def test_a_note_needs_no_action(self) -> None:
        note = Finding("watch.mode", Level.NOTE, "a share", "nothing", "nothing")
        from emwatch.service.doctor.finding import Checked as Result

        assert Examination((Result("watch", "", (note,)),)).healthy
        assert not Examination((Result("watch", "", (replace(note, level=Level.WARNING),)),)).healthy


class TestDirectories:
    def test_a_directory_that_is_not_there(self, machine: Machine, configure: Callable[..., Config]) -> None:
        finding = only(directories.check(configure(watch__directory=Path("/nowhere/frames")), machine))

        assert (finding.check, finding.level) == ("watch.directory", Level.ERROR)
        assert "/nowhere/frames: No such file or directory" in finding.found
        assert "findmnt --target /nowhere/frames" in finding.mend

    def test_no_directory_at_all(self, machine: Machine, configure: Callable[..., Config]) -> None:
        config = configure()
        config = config.model_copy(update={"watch": config.watch.model_copy(update={"directory": ()})})
        finding = only(directories.check(config, machine))

        assert finding.found.startswith("no acquisition directory is given")
        assert finding.found.endswith("or of --config FILE")
        assert "emwatch init" in finding.mend

    def test_too_few_watches_for_the_folders_name_the_setting_and_a_number_that_suffices(
        self, machine: Machine, configure: Callable[..., Config], tmp_path: Path
    ) -> None:
        config = configure()
        for day in range(30):
            (tmp_path / "frames" / f"day {day}").mkdir()
        (machine.proc / "sys/fs/inotify/max_user_watches").write_text("10\n")

        finding = only(directories.check(config, machine))

        assert (finding.check, finding.level) == ("watch.limit", Level.ERROR)
        assert "fs.inotify.max_user_watches is 10, and 31 folders" in finding.found
        assert "fs.inotify.max_user_watches = 65536" in finding.mend
        assert "sysctl --system" in finding.mend

    def test_folders_that_are_not_watched_need_no_watch(
        self, machine: Machine, configure: Callable[..., Config], tmp_path: Path
    ) -> None:
        config = configure("watch: {exclude: ['day*']}")
        for day in range(30):
            (tmp_path / "frames" / f"day {day}").mkdir()
        (machine.proc / "sys/fs/inotify/max_user_watches").write_text("1010\n")

        assert none(directories.check(config, machine))

    def test_too_few_event_queues(self, machine: Machine, configure: Callable[..., Config]) -> None:
        (machine.proc / "sys/fs/inotify/max_user_instances").write_text("4\n")

        assert "fs.inotify.max_user_instances" in only(directories.check(configure(), machine)).mend

    @pytest.mark.parametrize("kind", ["cifs", "nfs4", "fuse.sshfs"])
    def test_events_on_a_network_mount_are_an_error(
        self, machine: Machine, configure: Callable[..., Config], tmp_path: Path, kind: str
    ) -> None:
        share = f"30 22 0:40 / {tmp_path}/frames rw - {kind} //sem/frames rw\n"
        machine.mount_table.write_text(MOUNTS + share)

        finding = only(directories.check(configure("watch: {mode: events}"), machine))

        assert (finding.check, finding.level) == ("watch.mode", Level.ERROR)
        assert kind in finding.found
        assert "mode: auto" in finding.mend

    def test_a_network_mount_that_is_swept_is_a_note_and_needs_no_watches(
        self, machine: Machine, configure: Callable[..., Config], tmp_path: Path
    ) -> None:
        machine.mount_table.write_text(f"{MOUNTS}30 22 0:40 / {tmp_path}/frames rw - cifs //sem/frames rw\n")
        (machine.proc / "sys/fs/inotify/max_user_watches").write_text("0\n")

        finding = only(directories.check(configure(), machine))

        assert finding.level == Level.NOTE
        assert "swept" in finding.found

    def test_nothing_is_written_to_a_watched_directory(
        self, machine: Machine, configure: Callable[..., Config], tmp_path: Path
    ) -> None:
        config = configure()
        (tmp_path / "frames" / "a.tif").write_bytes(b"II*\0")
        before = sorted((tmp_path / "frames").rglob("*")), (tmp_path / "frames").stat().st_mtime_ns

        list(directories.check(config, machine))

        assert (sorted((tmp_path / "frames").rglob("*")), (tmp_path / "frames").stat().st_mtime_ns) == before

    def test_a_frame_that_may_not_be_read(self, configure: Callable[..., Config], tmp_path: Path) -> None:
        configure()
        frame = tmp_path / "frames" / "locked.tif"
        frame.write_bytes(b"II*\0")
        frame.chmod(0)

        found = as_nobody(tmp_path, "watch.permission")

        assert "locked.tif may not be read" in found
        assert "usermod" in found

    def test_a_file_system_that_hangs_is_not_waited_for(self) -> None:
        import threading

        with pytest.raises(NoAnswerError):
            answer_in_time(threading.Event().wait, 0.01)


#: Checks a configuration as a user who is not root, who may read and write everything.
AS_NOBODY = """
import datetime, os, pathlib, sys
from emwatch.config import load
from emwatch.service.doctor import Machine, directories, ledger
folder = pathlib.Path(sys.argv[1])
config = load(flags={"watch.directory": folder / "frames", "ledger.path": folder / "state" / "ledger.sqlite3"}).config
machine = Machine(datetime.datetime.now(datetime.UTC))
[list(module.check(config, machine)) for module in (directories, ledger)]  # imports what is imported late
if os.geteuid() == 0:
    for place in (folder, *list(folder.parents)[:3]):
        place.chmod(place.stat().st_mode | 0o055)
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for module in (directories, ledger):
    for checked in module.check(config, machine):
        for finding in checked.findings:
            print(f"{finding.level}: {finding.check}: {finding.found}: {finding.mend}")
"""


def as_nobody(folder: Path, check: str) -> str:
    """What the checks of directories and ledger say of a folder to a user who is not root."""
    command = [sys.executable, "-c", AS_NOBODY, folder]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert f"error: {check}: " in ended.stdout
    return ended.stdout


class TestProcessor:
    @pytest.fixture(autouse=True)
    def _on_x86(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("platform.machine", lambda: "x86_64")

    def test_a_missing_feature_is_named_before_anything_is_loaded(
        self, machine: Machine, configure: Callable[..., Config]
    ) -> None:
        (machine.proc / "cpuinfo").write_text(CPUINFO.replace(" sse4_2", "").replace("A Processor", "An Old One"))

        finding = only(processor.check(configure(), machine))

        assert (finding.check, finding.level) == ("processor", Level.ERROR)
        assert "An Old One" in finding.found
        assert "without sse4_2" in finding.found
        assert "-cpu host" in finding.mend

    def test_nothing_that_needs_the_feature_is_imported(self, machine: Machine, tmp_path: Path) -> None:
        (machine.proc / "cpuinfo").write_text(CPUINFO.replace(" popcnt", ""))
        program = (
            "import sys, platform, pathlib, datetime\n"
            "platform.machine = lambda: 'x86_64'\n"
            "from emwatch.config import load\n"
            "from emwatch.service.doctor import Machine, examine\n"
            "found = examine(load().config, Machine(datetime.datetime.now(), pathlib.Path(sys.argv[1])))\n"
            "print([each.check for each in found.findings], 'numpy' in sys.modules)\n"
        )
        command = [sys.executable, "-c", program, machine.proc]
        said = subprocess.run(command, capture_output=True, text=True, check=True, env={"HOME": os.fspath(tmp_path)})

        assert said.stdout == "['processor'] False\n"

    def test_a_processor_that_says_nothing_is_left_to_the_self_test(
        self, machine: Machine, configure: Callable[..., Config]
    ) -> None:
        (machine.proc / "cpuinfo").unlink()

        assert none(processor.check(configure(), machine))


class TestModel:
    @pytest.mark.parametrize(
        ("number", "word"), [("SIGILL", "newer processor"), ("SIGKILL", "memory"), ("SIGSEGV", "reinstall")]
    )
    def test_an_engine_that_dies_of_a_signal_is_told_and_does_not_end_the_doctor(
        self, machine: Machine, configure: Callable[..., Config], number: str, word: str
    ) -> None:
        dies = (sys.executable, "-c", f"import os, signal; os.kill(os.getpid(), signal.{number})")

        finding = only(model.check(configure(), replace(machine, self_test=dies)))

        assert f"died of {number}" in finding.found
        assert word in finding.mend

    def test_a_bundle_that_was_changed_fails_in_the_child(
        self, machine: Machine, configure: Callable[..., Config], tmp_path: Path
    ) -> None:
        bundle = tmp_path / "bundle"
        shutil.copytree(Path(__file__).resolve().parents[3] / "models" / "default", bundle)
        content = bytearray((bundle / "head.npz").read_bytes())
        content[100] ^= 1
        (bundle / "head.npz").write_bytes(content)

        finding = only(model.check(configure(model__bundle=bundle), machine))

        assert "head.npz" in finding.found
        assert "emwatch model verify" in finding.mend


class TestLedger:
    def test_a_state_directory_on_a_read_only_disk(self, machine: Machine, configure: Callable[..., Config]) -> None:
        config = configure()
        config.ledger.path.parent.mkdir()
        with mounted(config.ledger.path.parent, "ro"):
            finding = only(ledger.check(config, machine))

        assert (finding.check, finding.level) == ("ledger.permission", Level.ERROR)
        assert "Read-only file system" in finding.found
        assert "remount,rw" in finding.mend

    def test_a_state_directory_of_another_user(self, configure: Callable[..., Config], tmp_path: Path) -> None:
        configure().ledger.path.parent.mkdir(mode=0o755)
        if os.geteuid() != 0:
            configure().ledger.path.parent.chmod(0o555)

        assert "chown" in as_nobody(tmp_path, "ledger.permission")

    def test_a_ledger_on_a_network_mount(
        self, machine: Machine, configure: Callable[..., Config], tmp_path: Path
    ) -> None:
        config = configure()
        config.ledger.path.parent.mkdir()
        machine.mount_table.write_text(f"{MOUNTS}30 22 0:40 / {tmp_path}/state rw - nfs4 nas:/state rw\n")

        finding = only(ledger.check(config, machine))

        assert (finding.check, finding.level) == ("ledger.path", Level.WARNING)
        assert "nfs4" in finding.found
        assert "/var/lib/emwatch" in finding.mend

    def test_a_damaged_ledger_names_the_repair(self, machine: Machine, configure: Callable[..., Config]) -> None:
        config = configure("ledger: {backup_every_hours: 0}")
        record(config, made=minutes(1), recorded=minutes(1))
        content = bytearray(config.ledger.path.read_bytes())
        content[4096:] = bytes(len(content) - 4096)
        config.ledger.path.write_bytes(content)

        findings = [finding for each in ledger.check(config, machine) for finding in each.findings]

        assert findings
        assert {each.level for each in findings} == {Level.ERROR}
        assert all("emwatch db repair" in each.mend for each in findings)

    def test_a_file_that_no_repair_takes_is_not_sent_to_it(
        self, machine: Machine, configure: Callable[..., Config]
    ) -> None:
        config = configure("ledger: {backup_every_hours: 0}")
        config.ledger.path.parent.mkdir(parents=True)
        config.ledger.path.write_bytes(b"\xa5junk" * 4000)

        mend = only(ledger.check(config, machine)).mend

        assert "emwatch db repair" not in mend
        assert "give another path as `ledger.path`" in mend

    def test_an_old_backup(self, machine: Machine, configure: Callable[..., Config]) -> None:
        config = configure()
        record(config, made=minutes(1), recorded=minutes(1))
        make_backup(config.ledger.path, config.ledger.backups, NOW - timedelta(days=5))

        finding = only(ledger.check(config, machine))

        assert (finding.check, finding.level) == ("backup", Level.WARNING)
        assert "5.0 days old" in finding.found
        assert "emwatch db backup" in finding.mend

    def test_a_ledger_of_some_days_without_any_backup(self, machine: Machine, configure: Callable[..., Config]) -> None:
        config = configure()
        record(config, made=minutes(1), recorded=[timedelta(days=4)])

        assert "no backup in" in only(ledger.check(config, machine)).found
        young = replace(machine, now=NOW - timedelta(days=4) + timedelta(hours=3))
        assert none(ledger.check(config, young))

    def test_a_damaged_backup(self, machine: Machine, configure: Callable[..., Config]) -> None:
        config = configure()
        record(config, made=minutes(1), recorded=minutes(1))
        made = make_backup(config.ledger.path, config.ledger.backups, NOW - timedelta(hours=1))
        assert made is not None
        made.write_bytes(made.read_bytes()[:5000])

        finding = only(ledger.check(config, machine))

        assert (finding.check, finding.level) == ("backup", Level.ERROR)


@contextmanager
def mounted(target: Path, options: str) -> Iterator[None]:
    """A small tmpfs for a while; the test is skipped where mounting is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("needs root: to mount")
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", os.fspath(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", os.fspath(target)], check=True)


class TestSpace:
    @pytest.mark.parametrize(("size", "level"), [("8m", Level.ERROR), ("300m", Level.WARNING)])
    def test_a_full_disk(self, machine: Machine, configure: Callable[..., Config], size: str, level: Level) -> None:
        config = configure()
        config.ledger.path.parent.mkdir()
        with mounted(config.ledger.path.parent, f"size={size}"):
            finding = only(space.check(config, machine))

        assert (finding.check, finding.level) == ("disk.ledger", level)
        assert "emwatch db prune" in finding.mend

    def test_a_disk_without_room_for_files(self, machine: Machine, configure: Callable[..., Config]) -> None:
        config = configure()
        config.ledger.path.parent.mkdir()
        with mounted(config.ledger.path.parent, "size=2g,nr_inodes=50"):
            finding = only(space.check(config, machine))

        assert "--inodes" in finding.mend


class TestClocks:
    def test_a_clock_an_hour_behind_while_frames_come(self, machine: Machine, configure: Callable[..., Config]) -> None:
        config = configure()
        record(config, made=minutes(*range(67, 97, 3)), recorded=minutes(*range(0, 30, 3)))

        finding = only(clocks.check(config, machine))

        assert (finding.check, finding.level) == ("clock.instrument", Level.WARNING)
        assert "67 min behind" in finding.found
        assert "file times" in finding.found
        assert "set-ntp" in finding.mend

    def test_acquisition_times_of_another_time_zone(self, machine: Machine, configure: Callable[..., Config]) -> None:
        config = configure()
        record(config, made=minutes(*range(120, 150, 3)), recorded=minutes(*range(0, 30, 3)), acquired=True)

        finding = only(clocks.check(config, machine))

        assert "acquisition times" in finding.found
        assert "set-timezone" in finding.mend

    def test_frames_from_the_future(self, machine: Machine, configure: Callable[..., Config]) -> None:
        config = configure()
        record(config, made=minutes(*range(-40, -30)), recorded=minutes(*[1] * 10))

        assert "ahead of" in only(clocks.check(config, machine)).found

    def test_an_archive_that_was_moved_in_is_no_wrong_clock(
        self, machine: Machine, configure: Callable[..., Config]
    ) -> None:
        config = configure()
        record(config, made=minutes(*range(5000, 6000, 100)), recorded=minutes(*range(0, 30, 3)))

        assert none(clocks.check(config, machine))

    def test_frames_copied_in_one_go_are_no_wrong_clock(
        self, machine: Machine, configure: Callable[..., Config]
    ) -> None:
        config = configure()
        record(config, made=minutes(*[500 + each / 10 for each in range(10)]), recorded=minutes(*[1] * 10))

        assert none(clocks.check(config, machine))

    def test_a_pc_whose_clock_went_back(self, machine: Machine, configure: Callable[..., Config]) -> None:
        config = configure()
        record(config, made=minutes(1), recorded=minutes(1))

        finding = only(clocks.check(config, replace(machine, now=NOW - timedelta(days=3))))

        assert (finding.check, finding.level) == ("clock.pc", Level.ERROR)
        assert "3.0 days from now" in finding.found


class TestChannels:
    def test_a_program_that_is_not_there(self, machine: Machine, configure: Callable[..., Config]) -> None:
        finding = only(channels.check(configure("alerts: {horn: {kind: command, argv: [/no/horn]}}"), machine))

        assert (finding.check, finding.level) == ("alerts.horn", Level.ERROR)
        assert "/no/horn" in finding.found
        assert "alerts.horn.argv" in finding.mend

    def test_alerts_that_a_channel_does_not_take(self, machine: Machine, configure: Callable[..., Config]) -> None:
        config = configure("alerts: {horn: {kind: command, argv: [/bin/false]}}")
        from emwatch.alerts.outbox import Outbox
        from emwatch.testing import ManualClock

        with Ledger(config.ledger.path) as opened:
            opened.record(make_outcome(targets=("tips",), channels=("horn",), written_at=NOW), NOW)
            outbox = Outbox(opened, config.alerts.open_channels(lambda _alert: None), ManualClock(NOW))
            outbox.deliver_due("horn", NOW)

        finding = only(channels.check(config, machine))

        assert finding.level == Level.ERROR
        assert "1 alerts waiting" in finding.found
        assert "exit status 1" in finding.found


class TestPage:
    def test_a_page_that_other_machines_could_read_without_a_token(
        self, machine: Machine, configure: Callable[..., Config]
    ) -> None:
        finding = only(page.check(configure("web: {serve: true, host: 0.0.0.0}"), machine))

        assert (finding.check, finding.level) == ("web.serve", Level.WARNING)
        assert "web.token_file" in finding.found

    def test_a_page_whose_extra_is_not_installed(
        self, machine: Machine, configure: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("emwatch.config.schema.find_spec", lambda _name: None)

        assert "pip install 'emwatch[web]'" in only(page.check(configure("web: {serve: true}"), machine)).found

    def test_one_that_can_be_served_or_need_not_be(
        self, machine: Machine, configure: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("emwatch.config.schema.find_spec", lambda _name: "there")

        assert none(page.check(configure("web: {serve: true}"), machine))
        assert none(page.check(configure("web: {host: 0.0.0.0}"), machine))


class TestDaemon:
    def test_a_daemon_that_was_killed(self, machine: Machine, configure: Callable[..., Config]) -> None:
        config = configure()
        config.ledger.path.parent.mkdir()
        Path(f"{config.ledger.path}.status.json").write_text('{"state": "watching", "pid": 4}')

        finding = only(daemon.check(config, machine))

        assert "journalctl" in finding.mend

    def test_what_the_running_daemon_warns_of(self, machine: Machine, configure: Callable[..., Config]) -> None:
        config = configure()
        record(config, made=minutes(1), recorded=minutes(1))
        with_trouble = (
            '{"path": "/frames", "mode": "degraded", "why": "no watch", "sweep_seconds": 5, "last_sweep_at": null}'
        )
        told = (
            f'{{"state": "watching", "pid": {os.getpid()}, "written_at": "{NOW.isoformat()}", '
            f'"directories": [{with_trouble}], "versions": {{"emwatch": "0.0.1"}}}}'
        )
        Path(f"{config.ledger.path}.status.json").write_text(told)
        lock = SingleInstance(config.ledger.path)
        lock.acquire()
        try:
            findings = [finding for each in daemon.check(config, machine) for finding in each.findings]
        finally:
            lock.release()

        assert [each.mend for each in findings if "degraded" in each.found]
        assert [each.mend for each in findings if "0.0.1" in each.found] == ["systemctl restart emwatch"]


def test_a_package_that_is_missing_or_too_old_names_what_to_install() -> None:
    findings = list(
        versions._packages(["click>=99.1", "not-there-at-all>=2", "numpy>=1", "keras>=3; extra == 'train'"])
    )

    assert [each.mend for each in findings] == ["pip install 'click>=99.1'", "pip install 'not-there-at-all>=2'"]


@pytest.mark.parametrize("name", ["SQLITE_FULL", "SQLITE_BUSY", "SQLITE_IOERR_WRITE"])
def test_what_keeps_the_running_daemon_from_recording_has_its_own_remedy(
    machine: Machine, configure: Callable[..., Config], name: str
) -> None:
    config = configure()
    record(config, made=minutes(1), recorded=minutes(1))
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = name
    told = {"state": "watching", "pid": os.getpid(), "written_at": NOW.isoformat()}
    told["ledger_trouble"] = str(explained(config.ledger.path, error))
    Path(f"{config.ledger.path}.status.json").write_text(json.dumps(told))
    lock = SingleInstance(config.ledger.path)
    lock.acquire()
    try:
        finding = only(daemon.check(config, machine))
    finally:
        lock.release()

    assert "emwatch status" not in finding.mend
    assert os.fspath(config.ledger.path) in finding.mend


class TestCauses:
    """What is told is what mends it, also where one key's fault shows up while another is checked."""

    @pytest.mark.parametrize(
        ("key", "place"), [("ledger.path", "frames/x"), ("ledger.path", ""), ("ledger.backup_directory", "frames/b")]
    )
    def test_a_place_of_the_ledger_is_not_blamed_on_the_watched_directory(
        self, machine: Machine, configure: Callable[..., Config], tmp_path: Path, key: str, place: str
    ) -> None:
        config = configure()
        section = config.ledger.model_copy(update={key.removeprefix("ledger."): tmp_path / place})

        finding = only(directories.check(config.model_copy(update={"ledger": section}), machine))

        assert finding.check == key
        assert finding.mend.startswith(f"correct {key}, ")

    def test_a_directory_instead_of_a_ledger_is_not_to_be_repaired(
        self, machine: Machine, configure: Callable[..., Config], tmp_path: Path
    ) -> None:
        (tmp_path / "state").mkdir()

        finding = only(ledger.check(configure(ledger__path=tmp_path / "state"), machine))

        assert "is a directory" in finding.found
        assert finding.mend.startswith("correct ledger.path")

    def test_a_bundle_that_is_configured_is_not_mended_by_a_rollback(
        self, machine: Machine, configure: Callable[..., Config], tmp_path: Path
    ) -> None:
        finding = only(model.check(configure(model__bundle=tmp_path / "none"), machine))

        assert "correct model.bundle" in finding.mend
        assert "rollback" not in finding.mend

    def test_pictures_that_no_pattern_lets_pass_are_told(
        self, machine: Machine, configure: Callable[..., Config], tmp_path: Path
    ) -> None:
        config = configure("watch: {include: ['*.tif']}")
        (tmp_path / "frames" / "notes.txt").write_text("no picture")
        assert none(directories.check(config, machine))
        (tmp_path / "frames" / "a.PNG").write_bytes(b"")

        finding = only(directories.check(config, machine))
        (tmp_path / "frames" / "b.tif").write_bytes(b"")

        assert (finding.check, finding.level) == ("watch.include", Level.WARNING)
        assert finding.found.endswith("such as " + os.fspath(tmp_path / "frames" / "a.PNG"))
        assert 'include: ["*.png"]' in finding.mend
        assert none(directories.check(config, machine))

    def test_a_text_beside_a_frame_that_no_pattern_lets_pass_is_told(
        self, machine: Machine, configure: Callable[..., Config], tmp_path: Path
    ) -> None:
        config = configure("watch: {include: ['*.tif']}")
        for name in ("a.tif", "notes.txt"):
            (tmp_path / "frames" / name).write_bytes(b"")
        assert none(directories.check(config, machine))
        (tmp_path / "frames" / "a.TXT").write_bytes(b"")

        finding = only(directories.check(config, machine))

        assert (finding.check, finding.level) == ("watch.include", Level.WARNING)
        assert finding.found.endswith(os.fspath(tmp_path / "frames" / "a.TXT"))
        assert 'include: ["*.tif", "*.txt"]' in finding.mend
        assert none(directories.check(configure("watch: {include: ['*.tif', '*.txt']}"), machine))

    def test_a_target_that_no_frame_can_meet_is_told(self, machine: Machine, configure: Callable[..., Config]) -> None:
        config = configure("model: {engine: stub}\ntargets: [{name: rods, learned: gold rods}]")

        finding = only(taught.check(config, machine))

        assert "'gold rods'" in finding.found
        assert "emwatch target learn" in finding.mend

    @pytest.mark.parametrize("key", ["watch.directory", "ledger.path", "ledger.backup_directory"])
    def test_a_ring_of_links_is_a_finding(
        self, machine: Machine, configure: Callable[..., Config], tmp_path: Path, key: str
    ) -> None:
        ring = tmp_path / "ring"
        ring.symlink_to(ring)
        place = ring / "ledger.sqlite3" if key == "ledger.path" else ring
        config = configure("model: {engine: stub}", **{key.replace(".", "__"): place})

        found = examine(config, machine)

        assert not found.healthy
        assert any("Too many levels of symbolic links" in each.found for each in found.findings)

    @pytest.mark.parametrize("fault", ["no directory", "no frame to read", "no ledger", "no disk", "no room"])
    def test_a_command_can_be_copied_whatever_the_folders_are_called(
        self, machine: Machine, configure: Callable[..., Config], tmp_path: Path, fault: str
    ) -> None:
        place = tmp_path / "SEM Data of Ann's"
        ledger_file, gone = place / "ledger.sqlite3", place / "gone"
        config = configure(
            ledger__path=ledger_file, watch__directory=gone if fault == "no directory" else tmp_path / "frames"
        )
        place.mkdir()
        if fault == "no directory":
            finding, named = only(directories.check(config, machine)), gone
        elif fault == "no frame to read":
            finding, named = directories._closed(place, [place]), place
        elif fault == "no ledger":
            ledger_file.write_bytes(b"no database" * 1000)
            finding, named = only(iter([ledger._content(ledger_file, place)])), ledger_file
        else:
            place.rmdir()
            place.symlink_to(place if fault == "no disk" else "/proc")
            finding = next(each for one in space.check(config, machine) for each in one.findings)
            named = place

        assert os.fspath(named) in shlex.split(finding.mend.replace(";", " ; ").replace(")", " )"))
