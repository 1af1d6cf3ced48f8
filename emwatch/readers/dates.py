"""
Dates as instruments write them, to ISO 8601 without an offset: no instrument here says which zone its clock is in.

Month names are English whatever the locale; a day and month that could be swapped are refused, not guessed.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMED: Final = re.compile(r"\s*(\d{1,2})[ -]([A-Za-z]{3})[a-z]*[ -](\d{4})\s*")
_NUMBERED: Final = re.compile(r"\s*(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})\s*")
_TIME: Final = re.compile(r"\s*(\d{1,2})[:.](\d{2})[:.](\d{2})(?:[.,]\d+)?\s*([AaPp]\.?[Mm]\.?)?\s*")
_ISO: Final = re.compile(r"\s*(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,]\d+)?(Z|[+-]\d\d:?\d\d)?\s*")
_LONGEST_CHARS: Final = 80


def iso_time(date: str, time: str) -> str:
    """
    Join a date and a time, e.g. ``"8 Jan 2021"`` and ``"9:56:16"`` or ``"04/15/2019"`` and ``"01:28:49 PM"``.

    Month first is taken only beside AM/PM, day first only with dots; else the numbers must tell which is which.
    """
    if len(date) > _LONGEST_CHARS or len(time) > _LONGEST_CHARS:
        raise ValueError("too long for a date and a time")
    clock = _TIME.fullmatch(time)
    if clock is None:
        raise ValueError(f"{time.strip()!r} is not a time of day")
    hour, half = int(clock[1]), (clock[4] or "").lower()[:1]
    if half:
        if not 1 <= hour <= 12:
            raise ValueError(f"{time.strip()!r} is not a time of day")
        hour = hour % 12 + (12 if half == "p" else 0)
    year, month, day = _date(date, american=bool(half))
    return datetime(year, month, day, hour, int(clock[2]), int(clock[3])).isoformat()  # noqa: DTZ001 - the instrument's zone is not known.


def _date(text: str, *, american: bool) -> tuple[int, int, int]:
    named = _NAMED.fullmatch(text)
    if named:
        if named[2].lower() not in _MONTHS:
            raise ValueError(f"{named[2]!r} is not an English month")
        return int(named[3]), _MONTHS.index(named[2].lower()) + 1, int(named[1])
    numbered = _NUMBERED.fullmatch(text)
    if numbered is None:
        raise ValueError(f"{text.strip()!r} is not a date")
    first, separator, second, last = numbered.groups()
    if len(first) == 4:
        return int(first), int(second), int(last)
    if len(last) != 4:
        raise ValueError(f"{text.strip()!r} has no year of four digits")
    a, b = int(first), int(second)
    if separator == "." or (a > 12 >= b):
        return int(last), b, a
    if american or b > 12 or a == b:
        return int(last), a, b
    raise ValueError(f"{text.strip()!r} may be day or month first")


def iso_stamp(text: str) -> str:
    """Take a stamp that holds date and time: ISO 8601 (its offset is kept), or ``"15.04.2019 13:28:49"``."""
    if len(text) > _LONGEST_CHARS:
        raise ValueError("too long for a date and a time")
    iso = _ISO.fullmatch(text)
    if iso:
        offset = (iso[3] or "").replace("Z", "+00:00")
        return datetime.fromisoformat(f"{iso[1]}T{iso[2]}{offset}").isoformat()
    date, _, time = text.strip().partition(" ")
    return iso_time(date, time)
