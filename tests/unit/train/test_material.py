"""Heads taught in three ways: each as if all its frames, and only they, had been learned at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emwatch.train.heads.cross_validation import PLAIN
from emwatch.train.heads.head_training import BASE, corrected_by
from emwatch.train.heads.lessons import CLASSES, Lessons, Taught
from emwatch.train.heads.material import Always, Direct, HeadMaterial, Projected

_WIDTH = 30


def _rows(random: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    middles = np.random.default_rng(5).normal(size=(CLASSES, _WIDTH)) / 5
    return (middles[labels] + random.normal(size=(len(labels), _WIDTH)) / 5).astype(np.float32)


def _taught(seed: int, sources: list[str]) -> Taught:
    random, count = np.random.default_rng(seed), len(sources)
    categories = random.integers(0, 10, count)
    bare = _rows(random, categories)
    return Taught(
        bare=bare,
        barred=bare + random.normal(size=bare.shape).astype(np.float32) / 50,
        categories=categories,
        weights=random.uniform(0.5, 2, count),
        seen=np.zeros((count, 2, CLASSES), dtype=np.float32),
        unseen=np.zeros((count, CLASSES), dtype=np.float32),
        sources=sources,
        licences=["MIT"] * count,
        sha256=[f"{seed:02x}{at:062x}" for at in range(count)],
        open_licence=np.ones(count, dtype=bool),
        blind=np.zeros(count, dtype=bool),
    )


def _judged(taught: Taught) -> HeadMaterial:
    return HeadMaterial({PLAIN: taught.bare}, taught.categories, taught.sources, taught.blind)


@pytest.fixture(name="always")
def _always() -> Always:
    random = np.random.default_rng(1)
    labels = np.repeat(np.arange(CLASSES), 6)
    return Always(_rows(random, labels), labels, np.ones(len(labels)))


@pytest.fixture(name="before")
def _before() -> Taught:
    return _taught(2, [f"lab {at % 8}" for at in range(80)])


def _lessons(always: Always, before: Taught) -> tuple[Lessons, Projected]:
    """Teach a head, and keep what starts the next one."""
    material = Projected.of(always, before, _judged(before))
    everything = np.ones(len(before), dtype=bool)
    taught = replace(
        before, seen=material.seen(), unseen=material.scores(~everything, everything)[PLAIN].astype(np.float32)
    )
    return Lessons(always.products(), taught, np.ones(CLASSES), "ab" * 32), material


def _scored(own: Taught, material: Projected) -> Taught:
    slopes, bias = material.fitted()
    seen = np.stack([own.bare @ slopes + bias, own.barred @ slopes + bias], axis=1).astype(np.float32)
    return replace(own, seen=seen, unseen=seen[:, 0])


def _nobody() -> HeadMaterial:
    none = np.zeros((0, 1), dtype=np.float32)
    rows = {PLAIN: none[:, [0] * _WIDTH], BASE: none[:, [0] * CLASSES]}
    return HeadMaterial(rows, np.zeros(0, dtype=np.int64), [], np.zeros(0, dtype=bool))


def test_products_between_rows_and_sums_over_them_judge_alike(always: Always, before: Taught) -> None:
    direct, projected = (kind.of(always, before, _judged(before)) for kind in (Direct, Projected))
    mine = np.array([source == "lab 3" for source in before.sources])

    np.testing.assert_allclose(
        direct.scores(~mine, mine)[PLAIN], projected.scores(~mine, mine)[PLAIN], rtol=0, atol=1e-4
    )
    np.testing.assert_allclose(direct.seen(), projected.seen(), rtol=0, atol=1e-4)


def test_a_source_is_judged_by_heads_that_know_nothing_of_it(always: Always, before: Taught) -> None:
    mine = np.array([source == "lab 3" for source in before.sources])
    wrong = replace(before, categories=np.where(mine, (before.categories + 1) % 10, before.categories))

    honest, lied = (Direct.of(always, each, _judged(each)).scores(~mine, mine)[PLAIN] for each in (before, wrong))
    np.testing.assert_allclose(honest, lied, rtol=0, atol=1e-6)


def test_a_head_corrected_by_own_frames_is_the_one_that_learns_all_at_once(always: Always, before: Taught) -> None:
    lessons, material = _lessons(always, before)
    own = _taught(3, ["mine"] * 20)
    corrected = corrected_by(lessons, _scored(own, material), _nobody())
    both = before.beside(own)

    wanted = Projected.of(always, both, _judged(both)).fitted()
    for base, more, whole in zip(material.fitted(), corrected.fitted(), wanted, strict=True):
        np.testing.assert_allclose(base + more, whole, rtol=0, atol=1e-4)
    assert np.abs(corrected.fitted()[0]).max() > 1e-3


def test_a_frame_that_taught_already_is_learned_anew_and_its_old_label_forgotten(
    always: Always, before: Taught
) -> None:
    lessons, material = _lessons(always, before)
    again = before.only(np.arange(80) < 10)
    again = replace(again, categories=(again.categories + 1) % 10)
    corrected = corrected_by(lessons, _scored(again, material), _nobody())
    right = replace(before, categories=np.concatenate([again.categories, before.categories[10:]]))

    assert len(corrected.taught) == 80
    wanted = Projected.of(always, right, _judged(right)).fitted()
    for base, more, whole in zip(material.fitted(), corrected.fitted(), wanted, strict=True):
        np.testing.assert_allclose(base + more, whole, rtol=0, atol=1e-4)


def test_without_own_frames_nothing_is_corrected(always: Always, before: Taught) -> None:
    lessons, _ = _lessons(always, before)

    slopes, bias = corrected_by(lessons, before.only(np.zeros(80, dtype=bool)), _nobody()).fitted()
    assert not slopes.any()
    assert not bias.any()
