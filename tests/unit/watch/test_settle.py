"""Settling: a file is read when it is whole, at once when its writer let go, never by the age its mtime claims."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from emwatch.frame import StatKey
from emwatch.watch.settle import Settle

FRAME = Path("/frames/a.tif")
OTHER = Path("/frames/b.tif")


def key(size: int, mtime_ns: int = 0) -> StatKey:
    return StatKey(size, mtime_ns, 0, 1)


@pytest.fixture(name="settle")
def _settle() -> Settle:
    return Settle(lambda _path: 0.5, patience_s=10.0)


def test_a_file_that_stays_the_same_for_the_quiet_time_is_ready(settle: Settle) -> None:
    settle.see(FRAME, key(10), now=100.0)

    assert settle.next_ready(100.49) is None
    assert settle.next_ready(100.5) == FRAME


def test_a_file_that_grows_starts_its_quiet_time_anew(settle: Settle) -> None:
    settle.see(FRAME, key(10), now=100.0)
    settle.see(FRAME, key(20), now=100.4)

    assert settle.next_ready(100.8) is None
    assert settle.next_ready(100.9) == FRAME


def test_seeing_an_unchanged_file_again_does_not_prolong_its_wait(settle: Settle) -> None:
    settle.see(FRAME, key(10), now=100.0)
    settle.see(FRAME, key(10), now=100.4)

    assert settle.next_ready(100.5) == FRAME


@pytest.mark.parametrize("mtime_ns", [0, 2**62], ids=["1970", "far future"])
def test_the_time_a_file_claims_to_be_written_at_does_not_count(settle: Settle, mtime_ns: int) -> None:
    settle.see(FRAME, key(10, mtime_ns), now=100.0)

    assert settle.next_ready(100.1) is None
    assert settle.next_ready(100.5) == FRAME


def test_a_file_closed_by_its_writer_is_ready_at_once(settle: Settle) -> None:
    settle.see(FRAME, key(10), now=100.0)
    settle.see(FRAME, key(20), now=100.1, closed=True)

    assert settle.next_ready(100.1) == FRAME


def test_live_files_go_before_those_a_sweep_found(settle: Settle) -> None:
    settle.see(FRAME, key(1), now=1.0)
    settle.see(OTHER, key(1), now=2.0, closed=True)

    assert settle.next_ready(5.0) == OTHER


def test_without_live_files_the_first_seen_goes_first(settle: Settle) -> None:
    settle.see(OTHER, key(1), now=1.0)
    settle.see(FRAME, key(1), now=1.1)

    assert settle.next_ready(5.0) == OTHER


def test_an_incomplete_file_waits_longer_each_time_until_patience_is_over(settle: Settle) -> None:
    settle.see(FRAME, key(10), now=0.0, closed=True)
    waits = []
    now = 0.0
    while settle.incomplete(FRAME, now):
        due = settle.next_due(now)
        waits.append(due - now)
        now = due

    assert waits == [1.0, 2.0, 4.0, 5.0]
    assert now == 12.0


def test_a_change_after_being_found_incomplete_gives_full_patience_again(settle: Settle) -> None:
    settle.see(FRAME, key(10), now=0.0)
    settle.incomplete(FRAME, now=9.0)
    settle.see(FRAME, key(20), now=9.5)

    assert settle.incomplete(FRAME, now=12.0)
    assert not settle.incomplete(FRAME, now=19.5)


def test_a_forgotten_file_is_neither_ready_nor_counted(settle: Settle) -> None:
    settle.see(FRAME, key(10), now=0.0)
    settle.forget(FRAME)

    assert settle.next_ready(99.0) is None
    assert len(settle) == 0
    assert settle.next_due(1.0) == math.inf


def test_a_file_being_read_is_not_offered_again_unless_it_changes(settle: Settle) -> None:
    settle.see(FRAME, key(10), now=0.0, closed=True)
    settle.taken(FRAME)

    assert settle.next_ready(99.0) is None

    settle.see(FRAME, key(20), now=100.0)

    assert settle.next_ready(100.5) == FRAME


def test_a_file_that_changed_while_it_was_read_is_kept(settle: Settle) -> None:
    settle.see(FRAME, key(10), now=0.0)
    settle.see(FRAME, key(20), now=1.0)
    settle.forget(FRAME, key(10))

    assert FRAME in settle

    settle.forget(FRAME, key(20))

    assert FRAME not in settle


def test_a_file_forgotten_and_seen_again_starts_anew(settle: Settle) -> None:
    settle.see(FRAME, key(10), now=0.0, closed=True)
    settle.forget(FRAME)
    settle.see(FRAME, key(10), now=1.0)

    assert settle.next_ready(1.2) is None
    assert settle.next_ready(1.5) == FRAME


def test_a_large_backlog_is_worked_off_in_the_order_of_sight(settle: Settle) -> None:
    paths = [Path(f"/frames/{number}.tif") for number in range(20_000)]
    for path in paths:
        settle.see(path, key(1), now=0.0)
    order = []
    while (path := settle.next_ready(1.0)) is not None:
        settle.taken(path)
        order.append(path)
        settle.forget(path)

    assert order == paths


def test_a_file_without_quiet_time_that_stays_incomplete_is_not_read_in_a_busy_loop() -> None:
    settle = Settle(lambda _path: 0.0, patience_s=3600.0)
    settle.see(FRAME, key(10), now=0.0, closed=True)
    settle.taken(FRAME)
    settle.incomplete(FRAME, now=0.0)

    assert settle.next_ready(0.1) is None


def test_a_file_may_stay_incomplete_for_a_day() -> None:
    patient = Settle(lambda _path: 0.5, patience_s=86_400.0)
    patient.see(FRAME, key(10), now=0.0)
    now, tries = 0.0, 0
    while patient.incomplete(FRAME, now):
        now, tries = patient.next_due(now), tries + 1

    assert tries > 10_000
    assert now >= 86_400.0


def paths(number: int) -> list[Path]:
    return [Path(f"/frames/{at:05d}.tif") for at in range(number)]


def take_all(settle: Settle, now: float) -> list[Path]:
    taken = []
    while (path := settle.next_ready(now)) is not None:
        settle.taken(path)
        settle.forget(path)
        taken.append(path)
    return taken


def test_in_a_backlog_of_live_files_the_newest_go_first_and_every_fourth_is_the_oldest(settle: Settle) -> None:
    live = paths(1000)
    for path in live:
        settle.see(path, key(1), now=100.0, closed=True, live=True)
    taken = take_all(settle, 100.0)

    assert taken[:8] == [live[0], live[-1], live[-2], live[-3], live[1], live[-4], live[-5], live[-6]]
    assert sorted(taken) == live


def test_a_few_live_files_are_read_in_the_order_of_sight(settle: Settle) -> None:
    live = paths(20)
    for path in live:
        settle.see(path, key(1), now=100.0, closed=True, live=True)

    assert take_all(settle, 100.0) == live


def test_what_was_read_leaves_nothing_behind(settle: Settle) -> None:
    for second, path in enumerate(paths(5000)):
        settle.see(path, key(1), now=second, closed=True, live=True)
        assert settle.next_ready(second) == path
        settle.taken(path)
        settle.forget(path)

    assert max(len(settle._live), len(settle._newest), len(settle._later)) < 100


def test_a_whole_file_that_may_still_be_in_work_waits_for_a_few_seconds_without_a_change(settle: Settle) -> None:
    path = paths(1)[0]
    settle.see(path, key(1), now=100.0, closed=True)
    settle.taken(path)

    assert settle.unsettled(path, 100.1)
    assert settle.next_ready(102.9) is None
    settle.see(path, key(2), now=102.9)  # written to again
    settle.taken(path)
    assert settle.unsettled(path, 103.5)
    assert settle.next_ready(105.8) is None
    assert settle.next_ready(105.9) == path
    assert not settle.unsettled(path, 105.9)
