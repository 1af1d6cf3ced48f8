"""``emwatch report``: the numbers are those of ``emwatch log``, the page opens offline, and no name breaks it."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from emwatch.cli.main import cli
from emwatch.frame import Review, ReviewVerdict
from emwatch.ledger.entries import Note
from emwatch.ledger.writer import Ledger
from emwatch.testing import NOON, make_failure, make_metadata, make_outcome, make_prediction, make_stat_key

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

HOSTILE = "<script>alert('x')</script>\x1b[31m.tif"
SECRET = "hunter2-hunter2-hunter2"


@pytest.fixture(name="lab")
def _lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A session of forty frames in four hours with a pause, and two frames of the day before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "lab.yaml").write_text(
        "watch: {directory: frames}\nledger: {path: ledger.sqlite3}\n"
        f"alerts: {{hook: {{kind: webhook, url: 'https://lab.example/{SECRET}'}}}}\n"
        "targets: [{name: tips, category: Tips, alerts: [hook]}]\n"
    )
    at = make_metadata(
        "Zeiss",
        stage_x_mm=1.0,
        stage_y_mm=2.0,
        horizontal_field_width_um=100.0,
        operator=HOSTILE,
        magnification=1e4,
        stage_tilt_deg=-8.9e-05,
        working_distance_mm=7.123456789,
        accelerating_voltage_kv=5.0,
    )
    with Ledger(tmp_path / "ledger.sqlite3") as ledger:
        for number in range(2):
            ledger.record(
                make_outcome(f"/acq/old{number}.tif", f"old{number}", written_at=NOON - timedelta(days=1)), NOON
            )
        for number in range(40):
            written = NOON + timedelta(minutes=2 * number + (60 if number > 20 else 0))
            said = make_prediction("Tips" if number % 2 else "Fibres", 0.8, uncertain=number % 5 == 0)
            hit = ("tips",) if number % 4 == 1 else ()
            name = HOSTILE if number == 1 else f"{number}.tif"
            made = make_outcome(
                f"/acq/{name}",
                str(number),
                written_at=written,
                metadata=at,
                prediction=said,
                targets=hit,
                channels=("hook",),
            )
            ledger.record(made, written)
        broken = make_failure("/acq/broken.tif", "x")
        ledger.record(replace(broken, stat_key=make_stat_key(NOON)), NOON)
        ledger.record(make_outcome("/acq/copy.tif", "3", written_at=NOON, metadata=at), NOON)
        ledger.enter(Note("new filament", "Ana", NOON, session_id=2))
        ledger.enter(Note("look again", "Ana", NOON, frame_id=4))
        ledger.add_reviews([Review(3, ReviewVerdict.CONFIRM, "Fibres", "Ana", NOON)])
        alert = ledger.due_alerts("hook", NOON + timedelta(hours=9), 1)[0]
        ledger.alert_delivered(alert.id, NOON + timedelta(seconds=90))
    return tmp_path


def run(lab: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--config", str(lab / "lab.yaml")], catch_exceptions=False)


def document(lab: Path) -> dict:
    ended = run(lab, "report", "last", "--json")
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def test_each_number_is_that_of_the_log(lab: Path) -> None:
    made = document(lab)
    number = str(made["session"]["id"])
    for name, filters in (
        ("frames", ()),
        ("failed", ("--failed",)),
        ("hits", ("--hits",)),
        ("uncertain", ("--uncertain",)),
        ("reviewed", ("--reviewed",)),
        ("alerted", ("--alerted",)),
    ):
        counted = run(lab, "log", "--count", "--session", number, *filters)
        assert made["counts"][name] == int(counted.stdout), name
    assert made["counts"]["frames"] == 42
    for each in made["categories"]:
        counted = run(lab, "log", "--count", "--session", number, "--category", each["name"])
        assert each["frames"] == int(counted.stdout)
    assert sum(sum(each["frames"].values()) for each in made["timeline"]) == 42
    assert len(made["hits"]) == made["counts"]["hits"] == 10


@pytest.mark.slow
def test_numbers_are_written_for_people(lab: Path) -> None:
    pytest.importorskip("jinja2", reason="needs the report extra")
    assert run(lab, "report", "last", "--out", str(lab / "report.html")).exit_code == 0
    page = (lab / "report.html").read_text(encoding="utf-8")

    assert "Magnification 10,000x to 10,000x; " in page
    assert "5 to 5 kV; working distance 7.1235 to 7.1235 mm; tilt 0.0° to 0.0°" in page


def test_it_tells_alerts_pauses_failures_and_reviews(lab: Path) -> None:
    made = document(lab)
    (channel,) = made["alerts"]
    assert (channel["channel"], channel["delivered"], channel["pending"]) == ("hook", 1, 9)
    (gap,) = made["gaps"]
    assert gap["seconds"] == 62 * 60
    assert made["failures"]["by_code"] == {"truncated": 1}
    assert [(each["verdict"], each["reviewed_by"]) for each in made["reviews"]] == [("confirm", "Ana")]
    assert [each["text"] for each in (*made["session"]["notes"], *made["notes"])] == ["new filament", "look again"]
    assert made["models"][0]["frames"] == 41
    assert SECRET not in json.dumps(made)


def test_the_page_needs_nothing_from_elsewhere_and_no_name_breaks_it(lab: Path) -> None:
    pytest.importorskip("jinja2")
    out = lab / "report.html"
    ended = run(lab, "report", "--out", str(out))
    assert ended.exit_code == 0, ended.output
    page = out.read_text("utf-8")
    assert "<script" not in page
    assert "\x1b" not in page
    assert SECRET not in page
    assert not re.findall(r"(?:src|href)\s*=\s*[\"']?(?!data:)", page)
    assert "Frames over time" in page
    assert "Stage map" in page


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nosuch", "--json"), 3, "there is no session 'nosuch'; emwatch session list shows them"),
        (("--out", "{lab}/report.txt"), 2, "the name must end in .html or .json"),
        (("--out", "{lab}/frames/report.html"), 78, "lies in the watched directory"),
    ],
)
def test_what_cannot_be_reported_is_said(lab: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    (lab / "frames").mkdir()
    ended = run(lab, "report", *(each.format(lab=lab) for each in arguments))
    assert said in ended.output
    assert ended.exit_code == code


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "the report needs jinja2: pip install 'emwatch[report]', or use --json"),
        (["--post", "elog", "--notebook-url", "http://127.0.0.1:1/SEM/"], "jinja2: pip install 'emwatch[notebook]'\n"),
    ],
)
def test_the_extra_that_is_missing_is_named(
    lab: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # noqa: ARG005 - the same signature
    ended = run(lab, "report", *arguments)
    assert ended.exit_code == 78
    assert told in ended.stderr
