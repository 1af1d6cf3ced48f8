"""Changes to training views: as far as they are said to go, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from emwatch.frame import NETWORK_SIDE_PX
from emwatch.train.network.augment import LIGHT, ORIGINAL, Augmentation, changed, tones, transforms

NOTHING = Augmentation(rotation_deg=0, shift=0, shear_deg=0, zoom=0)
MIDDLE = (NETWORK_SIDE_PX - 1) / 2


def _moved(rows: np.ndarray, x: float, y: float) -> np.ndarray:
    """Apply transforms (n, 8) to a point: (n, 2)."""
    return np.stack(
        [rows[:, 0] * x + rows[:, 1] * y + rows[:, 2], rows[:, 3] * x + rows[:, 4] * y + rows[:, 5]], axis=1
    )


def test_no_augmentation_is_the_identity() -> None:
    [row] = transforms(NOTHING, 1, np.random.default_rng(0))

    assert row == pytest.approx([1, 0, 0, 0, 1, 0, 0, 0], abs=1e-6)


def test_the_originals_shifts_reach_a_tenth_of_the_side_and_no_more() -> None:
    rows = transforms(ORIGINAL, 4000, np.random.default_rng(0))
    moved = np.abs(_moved(rows, MIDDLE, MIDDLE) - MIDDLE)

    assert 16 < moved.max() < 17.5
    assert abs(_moved(rows, MIDDLE, MIDDLE).mean() - MIDDLE) < 0.5


@pytest.mark.parametrize(("degrees", "least", "most"), [(1.5, 1.4, 1.51), (10, 9.5, 10.01)])
def test_rotations_reach_what_is_said(degrees: float, least: float, most: float) -> None:
    only = Augmentation(rotation_deg=degrees, shift=0, shear_deg=0, zoom=0)
    rows = transforms(only, 2000, np.random.default_rng(0))
    angles = np.rad2deg(np.arctan2(rows[:, 3], rows[:, 0]))

    assert least < angles.max() <= most
    assert -most <= angles.min() < -least


def test_half_of_the_frames_are_mirrored_where_asked_for() -> None:
    mirrored = np.sign(transforms(LIGHT, 2000, np.random.default_rng(0))[:, 0])

    assert 0.45 < (mirrored < 0).mean() < 0.55
    assert (transforms(ORIGINAL, 2000, np.random.default_rng(0))[:, 0] > 0).all()


def test_grey_values_of_the_original_are_left_alone() -> None:
    assert tones(ORIGINAL, 3, np.random.default_rng(0)).tolist() == [[1, 0]] * 3


@pytest.mark.train
def test_a_shift_moves_the_picture_and_repeats_its_edge() -> None:
    view = np.zeros((1, NETWORK_SIDE_PX, NETWORK_SIDE_PX), dtype=np.float32)
    view[0, 50, 60] = 1
    view[0, :, 0] = -1
    take_from_the_left = np.array([[1, 0, -10, 0, 1, 5, 0, 0]], dtype=np.float32)

    found = np.asarray(changed(view, take_from_the_left, np.array([[1, 0]], dtype=np.float32)))[0]

    assert np.argwhere(found == 1).tolist() == [[45, 70]]
    assert (found[:, :11] == -1).all()
    assert (found[:45, 11:] == 0).all()
