from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from emwatch.classify.bundles.bundle import default_directory
from emwatch.cli.main import cli
from emwatch.frame import CATEGORIES
from emwatch.simulate.painter import draw_frame

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(name="drawn", scope="module")
def _drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn frames, two sessions of each category; the second is the test part of ``manifest.tsv``."""
    folder = tmp_path_factory.mktemp("drawn") / "data"
    rows = ["file\tcategory\tsource\tpart"]
    for index, name in enumerate(CATEGORIES):
        for session, part in ((1, "training"), (2, "test")):
            file = folder / name / f"s{session}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw_frame(name, 10 * index + session, 256, 192).pixels.astype("uint8")).save(file)
            rows.append(f"data/{name}/s{session}.png\t{name}\tsession {session}\t{part}")
    (folder.parent / "manifest.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder.parent


@pytest.fixture(name="dataset")
def _dataset(drawn: Path, tmp_path: Path) -> Path:
    """The folder ``data`` of a copy."""
    return Path(shutil.copytree(drawn, tmp_path / "set")) / "data"


def test_the_shipped_model_is_judged_by_the_test_part(emwatch: Run, dataset: Path) -> None:
    done = emwatch("evaluate", default_directory(), dataset.parent / "manifest.tsv", "--json")

    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["frames"], document["sources"], document["part"]) == (10, 1, "test")
    assert document["headline"]["accuracy"]["value"] >= 0.4  # drawn frames are what it has learned from, too
    assert document["bundle"]["name"] == "default"


def test_tables_say_the_figures_and_warnings_go_to_stderr(emwatch: Run, dataset: Path) -> None:
    done = emwatch("evaluate", default_directory(), dataset, "--engine", "stub")

    assert done.returncode == 0, done.stderr
    assert "20 frames" in done.stdout
    assert "balanced accuracy" in done.stdout
    assert "MEMS_devices_and_electrodes" in done.stdout
    assert "uncertain: " in done.stdout


def test_frames_are_judged_by_as_many_views_as_the_daemon_is_set_to(emwatch: Run, dataset: Path) -> None:
    settings = dataset.parent / "emwatch.yaml"
    settings.write_text("model: {views: 5}\n", encoding="utf-8")
    asked = ("evaluate", default_directory(), dataset, "--engine", "stub", "--json")
    one, five = (json.loads(emwatch(*asked, *more).stdout) for more in ((), ("--config", settings)))

    assert (one["bundle"]["views"], five["bundle"]["views"]) == (1, 5)
    assert one["reliability"] != five["reliability"]


def test_a_file_that_cannot_be_read_is_told_and_ends_with_4(emwatch: Run, dataset: Path) -> None:
    (dataset / "Tips" / "s3.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = emwatch("evaluate", default_directory(), dataset, "--engine", "stub", "--json")

    assert done.returncode == 4
    assert [Path(each["path"]).name for each in json.loads(done.stdout)["unreadable"]] == ["s3.png"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "cannot be read"),
        ('{"epoch": [1], "loss": [1, 2]}', "columns of one length"),
        ('{"epoch": [1], "loss": [1]}', "no column accuracy"),
    ],
)
def test_a_history_that_is_none_is_told_before_a_model_is_loaded(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "history.json").write_text(content)
    done = CliRunner().invoke(cli, ["evaluate", "no-such-bundle", "d", "--history", str(tmp_path / "history.json")])

    assert done.exit_code == 1
    assert told in done.stderr


def test_a_part_that_no_frame_is_in_is_told(dataset: Path) -> None:
    done = CliRunner().invoke(cli, ["evaluate", str(default_directory()), str(dataset), "--part", "test"])

    assert done.exit_code == 1
    assert "no frame of this dataset is in the part 'test'" in done.stderr


@pytest.mark.slow
def test_the_report_is_written(emwatch: Run, dataset: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    done = emwatch("evaluate", default_directory(), dataset, "--engine", "stub", "--out", tmp_path / "report")

    assert done.returncode == 0, done.stderr
    assert "report written: " in done.stderr
    assert "judged by" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
