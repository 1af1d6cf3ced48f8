"""Channels that refuse, hang or are slow: every alert gets through in the end, and none of them delays another channel."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import frames
import pytest
from rig import sized

if TYPE_CHECKING:
    from rig import Rig

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600)]

#: A program that does as a file says: refuse, hang, dawdle, or take the alert.
_MOODY = """#!/bin/sh
case "$(cat "{mood}")" in
    refuse) exit 1 ;;
    hang) sleep 60 ;;
    dawdle) sleep 0.5 ;;
esac
printf '%s\\n' "$EMWATCH_ALERT_KEY" >> "{told}"
"""


def test_a_channel_that_is_down_delivers_all_of_it_later_and_delays_no_other(rig: Rig) -> None:
    number, down_s = sized(400, 2000), sized(8, 60)
    mood, moody = rig.home / "mood", rig.home / "moody.sh"
    told = rig.home / "told-by-moody"
    told.touch()
    moody.write_text(_MOODY.format(mood=mood, told=told), encoding="utf-8")
    moody.chmod(0o755)
    rig.configure()
    text = rig.config.read_text(encoding="utf-8").replace("[phone]", "[phone, moody]")
    text += f'  moody: {{kind: command, argv: ["{moody}"], timeout_seconds: 2}}\n'
    rig.config.write_text(text, encoding="utf-8")
    mood.write_text("refuse", encoding="utf-8")
    matches = number // len(frames.CATEGORIES)
    with rig.running() as daemon:
        with rig.writer(number, 50):
            for each in ("refuse", "hang", "dawdle", "refuse"):
                mood.write_text(each, encoding="utf-8")
                time.sleep(down_s / 4)
        rig.wait_for_count(number)
        mood.write_text("take", encoding="utf-8")
        began = time.monotonic()
        rig.wait_for(lambda: len(set(told.read_text(encoding="utf-8").split())) == matches, 120)
        recovered_s = time.monotonic() - began
        rig.wait_for(rig.all_alerts_told)
        lags = sorted(
            lag
            for (lag,) in rig.query(
                "SELECT (julianday(delivered_at) - julianday(created_at)) * 86400 FROM alerts WHERE channel = 'phone'"
            )
        )
        down = daemon.heard("moody is down")
    healthy = set(rig.told.read_text(encoding="utf-8").split())
    keys = told.read_text(encoding="utf-8").split()
    outbox = rig.query("SELECT key, channel FROM alerts WHERE state = 'delivered'")
    assert {key for key, channel in outbox if channel == "moody"} == set(keys)
    assert {key for key, channel in outbox if channel == "phone"} == healthy
    assert len(healthy) == len(set(keys)) == matches
    p95 = lags[int(0.95 * len(lags))]
    print(
        f"{matches} alerts on a channel that refused, hung and dawdled for {down_s} s: all delivered {recovered_s:.0f} s after "
        f"it took them again, {len(keys) - len(set(keys))} repeated; the healthy channel's p95 {p95:.2f} s; {len(down)} warnings"
    )
    assert len(down) <= 4


def test_what_only_a_channel_should_know_is_nowhere_else_when_it_fails(rig: Rig) -> None:
    secret = "T0K3N-do-not-tell"
    url = f"https://hooks.example/services/{secret}?key={secret}"
    chatty = rig.home / "chatty.sh"
    chatty.write_text(
        f'#!/bin/sh\necho "POST $1" >&2\necho "{chatty}: $1: 404, tried ${{1#https://hooks.example}} with $2" >&2\nexit 8\n',
        encoding="utf-8",
    )
    chatty.chmod(0o755)
    rig.configure()
    text = rig.config.read_text(encoding="utf-8").replace("[phone]", "[phone, hook]")
    text += f'  hook: {{kind: command, argv: ["{chatty}", "{url}", "--header=Key {secret} for {{target}}"]}}\n'
    rig.config.write_text(text, encoding="utf-8")
    daemon = rig.start("-vv").wait_until_ready()
    frames.write(rig.watched, range(20))
    rig.wait_for(lambda: rig.query("SELECT count(*) FROM alerts WHERE last_error <> ''") == [(2,)])
    status = rig.program("status", "--json").stdout + rig.program("log", "--hits", "--json").stdout
    [(told,)] = set(rig.query("SELECT last_error FROM alerts WHERE channel = 'hook'"))
    assert daemon.stop() == 0
    kept = {
        path.name: path.read_bytes() for path in [*rig.ledger.parent.rglob("*"), rig.home / "stdout"] if path.is_file()
    }
    found = [name for name, content in kept.items() if secret.encode() in content]
    found += [line for line in [*daemon.said, *status.splitlines()] if secret in line]
    print(f"an alert command that failed and repeated its arguments; kept of it: {told}")
    assert rig.ledger.name in kept
    assert "404" in told
    assert not found
