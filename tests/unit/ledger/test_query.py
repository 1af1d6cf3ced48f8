from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emwatch.frame import CATEGORIES, FrameState, Outcome, Window
from emwatch.ledger.query import LedgerReader, LogFilter
from emwatch.ledger.writer import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)


def after(hours: float) -> datetime:
    return DAY + timedelta(hours=hours)


@pytest.fixture(name="reader", scope="module")
def _reader(
    tmp_path_factory: pytest.TempPathFactory,
    frame_of: Callable[..., Outcome],
    failure_of: Callable[..., Outcome],
    key_of: Callable[..., object],
) -> Iterator[LedgerReader]:
    """
    A day at the microscope, one letter per file, recorded one hour apart.

    a Tips, b Nanowires (a hit), c Powder (uncertain, overwritten by d), e a copy of b, f failed, g skipped, h baseline.
    """
    path = tmp_path_factory.mktemp("log") / "ledger.sqlite"
    with Ledger(path) as ledger:
        low = {"magnification": 1000.0, "stage_tilt_deg": 0.0}
        high = {"magnification": 50_000.0, "stage_tilt_deg": 52.0}
        ledger.record(frame_of("/acq/a.tif", "a", numbers=low, probability=0.6, written_at=after(-48)), after(0))
        wires = {"category": "Nanowires", "probability": 0.95, "targets": ("wires", "close")}
        ledger.record(frame_of("/acq/b.tif", "b", numbers=high, **wires), after(1))
        ledger.record(frame_of("/acq/sub/c.tif", "c", category="Powder", probability=0.4, uncertain=True), after(2))
        ledger.record(frame_of("/acq/sub/c.tif", "d", category="Powder", probability=0.5), after(3))
        ledger.record(frame_of("/acq/e.tif", "b", numbers=high, **wires), after(4))
        ledger.record(failure_of("/acq/f.tif"), after(5))
        ledger.record(failure_of("/acq/g.txt", state=FrameState.SKIPPED, code="not-a-frame"), after(6))
        ledger.baseline(Path("/acq"), [(Path("/acq/h.tif"), key_of())], after(7))  # type: ignore[list-item]
    with LedgerReader(path) as reader:
        yield reader


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (LogFilter(), "fecba"),
        (LogFilter(newest_first=False), "abcef"),
        (LogFilter(limit=2), "fe"),
        (LogFilter(limit=0), ""),
        (LogFilter(categories=("Nanowires",)), "eb"),
        (LogFilter(categories=("Nanowires", "Tips")), "eba"),
        (LogFilter(categories=("Nowhere",)), ""),
        (LogFilter(target="wires"), "eb"),
        (LogFilter(target="unknown"), ""),
        (LogFilter(hits=True, duplicates=False), "b"),
        (LogFilter(hits=False), "fca"),
        (LogFilter(probability=Window(0.6, 0.94)), "a"),
        (LogFilter(probability=Window(low=0.5)), "ecba"),
        (LogFilter(magnification=Window(high=1000)), "a"),
        (LogFilter(magnification=Window(10_000, 50_000)), "eb"),
        (LogFilter(magnification=Window()), "eba"),
        (LogFilter(stage_tilt_deg=Window(0, 10)), "a"),
        (LogFilter(stage_tilt_deg=Window(52, 52), magnification=Window(high=10)), ""),
        (LogFilter(since=after(4)), "fe"),
        (LogFilter(until=after(1)), "ba"),
        (LogFilter(since=after(1).astimezone(UTC), until=after(3)), "cb"),
        (LogFilter(session="2026-02-27T12:00"), "a"),
        (LogFilter(session="last"), "fecb"),
        (LogFilter(session="1"), "a"),
        (LogFilter(session="999"), ""),
        (LogFilter(states=(FrameState.FAILED,)), "f"),
        (LogFilter(states=(FrameState.SKIPPED, FrameState.BASELINE)), "hg"),
        (LogFilter(states=()), ""),
        (LogFilter(uncertain=True), ""),
        (LogFilter(uncertain=True, superseded=True), "c"),
        (LogFilter(uncertain=False), "ecba"),
        (LogFilter(superseded=True), "feccba"),
        (LogFilter(path="[ab].tif"), "ba"),
        (LogFilter(path="/acq/sub/*"), "c"),
        (LogFilter(path="*.TIF"), "fecba"),
    ],
    ids=str,
)
def test_a_filter_gives_these_rows_and_their_number(reader: LedgerReader, wanted: LogFilter, expected: str) -> None:
    actual = "".join(row.path.stem for row in reader.rows(wanted))

    assert expected == actual
    assert len(expected) == reader.count(wanted)


def test_a_row_carries_everything_the_log_shows(reader: LedgerReader) -> None:
    row = next(reader.rows(LogFilter(path="e.tif")))

    assert (5, 2, Path("/acq/e.tif"), FrameState.RECORDED) == (row.id, row.duplicate_of, row.path, row.state)
    assert (row.category, row.probability, row.uncertain, row.bundle_sha256) == ("Nanowires", 0.95, False, "b" * 64)
    assert (
        row.magnification, row.stage_tilt_deg, row.working_distance_mm, row.vendor,
    ) == (50_000.0, 52.0, None, "zeiss")  # fmt: skip
    assert (("close", "wires"), after(4), "2026-03-01T12:00") == (row.targets, row.recorded_at, row.session)
    assert row.scores is not None
    assert list(CATEGORIES) == list(row.scores)
    assert pytest.approx(sum(row.scores.values())) == 1


def test_a_failed_row_says_why_and_has_no_category(reader: LedgerReader) -> None:
    row = next(reader.rows(LogFilter(states=(FrameState.FAILED,))))

    assert (
        row.code, row.reason, row.category, row.scores, row.targets,
    ) == ("truncated", "/acq/f.tif: truncated", None, None, ())  # fmt: skip


def test_sessions_count_what_is_current(reader: LedgerReader) -> None:
    actual = [(each.name, each.frames, each.hits, each.failed) for each in reader.sessions()]

    assert actual == [("2026-03-01T12:00", 3, 2, 1), ("2026-02-27T12:00", 1, 0, 0)]


def test_a_question_without_an_end_is_ended_by_ctrl_c(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    ledger.record(frame_of(), noon)
    endless = "id IN (WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT x FROM r)"
    before = signal.signal(signal.SIGVTALRM, signal.default_int_handler)  # what Ctrl-C does
    try:
        with LedgerReader(ledger.path) as reader:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.5)  # of processor time: the question is being answered
            with pytest.raises(KeyboardInterrupt):
                reader.count(LogFilter(where=endless))
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
