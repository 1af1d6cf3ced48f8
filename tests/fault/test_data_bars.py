"""Data bars under faults: kills, a reader that hangs, dies or eats memory; and no alert ever waits for a bar."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import textwrap
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from emwatch.readers.data_bar.ocr import is_installed
from emwatch.simulate.microscope import Microscope, WriteMode
from tests.acquisitions import save_barred
from tests.recogniser import DEED, write_modules

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from conftest import Program

pytestmark = [
    pytest.mark.fault,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.name != "posix", reason="the alerts are shell scripts, and the faults are signals"),
]

_WAIT_S = 90.0


@pytest.fixture(name="config")
def _config(emwatch: Program) -> Path:
    """Three targets: one that any frame meets, and two for which a bar has to tell the magnification."""
    told = emwatch.home / "told.txt"
    told.touch()
    teller = emwatch.home / "tell.sh"
    line = "$EMWATCH_ALERT_TARGET $EMWATCH_ALERT_KEY $EMWATCH_ALERT_PATH"
    teller.write_text(f'#!/bin/sh\necho "{line}" >> {told}\n', encoding="utf-8")
    teller.chmod(0o755)
    config = emwatch.home / "config.yaml"
    config.write_text(
        textwrap.dedent(f"""
            model: {{engine: stub}}
            targets:
              - {{name: anything, category: [], min_probability: 0, alerts: [phone]}}
              - {{name: near, category: [], min_probability: 0, magnification: {{min: 4000}}, alerts: [phone]}}
              - {{name: far, category: [], min_probability: 0, magnification: {{max: 1000}}, alerts: [phone]}}
            alerts:
              phone: {{kind: command, argv: ["{teller}"]}}
        """),
        encoding="utf-8",
    )
    return config


@pytest.fixture(name="deed")
def _deed(emwatch: Program, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recogniser of our own in place of any that is installed; it does what this file says."""
    monkeypatch.setenv("PYTHONPATH", str(write_modules(emwatch.home)))
    deed = emwatch.home / "deed.txt"
    monkeypatch.setenv(DEED, str(deed))
    return deed


def _told(program: Program, target: str) -> list[str]:
    """Names of the frames alerted for a target, in the order of the alerts."""
    lines = (program.home / "told.txt").read_text().splitlines()
    return [line.rpartition("/")[2] for line in lines if line.startswith(f"{target} ")]


def _until(what: str, happened: Any) -> None:
    end = time.monotonic() + _WAIT_S
    while not happened():
        assert time.monotonic() < end, f"{what} did not happen within {_WAIT_S:g} s"
        time.sleep(0.02)


def _bar_children(daemon: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        children = psutil.Process(daemon.pid).children()
        return [each for each in children if "emwatch.readers.data_bar.child" in each.cmdline()]
    except psutil.NoSuchProcess:
        return []


def _bars(program: Program) -> dict[str, tuple[float | None, bool, list[str]]]:
    """By file name: magnification, whether the bar was read, and the flags."""
    question = (
        "SELECT path, magnification, bar_read_at IS NOT NULL, flags FROM metadata JOIN frames ON frames.id = frame_id"
    )
    with closing(sqlite3.connect(program.ledger)) as ledger:
        rows = ledger.execute(question).fetchall()
    return {path.rpartition("/")[2]: (times, bool(read), json.loads(flags)) for path, times, read, flags in rows}


def _read(program: Program) -> int:
    """How many bars are read by now."""
    return sum(read for _, read, _ in _bars(program).values())


def _end(daemon: subprocess.Popen[str], *, at_once: bool = False) -> None:
    daemon.send_signal(signal.SIGKILL if at_once else signal.SIGTERM)
    daemon.communicate(timeout=60)


@pytest.mark.skipif(not is_installed(), reason="needs the ocr extra")
def test_killed_again_and_again_every_bar_counts_once(emwatch: Program, config: Path) -> None:
    true = {f"{at:02}.png": 5000.0 if at % 2 else 500.0 for at in range(12)}
    for at, (name, magnification) in enumerate(true.items()):
        save_barred(emwatch.watched / name, magnification, seed=at)
    dice = random.Random(8)
    orphans: list[psutil.Process] = []
    for kill in range(6):
        daemon = emwatch.start("run", "--config", config, "--plain")
        _until("a bar child", lambda daemon=daemon: _bar_children(daemon))
        wanted = min(12, _read(emwatch) + dice.randint(0, 2))
        _until("the reading of bars", lambda wanted=wanted: _read(emwatch) >= wanted)
        time.sleep(dice.uniform(0.0, 1.0))  # somewhere in the next bar
        children = _bar_children(daemon)
        orphans += children
        if kill % 3 == 2:
            for child in children:
                child.kill()  # the daemon lives on, and goes on with another
            time.sleep(dice.uniform(0.0, 2.0))
        _end(daemon, at_once=True)
    _, alive = psutil.wait_procs(orphans, timeout=20)
    read_before = _read(emwatch)
    emwatch("run", "--once", "--config", config)
    with closing(sqlite3.connect(emwatch.ledger)) as ledger:
        matches = ledger.execute("SELECT target, count(*), count(DISTINCT frame_id) FROM matches GROUP BY target")
        counts = {target: (rows, frames) for target, rows, frames in matches}
        states = ledger.execute("SELECT state, count(*) FROM alerts GROUP BY state").fetchall()
        [integrity] = ledger.execute("PRAGMA integrity_check").fetchone()
    told = {target: _told(emwatch, target) for target in ("anything", "near", "far")}
    repeated = sum(len(names) - len(set(names)) for names in told.values())
    print(f"6 kills: {read_before} of 12 bars read before the last run, {repeated} repeated alerts")

    assert alive == []
    assert _bars(emwatch) == {name: (magnification, True, []) for name, magnification in true.items()}
    assert counts == {"anything": (12, 12), "near": (6, 6), "far": (6, 6)}
    assert states == [("delivered", 24)]
    assert {target: set(names) for target, names in told.items()} == {
        "anything": set(true),
        "near": {name for name, magnification in true.items() if magnification == 5000.0},
        "far": {name for name, magnification in true.items() if magnification == 500.0},
    }
    assert repeated <= 6
    assert integrity == "ok"


def test_while_a_bar_hangs_frames_are_recorded_and_alerted_and_only_rules_that_need_it_wait(
    emwatch: Program, config: Path, deed: Path
) -> None:
    waiting = ("hanging.png", "behind.png")
    deed.write_text("HANG")
    daemon = emwatch.start("run", "--config", config, "--plain")
    try:
        save_barred(emwatch.watched / "hanging.png")
        _until("the hanging bar", deed.with_suffix(".begun").exists)
        save_barred(emwatch.watched / "behind.png", seed=9)
        list(Microscope(emwatch.watched, 2, rate=0, mode=WriteMode.TMP_RENAME, vendor="zeiss", seed=4).run())
        complete = sorted(path.name for path in emwatch.watched.glob("*.tif"))
        _until("the alerts of all frames", lambda: len(_told(emwatch, "anything")) == 4)
        by_header = _told(emwatch, "near") + _told(emwatch, "far")
        while_hanging = _bars(emwatch)
        deed.write_text("Mag = 5.00 K X")
        for child in _bar_children(daemon):
            child.kill()
        _until("the alerts that waited for a bar", lambda: set(waiting) <= set(_told(emwatch, "near")))
    finally:
        _end(daemon)

    assert set(_told(emwatch, "anything")) == {*waiting, *complete}
    assert by_header  # a rule that needs magnification does not wait where the header tells it
    assert set(by_header) <= set(complete)
    assert [while_hanging[name][:2] for name in waiting] == [(None, False)] * 2
    assert [_bars(emwatch)[name][:2] for name in waiting] == [(5000.0, True)] * 2
    assert len(_told(emwatch, "near")) == len(set(_told(emwatch, "near")))


@pytest.mark.parametrize("deed_done", ["KILL", "EAT"])
def test_bars_that_end_their_readers_cost_no_frame_and_are_read_at_the_next_start(
    emwatch: Program, config: Path, deed: Path, deed_done: str
) -> None:
    deed.write_text(deed_done)
    for name in ("a.png", "b.png"):
        save_barred(emwatch.watched / name, seed=ord(name[0]))
    first = emwatch("run", "--once", "--config", config)
    states = {row["state"] for row in emwatch.rows()}
    unread = _bars(emwatch)
    deed.write_text("Mag = 5.00 K X")
    emwatch("run", "--once", "--config", config)

    assert states == {"recorded"}
    assert sorted(_told(emwatch, "anything")) == ["a.png", "b.png"]
    # What killed the reader may lie outside the file, as when memory is short.
    assert [(times, read) for times, read, _ in unread.values()] == [(None, False)] * 2
    assert [(times, read) for times, read, _ in _bars(emwatch).values()] == [(5000.0, True)] * 2
    assert sorted(_told(emwatch, "near")) == ["a.png", "b.png"]
    assert "Traceback" not in first.stderr
