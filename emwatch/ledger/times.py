"""Words for moments, as people type them: ``2h``, ``today``, ``2026-11-23 14:30``."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import tzinfo

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


def parse_when(text: str, now: datetime, *, end: bool = False, zone: tzinfo | None = None) -> datetime:
    """
    Return the moment that a word stands for.

    Understood: an age (``90s``, ``30m``, ``2h``, ``1h30m``, ``3d``, ``1w``), ``now``, ``today``, ``yesterday``, an ISO
    date, an ISO date and time, a time of day (``14:30``: the last one that has been). Days and clock times are those of
    ``zone`` under the rules of the day they name, unless they carry an offset.

    A clock time that a clock change skips stands for the change itself. Of one that comes twice the first is meant, or
    with ``end`` the second.

    Args:
        text: what was typed.
        now: the present moment, with an offset.
        end: the moment ends a period: a whole day means its last microsecond instead of its first.
        zone: of the clock on the wall; ``None`` is the zone of this machine.

    Raises:
        ValueError: none of the above; the message says what is.

    """
    word = text.strip().lower()
    if now.tzinfo is None:
        raise ValueError("`now` needs a time zone")
    today = now.astimezone(zone).date()
    if word == "now":
        return now
    if _AGO.fullmatch(word):
        return _ago(word, text, now)
    if word in _DAYS_BACK:
        return _of_day(today - timedelta(days=_DAYS_BACK[word]), zone, end=end)
    try:
        return _of_day(date.fromisoformat(word), zone, end=end)
    except ValueError:
        pass
    try:
        clock_time = time.fromisoformat(word)
    except ValueError:
        pass
    else:
        return _last(clock_time, now, zone, end=end)
    try:
        moment = datetime.fromisoformat(word.upper())
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time: write 2h, 30m or 3d for an age, 14:30, today, yesterday, "
            "a date like 2026-11-23, or a date and time like 2026-11-23T14:30"
        ) from None
    return moment if moment.tzinfo is not None else _on_the_wall(moment, zone, end=end)


def _ago(word: str, text: str, now: datetime) -> datetime:
    try:
        return now.astimezone(UTC) - sum(
            (float(number) * _UNIT[unit] for number, unit in _PART.findall(word)), timedelta()
        )
    except OverflowError:
        raise ValueError(f"{text!r} is longer ago than a calendar reaches") from None


def _of_day(day: date, zone: tzinfo | None, *, end: bool) -> datetime:
    return _on_the_wall(datetime.combine(day, time.max if end else time.min), zone, end=end)


def _last(clock_time: time, now: datetime, zone: tzinfo | None, *, end: bool) -> datetime:
    """Return when it was this time of day last: after midnight, 23:00 means last evening."""
    zone = clock_time.tzinfo or zone
    today = now.astimezone(zone).date()
    for day in (today, today - timedelta(days=1)):
        wall = datetime.combine(day, clock_time.replace(tzinfo=None))
        for second in (True, False) if end else (False,):
            moment = _on_the_wall(wall, zone, end=second)
            if moment <= now:
                return moment
    return moment


def _on_the_wall(wall: datetime, zone: tzinfo | None, *, end: bool) -> datetime:
    """Return the moment, in UTC, at which a clock of the zone shows a date and time; see `parse_when`."""
    try:
        first, second = sorted(_as_utc(wall.replace(fold=fold), zone) for fold in (0, 1))
        if _shown(first, zone) == wall:
            return second if end else first
        offset = _offset(first, zone)  # the clock skips it: one moment lies before the change, the other after it
        while second - first > timedelta(microseconds=1):
            middle = first + (second - first) / 2
            first, second = (middle, second) if _offset(middle, zone) == offset else (first, middle)
    except (OverflowError, OSError):
        raise ValueError(f"{wall.isoformat(' ')} is beyond what a calendar reaches") from None
    return second


def _as_utc(wall: datetime, zone: tzinfo | None) -> datetime:
    # A naive time is one of this machine's clock, under the rules of its own day.
    return (wall if zone is None else wall.replace(tzinfo=zone)).astimezone(UTC)


def _shown(moment: datetime, zone: tzinfo | None) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _offset(moment: datetime, zone: tzinfo | None) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()
