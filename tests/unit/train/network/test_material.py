"""What a network is to learn from: what is wrong with its parts is told before a frame is decoded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from emwatch.errors import DatasetError
from emwatch.frame import CATEGORIES
from emwatch.train.dataset.labelled import Part, open_dataset, write_manifest
from emwatch.train.network.views import opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emwatch.train.dataset.labelled import LabelledFrame


def _manifest(dataset: Path, to: Path, part_of: Callable[[int, LabelledFrame], Part | None]) -> Path:
    """Write a manifest whose parts are told by the number of a frame's session, 0 to 4, and the frame."""
    frames = [replace(frame, part=part_of(int(frame.source[-1]), frame)) for frame in open_dataset(dataset)]
    write_manifest(to, frames)
    return to


def _as_usual(session: int, frame: LabelledFrame) -> Part | None:
    del frame
    return (Part.TEST, Part.VALIDATION, Part.TRAINING)[min(session, 2)]


def test_a_manifests_parts_are_taken_and_nothing_is_dealt_at_random(
    drawn_dataset: Path, tmp_path: Path, new_ears: Any
) -> None:
    ears = new_ears()
    frames, parts = opened(_manifest(drawn_dataset, tmp_path / "split.tsv", _as_usual), "random", 0, ears)

    assert parts == [frame.part for frame in frames]
    assert parts.count(Part.TRAINING) == 30
    assert "nothing is split at random" in ears.lines[-1]


def test_a_table_of_which_only_some_rows_tell_a_part_is_refused(
    drawn_dataset: Path, tmp_path: Path, new_ears: Any
) -> None:
    def forgotten(session: int, frame: LabelledFrame) -> Part | None:
        return None if (session, frame.category) == (3, 1) else _as_usual(session, frame)

    table = _manifest(drawn_dataset, tmp_path / "split.tsv", forgotten)

    with pytest.raises(
        DatasetError, match=r"1 of 50 frames have no part, the first .*Fibres/session 3/frame\.png: exp"
    ):
        opened(table, "source", 0, new_ears())


def test_a_category_that_would_not_be_learned_is_told_at_once(
    drawn_dataset: Path, tmp_path: Path, new_ears: Any
) -> None:
    def without_tips(session: int, frame: LabelledFrame) -> Part | None:
        return Part.TEST if CATEGORIES[frame.category] == "Tips" else _as_usual(session, frame)

    table = _manifest(drawn_dataset, tmp_path / "split.tsv", without_tips)

    with pytest.raises(DatasetError, match="the training part has no frame of Tips"):
        opened(table, "source", 0, new_ears())


def test_an_empty_validation_part_is_told_at_once(drawn_dataset: Path, tmp_path: Path, new_ears: Any) -> None:
    table = _manifest(drawn_dataset, tmp_path / "split.tsv", lambda session, _: Part.TRAINING if session else Part.TEST)

    with pytest.raises(DatasetError, match="the validation part is empty"):
        opened(table, "source", 0, new_ears())
