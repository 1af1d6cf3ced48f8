"""What a command writes for people never goes into a watched directory."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(name="lab")
def _lab(stub_lab: Callable[[int], Run]) -> Run:
    """The command with the configuration of this folder, in which two frames are recorded and rods were learned."""
    run = stub_lab(2)
    assert run("target", "learn", "rods", "1", "2").returncode == 0
    return run


def test_no_command_writes_its_file_into_the_watched_directory(lab: Run, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    before = sorted(frames.iterdir())
    for arguments in (
        ("target", "export", "rods", frames / "rods.json"),
        ("support-bundle", "--out", frames / "bundle.zip"),
        ("model", "export", "--out", frames / "model.zip"),
        ("log", "--parquet", frames / "log.parquet"),
        ("sheet", "--out", frames / "sheet.png"),
        ("map", "--out", frames / "map.html"),
        ("plot", "--out", frames / "plot.svg"),
        ("report", "last", "--out", frames / "report.html"),
    ):
        ended = lab(*arguments)
        assert "lies in the watched directory" in ended.stderr, arguments
        assert ended.returncode == 78, arguments
    assert sorted(frames.iterdir()) == before
