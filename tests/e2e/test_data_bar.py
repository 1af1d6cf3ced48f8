"""Frames whose values stand in the picture only: recorded at once, completed from the data bar, found by their target."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from emwatch.readers.data_bar.ocr import is_installed
from tests.acquisitions import save_barred

if TYPE_CHECKING:
    from conftest import Program

pytestmark = pytest.mark.slow

_TARGETS = """
model: {engine: stub}
targets:
  - {name: close up, min_probability: 0, magnification: {min: 4000}}
  - {name: overview, min_probability: 0, magnification: {max: 1000}}
"""


@pytest.fixture(name="configured")
def _configured(emwatch: Program) -> Program:
    (emwatch.home / "config.yaml").write_text(_TARGETS)
    save_barred(emwatch.watched / "near.png", 5000.0, 1)
    save_barred(emwatch.watched / "far.png", 500.0, 2)
    return emwatch


def _question(program: Program, question: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(program.ledger)) as connection:
        return connection.execute(question).fetchall()


@pytest.mark.skipif(not is_installed(), reason="needs the ocr extra")
def test_one_run_completes_frames_from_their_bars_and_alerts_once(configured: Program) -> None:
    run = ("run", "--once", "--config", configured.home / "config.yaml")
    first = configured(*run)
    second = configured(*run)
    rows = _question(
        configured,
        "SELECT path, magnification, working_distance_mm, readings FROM v_log JOIN metadata m"
        " USING (magnification, working_distance_mm) WHERE m.frame_id = v_log.id ORDER BY path",
    )
    hits = _question(configured, "SELECT target, path FROM v_hits ORDER BY target")
    alerts = _question(configured, "SELECT target, state FROM alerts ORDER BY target")

    assert [row[1:3] for row in rows] == [(500.0, 4.5), (5000.0, 4.5)]
    assert all(json.loads(str(row[3]))["magnification"]["source"] == "data bar" for row in rows)
    assert [
        ("close up", str(configured.watched / "near.png")),
        ("overview", str(configured.watched / "far.png")),
    ] == hits
    assert alerts == [("close up", "delivered"), ("overview", "delivered")]
    assert "close up" in first.stdout + first.stderr
    assert "close up" not in second.stdout + second.stderr


@pytest.mark.skipif(not is_installed(), reason="needs the ocr extra")
def test_never_means_never(configured: Program) -> None:
    with (configured.home / "config.yaml").open("a", encoding="utf-8") as file:
        file.write("watch: {data_bar: never}\n")
    done = configured("run", "--once", "--config", configured.home / "config.yaml")

    assert _question(configured, "SELECT magnification, bar_read_at FROM metadata") == [(None, None)] * 2
    assert "ocr" not in done.stdout + done.stderr


@pytest.mark.skipif(is_installed(), reason="the ocr extra is installed")
def test_a_missing_extra_is_told_once_and_costs_nothing_else(configured: Program) -> None:
    done = configured("run", "--once", "--config", configured.home / "config.yaml")

    assert (done.stdout + done.stderr).count("pip install 'emwatch[ocr]'") == 1
    assert len(configured.rows()) == 2
