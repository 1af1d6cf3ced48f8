"""Each condition of a target: which frame meets it, and the sentence that says why or why not."""

from __future__ import annotations

import pickle
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from emwatch.frame import Candidate, Match
from emwatch.targets.rules import Condition, explain, match_targets
from emwatch.testing import make_candidate, make_metadata, make_prediction, make_target

ZURICH = {"timezone": "Europe/Zurich"}
NIGHT = {"hours": ("22:00-06:00",), **ZURICH}
EARLY = {"hours": ("02:00-03:00",), **ZURICH}


def wires(probability: float = 0.93, *, uncertain: bool = False, **numbers: float | None) -> Candidate:
    """Return a frame of nanowires with these numbers."""
    return make_candidate(make_prediction("Nanowires", probability, uncertain=uncertain), **numbers)


def at(moment: str) -> Candidate:
    """Return a frame that was written at a moment."""
    return make_candidate(written_at=datetime.fromisoformat(moment))


def named(path: str) -> Candidate:
    """Return a frame of this path."""
    return make_candidate(path=path)


TIPS = make_candidate(make_prediction("Tips", 0.6))
SURE = {"category": "Nanowires", "min_probability": 0.8}
APART = {"category": ("Nanowires", "Tips"), "min_probability": {"Nanowires": 0.95, "Tips": 0.55}}
CLOSE = {"magnification": {"min": 10_000.0, "max": 50_000.0}}
TILTED = {"stage_tilt_deg": {"min": 40.0}}


@pytest.mark.parametrize(
    ("asks", "frame", "met", "sentence"),
    [
        # category and probability
        ({}, wires(), True, "any frame (Nanowires 0.93)"),
        ({}, wires(uncertain=True), True, "any frame (uncertain, Nanowires 0.93)"),
        (SURE, wires(), True, "Nanowires 0.93 >= 0.80"),
        (SURE, wires(0.8), True, "Nanowires 0.80 >= 0.80"),
        (SURE, wires(0.8004), True, "Nanowires 0.8004 >= 0.8000"),
        (SURE, wires(0.79), False, "Nanowires 0.79 < 0.80"),
        (SURE, wires(0.79996), False, "Nanowires 0.79996 < 0.80000"),
        (SURE, wires(uncertain=True), False, "uncertain, Nanowires 0.93: the model is not sure"),
        (SURE, TIPS, False, "Tips 0.60 is not Nanowires"),
        ({"category": ("Powder", "Fibres")}, TIPS, False, "Tips 0.60 is not Powder or Fibres"),
        ({"category": ("Tips", "Nanowires"), "min_probability": 0.5}, TIPS, True, "Tips 0.60 >= 0.50"),
        ({"min_probability": 0.9}, wires(), True, "Nanowires 0.93 >= 0.90"),
        ({"min_probability": 0.9}, TIPS, False, "Tips 0.60 < 0.90"),
        ({"min_probability": 0.9}, wires(uncertain=True), False, "uncertain, Nanowires 0.93: the model is not sure"),
        # a probability for each category
        (APART, wires(0.96), True, "Nanowires 0.96 >= 0.95"),
        (APART, wires(0.93), False, "Nanowires 0.93 < 0.95"),
        (APART, TIPS, True, "Tips 0.60 >= 0.55"),
        ({"min_probability": {"Tips": 0.5}}, TIPS, True, "Tips 0.60 >= 0.50"),
        ({"min_probability": {"Tips": 0.5}}, wires(0.79), False, "Nanowires 0.79 < 0.80"),
        ({"min_probability": {"Tips": 0.5}}, wires(), True, "Nanowires 0.93 >= 0.80"),
        ({"min_probability": {"Tips": 0.0}}, make_candidate(make_prediction("Tips", 0.2)), True, "Tips 0.20 >= 0.00"),
        # margin
        ({"min_margin": 0.2}, wires(0.91), True, "margin 0.90 >= 0.20"),
        ({"min_margin": 0.95}, wires(0.91), False, "margin 0.90 < 0.95"),
        ({"min_margin": 0.9}, wires(0.9099), False, "margin 0.8999 < 0.9000"),
        ({"min_margin": 0.2}, wires(0.91, uncertain=True), False, "margin 0.90: the model is not sure"),
        # windows
        (CLOSE, wires(magnification=25_000.0), True, "magnification 25,000x within 10,000..50,000"),
        (CLOSE, wires(magnification=10_000.0), True, "magnification 10,000x within 10,000..50,000"),
        (CLOSE, wires(magnification=50_000.0), True, "magnification 50,000x within 10,000..50,000"),
        (CLOSE, wires(magnification=50_001.0), False, "magnification 50,001x outside 10,000..50,000"),
        (CLOSE, wires(magnification=9_999.0), False, "magnification 9,999x outside 10,000..50,000"),
        (CLOSE, wires(), False, "magnification unknown, wanted 10,000..50,000"),
        (CLOSE, wires(magnification=None), False, "magnification unknown, wanted 10,000..50,000"),
        (CLOSE, wires(magnification=float("nan")), False, "magnification unknown, wanted 10,000..50,000"),
        (CLOSE, wires(magnification=float("inf")), False, "magnification unknown, wanted 10,000..50,000"),
        (TILTED, wires(stage_tilt_deg=52.0), True, "stage tilt 52° within 40.."),
        ({"stage_tilt_deg": {"max": 1.0}}, wires(stage_tilt_deg=-8.9e-05), True, "stage tilt 0° within ..1"),
        (TILTED, wires(stage_tilt_deg=52.25), True, "stage tilt 52.25° within 40.."),
        (TILTED, wires(stage_tilt_deg=39.99), False, "stage tilt 39.99° outside 40.."),
        ({"stage_tilt_deg": {"max": 1.0}}, wires(stage_tilt_deg=-0.5), True, "stage tilt -0.5° within ..1"),
        (
            {"working_distance_mm": {"min": 2.0, "max": 5.5}},
            wires(working_distance_mm=4.25),
            True,
            "working distance 4.25 mm within 2..5.5",
        ),
        (
            {"working_distance_mm": {"min": 2.0, "max": 5.5}},
            wires(working_distance_mm=5.6),
            False,
            "working distance 5.6 mm outside 2..5.5",
        ),
        ({"working_distance_mm": {"max": 5.5}}, wires(), False, "working distance unknown, wanted ..5.5"),
        (
            {"accelerating_voltage_kv": {"max": 5.0}},
            wires(accelerating_voltage_kv=5.0),
            True,
            "voltage 5 kV within ..5",
        ),
        (
            {"accelerating_voltage_kv": {"max": 5.0}},
            wires(accelerating_voltage_kv=15.0),
            False,
            "voltage 15 kV outside ..5",
        ),
        ({"accelerating_voltage_kv": {"max": 5.0}}, wires(), False, "voltage unknown, wanted ..5"),
        ({"pixel_size_nm": {"max": 2.5}}, wires(pixel_size_nm=1.25), True, "pixel size 1.25 nm within ..2.5"),
        ({"pixel_size_nm": {"max": 2.5}}, wires(pixel_size_nm=12.0), False, "pixel size 12 nm outside ..2.5"),
        (
            {"horizontal_field_width_um": {"min": 1.0, "max": 3.0}},
            wires(horizontal_field_width_um=2.0),
            True,
            "field width 2 µm within 1..3",
        ),
        (
            {"horizontal_field_width_um": {"min": 1.0, "max": 3.0}},
            wires(horizontal_field_width_um=300.0),
            False,
            "field width 300 µm outside 1..3",
        ),
        # path
        ({"path": "*.tif"}, named("/acq/w7/A1.TIF"), True, "path fits *.tif"),
        ({"path": "*.png"}, named("/acq/w7/a1.tif"), False, "path fits none of *.png"),
        ({"path": "w7/*"}, named("/acq/W7/a1.tif"), True, "path fits w7/*"),
        ({"path": "GRÖSSE/*"}, named("/acq/gro\u0308\u00dfe/a1.tif"), True, "path fits GRÖSSE/*"),
        ({"path": "scan[1].tif"}, named("/acq/scan[1].tif"), True, "path fits scan[1].tif"),
        ({"path": "w7/*"}, named("/acq/w70/a1.tif"), False, "path fits none of w7/*"),
        ({"path": "w7/*"}, named("/acq/new7/a1.tif"), False, "path fits none of w7/*"),
        ({"path": "w7/*"}, named("/acq/w7/left/a1.tif"), True, "path fits w7/*"),
        ({"path": "/acq/*/a1.*"}, named("/acq/w7/a1.tif"), True, "path fits /acq/*/a1.*"),
        ({"path": "w7"}, named("/acq/w7/a1.tif"), False, "path fits none of w7"),
        ({"path": ("x*", "a?.tif")}, named("/acq/w7/a1.tif"), True, "path fits a?.tif"),
        ({"path": ("x*", "y*")}, named("/acq/w7/a1.tif"), False, "path fits none of x*, y*"),
        # hours by the clock on the wall, over midnight and in the nights in which the clock changes
        (NIGHT, at("2026-06-01T20:00:00+00:00"), True, "written at 22:00, within 22:00-06:00"),
        (NIGHT, at("2026-06-01T19:59:59+00:00"), False, "written at 21:59, outside 22:00-06:00"),
        (NIGHT, at("2026-06-02T03:59:00+00:00"), True, "written at 05:59, within 22:00-06:00"),
        (NIGHT, at("2026-06-02T04:00:00+00:00"), False, "written at 06:00, outside 22:00-06:00"),
        (NIGHT, at("2026-01-02T04:59:00+00:00"), True, "written at 05:59, within 22:00-06:00"),
        (NIGHT, at("2026-01-02T05:00:00+00:00"), False, "written at 06:00, outside 22:00-06:00"),
        (EARLY, at("2026-03-29T00:59:00+00:00"), False, "written at 01:59, outside 02:00-03:00"),
        (EARLY, at("2026-03-29T01:00:00+00:00"), False, "written at 03:00, outside 02:00-03:00"),
        (EARLY, at("2026-10-25T00:30:00+00:00"), True, "written at 02:30, within 02:00-03:00"),
        (EARLY, at("2026-10-25T01:30:00+00:00"), True, "written at 02:30, within 02:00-03:00"),
        (EARLY, at("2026-10-25T02:00:00+00:00"), False, "written at 03:00, outside 02:00-03:00"),
        (
            {"hours": ("08:00-12:00", "13:00-18:00"), **ZURICH},
            at("2026-06-01T12:30:00+02:00"),
            False,
            "written at 12:30, outside 08:00-12:00 or 13:00-18:00",
        ),
        (
            {"hours": ("08:00-12:00", "13:00-18:00"), **ZURICH},
            at("2026-06-01T13:00:00+02:00"),
            True,
            "written at 13:00",
        ),
        (NIGHT, Candidate(make_prediction(), make_metadata(), Path("/a"), None), False, "time of writing unknown"),
        # what was learned
        ({"learned": "rods"}, wires(), False, "no learned target is called 'rods'"),
    ],
)
def test_a_condition(asks: dict[str, Any], frame: Candidate, met: bool, sentence: str) -> None:
    target = make_target("t", **asks)

    *_, last = explain(target, frame)

    assert (last.met, last.sentence[: len(sentence)]) == (met, sentence)
    assert bool(match_targets([target], frame)) == met


def test_a_match_gives_all_its_reasons() -> None:
    target = make_target("close", "Nanowires", 0.8, **CLOSE, path="*.tif")

    assert match_targets([target], wires(magnification=25_000.0)) == (
        Match(
            "close",
            "Nanowires 0.93 >= 0.80, magnification 25,000x within 10,000..50,000, path fits *.tif",
            ("terminal",),
        ),
    )


def test_matches_come_in_the_order_of_the_targets_with_their_own_channels() -> None:
    loud = make_target("loud", "Nanowires", alerts=("terminal", "lamp"))
    targets = [loud, make_target("tilted", **TILTED), make_target("wires", **SURE)]

    actual = [(each.target, each.channels) for each in match_targets(targets, wires())]

    assert actual == [("loud", ("terminal", "lamp")), ("wires", ("terminal",))]


def test_every_condition_is_explained_even_after_one_is_missed() -> None:
    target = make_target("close-up", "Nanowires", 0.8, **CLOSE)
    frame = make_candidate(make_prediction("Tips", 0.93), magnification=20_000.0)

    assert explain(target, frame) == [
        Condition("category", False, "Tips 0.93 is not Nanowires"),
        Condition("magnification", True, "magnification 20,000x within 10,000..50,000"),
    ]


@pytest.mark.parametrize(
    ("earlier", "met", "sentence"),
    [
        ([], False, "1 of the last 4 frames < 3"),
        ([0.9, 0.9], True, "3 of the last 4 frames >= 3"),
        ([0.9, 0.9, 0.1, 0.1], False, "2 of the last 4 frames < 3"),
        ([0.1, 0.9, 0.1, 0.9], True, "3 of the last 4 frames >= 3"),
        ([0.9, 0.9, 0.9, 0.9], True, "4 of the last 4 frames >= 3"),
    ],
)
def test_several_of_the_last_frames(earlier: list[float], met: bool, sentence: str) -> None:
    target = make_target("often", **SURE, of_last={"at_least": 3, "frames": 4})

    *_, last = explain(target, wires(), [wires(each) for each in earlier])

    assert last == Condition("of_last", met, sentence)


def test_targets_and_matches_go_to_worker_processes_and_back() -> None:
    target = pickle.loads(pickle.dumps(make_target("often", **SURE, of_last={"at_least": 2, "frames": 3})))

    (match,) = pickle.loads(pickle.dumps(match_targets([target], wires())))

    assert match.among is not None
    assert match.among.match(wires()) == match
    assert match.among.match(TIPS) is None
    assert target.without_alerts().asks.alerts == ()
