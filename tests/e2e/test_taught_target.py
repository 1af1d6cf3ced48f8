"""A target's whole life from the command line, with the real model: taught, tested, searched for, met, reviewed, passed on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from emwatch.simulate.painter import draw_frame

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

CONFIGURATION = """\
watch: {directory: frames}
ledger: {path: state/ledger.sqlite3}
targets:
  - {name: spheres, learned: balls, alerts: []}
"""


@pytest.fixture(name="emwatch")
def _emwatch(tmp_path: Path) -> Callable[..., Any]:
    """Return what the real program prints with the configuration of this folder, parsed if it is JSON."""
    (tmp_path / "lab.yaml").write_text(CONFIGURATION, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("EMWATCH_", "XDG_"))}

    def run(*arguments: object, expect: int = 0) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "emwatch", *map(str, arguments), "--config", "lab.yaml"],
            cwd=tmp_path,
            env={**environment, "HOME": os.fspath(tmp_path)},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
        assert done.returncode == expect, done.stderr
        assert "Traceback" not in done.stderr
        return json.loads(done.stdout) if "--json" in arguments else done.stdout + done.stderr

    return run


def test_a_target_is_taught_met_reviewed_refined_and_passed_on(emwatch: Callable[..., Any], tmp_path: Path) -> None:
    def look_around(category: str, first: int) -> None:
        """Take six frames of one specimen, each a little further."""
        pixels = draw_frame(category, 1, 900, 700).pixels
        for place in range(6):
            window = pixels[20 * place : 20 * place + 500, 40 * place : 40 * place + 640]
            Image.fromarray(window).save(frames / f"frame_{first + place:04}.png")

    frames = tmp_path / "frames"
    frames.mkdir()
    look_around("Particles", 1)
    look_around("Films_Coated_Surface", 11)
    assert "no learned target is called 'balls'" in emwatch("run", "--once")
    numbers = {os.path.basename(row["path"]): row["id"] for row in emwatch("log", "--json")}  # noqa: PTH119 - a text

    def of(*places: int) -> list[int]:
        return [numbers[f"frame_{place:04}.png"] for place in places]

    unwanted = [option for number in of(11, 12, 13) for option in ("--not", number)]
    lesson = emwatch("target", "learn", "balls", *of(1, 2, 3, 4, 5), *unwanted, "--json")
    assert (lesson["version"], lesson["wanted"], lesson["unwanted"]) == (1, 5, 3)
    assert [each["name"] for each in emwatch("target", "list", "--json")] == ["balls"]
    assert emwatch("target", "show", "balls").count("frame_") == 8

    found = [each["frame_id"] for each in emwatch("target", "apply", "balls", "--json")]
    assert set(of(1, 2, 3, 4, 5)) <= set(found)
    assert not set(of(11, 12, 13)) & set(found)
    [met, unmet] = emwatch("target", "test", *of(1, 11), "--json")
    assert [each["targets"][0]["met"] for each in (met, unmet)] == [True, False]
    assert all("likeness" in each["targets"][0]["conditions"][1]["sentence"] for each in (met, unmet))

    # Frames to come: the configured target is met by the learned one, and a review teaches the next version.
    (frames / "again.png").write_bytes((frames / "frame_0001.png").read_bytes() + b" ")
    emwatch("run", "--once")
    [hit] = emwatch("log", "--hits", "--json")
    assert hit["path"].endswith("again.png")
    assert "no match of it was confirmed or rejected" in emwatch("target", "refine", "balls", expect=1)
    emwatch("review", hit["id"], "--reject")
    again = emwatch("target", "refine", "balls", "--json")
    assert (again["version"], again["wanted"], again["unwanted"]) == (2, 5, 4)

    emwatch("target", "export", "balls", "balls.json")
    assert "exists already" in emwatch("target", "export", "balls", "balls.json", expect=1)
    assert "2 versions removed" in emwatch("target", "forget", "balls")
    assert "no learned target is called 'balls'" in emwatch("target", "apply", "balls", expect=1)
    assert "version 1" in emwatch("target", "import", "balls.json")
    assert emwatch("target", "show", "balls", "--json")["wanted"] == 5
    assert [each["frame_id"] for each in emwatch("similar", hit["id"], "--limit", 1, "--json")] == of(1)
