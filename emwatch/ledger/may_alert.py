"""Whether a match may raise an alert: one rule for every writer of the ledger."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

#: Clocks and zones of instruments differ; a time further ahead than this is wrong and says nothing about age.
_AHEAD: Final = timedelta(days=1)


def frame_age(
    now: datetime, recorded_at: datetime, file_modified_at: datetime | None, acquired_at: datetime | None
) -> timedelta:
    """
    Return the age of a frame: by the younger of its own two times, and never less than the age of its row.

    One wrong clock then never makes a new frame old. A time in the future is no evidence.
    """
    own = [now - each for each in (file_modified_at, acquired_at) if each is not None and each <= now + _AHEAD]
    return max(now - recorded_at, min(own, default=timedelta()))


def may_alert(*, copy: bool, overwritten: bool, told: bool, age: timedelta, max_age: timedelta) -> bool:
    """
    Return whether a new match of a frame may raise an alert: the one rule for every writer.

    A ``copy`` was alerted under another path, what was ``overwritten`` is no longer on the screen, an earlier ledger has
    ``told`` of the frame, or it is so old that nobody waits for it.
    """
    return not (copy or overwritten or told or age > max_age)
