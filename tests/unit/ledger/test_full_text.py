from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from emwatch.ledger.query import LedgerReader, LogFilter
from emwatch.testing import make_metadata

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from emwatch.frame import Outcome
    from emwatch.ledger.writer import Ledger


def _indexed(path: Path) -> set[int]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return {number for (number,) in connection.execute("SELECT rowid FROM log_text")}


def test_a_frame_is_found_once_by_its_words_before_and_after_they_are_indexed(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    for number in range(1, 131):
        ledger.record(frame_of(f"/acq/wafer{number}.tif"), noon + timedelta(seconds=number))
        if number % 16:
            continue
        with LedgerReader(ledger.path) as reader:
            assert [row.path.name for row in reader.rows(LogFilter(text=f"wafer{number}"))] == [f"wafer{number}.tif"]
    indexed = _indexed(ledger.path)

    assert 1 in indexed
    assert 130 not in indexed
    with LedgerReader(ledger.path) as reader:
        assert reader.count(LogFilter(text="acq")) == 130
        assert len(list(reader.rows(LogFilter(text="acq tif", limit=200)))) == 130


def test_metadata_that_come_late_are_found_whether_the_frame_is_indexed_or_not(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    def frame(number: int, vendor: str | None) -> Outcome:
        made = frame_of(f"/acq/{number}.tif", str(number))
        assert made.reading is not None
        return replace(made, reading=replace(made.reading, metadata=make_metadata(vendor)))

    for number in range(1, 71):
        ledger.record(frame(number, None), noon + timedelta(seconds=number))
    assert {2, 69} & _indexed(ledger.path) == {2}
    for number in (2, 69):
        ledger.record(frame(number, "jeol"), noon + timedelta(hours=1))

    with LedgerReader(ledger.path) as reader:
        assert {row.path.name for row in reader.rows(LogFilter(text="jeol"))} == {"2.tif", "69.tif"}
