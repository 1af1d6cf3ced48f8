"""What a stored value refers to is said beside it, and nothing that was said is replaced."""

from __future__ import annotations

from typing import Any

import pytest

from emwatch.frame import Reading
from emwatch.readers.checks import with_context


def _said(name: str, **readings: Any) -> str:
    given = {
        each: value if isinstance(value, Reading) else Reading(value, "", "tag 1") for each, value in readings.items()
    }
    said = with_context(given)

    assert {each: reading.value for each, reading in said.items()} == {
        each: reading.value for each, reading in given.items()
    }
    return said[name].reason


def test_a_stored_magnification_names_the_width_of_its_display() -> None:
    assert _said("magnification", magnification=50_000.0, horizontal_field_width_um=7.52) == "for a display 376 mm wide"


@pytest.mark.parametrize(
    ("times", "field"),
    [
        (Reading(None, "5O", "tag 1", reason="no number"), 7.5),
        (Reading(5000.0, "", "tag 1", computed=True, reason="a display over the field width"), 7.5),
        (Reading(5000.0, "5k", "tag 1", reason="as said"), 7.5),
        (5000.0, Reading(None, "", "tag 1", reason="no number")),
        (5000.0, 0.0),
    ],
)
def test_nothing_is_said_where_it_is_not_known_or_said_already(times: Any, field: Any) -> None:
    before = times.reason if isinstance(times, Reading) else ""

    assert _said("magnification", magnification=times, horizontal_field_width_um=field) == before


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("2024-05-26T07:08:09", "the instrument's local time, its zone is not stated"),
        ("2024-05-26", "the instrument's local time, its zone is not stated"),
        ("2024-05-26T07:08:09+00:00", ""),
        ("2024-05-26T07:08:09-11:30", ""),
    ],
)
def test_a_time_says_where_its_zone_is_not_known(stamp: str, expected: str) -> None:
    assert _said("acquired_at", acquired_at=stamp) == expected
