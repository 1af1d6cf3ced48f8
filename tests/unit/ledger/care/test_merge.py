"""Another ledger's rows taken over, whole or damaged: nothing twice, no rule broken, nothing alerted twice."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emwatch.errors import LedgerError
from emwatch.frame import FrameState, StatKey
from emwatch.ledger.care.check import check
from emwatch.ledger.care.prune import Prune
from emwatch.ledger.care.salvage import Salvage
from emwatch.ledger.query import LedgerReader, LogFilter
from emwatch.ledger.writer import Ledger
from tests.counts import counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emwatch.frame import Outcome

HOUR = timedelta(hours=1)


def problems(path: Path) -> list[str]:
    return [f"{each.what}: {each.problems}" for each in check(path, full=True) if each.problems]


def ask(ledger: Ledger, question: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"{ledger.path.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(question).fetchall()


@pytest.fixture(name="other")
def _other(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "other.sqlite") as other:
        yield other


def take_over(ledger: Ledger, other: Ledger, *, send_waiting: bool = False) -> tuple[int, int, int]:
    with Salvage(other.path) as source:
        merged = ledger.take_over(source, send_waiting=send_waiting)
        assert source.lost == 0
    assert problems(ledger.path) == []
    return merged.frames, merged.known, merged.alerts


def test_frames_of_both_are_there_once_with_all_that_is_known(
    ledger: Ledger, other: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    numbers = {"magnification": 5000.0}
    for name in ("a", "b"):
        other.record(frame_of(f"/acq/{name}", name, targets=("t",), numbers=numbers), noon)
    ledger.record(frame_of("/acq/b", "b", targets=("t",), numbers=numbers), noon)
    ledger.record(frame_of("/acq/c", "c", targets=("t",)), noon)

    assert take_over(ledger, other) == (1, 1, 1)
    assert take_over(ledger, other) == (0, 2, 0)
    with LedgerReader(ledger.path) as reader:
        rows = {row.path.name: row for row in reader.rows(LogFilter())}
    assert sorted(rows) == ["a", "b", "c"]
    assert (rows["a"].category, rows["a"].magnification, rows["a"].targets) == ("Tips", 5000.0, ("t",))
    assert rows["a"].session == rows["c"].session


def test_alerts_that_wait_elsewhere_are_sent_only_if_asked_for(
    ledger: Ledger, other: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    other.record(frame_of("/acq/a", "a", targets=("t",)), noon)
    take_over(ledger, other)

    assert ledger.due_alerts("terminal", noon + HOUR) == ()
    assert ask(ledger, "SELECT state, last_error FROM alerts") == [("dead", "taken over from another ledger, not sent")]
    with Ledger(ledger.path.with_name("third.sqlite")) as third:
        take_over(third, other, send_waiting=True)
        assert [alert.path for alert in third.due_alerts("terminal", noon + HOUR)] == [Path("/acq/a")]


def test_what_was_delivered_there_is_not_delivered_here_again(
    ledger: Ledger, other: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    for each in (ledger, other):
        each.record(frame_of("/acq/a", "a", targets=("t",)), noon)
    other.alert_delivered(1, noon)
    take_over(ledger, other, send_waiting=True)

    assert ask(ledger, "SELECT state FROM alerts") == [("delivered",)]


def test_contents_of_a_path_stay_in_the_order_of_recording(
    ledger: Ledger, other: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    for at, content in ((0, "A"), (2, "C"), (4, "E")):
        other.record(frame_of("/acq/a", content), noon + at * HOUR)
    for at, content in ((1, "B"), (3, "D")):
        ledger.record(frame_of("/acq/a", content), noon + at * HOUR)
    take_over(ledger, other)
    chain = dict(ask(ledger, "SELECT coalesce(superseded_by, 0), sha256 FROM frames"))
    found, at = [], 0
    ids = dict(ask(ledger, "SELECT coalesce(superseded_by, 0), id FROM frames"))
    while at in chain:
        found.append(chain[at])
        at = ids[at]

    assert found == [frame_of("/acq/a", content).sha256 for content in "EDCBA"]


def test_a_recorded_frame_takes_the_place_of_a_baseline_and_a_failure_adds_nothing(
    ledger: Ledger,
    other: Ledger,
    frame_of: Callable[..., Outcome],
    failure_of: Callable[..., Outcome],
    key_of: Callable[..., StatKey],
    noon: datetime,
) -> None:
    ledger.baseline(Path("/acq"), [(Path("/acq/a"), key_of())], noon)
    ledger.record(frame_of("/acq/b", "b"), noon)
    ledger.record(failure_of("/acq/c"), noon + HOUR)
    other.record(frame_of("/acq/a", "a"), noon)
    other.record(failure_of("/acq/b"), noon)
    other.record(frame_of("/acq/c", "c"), noon)
    other.record(failure_of("/acq/d"), noon)
    take_over(ledger, other)

    assert ask(ledger, "SELECT path, state FROM frames WHERE superseded_by IS NULL ORDER BY path") == [
        ("/acq/a", "recorded"),
        ("/acq/b", "recorded"),
        ("/acq/c", "failed"),
        ("/acq/d", "failed"),
    ]
    assert ask(ledger, "SELECT count(*) FROM frames WHERE superseded_by NOT NULL") == [(1,)]


def test_copies_point_at_their_originals(
    ledger: Ledger, other: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    ledger.record(frame_of("/acq/here", "same"), noon)
    for name in ("x", "y"):
        other.record(frame_of(f"/acq/{name}", "own"), noon)
    other.record(frame_of("/acq/there", "same"), noon)
    take_over(ledger, other)

    assert ask(
        ledger,
        "SELECT f.path, o.path FROM frames AS f JOIN frames AS o ON o.id = f.duplicate_of ORDER BY f.path",
    ) == [("/acq/there", "/acq/here"), ("/acq/y", "/acq/x")]


@pytest.mark.parametrize("seed", range(3))
def test_whatever_both_hold_no_rule_is_broken(
    ledger: Ledger,
    other: Ledger,
    frame_of: Callable[..., Outcome],
    failure_of: Callable[..., Outcome],
    noon: datetime,
    seed: int,
) -> None:
    dice = random.Random(seed)
    for step in range(120):
        path, content = f"/acq/{dice.randrange(12)}", str(dice.randrange(8))
        state = dice.choice((FrameState.FAILED, FrameState.SKIPPED))
        outcome = failure_of(path, state=state) if dice.random() < 0.3 else frame_of(path, content, targets=("t",))
        dice.choice((ledger, other)).record(outcome, noon + step * HOUR)
    paths = {path for each in (ledger, other) for (path,) in ask(each, "SELECT path FROM frames")}
    contents = {
        row for each in (ledger, other) for row in ask(each, "SELECT path, sha256 FROM frames WHERE state = 'recorded'")
    }
    take_over(ledger, other)

    assert {path for (path,) in ask(ledger, "SELECT path FROM frames")} == paths
    assert set(ask(ledger, "SELECT path, sha256 FROM frames WHERE state = 'recorded'")) >= contents


def pages_of_a_new_ledger(folder: Path) -> int:
    """Return how many pages describe the tables: without them nothing of a ledger can be read."""
    with Ledger(folder / "new.sqlite"):
        pass
    return (folder / "new.sqlite").stat().st_size // 4096


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_ledger_is_repaired_as_far_as_it_can_be_read(
    tmp_path: Path, frame_of: Callable[..., Outcome], noon: datetime, seed: int
) -> None:
    path = tmp_path / "ledger.sqlite"
    outcomes = [frame_of(f"/acq/{number}", str(number), targets=("t",)) for number in range(300)]
    shape = pages_of_a_new_ledger(tmp_path)
    with Ledger(path) as ledger:
        for each in outcomes:
            ledger.record(each, noon)
        for alert in ledger.due_alerts("terminal", noon, 10_000)[:250]:
            ledger.alert_delivered(alert.id, noon)
    size, dice = path.stat().st_size, random.Random(seed)
    with path.open("r+b") as file:
        for _ in range(3):
            file.seek(4096 * dice.randrange(shape, size // 4096 - 1))
            file.write(dice.randbytes(4096))
    with Ledger(path) as ledger:
        assert ledger.replaced is not None
        for each in outcomes[100:]:  # the others have been moved away since
            ledger.record(each, noon + HOUR)
        assert counts(ledger.path).waiting_alerts <= 50  # those that had not been delivered, where that can be read
        [aside] = ledger.unrepaired()
        with Salvage(aside) as source:
            merged = ledger.take_over(source, send_waiting=True, repaired_at=noon)
        assert ledger.unrepaired() == ()

    assert problems(path) == []
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT path FROM frames")]
        delivered = connection.execute("SELECT count(*) FROM alerts WHERE state = 'delivered'").fetchone()[0]
    print(
        f"seed {seed}: {merged.frames} of 100 frames brought back, {delivered} of 250 deliveries, {source.lost} places lost"
    )
    assert len(names) == len(set(names))
    assert set(names) >= {str(each.path) for each in outcomes[100:]}
    assert merged.frames >= 60
    assert delivered >= 150


def test_a_damaged_page_costs_the_rows_on_it_and_no_others(
    tmp_path: Path, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        for number in range(300):
            ledger.record(frame_of(f"/acq/{number}", str(number)), noon)
    whole = path.read_bytes()
    read = []
    for page in range(pages_of_a_new_ledger(tmp_path), len(whole) // 4096, 4):
        path.write_bytes(whole[: page * 4096] + b"\xff" * 4096 + whole[(page + 1) * 4096 :])
        with Salvage(path) as source:
            read.append(sum(1 for _ in source.rows("frames")))

    assert min(read) < 300, "no page of the table was hit: the test shows nothing"
    assert sum(number >= 280 for number in read) >= len(read) - 1  # all but a page that leads to others


def test_something_else_is_not_taken_over(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear colleague" * 1000)
    (tmp_path / "empty").touch()
    sqlite3.connect(tmp_path / "another").execute("CREATE TABLE t (x)").connection.close()
    for name in ("letter", "empty", "another", "not there"):
        with pytest.raises(LedgerError), Salvage(tmp_path / name) as source:
            ledger.take_over(source, send_waiting=False)


class TestPrune:
    def test_only_what_is_asked_for_and_gone_is_removed(
        self, ledger: Ledger, frame_of: Callable[..., Outcome], failure_of: Callable[..., Outcome], noon: datetime
    ) -> None:
        ledger.record(frame_of("/acq/kept", "1", targets=("t",)), noon)
        ledger.record(frame_of("/acq/gone", "2", targets=("t",)), noon)
        for name in ("kept", "gone"):
            ledger.record(failure_of(f"/acq/bad-{name}"), noon)
        later = noon + 2 * HOUR
        ledger.record(failure_of("/acq/late-gone"), later)
        wanted = Prune(lambda path: "kept" in path.name, failed=noon + HOUR)
        counted = ledger.prune(wanted, apply=False)
        assert (counted["failed"].removed, counted["failed"].kept) == (1, 1)
        assert len(ask(ledger, "SELECT * FROM frames")) == 5
        ledger.prune(wanted, apply=True)
        assert [path for (path,) in ask(ledger, "SELECT path FROM frames ORDER BY id")] == [
            "/acq/kept",
            "/acq/gone",
            "/acq/bad-kept",
            "/acq/late-gone",
        ]
        ledger.prune(Prune(lambda path: "kept" in path.name, frames=later + HOUR), apply=True)
        assert ask(ledger, "SELECT path FROM frames WHERE state = 'recorded'") == [("/acq/kept",)]
        assert ask(ledger, "SELECT count(*) FROM alerts") == [(1,)]
        assert problems(ledger.path) == []

    def test_overwritten_contents_leave_their_chain(
        self, ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
    ) -> None:
        for at, content in enumerate("ABCD"):
            ledger.record(frame_of("/acq/a", content), noon + at * HOUR)
        ledger.record(frame_of("/acq/copy", "B"), noon + 9 * HOUR)
        found = ledger.prune(Prune(lambda _path: True, superseded=noon + 3 * HOUR), apply=True)

        assert (found["superseded"].removed, found["superseded"].kept) == (2, 1)
        assert problems(ledger.path) == []
        assert ask(ledger, "SELECT count(*) FROM frames") == [(3,)]

    def test_waiting_alerts_stay(self, ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime) -> None:
        for name in ("a", "b"):
            ledger.record(frame_of(f"/acq/{name}", name, targets=("t",)), noon)
        ledger.alert_delivered(1, noon)
        found = ledger.prune(Prune(lambda _path: True, alerts=noon + HOUR), apply=True)

        assert found["alerts"].removed == 1
        assert ask(ledger, "SELECT state FROM alerts") == [("pending",)]


BREAKERS = {
    "a path has one current row": "DROP INDEX ux_frames_current_path; UPDATE frames SET path = '/acq/0'",
    "every path has a current row": "UPDATE frames SET superseded_by = 2 WHERE id = 1",
    "a recorded frame has its sha256": "UPDATE frames SET sha256 = '' WHERE id = 1",
    "a copy has the content of its original": "UPDATE frames SET duplicate_of = 2 WHERE id = 1",
    "of a frame's predictions one is the newest": "UPDATE predictions SET newest = 0 WHERE frame_id = 1",
    "an alert belongs to a match": "DELETE FROM matches WHERE frame_id = 1",
    "a match has one alert on a channel": "INSERT INTO alerts (key, frame_id, channel, target, reason, state, next_try_at,"
    " created_at) SELECT 'x', frame_id, channel, target, reason, state, next_try_at, created_at FROM alerts WHERE id = 1",
    "every row has what it refers to": "UPDATE metadata SET frame_id = 99 WHERE frame_id = 1",
}


@pytest.mark.parametrize("rule", BREAKERS)
def test_each_broken_rule_is_found(tmp_path: Path, frame_of: Callable[..., Outcome], noon: datetime, rule: str) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        for number in range(3):
            ledger.record(replace(frame_of(f"/acq/{number}", str(number), targets=("t",))), noon)
    assert problems(path) == []
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(BREAKERS[rule])

    assert rule in [each.what for each in check(path) if each.problems]
