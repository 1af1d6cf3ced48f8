from __future__ import annotations

import numpy as np
import pytest

from emwatch.train.heads.unfamiliar import KINDS, UnfamiliarPicture, unfamiliar_pictures


@pytest.mark.parametrize("kind", list(KINDS))
def test_each_kind_draws_pictures_that_differ_by_seed_and_repeat(kind: str) -> None:
    first, again, other = (UnfamiliarPicture(kind, seed).draw() for seed in (1, 1, 2))

    assert (first.shape, first.dtype) == ((384, 512, 3), np.uint8)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_kinds_come_in_turn_and_no_picture_twice() -> None:
    listed = unfamiliar_pictures(3 * len(KINDS), seed=4)

    assert {3} == {sum(each.kind == kind for each in listed) for kind in KINDS}
    assert len({(each.kind, each.seed) for each in listed}) == len(listed)
    assert not {each.seed for each in listed} & {each.seed for each in unfamiliar_pictures(500, seed=5)}
