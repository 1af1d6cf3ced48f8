from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from emwatch.frame import Candidate, Match, Outcome
from emwatch.ledger.outbox import Queued
from emwatch.ledger.query import LedgerReader, LogFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from emwatch.ledger.writer import Ledger

HOUR = timedelta(hours=1)


def wires(frame: Candidate) -> tuple[Match, ...]:
    met = frame.prediction.category == "Nanowires" and frame.metadata.number("magnification") == 5000.0
    return (Match("wires", "because", ("terminal", "phone")),) if met else ()


def test_the_newest_prediction_counts_and_the_older_ones_stay(
    ledger: Ledger, frame_of: Callable[..., Outcome], prediction_of: Callable[..., Any], noon: datetime
) -> None:
    ledger.record(frame_of(category="Tips"), noon)
    ledger.add_prediction(1, prediction_of("Powder", 0.7, bundle="c"), noon + HOUR)

    with LedgerReader(ledger.path) as reader:
        assert [row.category for row in reader.rows()] == ["Powder"]
        assert list(reader.scores(1)) == ["c" * 64, "b" * 64]
        assert reader.count(LogFilter(categories=("Powder",))) == 1


def test_the_name_of_a_bundle_is_written_down_once(
    ledger: Ledger, frame_of: Callable[..., Outcome], prediction_of: Callable[..., Any], noon: datetime
) -> None:
    ledger.record(frame_of(), noon)
    for number, name in enumerate(["", "wires", "renamed"], start=2):
        ledger.record(frame_of(f"/acq/{number}.tif", str(number)), noon)
        ledger.add_prediction(number, replace(prediction_of("Tips", bundle="c"), bundle_name=name), noon)
    with closing(sqlite3.connect(ledger.path)) as connection:
        assert dict(connection.execute("SELECT sha256, name FROM bundles")) == {"b" * 64: "", "c" * 64: "wires"}


def test_what_a_bundle_has_said_is_never_overwritten(
    ledger: Ledger, frame_of: Callable[..., Outcome], prediction_of: Callable[..., Any], noon: datetime
) -> None:
    ledger.record(frame_of(category="Tips"), noon)
    ledger.add_prediction(1, prediction_of("Powder", 0.7, bundle="c"), noon + HOUR)
    with LedgerReader(ledger.path) as reader:
        before = reader.scores(1)
        for bundle in ("b", "c"):
            said = prediction_of("Nanowires", 0.99, bundle=bundle)
            assert (
                ledger.add_prediction(1, said, noon + 2 * HOUR, lambda *_: (Match("t", "r", ("terminal",)),))
                == Queued()
            )
        assert reader.scores(1) == before
        assert [(row.category, row.targets) for row in reader.rows()] == [("Powder", ())]


def test_matches_and_alerts_are_added_only_where_asked_for_by_the_stored_metadata(
    ledger: Ledger, frame_of: Callable[..., Outcome], prediction_of: Callable[..., Any], noon: datetime
) -> None:
    for name, magnification in (("a", 5000.0), ("b", 100.0)):
        ledger.record(frame_of(f"/acq/{name}.tif", name, numbers={"magnification": magnification}), noon)
    ledger.record(frame_of("/acq/copy.tif", "a", numbers={"magnification": 5000.0}), noon)
    silent = [ledger.add_prediction(1, prediction_of("Nanowires", bundle="c"), noon)]
    asked = [ledger.add_prediction(each, prediction_of("Nanowires", bundle="d"), noon, wires) for each in (1, 2, 3)]

    assert (silent, asked) == ([Queued()], [Queued(alerts=2), Queued(), Queued()])
    with LedgerReader(ledger.path) as reader:
        assert {row.path.name: row.targets for row in reader.rows()} == {
            "a.tif": ("wires",),
            "b.tif": (),
            "copy.tif": ("wires",),
        }
    assert [alert.frame_id for alert in ledger.due_alerts("phone", noon)] == [1]


def test_the_unjudged_frames_come_newest_first_in_pages_under_the_filters_of_the_log(
    ledger: Ledger,
    frame_of: Callable[..., Outcome],
    failure_of: Callable[..., Outcome],
    prediction_of: Callable[..., Any],
    noon: datetime,
) -> None:
    for number in range(1, 6):
        category = "Tips" if number % 2 else "Powder"
        ledger.record(frame_of(f"/acq/{number}.tif", str(number), category=category), noon + number * HOUR)
    ledger.record(failure_of("/acq/bad.tif"), noon)
    ledger.record(frame_of("/acq/1.tif", "overwritten"), noon + 6 * HOUR)
    ledger.add_prediction(4, prediction_of("Tips", bundle="c"), noon)
    wanted = LogFilter()
    with LedgerReader(ledger.path) as reader:
        first = reader.unjudged(wanted, "c" * 64, limit=2)
        rest = reader.unjudged(wanted, "c" * 64, before_id=first[-1].frame_id)

        assert [each.frame_id for each in (*first, *rest)] == [7, 5, 3, 2]
        assert reader.count_unjudged(wanted, "c" * 64) == 4
        assert (first[1].path.name, first[1].category) == ("5.tif", "Tips")
        assert [each.frame_id for each in reader.unjudged(LogFilter(categories=("Powder",)), "c" * 64)] == [2]
        since = LogFilter(since=noon + 5 * HOUR)
        assert [each.frame_id for each in reader.unjudged(since, "c" * 64)] == [7, 5]
        assert reader.count_unjudged(wanted, "b" * 64) == 0
