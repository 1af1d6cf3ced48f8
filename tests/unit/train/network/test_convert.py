from __future__ import annotations

import numpy as np
import pytest

from emwatch.train.network.convert import _by_channel, agreement


def test_each_output_channel_has_its_own_scale_and_rounds_to_half_a_step() -> None:
    weights = np.random.default_rng(0).normal(size=(6, 1, 1, 80)).astype(np.float32) * np.geomspace(
        1e-3, 10, 6, dtype=np.float32
    ).reshape(6, 1, 1, 1)

    quantised, scales = _by_channel(weights)

    error = np.abs(quantised * scales[:, None, None, None] - weights).max(axis=(1, 2, 3))
    assert (quantised.dtype, scales.shape) == (np.int8, (6,))
    assert bool((error <= scales * 0.5001).all())


def test_a_channel_of_zeros_stays_zero() -> None:
    quantised, scales = _by_channel(np.zeros((2, 1, 1, 70), np.float32))

    assert (int(np.abs(quantised).max()), bool((scales > 0).all())) == (0, True)


def test_agreement_is_one_for_scaled_copies_and_less_for_others() -> None:
    reference = np.random.default_rng(0).normal(size=(20, 50)).astype(np.float32)

    assert agreement(reference, reference * 3)["cosine_percentile_1"] == pytest.approx(1.0, abs=1e-5)
    assert agreement(reference, reference[::-1])["cosine_median"] < 0.5
    assert agreement(reference, reference * 0)["cosine_median"] == 0.0  # a network that 8 bits have silenced
