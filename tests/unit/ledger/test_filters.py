"""What `emwatch log` finds by file names and by the last session."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from unicodedata import normalize

import pytest

from emwatch.ledger.query import LedgerReader, LogFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from emwatch.frame import Outcome
    from emwatch.ledger.writer import Ledger

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("name", "glob"),
    [
        ("scan[1].tif", "scan[1].tif"),
        ("scan1.tif", "scan[1].tif"),
        ("SCAN_001.TIF", "scan_*.tif"),
        ("SCAN_001.TIF", "scan_0?1.tif"),
        ("100%_a.tif", "100%_?.tif"),
        ("scan_001.tif", "SCAN_*1.TIF"),
        (normalize("NFD", "Präparat.tif"), normalize("NFC", "präparat*")),
        (normalize("NFC", "Präparat.tif"), normalize("NFD", "Präparat*")),
        ("ÄÖÜ[2].tif", "äöü[2].tif"),
        ("試料.tif", "試*"),
    ],
)
def test_a_name_is_found_as_people_write_it(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime, name: str, glob: str
) -> None:
    ledger.record(frame_of(f"/acq/{name}", "1"), noon)
    ledger.record(frame_of("/acq/other[3]é.tif", "2"), noon)
    ledger.record(frame_of("/acq/scanX001.tif2", "3"), noon)
    ledger.record(frame_of("/acq/100xxa.tif", "4"), noon)
    with LedgerReader(ledger.path) as reader:
        found = [row.path.name for row in reader.rows(LogFilter(path=glob))]
        counted = reader.count(LogFilter(path=f"/ACQ/{glob}"))

    assert (found, counted) == ([name], 1)


def test_the_last_session_is_that_of_the_frame_recorded_last(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    ledger.record(frame_of("/acq/ahead.tif", "ahead", written_at=noon + 2 * DAY), noon)
    ledger.record(frame_of("/acq/now.tif", "now", written_at=noon), noon + timedelta(minutes=1))
    with LedgerReader(ledger.path) as reader:
        last = [row.path.name for row in reader.rows(LogFilter(session="last"))]
        sessions = [each.name for each in reader.sessions()]

    assert last == ["now.tif"]
    assert sessions == ["2026-03-01T12:00", "2026-03-03T12:00"]


def test_a_clock_of_ours_that_was_ahead_does_not_keep_the_last_session(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    ledger.record(frame_of("/acq/ahead.tif", "ahead", written_at=noon - 9 * DAY), noon + 300 * DAY)
    ledger.record(frame_of("/acq/now.tif", "now", written_at=noon), noon)
    with LedgerReader(ledger.path) as reader:
        asked = LogFilter(session="last", asked_at=noon + DAY)
        assert [row.path.name for row in reader.rows(asked)] == ["now.tif"]


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("recorded_at < '2026-03-01T12:00:30'", ["early.tif"]),
        ("recorded_at >= '2026-03-01T12:00:30'", ["50%:2.tif"]),
        ("path LIKE '%:2.tif'", ["50%:2.tif"]),
        ("strftime('%H:%M', recorded_at) = '12:01'", ["50%:2.tif"]),
        ("path GLOB '*\\*' OR path = ':x'", []),
    ],
)
def test_sql_is_asked_as_it_is_written(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime, where: str, names: list[str]
) -> None:
    ledger.record(frame_of("/acq/early.tif", "1"), noon)
    ledger.record(frame_of("/acq/50%:2.tif", "2"), noon + timedelta(minutes=1))
    with LedgerReader(ledger.path) as reader:
        assert [row.path.name for row in reader.rows(LogFilter(where=where))] == names
        assert reader.count(LogFilter(where=where)) == len(names)


def test_brackets_in_a_name_take_and_leave_out_letters(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    for name in ("scan1", "scan2", "scan!"):
        ledger.record(frame_of(f"/acq/{name}.tif", name), noon)
    with LedgerReader(ledger.path) as reader:
        found = [
            sorted(row.path.stem for row in reader.rows(LogFilter(path=f"scan{each}.tif"))) for each in ("[12]", "[!2]")
        ]
    assert found == [["scan1", "scan2"], ["scan!", "scan1"]]
