"""``emwatch map`` on a real ledger of real (simulated) frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from emwatch.cli.main import cli
from emwatch.ledger.writer import Ledger
from emwatch.testing import NOON, make_metadata, make_outcome

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture(name="lab")
def _lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "frames").mkdir()
    (tmp_path / "lab.yaml").write_text("watch: {directory: frames}\nledger: {path: ledger.sqlite3}\n")
    at = make_metadata("Zeiss", stage_x_mm=1.0, stage_y_mm=2.0, horizontal_field_width_um=100.0)
    with Ledger(tmp_path / "ledger.sqlite3") as ledger:
        ledger.record(make_outcome("/gone/a.tif", "a", metadata=at, targets=("tips",)), NOON)
        ledger.record(make_outcome("/gone/b.tif", "b"), NOON)
    return tmp_path


def run(lab: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["map", "--config", str(lab / "lab.yaml"), *arguments])


def test_a_map_is_drawn_though_the_files_are_gone(lab: Path) -> None:
    ended = run(lab, "--out", str(lab / "map.html"))
    assert ended.exit_code == 0, ended.output
    assert "1 frame, 1 hit" in ended.stdout
    assert "1 without a stage position" in ended.stderr
    assert "no picture of 1: /gone/a.tif" in ended.stderr
    assert "a.tif" in (lab / "map.html").read_text("utf-8")
    ended = run(lab, "--out", str(lab / "map.svg"), "--target", "tips")
    assert (lab / "map.svg").read_text("utf-8").startswith("<svg ")


def test_the_name_of_a_frame_without_a_picture_steers_no_terminal(lab: Path) -> None:
    at = make_metadata("Zeiss", stage_x_mm=1.0, stage_y_mm=2.0, horizontal_field_width_um=100.0)
    with Ledger(lab / "ledger.sqlite3") as ledger:
        ledger.record(make_outcome("/gone/\x1b]0;owned\x07.tif", "c", metadata=at, targets=("odd",)), NOON)
    ended = run(lab, "--out", str(lab / "map.html"), "--target", "odd")
    assert r"no picture of 1: /gone/\x1b]0;owned\x07.tif" in ended.stderr
    assert "\x1b" not in ended.output


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--out", "{lab}/map.pdf"), 2, "the name must end in .html or .svg"),
        (("--out", "{lab}/frames/map.svg"), 78, "lies in the watched directory"),
        (("--out", "{lab}/map.svg", "--where", "nonsense!"), 2, "'--where'"),
        (("--out", "{lab}/map.svg", "--path", "b.tif"), 3, "no stage position: 1 frame"),
        (("--out", "{lab}/map.svg", "--path", "x"), 3, "nothing found"),
    ],
)
def test_what_cannot_be_drawn_is_said(lab: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    ended = run(lab, *(each.format(lab=lab) for each in arguments))
    assert said in ended.output
    assert ended.exit_code == code, ended.output
    assert not (lab / "frames" / "map.svg").exists()
