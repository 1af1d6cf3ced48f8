from __future__ import annotations

from typing import Any

import pytest

from emwatch.classify.bundles.champion import challenge, figures_of, on_frames


def card(balanced: Any = 0.5, **metrics: Any) -> dict[str, Any]:
    figures = {"balanced_accuracy": balanced, "accuracy": 0.6, "ece_after": 0.05}
    return {"metrics": {"protocol": "by source", "frames": 10, "sources": 3, "without_bar": figures, **metrics}}


@pytest.mark.parametrize(("balanced", "word"), [(0.6, "better"), (0.5, "equal"), (0.49, "worse")])
def test_figures_of_one_protocol_on_the_same_frames_decide(balanced: float, word: str) -> None:
    verdict = challenge(card(), card(balanced))

    assert verdict.word == word
    assert f"{balanced:.3f}" in verdict.reason
    assert "0.500" in verdict.reason


@pytest.mark.parametrize(
    "other",
    [card(0.9, protocol="at random"), card(0.9, frames=11), card(0.9, sources=4), card(0.9, frames_sha256="b")],
)
def test_figures_of_other_frames_decide_nothing(other: dict[str, Any]) -> None:
    mine = card(frames_sha256="a")

    assert challenge(mine, other).word == challenge(other, mine).word == "unknown"


def test_a_card_that_does_not_say_which_frames_is_compared_by_their_number() -> None:
    """The bundle that comes with emwatch is such a one; it shall not refuse what is made by its own frames."""
    assert challenge(card(), card(0.9, frames_sha256="a")).word == "better"
    assert challenge(card(0.9, frames_sha256="a"), card()).word == "worse"


@pytest.mark.parametrize(
    ("within", "told"), [(True, "; that is within chance"), (False, "; that is more than"), (None, "")]
)
def test_chance_is_told_and_decides_nothing(within: bool | None, told: str) -> None:
    worse, equal = (on_frames(0.5, mine, 20, "frames", within_chance=within) for mine in (0.49, 0.5))

    assert (worse.word, equal.word) == ("worse", "equal")
    assert worse.reason.partition("in use 0.500")[2].startswith(told)
    assert equal.reason.endswith("0.500")


@pytest.mark.parametrize("empty", [{}, {"metrics": []}, {"metrics": {"protocol": "x"}}, card("high"), card(True)])
def test_a_card_without_figures_decides_nothing(empty: dict[str, Any]) -> None:
    assert figures_of(empty) is None
    assert "it has no by-source figures" in challenge(card(), empty).reason
    assert "the model in use has no" in challenge(empty, card()).reason
