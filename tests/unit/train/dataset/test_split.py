from __future__ import annotations

import collections
from pathlib import Path

import numpy as np
import pytest

from emwatch.errors import DatasetError
from emwatch.train.dataset.labelled import LabelledFrame, Part, open_dataset
from emwatch.train.dataset.split import split_frames


def _frames(per_source: dict[tuple[int, str], int]) -> list[LabelledFrame]:
    return [
        LabelledFrame(Path(f"{category}/{source}/{number}.png"), category, source)
        for (category, source), count in per_source.items()
        for number in range(count)
    ]


def _many(sources: int = 30) -> list[LabelledFrame]:
    random = np.random.default_rng(1)
    return _frames(
        {(category, f"s{category}-{n}"): int(random.integers(1, 12)) for category in range(10) for n in range(sources)}
    )


def test_no_source_stands_in_two_parts_and_every_category_is_divided_as_asked() -> None:
    frames = _many()
    parts = split_frames(frames)

    of_source: dict[str, set[Part]] = collections.defaultdict(set)
    for frame, part in zip(frames, parts, strict=True):
        of_source[frame.source].add(part)
    assert all(len(each) == 1 for each in of_source.values())
    for category in range(10):
        mine = collections.Counter(
            part for frame, part in zip(frames, parts, strict=True) if frame.category == category
        )
        for part, share in zip(Part, (0.7, 0.2, 0.1), strict=True):
            assert mine[part] / mine.total() == pytest.approx(share, abs=0.03)


def test_the_same_seed_deals_the_same_and_another_differently() -> None:
    frames = _many(sources=6)

    assert split_frames(frames, seed=3) == split_frames(frames, seed=3)
    assert split_frames(frames, seed=3) != split_frames(frames, seed=4)


def test_near_duplicates_of_two_sources_stay_together() -> None:
    frames = _many(sources=6)
    chain = [[0, len(frames) // 2], [len(frames) // 2, len(frames) - 1]]
    for seed in range(5):
        parts = split_frames(frames, seed=seed, together=chain)

        assert parts[0] == parts[len(frames) // 2] == parts[-1]


@pytest.mark.parametrize("per_category", [5, 6, 7, 15])
def test_at_random_no_part_is_empty_since_every_category_is_rounded_alike(per_category: int) -> None:
    """Of five frames 3.5, 1 and 0.5 are wanted: rounding the sums gave all categories four, none and one."""
    frames = _frames({(category, "one"): per_category for category in range(10)})
    counts = collections.Counter(split_frames(frames, by="random"))

    assert set(counts) == set(Part)
    for part, share in zip(Part, (0.7, 0.2, 0.1), strict=True):
        assert abs(counts[part] - 10 * per_category * share) <= 10 * 0.5 + 1


def test_at_random_every_category_is_divided_file_by_file() -> None:
    frames = _frames({(0, "one"): 100, (3, "one"): 50})
    parts = split_frames(frames, by="random")

    assert collections.Counter(parts[:100]) == {Part.TRAINING: 70, Part.VALIDATION: 20, Part.TEST: 10}
    assert collections.Counter(parts[100:]) == {Part.TRAINING: 35, Part.VALIDATION: 10, Part.TEST: 5}


def test_fewer_sources_than_parts_are_refused_with_what_to_do() -> None:
    with pytest.raises(DatasetError, match=r"2 sources cannot be divided into 3 parts.*folder of their own"):
        split_frames(_frames({(0, "one"): 100, (3, "two"): 50}))


def test_no_part_is_left_empty_and_one_not_asked_for_gets_nothing() -> None:
    lopsided = _frames({(0, "a"): 500, (0, "b"): 2, (0, "c"): 1})

    assert set(Part) == set(split_frames(lopsided))
    assert {Part.TRAINING, Part.TEST} == set(split_frames(lopsided, shares=(0.9, 0.0, 0.1)))


def test_shares_that_are_none_are_refused() -> None:
    with pytest.raises(DatasetError, match="sum of 1"):
        split_frames(_many(), shares=(0.7, 0.2, 0.2))


def test_real_frames_are_divided_by_source_nearly_as_asked(labelled_frames: Path) -> None:
    frames = open_dataset(labelled_frames)
    parts = split_frames(frames)

    shares = collections.Counter(parts)
    assert shares[Part.TRAINING] / len(frames) == pytest.approx(0.7, abs=0.06)
    sources = {part: {frame.source for frame, mine in zip(frames, parts, strict=True) if mine == part} for part in Part}
    assert not sources[Part.TRAINING] & sources[Part.TEST]
    assert not sources[Part.TRAINING] & sources[Part.VALIDATION]
    divisible = {each for each in range(10) if len({frame.source for frame in frames if frame.category == each}) >= 3}
    for part in Part:
        assert divisible <= {frame.category for frame, mine in zip(frames, parts, strict=True) if mine is part}
