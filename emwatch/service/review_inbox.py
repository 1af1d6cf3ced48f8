"""
Reviews passed to the daemon: it is the ledger's only writer, and a review must not require stopping it.

A request is a small JSON file in a folder beside the ledger, written whole. The writer of the ledger records it in one
transaction, then deletes it. If the writer is killed in between, it is recorded again, which changes nothing.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import MAXYEAR, datetime
from typing import TYPE_CHECKING, Final

from emwatch.errors import EmwatchError, LedgerError
from emwatch.foreign_file import parse_json, read_bounded
from emwatch.frame import CATEGORIES, Review, ReviewVerdict, path_to_text
from emwatch.ingest.events import Notice
from emwatch.ledger.reviews import NoSuchFrameError
from emwatch.whole_file import written_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from emwatch.ingest.events import Event
    from emwatch.ledger.writer import Ledger

_LOOK_EVERY_S: Final = 1.0
#: More than fits on a command line; SQLite accepts 32,766 values in one statement.
_MOST_REVIEWS: Final = 10_000
#: Parsed JSON takes up to 25 times as much memory.
_LARGEST_REQUEST_BYTES: Final = 4_000_000
_LONGEST_TEXT: Final = 10_000
_LONGEST_REASON: Final = 500
_FIRST_YEAR: Final = 1970


def requests_folder(ledger: Path) -> Path:
    """Return the folder in which reviews wait for the writer of the ledger."""
    return ledger.with_name(f"{ledger.name}.reviews")


def hand_over(ledger: Path, reviews: Sequence[Review]) -> Path:
    """Leave reviews for the daemon. Returns the file, deleted when they are recorded. Raises `EmwatchError`."""
    request = requests_folder(ledger) / f"{reviews[0].reviewed_at:%Y%m%dT%H%M%S%f}-{os.getpid()}.json"
    rows = [{**asdict(each), "reviewed_at": each.reviewed_at.isoformat()} for each in reviews]
    document = json.dumps({"reviews": rows}).encode("ascii")
    if len(reviews) > _MOST_REVIEWS or len(document) > _LARGEST_REQUEST_BYTES:
        raise EmwatchError(
            f"{len(reviews):,} reviews are too many for one request to a running daemon: name fewer frames"
        )
    try:
        request.parent.mkdir(exist_ok=True)
        with written_whole(request) as made:
            made.write_bytes(document)
    except OSError as error:
        raise EmwatchError(
            f"{path_to_text(request)}: the review cannot be left for the running daemon: {error.strerror or error}; "
            "review as a user who may write there"
        ) from error
    return request


def take_in(ledger: Ledger, stuck: set[tuple[str, int, int]] | None = None) -> Iterator[Notice]:
    """
    Record the waiting reviews and yield notices; an invalid request is kept under another name.

    ``stuck`` holds requests that are done but can be neither removed nor renamed, so that a second call skips them.
    Raises `LedgerError` if the ledger cannot be written now: requests then stay where they are.
    """
    stuck = set() if stuck is None else stuck
    folder = requests_folder(ledger.path)
    try:
        waiting = sorted(path for path in folder.iterdir() if path.suffix == ".json" and path.name[0] != ".")
    except OSError:  # there are no reviews yet
        return
    for request in waiting:
        try:
            key = _key(request)
            if key in stuck:
                continue
            reason = _recorded(ledger, request)
            stuck.add(key)
            if reason:
                kept = request.with_suffix(".refused")
                request.replace(kept)
                yield Notice("warning", f"a review was refused, and kept as {path_to_text(kept)}: {reason}", kept)
            else:
                request.unlink()
            stuck.discard(key)
        except OSError as error:
            yield Notice("warning", f"{path_to_text(request)}: a review cannot be recorded: {error}", request)


def _key(request: Path) -> tuple[str, int, int]:
    found = request.lstat()
    return request.name, found.st_ino, found.st_mtime_ns


def _recorded(ledger: Ledger, request: Path) -> str:
    """Record one request. Returns the reason if it is invalid, else ""."""
    try:
        ledger.add_reviews(_read(request))
    except FileNotFoundError:
        return "is a link to a missing file"
    except KeyError as error:
        return f"lacks {error}"
    except (ValueError, TypeError, OverflowError, NoSuchFrameError) as error:
        return str(error)[:_LONGEST_REASON]
    return ""


def _read(request: Path) -> list[Review]:
    """Return the reviews of a request. Raises `ValueError`, `KeyError`, `TypeError` or `OverflowError` for anything else."""
    rows = parse_json(read_bounded(request, _LARGEST_REQUEST_BYTES))["reviews"]
    if len(rows) > _MOST_REVIEWS:
        raise ValueError(f"holds {len(rows):,} reviews, and at most {_MOST_REVIEWS:,} are taken at once")
    return [_checked(Review(**{**row, "reviewed_at": datetime.fromisoformat(row["reviewed_at"])})) for row in rows]


def _checked(review: Review) -> Review:
    verdict = ReviewVerdict(review.verdict)
    named = verdict in {ReviewVerdict.CONFIRM, ReviewVerdict.RELABEL}
    if review.category not in (CATEGORIES if named else (None,)):
        raise ValueError(f"category {review.category!r} does not go with {verdict}")
    if type(review.frame_id) is not int or not 0 <= review.frame_id < 1 << 63:
        raise TypeError(f"frame_id must be a number of a row, not {str(review.frame_id)[:40]!r}")
    if not all(isinstance(text, str) for text in (review.reviewed_by, review.note)):
        raise TypeError("reviewed_by and note must be texts")
    if max(len(review.reviewed_by), len(review.note)) > _LONGEST_TEXT:
        raise ValueError(f"reviewed_by or note has more than {_LONGEST_TEXT:,} characters")
    if review.reviewed_at.tzinfo is None:
        raise ValueError(f"{review.reviewed_at} has no time zone")
    if not _FIRST_YEAR <= review.reviewed_at.year < MAXYEAR:  # else it cannot be shown in every time zone
        raise ValueError(f"{review.reviewed_at} is not a possible time of a review")
    return review


class LiveReviews:
    """Records waiting reviews between two frames; it lists a folder once a second. Faults are reported once."""

    def __init__(self, ledger: Ledger, tell: Callable[[Event], None]) -> None:
        self._ledger, self._tell = ledger, tell
        self._next_check = 0.0
        self._told: set[str] = set()
        self._stuck: set[tuple[str, int, int]] = set()

    def tick(self, now: float) -> None:
        """Record the reviews that wait, checked once a second; ``now``: monotonic seconds."""
        if now < self._next_check:
            return
        self._next_check = now + _LOOK_EVERY_S
        try:
            for notice in take_in(self._ledger, self._stuck):
                self._once(notice)
        except LedgerError as error:  # the frames report it, too, and are also tried again
            self._once(Notice("warning", f"reviews wait: {error}"))

    def _once(self, notice: Notice) -> None:
        if notice.text not in self._told:
            self._told.add(notice.text)
            self._tell(notice)
