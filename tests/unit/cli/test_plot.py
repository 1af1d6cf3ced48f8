"""``emwatch plot``: bars whose numbers add up to those of the log, on 80 columns and as pictures."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from emwatch.cli.main import cli
from emwatch.ledger.writer import Ledger
from emwatch.testing import NOON, make_failure, make_metadata, make_outcome, make_prediction

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture(name="lab")
def _lab(tmp_path: Path) -> Path:
    (tmp_path / "lab.yaml").write_text("watch: {directory: frames}\nledger: {path: ledger.sqlite3}\n")
    with Ledger(tmp_path / "ledger.sqlite3") as ledger:
        for number in range(30):
            written = NOON + timedelta(minutes=10 * number)
            said = make_prediction("Tips" if number % 3 else "Nanowires", 0.55 + number / 100, uncertain=number < 5)
            known = make_metadata(magnification=100.0 * 2**number) if number < 10 else make_metadata()
            made = make_outcome(f"/acq/{number}.tif", str(number), written_at=written, prediction=said, metadata=known)
            ledger.record(made, written + timedelta(seconds=0.7))
        ledger.record(make_failure("/acq/broken.tif"), NOON)
    return tmp_path


def run(lab: Path, *arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(cli, ["plot", *arguments, "--config", str(lab / "lab.yaml")])


@pytest.mark.parametrize(
    ("kind", "count", "bar"),
    [
        ("categories", 30, "12:00 3 NNN"),
        ("confidence", 30, "0.5  5 "),
        ("magnification", 10, " 100x 1 N"),
        ("latency", 30, "  < 1 s 30 ####"),
    ],
)
def test_the_bars_add_up_and_fit_80_columns_and_24_lines(
    lab: Path, monkeypatch: pytest.MonkeyPatch, kind: str, count: int, bar: str
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    ended = run(lab, kind)
    assert ended.exit_code == 0, ended.output
    lines = ended.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 22
    bars = [each.split() for each in lines[1:] if any(part.isdecimal() for part in each.split())]
    numbers = [next(int(part) for part in reversed(each) if part.isdecimal()) for each in bars]
    assert sum(numbers) == count
    assert bar.strip() in ended.stdout
    assert ("left out, not known: 20 frames" in ended.stderr) == (kind == "magnification")


def test_filters_are_those_of_the_log(lab: Path) -> None:
    ended = run(lab, "confidence", "--category", "Nanowires", "--uncertain")
    assert "? uncertain" in ended.stdout
    assert "certain  ?" not in ended.stdout
    assert run(lab, "--category", "Powder").exit_code == 3
    assert run(lab, "--where", "nonsense!").exit_code == 2


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_a_picture_is_written(lab: Path, suffix: str, start: bytes) -> None:
    pytest.importorskip("matplotlib", reason="needs the report extra")
    out = lab / f"plot.{suffix}"
    ended = run(lab, "categories", "--out", str(out))
    assert ended.exit_code == 0, ended.output
    assert out.read_bytes().startswith(start)


def test_another_format_is_refused(lab: Path) -> None:
    ended = run(lab, "--out", str(lab / "plot.pdf"))
    assert ended.exit_code == 2
    assert "the name must end in .png or .svg" in ended.output
