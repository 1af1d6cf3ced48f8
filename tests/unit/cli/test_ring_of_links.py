"""A place that is a link to itself is told in one line, whatever command is asked to look there."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    "command",
    [
        ("scan", "{ring}", "--engine", "stub", "--ledger", "{free}/l.sqlite3"),
        ("scan", "{free}", "--engine", "stub", "--ledger", "{ring}/l.sqlite3"),
        ("run", "--once", "{free}", "--engine", "stub", "--ledger", "{ring}"),
        ("reconcile", "{ring}", "--ledger", "{free}/none.sqlite3"),
        ("classify", "{ring}", "--engine", "stub"),
        ("meta", "{ring}"),
        ("show", "{ring}", "--ledger", "{ring}"),
        ("log", "--ledger", "{ring}"),
        ("status", "--ledger", "{ring}"),
        ("simulate", "--out", "{ring}", "--frames", "1", "--rate", "0"),
        ("target", "import", "{ring}", "--ledger", "{free}/l.sqlite3"),
        ("model", "info", "{ring}"),
        ("config", "check", "--config", "{ring}"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_ring_of_links_is_told_in_a_line(emwatch: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    ring, free = tmp_path / "ring", tmp_path / "free"
    ring.symlink_to(ring)
    free.mkdir()
    ended = emwatch(*(word.format(ring=ring, free=free) for word in command))
    assert ended.returncode not in {0, -6, -9, -11}, ended
    assert "Traceback" not in ended.stderr
    assert str(ring) in ended.stderr or str(free) in ended.stderr or "\n" not in ended.stderr.strip()
