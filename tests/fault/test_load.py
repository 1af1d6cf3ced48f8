"""Very many files: what was there before, what arrives faster than it can be classified, and what waiting costs."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import frames
import pytest
from rig import sized

if TYPE_CHECKING:
    from pathlib import Path

    from rig import Daemon, Rig

pytestmark = [pytest.mark.fault, pytest.mark.timeout(1200)]

_MIB = 1 << 20


def cpu_share(daemon: Daemon, seconds: float) -> float:
    """How much of one core the daemon and its reader take while nothing happens."""

    def spent() -> float:
        processes = [daemon.stats, *daemon.stats.children(recursive=True)]
        return sum(sum(each.cpu_times()[:2]) for each in processes)

    before, began = spent(), time.monotonic()
    time.sleep(seconds)
    return (spent() - before) / (time.monotonic() - began)


def test_100000_files_of_before_do_not_keep_new_frames_waiting(rig: Rig) -> None:
    old = sized(20_000, 100_000)
    for at in range(old):
        (rig.watched / f"old_{at:06d}.tif").write_bytes(b"x")
    time.sleep(0.5)  # what came in the last moment before the start may count as live
    rig.configure(watch="catch_up: new")
    with rig.running() as daemon:
        first_ready_s = daemon.ready_s
    with rig.running() as daemon:
        began = time.monotonic()
        frames.write(rig.watched, range(100))
        rig.wait_for_count(100)
        recorded_s = time.monotonic() - began
        time.sleep(5)  # the sweep of the start is over
        idle = cpu_share(daemon, 20)
        memory = daemon.stats.memory_info().rss
    print(
        f"{old} files of before: ready after {first_ready_s:.1f} s at the first start, {daemon.ready_s:.1f} s at the next; "
        f"100 new frames recorded after {recorded_s:.1f} s; idle {100 * idle:.1f} % of a core, {memory / _MIB:.0f} MiB"
    )
    assert rig.count("state = 'baseline'") == old
    assert memory <= 250 * _MIB


def test_a_backlog_of_everything_that_is_there_lets_live_frames_pass(rig: Rig) -> None:
    old = sized(7000, 20_000)
    frames.write(rig.watched, range(old))
    with rig.running() as daemon:
        before = daemon.stats.memory_info().rss
        began = time.monotonic()
        live = frames.write(rig.watched, range(old, old + 20))
        names = [os.fspath(path) for path in live]
        of_live = f"path IN ({','.join('?' * len(names))})"
        rig.wait_for(lambda: rig.count(f"state = 'recorded' AND {of_live}", *names) == len(names))
        live_s = time.monotonic() - began
        backlog = old + 20 - rig.count()
        rig.wait_for_count(old + 20, timeout_s=900)
        grown = daemon.stats.memory_info().rss - before
    print(
        f"{old} files to catch up with: 20 live frames recorded after {live_s:.1f} s with {backlog} still to do; all after "
        f"{time.monotonic() - began:.0f} s, memory grew by {grown / _MIB:.0f} MiB"
    )
    assert backlog > 0, "the backlog was over before the live frames were: nothing was shown"
    assert grown <= 50 * _MIB


#: Makes every classification take as long as a slow PC does.
_SLOW_MODEL = """
import sys
if "emwatch.readers.sandbox.child" not in sys.orig_argv:
    import threading, time
    def slow_down():
        while "emwatch.classify.classifier" not in sys.modules or not hasattr(sys.modules["emwatch.classify.classifier"], "Classifier"):
            time.sleep(0.01)
        owner = sys.modules["emwatch.classify.classifier"].Classifier
        before = owner.classify
        def classify(self, *arguments):
            time.sleep(0.05)
            return before(self, *arguments)
        owner.classify = classify
    threading.Thread(target=slow_down, daemon=True).start()
"""


def test_frames_that_come_faster_than_they_can_be_classified_wait_in_bounded_memory(rig: Rig) -> None:
    number = sized(600, 5000)
    hook = rig.home / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(_SLOW_MODEL, encoding="utf-8")
    path = os.pathsep.join([os.fspath(hook), os.environ.get("PYTHONPATH", "")])
    truth: dict[Path, str] = {}
    with rig.running(PYTHONPATH=path) as daemon:
        truth |= frames.write(rig.watched, range(1))
        rig.wait_for_count(1)
        before, most = daemon.stats.memory_info().rss, 0
        began = time.monotonic()
        with rig.writer(number - 1, 500, first=1):
            pass
        # In a backlog the newest goes before the oldest.
        newest = os.fspath(rig.watched / f"frame_{number:06d}.tif")
        frames.write(rig.watched, range(number, number + 1))
        newest_s = rig.wait_for(lambda: rig.count("path = ?", newest) == 1, 120)
        done_then = rig.count()
        while rig.count() < number + 1:
            most = max(most, daemon.stats.memory_info().rss)
            time.sleep(0.5)
        took_s = time.monotonic() - began
    rows = dict(rig.rows())
    print(
        f"{number} frames at 500/s, 20/s classified: the newest recorded {newest_s:.1f} s after it was written with "
        f"{number + 1 - done_then} still waiting, all after {took_s:.0f} s; memory grew by {(most - before) / _MIB:.0f} MiB"
    )
    assert len(rows) == number + 1
    assert done_then < number
    assert most - before <= 50 * _MIB


#: What people may ask for, by the folder beside the ledger in which it waits.
_REQUESTS = {
    "reviews": {
        "reviews": [
            {"frame_id": 1, "verdict": "reject", "category": None, "reviewed_by": "ana", "note": ""}
            | {"reviewed_at": "2026-03-01T12:00:00+00:00"}
        ]
    },
    "alerts": {"do": "snooze", "ids": [], "target": "other", "until": ""},
    "entries": {"do": "note", "text": "edge", "written_by": "ana", "frame_id": 1},
}


def test_thousands_of_requests_hold_up_no_frame(rig: Rig) -> None:
    number = sized(1000, 10_000)
    frames.write(rig.watched, range(1))
    with rig.running():
        rig.wait_for_count(1)
        for kind, document in _REQUESTS.items():
            prepared = rig.home / kind
            prepared.mkdir()
            for at in range(number):
                moment = f"2026-03-01T12:{at // 60 % 60:02}:{at % 60:02}.{at:06}+00:00"
                changed = document | ({"written_at": moment} if kind == "entries" else {})
                (prepared / f"{at:06}.json").write_text(json.dumps(changed), encoding="ascii")
        folders = [rig.ledger.with_name(f"{rig.ledger.name}.{kind}") for kind in _REQUESTS]
        began = time.monotonic()
        for kind, folder in zip(_REQUESTS, folders, strict=True):
            (rig.home / kind).rename(folder)
        written_at = {}
        for at in range(1, 41):
            [path] = frames.write(rig.watched, range(at, at + 1))
            written_at[os.fspath(path)] = time.time()
            time.sleep(0.1)
        rig.wait_for_count(41)
        rows = rig.query("SELECT path, (julianday(recorded_at) - 2440587.5) * 86400 FROM frames")
        waited = sorted(at - written_at[path] for path, at in rows if path in written_at)
        left = sum(len(list(folder.glob("*.json"))) for folder in folders)
        rig.wait_for(lambda: not any(list(folder.glob("*.json")) for folder in folders), 900)
    refused = [path for folder in folders for path in folder.glob("*.refused")]
    print(
        f"{3 * number} requests at once: 40 live frames recorded after {waited[20]:.2f} s (median), {waited[-1]:.2f} s at "
        f"most, {left} requests left then; all done after {time.monotonic() - began:.0f} s"
    )
    assert refused == []
    assert waited[-1] <= 2
