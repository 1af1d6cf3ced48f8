"""``emwatch meta`` and ``emwatch classify`` over real files, in the real program."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from emwatch.classify.classifier import Classifier
from emwatch.cli.main import cli
from emwatch.frame import CATEGORIES, FIELDS, Prediction

Run = Callable[..., Any]


def _frame(path: Path, grey: int = 0) -> Path:
    picture = Image.effect_noise((96, 64), 40 + grey)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return path


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """Three frames, a text, a hidden frame and a frame cut short."""
    folder = tmp_path / "sem"
    _frame(folder / "b.tif")
    _frame(folder / "a.png")
    _frame(folder / "deep" / "c.jpg")
    _frame(folder / ".hidden.tif")
    (folder / "notes.txt").write_text("just text\n", encoding="utf-8")
    return folder


@pytest.fixture(name="cut")
def _cut(folder: Path) -> Path:
    file = folder / "cut.tif"
    file.write_bytes((folder / "b.tif").read_bytes()[:2000])
    return file


class TestMeta:
    def test_one_file_is_an_object_with_every_field_by_name(self, emwatch: Run, folder: Path) -> None:
        ended = emwatch("meta", "--json", "--no-data-bar", folder / "b.tif")
        document = json.loads(ended.stdout)

        assert (ended.returncode, ended.stderr) == (0, "")
        assert set(FIELDS) <= set(document)
        assert [document[name] for name in ("image_format", "width", "height", "vendor")] == ["TIFF", 96, 64, None]
        assert (document["sources"], document["flags"]) == ({}, [])

    def test_a_folder_is_a_list_of_its_frames_and_nothing_else(self, emwatch: Run, folder: Path) -> None:
        ended = emwatch("meta", "--json", folder)

        assert ended.returncode == 0
        assert [Path(each["path"]).name for each in json.loads(ended.stdout)] == ["a.png", "b.tif", "c.jpg"]

    def test_a_failing_file_costs_itself_only(self, emwatch: Run, folder: Path, cut: Path) -> None:
        ended = emwatch(
            "meta", "--json", "--no-data-bar", cut, folder / "none.tif", folder / "notes.txt", folder / "b.tif"
        )
        documents = json.loads(ended.stdout)

        assert ended.returncode == 4
        assert [each.get("error", {}).get("code") for each in documents] == [
            "truncated",
            "vanished",
            "not-a-frame",
            None,
        ]
        assert [line.split(":")[1].strip() for line in ended.stderr.splitlines()] == [
            str(cut),
            str(folder / "none.tif"),
            str(folder / "notes.txt"),
        ]
        assert f"error: {folder / 'none.tif'}: no such file" in ended.stderr

    def test_a_folder_without_frames_is_nothing_found(self, emwatch: Run, tmp_path: Path) -> None:
        ended = emwatch("meta", "--json", tmp_path)

        assert (ended.returncode, ended.stdout) == (3, "[]\n")

    @pytest.mark.parametrize("vendor", ["Zeiss_LEO", "FEI_TFS"])
    def test_values_are_those_of_the_instrument(self, emwatch: Run, real_frames: Path, vendor: str) -> None:
        with (real_frames / "truth.tsv").open(encoding="utf-8") as stream:
            rows = [row for row in csv.DictReader(stream, delimiter="\t") if vendor in "/".join(row.values())]
        column = next(name for name, value in rows[0].items() if vendor in value)
        row = next(row for row in rows if "/" in row[column] or (real_frames / vendor / row[column]).is_file())
        file = real_frames / row[column] if "/" in row[column] else real_frames / vendor / row[column]

        document = json.loads(emwatch("meta", "--json", file).stdout)
        numbers = {name: float(row[name]) for name in FIELDS if name in row and _is_number(row[name])}

        assert numbers
        assert {name: document[name] for name in numbers} == pytest.approx(numbers, rel=0.005, abs=1e-6)

    def test_the_table_is_whole_when_piped_and_shows_the_raw_text_on_request(
        self, emwatch: Run, real_frames: Path
    ) -> None:
        file = next((real_frames / "Zeiss_LEO").glob("*.tif"))
        document = json.loads(emwatch("meta", "--json", file).stdout)

        table, raw = emwatch("meta", file, COLUMNS="40").stdout, emwatch("meta", "--raw", file).stdout

        assert str(file) in table
        assert all(each["source"] in table for each in document["sources"].values())
        assert document["sources"]["magnification"]["raw"] in raw
        assert document["sources"]["magnification"]["raw"] not in table
        assert "…" not in table


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class TestClassify:
    def test_a_warning_takes_the_place_of_the_progress(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = Classifier.classify

        def doubting(self: Classifier, *given: Any) -> Prediction:
            return replace(real(self, *given), doubt="hardly ever imaged like that")

        monkeypatch.setattr(Classifier, "classify", doubting)
        monkeypatch.setattr("emwatch.cli.terminal.frames.is_terminal", lambda _stream: True)
        said = CliRunner().invoke(cli, ["classify", "--engine", "stub", str(folder)], color=True).stderr

        before = [each.rsplit("\r\033[K", 1)[-1] for each in said.split("warning: ")[:-1]]
        assert len(before) == 3
        assert all(re.fullmatch(r".*\n|(\x1b\[\d+m)*", each, re.DOTALL) for each in before)

    def test_one_file_is_an_object_with_all_ten_scores(self, emwatch: Run, folder: Path) -> None:
        ended = emwatch("classify", "--engine", "stub", "--json", "--no-data-bar", folder / "b.tif")
        document = json.loads(ended.stdout)

        assert (ended.returncode, ended.stderr) == (0, "")
        assert list(document["scores"]) == list(CATEGORIES)
        assert sum(document["scores"].values()) == pytest.approx(1)
        assert document["probability"] == max(document["scores"].values()) == document["scores"][document["category"]]
        assert document["margin"] == pytest.approx(
            document["probability"] - sorted(document["scores"].values())[-2], abs=1e-9
        )
        assert isinstance(document["uncertain"], bool)
        assert len(document["bundle_sha256"]) == 64
        assert set(FIELDS) <= set(document["metadata"])

    def test_reading_ahead_mixes_nothing_up(self, emwatch: Run, folder: Path, cut: Path) -> None:
        files = [folder / "b.tif", cut, folder / "a.png", folder / "deep" / "c.jpg"]
        single = [
            json.loads(CliRunner().invoke(cli, ["classify", "--engine", "stub", "--json", str(file)]).stdout)
            for file in files
        ]

        together = emwatch("classify", "--engine", "stub", "--json", *files)

        assert together.returncode == 4
        assert json.loads(together.stdout) == single

    def test_the_table_names_file_and_category(self, emwatch: Run, folder: Path) -> None:
        documents = json.loads(emwatch("classify", "--engine", "stub", "--json", folder).stdout)
        lines = emwatch("classify", "--engine", "stub", folder).stdout.splitlines()

        assert [line.split()[0] for line in lines[1:]] == [each["category"] for each in documents]
        assert [line.split()[-1] for line in lines[1:]] == [each["path"] for each in documents]

    def test_a_broken_configuration_is_78_before_anything_is_read(self, emwatch: Run, folder: Path) -> None:
        ended = emwatch("classify", "--engine", "tensorflow", folder)

        assert ended.returncode == 78
        assert "model.engine: expected one of litert, keras, stub; found 'tensorflow'" in ended.stderr

    def test_a_bundle_that_is_not_there_is_one_line(self, emwatch: Run, folder: Path) -> None:
        ended = emwatch("classify", "--bundle", folder / "none", folder / "b.tif")

        assert (ended.returncode, ended.stdout) == (1, "")
        assert ended.stderr.startswith(f"error: {folder / 'none'}")
        assert ended.stderr.count("\n") == 1

    def test_the_limits_of_the_configuration_hold(self, emwatch: Run, folder: Path) -> None:
        Image.new("L", (2000, 1500), 90).save(folder / "large.tif")

        ended = emwatch("classify", "--engine", "stub", "--json", folder / "large.tif", EMWATCH_WATCH_MAX_FRAME_MB="2")

        assert ended.returncode == 4
        assert json.loads(ended.stdout)["error"]["code"] == "too-large"
