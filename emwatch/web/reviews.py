"""Reviews from the page: checked here, then left for the daemon to record."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any, Final

from emwatch.frame import CATEGORIES, Review, ReviewVerdict
from emwatch.service.review_inbox import hand_over

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from emwatch.ledger.query import LogRow

_LONGEST_NOTE: Final = 1000
_MOST_FRAMES: Final = 500


class ReviewError(ValueError):
    """A review that makes no sense; the message says what is expected."""


def review_frames(ledger: Path, document: Any, row: Callable[[int], LogRow], now: datetime) -> list[dict[str, Any]]:
    """
    Hand a review of one or more frames to the daemon; return what was handed over.

    ``document``: ``{"frames": [412], "verdict": "relabel", "category": "Nanowires", "note": ""}``; ``category`` of what is
    confirmed is what was shown, if it is there. Raises `ReviewError`, or what ``row`` raises for a number that no frame has.
    """
    if not isinstance(document, dict):
        raise ReviewError("expected an object with frames, verdict and, to relabel, category")
    numbers = document.get("frames")
    if not isinstance(numbers, list) or not numbers or not all(type(each) is int and each > 0 for each in numbers):
        raise ReviewError("frames: expected a list of numbers of the log, such as [412]")
    if len(numbers) > _MOST_FRAMES:
        raise ReviewError(f"frames: at most {_MOST_FRAMES} at once")
    note = document.get("note", "")
    if not isinstance(note, str) or len(note) > _LONGEST_NOTE:
        raise ReviewError(f"note: expected a text of at most {_LONGEST_NOTE} characters")
    try:
        verdict = ReviewVerdict(str(document.get("verdict")))
    except ValueError:
        raise ReviewError(f"verdict: expected one of {', '.join(ReviewVerdict)}") from None
    given = [
        Review(number, verdict, _category(verdict, document, row(number)), _user(), now, note) for number in numbers
    ]
    hand_over(ledger, given)
    return [
        {
            "frame_id": each.frame_id,
            "verdict": each.verdict.value,
            "category": each.category,
            "reviewed_at": each.reviewed_at.isoformat(),
        }
        for each in given
    ]


def _category(verdict: ReviewVerdict, document: dict[str, Any], row: LogRow) -> str | None:
    if verdict is ReviewVerdict.CONFIRM:
        if row.category is None:
            raise ReviewError(f"frame {row.id} was given no category that could be confirmed")
        if document.get("category", row.category) != row.category:  # by another model, since the page was opened
            raise ReviewError(f"frame {row.id} is {row.category} now: look at it again")
        return row.category
    if verdict is ReviewVerdict.RELABEL:
        category = document.get("category")
        if category not in CATEGORIES:
            raise ReviewError(f"category: expected one of {', '.join(CATEGORIES)}")
        return str(category)
    return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        return "page"
