"""Every way of choosing rows gives the rows that a plain look at all of them gives."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from emwatch.frame import FrameState, Review, ReviewVerdict, Window
from emwatch.ledger import choosing
from emwatch.ledger.query import LedgerReader, LogFilter, LogRow
from emwatch.ledger.writer import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from emwatch.frame import Outcome

MINUTE = timedelta(minutes=1)
ASKED: tuple[tuple[LogFilter, Callable[[LogRow], bool]], ...] = (
    (LogFilter(), lambda _row: True),
    (LogFilter(categories=("Tips", "Powder")), lambda row: row.category in {"Tips", "Powder"}),
    (LogFilter(magnification=Window(300, None)), lambda row: (row.magnification or 0) >= 300),
    (
        LogFilter(magnification=Window(100, 700), working_distance_mm=Window(None, 5), hits=True),
        lambda row: bool(100 <= (row.magnification or 0) <= 700 and (row.working_distance_mm or 9) <= 5 and row.targets),
    ),
    (LogFilter(stage_x_mm=Window(0, 3), stage_y_mm=Window(2, 4)), lambda row: (row.stage_x_mm or 9) <= 3 and 2 <= (row.stage_y_mm or 0) <= 4),
    (LogFilter(states=(FrameState.FAILED,)), lambda row: row.state is FrameState.FAILED),
    (LogFilter(target="rare"), lambda row: "rare" in row.targets),
    (LogFilter(alerted=True), lambda row: row.alerted_at is not None),
    (LogFilter(alerted=False, hits=True), lambda row: row.alerted_at is None and bool(row.targets)),
    (LogFilter(path="wafer7_*.tif"), lambda row: row.path.name.startswith("wafer7_") and row.path.suffix == ".tif"),
    (LogFilter(path="*1.tif", categories=("Tips",)), lambda row: row.path.name.endswith("1.tif") and row.category == "Tips"),
    (LogFilter(text="wafer7"), lambda row: "wafer7_" in row.path.name),
    (LogFilter(text="TIF", reviewed=True), lambda row: row.reviewed is not None and row.path.suffix == ".tif"),
    (LogFilter(where="magnification > 800 OR category = 'Tips'"), lambda row: (row.magnification or 0) > 800 or row.category == "Tips"),
    (LogFilter(duplicates=False), lambda row: row.duplicate_of is None),
    (LogFilter(states=(FrameState.RECORDED,)), lambda _row: True),
    (LogFilter(states=(FrameState.RECORDED,), duplicates=False), lambda row: row.duplicate_of is None),
)  # fmt: skip


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory,
    frame_of: Callable[..., Outcome],
    failure_of: Callable[..., Outcome],
    noon: datetime,
) -> Path:
    """Return a ledger in which frames were recorded, overwritten, copied, alerted and reviewed at random."""
    path, dice = tmp_path_factory.mktemp("choosing") / "ledger.sqlite", random.Random(3)
    with Ledger(path) as ledger:
        for number in range(360):  # more than one batch of the indexes
            name = f"/acq/wafer{dice.randrange(12)}_{dice.randrange(40)}.{dice.choice(('tif', 'png'))}"
            at = noon + MINUTE * (number + dice.randrange(-30, 30))
            if dice.random() < 0.1:
                ledger.record(failure_of(name), at)
                continue
            numbers = {"magnification": float(dice.randrange(1, 1000)), "working_distance_mm": float(dice.randrange(1, 20)),
                       "stage_x_mm": float(dice.randrange(1, 9)), "stage_y_mm": float(dice.randrange(1, 9))}  # fmt: skip
            targets = ("rare",) * (dice.random() < 0.05) + ("often",) * (dice.random() < 0.5)
            category = dice.choice(("Tips", "Powder", "Fibres", "Nanowires"))
            frame = frame_of(name, str(dice.randrange(200)), category=category, targets=targets, numbers=numbers)
            ledger.record(frame, at)
        for alert in ledger.due_alerts("terminal", noon + 999 * MINUTE, 40):
            ledger.alert_delivered(alert.id, noon)
        with LedgerReader(path) as reader:
            some = [row.id for row in reader.rows(LogFilter(states=(FrameState.RECORDED,)))][::7]
        ledger.add_reviews([Review(each, ReviewVerdict.REJECT, None, "ana", noon) for each in some])
    return path


@pytest.mark.parametrize("bounds", [(20_000, 3_000, 20_000), (5, 1, 10), (60, 2, 30), (1, 1, 1)])
@pytest.mark.parametrize("number", range(len(ASKED)))
def test_whichever_way_is_quicker_the_rows_are_the_same(
    made: Path, monkeypatch: pytest.MonkeyPatch, bounds: tuple[int, int, int], number: int
) -> None:
    wanted, meets = ASKED[number]
    with LedgerReader(made) as reader:
        everything = list(reader.rows(replace(LogFilter(), states=wanted.states)))
        expected = [row.id for row in everything if meets(row)]
        for name, value in zip(("_BOUND", "_FEW", "_WINDOW"), bounds, strict=True):
            monkeypatch.setattr(choosing, name, value)

        assert expected
        assert [row.id for row in reader.rows(wanted)] == expected
        assert reader.count(wanted) == len(expected)
        for limit in (1, 5, 1000):
            assert [row.id for row in reader.rows(replace(wanted, limit=limit))] == expected[:limit]
            oldest = replace(wanted, limit=limit, newest_first=False)
            assert [row.id for row in reader.rows(oldest)] == expected[::-1][:limit]


def test_rows_are_sorted_with_unknown_values_last(made: Path) -> None:
    with LedgerReader(made) as reader:
        rows = list(reader.rows(LogFilter(sort=("-magnification",), limit=500)))
        known = [row.magnification for row in rows if row.magnification is not None]
        by_path = [str(row.path) for row in reader.rows(LogFilter(sort=("path",)))]

    assert known == sorted(known, reverse=True)
    assert [row.magnification for row in rows[len(known) :]] == [None] * (len(rows) - len(known))
    assert len(rows) > len(known) > 0
    assert by_path == sorted(by_path)


def test_what_is_searched_is_what_is_recorded(made: Path) -> None:
    question = """
        SELECT count(*), sum(s.state IS f.state AND s.is_current IS (f.superseded_by IS NULL)
          AND s.is_copy IS (f.duplicate_of IS NOT NULL) AND s.session_id IS f.session_id AND s.category IS p.category
          AND s.magnification IS m.magnification AND s.stage_y_mm IS m.stage_y_mm
          AND strftime('%Y-%m-%dT%H:%M:%S', s.at_us / 1000000, 'unixepoch') IS substr(f.recorded_at, 1, 19))
        FROM frames AS f LEFT JOIN log_search AS s ON s.frame_id = f.id
        LEFT JOIN predictions AS p ON p.frame_id = f.id AND p.newest LEFT JOIN metadata AS m ON m.frame_id = f.id"""
    with closing(sqlite3.connect(made)) as connection:
        rows, same = connection.execute(question).fetchone()
        (searched,) = connection.execute("SELECT count(*) FROM log_search").fetchone()
        (current,) = connection.execute("SELECT count(*) FROM log_search WHERE is_current").fetchone()

    assert rows == same == searched > current > 100
