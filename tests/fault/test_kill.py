"""kill -9 at any moment: every frame has one row, every match one alert record, and nothing is there twice."""

from __future__ import annotations

import random
import re
import time
from typing import TYPE_CHECKING

import frames
import pytest
from rig import sized

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
        written_s = time.monotonic() - began
    with rig.running() as daemon:
        rig.wait_for_count(number, timeout_s=300)
        rig.wait_for(lambda: rig.query("SELECT count(*) FROM alerts WHERE state = 'pending'") == [(0,)])
    truth = rig.truth()
    assert len(truth) == number
    repeated = rig.assert_complete(
        {entry["path"]: entry["sha256"] for entry in truth},
        alerts=[entry["path"] for entry in truth if entry["category"] == frames.WANTED or engine != "stub"],
    )
    starts = sorted(starts)
    print(
        f"{engine}: {number} frames in {written_s:.0f} s, {kills} kills: all recorded after {time.monotonic() - began:.0f} s, "
        f"{repeated} alerts repeated, ready after {starts[len(starts) // 2]:.2f} s (median), at most {starts[-1]:.2f} s"
    )
    assert repeated <= kills * IN_FLIGHT
