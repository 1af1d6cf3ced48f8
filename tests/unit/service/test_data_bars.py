"""Data bars in the background, on a real ledger, with a reader that says what the test wrote on the bar."""

from __future__ import annotations

import hashlib
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emwatch.errors import Denied, EmwatchError, LedgerError, ReaderDied, Unreadable, Unsteady, Vanished
from emwatch.frame import (
    AcquisitionMetadata,
    Candidate,
    Reading,
)
from emwatch.ingest.events import BarRead, Notice
from emwatch.ledger.writer import BarFindings, Ledger, Queued
from emwatch.service.data_bars import DataBarWorker
from emwatch.service.progress import Progress
from emwatch.testing import NOON, ManualClock, make_metadata, make_outcome, make_prediction, make_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.targets.rules import Target

_COMPLETE = {"magnification": 1000.0, "pixel_size_nm": 5.0, "accelerating_voltage_kv": 5.0}


class Bars:
    """Reads bars like the sandbox, without a child; ``hold`` makes it as slow as the test wants."""

    def __init__(self) -> None:
        self.contents: dict[str, str] = {}
        self.shown: dict[str, dict[str, float]] = {}
        self.faults: dict[str, EmwatchError] = {}
        self.read_names: list[str] = []
        self.rests = 0
        self.closed = threading.Event()
        self.hold = False
        self.reading = threading.Event()

    def read(self, path: Path, sha256: str) -> AcquisitionMetadata:
        assert sha256 == _sha256(self.contents.get(path.name, path.name))
        self.read_names.append(path.name)
        self.reading.set()
        if self.hold:
            self.closed.wait(20)
            raise EmwatchError("the data bar reader was closed")
        if path.name in self.faults:
            raise self.faults[path.name]
        shown = self.shown.get(path.name, {"magnification": 5000.0})
        return AcquisitionMetadata(None, {name: Reading(each, str(each), "data bar") for name, each in shown.items()})

    def rest(self) -> None:
        self.rests += 1

    def close(self) -> None:
        self.closed.set()


class FlakyLedger(Ledger):
    """A ledger whose disk is full so many times."""

    full = 0

    def add_data_bar(self, frame_id: int, findings: BarFindings, read_at: Any) -> Queued:
        if self.full:
            self.full -= 1
            raise LedgerError("no space left on the disk")
        return super().add_data_bar(frame_id, findings, read_at)


def _sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


class Rig:
    """Data bars with everything around them."""

    def __init__(self, tmp_path: Path) -> None:
        self.clock = ManualClock()
        self.ledger = FlakyLedger(tmp_path / "ledger.sqlite3", clock=self.clock)
        self.reader = Bars()
        self.told: list[Any] = []
        self.woken = 0
        self.bars = self.made()

    def made(self, *targets: Target) -> DataBarWorker:
        return DataBarWorker(
            ledger=self.ledger,
            reader=self.reader,
            targets=targets,
            clock=self.clock,
            tell=self.told.append,
            recorded=self._wake,
        )

    def _wake(self) -> None:
        self.woken += 1

    def record(
        self, name: str, numbers: dict[str, float] | None = None, *, uncertain: bool = False, content: str = ""
    ) -> int:
        metadata = make_metadata("maker" if numbers else None, **numbers or {})
        prediction = make_prediction("Tips", 1.0, uncertain=uncertain)
        matches = self.bars._matched(Candidate(prediction, metadata, Path(name), NOON))
        outcome = make_outcome(
            Path("/acq") / name,
            content or name,
            written_at=self.clock.now(),
            metadata=metadata,
            prediction=prediction,
            matches=matches,
        )
        return self.ledger.record(outcome, self.clock.now()).frame_id

    def run_dry(self) -> None:
        while self.bars.take_turn():
            pass

    def alerts(self) -> list[tuple[str, str]]:
        return [(each.target, each.path.name) for each in self.ledger.due_alerts("terminal", self.clock.now(), 100)]


@pytest.fixture(name="rig")
def _rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.bars.stop()
    rig.ledger.close()


_CLOSE_UP = make_target("close up", "Tips", 0.8, magnification={"min": 4000.0})


def test_a_frame_lacks_values_without_any_of_what_bars_show() -> None:
    known = {name: Reading(value, "", "tag") for name, value in _COMPLETE.items()}
    without = [{name: each for name, each in known.items() if name != absent} for absent in known]
    unusable = known | {"magnification": Reading(None, "1x2", "tag")}

    assert not AcquisitionMetadata(None, known).lacks_bar_fields
    assert [AcquisitionMetadata(None, each).lacks_bar_fields for each in (*without, unusable, {})] == [True] * 5


def test_what_was_left_over_is_read_newest_first_and_complete_frames_never(rig: Rig) -> None:
    for name in "abc":
        rig.record(name)
    rig.record("complete", _COMPLETE)
    rig.run_dry()

    assert rig.reader.read_names == ["c", "b", "a"]


def test_frames_just_recorded_come_before_what_was_left_over(rig: Rig) -> None:
    for name in "abc":
        rig.record(name)
    rig.bars.take_turn()
    for name in "de":
        rig.bars.offer(rig.record(name))
    rig.run_dry()

    assert rig.reader.read_names == ["c", "e", "d", "b", "a"]


def test_frames_beyond_the_bound_of_the_queue_are_found_in_the_ledger(rig: Rig) -> None:
    rig.run_dry()
    names = [f"{number:03}" for number in range(300)]
    for name in names:
        rig.bars.offer(rig.record(name))
    rig.run_dry()

    assert sorted(rig.reader.read_names) == names


def test_a_bar_is_tried_once_also_where_it_shows_nothing(rig: Rig) -> None:
    rig.reader.shown["a"] = {}
    frame_id = rig.record("a")
    rig.run_dry()
    rig.bars.offer(frame_id)
    rig.run_dry()
    rig.bars = rig.made()
    rig.run_dry()

    assert rig.reader.read_names == ["a"]


def test_what_the_bar_shows_brings_the_alert_that_waited_for_it(rig: Rig) -> None:
    rig.bars = rig.made(_CLOSE_UP)
    rig.reader.shown["far"] = {"magnification": 100.0}
    for name in ("near", "far"):
        rig.record(name)
    rig.run_dry()

    assert rig.alerts() == [("close up", "near")]
    assert rig.woken == 1
    bars = [each for each in rig.told if isinstance(each, BarRead)]
    assert [(each.metadata.number("magnification"), each.hit) for each in bars] == [(100.0, False), (5000.0, True)]
    progress = Progress()
    for each in bars:
        progress.note(each, 0.0)
    assert progress.hits == 1


def test_a_bar_of_which_the_reader_dies_is_tried_again_and_given_up_in_the_end(rig: Rig) -> None:
    rig.reader.faults["a"] = ReaderDied("was still busy after 60 s, twice")
    rig.record("a")
    for _ in range(6):
        rig.run_dry()
        rig.clock.advance(601.0)

    assert rig.reader.read_names == ["a"] * 3
    assert rig.ledger.unread_bar() is None


def test_a_stored_value_stays_against_the_bar(rig: Rig) -> None:
    rig.bars = rig.made(_CLOSE_UP)
    rig.record("a", {"magnification": 100.0})
    rig.run_dry()

    assert rig.alerts() == []


def test_targets_without_a_window_are_left_as_the_pipeline_decided(rig: Rig) -> None:
    rig.bars = rig.made(make_target("any tip", "Tips"))
    rig.record("a")
    rig.run_dry()

    assert rig.alerts() == []


def test_an_uncertain_prediction_meets_no_target_through_its_bar(rig: Rig) -> None:
    rig.bars = rig.made(_CLOSE_UP)
    rig.record("a", uncertain=True)
    rig.run_dry()

    assert rig.reader.read_names == ["a"]
    assert rig.alerts() == []


def test_a_frame_and_its_copy_raise_one_alert(rig: Rig) -> None:
    rig.bars = rig.made(_CLOSE_UP)
    rig.record("a")
    rig.record("b", content="a")
    rig.reader.contents["b"] = "a"
    rig.run_dry()

    assert rig.reader.read_names == ["b", "a"]
    assert rig.alerts() == [("close up", "b")]


@pytest.mark.parametrize(("hours", "expected"), [(71, [("close up", "a")]), (73, [])])
def test_a_frame_of_days_ago_raises_no_alert_any_more(rig: Rig, hours: int, expected: list[tuple[str, str]]) -> None:
    rig.bars = rig.made(_CLOSE_UP)
    rig.record("a")
    rig.clock.advance(timedelta(hours=hours).total_seconds())
    rig.run_dry()

    assert rig.alerts() == expected


def test_how_many_old_frames_match_without_an_alert_is_told_once(rig: Rig) -> None:
    rig.bars = rig.made(_CLOSE_UP, make_target("any tilt", "Tips", 0.8, stage_tilt_deg={"min": 0.0}))
    rig.reader.shown["far"] = {"magnification": 100.0}
    for name in ("near", "nearer", "far"):
        rig.record(name)
    rig.record("told by its file", {"stage_tilt_deg": 3.0})  # it has matched without its bar
    rig.reader.shown["told by its file"] = {"magnification": 100.0}
    rig.clock.advance(timedelta(days=4).total_seconds())
    rig.bars.start()
    assert rig.bars.finish(lambda: False)

    (notice,) = [each for each in rig.told if isinstance(each, Notice) and "no alert" in each.text]
    assert (notice.level, notice.text.partition(":")[0]) == ("info", "2 frames that meet a target raised no alert")
    assert rig.alerts() == [("any tilt", "told by its file")]


def test_a_bar_that_cannot_be_read_is_flagged_and_not_tried_again(rig: Rig) -> None:
    rig.reader.faults["a"] = Unreadable("/acq/a: the bar cannot be decoded")
    frame_id = rig.record("a")
    rig.run_dry()

    assert rig.ledger.unread_bar(of_frame=frame_id) is None


@pytest.mark.parametrize("fault", [Denied("/acq/a: locked"), Unsteady("/acq/a: another content")])
def test_a_file_out_of_reach_is_tried_again_later(rig: Rig, fault: EmwatchError) -> None:
    rig.reader.faults["a"] = fault
    frame_id = rig.record("a")
    rig.run_dry()
    rig.run_dry()
    before = list(rig.reader.read_names)
    rig.reader.faults.clear()
    rig.clock.advance(601)
    rig.run_dry()

    assert before == ["a"]
    assert rig.reader.read_names == ["a", "a"]
    assert rig.ledger.unread_bar(of_frame=frame_id) is None


def test_a_vanished_file_waits_for_the_next_start_and_holds_up_nobody(rig: Rig) -> None:
    rig.reader.faults["b"] = Vanished("/acq/b: gone")
    for name in "abc":
        rig.record(name)
    rig.run_dry()
    rig.clock.advance(10_000)
    rig.run_dry()
    before = list(rig.reader.read_names)
    rig.bars = rig.made()
    rig.run_dry()

    assert before == ["c", "b", "a"]
    assert rig.reader.read_names == ["c", "b", "a", "b"]


def test_an_idle_reader_gives_its_memory_back(rig: Rig) -> None:
    rig.record("a")
    rig.run_dry()
    busy = rig.reader.rests
    rig.clock.advance(301)
    rig.run_dry()

    assert (busy, rig.reader.rests) == (0, 1)


def test_finishing_waits_until_every_bar_is_read(rig: Rig) -> None:
    for name in "abc":
        rig.record(name)
    rig.bars.start()

    assert rig.bars.finish(lambda: False)
    assert rig.reader.read_names == ["c", "b", "a"]
    assert rig.ledger.unread_bar() is None


def test_stopping_does_not_wait_for_the_bar_in_work_and_the_next_start_reads_it(rig: Rig) -> None:
    rig.reader.hold = True
    rig.record("a")
    rig.bars.start()
    assert rig.reader.reading.wait(20)
    finished = rig.bars.finish(lambda: True)
    rig.bars.stop()
    rig.reader.hold = False
    rig.bars = rig.made()
    rig.run_dry()

    assert not finished
    assert rig.reader.read_names == ["a", "a"]
    assert [each.level for each in rig.told if isinstance(each, Notice)][-1] == "info"
    assert not any(thread.name == "reading data bars" for thread in threading.enumerate())


def test_a_full_disk_costs_no_bar(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emwatch.service.data_bars._LEDGER_PAUSE_S", 0.0)
    rig.ledger.full = 2
    rig.record("a")
    rig.bars.start()

    assert rig.bars.finish(lambda: False)
    assert rig.reader.read_names == ["a", "a", "a"]
    assert rig.ledger.unread_bar() is None


def test_a_reader_that_cannot_be_started_is_given_up_and_blamed_on_no_frame(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emwatch.service.data_bars._START_PAUSE_S", 0.0)
    rig.reader.faults["a"] = EmwatchError("no child can be started")
    frame_id = rig.record("a")
    rig.bars.start()

    assert not rig.bars.finish(lambda: False)
    assert rig.reader.read_names == ["a"] * 3
    assert rig.ledger.unread_bar(of_frame=frame_id) is not None
    assert [each.level for each in rig.told if isinstance(each, Notice) and "not read for now" in each.text] == [
        "warning"
    ]
    assert not rig.bars.worker.revive(1e6)


def test_a_thread_that_died_is_started_again_and_goes_on_after_the_frame_that_killed_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        rig.record(name)
    read = rig.reader.read

    def faulty(path: Path, sha256: str) -> AcquisitionMetadata:
        if path.name == "b":
            raise ZeroDivisionError
        return read(path, sha256)

    monkeypatch.setattr(rig.reader, "read", faulty)
    rig.bars.start()
    assert rig.bars.worker.join(20)

    assert rig.bars.worker.revive(0.0)
    assert rig.bars.finish(lambda: False)
    assert not rig.bars.worker.revive(1e6)
    assert rig.reader.read_names == ["c", "a"]
