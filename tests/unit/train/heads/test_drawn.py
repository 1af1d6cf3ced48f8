from __future__ import annotations

from collections import Counter

import numpy as np

from emwatch.frame import CATEGORIES
from emwatch.simulate.painter import PAINTERS, kinds_of
from emwatch.train.heads.drawn import drawn_frames, every_kind


def test_painters_and_the_kinds_of_a_category_come_in_turn() -> None:
    frames = drawn_frames(per_category=20, seed=0)

    assert [frame.category for frame in frames] == sorted(20 * [*range(len(CATEGORIES))])
    for category, name in enumerate(CATEGORIES):
        for painter in PAINTERS:
            drawn = [frame.kind for frame in frames if (frame.category, frame.painter) == (category, painter)]
            counts = Counter(drawn)
            assert len(drawn) == 10
            assert set(counts) == set(kinds_of(name, painter)[:10])
            assert max(counts.values()) - min(counts.values()) <= 1


def test_every_kind_is_drawn_as_often() -> None:
    counts = Counter((frame.category, frame.painter, frame.kind) for frame in every_kind(per_kind=2, seed=1))

    assert len(counts) == sum(len(kinds_of(name, painter)) for name in CATEGORIES for painter in PAINTERS)
    assert set(counts.values()) == {2}


def test_a_frame_is_drawn_the_same_twice_and_half_of_them_wear_a_bar() -> None:
    frames = drawn_frames(per_category=8, seed=2)[:8]
    first, again = ([frame.draw() for frame in frames] for _ in range(2))

    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert not np.array_equal(first[0][:300], drawn_frames(per_category=1, seed=3)[0].draw()[:300])
    assert len({picture.shape for picture in first}) > 1
