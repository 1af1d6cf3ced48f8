"""Ranges of hours by the clock on the wall, such as ``22:00-07:00``, and the time zones that clocks stand in."""

from __future__ import annotations

import re
from datetime import time
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, tzinfo

_HOURS: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)")


def zone_of(name: str) -> tzinfo | None:
    """Return the time zone of an IANA name; of "" ``None``, which stands for that of this machine."""
    return ZoneInfo(name) if name else None


def is_within(moment: datetime, ranges: Iterable[str], zone: str) -> bool:
    """
    Return whether a clock in a time zone shows a time within one of the ranges; a range may go over midnight.

    The wall clock decides: of an hour that a clock change repeats both are within, of one that it skips none is.
    """
    local = moment.astimezone(zone_of(zone)).time()
    return any(_holds(local, *_ends(each)) for each in ranges)


def cover_the_day(ranges: Iterable[str]) -> bool:
    """Return whether every minute of a day is within one of the ranges."""
    ends = [_ends(each) for each in ranges]
    return all(any(_holds(time(*divmod(minute, 60)), *each) for each in ends) for minute in range(24 * 60))


def _holds(local: time, begin: time, end: time) -> bool:
    return begin <= local < end if begin < end else local >= begin or local < end  # over midnight


@lru_cache(maxsize=256)
def _ends(text: str) -> tuple[time, time]:
    found = _HOURS.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r}: expected a range of local time such as 22:00-07:00")
    begin_hour, begin_minute, end_hour, end_minute = map(int, found.groups())
    return time(begin_hour, begin_minute), time(end_hour, end_minute)


def _checked(ranges: tuple[str, ...]) -> tuple[str, ...]:
    for each in ranges:
        begin, end = _ends(each)
        if begin == end:
            raise ValueError(f"{each!r}: begin and end are the same; write a range such as 22:00-07:00")
    return ranges


def _known(name: str) -> str:
    try:
        zone_of(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r}: no such time zone; write a name such as Europe/Zurich") from error
    return name


#: Types of values in the configuration.
Hours = Annotated[tuple[str, ...], AfterValidator(_checked)]
ZoneName = Annotated[str, AfterValidator(_known)]
