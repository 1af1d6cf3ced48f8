"""What writers, scanners and operators do to single files: halves, stalls, renames, removals, links, touches, odd names."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import frames
import pytest
from rig import needs_root, sized

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rig import Rig

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600)]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def as_text(truth: dict[Path, str]) -> dict[str, str]:
    return {os.fspath(path): sha256 for path, sha256 in truth.items()}


def wanted(paths: dict[Path, str]) -> list[str]:
    """Those whose category the target looks for, by the number in their name."""
    return [os.fspath(path) for path in paths if int(path.stem[-6:]) % len(frames.CATEGORIES) == 4]


def in_parallel(tasks: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def dribble(
    path: Path, data: bytes, *, step: int, pause_s: float, stall_s: float = 0.0, whole_size: bool = False
) -> None:
    """Write a file bit by bit, with a stall in the middle."""
    with path.open("wb", buffering=0) as file:
        if whole_size:
            file.truncate(len(data))
        for at in range(0, len(data), step):
            file.write(data[at : at + step])
            time.sleep(stall_s if at <= len(data) // 2 < at + step else pause_s)


@pytest.mark.parametrize("mode", ["events", "poll"])
def test_no_row_is_of_a_half_written_file(rig: Rig, mode: str) -> None:
    number = sized(40, 200)
    rig.configure(watch=f"mode: {mode}, sweep_seconds: 0.3, settle_seconds: 0.5")
    truth: dict[Path, str] = {}
    tasks: list[Callable[[], None]] = []
    for at in range(number + number // 2):
        data, path = frames.frame(at), rig.watched / f"frame_{at:06d}.tif"
        truth[path] = sha(data)

        def write(path: Path = path, data: bytes = data, at: int = at) -> None:
            if at < number:  # dribbled in, with a stall a little shorter than settling takes
                dribble(path, data, step=1000, pause_s=0.1, stall_s=0.45)
            elif at < number + number // 4:
                dribble(path, data, step=1000, pause_s=0.1, whole_size=True)
            else:
                path.write_bytes(data)
                time.sleep(3)
                path.with_suffix(".txt").write_text("Sample: late\r\n", encoding="utf-8")

        tasks.append(write)
    with rig.running():
        in_parallel(tasks)
        rig.wait_for_count(len(truth))
    rig.assert_complete(as_text(truth), alerts=wanted(truth))
    assert rig.count("supersedes IS NOT NULL") == 0, "partial bytes had a row"
    print(f"{mode}: {len(truth)} frames written bit by bit, none recorded before it was whole")


def test_a_writer_that_stalls_longer_than_settling_leaves_the_final_bytes_and_no_alert_on_a_part(rig: Rig) -> None:
    number = sized(12, 20)
    rig.configure(watch="settle_seconds: 0.5, patience_seconds: 3")
    truth = {rig.watched / f"frame_{at:06d}.tif": frames.frame(at) for at in range(4, 4 + 10 * number, 10)}

    def write(path: Path, data: bytes) -> Callable[[], None]:
        # Half of them have their full size from the first moment. Zeros at the end may then be black pixels: they are
        # waited for, but not longer than three seconds.
        whole_size = int(path.stem[-6:]) % 20 == 4
        return lambda: dribble(
            path, data, step=len(data) // 4, pause_s=0.1, stall_s=2 if whole_size else 6, whole_size=whole_size
        )

    with rig.running():
        in_parallel([write(path, data) for path, data in truth.items()])
        rig.wait_for(lambda: sorted(rig.rows()) == sorted((os.fspath(p), sha(d)) for p, d in truth.items()))
        told_of_parts = rig.count("state = 'failed'")
    assert told_of_parts == 0, "the failed row of a part must have become the frame's"
    rig.assert_complete({os.fspath(p): sha(d) for p, d in truth.items()}, alerts=[os.fspath(p) for p in truth])
    print(f"{number} frames whose writer stalled for 6 s: final bytes recorded, no alert on a part")


def test_renames_links_and_folders_moved_in_give_each_frame_one_row(rig: Rig) -> None:
    number = sized(100, 1000)
    aside = rig.home / "aside"
    aside.mkdir()
    truth: dict[Path, str] = {}
    with rig.running():
        for at, (path, sha256) in enumerate(frames.write(aside, range(number)).items()):
            truth[path.rename(rig.watched / path.name)] = sha256
            if at % 5 == 0:  # over one that is there
                other = frames.frame(at + 10 * number)
                (aside / "over.tif").write_bytes(other)
                rig.wait_for(lambda path=path: rig.count("path = ?", os.fspath(rig.watched / path.name)) > 0)
                (aside / "over.tif").replace(rig.watched / path.name)
                truth[rig.watched / path.name] = sha(other)
        for path, sha256 in frames.write(aside, range(number, 2 * number)).items():
            (rig.watched / path.name).hardlink_to(path)
            truth[rig.watched / path.name] = sha256
        folder = aside / "day"
        (folder / "deep").mkdir(parents=True)
        inside = frames.write(folder, range(2 * number, 3 * number))
        inside |= frames.write(folder / "deep", range(3 * number, 4 * number))
        folder.rename(rig.watched / "day")
        truth |= {rig.watched / path.relative_to(aside): sha256 for path, sha256 in inside.items()}
        rig.wait_for(lambda: rig.count("state = 'recorded' AND superseded_by IS NULL") >= len(truth))
        current = dict(rig.query("SELECT path, sha256 FROM frames WHERE superseded_by IS NULL"))
        replaced = rig.count("superseded_by IS NOT NULL")
    assert current == as_text(truth)
    rows = rig.rows()
    assert len(rows) == len(set(rows)) == len(truth) + replaced
    rig.assert_sound()
    print(f"{len(truth)} frames renamed, linked or moved in, {replaced} of them over another: one row for each content")


def test_frames_deleted_or_moved_at_any_moment_end_recorded_or_vanished(rig: Rig) -> None:
    number = sized(300, 1000)
    kept: set[str] = set()
    with rig.running() as daemon:
        for at in range(number):
            [path] = frames.write(rig.watched, range(at, at + 1))
            time.sleep((at % 7) * 0.002)
            if at % 3 == 0:
                path.unlink()
            elif at % 3 == 1:
                kept.add(os.fspath(path.rename(rig.watched / f"moved_{at:06d}.tif")))
            else:
                kept.add(os.fspath(path))
        rig.wait_for(
            lambda: kept <= {path for path, _ in rig.rows()}, why=lambda: f"{len(kept)} files, {rig.count()} recorded"
        )
        waiting = rig.wait_for_status(lambda told: told["waiting"] == 0)
        assert daemon.alive
    assert waiting
    assert set(rig.query("SELECT DISTINCT state, code FROM frames")) <= {("recorded", ""), ("failed", "vanished")}
    rig.assert_sound()


def test_one_name_used_again_and_again_records_what_stayed_and_never_wrong_bytes(rig: Rig) -> None:
    number, stay_every = sized(120, 1000), 10
    path = rig.watched / "live.tif"
    all_written: set[str] = set()
    stayed: list[str] = []
    with rig.running():
        for at in range(number):
            data = frames.frame(at)
            path.write_bytes(data)
            all_written.add(sha(data))
            if at % stay_every == 0:
                stayed.append(sha(data))
                rig.wait_for(lambda sha256=stayed[-1]: rig.count("sha256 = ?", sha256) == 1)
            else:
                time.sleep(0.02)
        rig.wait_for(lambda: rig.count("sha256 = ?", sha(frames.frame(number - 1))) == 1)
    recorded = [sha256 for _, sha256 in rig.rows()]
    assert len(recorded) == len(set(recorded))
    assert set(stayed) <= set(recorded) <= all_written
    assert rig.count("superseded_by IS NULL") == 1
    rig.assert_sound()
    print(f"one name written {number} times: {len(stayed)} contents stayed, all recorded; {len(recorded)} rows in all")


def test_mere_touches_change_nothing(rig: Rig) -> None:
    number, rounds = sized(100, 1000), sized(2, 5)
    rig.configure(watch="sweep_seconds: 1")
    truth = frames.write(rig.watched, range(number))
    with rig.running():
        rig.wait_for_count(number)
        rows = rig.query("SELECT id, path, sha256, attempts FROM frames ORDER BY id")
        scored = rig.query("SELECT max(id) FROM predictions")
        backup = rig.home / "backup"
        for _ in range(rounds):
            for path in truth:
                path.chmod(0o640)
                os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))  # the access time only
                backup.hardlink_to(path)
                backup.unlink()
                os.setxattr(path, "user.scanned", b"1")
            time.sleep(3)
        during = frames.write(rig.watched, range(number, number + 20))
        for path in during:  # between the writing and the recording
            path.chmod(0o600)
        rig.wait_for_count(number + 20)
        time.sleep(3)
        assert rig.query("SELECT id, path, sha256, attempts FROM frames WHERE id <= ? ORDER BY id", number) == rows
        assert rig.query("SELECT max(id) FROM predictions") == [(scored[0][0] + 20,)]
    rig.assert_complete(as_text(truth | during), alerts=wanted(truth | during))


@pytest.mark.parametrize("shift", ["+1d", "-1d"])
def test_a_wrong_clock_and_wrong_file_times_lose_and_delay_nothing(rig: Rig, shift: str) -> None:
    if shutil.which("faketime") is None:
        pytest.skip("needs faketime")
    number = sized(60, 500)
    truth = frames.write(rig.watched, range(number // 2))
    too_old = set()
    for at, path in enumerate(truth):
        stamp = (4_102_444_800, 0, 1_700_000_000)[at % 3]  # 2100, 1970, 2023
        os.utime(path, (stamp, stamp))
        if at % 3:
            too_old.add(path)  # they raise no alert (alerts.max_age_days)
    with rig.running():
        rig.wait_for_count(number // 2)
    with rig.running(wrapped=["faketime", "-f", shift]):
        truth |= frames.write(rig.watched, range(number // 2, number))
        rig.wait_for_count(number)
    recent = {path: sha256 for path, sha256 in truth.items() if path not in too_old}
    rig.assert_complete(as_text(truth), alerts=wanted(recent))
    assert rig.query("SELECT count(*) FROM frames WHERE first_seen_at > recorded_at") == [(0,)]


#: The wall clock as a file sets it. (faketime cannot let it jump in a running program: a sleep fails under it.)
_ANOTHER_CLOCK = """
import sys
if "emwatch" in sys.orig_argv and "run" in sys.orig_argv:
    from datetime import timedelta
    from pathlib import Path
    from emwatch.clock import SystemClock
    now = SystemClock.now
    SystemClock.now = lambda self: now(self) + timedelta(hours=float(Path({clock!r}).read_text()))
"""


def test_a_clock_that_jumps_while_the_daemon_runs_loses_and_delays_nothing(rig: Rig) -> None:
    number, clock, hook = sized(40, 100), rig.home / "clock", rig.home / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(_ANOTHER_CLOCK.format(clock=os.fspath(clock)), encoding="utf-8")
    truth: dict[Path, str] = {}
    took_s: list[float] = []
    clock.write_text("0", encoding="ascii")
    rig.configure(watch="sweep_seconds: 2")
    with rig.running(PYTHONPATH=os.pathsep.join([os.fspath(hook), os.environ.get("PYTHONPATH", "")])) as daemon:
        for at, hours in enumerate((0, 24, -24, 1, -1000, 0)):
            other = clock.with_suffix(".new")
            other.write_text(str(hours), encoding="ascii")
            other.replace(clock)
            truth |= frames.write(rig.watched, range(at * number, (at + 1) * number))
            took_s.append(rig.wait_for_count(len(truth), timeout_s=20))
            rig.wait_for(rig.all_alerts_told, 20)
            [lag_s] = rig.wait_for_status(lambda told: told["lag_s"] is not None and [told["lag_s"]])
            assert 0 <= lag_s < 20
        assert daemon.alive
    rig.assert_complete(as_text(truth), alerts=wanted(truth))
    days = {day for (day,) in rig.query("SELECT DISTINCT substr(recorded_at, 1, 10) FROM frames")}
    assert len(days) >= 4, "the clock did not jump"
    assert rig.query("SELECT count(*) FROM frames WHERE first_seen_at > recorded_at") == [(0,)]
    print(
        f"5 jumps of the clock by up to 1,000 hours: {len(truth)} frames, each batch after {max(took_s):.1f} s at most"
    )


#: As root, but bound by permissions like everybody: the Python under test may lie where only root may look.
_BOUND_BY_PERMISSIONS = [
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
]


def test_files_that_may_not_be_read_are_written_to_the_ledger_once(rig: Rig) -> None:
    needs_root("to give up the right to read everything")
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv")
    number, seconds = sized(300, 4000), sized(30, 120)
    rig.configure(watch="mode: poll, sweep_seconds: 1, settle_seconds: 0.1")
    locked = frames.write(rig.watched, range(number))
    for path in locked:
        path.chmod(0)
    with rig.running(wrapped=_BOUND_BY_PERMISSIONS) as daemon:
        rig.wait_for_count(number, "state = 'failed'")
        before = daemon.stats.io_counters().write_bytes
        time.sleep(seconds)
        written = daemon.stats.io_counters().write_bytes - before
        [(tries,)] = rig.query("SELECT max(attempts) FROM frames")
        for path in locked:
            path.chmod(0o644)
        waited_s = rig.wait_for_count(number, timeout_s=300)
    print(
        f"{number} files that may not be read: {written / 1e6:.1f} MB written in {seconds} s, {tries} tries at most; all "
        f"recorded {waited_s:.1f} s after they might be"
    )
    assert tries == 1
    assert written < 2_000_000


def test_what_may_not_be_read_is_read_once_it_may(rig: Rig) -> None:
    needs_root("to give up the right to read everything")
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv")
    rig.configure(watch="sweep_seconds: 1")
    folder = rig.watched / "closed"
    folder.mkdir()
    truth = frames.write(rig.watched, range(10)) | frames.write(folder, range(10, 20))
    locked = rig.watched / "frame_000003.tif"
    locked.chmod(0)
    folder.chmod(0)
    with rig.running(wrapped=_BOUND_BY_PERMISSIONS) as daemon:
        rig.wait_for_count(9)
        rig.wait_for(lambda: bool(daemon.heard("closed: cannot be listed")))
        time.sleep(3)
        assert rig.count() == 9
        assert len(daemon.heard("closed: cannot be listed")) == 1
        locked.chmod(0o644)
        folder.chmod(0o755)
        waited_s = rig.wait_for_count(20, timeout_s=60)
    assert dict(rig.rows()) == as_text(truth)
    print(f"a frame and a folder locked, the others recorded; {waited_s:.1f} s after they were opened all were")


def test_loops_pipes_sockets_and_links_out_of_the_directory_hang_nothing(rig: Rig) -> None:
    root, outside = rig.watched, rig.home / "outside"
    outside.mkdir()
    frames.write(outside, range(5))
    truth = frames.write(root, range(100, 110))
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "out").symlink_to(outside, target_is_directory=True)
    (root / "out.tif").symlink_to(outside / "frame_000001.tif")
    (root / "dangling.tif").symlink_to(root / "nothing.tif")
    (root / "circle.tif").symlink_to(root / "circle.tif")
    (root / "passwd.tif").symlink_to("/etc/passwd")
    (root / "zero.tif").symlink_to("/dev/zero")
    os.mkfifo(root / "pipe.tif")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(root)  # the path of a socket is short
        listener.bind("socket.tif")
        os.chdir("/")
        deep = root
        made = 0
        descriptor = os.open(deep, os.O_RDONLY)
        for _ in range(sized(1000, 10_000)):
            os.mkdir("d", dir_fd=descriptor)
            inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
            made += 1
        os.close(descriptor)
        try:
            rig.configure(watch="sweep_seconds: 1")
            with rig.running() as daemon:
                rig.wait_for_count(10)
                truth |= frames.write(root, range(110, 115))
                rig.wait_for_count(15)
                time.sleep(2.5)
                links = daemon.heard("link")
                ready_s = daemon.ready_s
        finally:
            subprocess.run(["rm", "-rf", os.fspath(root / "d")], check=False)
    recorded = dict(rig.rows())
    assert recorded == as_text(truth)
    print(f"ready after {ready_s:.1f} s with a tree {made} deep; said of links: {links}")
    assert len(links) == 1, "told once, not with each sweep: " + "\n".join(daemon.said)
    assert "not followed: out, out.tif, passwd.tif, zero.tif" in links[0]


_ODD_NAMES = (
    b"caf\xe9.tif",
    "caf\u00e9.tif".encode(),
    "cafe\u0301.tif".encode(),
    b"new\nline.tif",
    b"esc\x1b[31mred.tif",
    b"[red]bold[blue].tif",
    b"-rf.tif",
    b"trailing .tif",
    b" leading.tif",
    b"'quotes\".tif",
    b"%s%n{path}.tif",
    "\u202egnp.tif".encode(),
    "\u96fb\u5b50\u986f\u5fae\u93e1.tif".encode(),
    b"a" * 251 + b".tif",
    b"=cmd.tif",
)


def test_odd_names_have_rows_and_never_reach_a_terminal_raw(rig: Rig) -> None:
    truth = {}
    with rig.running():
        for at, name in enumerate(_ODD_NAMES):
            path = os.fsencode(rig.watched) + b"/" + name
            with open(path, "wb") as file:  # noqa: PTH123 - a path of bytes
                file.write(frames.frame(at))
            truth[sha(frames.frame(at))] = name
        rig.wait_for_count(len(_ODD_NAMES))
    rows = {row["sha256"]: row for row in rig.program.rows()}
    assert rows.keys() == truth.keys()
    assert len({row["path"] for row in rows.values()}) == len(_ODD_NAMES)
    for arguments in (
        ("log", "--all"),
        ("log", "--all", "--json"),
        ("log", "--all", "--ndjson"),
        ("log", "--all", "--csv"),
    ):
        text = rig.program(*arguments).stdout
        assert not [char for char in text if (ord(char) < 32 and char not in "\n\r\t")], arguments
        if "--json" in arguments:
            assert json.loads(text)
    printed = (rig.home / "stdout").read_bytes()
    assert b"\x1b" not in printed
    assert len(printed.splitlines()) <= 2 * len(_ODD_NAMES)
