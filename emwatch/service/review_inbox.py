"""
Reviews passed to the daemon: it is the ledger's only writer, and a review must not require stopping it.

A request is recorded in one transaction; recorded again after a kill, it changes nothing. See `emwatch.service.inbox`.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from emwatch.errors import EmwatchError
from emwatch.frame import CATEGORIES, Review, ReviewVerdict
from emwatch.ledger.reviews import NoSuchFrameError
from emwatch.service.inbox import Inbox, leave, moment, row_number, text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from emwatch.ingest.events import Event
    from emwatch.ledger.writer import Ledger

#: More than fits on a command line; SQLite accepts 32,766 values in one statement.
_MOST_REVIEWS: Final = 10_000
#: Parsed JSON takes up to 25 times as much memory.
_LARGEST_REQUEST_BYTES: Final = 4_000_000


def requests_folder(ledger: Path) -> Path:
    """Return the folder in which reviews wait for the writer of the ledger."""
    return ledger.with_name(f"{ledger.name}.reviews")


def hand_over(ledger: Path, reviews: Sequence[Review]) -> Path:
    """Leave reviews for the daemon. Returns the file, deleted when they are recorded. Raises `EmwatchError`."""
    rows = [{**asdict(each), "reviewed_at": each.reviewed_at.isoformat()} for each in reviews]
    document = {"reviews": rows}
    if len(reviews) > _MOST_REVIEWS or len(json.dumps(document)) > _LARGEST_REQUEST_BYTES:
        raise EmwatchError(
            f"{len(reviews):,} reviews are too many for one request to a running daemon: name fewer frames"
        )
    return leave(requests_folder(ledger), document, reviews[0].reviewed_at)


def review_inbox(ledger: Ledger, tell: Callable[[Event], None]) -> Inbox:
    """Return what records the reviews that wait."""

    def take(document: Any) -> None:
        try:
            ledger.add_reviews(_reviews(document))
        except NoSuchFrameError as error:
            raise ValueError(str(error)) from error

    return Inbox(requests_folder(ledger.path), take, tell, what="a review", largest_bytes=_LARGEST_REQUEST_BYTES)


def _reviews(document: Any) -> list[Review]:
    """Return the reviews of a request. Raises `ValueError`, `KeyError`, `TypeError` or `OverflowError` for anything else."""
    rows = document["reviews"]
    if len(rows) > _MOST_REVIEWS:
        raise ValueError(f"holds {len(rows):,} reviews, and at most {_MOST_REVIEWS:,} are taken at once")
    return [_checked(Review(**{**row, "reviewed_at": moment("reviewed_at", row["reviewed_at"])})) for row in rows]


def _checked(review: Review) -> Review:
    verdict = ReviewVerdict(review.verdict)
    named = verdict in {ReviewVerdict.CONFIRM, ReviewVerdict.RELABEL}
    if review.category not in (CATEGORIES if named else (None,)):
        raise ValueError(f"category {review.category!r} does not go with {verdict}")
    row_number("frame_id", review.frame_id)
    text("reviewed_by", review.reviewed_by)
    text("note", review.note)
    return review
