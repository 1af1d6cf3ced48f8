"""``emwatch meta``: archives as CSV, explanations, and what the data bar adds."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from emwatch.cli.main import cli
from emwatch.cli.terminal.frames import GivenFile
from emwatch.frame import FIELDS
from emwatch.simulate.microscope import Microscope

if TYPE_CHECKING:
    from conftest import Bars

Run = Callable[..., Any]


@pytest.fixture(name="archive", scope="module")
def _archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four frames: Zeiss, Thermo Fisher, Hitachi with its text, and one that tells nothing; one more is cut short."""
    folder = tmp_path_factory.mktemp("archive")
    for at, vendor in enumerate(("zeiss", "thermofisher", "hitachi", "generic")):
        each = folder / vendor
        list(Microscope(each, 1, rate=0, vendor=vendor, seed=at, manifest=folder.parent / f"{vendor}.ndjson").run())
    whole = next((folder / "zeiss").glob("*.tif"))
    (folder / "zeiss" / "cut.tif").write_bytes(whole.read_bytes()[:3000])
    return folder


def _meta(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["meta", *map(str, arguments)])


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text)))


class TestCsv:
    def test_every_frame_is_a_row_with_every_field_and_a_failed_one_says_why(self, archive: Path) -> None:
        result = _meta("--csv", "--no-data-bar", archive)
        rows = {f"{Path(row['path']).parent.name}/{Path(row['path']).stem}": row for row in _rows(result.stdout)}
        single = json.loads(_meta("--json", "--no-data-bar", archive / "hitachi" / "frame_0001.tif").stdout)
        hitachi = rows["hitachi/frame_0001"]

        assert result.exit_code == 4
        assert list(rows) == [
            "generic/frame_0001",
            "hitachi/frame_0001",
            "thermofisher/frame_0001",
            "zeiss/cut",
            "zeiss/frame_0001",
        ]
        assert set(FIELDS) <= set(hitachi)
        assert {name: hitachi[name] for name in ("vendor", "sha256", "detector")} == {
            name: single[name] for name in ("vendor", "sha256", "detector")
        }
        assert float(hitachi["magnification"]) == single["magnification"]
        assert rows["generic/frame_0001"]["magnification"] == ""
        assert rows["zeiss/cut"]["error"] == "truncated"
        assert str(archive / "zeiss" / "cut.tif") in rows["zeiss/cut"]["reason"]

    def test_rows_are_written_while_the_next_frames_are_read(
        self, archive: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import emwatch.cli.commands.archive as tested

        written: list[str] = []
        seen: list[int] = []
        files = sorted((archive / "zeiss").glob("frame*.tif")) * 3

        def walk(_paths: object) -> Iterator[GivenFile]:
            for file in files:
                seen.append(len(written))
                yield GivenFile(file)

        monkeypatch.setattr(tested, "walk", walk)
        monkeypatch.setattr(tested._Out, "write", lambda _self, text: written.append(text))
        _meta("--csv", "--no-data-bar", archive)

        assert seen == [1, 1, 2]

    def test_it_goes_with_no_other_shape(self, archive: Path) -> None:
        codes = [_meta("--csv", other, archive).exit_code for other in ("--json", "--raw", "--explain")]

        assert codes == [2, 2, 2]

    def test_a_folder_without_frames_is_nothing_found(self, tmp_path: Path) -> None:
        result = _meta("--csv", tmp_path)

        assert (result.exit_code, len(result.stdout.splitlines())) == (3, 1)

    def test_into_a_pipe_no_progress_is_drawn(self, emwatch: Run, archive: Path) -> None:
        assert emwatch("meta", "--csv", "--no-data-bar", archive / "hitachi").stderr == ""


class TestExplain:
    def test_every_field_has_a_row_that_says_why_it_is_missing(self, archive: Path) -> None:
        text = _meta("--explain", "--no-data-bar", archive / "zeiss" / "frame_0001.tif").stdout

        assert "recognised by the reader 'zeiss' (Zeiss), from tag 34118" in text
        assert all(f"\n{field.title} " in text for field in FIELDS.values())
        assert "Data bar not read: not asked for" in text

    def test_a_frame_of_nobody_says_so(self, archive: Path) -> None:
        text = _meta("--explain", "--no-data-bar", archive / "generic" / "frame_0001.tif").stdout

        assert "readers recognised the frame" in text
        assert text.count("no metadata in the file") == len(FIELDS)

    def test_json_holds_the_reason_of_every_field(self, archive: Path) -> None:
        file = archive / "generic" / "frame_0001.tif"
        explained = json.loads(_meta("--explain", "--json", "--no-data-bar", file).stdout)["explained"]

        assert set(explained["why"]) == set(FIELDS)
        assert explained["data_bar"] == {"read": False, "reason": "not asked for", "readings": {}}


class TestDataBar:
    def test_it_fills_what_the_file_does_not_state(self, bars: type[Bars], archive: Path) -> None:
        document = json.loads(_meta("--json", archive / "generic" / "frame_0001.tif").stdout)

        assert bars.asked == ["generic"]
        assert document["magnification"] == 1234.0
        assert document["sources"]["magnification"]["source"] == "data bar"

    def test_a_file_that_states_everything_costs_no_time(self, bars: type[Bars], archive: Path) -> None:
        _meta("--json", archive / "hitachi" / "frame_0001.tif")

        assert bars.asked == []

    def test_asked_for_it_checks_the_file_and_changes_nothing(self, bars: type[Bars], archive: Path) -> None:
        file = archive / "zeiss" / "frame_0001.tif"
        plain = json.loads(_meta("--json", "--no-data-bar", file).stdout)
        checked = json.loads(_meta("--json", "--data-bar", file).stdout)

        assert bars.asked == ["zeiss"]
        assert checked["magnification"] == plain["magnification"]
        assert any(flag.startswith("magnification: ") and "1234 in the data bar" in flag for flag in checked["flags"])

    def test_an_explanation_sets_bar_and_file_side_by_side(self, bars: type[Bars], archive: Path) -> None:
        text = _meta("--explain", archive / "zeiss" / "frame_0001.tif").stdout
        row = next(line for line in text.splitlines() if line.startswith("Magnification"))

        assert bars.asked == ["zeiss"]
        assert "1,234" in row
        assert "in the data bar" in row

    def test_the_configured_limits_hold_for_frames_and_bars(
        self, bars: type[Bars], archive: Path, tmp_path: Path
    ) -> None:
        config = tmp_path / "config.yaml"
        config.write_text("watch: {max_frame_mb: 1, read_memory_mb: 4096}\n", encoding="utf-8")
        large = tmp_path / "large.tif"
        Image.fromarray(np.zeros((2000, 1000), np.uint8)).save(large)
        result = _meta("--json", "--config", config, large, archive / "generic" / "frame_0001.tif")

        assert [each.get("error", {}).get("code") for each in json.loads(result.stdout)] == ["too-large", None]
        assert [(each.frame_bytes >> 20, each.memory_bytes >> 20) for each in bars.limits] == [(1, 4096)]

    def test_a_bar_that_cannot_be_read_costs_its_values_only(self, bars: type[Bars], archive: Path) -> None:
        bars.broken = True
        result = _meta("--json", archive / "generic" / "frame_0001.tif")
        document = json.loads(result.stdout)

        assert result.exit_code == 0
        assert document["magnification"] is None
        assert document["flags"][0].startswith("data bar not read: ")

    def test_rows_name_the_fields_that_came_from_it(self, bars: type[Bars], archive: Path) -> None:
        rows = {Path(row["path"]).parent.name: row for row in _rows(_meta("--csv", archive).stdout) if not row["error"]}

        assert bars.asked == ["generic"]
        assert rows["generic"]["from_data_bar"] == "magnification working_distance_mm"
        assert rows["zeiss"]["from_data_bar"] == ""


class TestWithoutTheExtra:
    @pytest.fixture(name="absent", autouse=True)
    def _absent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("emwatch.readers.data_bar.ocr.is_installed", lambda: False)

    def test_one_note_says_what_would_help(self, archive: Path) -> None:
        result = _meta("--json", archive)

        assert result.stderr.count("note: ") == 1
        assert "1 frame lacks values" in result.stderr
        assert "pip install 'emwatch[ocr]'" in result.stderr

    @pytest.mark.parametrize("option", ["--no-data-bar", "-q"])
    def test_who_does_not_want_it_is_not_told(self, archive: Path, option: str) -> None:
        assert "note: " not in _meta("--json", option, archive).stderr

    def test_what_was_asked_for_and_cannot_be_had_is_an_error(self, archive: Path) -> None:
        result = _meta("--data-bar", archive)

        assert result.exit_code == 78
        assert "--data-bar needs the ocr extra" in result.stderr


@pytest.mark.slow
def test_the_real_reader_fills_a_real_frame(real_frames: Path) -> None:
    pytest.importorskip("rapidocr")
    file = next((real_frames / "data_bar_only").glob("RepairingSEMImages__L2_0104*.jpg"))

    document = json.loads(_meta("--json", file).stdout)

    assert (document["magnification"], document["working_distance_mm"]) == (40000.0, 18.0)
