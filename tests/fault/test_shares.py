"""Shares: another machine writes, this kernel sees no event, and the sweep finds every frame all the same."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import frames
import pytest
from rig import FULL, mounted, needs_root, sized

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rig import Rig

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600)]


def latencies(rig: Rig, written_at: dict[str, float]) -> list[float]:
    """From the end of writing to the commit, in seconds, sorted."""
    rows = rig.query("SELECT path, (julianday(recorded_at) - 2440587.5) * 86400 FROM frames WHERE state = 'recorded'")
    return sorted(at - written_at[Path(path).name] for path, at in rows)


def test_frames_written_below_an_overlay_raise_no_event_and_are_found_by_polling(rig: Rig) -> None:
    needs_root("to mount an overlay")
    number = sized(200, 2000)
    layers = rig.home / "layers"
    with mounted("tmpfs", "tmpfs", layers):  # an overlay's layers may not lie on an overlay
        lower, upper, work = (layers / name for name in ("lower", "upper", "work"))
        for each in (lower, upper, work):
            each.mkdir()
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        written_at: dict[str, float] = {}
        truth: dict[str, str] = {}
        with mounted("overlay", "overlay", rig.watched, options), rig.running() as daemon:
            status = rig.wait_for_status(lambda told: told["directories"][0])
            for at in range(number):
                [(path, sha256)] = frames.write(lower, range(at, at + 1)).items()
                written_at[path.name] = time.time()
                truth[os.fspath(rig.watched / path.name)] = sha256
                time.sleep(0.02)
            rig.wait_for_count(number)
            watching = daemon.heard("by polling")
        found = latencies(rig, written_at)
        rig.assert_complete(
            truth, alerts=[os.fspath(rig.watched / f"frame_{at:06d}.tif") for at in range(4, number, 10)]
        )
    assert watching, "the overlay was not recognised as a file system without events"
    assert status["mode"] == "polling"
    print(
        f"{number} frames without events, sweeps every {status['sweep_seconds']:g} s and 5 s of settling: recorded after "
        f"{found[len(found) // 2]:.1f} s (median), {found[int(0.99 * len(found))]:.1f} s (p99)"
    )


@pytest.fixture(name="smb_port")
def _smb_port(rig: Rig) -> Iterator[int]:
    """A real SMB server on loopback that shares the watched directory, as a NAS or the watching PC itself would."""
    needs_root("to run smbd")
    if shutil.which("smbd") is None or shutil.which("smbclient") is None:
        pytest.skip("needs smbd and smbclient (Debian: apt-get install samba smbclient)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    state = rig.home / "samba"
    state.mkdir()
    config = state / "smb.conf"
    config.write_text(
        textwrap.dedent(f"""
            [global]
            server role = standalone server
            interfaces = 127.0.0.1
            bind interfaces only = yes
            smb ports = {port}
            map to guest = Bad User
            guest account = root
            private dir = {state}
            state directory = {state}
            cache directory = {state}
            lock directory = {state}
            pid directory = {state}
            ncalrpc dir = {state}
            log file = {state}/log
            load printers = no
            disable spoolss = yes
            [frames]
            path = {rig.watched}
            guest ok = yes
            read only = no
            strict allocate = yes
        """),
        encoding="utf-8",
    )
    with (state / "output").open("wb") as output:
        server = subprocess.Popen(
            ["smbd", "--foreground", "--no-process-group", "-s", os.fspath(config)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 20
        while True:
            assert server.poll() is None, (state / "output").read_text(errors="replace")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield port
    finally:
        os.killpg(server.pid, 9)
        server.wait()


def test_frames_put_through_a_real_smb_server_are_recorded_as_they_come(rig: Rig, smb_port: int) -> None:
    number = sized(60, 500)
    elsewhere = rig.home / "microscope"
    elsewhere.mkdir()
    truth = {
        os.fspath(rig.watched / path.name): sha256 for path, sha256 in frames.write(elsewhere, range(number)).items()
    }
    commands = "; ".join(f"put {path.name}" for path in sorted(elsewhere.iterdir()))
    with rig.running():
        began = time.monotonic()
        done = subprocess.run(
            ["smbclient", "//127.0.0.1/frames", "-p", str(smb_port), "-N", "-s", "/dev/null", "-c", commands],
            cwd=elsewhere,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        put_s = time.monotonic() - began
        assert done.returncode == 0, done.stdout + done.stderr
        waited_s = rig.wait_for_count(number)
    rig.assert_complete(truth, alerts=[os.fspath(rig.watched / f"frame_{at:06d}.tif") for at in range(4, number, 10)])
    assert rig.count("state <> 'recorded'") == 0
    print(f"{number} frames put through smbd in {put_s:.1f} s, all recorded {waited_s:.1f} s after the last")


#: Lets each call that looks at a file below a directory take its time, as on a share behind a slow network.
_SLOW_STAT = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
static void slow(const char *path) {
    const char *below = getenv("SLOW_BELOW"), *us = getenv("SLOW_US");
    if (path && below && us && strncmp(path, below, strlen(below)) == 0) usleep(atoi(us));
}
#define REAL(type, name) static type real; if (!real) real = (type)dlsym(RTLD_NEXT, name)
typedef int (*look)(const char *, struct stat *);
typedef int (*look_at)(int, const char *, struct stat *, int);
int stat(const char *path, struct stat *to) { REAL(look, "stat"); slow(path); return real(path, to); }
int lstat(const char *path, struct stat *to) { REAL(look, "lstat"); slow(path); return real(path, to); }
int stat64(const char *path, struct stat64 *to) { REAL(look, "stat64"); slow(path); return real(path, (struct stat *)to); }
int lstat64(const char *path, struct stat64 *to) { REAL(look, "lstat64"); slow(path); return real(path, (struct stat *)to); }
int fstatat(int at, const char *path, struct stat *to, int flags) {
    REAL(look_at, "fstatat"); slow(path); return real(at, path, to, flags);
}
int fstatat64(int at, const char *path, struct stat64 *to, int flags) {
    REAL(look_at, "fstatat64"); slow(path); return real(at, path, (struct stat *)to, flags);
}
"""


#: How long a look at a file takes, and how many lie there: the extremes at any size.
_SLOW_SHARES = [(0.5, sized(500, 2_000)), (5.0, sized(2_000, 20_000)), *([(0.5, 20_000), (5.0, 2_000)] if FULL else [])]


@pytest.mark.parametrize(("delay_ms", "old"), _SLOW_SHARES)
def test_a_share_that_answers_slowly_keeps_no_new_frame_waiting(rig: Rig, delay_ms: float, old: int) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    source, library = rig.home / "slow.c", rig.home / "slow.so"
    source.write_text(_SLOW_STAT, encoding="ascii")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O", "-o", library, source, "-ldl"], check=True)
    number = sized(12, 40)
    frames.write(rig.watched, range(1_000_000, 1_000_000 + old))
    time.sleep(0.5)  # what came in the last moment before the start may count as live
    rig.configure(watch="mode: poll, settle_seconds: 5, catch_up: new")
    slow = {"LD_PRELOAD": os.fspath(library), "SLOW_BELOW": f"{rig.watched}/", "SLOW_US": str(int(delay_ms * 1000))}
    written_at: dict[str, float] = {}
    daemon = rig.start(**slow).wait_until_ready(150)
    rig.wait_for_count(old, "state = 'baseline'", timeout_s=200)
    ready_s = daemon.ready_s
    for at in range(number):
        [path] = frames.write(rig.watched, range(at, at + 1))
        written_at[path.name] = time.time()
        time.sleep(3.1)  # at every phase of the listings
    rig.wait_for_count(number, timeout_s=300)
    found = latencies(rig, written_at)
    [told] = rig.wait_for_status(lambda status: status["directories"])
    assert daemon.stop() == 0
    p95 = found[int(0.95 * (len(found) - 1))]
    print(
        f"{delay_ms} ms a stat, {old} files: ready after {ready_s:.1f} s; {number} new frames recorded after "
        f"{found[len(found) // 2]:.1f} s (median), {p95:.1f} s (p95); told: a new frame within "
        f"{told['new_within_seconds']:.1f} s, a changed one within {told['changed_within_seconds']:.0f} s"
    )
    assert p95 <= 15
    assert p95 <= told["new_within_seconds"] + 3
