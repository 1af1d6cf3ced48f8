from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from emwatch.errors import DatasetError
from emwatch.frame import CATEGORIES, Prediction
from emwatch.testing import make_prediction
from emwatch.train.dataset.labelled import LabelledFrame
from emwatch.train.evaluate.compare import Pair, comparison, sign_test


def said(category: int) -> Prediction:
    return make_prediction(CATEGORIES[category])


def pair(name: str, truth: int, first: int, second: int, source: str) -> Pair:
    return Pair(LabelledFrame(Path(name), truth, source), said(first), said(second))


#: Of source s both are right once, the second alone twice, the first alone once; t was learned from.
PAIRS = [
    pair("1", 0, 0, 0, "r"),
    pair("2", 1, 0, 1, "r"),
    pair("3", 1, 0, 1, "s"),
    pair("4", 2, 2, 0, "s"),
    pair("5", 3, 0, 0, "q"),
    pair("6", 3, 3, 0, "t"),
]
CARDS = (
    {"name": "a", "training": {"sources": [{"source": "t", "licence": "MIT", "frames": 1}]}},
    {"name": "b", "training": {"sources": [{"source": "elsewhere"}]}},
)


def test_who_is_right_where_is_counted_on_frames_of_sources_that_neither_has_learned_from() -> None:
    found = comparison(PAIRS, CARDS)

    assert (found["frames"], found["sources"], found["left_out"], found["warnings"]) == (5, 3, 1, [])
    assert found["paired"] == {
        "both_right": 1,
        "only_first_right": 1,
        "only_second_right": 2,
        "both_wrong": 1,
        "chance_by_frames": 1.0,
    }
    assert found["right_only"] == {"first": ["4"], "second": ["2", "3"]}
    assert found["difference"]["accuracy"]["value"] == pytest.approx(1 / 5)
    assert found["first"]["balanced_accuracy"]["value"] == pytest.approx((1 + 0 + 1 + 0) / 4)
    assert found["second"]["balanced_accuracy"]["value"] == pytest.approx((1 + 1 + 0 + 0) / 4)
    assert found["recall"]["Fibres"] == {"frames": 2, "first": 0.0, "second": 1.0}


def test_where_every_source_was_learned_from_all_are_taken_with_a_warning() -> None:
    found = comparison([PAIRS[5]], CARDS)

    assert (found["frames"], found["left_out"]) == (1, 0)
    assert "every frame is of a source that one of them has learned from" in found["warnings"][0]


def test_frames_that_taught_either_are_left_out_by_their_content() -> None:
    pairs = [replace(each, sha256=str(at)) for at, each in enumerate(PAIRS)]
    found = comparison(pairs, CARDS, taught=frozenset("012"))

    assert (found["frames"], found["taught"], found["left_out"]) == (2, 3, 4)
    with pytest.raises(DatasetError, match="all 6 frames taught one of the two models"):
        comparison(pairs, CARDS, taught=frozenset("012345"))


def test_fewer_than_five_sources_are_too_few_to_call_one_better() -> None:
    more = [pair(str(at), 0, 0, 0, f"more {at}") for at in range(2)]

    assert not comparison(PAIRS, CARDS)["enough_sources"]
    assert comparison([*PAIRS, *more], CARDS)["enough_sources"]


def test_a_card_that_names_no_sources_is_told() -> None:
    assert "the card of c does not name" in comparison(PAIRS, (CARDS[0], {"name": "c"}))["warnings"][0]


def test_without_frames_nothing_is_compared() -> None:
    with pytest.raises(DatasetError, match="classified no frame"):
        comparison([], CARDS)


@pytest.mark.parametrize(
    ("wins", "losses", "chance"), [(0, 0, 1.0), (5, 5, 1.0), (6, 0, 2 / 64), (1, 7, 18 / 256), (3000, 3000, 1.0)]
)
def test_the_sign_test_is_exact(wins: int, losses: int, chance: float) -> None:
    assert sign_test(wins, losses) == sign_test(losses, wins) == pytest.approx(chance)
