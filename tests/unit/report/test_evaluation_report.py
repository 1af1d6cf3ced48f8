"""Slow, because the extra "report" is installed only where slow tests run."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from emwatch.errors import ConfigError
from emwatch.frame import CATEGORIES, Prediction
from emwatch.report.evaluation import check_extra, write_report
from emwatch.train.dataset.labelled import LabelledFrame
from emwatch.train.evaluate.evaluate import JudgedFrame, Judgement, evaluation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert('x')</script> & \"co\""
HISTORY = {
    "epoch": [1, 2, 3],
    "loss": [2.0, 1.5, 1.0],
    "accuracy": [0.3, 0.4, 0.6],
    "val_loss": [2.1, 1.7, 1.4],
    "val_accuracy": [0.2, 0.4, 0.5],
    "phase": ["warm-up", "warm-up", "fine-tuning"],
}


@pytest.fixture(name="judged")
def _judged(tmp_path: Path) -> list[JudgedFrame]:
    random = np.random.default_rng(0)
    found = []
    for number in range(60):
        path = tmp_path / f"{number}.png"
        Image.fromarray(random.integers(0, 256, (60, 80), dtype=np.uint8)).save(path)
        category = number % 10
        taken_for = category if number % 3 else (category + 1) % 10
        probability = float(random.uniform(0.3, 0.95))
        scores = dict.fromkeys(CATEGORIES, (1 - probability) / 9) | {CATEGORIES[taken_for]: probability}
        said = Prediction(CATEGORIES[taken_for], probability, scores, probability < 0.4, 0.1, "0" * 64, novelty=0.5)
        frame = LabelledFrame(
            path, category, HOSTILE if number < 30 else f"lab {number}", instrument="=cmd|' /C calc'!A0"
        )
        found.append(JudgedFrame(frame, said, "1" * 64, "", 1000.0 if number % 2 else None))
    return found


def _written(
    folder: Path, judged: Sequence[JudgedFrame], history: dict[str, list[Any]] | None = None
) -> tuple[list[Path], dict[str, Any]]:
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    document = {
        "bundle": {"name": HOSTILE, "sha256": "a" * 64, "directory": "/bundle"},
        "dataset": "/data/" + HOSTILE.replace("/", "_"),
        "part": "test",
        "made_at": "2026-01-02T03:04+00:00",
        **evaluation(Judgement(list(judged), [(judged[0].frame, f"{HOSTILE}: broken")]), {}),
        "history": history,
    }
    return write_report(folder, document, judged, history), document


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_needs_nothing_from_elsewhere_and_obeys_no_name(tmp_path: Path, judged: list[JudgedFrame]) -> None:
    files, document = _written(tmp_path / "out", judged, HISTORY)
    page = _Page()
    text = files[0].read_text(encoding="utf-8")
    page.feed(text)

    assert "script" not in page.tags
    assert page.tags.count("img") == 4
    assert all(source.startswith("data:image/") for source in page.sources)
    assert re.search(r"https?://", text) is None
    shown = " ".join(page.text)
    assert HOSTILE in shown
    assert f"{document['headline']['accuracy']['value'] * 100:.1f} %" in shown
    assert "1 file could not be read" in shown


def test_every_picture_and_table_stands_beside_it(tmp_path: Path, judged: list[JudgedFrame]) -> None:
    files, document = _written(tmp_path / "out", judged, HISTORY)

    assert (
        {file.name for file in files}
        == {
            "report.html",
            "evaluation.json",
            "predictions.tsv",
            "confusion.png",
            "confusion-normalised.png",
            "reliability.png",
            "coverage.png",
            "history.png",
            "mistakes.png",
        }
        == {path.name for path in (tmp_path / "out").iterdir()}
    )
    for picture in (tmp_path / "out").glob("*.png"):
        with Image.open(picture) as image:
            assert image.width > 500
            assert len(image.convert("RGB").getcolors(1 << 24) or []) > 20
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text()) == json.loads(json.dumps(document))
    with (tmp_path / "out" / "predictions.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == 60
    assert sum(row["category"] == row["taken_for"] for row in rows) == 40
    assert sum(float(rows[0][f"p_{name}"]) for name in CATEGORIES) == pytest.approx(1, abs=0.001)


def test_without_history_and_without_mistakes_their_sections_are_left_out(
    tmp_path: Path, judged: list[JudgedFrame]
) -> None:
    files, _ = _written(tmp_path / "out", [each for each in judged if each.right])
    text = files[0].read_text(encoding="utf-8")

    assert "Worst mistakes" not in text
    assert "<h2>Training</h2>" not in text
    assert not (tmp_path / "out" / "mistakes.png").exists()


def test_the_same_evaluation_is_the_same_report(tmp_path: Path, judged: list[JudgedFrame]) -> None:
    first, _ = _written(tmp_path / "one", judged, HISTORY)
    second, _ = _written(tmp_path / "two", judged, HISTORY)

    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_a_missing_extra_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # noqa: ARG005 - the same signature
    with pytest.raises(ConfigError, match=r"pip install 'emwatch\[report\]', or go without --out"):
        check_extra()
