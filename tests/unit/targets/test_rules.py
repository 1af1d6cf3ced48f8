from __future__ import annotations

import pytest

from emwatch.frame import AcquisitionMetadata, Match, Prediction, Target, Window
from emwatch.targets.rules import Condition, explain, match_targets
from emwatch.testing import make_metadata, make_prediction


def prediction(category: str = "Nanowires", probability: float = 0.93, *, uncertain: bool = False) -> Prediction:
    return make_prediction(category, probability, uncertain=uncertain)


WIRES = Target("wires", ("Nanowires",), 0.8)
CLOSE_UP = Target("close-up", ("Nanowires",), 0.8, magnification=Window(10_000, 50_000))
TILTED = Target("tilted", stage_tilt_deg=Window(low=40))
ANYTHING = Target("anything")
SURE = Target("sure", min_probability=0.9)
TWO = Target("two", ("Tips", "Nanowires"), 0.5)


@pytest.mark.parametrize(
    ("target", "said", "known", "expected"),
    [
        (WIRES, prediction(), make_metadata(), "Nanowires 0.93 >= 0.80"),
        (WIRES, prediction(probability=0.8), make_metadata(), "Nanowires 0.80 >= 0.80"),
        (WIRES, prediction(probability=0.8004), make_metadata(), "Nanowires 0.8004 >= 0.8000"),
        (TWO, prediction("Tips", 0.6), make_metadata(), "Tips 0.60 >= 0.50"),
        (
            CLOSE_UP,
            prediction(),
            make_metadata(magnification=25_000.0),
            "Nanowires 0.93 >= 0.80, magnification 25,000x within 10,000..50,000",
        ),
        (
            CLOSE_UP,
            prediction(),
            make_metadata(magnification=10_000.0),
            "Nanowires 0.93 >= 0.80, magnification 10,000x within 10,000..50,000",
        ),
        (
            TILTED,
            prediction(),
            make_metadata(stage_tilt_deg=52.0),
            "any frame (Nanowires 0.93), stage tilt 52° within 40..",
        ),
        (
            TILTED,
            prediction(uncertain=True),
            make_metadata(stage_tilt_deg=52.25),
            "any frame (uncertain, Nanowires 0.93), stage tilt 52.25° within 40..",
        ),
        (ANYTHING, prediction(), make_metadata(), "any frame (Nanowires 0.93)"),
        (SURE, prediction("Tips", 0.95), make_metadata(), "Tips 0.95 >= 0.90"),
    ],
)
def test_a_frame_that_meets_every_condition_is_a_match_with_its_reason(
    target: Target, said: Prediction, known: AcquisitionMetadata, expected: str
) -> None:
    actual = match_targets([target], said, known)

    assert (Match(target.name, expected, target.channels),) == actual


@pytest.mark.parametrize(
    ("target", "said", "known", "expected"),
    [
        (WIRES, prediction("Tips"), make_metadata(), "Tips 0.93 is not Nanowires"),
        (WIRES, prediction(probability=0.79), make_metadata(), "Nanowires 0.79 < 0.80"),
        (WIRES, prediction(probability=0.79996), make_metadata(), "Nanowires 0.79996 < 0.80000"),
        (WIRES, prediction(uncertain=True), make_metadata(), "uncertain, Nanowires 0.93: the model is not sure"),
        (SURE, prediction(uncertain=True), make_metadata(), "uncertain, Nanowires 0.93: the model is not sure"),
        (CLOSE_UP, prediction(), make_metadata(), "magnification unknown, wanted 10,000..50,000"),
        (CLOSE_UP, prediction(), make_metadata(magnification=None), "magnification unknown, wanted 10,000..50,000"),
        (
            CLOSE_UP,
            prediction(),
            make_metadata(magnification=50_001.0),
            "magnification 50,001x outside 10,000..50,000",
        ),
        (
            Target("open", magnification=Window()),
            prediction(),
            make_metadata(magnification=float("nan")),
            "magnification unknown, wanted any value",
        ),
        (TILTED, prediction(), make_metadata(stage_tilt_deg=39.99), "stage tilt 39.99° outside 40.."),
        (
            Target("flat", stage_tilt_deg=Window(high=1)),
            prediction(),
            make_metadata(stage_tilt_deg=-0.5),
            None,
        ),
    ],
)
def test_a_frame_that_misses_a_condition_is_no_match_and_the_sentence_says_why(
    target: Target, said: Prediction, known: AcquisitionMetadata, expected: str | None
) -> None:
    missed = [each.sentence for each in explain(target, said, known) if not each.met]

    assert ([] if expected is None else [expected]) == missed
    assert (expected is None) == bool(match_targets([target], said, known))


def test_matches_come_in_the_order_of_the_targets_with_their_own_channels() -> None:
    loud = Target("loud", ("Nanowires",), channels=("terminal", "lamp"))

    actual = [
        (each.target, each.channels) for each in match_targets([loud, TILTED, WIRES], prediction(), make_metadata())
    ]

    assert actual == [("loud", ("terminal", "lamp")), ("wires", ("terminal",))]


def test_every_condition_is_explained_even_after_one_is_missed() -> None:
    actual = explain(CLOSE_UP, prediction("Tips"), make_metadata(magnification=20_000.0))

    assert [
        Condition("category", False, "Tips 0.93 is not Nanowires"),
        Condition("magnification", True, "magnification 20,000x within 10,000..50,000"),
    ] == actual
