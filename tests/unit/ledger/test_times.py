from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from emwatch.ledger.times import parse_when

ROME = ZoneInfo("Europe/Rome")
NOW = datetime(2026, 11, 23, 14, 30, 15, tzinfo=ROME)


def at(*parts: int, microsecond: int = 0) -> datetime:
    return datetime(*parts, microsecond=microsecond, tzinfo=ROME)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("90s", at(2026, 11, 23, 14, 28, 45)),
        ("30m", at(2026, 11, 23, 14, 0, 15)),
        ("30 min", at(2026, 11, 23, 14, 0, 15)),
        ("2h", at(2026, 11, 23, 12, 30, 15)),
        ("1h30m", at(2026, 11, 23, 13, 0, 15)),
        ("1.5h", at(2026, 11, 23, 13, 0, 15)),
        (" 2H ago ", at(2026, 11, 23, 12, 30, 15)),
        ("3d", at(2026, 11, 20, 14, 30, 15)),
        ("1w", at(2026, 11, 16, 14, 30, 15)),
        ("today", at(2026, 11, 23)),
        ("Yesterday", at(2026, 11, 22)),
        ("2026-11-01", at(2026, 11, 1)),
        ("2026-11-01T08:15", at(2026, 11, 1, 8, 15)),
        ("2026-11-01 08:15:30", at(2026, 11, 1, 8, 15, 30)),
        ("2026-11-01T08:15Z", datetime(2026, 11, 1, 8, 15, tzinfo=UTC)),
        ("2026-11-01T08:15+09:00", datetime(2026, 10, 31, 23, 15, tzinfo=UTC)),
        ("08:15", at(2026, 11, 23, 8, 15)),
    ],
)
def test_a_word_for_a_moment_is_understood(text: str, expected: datetime) -> None:
    actual = parse_when(text, NOW, zone=ROME)

    assert expected == actual
    assert actual.tzinfo is not None


@pytest.mark.parametrize("text", ["today", "2026-11-23"])
def test_until_a_day_means_until_its_end(text: str) -> None:
    assert at(2026, 11, 23, 23, 59, 59, microsecond=999_999) == parse_when(text, NOW, end=True, zone=ROME)


def test_an_hour_ago_is_an_hour_ago_also_when_the_clocks_change() -> None:
    after_change = datetime(2026, 10, 25, 3, 30, tzinfo=ROME)  # summer time ended at 3:00, which was 2:00 again
    actual = parse_when("2h", after_change, zone=ROME).astimezone(ROME)

    assert timedelta(hours=2) == after_change.astimezone(UTC) - actual.astimezone(UTC)
    assert (actual.hour, actual.fold) == (2, 0)


@pytest.mark.parametrize(
    "text", ["", "soon", "2", "h", "2y", "-2h", "2026-13-01", "25:00", "999999999999d", "12/11/2026"]
)
def test_anything_else_is_refused_with_what_would_be_understood(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a time: write 2h|longer ago than"):
        parse_when(text, NOW)


def test_now_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        parse_when("2h", datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake under test


def test_a_time_of_day_is_the_last_one_that_has_been() -> None:
    after_midnight = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)

    assert parse_when("23:00", after_midnight, zone=UTC) == datetime(2026, 11, 23, 23, 0, tzinfo=UTC)
    assert parse_when("01:30", after_midnight, zone=UTC) == datetime(2026, 11, 24, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "text", "begins", "ends"),
    [
        # Asked in winter for a day in summer, and the other way round: the offset is that of the day.
        ("Europe/Berlin", "2026-10-24", "2026-10-23T22:00:00", "2026-10-24T21:59:59.999999"),
        ("Europe/Berlin", "2026-07-01 12:00", "2026-07-01T10:00:00", "2026-07-01T10:00:00"),
        ("America/St_Johns", "2026-07-01", "2026-07-01T02:30:00", "2026-07-02T02:29:59.999999"),
        ("America/St_Johns", "2026-01-01", "2026-01-01T03:30:00", "2026-01-02T03:29:59.999999"),
        ("Australia/Lord_Howe", "2026-07-01", "2026-06-30T13:30:00", "2026-07-01T13:29:59.999999"),
        ("Australia/Lord_Howe", "2026-01-01", "2025-12-31T13:00:00", "2026-01-01T12:59:59.999999"),
        # A day of the change is 23 or 25 hours long; Lord Howe's clocks change by half an hour.
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00", "2026-03-29T21:59:59.999999"),
        ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00:00", "2026-10-25T22:59:59.999999"),
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00:00", "2026-04-05T13:29:59.999999"),
        # An hour that comes twice: everything since its first, or until its second.
        ("Europe/Berlin", "2026-10-25 02:30", "2026-10-25T00:30:00", "2026-10-25T01:30:00"),
        ("Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-04T14:45:00", "2026-04-04T15:15:00"),
        # An hour that is skipped: no frame was recorded in it, so it is the moment of the change.
        ("Europe/Berlin", "2026-03-29 02:30", "2026-03-29T01:00:00", "2026-03-29T01:00:00"),
        ("Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-03T15:30:00", "2026-10-03T15:30:00"),
        ("America/Havana", "2026-03-08", "2026-03-08T05:00:00", "2026-03-09T03:59:59.999999"),  # midnight is skipped
    ],
)
@pytest.mark.parametrize("now", [NOW, datetime(2026, 7, 1, tzinfo=UTC)], ids=["winter", "summer"])
def test_a_clock_time_counts_with_the_rules_of_its_own_day(
    zone: str, text: str, begins: str, ends: str, now: datetime
) -> None:
    asked = [parse_when(text, now, end=end, zone=ZoneInfo(zone)) for end in (False, True)]

    assert [each.astimezone(UTC).replace(tzinfo=None).isoformat() for each in asked] == [begins, ends]


@pytest.mark.parametrize(("text", "begins"), [("today", "2026-10-24T22:00:00"), ("yesterday", "2026-10-23T22:00:00")])
def test_today_and_yesterday_begin_at_midnight_also_where_the_clocks_change_between(text: str, begins: str) -> None:
    evening = datetime(2026, 10, 25, 20, tzinfo=ROME)

    assert parse_when(text, evening, zone=ROME) == datetime.fromisoformat(begins).replace(tzinfo=UTC)


def test_a_time_of_day_that_came_twice_is_the_last_that_has_been() -> None:
    between = datetime(2026, 10, 25, 0, 45, tzinfo=UTC)  # 02:45 in summer time; 02:30 comes again in 45 minutes

    assert parse_when("02:30", between, end=True, zone=ROME) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    later = between + timedelta(hours=1)
    assert parse_when("02:30", later, end=True, zone=ROME) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert parse_when("02:30", later, zone=ROME) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_a_time_of_day_keeps_its_offset() -> None:
    assert parse_when("08:15+09:00", NOW, zone=ROME) == datetime(2026, 11, 22, 23, 15, tzinfo=UTC)


@pytest.mark.parametrize("clock", ["Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3"])
def test_without_a_zone_the_rules_of_this_machine_count(clock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", clock)
    time.tzset()
    asked = [parse_when(text, NOW) for text in ("2026-10-24", "2026-11-22", "2026-03-29 02:30")]
    monkeypatch.undo()
    time.tzset()

    assert [each.isoformat() for each in asked] == [
        "2026-10-23T22:00:00+00:00", "2026-11-21T23:00:00+00:00", "2026-03-29T01:00:00+00:00",
    ]  # fmt: skip
