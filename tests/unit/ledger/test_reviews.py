"""What people say of frames: added and never changed, the newest counts, and it goes where its frame goes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emwatch.errors import LedgerError
from emwatch.frame import Review, ReviewVerdict
from emwatch.ledger.care.prune import Prune
from emwatch.ledger.care.salvage import Salvage
from emwatch.ledger.query import LedgerReader, LogFilter
from emwatch.ledger.reviews import NoSuchFrameError
from emwatch.ledger.writer import Ledger
from emwatch.testing import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from emwatch.frame import Outcome

HOUR = timedelta(hours=1)


def said(frame_id: int, category: str | None, at: datetime, by: str = "ana", note: str = "") -> Review:
    verdict = ReviewVerdict.UNSURE if category is None else ReviewVerdict.RELABEL
    return Review(frame_id, verdict, category, by, at, note)


def reviewed(ledger: Ledger, wanted: LogFilter = LogFilter(newest_first=False)) -> dict[str, str | None]:  # noqa: B008 - frozen
    with LedgerReader(ledger.path) as reader:
        return {row.path.name: row.reviewed for row in reader.rows(wanted)}


def test_the_newest_review_counts_and_all_others_stay(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    ledger.record(frame_of("/acq/a.tif", "a"), noon)
    ledger.record(frame_of("/acq/b.tif", "b"), noon)
    ledger.add_reviews([said(1, "Powder", noon + HOUR, note="grains")])
    ledger.add_reviews([said(1, "Fibres", noon)])  # handed over earlier, taken in later

    with LedgerReader(ledger.path) as reader:
        found = [(each.category, each.note, each.counts) for each in reader.reviews(LogFilter())]
        assert found == [("Powder", "grains", True), ("Fibres", "", False)]
    assert reviewed(ledger) == {"a.tif": "Powder", "b.tif": None}
    ledger.add_reviews([said(1, None, noon + 2 * HOUR)])
    assert reviewed(ledger) == {"a.tif": "unsure", "b.tif": None}
    assert reviewed(ledger, LogFilter(reviewed=True)) == {"a.tif": "unsure"}
    assert reviewed(ledger, LogFilter(reviewed=False)) == {"b.tif": None}
    with closing(sqlite3.connect(ledger.path)) as connection:
        assert connection.execute("SELECT reviewed FROM v_log ORDER BY id").fetchall() == [("unsure",), (None,)]


def test_what_a_clock_that_was_days_ahead_said_does_not_count_instead_of_what_is_said_now(
    tmp_path: Path, frame_of: Callable[..., Outcome]
) -> None:
    clock = ManualClock()
    with Ledger(tmp_path / "ledger.sqlite", clock=clock) as ledger:
        for name in "ab":
            ledger.record(frame_of(f"/acq/{name}.tif", name), clock.now())
        clock.put(3 * 86_400)
        ahead = clock.now()
        ledger.add_reviews([said(each, "Powder", ahead) for each in (1, 2)])
        ledger.add_reviews([said(1, "Fibres", ahead + HOUR)])
        clock.put(-3 * 86_400)
        now = clock.now()
        ledger.add_reviews([said(1, "Tips", now - timedelta(seconds=2)), said(1, None, now, by="ben")])

        assert reviewed(ledger) == {"a.tif": "unsure", "b.tif": "Powder"}
        with LedgerReader(ledger.path) as reader:
            of_first = [each.category for each in reader.reviews(LogFilter()) if each.frame_id == 1]
        assert of_first == [None, "Tips", "Fibres", "Powder"]
        clock.put(3 * 86_400)
        assert reviewed(ledger)["a.tif"] == "unsure"


def test_predictions_stay_and_nobody_is_alerted(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    ledger.record(frame_of(category="Tips"), noon)
    ledger.add_reviews([said(1, "Powder", noon)])

    with LedgerReader(ledger.path) as reader:
        assert [(row.category, row.targets) for row in reader.rows()] == [("Tips", ())]
    assert ledger.due_alerts("terminal", noon + HOUR) == ()


def test_the_very_same_review_twice_is_one(ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime) -> None:
    ledger.record(frame_of(), noon)
    for _ in range(2):
        ledger.add_reviews([said(1, "Powder", noon)])
    ledger.add_reviews([said(1, "Powder", noon, by="ben")])

    with LedgerReader(ledger.path) as reader:
        assert [each.reviewed_by for each in reader.reviews(LogFilter())] == ["ben", "ana"]


def test_with_one_number_that_is_not_there_nothing_is_written(
    ledger: Ledger, frame_of: Callable[..., Outcome], failure_of: Callable[..., Outcome], noon: datetime
) -> None:
    ledger.record(frame_of(), noon)
    ledger.record(failure_of("/acq/bad.tif"), noon)
    with pytest.raises(NoSuchFrameError, match="number 2, 7"):
        ledger.add_reviews([said(1, "Powder", noon), said(7, "Powder", noon), said(2, "Powder", noon)])

    assert reviewed(ledger)["a.tif"] is None


def test_a_verdict_and_its_category_belong_together(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    ledger.record(frame_of(), noon)
    for review in (
        Review(1, ReviewVerdict.REJECT, "Tips", "ana", noon),
        Review(1, ReviewVerdict.CONFIRM, None, "ana", noon),
    ):
        with pytest.raises(LedgerError, match="CHECK"):
            ledger.add_reviews([review])


def test_a_path_means_what_is_recorded_there_now(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    ledger.record(frame_of(content="old", category="Tips"), noon)
    ledger.record(frame_of(content="new", category="Powder"), noon + HOUR)

    with LedgerReader(ledger.path) as reader:
        by_path, by_number = reader.to_review(Path("/acq/a.tif")), reader.to_review(1)
        assert by_path is not None
        assert by_number is not None
        assert (by_path.frame_id, by_path.category) == (2, "Powder")
        assert (by_number.frame_id, by_number.category) == (1, "Tips")
        assert reader.to_review(Path("/acq/other.tif")) is reader.to_review(3) is None


def test_reviews_are_taken_over_with_their_frames_and_go_with_them(
    tmp_path: Path, ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    ledger.record(frame_of("/acq/here.tif", "here"), noon)
    with Ledger(tmp_path / "other.sqlite") as other:
        other.record(frame_of("/acq/there.tif", "there"), noon)
        other.add_reviews([said(1, "Powder", noon)])
        for _ in range(2):
            with Salvage(other.path) as source:
                ledger.take_over(source, send_waiting=False)

    assert reviewed(ledger) == {"here.tif": None, "there.tif": "Powder"}
    with LedgerReader(ledger.path) as reader:
        assert len(reader.reviews(LogFilter())) == 1
    ledger.prune(Prune(lambda _: False, frames=noon + HOUR), apply=True)
    assert reviewed(ledger) == {}
