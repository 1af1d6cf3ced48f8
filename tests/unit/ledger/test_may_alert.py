"""Whether a frame may raise an alert: one rule, whoever writes the match."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from emwatch.frame import AcquisitionMetadata, Candidate, Match, Outcome, Reading
from emwatch.ledger.may_alert import frame_age, may_alert
from emwatch.ledger.outbox import Queued
from emwatch.ledger.writer import BarFindings, Ledger
from emwatch.testing import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY = timedelta(days=1)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MATCH = Match("wires", "because", ("terminal", "horn"))


def found(_frame: Candidate) -> tuple[Match, ...]:
    return (MATCH,)


def first_time(ledger: Ledger, outcome: Outcome, now: datetime) -> Queued:
    done = ledger.record(replace(outcome, matches=(MATCH,)), now)
    return Queued(done.alerts, done.held_back)


def late_sidecar(ledger: Ledger, outcome: Outcome, now: datetime) -> Queued:
    assert outcome.reading is not None
    bare = replace(outcome, reading=replace(outcome.reading, metadata=AcquisitionMetadata()))
    ledger.record(bare, now)
    return first_time(ledger, outcome, now)


def data_bar(ledger: Ledger, outcome: Outcome, now: datetime) -> Queued:
    frame_id = ledger.record(outcome, now).frame_id
    return ledger.add_data_bar(frame_id, BarFindings(lambda stored: stored, found), now)


def another_model(ledger: Ledger, outcome: Outcome, now: datetime) -> Queued:
    frame_id = ledger.record(outcome, now).frame_id
    assert outcome.prediction is not None
    return ledger.add_prediction(frame_id, replace(outcome.prediction, bundle_sha256="c" * 64), now, found)


@pytest.fixture(name="write", params=[first_time, late_sidecar, data_bar, another_model])
def _write(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_a_new_frame_alerts(ledger: Ledger, frame_of: Callable[..., Outcome], write: Any) -> None:
    assert write(ledger, frame_of(written_at=NOW - 3 * DAY), NOW) == Queued(alerts=2)


def test_an_old_frame_does_not(ledger: Ledger, frame_of: Callable[..., Outcome], write: Any) -> None:
    assert write(ledger, frame_of(written_at=NOW - 40 * DAY), NOW) == Queued(held_back=1)
    assert ledger.due_alerts("terminal", NOW) == ()


def test_the_age_is_configured_and_may_change(ledger: Ledger, frame_of: Callable[..., Outcome], write: Any) -> None:
    ledger.alert_max_age = 41 * DAY

    assert write(ledger, frame_of(written_at=NOW - 40 * DAY), NOW) == Queued(alerts=2)


def test_a_copy_does_not(ledger: Ledger, frame_of: Callable[..., Outcome], write: Any) -> None:
    write(ledger, frame_of("/acq/first.tif"), NOW)

    assert write(ledger, frame_of("/acq/copy.tif"), NOW) == Queued()


def test_what_an_earlier_ledger_told_of_does_not(tmp_path: Path, frame_of: Callable[..., Outcome], write: Any) -> None:
    written_at = datetime.now(UTC).replace(microsecond=0) - DAY
    told = frame_of("/acq/told.tif", "told", written_at=written_at)
    path = tmp_path / "damaged.sqlite"
    with Ledger(path) as ledger:
        ledger.record(told, written_at)
        for number in range(100):
            ledger.record(frame_of(f"/acq/{number}.tif", str(number)), NOW)
    with path.open("r+b") as file:  # a page that holds nothing of what is asked for
        file.seek(path.stat().st_size - 4096)
        file.write(b"\xff" * 4096)
    with Ledger(path, clock=ManualClock(written_at + DAY)) as ledger:
        assert ledger.replaced is not None
        assert write(ledger, told, written_at + DAY) == Queued()
        assert ledger.due_alerts("terminal", written_at + DAY) == ()


@pytest.mark.parametrize("write", [data_bar, another_model])
def test_what_was_overwritten_meanwhile_does_not(ledger: Ledger, frame_of: Callable[..., Outcome], write: Any) -> None:
    class Overwritten(Ledger):
        def record(self, outcome: Outcome, recorded_at: datetime) -> Any:
            done = super().record(outcome, recorded_at)
            super().record(frame_of(content="new"), recorded_at)
            return done

    ledger.close()
    with Overwritten(ledger.path) as overwriting:
        assert write(overwriting, frame_of(content="old"), NOW) == Queued()


def test_a_match_that_is_there_already_raises_no_alert_on_a_new_channel(
    ledger: Ledger, frame_of: Callable[..., Outcome]
) -> None:
    frame_id = ledger.record(frame_of(targets=("wires",), channels=("terminal",)), NOW).frame_id

    assert ledger.add_data_bar(frame_id, BarFindings(lambda stored: stored, found), NOW) == Queued()


def test_an_alert_says_when_its_frame_was_recorded_and_when_it_was_queued(
    ledger: Ledger, frame_of: Callable[..., Outcome]
) -> None:
    frame_id = ledger.record(frame_of(), NOW).frame_id
    later = NOW + timedelta(hours=2)
    ledger.add_data_bar(frame_id, BarFindings(lambda stored: stored, found), later)
    (alert,) = ledger.due_alerts("horn", later)

    assert datetime.fromisoformat(alert.recorded_at) == NOW
    assert datetime.fromisoformat(alert.queued_at) == later


@pytest.mark.parametrize(
    ("acquired_at", "queued"),
    [
        ("2026-03-01T11:00:00", Queued(alerts=2)),  # the file's time is wrong
        ("2026-01-20T12:00:00+01:00", Queued(held_back=1)),
        ("2028-03-01T11:00:00", Queued(held_back=1)),  # a time in the future is no evidence
        ("not a time", Queued(held_back=1)),
    ],
)
def test_the_instruments_time_counts_where_it_is_younger_than_the_files(
    ledger: Ledger, frame_of: Callable[..., Outcome], acquired_at: str, queued: Queued
) -> None:
    old = frame_of(written_at=NOW - 40 * DAY)
    assert old.reading is not None
    metadata = AcquisitionMetadata("zeiss", {"acquired_at": Reading(acquired_at, acquired_at, "tag")})

    assert first_time(ledger, replace(old, reading=replace(old.reading, metadata=metadata)), NOW) == queued


@pytest.mark.parametrize(
    ("file", "instrument", "days"),
    [
        (NOW - 5 * DAY, None, 5),
        (None, NOW - 5 * DAY, 5),
        (NOW - 5 * DAY, NOW - 9 * DAY, 5),
        (NOW - 9 * DAY, NOW - 5 * DAY, 5),
        (NOW + 900 * DAY, NOW - 9 * DAY, 9),
        (NOW + 900 * DAY, None, 2),  # the row is two days old
        (NOW, NOW, 2),
        (None, None, 2),
    ],
)
def test_a_frame_is_as_old_as_its_younger_time_says_and_its_row_at_least(
    file: datetime | None, instrument: datetime | None, days: int
) -> None:
    assert frame_age(NOW, NOW - 2 * DAY, file, instrument) == days * DAY


def test_no_reason_against_an_alert_outweighs_another() -> None:
    reasons = itertools.product((False, True), repeat=3)
    answers = {
        (*given, days): may_alert(
            **dict(zip(("copy", "overwritten", "told"), given, strict=True)), age=days * DAY, max_age=3 * DAY
        )
        for given in reasons
        for days in (0, 3, 4)
    }

    assert [case for case, answer in answers.items() if answer] == [(False, False, False, 0), (False, False, False, 3)]
