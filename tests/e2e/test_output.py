"""Showing never holds up recording: an output that nobody reads, a terminal stopped with Ctrl-S, a hangup at the start."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Program

pytestmark = pytest.mark.slow

FRAMES = 300
_CTRL_S = b"\x13"
_SMALL_PIPE = 4096


def wait(what: Callable[[], bool], within_s: float) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.02)
    return what()


def write_frames(program: Program, first: int, count: int) -> None:
    for number in range(first, first + count):
        unfinished = program.watched / f".frame-{number:04}.part"
        Image.frombytes("L", (32, 32), number.to_bytes(2, "big") * 512).save(unfinished, format="png")
        unfinished.rename(program.watched / f"frame-{number:04}.png")


def recorded(program: Program) -> int:
    if not program.ledger.exists():
        return 0
    with closing(sqlite3.connect(f"file:{program.ledger}?mode=ro", uri=True)) as ledger:
        try:
            return int(ledger.execute("SELECT count(*) FROM frames").fetchone()[0])
        except sqlite3.OperationalError:  # its tables are being made
            return 0


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="needs pipes of a chosen size")
@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_an_output_that_stands_still_stops_neither_the_recording_nor_a_stop(emwatch: Program, kind: str) -> None:
    if kind == "pipe":
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _SMALL_PIPE)
    else:
        reader, writer = os.openpty()
    command = [sys.executable, "-m", "emwatch", "run", "--engine", "stub", "-v"]
    daemon = subprocess.Popen(command, env=emwatch.environ | {"TERM": "xterm"}, stdout=writer, stderr=writer)
    os.close(writer)
    try:
        write_frames(emwatch, 0, 1)
        assert wait(lambda: recorded(emwatch) == 1, 60)
        if kind == "terminal":
            os.write(reader, _CTRL_S)
        write_frames(emwatch, 1, FRAMES - 1)

        assert wait(lambda: recorded(emwatch) == FRAMES, 40), f"{recorded(emwatch)} of {FRAMES} recorded"
        daemon.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert daemon.wait(30) == 0
        print(f"{kind}: ended {time.monotonic() - began:.1f} s after SIGTERM")
    finally:
        daemon.kill()
        daemon.wait()
        os.close(reader)


def test_a_reader_that_is_slow_gets_every_line_in_the_end(emwatch: Program) -> None:
    write_frames(emwatch, 0, FRAMES)
    daemon = emwatch.start("run", "--engine", "stub", "--once")
    assert daemon.stdout is not None
    fcntl.fcntl(daemon.stdout.fileno(), fcntl.F_SETPIPE_SZ, _SMALL_PIPE)
    lines = []
    while line := daemon.stdout.readline():
        lines.append(line)
        time.sleep(0.005)
    daemon.communicate(timeout=30)

    assert daemon.returncode == 0
    assert len(lines) == FRAMES


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_hangup_while_it_starts_does_not_end_it(emwatch: Program) -> None:
    daemon = emwatch.start("run", "--engine", "stub")
    status, maps = Path(f"/proc/{daemon.pid}/status"), Path(f"/proc/{daemon.pid}/maps")

    def hears() -> bool:
        caught = int(re.findall(r"SigCgt:\s*([0-9a-f]+)", status.read_text(encoding="ascii"))[0], 16)
        return bool(caught & 1 << (signal.SIGHUP - 1))

    try:
        assert wait(hears, 30)
        assert "_sqlite3" not in maps.read_text(encoding="utf-8"), "heard only after everything was imported"
        daemon.send_signal(signal.SIGHUP)
        assert daemon.stderr is not None
        while "configuration read again" not in (line := daemon.stderr.readline()):
            assert line, "the hangup ended it, or was forgotten"
    finally:
        daemon.terminate()
        daemon.communicate(timeout=30)
