"""What a data bar adds to a frame that is recorded already."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect

from emwatch.frame import AcquisitionMetadata, Candidate, Match, Outcome, Reading, Sidecar, StatKey
from emwatch.ledger.bars import NEWEST_UNREAD
from emwatch.ledger.writer import BarFindings, Ledger, Queued
from tests.counts import Counts, counts

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_COMPLETE = {"magnification": 1000.0, "pixel_size_nm": 5.0, "accelerating_voltage_kv": 5.0}
_BAR = {"magnification": Reading(500.0, "Mag = 500 X", "data bar", reason="read with confidence 0.93")}


def _completed(stored: AcquisitionMetadata) -> AcquisitionMetadata:
    return replace(stored, readings={**_BAR, **stored.readings}, flags=(*stored.flags, "from the bar"))


def _findings(*targets: str, seen: list[Any] | None = None) -> BarFindings:
    def matched(frame: Candidate) -> tuple[Match, ...]:
        if seen is not None:
            seen.append((frame.prediction, frame.metadata))
        return tuple(Match(name, "magnification 500x", ("terminal", "horn")) for name in targets)

    return BarFindings(_completed, matched)


def _rows(ledger: Ledger, question: str) -> list[Any]:
    with closing(sqlite3.connect(ledger.path)) as connection:
        return connection.execute(question).fetchall()


def test_frames_without_what_bars_show_wait_newest_first(
    ledger: Ledger, frame_of: Callable[..., Outcome], failure_of: Callable[..., Outcome], noon: datetime
) -> None:
    first = ledger.record(frame_of("/acq/1.tif", "1"), noon).frame_id
    ledger.record(frame_of("/acq/2.tif", "2", numbers=_COMPLETE), noon)
    third = ledger.record(frame_of("/acq/3.tif", "3", numbers={"magnification": 5.0}), noon).frame_id
    ledger.record(failure_of("/acq/4.tif"), noon)
    newest = ledger.unread_bar()
    assert newest is not None
    next_one = ledger.unread_bar(before_id=newest.frame_id)
    assert next_one is not None

    assert (third, Path("/acq/3.tif"), noon) == (newest.frame_id, newest.path, newest.recorded_at)
    assert first == next_one.frame_id
    assert ledger.unread_bar(before_id=first) is None
    assert ledger.unread_bar(of_frame=first) == next_one


def test_overwritten_content_does_not_wait(ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime) -> None:
    old = ledger.record(frame_of(content="old"), noon).frame_id
    ledger.record(frame_of(content="new", numbers=_COMPLETE), noon)

    assert ledger.unread_bar(of_frame=old) is None
    assert ledger.unread_bar() is None


def test_what_waits_is_found_along_an_index(ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime) -> None:
    ledger.record(frame_of(), noon)
    question = str(
        NEWEST_UNREAD.params(before_id=99).compile(dialect=sqlite_dialect(), compile_kwargs={"literal_binds": True})
    )
    plan = _rows(ledger, "EXPLAIN QUERY PLAN " + question)

    steps = [step[3] for step in plan]
    assert any("metadata USING" in step and "ix_metadata_bar_unread" in step for step in steps), steps
    assert not any("TEMP B-TREE" in step or "ix_frames" in step for step in steps), steps


def test_a_bar_completes_the_row_and_brings_matches_and_alerts(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    outcome = frame_of(numbers={"stage_tilt_deg": 3.0})
    frame_id = ledger.record(outcome, noon).frame_id
    assert counts(ledger.path) == Counts(frames=1)
    seen: list[Any] = []
    added = ledger.add_data_bar(frame_id, _findings("late", seen=seen), noon + timedelta(seconds=2))
    assert outcome.reading is not None

    assert added == Queued(alerts=2)
    assert [(outcome.prediction, _completed(outcome.reading.metadata))] == seen
    assert _rows(ledger, "SELECT magnification, stage_tilt_deg, vendor, bar_read_at FROM metadata") == [
        (500.0, 3.0, "zeiss", "2026-03-01T12:00:02.000000+00:00")
    ]
    assert _rows(ledger, "SELECT target, channel, state FROM alerts") == [
        ("late", "terminal", "pending"),
        ("late", "horn", "pending"),
    ]
    assert Counts(frames=1, hits=1, waiting_alerts=2) == counts(ledger.path)
    assert ledger.unread_bar() is None


def test_a_bar_counts_once(ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime) -> None:
    frame_id = ledger.record(frame_of(), noon).frame_id
    added = [ledger.add_data_bar(frame_id, _findings("late"), noon) for _ in range(2)]

    assert added == [Queued(alerts=2), Queued()]
    assert _rows(ledger, "SELECT flags FROM metadata") == [('["odd","from the bar"]',)]


def test_an_alert_that_was_given_is_not_given_again(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    frame_id = ledger.record(frame_of(targets=("known",), channels=("terminal", "horn")), noon).frame_id

    assert ledger.add_data_bar(frame_id, _findings("known"), noon) == Queued()
    assert _rows(ledger, "SELECT reason FROM matches") == [("because known",)]


def test_a_frame_and_its_copy_raise_one_alert_whichever_bar_is_read_first(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    original = ledger.record(frame_of("/acq/a.tif"), noon).frame_id
    copy, another = (ledger.record(frame_of(f"/acq/{name}.tif"), noon).frame_id for name in "bc")

    assert ledger.add_data_bar(copy, _findings("late"), noon) == Queued(alerts=2)
    assert ledger.add_data_bar(original, _findings("late"), noon) == Queued()
    assert ledger.add_data_bar(another, _findings("late"), noon) == Queued()
    assert _rows(ledger, "SELECT frame_id, target FROM matches") == [
        (original, "late"),
        (copy, "late"),
        (another, "late"),
    ]


def test_a_copy_whose_bar_says_what_the_originals_said_raises_no_alert(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    """Another target since then is no news about the frame: moving a day's folder must not tell of all of it."""
    original = ledger.record(frame_of("/acq/a.tif"), noon).frame_id
    ledger.add_data_bar(original, _findings(), noon)
    copy = ledger.record(frame_of("/acq/b.tif"), noon).frame_id

    assert ledger.add_data_bar(copy, _findings("later"), noon) == Queued()
    assert ledger.record(frame_of("/acq/c.tif", targets=("later too",)), noon).alerts == 0


def test_a_frame_that_was_renamed_before_its_text_came_raises_its_alert(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    ledger.record(frame_of("/acq/a.tif"), noon)
    renamed, moved = frame_of("/acq/b.tif", targets=("t",)), frame_of("/acq/old/b.tif", targets=("t",))
    ledger.record(replace(renamed, matches=()), noon)

    alerts = [ledger.record(_with_sidecar(each, 333.0, _TEXT, "t"), noon).alerts for each in (renamed, moved, renamed)]

    assert alerts == [1, 0, 0]


def test_a_copy_is_quiet_although_the_hit_that_was_told_was_taken_back(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    texts = [replace(_TEXT, sha256=str(number) * 64) for number in range(3)]
    original, renamed = frame_of("/acq/a.tif"), frame_of("/acq/b.tif")
    told = ledger.record(_with_sidecar(original, 333.0, texts[0], "t"), noon)
    [alert] = ledger.due_alerts("terminal", noon)
    ledger.alert_delivered(alert.id, noon)
    ledger.record(_with_sidecar(original, 5.0, texts[1]), noon)

    assert told.alerts == 1
    assert _rows(ledger, "SELECT * FROM matches") == []
    assert ledger.record(_with_sidecar(renamed, 333.0, texts[2], "t"), noon).alerts == 0


def test_an_old_frame_matches_without_an_alert(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    frame_id = ledger.record(frame_of(), noon).frame_id

    assert ledger.add_data_bar(frame_id, _findings("late"), noon + timedelta(days=4)) == Queued(held_back=1)
    assert _rows(ledger, "SELECT target FROM matches") == [("late",)]


def test_content_overwritten_meanwhile_raises_no_alert(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    old = ledger.record(frame_of(content="old"), noon).frame_id
    ledger.record(frame_of(content="new"), noon)

    assert ledger.add_data_bar(old, _findings("late"), noon) == Queued()


def test_a_sidecar_that_came_meanwhile_is_completed_and_not_overwritten(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    with_sidecar = frame_of(numbers={"magnification": 333.0})
    assert with_sidecar.reading is not None
    bare = replace(with_sidecar, reading=replace(with_sidecar.reading, metadata=AcquisitionMetadata()))
    frame_id = ledger.record(bare, noon).frame_id
    ledger.add_data_bar(frame_id, _findings(), noon)
    ledger.record(with_sidecar, noon)
    waits_again = ledger.unread_bar(of_frame=frame_id)
    ledger.add_data_bar(frame_id, _findings(), noon)

    assert waits_again is not None
    assert _rows(ledger, "SELECT magnification, vendor, flags FROM metadata") == [
        (333.0, "zeiss", '["odd","from the bar"]')
    ]


@pytest.mark.parametrize(("days", "alerts"), [(2, 2), (4, 0)])
def test_a_sidecar_that_comes_after_days_matches_without_an_alert(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime, days: int, alerts: int
) -> None:
    complete = frame_of(numbers={"magnification": 333.0}, targets=("late",), channels=("terminal", "horn"))
    assert complete.reading is not None
    bare = replace(complete, reading=replace(complete.reading, metadata=AcquisitionMetadata()), matches=())
    ledger.record(bare, noon)
    recorded = ledger.record(complete, noon + timedelta(days=days))

    assert recorded.alerts == alerts
    assert _rows(ledger, "SELECT target FROM matches") == [("late",)]


def _with_sidecar(outcome: Outcome, magnification: float, sidecar: Sidecar, *targets: str) -> Outcome:
    assert outcome.reading is not None
    readings = {"magnification": Reading(magnification, str(magnification), "sidecar")}
    metadata = AcquisitionMetadata("hitachi", readings, ("the flag may have any words",), sidecar)
    matches = tuple(Match(name, "because", ("terminal",)) for name in targets)
    return replace(outcome, reading=replace(outcome.reading, metadata=metadata), matches=matches)


_TEXT = Sidecar("a.txt", "1" * 64, 100, 5)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (replace(_TEXT, cut=True), replace(_TEXT, sha256="2" * 64, size=120, mtime_ns=6)),  # half of it was read
        (_TEXT, replace(_TEXT, sha256="2" * 64, mtime_ns=6)),  # it was corrected
    ],
    ids=["half", "corrected"],
)
def test_a_sidecar_that_changed_is_read_again_and_taken_over(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime, before: Sidecar, after: Sidecar
) -> None:
    frame, beside = frame_of(), Path("/acq/a.txt")
    ledger.record(_with_sidecar(frame, 5.0, before), noon)
    wants = [
        ledger.wants_sidecar(frame.path, beside, StatKey(each.size, each.mtime_ns, 0, 0)) for each in (before, after)
    ]
    recorded = ledger.record(_with_sidecar(frame, 333.0, after, "late"), noon + timedelta(seconds=2))

    assert wants == [before.cut, True]
    assert not ledger.wants_sidecar(frame.path, beside, StatKey(after.size, after.mtime_ns, 0, 0))
    assert recorded.alerts == 1
    assert _rows(ledger, "SELECT magnification, sidecar_cut, sidecar ->> '$.size' FROM metadata") == [
        (333.0, 0, after.size)
    ]


def test_another_text_beside_a_frame_changes_nothing(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    frame = frame_of()
    ledger.record(_with_sidecar(frame, 5.0, _TEXT), noon)
    seen_again = ledger.record(_with_sidecar(frame, 333.0, _TEXT, "late"), noon)

    assert not ledger.wants_sidecar(frame.path, Path("/acq/notes.txt"), StatKey(1, 1, 1, 1))
    assert seen_again.alerts == 0
    assert _rows(ledger, "SELECT magnification FROM metadata") == [(5.0,)]


def test_a_data_bar_leaves_what_is_known_of_the_sidecar(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    frame_id = ledger.record(_with_sidecar(frame_of(), 5.0, replace(_TEXT, cut=True)), noon).frame_id
    ledger.add_data_bar(frame_id, _findings(), noon)

    assert _rows(ledger, "SELECT sidecar_cut, sidecar ->> '$.name' FROM metadata") == [(1, "a.txt")]


def test_a_match_that_a_corrected_text_takes_away_raises_no_alert(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    frame = frame_of()
    ledger.record(_with_sidecar(frame, 5.0, _TEXT, "stale"), noon)
    corrected = replace(_TEXT, sha256="2" * 64, mtime_ns=6)
    ledger.record(_with_sidecar(frame, 333.0, corrected, "late"), noon + timedelta(seconds=2))

    assert _rows(ledger, "SELECT target FROM matches") == [("late",)]
    assert {alert.target for alert in ledger.due_alerts("terminal", noon + timedelta(seconds=3), 10)} == {"late"}
