"""Dates of instruments: every form seen, and every form that could mean two days."""

from __future__ import annotations

import pytest

from emwatch.readers.dates import iso_stamp, iso_time


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("18 Apr 2016", "22:42:02", "2016-04-18T22:42:02"),
        (" 8 Jan 2021", "9:56:16", "2021-01-08T09:56:16"),
        ("03/05/2019", "02:56:37 PM", "2019-03-05T14:56:37"),
        ("03/05/2019", "12:00:01 AM", "2019-03-05T00:00:01"),
        ("03/05/2019", "12:00:01 PM", "2019-03-05T12:00:01"),
        ("25/03/2019", "10:00:00", "2019-03-25T10:00:00"),
        ("03/25/2019", "10:00:00", "2019-03-25T10:00:00"),
        ("05.03.2019", "10:00:00", "2019-03-05T10:00:00"),
        ("2019/03/05", "10:00:00", "2019-03-05T10:00:00"),
        ("04/04/2019", "10:00:00", "2019-04-04T10:00:00"),
    ],
)
def test_a_date_and_a_time_become_iso(date: str, time: str, expected: str) -> None:
    assert expected == iso_time(date, time)


@pytest.mark.parametrize(
    ("date", "time"),
    [
        ("03/05/2019", "10:00:00"),
        ("8 Mai 2021", "10:00:00"),
        ("31 Feb 2021", "10:00:00"),
        ("05.03.19", "10:00:00"),
        ("8 Jan 2021", "25:00:00"),
        ("8 Jan 2021", "13:00:00 PM"),
        ("8 Jan 2021", ""),
        ("", "10:00:00"),
        ("9" * 1000, "10:00:00"),
    ],
)
def test_what_is_no_date_or_may_be_two_is_refused(date: str, time: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        iso_time(date, time)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("14.12.2022 13:53:39", "2022-12-14T13:53:39"),
        ("2022-12-14T13:53:39", "2022-12-14T13:53:39"),
        ("2022-12-14T13:53:39.1234567+01:00", "2022-12-14T13:53:39+01:00"),
        ("2022-12-14T13:53:39Z", "2022-12-14T13:53:39+00:00"),
    ],
)
def test_a_stamp_becomes_iso_and_keeps_its_offset(text: str, expected: str) -> None:
    assert expected == iso_stamp(text)
