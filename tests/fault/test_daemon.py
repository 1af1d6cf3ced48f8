"""Starting twice, being told to end, being told to look again: nothing is lost, nothing is half done."""

from __future__ import annotations

import os
import random
import signal
import statistics
import time
from typing import TYPE_CHECKING

import frames
import pytest
from rig import sized

if TYPE_CHECKING:
    from pathlib import Path

    from rig import Rig

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600)]


def as_text(truth: dict[Path, str]) -> dict[str, str]:
    return {os.fspath(path): sha256 for path, sha256 in truth.items()}


def wanted(truth: dict[Path, str]) -> list[str]:
    return [os.fspath(path) for path in truth if int(path.stem[-6:]) % len(frames.CATEGORIES) == 4]


def test_a_second_daemon_is_refused_and_a_killed_one_leaves_no_lock(rig: Rig) -> None:
    with rig.running():
        began = time.monotonic()
        second = rig.once()
        took_s = time.monotonic() - began
        assert second.returncode == 1
        assert "another emwatch" in second.stderr
        truth = frames.write(rig.watched, range(10))
        rig.wait_for_count(10)
    daemon = rig.start().wait_until_ready()
    daemon.kill()
    assert rig.once().returncode == 0
    rig.assert_complete(as_text(truth), alerts=wanted(truth))
    print(f"a second daemon was refused after {took_s:.1f} s; the lock of a killed one is free")


def test_term_under_load_ends_cleanly_each_time(rig: Rig) -> None:
    number, rounds = sized(600, 4000), sized(8, 100)
    dice = random.Random(3)
    took: list[float] = []
    with rig.writer(number, 60, frames.MODES):
        for _ in range(rounds):
            daemon = rig.start().wait_until_ready()
            time.sleep(dice.uniform(0, 0.5))
            began = time.monotonic()
            assert daemon.stop(timeout_s=20) == 0, "\n".join(daemon.said[-20:])
            took.append(time.monotonic() - began)
    with rig.running():
        rig.wait_for_count(number)
    truth = rig.truth()
    repeated = rig.assert_complete(
        {entry["path"]: entry["sha256"] for entry in truth},
        alerts=[entry["path"] for entry in truth if entry["category"] == frames.WANTED],
    )
    print(
        f"{rounds} times TERM under load: ended after {statistics.median(took):.2f} s, at most {max(took):.2f} s; {repeated} alerts repeated"
    )
    assert repeated == 0


def test_twenty_hangups_under_work_change_no_row(rig: Rig) -> None:
    with rig.running() as daemon:
        truth = frames.write(rig.watched, range(20))
        rig.wait_for_count(20)
        for _ in range(20):
            daemon.stats.send_signal(signal.SIGHUP)
            time.sleep(0.05)
        assert daemon.alive
        rows = rig.query("SELECT id, attempts FROM frames")
        time.sleep(1)
        assert rig.query("SELECT id, attempts FROM frames") == rows
    rig.assert_complete(as_text(truth), alerts=wanted(truth))


def test_signals_that_come_on_top_of_each_other_do_not_keep_it_from_ending(rig: Rig) -> None:
    """A handler that takes a lock is interrupted by the next one, which waits for that lock for ever."""
    number = sized(20_000, 200_000)
    daemon = rig.start().wait_until_ready()
    pid = daemon.stats.pid
    for at in range(number):
        os.kill(pid, (signal.SIGHUP, signal.SIGWINCH)[at % 7 == 0])
    began = time.monotonic()
    assert daemon.stop(timeout_s=20) == 0, "\n".join(daemon.said[-20:])
    print(f"{number} signals, then TERM: ended after {time.monotonic() - began:.2f} s")


def test_a_second_interrupt_does_not_wait_for_the_frame_in_work(rig: Rig) -> None:
    daemon = rig.start().wait_until_ready()
    [reader] = daemon.children_named("emwatch.readers.sandbox.child")
    reader.suspend()  # as if the share did not answer; it is given up after `watch.read_seconds` only
    truth = frames.write(rig.watched, range(3))
    time.sleep(1)
    daemon.stats.send_signal(signal.SIGINT)
    rig.wait_for(lambda: daemon.heard("Ctrl-C again"))
    daemon.stats.send_signal(signal.SIGINT)
    assert daemon.process.wait(timeout=5) == 130
    daemon.kill()
    with rig.running():
        rig.wait_for_count(3)
    rig.assert_complete(as_text(truth), alerts=wanted(truth))
