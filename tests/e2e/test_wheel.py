"""The wheel holds all that is needed away from the checkout: model, documentation, unit file, example configuration."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(name="installed", scope="module")
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel was installed, without its dependencies."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("target")
    pip = [sys.executable, "-m", "pip", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", wheels, ROOT], check=True)
    [wheel] = wheels.glob("emwatch-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True)
    return target


def _emwatch(installed: Path, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-P", "-m", "emwatch", *arguments],
        cwd=installed.parent,
        env=os.environ | {"PYTHONPATH": os.fspath(installed)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_it_carries_its_documentation_unit_file_and_example(installed: Path) -> None:
    docs = Path(_emwatch(installed, "docs", "--path").strip())

    assert docs.is_relative_to(installed)
    assert {each.name for each in docs.glob("*.md")} == {each.name for each in (ROOT / "docs").glob("*.md")}
    assert (docs.parent / "systemd" / "emwatch.service").is_file()
    assert _emwatch(installed, "config", "example") == (ROOT / "config.example.yaml").read_text(encoding="utf-8")


def test_its_model_is_whole(installed: Path) -> None:
    assert "default" in _emwatch(installed, "model", "verify")
