"""The wheel in an environment of its own, away from the checkout: it holds all that is needed, and its demo and tests work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Tests that need nothing but the program.
TESTS = ("tests/unit/targets", "tests/unit/config", "tests/unit/readers/test_checks.py")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(name="installed", scope="module")
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment into which the wheel was installed, with what the tests' own one brings beside it."""
    wheels, home = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("fresh") / "venv"
    subprocess.run([sys.executable, "-m", "pip", "-q", "wheel", "--no-deps", "-w", wheels, ROOT], check=True)
    [wheel] = wheels.glob("emwatch-*.whl")
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin/python"
    pip = [sys.executable, "-m", "pip", "-q", "--python", python, "install", "--no-deps", wheel]
    subprocess.run(pip, check=True)
    # Everything else is taken from here, so that no network is needed; emwatch itself comes first from the wheel.
    [site] = home.glob("lib/*/site-packages")
    (site / "beside.pth").write_text(f"{Path(pytest.__file__).resolve().parents[1]}\n", encoding="utf-8")
    return python


def _run(python: Path, *arguments: str, cwd: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [python, *arguments], cwd=cwd or python.parents[2], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_it_carries_its_documentation_unit_file_and_example(installed: Path) -> None:
    docs = Path(_run(installed, "-m", "emwatch", "docs", "--path").strip())

    assert docs.is_relative_to(installed.parents[1])
    assert {each.name for each in docs.glob("*.md")} == {each.name for each in (ROOT / "docs").glob("*.md")}
    assert (docs.parent / "systemd" / "emwatch.service").is_file()
    example = (ROOT / "config.example.yaml").read_text(encoding="utf-8")
    assert _run(installed, "-m", "emwatch", "config", "example") == example


def test_its_model_is_whole_and_its_demo_works(installed: Path) -> None:
    assert "default" in _run(installed, "-m", "emwatch", "model", "verify")
    shown = _run(installed, os.fspath(installed.with_name("emwatch")), "demo", "--frames", "3", "--rate", "5")
    assert all(f"frame_000{number}.tif" in shown for number in (1, 2, 3))


def test_tests_pass_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "config.example.yaml"):
        shutil.copy(ROOT / name, tmp_path)

    said = _run(installed, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *TESTS, cwd=tmp_path)

    assert " passed" in said
