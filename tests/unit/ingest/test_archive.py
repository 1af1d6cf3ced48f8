"""An archive's files reach the ledger once each, whatever happens to the workers."""

from __future__ import annotations

import os
from concurrent.futures import BrokenExecutor, Future
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emwatch.errors import EmwatchError, Vanished
from emwatch.frame import FrameState, Outcome, StatKey
from emwatch.ingest.archive import Archive, Scanned, scan_archive
from emwatch.ingest.archive_worker import Work
from emwatch.ledger.query import LedgerReader
from emwatch.ledger.writer import Ledger
from emwatch.readers.sandbox.limits import Limits
from emwatch.testing import NOON, ManualClock, make_outcome
from emwatch.watch.patterns import Patterns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.ingest.archive_worker import Batch

WORK = Work(None, "", "stub", 1, 1, True, Limits(), ())


class Hands:
    """Workers in this thread: two of them, of which some are lost before they answer."""

    are_local = True
    count = 2

    def __init__(self, *lost: int) -> None:
        self.lost = set(lost)  # the numbers of the batches handed out that get no answer
        self.handed_out: list[Batch] = []
        self.revived = 0

    def submit(self, work: Work, batch: Batch) -> Future[list[Outcome]]:  # noqa: ARG002 - the protocol's signature
        answer: Future[list[Outcome]] = Future()
        number = len(self.handed_out)
        self.handed_out.append(batch)
        if number in self.lost:
            answer.set_exception(BrokenExecutor("a process was killed"))
        else:
            answer.set_result([self.outcome(path, key) for path, key in batch])
        return answer

    def outcome(self, path: Path, key: StatKey) -> Outcome:
        return make_outcome(path, path.name, stat_key=key)

    def revive(self) -> None:
        self.revived += 1


class Blind(Hands):
    """Workers that cannot see the files."""

    def outcome(self, path: Path, key: StatKey) -> Outcome:  # noqa: ARG002 - as above
        return Outcome(path, FrameState.FAILED, None, code=Vanished.code, reason=f"{path}: gone")


@pytest.fixture(name="clock")
def _clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture(name="ledger")
def _ledger(tmp_path: Path, clock: ManualClock) -> Iterator[Ledger]:
    with Ledger(tmp_path / "state" / "ledger.sqlite3", clock=clock) as ledger:
        yield ledger


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    """Forty files in two folders, a minute apart, the last of them written last."""
    root = tmp_path / "archive"
    for number in range(40):
        path = root / f"year{number // 20}" / f"{number * 7 % 40:02}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.name.encode())
        _date(path, 3600 - 60 * number)
    return root


def _date(path: Path, seconds_ago: float) -> None:
    at = (NOON - timedelta(seconds=seconds_ago)).timestamp()
    os.utime(path, (at, at))


def archive(root: Path, ledger: Ledger, clock: ManualClock, told: list[str] | None = None) -> Archive:
    return Archive([root], Patterns(), 16, ledger, clock, (told if told is not None else []).append)


def scan(root: Path, ledger: Ledger, clock: ManualClock, hands: Hands) -> Scanned:
    result = Scanned()
    for _done in scan_archive(archive(root, ledger, clock).batches(), WORK, hands, ledger, clock, result):
        pass
    return result


def recorded(ledger: Ledger) -> list[str]:
    with LedgerReader(ledger.path) as reader:
        return sorted(Path(each.path).name for each in reader.rows())


def test_each_file_is_recorded_once_and_a_second_scan_finds_nothing(
    root: Path, ledger: Ledger, clock: ManualClock
) -> None:
    assert archive(root, ledger, clock).count() == (40, 0)
    assert scan(root, ledger, clock, Hands()).recorded == 40
    assert recorded(ledger) == [f"{number:02}.tif" for number in range(40)]
    assert archive(root, ledger, clock).count() == (0, 0)
    assert not list(archive(root, ledger, clock).batches())


def test_files_of_a_folder_come_in_the_order_they_were_written(root: Path, ledger: Ledger, clock: ManualClock) -> None:
    paths = [path for path, _key in chain.from_iterable(archive(root, ledger, clock).batches())]
    times = [path.stat().st_mtime for path in paths]
    assert times == sorted(times)
    assert len(times) == 40


def test_a_file_that_may_still_be_written_is_left_to_the_next_scan(
    root: Path, ledger: Ledger, clock: ManualClock
) -> None:
    _date(root / "year0" / "00.tif", 5)
    assert archive(root, ledger, clock).count() == (39, 1)
    assert scan(root, ledger, clock, Hands()).recorded == 39
    clock.advance(60)
    assert scan(root, ledger, clock, Hands()).recorded == 1


def test_a_file_of_a_microscope_whose_clock_is_ahead_goes_by_when_it_came_here(root: Path, ledger: Ledger) -> None:
    """It was left out as too young, until the time came that the clock had shown."""
    now = datetime.now(UTC)
    path = root / "year0" / "00.tif"
    at = (now + timedelta(days=400)).timestamp()
    os.utime(path, (at, at))
    came = datetime.fromtimestamp(path.stat().st_ctime, UTC)
    assert archive(root, ledger, ManualClock(came + timedelta(seconds=5))).count() == (39, 1)
    assert archive(root, ledger, ManualClock(came + timedelta(seconds=60))).count() == (40, 0)
    behind = ManualClock(came - timedelta(hours=1))  # this PC's own clock, or that of a share
    assert archive(root, ledger, behind).count() == (39, 1)
    assert archive(root, ledger, ManualClock(came - timedelta(days=2))).count() == (40, 0)


@pytest.mark.parametrize("lost", [(0,), (1,), (0, 3), (2, 4, 5)])
def test_batches_of_lost_workers_are_handed_out_again(
    root: Path, ledger: Ledger, clock: ManualClock, lost: tuple[int, ...]
) -> None:
    hands = Hands(*lost)
    assert scan(root, ledger, clock, hands).recorded == 40
    assert recorded(ledger) == [f"{number:02}.tif" for number in range(40)]
    assert hands.revived


def test_workers_that_are_lost_again_and_again_end_the_scan_and_keep_what_is_done(
    root: Path, ledger: Ledger, clock: ManualClock
) -> None:
    with pytest.raises(EmwatchError, match=r"workers were lost 5 times .*Try fewer.* goes on from here"):
        scan(root, ledger, clock, Hands(*range(1, 100)))
    assert len(recorded(ledger)) in {0, 16}
    scan(root, ledger, clock, Hands())
    assert len(recorded(ledger)) == 40


def test_a_worker_that_does_not_see_the_archive_ends_the_scan(root: Path, ledger: Ledger, clock: ManualClock) -> None:
    with pytest.raises(EmwatchError, match="a worker does not see it; mount the archive at the same path"):
        scan(root, ledger, clock, Blind())
    assert not recorded(ledger)


def test_a_file_deleted_meanwhile_is_not_recorded(root: Path, ledger: Ledger, clock: ManualClock) -> None:
    batches = list(archive(root, ledger, clock).batches())
    for path, _key in chain.from_iterable(batches):
        path.unlink()
    result = Scanned()
    assert list(scan_archive(iter(batches), WORK, Blind(), ledger, clock, result)) == [0] * len(batches)
    assert not recorded(ledger)


def test_a_folder_that_cannot_be_entered_is_told_once(root: Path, ledger: Ledger, clock: ManualClock) -> None:
    deep = root.joinpath(*"abcdefghijklmnopqrst")
    deep.mkdir(parents=True)
    told: list[str] = []
    looked_at = archive(root, ledger, clock, told)
    looked_at.count()
    list(looked_at.batches())
    assert [each for each in told if "deeper than watch.max_depth" in each] == told
    assert len(told) == 1
