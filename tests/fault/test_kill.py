"""kill -9 at any moment: every frame has one row, every match one alert record, and nothing is there twice."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Program

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600)]

FULL = bool(os.environ.get("EMWATCH_FULL_FAULTS"))


def wait_until_ready(daemon: subprocess.Popen[str]) -> None:
    assert daemon.stderr is not None
    while "ready" not in (line := daemon.stderr.readline()):
        assert line, "the daemon ended before it was ready"


@pytest.mark.parametrize(("engine", "frames", "kills"), [("stub", 1000 if FULL else 200, 15), ("litert", 200, 3)])
def test_killed_again_and_again_every_frame_has_one_row_and_every_match_one_alert(
    emwatch: Program, engine: str, frames: int, kills: int
) -> None:
    told = emwatch.home / "told.ndjson"
    told.touch()
    teller = emwatch.home / "tell.sh"
    teller.write_text(f'#!/bin/sh\nprintf "%s\\n" "$EMWATCH_ALERT_KEY" >> {told}\n', encoding="utf-8")
    teller.chmod(0o755)
    config = emwatch.home / "config.yaml"
    config.write_text(
        textwrap.dedent(f"""
            model: {{engine: {engine}}}
            targets:
              - {{name: anything, category: [], min_probability: 0, alerts: [phone]}}
            alerts:
              phone: {{kind: command, argv: ["{teller}"]}}
        """),
        encoding="utf-8",
    )
    manifest = emwatch.home / "manifest.ndjson"
    dice = random.Random(5)
    writer = subprocess.Popen(
        [
            *(sys.executable, "-m", "emwatch", "simulate", "--out", emwatch.watched, "--frames", str(frames)),
            *("--rate", "40", "--mode", "tmp-rename", "--seed", "3", "--manifest", manifest),
        ],
        env=emwatch.environ,
        stdout=subprocess.DEVNULL,
    )
    try:
        for _ in range(kills):
            daemon = emwatch.start("run", "--config", config, "--plain")
            wait_until_ready(daemon)
            time.sleep(dice.uniform(0.0, 0.5))
            daemon.send_signal(signal.SIGKILL)
            daemon.communicate()
        assert writer.wait(timeout=300) == 0
    finally:
        writer.kill()
    emwatch("run", "--once", "--config", config)
    truth = {entry["path"]: entry["sha256"] for entry in map(json.loads, manifest.read_text().splitlines())}
    rows = emwatch.rows()
    keys = told.read_text().split()
    with sqlite3.connect(emwatch.ledger) as ledger:
        [integrity] = ledger.execute("PRAGMA integrity_check").fetchone()
        outbox = {key for (key,) in ledger.execute("SELECT key FROM alerts WHERE state = 'delivered'")}
    ledger.close()
    print(f"{engine}: {frames} frames, {kills} kills: {len(rows)} rows, {len(keys) - len(set(keys))} repeated alerts")

    assert {row["path"]: row["sha256"] for row in rows} == truth
    assert len(rows) == frames
    assert {row["state"] for row in rows} == {"recorded"}
    assert integrity == "ok"
    assert set(keys) == outbox
    assert len(outbox) == len({row["sha256"] for row in rows if row["targets"]})
    assert len(keys) - len(set(keys)) <= kills * 4
