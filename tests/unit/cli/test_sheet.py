"""``emwatch sheet``: pictures of real files, with scale bars that are measured."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from emwatch.cli.main import cli
from emwatch.ledger.writer import Ledger
from emwatch.testing import NOON, make_metadata, make_outcome, make_reading, make_stat_key

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

SIDE = 256


@pytest.fixture(name="lab")
def _lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two frames of known pixel size, 10 nm and 25 nm, one of unknown size, and one whose file is gone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "lab.yaml").write_text("watch: {directory: frames}\nledger: {path: ledger.sqlite3}\n")
    folder = tmp_path / "frames"
    folder.mkdir()
    random = np.random.default_rng(0)
    with Ledger(tmp_path / "ledger.sqlite3") as ledger:
        for name, pixel_nm in (("a", 10.0), ("b", 25.0), ("c", None), ("gone", 10.0)):
            path = folder / f"{name}.png"
            Image.fromarray(random.integers(60, 160, (768, 1024), dtype=np.uint8)).save(path)
            metadata = make_metadata(pixel_size_nm=pixel_nm, magnification=1000.0)
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            reading = make_reading(path, sha256=sha256, metadata=metadata, stat_key=make_stat_key())
            ledger.record(make_outcome(path, reading=reading, sha256=sha256), NOON)
        (folder / "gone.png").unlink()
    return tmp_path


def run(lab: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["sheet", "--config", str(lab / "lab.yaml"), *arguments])


def bar_px(picture: np.ndarray) -> int:
    """Return the longest run of white in a row of a picture, 0 if none is as long as a bar."""
    longest = 0
    for row in (picture.min(axis=2) > 245).astype(int):
        ends = np.flatnonzero(np.diff(np.concatenate(([0], row, [0]))))
        longest = max([longest, *(ends[1::2] - ends[::2])])
    return longest if longest >= 20 else 0


def test_each_scale_bar_is_as_long_as_the_metadata_say(lab: Path) -> None:
    out = lab / "sheet.png"
    ended = run(lab, "--out", str(out), "--columns", "3", "--oldest-first", "--size", str(SIDE))
    assert ended.exit_code == 0, ended.output
    sheet = np.asarray(Image.open(out).convert("RGB"))
    cells = [sheet[8 : 8 + 192, 8 + column * (SIDE + 8) :][:, :SIDE] for column in range(3)]
    # 1024 px of 10 nm on 256 px: 40 nm a pixel, and 2 µm are 50 px. Of 25 nm: 100 nm a pixel, and 5 µm are 50 px.
    assert [bar_px(each) for each in cells] == [pytest.approx(50, abs=1), pytest.approx(50, abs=1), 0]
    assert "4 frames" in ended.stdout
    assert "gone.png" in ended.stderr


def test_a_pdf_has_pages_and_the_limit_is_said(lab: Path) -> None:
    out = lab / "sheet.pdf"
    ended = run(lab, "--out", str(out), "--columns", "1", "--size", "300", "--limit", "3")
    assert ended.exit_code == 0, ended.output
    assert out.read_bytes().startswith(b"%PDF")
    assert out.read_bytes().count(b"/Type /Page\n") == 3
    assert "3 frames of 4; --limit N takes more" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--out", "{lab}/sheet.jpg"), 2, "the name must end in .png or .pdf"),
        (("--out", "{lab}/frames/sheet.png"), 78, "lies in the watched directory"),
        (("--out", "{lab}/sheet.png", "--category", "Tips", "--path", "none"), 3, "nothing found"),
    ],
)
def test_what_cannot_be_printed_is_said(lab: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    ended = run(lab, *(each.format(lab=lab) for each in arguments))
    assert said in ended.output
    assert ended.exit_code == code
