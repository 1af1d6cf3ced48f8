"""What a command writes for people never goes into a watched directory."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from emwatch.simulate.microscope import Microscope

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]

CONFIGURATION = """\
watch: {{directory: {folder}/frames, data_bar: never}}
ledger: {{path: {folder}/ledger.sqlite3}}
model: {{engine: stub}}
"""


@pytest.fixture(name="lab")
def _lab(emwatch: Run, tmp_path: Path) -> Run:
    """The command with the configuration of this folder, in which two frames are recorded and rods were learned."""
    list(Microscope(tmp_path / "frames", 2, rate=0, seed=1).run())
    config = tmp_path / "lab.yaml"
    config.write_text(CONFIGURATION.format(folder=tmp_path), "utf-8")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return emwatch(*arguments, "--config", config)

    assert run("run", "--once").returncode == 0
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
