"""Hours of work in minutes: frames come, and every twenty seconds something goes wrong. `EMWATCH_SOAK_MINUTES` sets how long."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import frames
import hostile
import pytest
from rig import FULL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import psutil
    from rig import Daemon, Rig

_MINUTES = float(os.environ.get("EMWATCH_SOAK_MINUTES", "30" if FULL else "2"))
_RATE = 5.0
_FAULT_EVERY_S = 20.0 if FULL else 10.0
_MIB = 1 << 20

pytestmark = [pytest.mark.fault, pytest.mark.timeout(_MINUTES * 60 + 300)]


class Troublemaker:
    """One random fault after the other, each undone before the next; none of them may cost a frame."""

    def __init__(self, rig: Rig, daemon: Daemon, dice: random.Random) -> None:
        self._rig, self._daemon, self._dice = rig, daemon, dice
        self.done: list[str] = []
        self._bad = 0
        self._faults: tuple[Callable[[], None], ...] = (
            self.reader_killed,
            self.root_away,
            self.ledger_held,
            self.hang_up,
            self.bad_files,
            self.folder_of_frames_touched,
            self.daemon_paused,
            self.many_at_once,
        )
        self.extra: dict[str, str] = {}

    def next(self) -> None:
        fault = self._dice.choice(self._faults)
        fault()
        self.done.append(fault.__name__)

    def reader_killed(self) -> None:
        for child in self._daemon.children_named("emwatch.readers.sandbox.child"):
            child.kill()

    def root_away(self) -> None:
        aside = self._rig.home / "aside"
        # Frames that the writer could not write meanwhile are its own concern: it writes between faults only.
        self._rig.watched.rename(aside)
        time.sleep(3)
        aside.rename(self._rig.watched)

    def ledger_held(self) -> None:
        with closing(sqlite3.connect(self._rig.ledger, timeout=10, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            time.sleep(7)
            other.execute("ROLLBACK")

    def hang_up(self) -> None:
        for _ in range(3):
            self._daemon.stats.send_signal(signal.SIGHUP)

    def bad_files(self) -> None:
        for suffix, data in hostile.mutants(20, seed=self._bad):
            self._bad += 1
            (self._rig.watched / f"bad_{self._bad:06d}{suffix}").write_bytes(data)

    def folder_of_frames_touched(self) -> None:
        for path in list(self._rig.watched.glob("frame_*"))[-200:]:
            path.chmod(0o644)

    def daemon_paused(self) -> None:
        self._daemon.stats.suspend()
        time.sleep(3)
        self._daemon.stats.resume()

    def many_at_once(self) -> None:
        first = 1_000_000 + 1000 * len(self.done)
        written = frames.write(self._rig.watched, range(first, first + 100))
        self.extra |= {os.fspath(path): sha256 for path, sha256 in written.items()}


def test_a_long_run_with_random_faults_loses_nothing_and_does_not_grow(rig: Rig) -> None:
    rig.configure(watch="patience_seconds: 5")
    dice = random.Random(11)
    truth: dict[str, str] = {}
    samples: list[tuple[float, int, int, int]] = []
    with rig.running() as daemon:
        pid = daemon.stats.pid
        trouble = Troublemaker(rig, daemon, dice)
        began = time.monotonic()
        number, next_fault = 0, began + _FAULT_EVERY_S
        while (now := time.monotonic()) < began + 60 * _MINUTES:
            if now >= next_fault:
                trouble.next()
                next_fault = time.monotonic() + _FAULT_EVERY_S
            written: dict[Path, str] = frames.write(rig.watched, range(number, number + 1))
            truth |= {os.fspath(path): sha256 for path, sha256 in written.items()}
            number += 1
            if number % 25 == 0:
                samples.append((now - began, *_in_use(daemon)))
            time.sleep(max(0.0, 1 / _RATE - (time.monotonic() - now)))
        truth |= trouble.extra
        rig.wait_for(lambda: rig.count("path GLOB '*/frame_[0-9]*' AND state = 'recorded'") >= len(truth), 300)
        rig.wait_for_status(lambda told: told["waiting"] == 0)
        time.sleep(2)
        after = _in_use(daemon)
        assert daemon.stats.pid == pid
    rows = [(path, sha256) for path, sha256 in rig.rows() if "/bad_" not in path]
    half = samples[len(samples) // 2 :]  # what start-up and first faults take is not growth
    slope = _slope([(at, rss / _MIB) for at, rss, _, _ in half]) * 600
    print(
        f"{_MINUTES:g} minutes, {len(truth)} frames, {len(trouble.done)} faults ({', '.join(sorted(set(trouble.done)))}): "
        f"{len(rows)} rows; memory {half[0][1] / _MIB:.0f} to {after[0] / _MIB:.0f} MiB, {slope:+.1f} MiB in 10 minutes; "
        f"descriptors {samples[0][2]} to {after[1]}, threads {samples[0][3]} to {after[2]}"
    )
    assert len(rows) == len(set(rows))
    assert dict(rows) == truth
    rig.assert_sound()
    assert after[1] <= samples[0][2] + 3
    assert after[2] <= samples[0][3] + 1
    if _MINUTES >= 20:
        assert slope < 1.0


def _in_use(daemon: Daemon) -> tuple[int, int, int]:
    """Memory in bytes, file descriptors and threads of the daemon itself."""
    process: psutil.Process = daemon.stats
    with process.oneshot():
        return process.memory_info().rss, process.num_fds(), process.num_threads()


def _slope(points: list[tuple[float, float]]) -> float:
    """The slope of the line through points with the least squares."""
    count = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
