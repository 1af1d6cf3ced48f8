"""Files that are made to hurt: each costs itself, never another frame, the daemon, or more than its bounds."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import frames
import hostile
import psutil
import pytest
from rig import sized

if TYPE_CHECKING:
    from pathlib import Path

    from rig import Daemon, Rig

pytestmark = [pytest.mark.fault, pytest.mark.timeout(3600)]

_GIB = 1 << 30


class Watcher:
    """Looks at the daemon and its reader several times a second: the most memory, and how many readers there were."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.most_child_bytes = 0
        self.children: set[int] = set()
        self.daemon_bytes: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            try:
                self.daemon_bytes.append(self._daemon.stats.memory_info().rss)
                for child in self._daemon.children_named("emwatch.readers.sandbox.child"):
                    self.children.add(child.pid)
                    self.most_child_bytes = max(self.most_child_bytes, child.memory_info().rss)
            except psutil.Error:
                continue

    def end(self) -> None:
        self._over.set()
        self._thread.join(10)


def test_hostile_files_one_to_one_with_good_frames_cost_only_themselves(rig: Rig) -> None:
    number = sized(300, 5000)
    truth: dict[Path, str] = {}
    rig.configure(watch=f"patience_seconds: {sized(10, 60)}")
    with rig.running("-v") as daemon:
        pid = daemon.stats.pid
        watcher = Watcher(daemon)
        began = time.monotonic()
        bad = hostile.write(rig.watched, number)
        truth |= frames.write(rig.watched, range(len(bad)))
        rig.wait_for(
            lambda: (
                rig.count("path GLOB '*/frame_[0-9]*' AND state = 'recorded'") == len(truth)
                and rig.count("superseded_by IS NULL") >= len(truth) + len(bad)
            ),
            timeout_s=2400,
        )
        took_s = time.monotonic() - began
        watcher.end()
        assert daemon.stats.pid == pid
    states = Counter(
        (state, code)
        for state, code in rig.query("SELECT state, code FROM frames WHERE path NOT GLOB '*/frame_[0-9]*'")
    )
    good = dict(rig.query("SELECT path, sha256 FROM frames WHERE path GLOB '*/frame_[0-9]*' AND state = 'recorded'"))
    print(
        f"{len(bad)} hostile files among {len(truth)} good frames in {took_s:.0f} s: {dict(states)}; "
        f"{len(watcher.children)} readers, at most {watcher.most_child_bytes / 2**20:.0f} MiB, "
        f"daemon at most {max(watcher.daemon_bytes) / 2**20:.0f} MiB"
    )
    assert good == {os.fspath(path): sha256 for path, sha256 in truth.items()}
    assert sum(states.values()) == len(bad)
    assert watcher.most_child_bytes <= 2 * _GIB
    rig.assert_sound()
    # At most one line for each file, whatever libraries print about it.
    lines = (rig.home / "stdout").read_text(encoding="utf-8", errors="replace").splitlines()
    assert len(lines) + len(daemon.said) <= len(bad) + 2 * len(truth) + 50


def test_a_flood_of_bad_frames_is_summed_up_and_hits_stand_out_of_it(rig: Rig) -> None:
    number, good = sized(1000, 10_000), 40
    rig.configure(watch="patience_seconds: 1")
    whole = frames.frame(0)
    with rig.running() as daemon:
        began = time.monotonic()
        for at in range(number):
            (rig.watched / f"cut_{at:05d}.tif").write_bytes(whole[: 20 + at % 1000])
            if at % (number // good) == 0:
                frames.write(rig.watched, range(at // (number // good), at // (number // good) + 1))
        rig.wait_for(lambda: rig.count("state = 'failed'") == number and rig.count() == good, 300)
        took_s = time.monotonic() - began
    printed = (rig.home / "stdout").read_text(encoding="utf-8").splitlines()
    single = [line for line in printed if line.startswith("failed: ") and "cut_" in line]
    sums = [line for line in printed if "emwatch log --failed" in line]
    summed = sum(int(line.split()[1].replace(",", "")) for line in sums)
    print(
        f"{number} bad frames among {good} good ones in {took_s:.0f} s: {len(single)} lines of their own, {len(sums)} that sum up "
        f"the others, {len(daemon.said)} in the log"
    )
    assert len(single) + summed == number, "a failure that no line tells of"
    assert len(single) + len(sums) <= 20 * (2 + took_s / 60) + took_s / 10 + 2
    assert sum(1 for line in printed if "frame_0" in line) == good
    assert len(daemon.said) < 20, "\n".join(daemon.said[:40])


@pytest.mark.parametrize("name", sorted(hostile.bombs()))
def test_no_single_file_takes_longer_or_more_memory_than_it_may(rig: Rig, name: str) -> None:
    (rig.watched / name).write_bytes(hostile.bombs()[name])
    began = time.monotonic()
    rig.once()
    took_s = time.monotonic() - began
    [(state, code, reason)] = rig.query("SELECT state, code, reason FROM frames")
    print(f"{name}: {state} {code} after {took_s:.1f} s: {reason[:150]}")
    assert state == "failed" or name == "loop.tif"
    assert len(reason) < 2000
    assert took_s < 60


#: What a reader does with a marked frame, told by the fourth pixel of its first row.
_MISBEHAVE = """
import sys
if "emwatch.readers.sandbox.child" in sys.orig_argv:
    import ctypes, time
    from emwatch.classify import preprocess
    before = preprocess.prepare
    def prepare(pixels, *rest):
        kind = int(pixels[0, 3]) if tuple(pixels[0, :3]) == (1, 254, 1) else 0
        if kind == 1:
            ctypes.string_at(0)
        if kind == 2:
            time.sleep(60)
        if kind == 3:
            hoard = []
            while True:
                hoard.append(bytearray(64 << 20))
        if kind == 4:
            sys.stderr.write("a library complains\\n" * 10_000)
        return before(pixels, *rest)
    preprocess.prepare = prepare
"""


def test_a_reader_that_crashes_hangs_hoards_or_shouts_costs_the_frame_it_was_given(rig: Rig) -> None:
    number, marked = sized(200, 1000), sized(4, 16)
    hook = rig.home / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(_MISBEHAVE, encoding="utf-8")
    path = os.pathsep.join([os.fspath(hook), os.environ.get("PYTHONPATH", "")])
    rig.configure(watch="read_seconds: 2")
    with rig.running(PYTHONPATH=path) as daemon:
        watcher = Watcher(daemon)
        began = time.monotonic()
        truth = frames.write(rig.watched, range(number))
        for at in range(marked):
            for kind in (1, 2, 3, 4):
                data = frames.frame(at, stream=kind)
                pixels_at = frames.pixels_at(at)
                marker = bytes((1, 254, 1, kind))
                (rig.watched / f"marked_{kind}_{at}.tif").write_bytes(data[:pixels_at] + marker + data[pixels_at + 4 :])
        rig.wait_for(lambda: rig.count("1 = 1") == number + 4 * marked, 600)
        took_s = time.monotonic() - began
        watcher.end()
    states = Counter(
        (os.path.basename(path)[7], state, code)  # noqa: PTH119 - text in, text out
        for path, state, code in rig.query("SELECT path, state, code FROM frames WHERE path GLOB '*/marked_*'")
    )
    good = dict(rig.query("SELECT path, sha256 FROM frames WHERE path GLOB '*/frame_[0-9]*' AND state = 'recorded'"))
    print(
        f"{number} good frames, {4 * marked} that make the reader crash, hang, hoard or shout: {took_s:.0f} s, "
        f"{len(watcher.children)} readers seen, at most {watcher.most_child_bytes / 2**20:.0f} MiB"
    )
    assert good == {os.fspath(path): sha256 for path, sha256 in truth.items()}
    died = {(kind, "failed", "reader-died"): marked for kind in "123"}
    assert states == Counter(died | {("4", "recorded", ""): marked})
    assert watcher.most_child_bytes <= 2 * _GIB
    assert len(daemon.said) < 50 + 4 * marked, "a reader's words reached the log"
