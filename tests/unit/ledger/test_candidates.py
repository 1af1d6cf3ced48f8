"""Targets that want several of the last frames: counted in the ledger, over restarts and for values that come late."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from emwatch.ledger.query import LedgerReader
from emwatch.ledger.writer import BarFindings, Ledger
from emwatch.readers.data_bar.bar import merge
from emwatch.targets.rules import match_targets
from emwatch.testing import NOON, make_candidate, make_metadata, make_outcome, make_prediction, make_target

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.frame import Candidate, Match, Outcome
    from emwatch.ledger.writer import Recorded

OFTEN = make_target("often", "Tips", 0.8, of_last={"at_least": 3, "frames": 4})
OFTEN_CLOSE = make_target("often", "Tips", 0.8, magnification={"min": 5000.0}, of_last={"at_least": 2, "frames": 3})
TIP, OTHER = make_prediction("Tips"), make_prediction("Powder")


def met_by(frame: Candidate) -> tuple[Match, ...]:
    return match_targets([OFTEN_CLOSE], frame)


class Session:
    """Records frames as the pipeline does, one a second; the ledger is closed and opened again for each."""

    def __init__(self, folder: Path, target: object = OFTEN) -> None:
        self.path, self.target, self.count = folder / "l.sqlite", target, 0

    def record(self, said: object = TIP, *, name: str = "", content: str = "", **numbers: float) -> Recorded:
        self.count += 1
        with Ledger(self.path) as ledger:
            return ledger.record(self.outcome(said, name=name, content=content, **numbers), NOON)

    def outcome(self, said: object, *, name: str = "", content: str = "", **numbers: float) -> Outcome:
        name = name or f"/acq/{self.count}.tif"
        outcome = make_outcome(name, content or name, prediction=said, metadata=make_metadata(**numbers))  # type: ignore[arg-type]
        seen = make_candidate(said, path=name, **numbers)  # type: ignore[arg-type]
        return replace(outcome, matches=match_targets([self.target], seen))  # type: ignore[list-item]

    def hits(self) -> list[tuple[int, str]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute("SELECT frame_id, reason FROM matches ORDER BY frame_id").fetchall()

    def alerts(self) -> int:
        with closing(sqlite3.connect(self.path)) as connection:
            return int(connection.execute("SELECT count(*) FROM alerts").fetchone()[0])


def test_a_restart_between_any_two_frames_changes_nothing(tmp_path: Path) -> None:
    session = Session(tmp_path)

    alerts = [session.record(TIP if tip else OTHER).alerts for tip in (1, 1, 0, 1, 1, 0, 0, 1)]

    assert alerts == [0, 0, 0, 1, 1, 0, 0, 0]
    assert session.hits()[0] == (4, "Tips 0.90 >= 0.80, 3 of the last 4 frames >= 3")


def test_what_is_held_up_by_other_frames_is_not_shown_as_met(tmp_path: Path) -> None:
    session = Session(tmp_path)

    shown = [[each.target for each in session.record().matches] for _ in range(3)]

    assert shown == [[], [], ["often"]]


def test_copies_and_overwritten_frames_do_not_count(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.record(name="/acq/a.tif", content="1")
    session.record(name="/acq/copy of a.tif", content="1")
    session.record(name="/acq/b.tif", content="2")
    session.record(name="/acq/b.tif", content="3")
    assert session.hits() == []

    session.record()

    assert [number for number, _ in session.hits()] == [5]


def test_a_value_that_comes_late_completes_the_match_of_a_later_frame(tmp_path: Path) -> None:
    session = Session(tmp_path, OFTEN_CLOSE)
    first = session.record()
    session.record(OTHER)
    session.record(magnification=9000.0)
    session.record(magnification=100.0)
    assert session.hits() == []

    bar = BarFindings(lambda stored: merge(stored, make_metadata(magnification=6000.0)), met_by)
    with Ledger(session.path) as ledger:
        queued = ledger.add_data_bar(first.frame_id, bar, NOON + timedelta(minutes=1))

    assert (queued.alerts, queued.matches) == (1, ())
    assert session.hits() == [
        (3, "Tips 0.90 >= 0.80, magnification 9,000x within 5,000.., 2 of the last 3 frames >= 2"),
    ]


def test_a_late_value_too_far_back_completes_nothing(tmp_path: Path) -> None:
    session = Session(tmp_path, OFTEN_CLOSE)
    first = session.record()
    for _ in range(2):
        session.record(OTHER)
    session.record(magnification=9000.0)

    bar = BarFindings(lambda stored: merge(stored, make_metadata(magnification=6000.0)), met_by)
    with Ledger(session.path) as ledger:
        assert ledger.add_data_bar(first.frame_id, bar, NOON).alerts == 0

    assert session.alerts() == 0


def test_a_frame_recorded_twice_counts_and_alerts_once(tmp_path: Path) -> None:
    session = Session(tmp_path)
    for _ in range(2):
        session.record(name="/acq/same.tif")
    session.record()
    assert session.hits() == []
    for _ in range(2):
        session.record(name="/acq/third.tif")

    assert ([number for number, _ in session.hits()], session.alerts()) == ([3], 1)


def test_the_frames_before_one_are_read_back_for_its_explanation(tmp_path: Path) -> None:
    session = Session(tmp_path)
    for said in (TIP, OTHER, TIP, OTHER):
        session.record(said, magnification=float(session.count))
    with LedgerReader(session.path) as reader:
        before = reader.candidates_before(3, 5)
        newest = reader.candidates_before(None, 2)

    assert [(each.path.name, each.prediction.category) for each in before] == [("1.tif", "Tips"), ("2.tif", "Powder")]
    assert [each.metadata.number("magnification") for each in newest] == [2.0, 3.0]
    assert {each.written_at for each in newest} == {NOON}
