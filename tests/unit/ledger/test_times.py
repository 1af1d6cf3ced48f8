from __future__ import annotations

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
    actual = parse_when(text, NOW)

    assert expected == actual
    assert actual.tzinfo is not None


@pytest.mark.parametrize("text", ["today", "2026-11-23"])
def test_until_a_day_means_until_its_end(text: str) -> None:
    assert at(2026, 11, 23, 23, 59, 59, microsecond=999_999) == parse_when(text, NOW, end=True)


def test_an_hour_ago_is_an_hour_ago_also_when_the_clocks_change() -> None:
    after_change = datetime(2026, 10, 25, 3, 30, tzinfo=ROME)  # summer time ended at 3:00, which was 2:00 again
    actual = parse_when("2h", after_change)

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

    assert parse_when("23:00", after_midnight) == datetime(2026, 11, 23, 23, 0, tzinfo=UTC)
    assert parse_when("01:30", after_midnight) == datetime(2026, 11, 24, 1, 30, tzinfo=UTC)
