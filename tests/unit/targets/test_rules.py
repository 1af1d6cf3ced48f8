from __future__ import annotations

import pytest

from emwatch.frame import CATEGORIES, AcquisitionMetadata, Match, Prediction, Reading, Target, Window
from emwatch.targets.rules import Condition, explain, match_targets


def prediction(category: str = "Nanowires", probability: float = 0.93, *, uncertain: bool = False) -> Prediction:
    scores = dict.fromkeys(CATEGORIES, (1 - probability) / 9) | {category: probability}
    return Prediction(category, probability, scores, uncertain=uncertain, margin=0.5, bundle_sha256="b" * 64)


def metadata(**numbers: float | None) -> AcquisitionMetadata:
    return AcquisitionMetadata("zeiss", {name: Reading(value, str(value), "tag") for name, value in numbers.items()})


WIRES = Target("wires", ("Nanowires",), 0.8)
CLOSE_UP = Target("close-up", ("Nanowires",), 0.8, magnification=Window(10_000, 50_000))
TILTED = Target("tilted", stage_tilt_deg=Window(low=40))
ANYTHING = Target("anything")
SURE = Target("sure", min_probability=0.9)
TWO = Target("two", ("Tips", "Nanowires"), 0.5)


@pytest.mark.parametrize(
    ("target", "said", "known", "expected"),
    [
        (WIRES, prediction(), metadata(), "Nanowires 0.93 >= 0.80"),
        (WIRES, prediction(probability=0.8), metadata(), "Nanowires 0.80 >= 0.80"),
        (WIRES, prediction(probability=0.8004), metadata(), "Nanowires 0.8004 >= 0.8000"),
        (TWO, prediction("Tips", 0.6), metadata(), "Tips 0.60 >= 0.50"),
        (
            CLOSE_UP,
            prediction(),
            metadata(magnification=25_000.0),
            "Nanowires 0.93 >= 0.80, magnification 25,000x within 10,000..50,000",
        ),
        (
            CLOSE_UP,
            prediction(),
            metadata(magnification=10_000.0),
            "Nanowires 0.93 >= 0.80, magnification 10,000x within 10,000..50,000",
        ),
        (
            TILTED,
            prediction(),
            metadata(stage_tilt_deg=52.0),
            "any frame (Nanowires 0.93), stage tilt 52° within 40..",
        ),
        (
            TILTED,
            prediction(uncertain=True),
            metadata(stage_tilt_deg=52.25),
            "any frame (uncertain, Nanowires 0.93), stage tilt 52.25° within 40..",
        ),
        (ANYTHING, prediction(), metadata(), "any frame (Nanowires 0.93)"),
        (SURE, prediction("Tips", 0.95), metadata(), "Tips 0.95 >= 0.90"),
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
        (WIRES, prediction("Tips"), metadata(), "Tips 0.93 is not Nanowires"),
        (WIRES, prediction(probability=0.79), metadata(), "Nanowires 0.79 < 0.80"),
        (WIRES, prediction(probability=0.79996), metadata(), "Nanowires 0.79996 < 0.80000"),
        (WIRES, prediction(uncertain=True), metadata(), "uncertain, Nanowires 0.93: the model is not sure"),
        (SURE, prediction(uncertain=True), metadata(), "uncertain, Nanowires 0.93: the model is not sure"),
        (CLOSE_UP, prediction(), metadata(), "magnification unknown, wanted 10,000..50,000"),
        (CLOSE_UP, prediction(), metadata(magnification=None), "magnification unknown, wanted 10,000..50,000"),
        (
            CLOSE_UP,
            prediction(),
            metadata(magnification=50_001.0),
            "magnification 50,001x outside 10,000..50,000",
        ),
        (
            Target("open", magnification=Window()),
            prediction(),
            metadata(magnification=float("nan")),
            "magnification unknown, wanted any value",
        ),
        (TILTED, prediction(), metadata(stage_tilt_deg=39.99), "stage tilt 39.99° outside 40.."),
        (
            Target("flat", stage_tilt_deg=Window(high=1)),
            prediction(),
            metadata(stage_tilt_deg=-0.5),
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

    actual = [(each.target, each.channels) for each in match_targets([loud, TILTED, WIRES], prediction(), metadata())]

    assert actual == [("loud", ("terminal", "lamp")), ("wires", ("terminal",))]


def test_every_condition_is_explained_even_after_one_is_missed() -> None:
    actual = explain(CLOSE_UP, prediction("Tips"), metadata(magnification=20_000.0))

    assert [
        Condition("category", False, "Tips 0.93 is not Nanowires"),
        Condition("magnification", True, "magnification 20,000x within 10,000..50,000"),
    ] == actual
