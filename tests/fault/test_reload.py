"""SIGHUP: the configuration is read again between two frames; a broken one changes nothing, and nothing is lost."""

from __future__ import annotations

import json
import signal
import statistics
import time
from typing import TYPE_CHECKING

import frames
import pytest
from rig import sized

if TYPE_CHECKING:
    from rig import Daemon, Rig

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600)]

_READ_AGAIN = "configuration read again"
_NOT_TAKEN_OVER = "configuration was not taken over"


def look_for(rig: Rig, at: int, *, both_channels: bool = False) -> None:
    """Configure another target each time, and every second time another channel with it."""
    category = frames.category_of(at)
    channel = "pager" if at % 2 else "phone"
    if at == 0:
        rig.configure()  # once: the program it writes must not change under a delivery
    kept = rig.config.read_text(encoding="utf-8").split("targets:")[0]
    teller = rig.home / "tell.sh"
    channels = ["phone", "pager"] if both_channels else [channel]
    told = "".join(f'  {name}: {{kind: command, argv: ["{teller}"]}}\n' for name in channels)
    rig.config.write_text(
        f"{kept}targets:\n  - {{name: look {at}, category: {category}, alerts: [{channel}]}}\nalerts:\n{told}",
        encoding="utf-8",
    )


def hang_up(rig: Rig, daemon: Daemon, words: str) -> float:
    """Send SIGHUP and wait for the answer; returns the seconds it took."""
    before = len(daemon.heard(words))
    daemon.stats.send_signal(signal.SIGHUP)
    return rig.wait_for(lambda: len(daemon.heard(words)) > before, 20, lambda: f"not heard: {words}")


def newest_row(rig: Rig) -> int:
    return int(rig.query("SELECT coalesce(max(id), 0) FROM frames")[0][0])


def test_a_changed_target_applies_to_later_frames_only_however_often_it_changes_under_load(rig: Rig) -> None:
    number, hangups = sized(1000, 4000), 20
    look_for(rig, 0)
    asked_at: list[int] = []
    told_at: list[int] = [0]
    took_s: list[float] = []
    with rig.running() as daemon:
        with rig.writer(number, sized(100, 200), frames.MODES) as writer:
            for at in range(1, hangups + 1):
                time.sleep(number / sized(100, 200) / hangups * 0.7)
                look_for(rig, at, both_channels=at == hangups)
                asked_at.append(newest_row(rig))
                took_s.append(hang_up(rig, daemon, _READ_AGAIN))
                told_at.append(newest_row(rig))
            assert writer.poll() is None, "the load ended before the last change"
        rig.wait_for_count(number)
        assert not daemon.heard("error")
    truth = rig.truth()
    assert dict(rig.rows()) == {entry["path"]: entry["sha256"] for entry in truth}
    rig.assert_sound()
    category = {entry["path"]: entry["category"] for entry in truth}
    matched: dict[int, set[int]] = {at: set() for at in range(hangups + 1)}
    for target, frame_id in rig.query("SELECT target, frame_id FROM matches"):
        matched[int(target.split()[-1])].add(frame_id)
    rows = rig.query("SELECT id, path FROM frames WHERE state = 'recorded'")
    sure = 0
    for at, found in matched.items():
        until = asked_at[at] if at < hangups else newest_row(rig)  # between asking and hearing either may apply
        wanted = {number for number, path in rows if category[path] == frames.category_of(at)}
        must = {number for number in wanted if told_at[at] < number <= until}
        may = {
            number
            for number in wanted
            if (asked_at[at - 1] if at else 0) < number <= (told_at[at + 1] if at < hangups else until)
        }
        assert must <= found <= may, at
        sure += len(must)
    told = rig.told.read_text(encoding="utf-8").split()
    assert len(told) == len(set(told)) == sum(map(len, matched.values()))
    assert sure > number / 20
    print(
        f"{hangups} changed targets and channels while {number} frames came: each met by its own frames only ({len(told)} "
        f"matches, each told once); taken over after {statistics.median(took_s):.1f} s, at most {max(took_s):.1f} s"
    )


def test_a_broken_configuration_keeps_the_old_one_and_says_which_line_to_mend(rig: Rig) -> None:
    look_for(rig, 0)
    look_for(rig, 4)
    with rig.running() as daemon:
        sound = rig.config.read_text(encoding="utf-8")
        rig.config.write_text(
            sound.replace("Nanowires", "Nanowire").replace("targets:", "targts: []\ntargets:"), encoding="utf-8"
        )
        hang_up(rig, daemon, _NOT_TAKEN_OVER)
        [said] = daemon.heard(_NOT_TAKEN_OVER)
        assert f"{rig.config}:6:" in said
        assert "did you mean `Nanowires`?" in said
        assert "targts: unknown key" in said
        rig.wait_for(rig.announced.exists)
        assert str(rig.config) in rig.announced.read_text(encoding="utf-8")
        truth = frames.write(rig.watched, range(10))
        rig.wait_for_count(10)
        rig.wait_for_status(lambda told: told.get("configuration", {}).get("trouble"))
        status = json.loads(rig.program("status", "--json").stdout)
        assert [each for each in status["warnings"] if str(rig.config) in each]

        rig.config.write_text(sound.replace("Nanowires", "Powder"), encoding="utf-8")
        hang_up(rig, daemon, _READ_AGAIN)
        rig.wait_for_status(lambda told: not told["configuration"]["trouble"])
    assert "stays in use" in said
    assert rig.query("SELECT target, count(*) FROM matches GROUP BY target") == [("look 4", 1)]
    assert len(rig.rows()) == len(truth)


def test_a_key_that_needs_a_restart_is_named_in_one_line(rig: Rig) -> None:
    with rig.running() as daemon:
        rig.configure(watch="settle_seconds: 3, sweep_seconds: 7", engine="litert")
        hang_up(rig, daemon, _READ_AGAIN)
        [line] = daemon.heard("restart")
    for key in ("watch.settle_seconds", "watch.sweep_seconds", "model.engine"):
        assert key in line
    assert "watch.mode" not in line
