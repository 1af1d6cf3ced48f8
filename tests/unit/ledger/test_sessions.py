"""Of which session a frame is: opened by a person, by its folder, or by the time between two frames."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emwatch.frame import FrameState, Outcome, StatKey
from emwatch.ledger.care.prune import Prune
from emwatch.ledger.care.salvage import Salvage
from emwatch.ledger.entries import EntryError, Note, SessionChange, SessionEnd, SessionStart
from emwatch.ledger.query import LedgerReader, LogFilter
from emwatch.ledger.writer import Ledger
from emwatch.session_rules import SessionRules, folder_pattern
from emwatch.testing import make_outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTE = timedelta(minutes=1)
RULES = SessionRules(
    instruments=((Path("/zeiss"), "Gemini"), (Path("/fei"), "Quanta"), (Path("/other"), "")),
    folders="{operator}/*_{sample}",
)


@pytest.fixture(name="ledger")
def _ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite", sessions=RULES) as ledger:
        yield ledger


def record(ledger: Ledger, name: str, at: datetime) -> int:
    return ledger.record(make_outcome(Path(name), name, written_at=at), at).frame_id


def session_of(ledger: Ledger) -> dict[str, tuple[str | None, str | None, str | None, str | None]]:
    with LedgerReader(ledger.path) as reader:
        return {str(row.path): (row.session, row.instrument, row.operator, row.sample) for row in reader.rows()}


def names(ledger: Ledger, wanted: LogFilter) -> list[str]:
    with LedgerReader(ledger.path) as reader:
        return sorted(row.path.name for row in reader.rows(wanted))


def test_two_instruments_have_sessions_of_their_own(ledger: Ledger, noon: datetime) -> None:
    record(ledger, "/zeiss/a.tif", noon)
    record(ledger, "/fei/b.tif", noon + MINUTE)
    record(ledger, "/zeiss/c.tif", noon + 90 * MINUTE)
    with LedgerReader(ledger.path) as reader:
        sessions = sorted((each.instrument or "", each.frames) for each in reader.sessions())

    assert sessions == [("Gemini", 2), ("Quanta", 1)]
    assert names(ledger, LogFilter(instrument="gemini")) == ["a.tif", "c.tif"]


def test_a_folder_says_operator_and_sample_and_holds_its_frames_together(ledger: Ledger, noon: datetime) -> None:
    record(ledger, "/zeiss/anna/2026-03-01_W7/a.tif", noon)
    record(ledger, "/zeiss/anna/2026-03-01_W7/deep/b.tif", noon + timedelta(days=3))
    record(ledger, "/zeiss/anna/c.tif", noon)

    assert session_of(ledger) == {
        "/zeiss/anna/2026-03-01_W7/a.tif": ("anna/2026-03-01_W7", "Gemini", "anna", "W7"),
        "/zeiss/anna/2026-03-01_W7/deep/b.tif": ("anna/2026-03-01_W7", "Gemini", "anna", "W7"),
        "/zeiss/anna/c.tif": ("2026-03-01T12:00", "Gemini", None, None),
    }
    assert names(ledger, LogFilter(operator="Anna")) == names(ledger, LogFilter(text="w7")) == ["a.tif", "b.tif"]


def test_what_a_person_opened_takes_the_frames_until_it_ends(ledger: Ledger, noon: datetime) -> None:
    started = SessionStart("Wafer 7", noon, operator="Ben", instrument="Gemini")
    number = ledger.enter(started)
    assert ledger.enter(started) == number  # killed before the request was removed
    for minutes, name in (
        (1, "/zeiss/in.tif"),
        (2, "/fei/elsewhere.tif"),
        (300, "/zeiss/late.tif"),
        (-1, "/zeiss/b.tif"),
    ):
        record(ledger, name, noon + minutes * MINUTE)
    ledger.enter(SessionEnd(number, noon + 310 * MINUTE))
    record(ledger, "/zeiss/after.tif", noon + 311 * MINUTE)
    record(ledger, "/zeiss/found_later.tif", noon + 200 * MINUTE)

    assert names(ledger, LogFilter(session="Wafer 7")) == ["found_later.tif", "in.tif", "late.tif"]
    assert session_of(ledger)["/zeiss/in.tif"] == ("Wafer 7", "Gemini", "Ben", None)


def test_one_that_begins_in_the_past_takes_what_was_written_since(ledger: Ledger, noon: datetime) -> None:
    for minutes in range(4):
        record(ledger, f"/other/{minutes}.tif", noon + minutes * MINUTE)
    first = ledger.enter(SessionStart("first", noon + 2 * MINUTE))
    ledger.enter(SessionStart("second", noon + 3 * MINUTE))
    with LedgerReader(ledger.path) as reader:
        sessions = {each.name: (each.frames, each.is_open, each.ended_at) for each in reader.sessions()}

    assert sessions == {
        "2026-03-01T12:00": (2, False, noon + MINUTE),
        "first": (1, False, noon + 3 * MINUTE),
        "second": (1, True, noon + 3 * MINUTE),
    }
    ledger.enter(SessionEnd(first, noon + 2 * MINUTE))
    with pytest.raises(EntryError, match="cannot end before that"):
        ledger.enter(SessionEnd(first, noon))
    with pytest.raises(EntryError, match="no such session was started by a command"):
        ledger.enter(SessionEnd(99, noon))


def test_an_end_in_the_past_lets_go_of_what_was_written_since(ledger: Ledger, noon: datetime) -> None:
    number = ledger.enter(SessionStart("forgotten", noon))
    record(ledger, "/other/a.tif", noon + MINUTE)
    record(ledger, "/other/next_day.tif", noon + 1200 * MINUTE)
    ledger.enter(SessionEnd(number, noon + 5 * MINUTE))

    assert {name: said[0] for name, said in session_of(ledger).items()} == {
        "/other/a.tif": "forgotten",
        "/other/next_day.tif": "2026-03-02T08:00",
    }


def test_notes_are_found_by_their_words_and_no_more_once_changed_or_taken_back(ledger: Ledger, noon: datetime) -> None:
    frame, other = record(ledger, "/other/a.tif", noon), record(ledger, "/other/b.tif", noon + MINUTE)
    wrong = ledger.enter(Note("contaminatd", "ana", noon, frame_id=frame))
    right = ledger.enter(Note("contaminated edge", "ana", noon + MINUTE, replaces=wrong))
    assert names(ledger, LogFilter(text="contaminatd")) == []
    assert names(ledger, LogFilter(text="edge contaminated")) == ["a.tif"]
    with LedgerReader(ledger.path) as reader:
        assert [row.notes for row in reader.rows(LogFilter(ids=(frame, other), newest_first=False))] == [
            "contaminated edge",
            None,
        ]
        assert [each.id for each in reader.notes(frame_id=frame)] == [right]

    ledger.enter(Note("", "ana", noon + 2 * MINUTE, replaces=right))
    assert names(ledger, LogFilter(text="edge")) == []
    for unknown in (Note("x", "ana", noon, frame_id=99), Note("x", "ana", noon, replaces=99)):
        with pytest.raises(EntryError, match=r"no (frame|note) has number 99"):
            ledger.enter(unknown)
    with pytest.raises(EntryError, match="changed or taken back already"):
        ledger.enter(Note("again", "ana", noon + 3 * MINUTE, replaces=wrong))


def test_what_is_said_of_a_session_finds_its_frames(ledger: Ledger, noon: datetime) -> None:
    record(ledger, "/other/a.tif", noon)
    record(ledger, "/other/b.tif", noon + timedelta(days=1))
    with LedgerReader(ledger.path) as reader:
        (session,) = reader.session("last")
    ledger.enter(Note("filament changed", "ana", noon, session_id=session.id))
    ledger.enter(SessionChange(session.id, name="Wafer 8", operator="Cleo"))

    for wanted in ("filament", "cleo", '"wafer 8"'):
        assert names(ledger, LogFilter(text=wanted)) == names(ledger, LogFilter(text=wanted, limit=5)) == ["b.tif"]
    ledger.enter(SessionChange(session.id, operator=""))
    assert names(ledger, LogFilter(text="cleo")) == []


def test_pruning_takes_notes_along_and_leaves_what_a_person_opened(ledger: Ledger, noon: datetime) -> None:
    frame = record(ledger, "/other/a.tif", noon)
    note = ledger.enter(Note("x", "ana", noon, frame_id=frame))
    ledger.enter(Note("y", "ana", noon + MINUTE, replaces=note))
    ledger.enter(SessionStart("to come", noon + 9 * MINUTE))
    ledger.prune(Prune(lambda _path: False, frames=noon + MINUTE), apply=True)
    with LedgerReader(ledger.path) as reader:
        assert [each.name for each in reader.sessions()] == ["to come"]


def test_merging_takes_over_what_people_said(ledger: Ledger, tmp_path: Path, noon: datetime) -> None:
    with Ledger(tmp_path / "other.sqlite") as other:
        number = other.enter(SessionStart("Wafer 7", noon, operator="Ben"))
        frame = record(other, "/acq/a.tif", noon + MINUTE)
        note = other.enter(Note("wrong", "ana", noon, frame_id=frame))
        other.enter(Note("right", "ana", noon + MINUTE, replaces=note))
        other.enter(Note("of the session", "ana", noon, session_id=number))
        other.enter(SessionEnd(number, noon + 5 * MINUTE))
        alone = record(other, "/acq/b.tif", noon + timedelta(days=2))
        with LedgerReader(other.path) as reader:
            (gap,) = reader.session("last")
        other.enter(Note("by time", "ana", noon, session_id=gap.id))
    for _ in range(2):
        with Salvage(tmp_path / "other.sqlite") as salvage:
            ledger.take_over(salvage, send_waiting=False)
    with closing(sqlite3.connect(ledger.path)) as connection:
        notes = connection.execute("SELECT text, replaced_by IS NULL FROM notes ORDER BY id").fetchall()
        sessions = connection.execute("SELECT name, operator, is_open, frames, notes FROM v_sessions").fetchall()

    assert alone
    assert notes == [("wrong", 0), ("right", 1), ("of the session", 1), ("by time", 1)]
    assert sessions == [("Wafer 7", "Ben", 0, 1, "of the session"), ("2026-03-03T12:00", None, 0, 1, "by time")]


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("/{sample}", "folders below"),
        ("{colour}", "{colour}"),
        ("{sample}/{sample}", "at most once"),
        ("{sample", "braces"),
    ],
)
def test_a_rule_for_folders_that_is_none_is_refused(rule: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        folder_pattern(rule)


def test_a_file_without_a_time_is_of_no_session_but_of_its_instrument(ledger: Ledger, noon: datetime) -> None:
    ledger.record(Outcome(Path("/fei/x.tif"), FrameState.FAILED, None, code="denied"), noon)
    ledger.record(Outcome(Path("/fei/y.tif"), FrameState.FAILED, StatKey(1, 2**80, 1, 1), code="denied"), noon)

    assert {said[:2] for said in session_of(ledger).values()} == {(None, "Quanta")}
