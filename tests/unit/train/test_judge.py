from __future__ import annotations

import numpy as np
import pytest

from emwatch.frame import CATEGORIES
from emwatch.train.evaluate.measures import calibration_error
from emwatch.train.heads.calibration import (
    FOLDS,
    KEPT_OF_RIGHT,
    TRUSTED,
    Calibration,
    Verdict,
    fitted_temperature,
    source_folds,
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


def _logits(random: np.random.Generator, frames: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw logits whose softmax is exactly the chance of being right, then sharpen them."""
    honest = random.normal(scale=1.5, size=(frames, 10))
    chances = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    truth = np.array([random.choice(10, p=row) for row in chances])
    return honest * sharpness, truth


def test_the_temperature_undoes_overconfidence() -> None:
    logits, truth = _logits(np.random.default_rng(1), 4000, sharpness=3.0)

    assert pytest.approx(fitted_temperature(logits, truth), rel=0.08) == 3.0


def test_calibration_error_is_near_zero_for_honest_scores_and_large_for_sharpened_ones() -> None:
    logits, truth = _logits(np.random.default_rng(2), 4000, sharpness=3.0)
    verdict = Verdict.of(logits, truth)

    assert verdict.ece_after < 0.03 < 0.15 < verdict.ece_before


def test_calibration_error_of_a_sure_liar_is_one() -> None:
    scores = np.tile(np.eye(10)[0], (50, 1))

    assert calibration_error(scores, np.full(50, 3)) == 1.0


def test_the_threshold_keeps_the_stated_share_of_the_rightly_classified() -> None:
    logits, truth = _logits(np.random.default_rng(3), 3000, sharpness=2.0)
    verdict = Verdict.of(logits, truth)
    scores = np.exp(logits / verdict.temperature)
    scores /= scores.sum(axis=1, keepdims=True)
    right = scores.argmax(axis=1) == truth

    assert (
        pytest.approx(float((scores.max(axis=1)[right] >= verdict.uncertain_below).mean()), abs=0.03) == KEPT_OF_RIGHT
    )
    assert verdict.accuracy_when_certain > verdict.accuracy


def test_balanced_accuracy_counts_every_category_alike() -> None:
    truth = np.array([0] * 90 + [1] * 10)
    logits = np.zeros((100, 10))
    logits[:, 0] = 5

    verdict = Verdict.of(logits, truth)

    assert (verdict.accuracy, verdict.balanced_accuracy) == (0.9, 0.5)


def test_a_category_that_is_wrong_more_often_than_right_has_to_be_surer_than_others() -> None:
    """Here: every frame taken for the first category, rightly only where the logit is high."""
    random = np.random.default_rng(4)
    truth = np.concatenate([np.zeros(200, dtype=int), np.full(400, 1), np.full(400, 2)])
    logits = np.zeros((1000, 10))
    logits[:200, 0] = random.uniform(3, 7, 200)
    logits[200:600, 0] = random.uniform(3, 5, 400)  # the second category, mistaken for the first
    logits[600:, 2] = random.uniform(2, 6, 400)

    calibration = Calibration.chosen(logits, truth)
    believed = calibration.certain(logits)
    taken = logits.argmax(axis=1)

    assert set(calibration.uncertain_below_of) == {CATEGORIES[0]}
    assert calibration.uncertain_below_of[CATEGORIES[0]] > calibration.uncertain_below
    assert (truth[believed & (taken == 0)] == 0).mean() >= TRUSTED
    assert (believed & (taken == 2)).sum() > 300


def test_a_category_that_is_hardly_ever_seen_gets_no_limit_of_its_own() -> None:
    logits = np.zeros((1000, 10))
    logits[:, 2] = np.linspace(2, 6, 1000)
    logits[:20] = 0
    logits[:20, 0] = 6.0  # always wrong, but twenty frames tell little

    assert Calibration.chosen(logits, np.full(1000, 2)).uncertain_below_of == {}
