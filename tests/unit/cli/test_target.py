"""`emwatch target` and `similar`: what they say and how they end; the model is a stand-in."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(name="target")
def _target(stub_lab: Callable[[int], Run]) -> Run:
    """The command with the configuration of this folder, in which four frames are recorded and rods were learned."""
    run = stub_lab(4)
    learned = run("target", "learn", "gold rods", "1", "2")
    assert learned.returncode == 0, learned.stderr
    assert "emwatch target apply 'gold rods'" in learned.stderr
    assert '{name: "gold rods", learned: "gold rods"}' in learned.stderr
    return run


def test_once_it_is_configured_nobody_is_told_how_and_a_test_explains_it(target: Run, tmp_path: Path) -> None:
    without = target("target", "test", "1")
    with (tmp_path / "lab.yaml").open("a", encoding="utf-8") as file:
        file.write('targets:\n  - {name: "gold rods", learned: "gold rods"}\n')
    again = target("target", "learn", "gold rods", "1", "2", "3")

    assert (without.returncode, "no target is configured" in without.stderr) == (1, True)
    assert again.stdout.startswith("gold rods, version 2\n")
    assert "targets:" not in again.stderr
    assert "likeness" in target("target", "test", "1").stdout


def test_one_from_another_computer_that_does_not_fit_is_taken_and_said_not_to_work(target: Run, tmp_path: Path) -> None:
    file = tmp_path / "rods.json"
    assert target("target", "export", "gold rods", file).returncode == 0
    fitting = target("target", "import", file)
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"space_sha256": "0" * 64}), "utf-8")
    other = target("target", "import", file)

    assert (fitting.stdout, "warning" in fitting.stderr) == ("gold rods, version 2\n", False)
    assert (other.returncode, other.stdout) == (0, "gold rods, version 3\n")
    assert "learned with another backbone" in other.stderr
    assert target("target", "apply", "gold rods").returncode == 1


def test_a_target_is_taken_once_though_the_model_in_use_cannot_be_looked_at(target: Run, tmp_path: Path) -> None:
    file, config = tmp_path / "rods.json", tmp_path / "lab.yaml"
    assert target("target", "export", "gold rods", file).returncode == 0
    gone = f"model: {{bundle: {tmp_path}/gone}}"
    config.write_text(config.read_text("utf-8").replace("model: {engine: stub}", gone), "utf-8")

    taken = target("target", "import", file)

    assert (taken.returncode, taken.stdout) == (0, "gold rods, version 2\n")
    assert "warning: " in taken.stderr
    assert f"{tmp_path}/gone" in taken.stderr


def test_a_search_ends_with_3_if_nothing_is_found_and_says_what_a_time_is(target: Run) -> None:
    everything = json.loads(target("similar", "1", "--json").stdout)
    limited = json.loads(target("similar", "1", "--since", "1h", "--limit", "2", "--json").stdout)

    assert (len(everything), len(limited)) == (3, 2)
    for command in (("target", "apply", "gold rods"), ("similar", "1")):
        assert target(*command, "--since", "1h").returncode == 0
        assert target(*command, "--since", "2031-01-01").returncode == 3
        refused = target(*command, "--since", "soon")
        assert (refused.returncode, "is not a time" in refused.stderr) == (2, True)
