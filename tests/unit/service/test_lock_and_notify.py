"""One daemon per ledger, whatever happened to the last one; and what the service manager is told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from emwatch.errors import EmwatchError
from emwatch.service.lock import SingleInstance, lock_file
from emwatch.service.systemd import SystemdNotifier
from emwatch.watch.hints import HintBox

HOLDER = """
import sys, pathlib
from emwatch.service.lock import SingleInstance
SingleInstance(pathlib.Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_daemon_is_refused_and_told_which_process_holds_the_lock(tmp_path: Path) -> None:
    first = SingleInstance(tmp_path / "lock")
    first.acquire()

    with pytest.raises(EmwatchError, match=f"process {os.getpid()}"):
        SingleInstance(tmp_path / "lock").acquire()

    first.release()
    SingleInstance(tmp_path / "lock").acquire()


def test_the_lock_of_a_killed_daemon_is_free(tmp_path: Path) -> None:
    path = tmp_path / "state" / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(EmwatchError, match="already uses this ledger"):
            SingleInstance(path).acquire()
        holder.send_signal(signal.SIGKILL)
        holder.wait()

    SingleInstance(path).acquire()


def test_a_state_directory_that_cannot_be_made_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(EmwatchError, match=r"set ledger\.path"):
        SingleInstance(tmp_path / "file" / "lock").acquire()


def test_systemd_hears_facts_and_is_petted_no_more_than_needed(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(os.fspath(tmp_path / "notify"))
        listener.settimeout(5)
        notifier = SystemdNotifier({"NOTIFY_SOCKET": os.fspath(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"})

        notifier.say(READY="1", STATUS="watching")
        for now in (0.0, 10.0, 14.9, 15.0):
            notifier.tick(now)
        notifier.say(STOPPING="1")

        assert [listener.recv(1024) for _ in range(4)] == [
            b"READY=1\nSTATUS=watching",
            b"WATCHDOG=1",
            b"WATCHDOG=1",
            b"STOPPING=1",
        ]


def test_without_a_service_manager_nothing_is_sent_and_nothing_fails(tmp_path: Path) -> None:
    SystemdNotifier({}).say(READY="1")
    SystemdNotifier({"NOTIFY_SOCKET": os.fspath(tmp_path / "nobody")}).say(READY="1")


def test_a_watchdog_meant_for_another_process_is_not_petted(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(os.fspath(tmp_path / "notify"))
        listener.setblocking(False)
        environ = {"NOTIFY_SOCKET": os.fspath(tmp_path / "notify"), "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
        SystemdNotifier(environ).tick(1e9)

        with pytest.raises(BlockingIOError):
            listener.recv(1024)


def test_hints_for_one_file_merge_and_closed_is_not_forgotten() -> None:
    box = HintBox()
    box.file(Path("/f/a.tif"), closed=True)
    box.file(Path("/f/a.tif"), closed=False)
    box.file(Path("/f/b.tif.tmp"), closed=True)
    box.gone(Path("/f/b.tif.tmp"))

    taken = box.take()

    assert taken.files == {Path("/f/a.tif"): True}
    assert taken.gone == {Path("/f/b.tif.tmp")}
    assert not box.take()


def test_a_flood_of_hints_becomes_one_request_to_look_everywhere() -> None:
    box = HintBox()
    for number in range(10_500):
        box.file(Path(f"/f/{number}.tif"), closed=True)

    taken = box.take()

    assert len(taken.files) == 10_000
    assert len(taken.everything) == 1


@pytest.mark.parametrize("there", [True, False])
def test_the_lock_is_not_written_where_a_link_leads(tmp_path: Path, there: bool) -> None:
    """Root is asked to work in folders of others, who may leave a link there."""
    victim = tmp_path / "passwd"
    if there:
        victim.write_text("root:x:0:0\n", encoding="utf-8")
    ledger = tmp_path / "state" / "ledger.sqlite3"
    ledger.parent.mkdir()
    lock_file(ledger).symlink_to(victim)

    with pytest.raises(EmwatchError, match="is a link"):
        SingleInstance(ledger).acquire()

    assert victim.exists() is there
    assert not there or victim.read_text(encoding="utf-8") == "root:x:0:0\n"
