from __future__ import annotations

import numpy as np
import pytest

from emwatch.classify.bundles.projection import Projection
from emwatch.classify.head import unit_stretches
from emwatch.errors import ModelError
from emwatch.train.heads.lessons import CLASSES, Lessons, Taught
from emwatch.train.heads.projecting import fitted_projection
from emwatch.train.heads.ridge import RIDGE, Dual, Sums, class_weights, fit_affine, source_weights

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(name="rows")
def _rows() -> Rows:
    """Three classes of 40 rows in 30 dimensions, apart in the mean, with uneven weights."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 40)
    middles = random.normal(size=(3, 30)) * 2
    features = (middles[labels] + random.normal(size=(120, 30)) + 5).astype(np.float32)
    return features, labels, random.uniform(0.5, 2, 120)


def test_sums_of_parts_fit_what_all_rows_fit(rows: Rows) -> None:
    features, labels, weights = rows
    parts = [np.arange(120) % 4 == part for part in range(4)]
    added = Sums.of(features[parts[0]], labels[parts[0]], weights[parts[0]], 3)
    for mask in parts[1:]:
        added = added + Sums.of(features[mask], labels[mask], weights[mask], 3)

    for one, other in zip(added.fitted(), Sums.of(features, labels, weights, 3).fitted(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-8)


def test_the_fit_is_the_least_penalised_squared_error(rows: Rows) -> None:
    """The gradient of the sum of squares and of the penalty vanishes."""
    features, labels, weights = rows
    slopes, bias = Sums.of(features, labels, weights, 3).fitted()
    apart = features.astype(float) @ slopes + bias - np.eye(3)[labels]

    np.testing.assert_allclose(
        features.T.astype(float) @ (weights[:, np.newaxis] * apart) + RIDGE * slopes, 0, atol=1e-6
    )
    np.testing.assert_allclose((weights[:, np.newaxis] * apart).sum(axis=0) + RIDGE * bias, 0, atol=1e-6)


def test_products_between_rows_fit_what_sums_over_rows_fit(rows: Rows) -> None:
    features, labels, weights = rows
    for one, other in zip(
        Dual.of(features, labels, weights, 3).fitted(), Sums.of(features, labels, weights, 3).fitted(), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)


def test_rows_left_out_of_a_fit_leave_no_trace(rows: Rows) -> None:
    features, labels, weights = rows
    kept = np.arange(120) % 7 != 3
    whole = Dual.of(features, labels, weights, 3)
    other = labels.copy()
    other[~kept] = 2 - other[~kept]

    shares = whole.without(~kept)
    np.testing.assert_allclose(
        features.T @ shares, Dual.of(features[kept], labels[kept], weights[kept], 3).fitted()[0], atol=1e-4
    )
    np.testing.assert_allclose(shares, Dual.of(features, other, weights, 3).without(~kept), atol=1e-6)
    assert np.abs(features.T @ whole.shares - features.T @ shares).max() > 1e-3


def test_classes_that_occur_weigh_the_same() -> None:
    labels = np.array([0] * 90 + [2] * 10)
    factors = class_weights(labels, np.ones(100), 4)

    assert np.bincount(labels, factors[labels]).tolist() == pytest.approx([50, 0, 50])


def test_a_category_without_frames_is_never_the_likeliest(rows: Rows) -> None:
    features, labels, weights = rows
    slopes, bias = fit_affine(features, labels + 2, weights)
    logits = features @ slopes + bias

    assert (logits.argmax(axis=1) == labels + 2).mean() > 0.95
    assert (logits[:, [0, 1, 5, 9]].max() < logits[:, 2:5].min(axis=1)).all()


def test_a_hundred_frames_of_a_source_weigh_ten_times_as_much_as_one() -> None:
    weights = source_weights(["many"] * 100 + ["one"])

    assert weights[:100].sum() == pytest.approx(10 * weights[100])


def test_a_map_of_compact_vectors_is_the_same_map_of_embeddings() -> None:
    random = np.random.default_rng(1)
    embeddings = (random.normal(size=(80, 200)) * random.uniform(0.1, 9, 200) + 3).astype(np.float32)
    projection = fitted_projection(embeddings, width=40, stretches=(120, 80))
    embeddings *= random.uniform(0.5, 2, (80, 1)).astype(np.float32)  # contrast tells nothing
    scaled = unit_stretches(embeddings, projection.stretches)
    slopes, bias = random.normal(size=(40, 3)), random.normal(size=3)
    steep, offset = projection.unfolded(slopes, bias)
    compact = Projection.from_bytes(projection.to_bytes(), 200, "projection.npz").compact(embeddings)

    np.testing.assert_allclose(scaled @ steep + offset, compact @ slopes + bias, atol=1e-3)
    assert float((compact**2).sum(axis=1).mean()) == pytest.approx(1, abs=0.3)


@pytest.fixture(name="lessons")
def _lessons(rows: Rows) -> Lessons:
    features, labels, weights = rows
    products = Sums.of(features, labels, weights, CLASSES).products
    return Lessons(products, _taught(rows, "ab"), np.ones(CLASSES), "cd" * 32)


def _taught(rows: Rows, start: str) -> Taught:
    features, labels, weights = rows
    return Taught(
        bare=features,
        barred=features + 1,
        categories=labels,
        weights=weights,
        seen=np.arange(120 * 2 * CLASSES, dtype=np.float32).reshape(120, 2, CLASSES) / 100,
        unseen=np.arange(120 * CLASSES, dtype=np.float32).reshape(120, CLASSES) / 100,
        sources=[f"source {at % 7}" for at in range(120)],
        licences=["MIT"] * 120,
        sha256=[f"{start}{at:062x}" for at in range(120)],
        open_licence=labels == 0,
        blind=labels == 1,
    )


def test_lessons_come_back_from_their_file(lessons: Lessons) -> None:
    found = Lessons.from_bytes(lessons.to_bytes(), "cd" * 32, "lessons.npz")

    np.testing.assert_allclose(found.always, lessons.always, rtol=1e-6)
    for name in ("bare", "barred", "seen", "unseen"):
        np.testing.assert_allclose(getattr(found.taught, name), getattr(lessons.taught, name), rtol=1e-3)
    for name in ("sources", "licences", "sha256"):
        assert getattr(found.taught, name) == getattr(lessons.taught, name)
    for name in ("categories", "open_licence", "blind"):
        np.testing.assert_array_equal(getattr(found.taught, name), getattr(lessons.taught, name))


def test_lessons_of_another_projection_are_refused(lessons: Lessons) -> None:
    with pytest.raises(ModelError, match=r"lessons.npz belongs to another projection.*--alone"):
        Lessons.from_bytes(lessons.to_bytes(), "ef" * 32, "lessons.npz")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\5\6" + bytes(18)])
def test_what_is_no_file_of_lessons_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"lessons.npz cannot be read as what taught a head"):
        Lessons.from_bytes(content, "cd" * 32, "lessons.npz")
