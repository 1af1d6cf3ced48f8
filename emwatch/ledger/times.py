"""Words for moments, as typed on the command line: ``2h``, ``today``, ``2026-11-23 14:30``."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

_UNIT: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(min|[smhdw])\s*")
_AGO: Final = re.compile(rf"(?:{_PART.pattern})+(?:ago)?")
_DAYS_BACK: Final = {"today": 0, "yesterday": 1}


def parse_when(text: str, now: datetime, *, end: bool = False) -> datetime:
    """
    Turn a word for a moment into the moment, in the zone of ``now``.

    Understood: an age (``90s``, ``30m``, ``2h``, ``1h30m``, ``3d``, ``1w``), ``now``, ``today``, ``yesterday``,
    an ISO date, an ISO date and time (with an offset, or in the zone of ``now``), a time of today (``14:30``).

    Args:
        text: what was typed.
        now: the present moment, with its zone.
        end: a whole day means its last microsecond instead of its first, as in "until today".

    Raises:
        ValueError: nothing of the above; the message says what is.

    """
    word = text.strip().lower()
    if now.tzinfo is None:
        raise ValueError("`now` needs a time zone")
    if word == "now":
        return now
    if _AGO.fullmatch(word):
        return _ago(word, text, now)
    if word in _DAYS_BACK:
        return _of_day(now.date() - timedelta(days=_DAYS_BACK[word]), now, end=end)
    try:
        return _of_day(date.fromisoformat(word), now, end=end)
    except ValueError:
        pass
    try:
        clock_time = time.fromisoformat(word)
    except ValueError:
        pass
    else:
        # After midnight "23:00" means last evening: a time of day is the last one that has been.
        moment = datetime.combine(now.date(), clock_time, now.tzinfo)
        yesterday = datetime.combine(now.date() - timedelta(days=1), clock_time, now.tzinfo)
        return moment if moment <= now else yesterday
    try:
        moment = datetime.fromisoformat(word.upper())
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time: write 2h, 30m or 3d for an age, 14:30, today, yesterday, "
            "a date like 2026-11-23, or a date and time like 2026-11-23T14:30"
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=now.tzinfo)


def _ago(word: str, text: str, now: datetime) -> datetime:
    try:
        age = sum((float(number) * _UNIT[unit] for number, unit in _PART.findall(word)), timedelta())
        # By way of UTC: an hour is an hour, also in the night the clocks change.
        return (now.astimezone(UTC) - age).astimezone(now.tzinfo)
    except OverflowError:
        raise ValueError(f"{text!r} is longer ago than a calendar reaches") from None


def _of_day(day: date, now: datetime, *, end: bool) -> datetime:
    return datetime.combine(day, time.max if end else time.min, now.tzinfo)
