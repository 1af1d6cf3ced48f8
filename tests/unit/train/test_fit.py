from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emwatch.train.heads import ridge
from emwatch.train.heads.ridge import Rows, fit_affine, source_weights


@pytest.fixture(name="rows")
def _rows() -> Rows:
    """Three classes of 40 rows in 30 dimensions, apart in the mean, with uneven weights."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 40)
    middles = random.normal(size=(3, 30)) * 2
    features = (middles[labels] + random.normal(size=(120, 30)) + 5).astype(np.float32)
    always = np.arange(120) % 4 == 0
    return Rows(features, labels, random.uniform(0.5, 2, 120), 3, always, ~always & (np.arange(120) % 2 == 0))


def _direct(rows: Rows, taught: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """The same ridge by its definition: one system of features, in double precision."""
    standard, weights = rows._standard.astype(np.float64), rows._balanced[taught][:, np.newaxis]
    mine = standard[taught]
    system = mine.T @ (weights * mine) + ridge.RIDGE * np.eye(mine.shape[1])
    return standard[judged] @ np.linalg.solve(system, mine.T @ (weights * rows._wanted[taught]))


@pytest.mark.parametrize("chosen", [slice(None), slice(0, 60), slice(0, 0)])
def test_eliminating_what_is_always_learned_changes_nothing(rows: Rows, chosen: slice) -> None:
    mask = np.zeros(120, dtype=bool)
    mask[chosen] = True
    taught = rows.always | (rows.perhaps & mask)

    np.testing.assert_allclose(rows.scores(mask, ~_half()), _direct(rows, taught, ~_half()), rtol=0, atol=2e-4)


def _half() -> np.ndarray:
    return np.arange(120) % 2 == 0


def test_what_was_not_taught_is_told_by_what_was(rows: Rows) -> None:
    scores = rows.scores(_half(), ~_half())

    assert (scores.argmax(axis=1) == rows.labels[~_half()]).mean() > 0.95


def test_scores_are_those_of_the_fitted_map(rows: Rows) -> None:
    slopes, bias = rows.fitted(_half())

    np.testing.assert_allclose(
        rows.scores(_half(), ~_half()), rows.features[~_half()] @ slopes + bias, rtol=0, atol=2e-4
    )


def test_labels_of_rows_that_are_not_taught_have_no_say(rows: Rows) -> None:
    labels = rows.labels.copy()
    labels[~_half()] = (labels[~_half()] + 1) % 3
    swapped = replace(rows, labels=labels)

    np.testing.assert_array_equal(rows.scores(_half(), ~_half()), swapped.scores(_half(), ~_half()))


def test_many_rows_are_solved_by_features_with_the_same_result(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    by_rows = rows.scores(_half(), ~_half()), *rows.fitted(_half())
    monkeypatch.setattr(ridge, "_MOST_ROWS_FOR_KERNEL", 10)
    by_features = rows.scores(_half(), ~_half()), *rows.fitted(_half())

    for one, other in zip(by_rows, by_features, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-4)


def test_a_category_counts_the_same_however_many_frames_it_has() -> None:
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1], [190, 10])
    features = (random.normal(size=(200, 20)) + labels[:, np.newaxis]).astype(np.float32)
    slopes, bias = fit_affine(features, labels, np.ones(200))
    fresh = (random.normal(size=(400, 20)) + np.repeat([0, 1], 200)[:, np.newaxis]).astype(np.float32)
    found = (fresh @ slopes + bias).argmax(axis=1)

    assert (found[200:] == 1).mean() > 0.8


def test_a_category_without_frames_is_never_the_likeliest(rows: Rows) -> None:
    slopes, bias = fit_affine(rows.features, rows.labels + 2, rows.weights)

    assert set((rows.features @ slopes + bias).argmax(axis=1).tolist()) == {2, 3, 4}


def test_a_large_source_weighs_more_than_a_small_one_but_less_than_its_frames() -> None:
    weights = source_weights(["large"] * 100 + ["small"] * 4)

    assert weights[:100].sum() / weights[100:].sum() == pytest.approx(5)
