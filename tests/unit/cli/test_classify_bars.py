"""``emwatch classify``: categories wait for no data bar unless that is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from emwatch.cli.main import cli
from emwatch.simulate.microscope import Microscope, WriteMode

if TYPE_CHECKING:
    from conftest import Bars


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A frame whose file says everything, and one whose file says nothing."""
    folder = tmp_path_factory.mktemp("frames")
    for vendor in ("hitachi", "generic"):
        list(Microscope(folder / vendor, 1, rate=0, mode=WriteMode.PLAIN, vendor=vendor, seed=2).run())
    return folder


def _classify(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["classify", "--engine", "stub", *map(str, arguments)])


def _magnifications(result: Result) -> dict[str, float | None]:
    return {Path(each["path"]).parent.name: each["metadata"]["magnification"] for each in json.loads(result.stdout)}


def test_asked_for_they_fill_what_files_do_not_say(bars: type[Bars], folder: Path) -> None:
    found = _magnifications(_classify("--json", "--data-bar", folder))
    table = _classify("--data-bar", folder).stdout

    assert bars.asked == ["generic", "generic"]
    assert found["generic"] == 1234.0
    assert found["hitachi"] not in {None, 1234.0}
    assert "1,234" in table


def test_a_bar_changes_no_category(bars: type[Bars], folder: Path) -> None:
    said = [json.loads(_classify("--json", each, folder).stdout) for each in ("--data-bar", "--no-data-bar")]
    with_bars, without = ([(each["category"], each["scores"]) for each in documents] for documents in said)

    assert bars.asked
    assert with_bars == without


def test_by_default_none_is_read_and_a_note_says_so(bars: type[Bars], folder: Path) -> None:
    result = _classify("--json", folder)

    assert (bars.asked, _magnifications(result)["generic"]) == ([], None)
    assert "note: 1 frame lacks values" in result.stderr
    assert "--data-bar reads it" in result.stderr


@pytest.mark.parametrize("option", ["--no-data-bar", "-q"])
def test_who_does_not_want_it_is_not_told(bars: type[Bars], folder: Path, option: str) -> None:
    assert _classify("--json", option, folder).stderr == ""
    assert bars.asked == []


def test_without_the_extra_the_note_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emwatch.readers.data_bar.ocr.is_installed", lambda: False)

    assert "needs pip install 'emwatch[ocr]' and --data-bar" in _classify("--json", folder).stderr
    assert _classify("--data-bar", folder).exit_code == 78
