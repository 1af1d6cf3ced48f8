"""A channel of a new kind is one module and its line in the registry; nothing else of emwatch is touched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import emwatch

pytestmark = pytest.mark.slow

MODULE = """
from pathlib import Path
from typing import Literal

from emwatch.alerts.channel import ChannelSettings
from emwatch.settings import Text


class NotebookSettings(ChannelSettings):
    kind: Literal["notebook"]
    file: Path
    heading: Text = "seen"

    def open(self, show):
        return NotebookChannel(self.file, self.heading)

    def doubts(self):
        if not self.file.exists():
            yield "file: is not there yet"


class NotebookChannel:
    kind = "notebook"

    def __init__(self, file, heading):
        self._file, self._heading = file, heading

    def send(self, alert):
        with self._file.open("a") as stream:
            stream.write(f"{self._heading}: {alert.target} {alert.path.name}\\n")
"""
CONFIG = """
watch: {directory: frames}
ledger: {path: ledger.sqlite3}
model: {engine: stub}
targets:
- {name: anything, min_probability: 0, alerts: [book]}
alerts:
  book: {kind: notebook, file: pages.txt}
"""


@pytest.fixture(name="tree", scope="module")
def _tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("tree")
    package = tree / "emwatch"
    shutil.copytree(Path(emwatch.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "models"))
    (package / "alerts" / "notebook.py").write_text(MODULE, encoding="utf-8")
    registry = package / "alerts" / "registry.py"
    text = registry.read_text(encoding="utf-8")
    text = text.replace("    CommandSettings,\n", "    CommandSettings,\n    NotebookSettings,\n")
    text = text.replace("\n\nif TYPE", "\nfrom emwatch.alerts.notebook import NotebookSettings\n\nif TYPE", 1)
    registry.write_text(text, encoding="utf-8")
    return tree


def _run(tree: Path, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("EMWATCH_", "XDG_"))}
    command = [sys.executable, "-m", "emwatch", *arguments, "--config", str(tree / "config.yaml")]
    environ["HOME"] = str(tree)
    done = subprocess.run(command, cwd=tree, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == expect, done.stderr
    return done


def test_config_check_knows_its_keys_and_resolves_its_paths(tree: Path) -> None:
    (tree / "config.yaml").write_text(CONFIG, encoding="utf-8")

    shown = json.loads(_run(tree, "config", "check", "--json").stdout)

    settings = {"kind": "notebook", "file": str(tree / "pages.txt"), "heading": "seen"}
    assert shown["values"]["alerts.book"]["value"] == settings
    assert "alerts.book.file: is not there yet" in shown["warnings"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("{kind: notebook, file: x, headin: y}", "8:35: alerts.book.headin: unknown key; did you mean `heading`?"),
        ("{kind: notebook}", "8:9: alerts.book.file: is missing"),
        ("{kind: notbook, file: x}", "did you mean `notebook`?"),
        ("{file: x}", "write `kind: terminal` or `kind: command` or `kind: notebook`"),
    ],
)
def test_config_check_names_its_mistakes(tree: Path, wrong: str, says: str) -> None:
    text = CONFIG.replace("{kind: notebook, file: pages.txt}", wrong)
    (tree / "config.yaml").write_text(text, encoding="utf-8")

    assert says in _run(tree, "config", "check", expect=78).stderr


def test_the_daemon_delivers_on_it(tree: Path) -> None:
    (tree / "config.yaml").write_text(CONFIG, encoding="utf-8")
    (tree / "frames").mkdir()
    pixels = np.random.default_rng(1).integers(0, 255, (480, 640), dtype=np.uint8)
    Image.fromarray(pixels).save(tree / "frames" / "a.tif")

    _run(tree, "run", "--once")

    assert (tree / "pages.txt").read_text(encoding="utf-8") == "seen: anything a.tif\n"
