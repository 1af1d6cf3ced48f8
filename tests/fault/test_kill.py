"""kill -9 at any moment: every frame has one row, every match one alert record, and nothing is there twice."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import time
from collections import Counter
from typing import TYPE_CHECKING

import frames
import pytest
from rig import FULL, sized

if TYPE_CHECKING:
    from rig import Rig

pytestmark = [pytest.mark.fault, pytest.mark.timeout(900)]

#: Alerts that a channel may have in work when the kill comes.
IN_FLIGHT = 4


@pytest.mark.parametrize(
    ("engine", "number", "rate", "kills"),
    [
        pytest.param("stub", sized(2000, 10_000), 200, sized(10, 50), id="stub"),
        pytest.param("litert", sized(100, 300), 20, sized(2, 5), id="real model"),
    ],
)
def test_killed_again_and_again_every_frame_has_one_row_and_every_match_one_alert(
    rig: Rig, engine: str, number: int, rate: int, kills: int
) -> None:
    # The real model has no opinion on noise: there every frame is wanted.
    wanted_by = "" if engine == "stub" else "targets: [{name: wanted, min_probability: 0, alerts: [phone]}]\n"
    rig.configure(engine=engine)
    if wanted_by:
        text = rig.config.read_text(encoding="utf-8")
        rig.config.write_text(re.sub(r"targets:\n.*\n", wanted_by, text), encoding="utf-8")
    dice = random.Random(5)
    began = time.monotonic()
    starts = []
    with rig.writer(number, rate, frames.MODES):
        for kill in range(kills):
            daemon = rig.start()
            if kill % 5 == 4:  # a kill during the start must cost nothing either
                time.sleep(dice.uniform(0.0, 0.5))
            else:
                starts.append(daemon.wait_until_ready().ready_s)
                time.sleep(dice.uniform(0.0, number / rate / kills))
            daemon.kill()
        killing_s = time.monotonic() - began
    with rig.running() as daemon:
        rig.wait_for_count(number, timeout_s=300)
    truth = rig.truth()
    assert len(truth) == number
    repeated = rig.assert_complete(
        {entry["path"]: entry["sha256"] for entry in truth},
        alerts=[entry["path"] for entry in truth if entry["category"] == frames.WANTED or engine != "stub"],
    )
    starts = sorted(starts)
    print(
        f"{engine}: {number} frames at {rate}/s, {kills} kills in {killing_s:.0f} s: all recorded after {time.monotonic() - began:.0f} s, "
        f"{repeated} alerts repeated, ready after {starts[len(starts) // 2]:.2f} s (median), at most {starts[-1]:.2f} s"
    )
    assert repeated <= kills * IN_FLIGHT


#: Every call by which the daemon changes a file, but for write(2), which fills pipes and the file that `status` reads.
_WRITING = "pwrite64,fdatasync,fsync,ftruncate,rename,unlink"


def strace(*options: str) -> list[str]:
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    return ["strace", "-f", "-qq", "-e", f"trace={_WRITING}", *options]


@pytest.mark.timeout(2 * 3600 if FULL else 600)
def test_killed_at_every_system_call_that_writes_the_next_start_completes_all(rig: Rig) -> None:
    number = 20
    frames.write(rig.watched, range(number))
    truth = {os.fspath(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in rig.watched.iterdir()}
    wanted = [os.fspath(rig.watched / f"frame_{at:06d}.tif") for at in range(4, number, 10)]
    points = _kill_points(rig)
    tried = points if FULL else [*_first_of_each(points), *random.Random(5).sample(points, 10)]
    killed, repeated = 0, 0
    began = time.monotonic()
    for call, at in tried:
        rig.forget_ledger()
        done = rig.once(wrapped=strace("-o", os.devnull, "-e", f"inject={call}:signal=SIGKILL:when={at}"))
        killed += done.returncode != 0
        again = rig.once()
        assert again.returncode == 0, f"after a kill at {call} number {at}: {again.stderr}"
        repeated += rig.assert_complete(truth, alerts=wanted)
    print(
        f"{number} frames, {len(points)} points to kill at: killed at {killed} of the {len(tried)} tried, complete each "
        f"time after the next start, {repeated} alerts repeated; {time.monotonic() - began:.0f} s"
    )
    # Two runs do not make exactly the same calls, so the last points of a thread may not be reached.
    assert killed >= len(tried) * 0.9


def _first_of_each(points: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """The points at which the ledger is made, but for most of the many writes to it."""
    return [(call, at) for call, at in points if at <= 6]


def _kill_points(rig: Rig) -> list[tuple[str, int]]:
    """Each writing call of a run that nothing disturbs, by its name and number; strace counts them for each thread."""
    trace = rig.home / "trace"
    assert rig.once(wrapped=strace("-o", os.fspath(trace))).returncode == 0
    made = re.findall(r"^(\d+) +(\w+)\(", trace.read_text(encoding="utf-8"), re.MULTILINE)
    most: dict[str, int] = {}
    for (_, call), times in Counter(made).items():
        most[call] = max(most.get(call, 0), times)
    return [(call, at) for call, times in most.items() for at in range(1, times + 1)]
