from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from emwatch.cli.main import cli
from emwatch.frame import CATEGORIES

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(name="drawn", scope="module")
def _drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sessions of two frames for each category."""
    folder = tmp_path_factory.mktemp("drawn")
    random = np.random.default_rng(0)
    for name in CATEGORIES:
        for session in ("s1", "s2", "s3"):
            (folder / name / session).mkdir(parents=True)
            for number in range(2):
                coarse = Image.fromarray(random.integers(0, 256, (12, 16), dtype=np.uint8))
                coarse.resize((120, 90), Image.Resampling.BICUBIC).save(folder / name / session / f"{number}.png")
    return folder


@pytest.fixture(name="dataset")
def _dataset(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "data"))


def test_describe_counts_and_draws_a_plate(emwatch: Run, dataset: Path, tmp_path: Path) -> None:
    done = emwatch("dataset", "describe", dataset, "--json", "--plate", tmp_path / "plate.png")

    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["frames"], document["sources"], document["sizes_px"]) == (60, 3, {"120 x 90": 60})
    assert document["categories"]["Tips"]["frames"] == 6
    assert {trouble["kind"] for trouble in document["troubles"]} == {"few-frames"}
    with Image.open(tmp_path / "plate.png") as plate:
        assert plate.width > 8 * 170
        assert plate.height > 10 * 170


def test_describe_tells_what_is_wrong_with_file_names_and_ends_with_4(emwatch: Run, dataset: Path) -> None:
    (dataset / "Tips" / "s1" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (dataset / "Tips" / "s2" / "copy.png").write_bytes((dataset / "Tips" / "s3" / "0.png").read_bytes())
    done = emwatch("dataset", "describe", dataset)

    assert done.returncode == 4
    assert "wrong: 1 file cannot be read" in done.stdout
    assert "Tips/s1/1.png" in done.stdout
    assert "Exact duplicates: 2 frames in 1 group\n" in done.stdout


def test_a_mistyped_folder_is_one_error_with_the_nearest_name(dataset: Path) -> None:
    (dataset / "Powder").rename(dataset / "Powders")
    done = CliRunner().invoke(cli, ["dataset", "describe", str(dataset)])

    assert (done.exit_code, done.stdout) == (1, "")
    assert "did you mean Powder?" in done.stderr


def test_an_empty_folder_has_nothing_to_describe(tmp_path: Path) -> None:
    assert CliRunner().invoke(cli, ["dataset", "describe", str(tmp_path)]).exit_code == 3


def test_split_writes_a_manifest_that_keeps_sessions_together(emwatch: Run, dataset: Path, tmp_path: Path) -> None:
    done = emwatch("dataset", "split", dataset, "--out", tmp_path / "manifest.tsv", "--json")

    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    with (tmp_path / "manifest.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert document["parts"] == {"training": 20, "validation": 20, "test": 20}
    assert len({(row["source"], row["part"]) for row in rows}) == 3
    assert (tmp_path / rows[0]["file"]).is_file()
    assert len(rows[0]["sha256"]) == 64
    again = emwatch("dataset", "describe", tmp_path / "manifest.tsv", "--json")
    assert json.loads(again.stdout)["categories"]["Fibres"]["test"] == 2


def test_split_at_random_says_what_its_figures_are_worth(emwatch: Run, dataset: Path, tmp_path: Path) -> None:
    done = emwatch("dataset", "split", dataset, "--out", tmp_path / "m.tsv", "--random", "--shares", "50/25/25")

    assert done.returncode == 0
    assert "warning: split at random" in done.stderr
    assert "30" in done.stdout.splitlines()[-1]


def test_split_stops_at_what_is_wrong_or_leaves_it_out(emwatch: Run, dataset: Path, tmp_path: Path) -> None:
    (dataset / "labels.tsv").touch()
    own = CliRunner().invoke(cli, ["dataset", "split", str(dataset / "Tips"), "--out", str(dataset / "labels.tsv")])
    assert "is no manifest" in own.stderr
    (dataset / "labels.tsv").unlink()
    (dataset / "Tips" / "s1" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    refused = emwatch("dataset", "split", dataset, "--out", tmp_path / "m.tsv")
    done = emwatch("dataset", "split", dataset, "--out", tmp_path / "m.tsv", "--leave-out", "--json")

    assert (refused.returncode, "Tips/s1/1.png" in refused.stderr) == (1, True)
    assert json.loads(done.stdout)["frames"] == 59
    assert "1 file left out: " in done.stderr


@pytest.mark.parametrize("shares", ["70/20/20", "70/30", "all", "110/-20/10", "nan/20/10"])
def test_shares_that_are_no_hundred_are_a_usage_error(tmp_path: Path, shares: str) -> None:
    done = CliRunner().invoke(cli, ["dataset", "split", "d", "--out", str(tmp_path / "m.tsv"), "--shares", shares])

    assert done.exit_code == 2
    assert "70/20/10" in done.stderr
