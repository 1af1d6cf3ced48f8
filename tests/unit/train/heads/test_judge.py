from __future__ import annotations

import numpy as np
import pytest

from emwatch.train.evaluate.measures import calibration_error
from emwatch.train.heads.calibration import (
    ASKED_OF_CERTAIN,
    FOLDS,
    Calibration,
    Verdict,
    fitted_temperature,
    source_folds,
    source_shares,
)


@pytest.fixture(name="dealt")
def _dealt() -> tuple[np.ndarray, list[str]]:
    random = np.random.default_rng(0)
    sources = [f"source {number}" for number in range(40) for _ in range(int(random.integers(1, 30)))]
    categories = np.array([int(name.split()[1]) % 10 for name in sources])
    return categories, sources


def test_no_source_stands_on_both_sides_of_a_fold(dealt: tuple[np.ndarray, list[str]]) -> None:
    categories, sources = dealt
    folds = source_folds(categories, sources, seed=0)

    assert {1} == {len(set(folds[np.array(sources) == name])) for name in set(sources)}


def test_every_fold_gets_a_share_and_another_seed_deals_otherwise(dealt: tuple[np.ndarray, list[str]]) -> None:
    categories, sources = dealt
    folds = source_folds(categories, sources, seed=0)

    assert set(range(FOLDS)) == set(folds.tolist())
    np.testing.assert_array_equal(folds, source_folds(categories, sources, seed=0))
    assert (folds != source_folds(categories, sources, seed=1)).any()


def _logits(
    random: np.random.Generator, frames: int, sharpness: float, scale: float = 1.5
) -> tuple[np.ndarray, np.ndarray]:
    """Draw logits whose softmax is exactly the chance of being right, then sharpen them."""
    honest = random.normal(scale=scale, size=(frames, 10))
    chances = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    truth = np.array([random.choice(10, p=row) for row in chances])
    return honest * sharpness, truth


def test_the_temperature_undoes_overconfidence() -> None:
    logits, truth = _logits(np.random.default_rng(1), 4000, sharpness=3.0)

    assert pytest.approx(fitted_temperature(logits, truth, np.ones(4000)), rel=0.08) == 3.0


def test_calibration_error_is_near_zero_for_honest_scores_and_large_for_sharpened_ones() -> None:
    logits, truth = _logits(np.random.default_rng(2), 4000, sharpness=3.0)
    verdict = Verdict.of(logits, truth, _each_its_own(truth))

    assert verdict.ece_after < 0.03 < 0.15 < verdict.ece_before


def test_calibration_error_of_a_sure_liar_is_one() -> None:
    scores = np.tile(np.eye(10)[0], (50, 1))

    assert calibration_error(scores, np.full(50, 3)) == 1.0


def test_what_is_certain_is_right_as_often_as_asked_and_no_limit_below_would_do() -> None:
    logits, truth = _logits(np.random.default_rng(3), 3000, sharpness=2.0, scale=3)
    chosen = Calibration.chosen(logits, truth)
    probability = chosen.probabilities(logits).max(axis=1)
    right = logits.argmax(axis=1) == truth

    assert right[chosen.certain(logits)].mean() >= ASKED_OF_CERTAIN
    assert right[probability >= chosen.uncertain_below - 0.03].mean() < ASKED_OF_CERTAIN


def test_a_model_that_is_never_right_often_enough_is_never_certain() -> None:
    random = np.random.default_rng(4)
    logits, truth = random.normal(size=(500, 10)), random.integers(0, 10, 500)

    assert not Calibration.chosen(logits, truth).certain(logits).any()


def test_each_source_of_a_category_counts_once_when_limits_are_chosen() -> None:
    """A source of 400 frames, all wrong and sure, against eight of ten that are right."""
    truth = np.zeros(480, dtype=int)
    logits = np.zeros((480, 10))
    logits[:400, 1] = logits[400:, 0] = 4
    sources = ["large"] * 400 + [f"small {at // 10}" for at in range(80)]
    weights = source_shares(truth, sources)

    assert Calibration.chosen(logits, truth).uncertain_below == 1.0
    assert Calibration.chosen(logits, truth, weights=weights).certain(logits).all()
    assert weights[:400].sum() == pytest.approx(weights[400:410].sum())


def test_by_source_every_source_of_a_category_counts_the_same() -> None:
    truth = np.array([0] * 100 + [1] * 10)
    logits = np.zeros((110, 10))
    logits[:90, 1] = logits[90:100, 0] = logits[100:, 1] = 5
    sources = ["large"] * 90 + ["small"] * 10 + ["other"] * 10

    verdict = Verdict.of(logits, truth, sources)

    assert (verdict.balanced_accuracy, verdict.by_source) == (pytest.approx(0.55), 0.75)


def test_balanced_accuracy_counts_every_category_alike() -> None:
    truth = np.array([0] * 90 + [1] * 10)
    logits = np.zeros((100, 10))
    logits[:, 0] = 5

    verdict = Verdict.of(logits, truth, _each_its_own(truth))

    assert (verdict.accuracy, verdict.balanced_accuracy) == (0.9, 0.5)


def _each_its_own(truth: np.ndarray) -> list[str]:
    return [str(at) for at in range(len(truth))]
