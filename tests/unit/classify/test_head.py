from __future__ import annotations

import io
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from emwatch.classify.head import Head, Novelty, softmax, unit_stretches
from emwatch.errors import ModelError


def test_the_softmax_layer_has_as_many_numbers_as_the_original_network(drawn_head: Head) -> None:
    assert drawn_head.weights.size + drawn_head.bias.size == 20_490


def test_probabilities_of_every_row_sum_to_one_even_for_absurd_logits(drawn_head: Head) -> None:
    embeddings = np.random.default_rng(1).normal(scale=1e4, size=(20, 3072)).astype(np.float32)

    probabilities = drawn_head.probabilities(embeddings)

    assert probabilities.shape == (20, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-12)


def test_probabilities_are_the_softmax_of_both_stretches_over_the_temperature(drawn_head: Head) -> None:
    embedding = np.random.default_rng(2).normal(scale=0.1, size=3072).astype(np.float32)
    weights = np.concatenate([drawn_head.weights, drawn_head.early_weights]).astype(np.float64)

    expected = softmax((embedding.astype(np.float64) @ weights + drawn_head.bias) / 1.5)

    np.testing.assert_allclose(drawn_head.probabilities(embedding), expected, rtol=1e-9)


def test_a_head_reads_back_what_it_wrote(drawn_head: Head) -> None:
    read = Head.from_bytes(drawn_head.to_bytes(), 3072, "head.npz")

    assert drawn_head.temperature == read.temperature
    for name in ("weights", "bias", "early_weights"):
        np.testing.assert_array_equal(getattr(drawn_head, name), getattr(read, name))


def test_a_head_for_another_backbone_is_refused(drawn_head: Head) -> None:
    with pytest.raises(
        ModelError, match=r"here/head.npz: 'early_weights' has shape \(1024, 10\).*for a backbone of 4056"
    ):
        Head.from_bytes(drawn_head.to_bytes(), 4056, "here/head.npz")


def _npz(drawn_head: Head, **changed: Any) -> bytes:
    arrays: dict[str, Any] = {
        "weights": drawn_head.weights,
        "bias": drawn_head.bias,
        "early_weights": drawn_head.early_weights,
        "temperature": np.float32(1),
    }
    file = io.BytesIO()
    np.savez(file, **{name: array for name, array in (arrays | changed).items() if array is not None})
    return file.getvalue()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"bias": None}, "bias"),
        ({"bias": np.full(10, np.nan, np.float32)}, "'bias'"),
        ({"bias": np.zeros(9, np.float32)}, "'bias'"),
        ({"weights": np.zeros((2048, 10))}, "'weights' .* float64"),
        ({"temperature": np.float32(0)}, "'temperature'"),
        ({"bias": np.array([{}] * 10)}, "cannot be read"),
    ],
)
def test_a_head_with_a_wrong_array_is_refused(drawn_head: Head, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        Head.from_bytes(_npz(drawn_head, **changed), 3072, "head.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x80\x04K\x01."])
def test_bytes_that_are_no_arrays_are_refused_and_never_unpickled(content: bytes) -> None:
    with pytest.raises(ModelError, match="cannot be read as a head"):
        Head.from_bytes(content, 3072, "head.npz")


@pytest.fixture(name="knowing_head")
def _knowing_head(drawn_head: Head) -> Head:
    weights = np.random.default_rng(3).normal(size=3072).astype(np.float32)
    return replace(drawn_head, stretches=(2048, 1024), novelty=Novelty(weights, 0.25))


def test_a_head_that_tells_novelty_reads_back_what_it_wrote(knowing_head: Head) -> None:
    read = Head.from_bytes(knowing_head.to_bytes(), 3072, "head.npz")
    embeddings = np.random.default_rng(4).normal(size=(5, 3072)).astype(np.float32)

    assert (read.stretches, read.novelty is not None) == ((2048, 1024), True)
    np.testing.assert_array_equal(read.novelty_of(embeddings), knowing_head.novelty_of(embeddings))
    np.testing.assert_array_equal(read.probabilities(embeddings), knowing_head.probabilities(embeddings))


def test_a_plain_head_tells_no_novelty(drawn_head: Head) -> None:
    assert drawn_head.novelty_of(np.ones((2, 3072), np.float32)) is None


def test_with_stretches_the_contrast_of_a_part_tells_nothing(knowing_head: Head) -> None:
    embedding = np.random.default_rng(5).random(3072).astype(np.float32)
    louder = embedding * np.repeat([3.0, 0.2], [2048, 1024]).astype(np.float32)

    np.testing.assert_allclose(knowing_head.probabilities(louder), knowing_head.probabilities(embedding), rtol=1e-5)
    np.testing.assert_allclose(knowing_head.novelty_of(louder), knowing_head.novelty_of(embedding), rtol=1e-4)


def test_scaling_leaves_what_it_was_given_alone_and_zeros_zero() -> None:
    embedding = np.array([3, 4, 0, 0], dtype=np.float32)

    np.testing.assert_allclose(unit_stretches(embedding, (2, 2)), [0.6, 0.8, 0, 0], rtol=1e-6)
    assert embedding.tolist() == [3, 4, 0, 0]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"novelty_bias": np.float32(0)}, "'novelty_weights' is missing"),
        ({"novelty_weights": np.zeros(3072, np.float32)}, "'novelty_bias' is missing"),
        ({"novelty_weights": np.zeros(9, np.float32), "novelty_bias": np.float32(0)}, "'novelty_weights' has shape"),
        ({"novelty_weights": np.full(3072, np.nan, np.float32), "novelty_bias": np.float32(0)}, "expected finite"),
        ({"stretches": np.array([2048, 1023])}, "whole numbers whose sum is 3072"),
        ({"stretches": np.array([4096, -1024])}, "expected positive whole numbers"),
        ({"stretches": np.array([3072.0])}, "'stretches' is"),
    ],
)
def test_a_wrong_novelty_or_stretch_is_told(drawn_head: Head, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        Head.from_bytes(_npz(drawn_head, **changed), 3072, "head.npz")


def test_a_frame_wakes_no_other_thread() -> None:
    """Threads of a matrix library that spin after a product take the processors from the next frame's network."""
    features, random = 18_848, np.random.default_rng(6)
    weights, early = (random.normal(size=(rows, 10)).astype(np.float32) for rows in (2048, features - 2048))
    novelty = Novelty(random.normal(size=features).astype(np.float32), 0.0)
    head = Head(weights, np.zeros(10, np.float32), early, 1.0, novelty=novelty)
    embedding = random.random(features, dtype=np.float32)
    for _ in range(3):  # a thread started by an earlier test comes to rest
        others, own = time.process_time(), time.thread_time()
        for _ in range(40):
            head.probabilities(embedding)
            head.novelty_of(embedding)
        own = time.thread_time() - own
        others = time.process_time() - others - own

    assert others < own / 4
