from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from emwatch.cli.commands.simulate import MODES
from emwatch.cli.main import cli

Run = Callable[..., Any]


def test_the_modes_are_the_simulators() -> None:
    from emwatch.simulate.microscope import WriteMode

    assert tuple(WriteMode) == MODES


def test_frames_their_truth_and_a_summary_are_written(emwatch: Run, tmp_path: Path) -> None:
    out = tmp_path / "sem"

    ended = emwatch(
        *("simulate", "--out", out, "--frames", "3", "--rate", "0", "--vendor", "mixed", "--seed", "4"),
        *("--category", "tips", "--category", "Powder", "--first-number", "7", "--json"),
    )
    summary = json.loads(ended.stdout)
    truths = [json.loads(line) for line in Path(summary["manifest"]).read_text(encoding="utf-8").splitlines()]

    assert (ended.returncode, ended.stderr) == (0, "")
    assert (summary["frames"], summary["truncated"], summary["out"]) == (3, 0, str(out))
    assert sum(summary["categories"].values()) == 3
    assert set(summary["categories"]) == {"Powder", "Tips"}
    assert sorted(path.name for path in out.iterdir()) == ["frame_0007.tif", "frame_0008.tif", "frame_0009.tif"]
    assert [hashlib.sha256(Path(each["path"]).read_bytes()).hexdigest() for each in truths] == [
        each["sha256"] for each in truths
    ]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "sem" / "frame_0001.tif"
    file.parent.mkdir()
    file.write_text("mine", encoding="utf-8")

    result = CliRunner().invoke(cli, ["simulate", "--out", str(file.parent), "--frames", "1", "--rate", "0"])

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {file}: already there")
    assert file.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--vendor", "leica"], "'leica' is not one of zeiss"),
        (["--mode", "fast"], "'fast' is not one of"),
        (["--frames", "0"], "x>=1"),
        (["--rate", "-1"], "x>=0"),
        (["--category", "Dust"], "is not one of"),
    ],
)
def test_a_wrong_option_is_a_usage_error(tmp_path: Path, arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(cli, ["simulate", "--out", str(tmp_path / "sem"), *arguments])

    assert result.exit_code == 2
    assert says in result.stderr
    assert not (tmp_path / "sem").exists()


def test_all_goes_through_every_format(tmp_path: Path) -> None:
    from emwatch.simulate.vendors import VENDORS

    out, manifest = tmp_path / "sem", tmp_path / "truth.ndjson"
    arguments = ["--rate", "0", "--vendor", "all", "--frames", str(len(VENDORS)), "--manifest", str(manifest)]

    result = CliRunner().invoke(cli, ["simulate", "--out", str(out), *arguments])

    assert result.exit_code == 0
    assert [json.loads(line)["vendor"] for line in manifest.read_text(encoding="utf-8").splitlines()] == list(VENDORS)


def test_an_unknown_vendor_is_told_the_names_there_are(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["simulate", "--out", str(tmp_path), "--vendor", "acme"])

    assert result.exit_code == 2
    assert result.stderr.rstrip().endswith("imagej, mixed, all")


def test_no_manifest_lies_beside_the_root_of_a_disk() -> None:
    result = CliRunner().invoke(cli, ["simulate", "--out", Path.cwd().anchor, "--frames", "1"])

    assert (result.exit_code, "root of a disk" in result.stderr) == (2, True)
