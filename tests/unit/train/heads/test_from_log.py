"""Which reviewed frames teach: the very bytes that were reviewed, once, as the newest review says."""

from __future__ import annotations

import hashlib
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from emwatch.errors import DatasetError
from emwatch.frame import (
    CATEGORIES,
    Review,
    ReviewVerdict,
)
from emwatch.ledger.query import LedgerReader, LogFilter
from emwatch.ledger.sessions import session_name
from emwatch.ledger.writer import Ledger
from emwatch.testing import make_metadata, make_outcome, make_reading, make_stat_key
from emwatch.train.dataset.labelled import LabelledFrame
from emwatch.train.heads.from_log import FromLog, beside, check_categories, reviewed_frames

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(name="ledger")
def _ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


def frame(folder: Path, name: str, seed: int = 0) -> Path:
    path = folder / name
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (48, 64), dtype=np.uint8)).save(path)
    return path


def record(ledger: Ledger, path: Path, written_at: datetime = NOON) -> int:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    key = make_stat_key(written_at, size=path.stat().st_size)
    metadata = make_metadata(instrument="sigma")
    reading = make_reading(path, sha256=sha256, stat_key=key, metadata=metadata)
    outcome = make_outcome(path, reading=reading, sha256=sha256, stat_key=key)
    frame_id: int = ledger.record(outcome, NOON).frame_id
    return frame_id


def say(ledger: Ledger, frame_id: int, category: str | None, hours: int = 0) -> None:
    verdict = ReviewVerdict.REJECT if category is None else ReviewVerdict.RELABEL
    ledger.add_reviews([Review(frame_id, verdict, category, "ana", NOON + timedelta(hours=hours))])


def found(ledger: Ledger, wanted: LogFilter = LogFilter()) -> FromLog:  # noqa: B008 - frozen
    with LedgerReader(ledger.path) as reader:
        return reviewed_frames(reader, wanted)


def test_the_newest_review_names_the_category_and_the_sitting_the_source(tmp_path: Path, ledger: Ledger) -> None:
    for number, (first, then) in enumerate([("Tips", "Powder"), ("Tips", None), (None, "Fibres")]):
        frame_id = record(ledger, frame(tmp_path, f"{number}.png", number), NOON + number * DAY)
        say(ledger, frame_id, first)
        say(ledger, frame_id, then, hours=1)
    record(ledger, frame(tmp_path, "nobody reviewed it.png", 9))

    frames = found(ledger).frames
    assert [(each.path.name, CATEGORIES[each.category], each.source) for each in frames] == [
        ("2.png", "Fibres", f"log sigma {session_name(NOON + 2 * DAY)}"),
        ("0.png", "Powder", f"log sigma {session_name(NOON)}"),
    ]
    assert [each.path.name for each in found(ledger, LogFilter(path="2.*")).frames] == ["2.png"]


def test_files_that_are_gone_changed_or_no_picture_are_left_out_and_said(tmp_path: Path, ledger: Ledger) -> None:
    paths = [frame(tmp_path, f"{name}.png", seed) for seed, name in enumerate(["gone", "changed", "odd", "whole"])]
    paths[2].write_bytes(b"a format of its own")
    for path in paths:
        say(ledger, record(ledger, path), "Tips")
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes() + b"\0")

    left = found(ledger)
    assert [each.path.name for each in left.frames] == ["whole.png"]
    assert {each.path.stem: each.kind for each in left.left_out} == {
        "gone": "missing",
        "changed": "changed",
        "odd": "unreadable",
    }
    assert all(str(each.path) in each.reason for each in left.left_out)


def test_copies_teach_once_as_was_said_last_of_any_and_one_that_is_left_is_enough(
    tmp_path: Path, ledger: Ledger
) -> None:
    one = frame(tmp_path, "one.png")
    other = shutil.copy(one, tmp_path / "other.png")
    say(ledger, record(ledger, one), "Tips", hours=1)
    say(ledger, record(ledger, other), "Powder")
    assert [CATEGORIES[each.category] for each in found(ledger).frames] == ["Tips"]

    one.unlink()
    left = found(ledger)
    assert [(each.path, CATEGORIES[each.category]) for each in left.frames] == [(other, "Tips")]
    assert left.left_out == []


def test_nothing_to_learn_from_says_why(tmp_path: Path, ledger: Ledger) -> None:
    path = frame(tmp_path, "a.png")
    frame_id = record(ledger, path)
    with pytest.raises(DatasetError, match=r"none is reviewed as a category.*emwatch review"):
        found(ledger)
    say(ledger, frame_id, None)
    with pytest.raises(DatasetError, match="none is reviewed as a category"):
        found(ledger)
    say(ledger, frame_id, "Tips", hours=1)
    path.unlink()
    with pytest.raises(DatasetError, match="1 missing"):
        found(ledger)


def test_a_file_in_the_dataset_and_in_the_log_comes_once_unless_they_disagree(tmp_path: Path) -> None:
    one = LabelledFrame(frame(tmp_path, "one.png"), 3, "log")
    copy = LabelledFrame(shutil.copy(one.path, tmp_path / "copy.png"), 3, "lab")
    other = LabelledFrame(copy.path, 4, "lab")
    different = LabelledFrame(frame(tmp_path, "different.png", 1), 3, "lab")

    assert beside([copy, different], [one]) == [different, one]
    assert beside([other], [one]) == [other, one], "which one is right is for a person to say"


def test_categories_that_nobody_reviewed_need_drawn_frames(tmp_path: Path) -> None:
    frames = [LabelledFrame(tmp_path / "x", index, "lab") for index in range(9)]
    with pytest.raises(DatasetError, match="nothing teaches Tips: review some"):
        check_categories(frames)
    check_categories([*frames, LabelledFrame(tmp_path / "x", 9, "lab")])
