"""The ingest loop on real directories and a real ledger, with a clock that moves only while the loop waits."""

from __future__ import annotations

import hashlib
import os
import shutil
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from emwatch.config.schema import WatchConfig
from emwatch.errors import ConfigError, Denied, LedgerError, NotAFrame, ReaderDied, Truncated, Vanished, WatchError
from emwatch.frame import (
    AcquisitionMetadata,
    FrameReading,
    FrameState,
    Match,
    Outcome,
    Prediction,
    Reading,
    StatKey,
)
from emwatch.ingest import hinted as hinted_module
from emwatch.ingest import scan as scan_module
from emwatch.ingest.events import FrameDone, Notice, Ready
from emwatch.ingest.loop import Ingest
from emwatch.ingest.outage import LedgerOutage
from emwatch.ingest.pipeline import Pipeline
from emwatch.ingest.scan import Scan
from emwatch.ledger.writer import Known, Ledger, Recorded
from emwatch.service.progress import Progress
from emwatch.testing import ManualClock, make_prediction, make_reading, make_target
from emwatch.watch import sweep as sweep_module
from emwatch.watch.directory import WatchedDirectory, settle_seconds
from emwatch.watch.hints import HintBox
from emwatch.watch.settle import Settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np


class Reader:
    """Reads like the sandbox, without a child: the content says what the decoder finds."""

    def __init__(self) -> None:
        self._path = Path()
        self.read: list[str] = []
        self.hangs = True

    def begin(self, path: Path) -> None:
        self._path = path

    def finish(self) -> FrameReading:
        path = self._path
        self.read.append(path.name)
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise Vanished(f"{path}: gone while it was read") from error
        metadata = AcquisitionMetadata()
        if path.suffix == ".tif" and (sidecar := path.with_suffix(".txt")).exists():
            magnification = Reading(float(sidecar.read_text(encoding="utf-8")[5:]), "", "sidecar")
            metadata = AcquisitionMetadata("Maker", {"magnification": magnification})
        if content.startswith(b"half"):
            raise Truncated(f"{path}: half of it is missing")
        if content.startswith(b"hangs") and self.hangs:
            raise ReaderDied(f"{path}: the decoder was still busy after 50 s, twice")
        if content.startswith(b"locked"):
            raise Denied(f"{path}: locked by its writer")
        if content.startswith(b"text"):
            raise NotAFrame(f"{path}: not an image")
        return make_reading(
            path,
            sha256=hashlib.sha256(content).hexdigest(),
            stat_key=StatKey.of(path.stat()),
            metadata=metadata,
            unsettled="its last rows are black, or not written yet" if content.startswith(b"dark") else "",
        )


class Judge:
    """Every frame is Tips, but for those that make it stumble."""

    def __init__(self) -> None:
        self.stumble = False

    def classify(
        self, _views: np.ndarray[Any, Any], _coloured_share: float = 0.0, _width_um: float | None = None
    ) -> Prediction:
        if self.stumble:
            raise RuntimeError("out of cheese")
        return make_prediction(probability=1.0)


class FlakyLedger(Ledger):
    """A ledger whose disk is full, or that is held by another program, when told so."""

    full = False
    held = False
    computes_s = 0.0  # processor time it takes to find out what a sweep finds
    waits_s = 0.0  # and time in which it only waits
    asked = 0

    def known_files(self, paths: Iterable[Path]) -> dict[Path, Known]:
        if self.held:
            raise LedgerError("the database is locked")
        return super().known_files(paths)

    def unlike(self, *args: Any) -> dict[str, Known | None]:
        if self.held:
            raise LedgerError("the database is locked")
        self.asked += 1
        self._file._clock.compute(self.computes_s)  # type: ignore[attr-defined]
        self._file._clock.advance(self.waits_s)  # type: ignore[attr-defined]
        return super().unlike(*args)

    def baseline(self, *args: Any) -> int:
        if self.full:
            raise LedgerError("no space left on the disk")
        return super().baseline(*args)

    def record(self, outcome: Outcome, *args: Any, **kwargs: Any) -> Recorded:
        if self.full:
            raise LedgerError("no space left on the disk")
        return super().record(outcome, *args, **kwargs)


class SteppedHints(HintBox):
    """Waiting moves the clock instead of the world."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout_s: float) -> None:
        self._clock.advance(max(timeout_s, 0.001))


class Rig:
    """An ingest loop with everything around it."""

    def __init__(self, tmp_path: Path) -> None:
        self.root = tmp_path / "frames"
        self.root.mkdir()
        self.clock = ManualClock(datetime.now(UTC) + timedelta(days=1))  # the files are older than the start
        self.hints = SteppedHints(self.clock)
        self.reader, self.judge = Reader(), Judge()
        self.ledger = FlakyLedger(tmp_path / "ledger.sqlite3", clock=self.clock)
        self.told: list[object] = []
        self.directories: list[WatchedDirectory] = []

    def write(self, name: str, content: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return path

    def ingest(self, **options: Any) -> Ingest:
        settings = WatchConfig(mode=options.pop("mode", "poll"), sweep_seconds=10.0, settle_seconds=0.5, exclude=())
        check = options.pop("check", lambda _root: None)
        directory = WatchedDirectory(options.pop("configured", self.root), settings, self.hints, check)
        self.directories = [directory, *options.pop("others", [])]
        directory.arm()
        targets = options.pop("targets", [make_target("any tip", "Tips")])
        targets += [make_target("large", magnification={"min": 1000.0})] if options.pop("large", False) else []
        once, tell = options.pop("once", False), self.told.append
        settle = Settle(partial(settle_seconds, self.directories), options.pop("patience_s", 30.0))
        outage = LedgerOutage(self.clock, tell, gives_up=once)
        shared: Any = {"settle": settle, "outage": outage, "clock": self.clock, "tell": tell}
        self.scan = Scan(
            directories=self.directories,
            hints=self.hints,
            ledger=self.ledger,
            alive=lambda _now: None,
            once=once,
            baseline=options.pop("baseline", False),
            **shared,
        )
        self.pipeline = Pipeline(
            reader=self.reader,
            judge=self.judge,
            targets=targets,
            ledger=self.ledger,
            skipped=self.scan.sidecar_came,
            **options,
            **shared,
        )
        return Ingest(scan=self.scan, hints=self.hints, pipeline=self.pipeline, once=once, **shared)

    def once(self, **options: Any) -> None:
        self.ingest(once=True, patience_s=0.0, **options).run(lambda: False)

    def until(self, ingest: Ingest, condition: Callable[[], bool], within_s: float = 200.0) -> None:
        end = self.clock.monotonic() + within_s
        ingest.run(lambda: condition() or self.clock.monotonic() > end)
        assert condition()

    def known(self, name: str) -> Known:
        return self.ledger.known_files([self.root / name])[self.root / name]

    def done(self) -> list[tuple[str, str]]:
        return [
            (each.outcome.path.relative_to(self.root).as_posix(), each.outcome.state.value)
            for each in self.told
            if isinstance(each, FrameDone) and each.new
        ]

    def paths(self) -> list[Path]:
        return [each.outcome.path for each in self.told if isinstance(each, FrameDone) and each.new]

    def notices(self) -> list[str]:
        return [each.text for each in self.told if isinstance(each, Notice)]


@pytest.fixture(name="rig")
def _rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    for directory in rig.directories:
        directory.disarm()
    rig.ledger.close()


def test_what_is_there_is_recorded_once_and_a_second_run_records_nothing(rig: Rig) -> None:
    rig.write("a.tif", "a")
    rig.write("day/b.tif", "b")
    rig.write("notes.txt", "text")
    rig.once()
    rig.once()

    assert rig.done() == [("a.tif", "recorded"), ("notes.txt", "skipped"), ("day/b.tif", "recorded")]
    assert rig.reader.read == ["a.tif", "notes.txt", "b.tif"]


def test_an_unchanged_file_is_not_read_again_by_sweeps_or_hints(rig: Rig) -> None:
    path = rig.write("a.tif", "a")
    rig.once()
    rig.hints.file(path, closed=True)
    ingest = rig.ingest()
    sweeps = rig.clock.monotonic() + 35.0
    rig.until(ingest, lambda: rig.clock.monotonic() > sweeps)

    assert rig.reader.read == ["a.tif"]


def test_a_changed_file_is_a_new_frame(rig: Rig) -> None:
    rig.write("a.tif", "first")
    rig.once()
    rig.write("a.tif", "second content")
    rig.once()

    assert rig.done() == [("a.tif", "recorded"), ("a.tif", "recorded")]


def test_an_incomplete_file_is_waited_for_and_recorded_when_the_rest_arrives(rig: Rig) -> None:
    path = rig.write("a.tif", "half")
    ingest = rig.ingest(patience_s=30.0)
    rig.until(ingest, lambda: len(rig.reader.read) >= 3)

    assert rig.done() == []

    path.write_text("whole", encoding="utf-8")
    rig.until(ingest, lambda: rig.done() != [])

    assert rig.done() == [("a.tif", "recorded")]


def test_an_incomplete_file_is_a_failure_when_patience_is_over_and_becomes_a_frame_later_in_the_same_row(
    rig: Rig,
) -> None:
    path = rig.write("a.tif", "half")
    ingest = rig.ingest(patience_s=8.0)
    rig.until(ingest, lambda: rig.done() != [])

    assert rig.done() == [("a.tif", "failed")]
    assert 8.0 <= rig.clock.monotonic() < 20.0

    path.write_text("whole", encoding="utf-8")
    rig.until(ingest, lambda: rig.known("a.tif").state is FrameState.RECORDED)

    assert len({each.frame_id for each in rig.told if isinstance(each, FrameDone)}) == 1


def test_a_locked_file_is_tried_again_although_it_does_not_change(rig: Rig) -> None:
    path = rig.write("a.tif", "locked")
    ingest = rig.ingest()
    rig.until(ingest, lambda: rig.reader.read.count("a.tif") >= 2)

    assert rig.known("a.tif").state is FrameState.FAILED
    path.unlink()


def test_a_read_that_hung_is_tried_again_with_growing_delays_also_after_a_restart(rig: Rig) -> None:
    rig.write("a.tif", "hangs")
    rig.once()
    assert rig.known("a.tif").state is FrameState.FAILED
    tries = []
    for _ in range(400):
        rig.clock.advance(10.0)
        rig.once()
        if len(rig.reader.read) > len(tries) + 1:
            tries.append(rig.clock.monotonic())
    delays = [later - before for before, later in pairwise([0.0, *tries])]
    rig.reader.hangs = False
    rig.clock.advance(6 * 3600.0)
    rig.once()

    assert len(tries) == 6
    assert all(later >= 1.7 * before for before, later in pairwise(delays)), delays
    assert rig.known("a.tif").state is FrameState.RECORDED
    assert len({each.frame_id for each in rig.told if isinstance(each, FrameDone)}) == 1


def test_what_is_tried_again_goes_behind_the_frames_that_come(rig: Rig) -> None:
    rig.clock.put(-2 * 86_400)  # all files are younger than the start: live
    for number in range(5):
        rig.write(f"bad-{number}.tif", f"hangs {number}")
    ingest = rig.ingest()
    rig.until(ingest, lambda: len(rig.reader.read) == 5)
    rig.clock.advance(61.0)
    for number in range(40):
        rig.write(f"good-{number:02}.tif", f"good {number}")
    rig.until(ingest, lambda: len(rig.reader.read) == 50)

    assert [each[:3] for each in rig.reader.read[5:]] == ["goo"] * 40 + ["bad"] * 5


def test_a_fault_of_emwatch_that_passes_costs_no_frame(rig: Rig) -> None:
    rig.write("a.tif", "a")
    rig.judge.stumble = True
    rig.once()
    rig.judge.stumble = False
    rig.clock.advance(61.0)
    rig.once()

    assert rig.done() == [("a.tif", "failed"), ("a.tif", "recorded")]
    assert len(rig.ledger.due_alerts("terminal", rig.clock.now(), 10)) == 1


def test_a_hit_found_by_a_late_sidecar_is_counted_once(rig: Rig) -> None:
    rig.write("a.tif", "a")
    ingest = rig.ingest(targets=[make_target("large", magnification={"min": 1000.0})])
    rig.until(ingest, lambda: rig.done() == [("a.tif", "recorded")])
    rig.write("a.txt", "text 5000")
    rig.until(ingest, lambda: rig.reader.read.count("a.tif") == 2)
    progress = Progress()
    for each in rig.told:
        progress.note(each, 0.0)  # type: ignore[arg-type]  # events are all that is told

    assert (progress.frames, progress.hits, progress.skipped) == (1, 1, 1)
    both = [each for each in rig.told if isinstance(each, FrameDone) and each.outcome.path.name == "a.tif"]
    assert [(each.new, each.hit) for each in both] == [(True, False), (False, True)]


def test_a_file_that_vanishes_before_it_is_read_leaves_a_row_with_the_reason(rig: Rig) -> None:
    path = rig.write("a.tif", "a")
    rig.hints.file(path, closed=False)
    ingest = rig.ingest()
    ingest.run(lambda: bool(path in ingest._settle and path.unlink() is None))
    rig.until(ingest, lambda: rig.done() != [])

    [done] = [each for each in rig.told if isinstance(each, FrameDone)]
    assert done.outcome.code == "vanished"


def test_a_file_renamed_while_it_settles_is_recorded_under_its_new_name_only(rig: Rig) -> None:
    path = rig.write("a.part", "a")
    rig.hints.file(path, closed=False)
    ingest = rig.ingest()
    ingest.run(lambda: path in ingest._settle)
    rig.hints.gone(path)
    rig.hints.file(path.rename(rig.root / "a.tif"), closed=True)
    rig.until(ingest, lambda: rig.done() != [])

    assert rig.done() == [("a.tif", "recorded")]


def test_a_settled_file_is_recorded_within_one_turn_of_the_loop(rig: Rig) -> None:
    path = rig.write("a.tif", "a")
    ingest = rig.ingest()
    rig.until(ingest, lambda: any(isinstance(each, Ready) for each in rig.told))
    turns = []
    rig.hints.file(path, closed=True)
    ingest.run(lambda: bool(rig.done()) or turns.append(0) is not None or len(turns) > 1)

    assert rig.done() == [("a.tif", "recorded")]


def test_the_next_frame_is_being_read_while_one_is_classified(rig: Rig) -> None:
    for name in ("a", "b", "c"):
        rig.write(f"{name}.tif", name)
    begun_and_read: list[tuple[str, list[str]]] = []
    classify = rig.judge.classify
    rig.judge.classify = lambda *views: (  # type: ignore[method-assign]
        begun_and_read.append((rig.reader._path.name, list(rig.reader.read))),
        classify(*views),
    )[1]
    rig.once()

    assert begun_and_read == [
        ("b.tif", ["a.tif"]),
        ("c.tif", ["a.tif", "b.tif"]),
        ("c.tif", ["a.tif", "b.tif", "c.tif"]),
    ]


def test_live_frames_go_before_a_backlog(rig: Rig) -> None:
    for number in range(20):
        rig.write(f"old-{number:02}.tif", f"old {number}")
    ingest = rig.ingest()
    rig.until(ingest, lambda: len(rig.reader.read) == 3)
    rig.hints.file(rig.write("live.tif", "live"), closed=True)
    rig.until(ingest, lambda: len(rig.reader.read) == 21)

    assert rig.reader.read.index("live.tif") <= 4


def test_a_backlog_of_any_size_keeps_a_bounded_number_of_files_waiting(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_module, "_PAUSE_SWEEPS_AT", 10)
    monkeypatch.setattr(hinted_module, "_DROP_HINTS_AT", 20)
    monkeypatch.setattr(sweep_module, "_FILES_AT_A_TIME", 5)
    old = [rig.write(f"old-{number:02}.tif", f"old {number}") for number in range(60)]
    most = 0

    def all_read() -> bool:
        nonlocal most
        most = max(most, len(ingest._settle))
        if len(rig.reader.read) == 3 and not live:
            for number in range(60):
                live.append(rig.write(f"live-{number:02}.tif", f"live {number}"))
                rig.hints.file(live[-1], closed=True)
        return len(rig.done()) == 120

    live: list[Path] = []
    ingest = rig.ingest()
    rig.until(ingest, all_read)

    assert sorted(name for name, _ in rig.done()) == sorted(path.name for path in old + live)
    assert most <= 80  # all hints of one moment, and those who wait already


def test_a_paused_sweep_does_not_keep_the_loop_busy(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "_PAUSE_SWEEPS_AT", 5)
    monkeypatch.setattr(sweep_module, "_FILES_AT_A_TIME", 5)
    for number in range(20):
        rig.write(f"{number:02}.tif", "half")
    ingest = rig.ingest()
    rig.until(ingest, lambda: len(rig.reader.read) == 5)

    assert rig.scan._paused()
    assert ingest._nap(rig.clock.monotonic()) > 0.1


def test_sweeps_that_take_long_are_made_less_often(rig: Rig) -> None:
    rig.write("a.tif", "a")
    rig.ledger.computes_s = 1.0
    end = rig.clock.monotonic() + 600.0
    rig.ingest().run(lambda: rig.clock.monotonic() > end)

    assert 4 <= rig.ledger.asked <= 6  # every 140 s and not every 10 s, as many files would cost a tenth of a core


def test_no_pause_between_sweeps_is_longer_than_five_minutes(rig: Rig) -> None:
    rig.write("a.tif", "a")
    rig.ledger.computes_s = 60.0
    end = rig.clock.monotonic() + 3600.0
    rig.ingest().run(lambda: rig.clock.monotonic() > end)

    assert 9 <= rig.ledger.asked <= 11


def test_a_sweep_that_only_waits_for_a_share_is_made_again_soon(rig: Rig) -> None:
    rig.write("a.tif", "a")
    rig.ledger.waits_s = 2.0
    end = rig.clock.monotonic() + 240.0
    rig.ingest().run(lambda: rig.clock.monotonic() > end)

    assert 18 <= rig.ledger.asked <= 22  # every 12 s; 40 times its time would be every 82 s


def test_a_new_name_is_found_while_a_sweep_takes_minutes(rig: Rig) -> None:
    rig.write("old/a.tif", "a")
    ingest = rig.ingest()
    rig.until(ingest, lambda: len(rig.done()) == 1)
    rig.ledger.waits_s = 200.0
    rig.until(ingest, lambda: rig.ledger.asked == 2, within_s=1000)
    rig.ledger.waits_s = 0.0
    path = rig.write("old/new.tif", "new")
    before = rig.clock.monotonic()
    rig.until(ingest, lambda: len(rig.done()) == 2, within_s=1000)

    assert rig.known(path.relative_to(rig.root).as_posix()).state is FrameState.RECORDED
    assert rig.clock.monotonic() - before <= 12.0


def test_each_directory_has_its_own_settling_time(rig: Rig, tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    slow = WatchedDirectory(share, WatchConfig(mode="poll", settle_seconds=30.0), rig.hints)
    rig.write("a.tif", "a")
    ingest = rig.ingest(others=[slow])
    rig.until(ingest, lambda: len(rig.done()) == 1)

    assert rig.clock.monotonic() < 5.0


def test_a_baseline_is_what_was_there_at_the_start_by_its_times(rig: Rig) -> None:
    old = rig.write("old.tif", "old").stat().st_ctime_ns
    rig.clock._start = datetime.fromtimestamp(old / 1e9, UTC) + timedelta(milliseconds=51)  # a tick of the kernel is 50
    rig.clock.advance(3)  # the model is loaded
    ingest = rig.ingest(baseline=True)
    while rig.write("new.tif", "new").stat().st_ctime_ns <= old + 2_000_000:
        pass
    rig.until(ingest, lambda: rig.ledger.baseline_taken(rig.root))
    rig.until(ingest, lambda: rig.done() == [("new.tif", "recorded")])

    assert rig.known("old.tif").state is FrameState.BASELINE


def test_ready_is_told_after_a_minute_however_long_the_first_sweep_takes(rig: Rig) -> None:
    for folder in range(20):
        rig.write(f"{folder:02}/a.tif", f"frame {folder}")
    rig.ledger.waits_s = 30.0
    ingest = rig.ingest()
    rig.until(ingest, lambda: any(isinstance(each, Ready) for each in rig.told), within_s=1000)

    assert rig.clock.monotonic() <= 100.0
    assert rig.ledger.asked < 10


def test_a_live_frame_goes_before_the_rest_of_the_first_sweep(rig: Rig) -> None:
    for folder in range(20):
        rig.write(f"{folder:02}/a.tif", f"frame {folder}")
    rig.ledger.waits_s = 1.0
    ingest = rig.ingest()
    rig.until(ingest, lambda: rig.ledger.asked == 2)
    rig.hints.file(rig.write("live.tif", "live"), closed=True)
    rig.until(ingest, lambda: ("live.tif", "recorded") in rig.done())

    assert rig.ledger.asked < 6


def test_a_link_that_leads_elsewhere_is_followed_with_one_notice_and_no_frame_is_lost(rig: Rig, tmp_path: Path) -> None:
    rig.write("a.tif", "a")
    link, other = tmp_path / "current", tmp_path / "next"
    link.symlink_to(rig.root)
    other.mkdir()
    ingest = rig.ingest(configured=link)
    rig.until(ingest, lambda: len(rig.done()) == 1)
    link.unlink()
    link.symlink_to(other)
    (other / "b.tif").write_text("b", encoding="utf-8")
    rig.write("c.tif", "c")  # its writer still has the old folder
    rig.until(ingest, lambda: len(rig.paths()) == 3)

    assert sorted(rig.paths()) == sorted([rig.root / "a.tif", other / "b.tif", rig.root / "c.tif"])
    assert [text for text in rig.notices() if str(other) in text and "leads to" in text] == rig.notices()


def test_a_link_to_a_place_that_may_not_be_watched_is_not_followed(rig: Rig, tmp_path: Path) -> None:
    link = tmp_path / "current"
    link.symlink_to(rig.root)

    def refuse(root: Path) -> None:
        raise ConfigError(f"ledger.path: lies in {root}")

    ingest = rig.ingest(configured=link, check=refuse)
    rig.until(ingest, rig.clock.monotonic)
    link.unlink()
    link.symlink_to(tmp_path)
    rig.write("a.tif", "a")
    rig.until(ingest, lambda: len(rig.done()) == 1)

    assert len(rig.notices()) == 1
    assert "still watching" in rig.notices()[0]


def test_a_link_that_leads_nowhere_is_waited_for(rig: Rig, tmp_path: Path) -> None:
    link = tmp_path / "current"
    link.symlink_to(rig.root)
    ingest = rig.ingest(configured=link)
    rig.until(ingest, rig.clock.monotonic)
    link.unlink()
    rig.until(ingest, lambda: bool(rig.notices()))
    link.symlink_to(rig.root)
    rig.until(ingest, lambda: len(rig.notices()) == 2)

    assert "waiting for it to come back" in rig.notices()[0]
    assert "is back" in rig.notices()[1]


def test_a_directory_that_was_never_there_appears_and_does_not_come_back(rig: Rig) -> None:
    later = rig.root.rename(rig.root.with_name("later"))
    ingest = rig.ingest()
    rig.until(ingest, lambda: len(rig.notices()) == 1)
    later.rename(rig.root)
    rig.until(ingest, lambda: len(rig.notices()) == 2)

    assert "waiting for it to appear" in rig.notices()[0]
    assert "is there now" in rig.notices()[1]


@pytest.mark.parametrize("mode", ["poll", "events"])
def test_a_vanished_directory_is_waited_for_with_one_notice_and_its_rows_stay(
    rig: Rig, mode: Literal["poll", "events"], caplog: pytest.LogCaptureFixture
) -> None:
    rig.write("a.tif", "a")
    ingest = rig.ingest(mode=mode)
    rig.until(ingest, lambda: len(rig.done()) == 1)
    away = rig.root.rename(rig.root.with_name("away"))
    gone = rig.clock.monotonic() + 60
    rig.until(ingest, lambda: rig.clock.monotonic() > gone)
    away.rename(rig.root)
    rig.write("b.tif", "b")
    rig.until(ingest, lambda: len(rig.done()) == 2)

    assert rig.done() == [("a.tif", "recorded"), ("b.tif", "recorded")]
    assert [("not available" in text, "is back" in text) for text in rig.notices()] == [(True, False), (False, True)]
    assert [each.message for each in caplog.records] == []


@pytest.mark.parametrize("mode", ["poll", "events"])
def test_an_empty_directory_in_place_of_the_full_one_is_a_share_that_is_not_mounted(
    rig: Rig, mode: Literal["poll", "events"], caplog: pytest.LogCaptureFixture
) -> None:
    rig.write("a.tif", "a")
    ingest = rig.ingest(mode=mode)
    rig.until(ingest, lambda: len(rig.done()) == 1)
    away = rig.root.rename(rig.root.with_name("away"))
    rig.root.mkdir()
    later = rig.clock.monotonic() + 60
    rig.until(ingest, lambda: rig.clock.monotonic() > later)
    rig.root.rmdir()
    away.rename(rig.root)
    rig.write("b.tif", "b")
    rig.until(ingest, lambda: len(rig.done()) == 2)

    assert rig.done() == [("a.tif", "recorded"), ("b.tif", "recorded")]
    assert [("not mounted" in text, "is back" in text) for text in rig.notices()] == [(True, False), (False, True)]
    assert [each.message for each in caplog.records] == []


def test_an_empty_directory_at_the_start_is_suspect_only_where_the_ledger_knows_files_of_it(rig: Rig) -> None:
    path = rig.write("a.tif", "a")
    rig.once()
    path.unlink()
    rig.until(rig.ingest(), lambda: bool(rig.notices()))

    assert "not mounted" in rig.notices()[0]


def test_a_directory_that_its_owner_emptied_is_still_there(rig: Rig) -> None:
    path = rig.write("a.tif", "a")
    ingest = rig.ingest()
    rig.until(ingest, lambda: len(rig.done()) == 1)
    path.unlink()
    later = rig.clock.monotonic() + 60
    rig.until(ingest, lambda: rig.clock.monotonic() > later)

    assert rig.notices() == []


def test_once_on_a_missing_directory_is_an_error(rig: Rig) -> None:
    shutil.rmtree(rig.root)

    with pytest.raises(WatchError, match="not available"):
        rig.once()


def test_a_full_disk_stops_the_taking_of_frames_and_loses_none(rig: Rig) -> None:
    rig.write("a.tif", "a")
    rig.write("b.tif", "b")
    rig.ledger.full = True
    ingest = rig.ingest()
    later = rig.clock.monotonic() + 60
    rig.until(ingest, lambda: rig.clock.monotonic() > later)

    assert rig.done() == []
    assert len([text for text in rig.notices() if "no space left" in text]) == 1

    rig.ledger.full = False
    rig.until(ingest, lambda: len(rig.done()) == 2)

    assert sorted(rig.done()) == [("a.tif", "recorded"), ("b.tif", "recorded")]


def test_an_unforeseen_fault_costs_one_frame_and_says_so(rig: Rig) -> None:
    rig.write("a.tif", "a")
    rig.judge.stumble = True
    rig.once()

    [done] = [each for each in rig.told if isinstance(each, FrameDone)]
    assert (done.outcome.state, done.outcome.code) == (FrameState.FAILED, "internal")
    assert "out of cheese" in done.outcome.reason


def test_matches_are_recorded_with_the_frame(rig: Rig) -> None:
    rig.write("a.tif", "a")
    woken: list[bool] = []
    rig.once(recorded=lambda: woken.append(True))

    [done] = [each for each in rig.told if isinstance(each, FrameDone)]
    assert [match.target for match in done.outcome.matches] == ["any tip"]
    assert isinstance(done.outcome.matches[0], Match)
    assert woken == [True]


def test_a_baseline_is_taken_once_and_what_comes_later_is_read(rig: Rig) -> None:
    rig.write("old.tif", "old")
    rig.once(baseline=True)

    assert rig.reader.read == []
    assert rig.known("old.tif").state is FrameState.BASELINE

    rig.write("new.tif", "new")
    rig.once(baseline=True)

    assert rig.reader.read == ["new.tif"]


def test_ready_is_told_once_after_the_first_sweep(rig: Rig) -> None:
    rig.write("a.tif", "a")
    ingest = rig.ingest()
    rig.until(ingest, lambda: len(rig.done()) == 1)

    assert [type(each) for each in rig.told].count(Ready) == 1
    assert isinstance(rig.told[0], Ready)


def test_lost_events_lead_to_a_sweep_at_once(rig: Rig) -> None:
    ingest = rig.ingest()
    rig.until(ingest, lambda: any(isinstance(each, Ready) for each in rig.told))
    rig.write("unseen.tif", "unseen")
    before = rig.clock.monotonic()
    rig.hints.everything("queue overflow")
    rig.until(ingest, lambda: rig.done() != [])

    assert rig.clock.monotonic() - before < 2.0


def test_a_file_closed_again_unchanged_while_it_is_read_is_read_once(rig: Rig) -> None:
    path = rig.write("a.tif", "a")
    rig.hints.file(path, closed=True)
    ingest = rig.ingest()
    rig.until(ingest, lambda: rig.reader.read == ["a.tif"])
    rig.hints.file(path, closed=True)
    later = rig.clock.monotonic() + 15
    rig.until(ingest, lambda: rig.clock.monotonic() > later)

    assert rig.reader.read == ["a.tif"]
    assert rig.done() == [("a.tif", "recorded")]


def test_a_file_renamed_away_while_it_is_found_incomplete_costs_nothing(rig: Rig) -> None:
    path = rig.write("a.tif", "half")
    rig.hints.file(path, closed=True)
    rig.hints.file(rig.write("0.tif", "whole"), closed=True)
    ingest = rig.ingest()
    rig.until(ingest, lambda: rig.reader.read == ["a.tif"])
    assert path in ingest._settle
    rig.hints.gone(path)
    path.rename(rig.root / "b.tif").write_text("whole", encoding="utf-8")
    rig.until(ingest, lambda: len(rig.done()) == 2)

    assert rig.done() == [("0.tif", "recorded"), ("b.tif", "recorded")]


def test_a_share_that_goes_away_with_a_backlog_fails_no_frame(rig: Rig) -> None:
    for number in range(50):
        rig.write(f"{number:02}.tif", f"frame {number}")
    ingest = rig.ingest()
    rig.until(ingest, lambda: len(rig.reader.read) == 5)
    away = rig.root.rename(rig.root.with_name("away"))
    later = rig.clock.monotonic() + 60
    rig.until(ingest, lambda: rig.clock.monotonic() > later)
    away.rename(rig.root)
    rig.until(ingest, lambda: len([1 for _, state in rig.done() if state == "recorded"]) == 50)

    assert {state for _, state in rig.done()} == {"recorded"}


def test_a_ledger_held_by_another_program_is_waited_for_by_sweeps_and_hints(rig: Rig) -> None:
    rig.ledger.held = True
    path = rig.write("a.tif", "a")
    ingest = rig.ingest()
    rig.hints.file(path, closed=True)
    later = rig.clock.monotonic() + 30
    rig.until(ingest, lambda: rig.clock.monotonic() > later)
    rig.ledger.held = False
    rig.until(ingest, lambda: rig.done() == [("a.tif", "recorded")])

    assert len([text for text in rig.notices() if "locked" in text]) == 1


def test_a_baseline_that_cannot_be_written_is_taken_later(rig: Rig) -> None:
    rig.write("old.tif", "old")
    rig.ledger.full = True
    ingest = rig.ingest(baseline=True)
    later = rig.clock.monotonic() + 30
    rig.until(ingest, lambda: rig.clock.monotonic() > later)
    rig.ledger.full = False
    rig.until(ingest, lambda: rig.ledger.baseline_taken(rig.root))

    assert rig.reader.read == []


def test_once_gives_up_on_a_ledger_that_stays_full(rig: Rig) -> None:
    rig.write("a.tif", "a")
    rig.ledger.full = True

    with pytest.raises(LedgerError, match="no space left"):
        rig.once()


def test_many_touches_are_noted_without_reading_the_frames_again(rig: Rig) -> None:
    paths = [rig.write(f"{number:02}.tif", f"frame {number}") for number in range(21)]
    rig.once()
    for path in paths:
        path.chmod(0o640)
    rig.once()

    assert len(rig.reader.read) == 21
    assert rig.known("00.tif").stat_key == StatKey.of(paths[0].stat())


def test_a_frame_overwritten_with_its_old_size_and_times_is_found_by_its_ctime(rig: Rig) -> None:
    path, touched = rig.write("a.tif", "first"), rig.write("b.tif", "b")
    rig.once()
    before = path.stat()
    path.write_text("other", encoding="utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    touched.chmod(0o640)
    rig.once()
    rig.once()

    assert rig.done() == [("a.tif", "recorded"), ("b.tif", "recorded"), ("a.tif", "recorded")]
    assert rig.reader.read == ["a.tif", "b.tif", "a.tif", "b.tif"]


def test_a_sidecar_that_comes_late_brings_the_metadata_and_the_alert_that_waited_for_it(rig: Rig) -> None:
    rig.write("a.tif", "a")
    ingest = rig.ingest(large=True)
    rig.until(ingest, lambda: rig.done() == [("a.tif", "recorded")])
    rig.write("a.txt", "text 5000")
    rig.until(ingest, lambda: rig.reader.read.count("a.tif") == 2)
    alerts = rig.ledger.due_alerts("terminal", rig.clock.now(), 10)

    assert sorted(alert.target for alert in alerts) == ["any tip", "large"]
    assert {alert.magnification for alert in alerts} == {5000.0}
    assert rig.done() == [("a.tif", "recorded"), ("a.txt", "skipped")]


def test_a_sidecar_that_was_recorded_last_before_a_stop_is_taken_over_at_the_next_start(rig: Rig) -> None:
    """Its own row said that it was known, and only memory that its frame was to be read again."""
    rig.write("a.tif", "a")
    rig.until(rig.ingest(large=True), lambda: rig.done() == [("a.tif", "recorded")])
    rig.write("a.txt", "text 5000")
    rig.until(rig.ingest(large=True), lambda: ("a.txt", "skipped") in rig.done())
    assert rig.reader.read.count("a.tif") == 1

    rig.until(rig.ingest(large=True), lambda: rig.reader.read.count("a.tif") == 2)
    alerts = rig.ledger.due_alerts("terminal", rig.clock.now(), 10)
    ingest, later = rig.ingest(large=True), rig.clock.monotonic() + 100.0
    rig.until(ingest, lambda: rig.clock.monotonic() > later)

    assert sorted(alert.target for alert in alerts) == ["any tip", "large"]
    assert rig.reader.read.count("a.tif") == 2


def test_a_frame_with_a_black_tail_is_delayed_by_seconds_and_never_fails(rig: Rig) -> None:
    path = rig.write("a.tif", "dark")
    rig.hints.file(path, closed=True)
    before = rig.clock.monotonic()
    rig.until(rig.ingest(patience_s=0.0), lambda: rig.done() == [("a.tif", "recorded")], within_s=10.0)

    assert 3.0 <= rig.clock.monotonic() - before < 5.0


def test_a_black_tail_that_was_not_written_yet_is_read_when_it_is(rig: Rig) -> None:
    path = rig.write("a.tif", "dark")
    rig.hints.file(path, closed=True)
    ingest = rig.ingest()
    rig.until(ingest, lambda: rig.reader.read == ["a.tif"])
    rig.write("a.tif", "bright")
    rig.until(ingest, lambda: len(rig.done()) == 1)

    assert rig.done() == [("a.tif", "recorded")]
    assert rig.known("a.tif").state == FrameState.RECORDED
    assert [each.outcome.reading.unsettled for each in rig.told if isinstance(each, FrameDone)] == [""]  # type: ignore[union-attr]


def test_a_sweep_asked_for_during_a_sweep_is_not_forgotten(rig: Rig) -> None:
    rig.write("d/a.tif", "a")
    ingest = rig.ingest()
    rig.until(ingest, lambda: len(rig.done()) == 1)
    rig.scan._start(rig.clock.monotonic() + 100)
    rig.hints.everything("overflow")
    rig.scan._take_hints(rig.clock.monotonic())
    rig.scan._sweep_a_little(rig.clock.monotonic())
    rig.write("d/b.tif", "b")
    before = rig.clock.monotonic()
    rig.until(ingest, lambda: len(rig.done()) == 2)

    assert rig.clock.monotonic() - before < 3.0


def test_a_retry_set_before_the_clock_was_put_back_is_due(rig: Rig) -> None:
    rig.write("a.tif", "locked")
    rig.once()
    rig.clock._start -= timedelta(days=1)
    rig.once()

    assert rig.reader.read == ["a.tif", "a.tif"]
