"""
Reviews handed to the daemon: it is the ledger's only writer, and whoever reviews frames at night does not stop it.

A request is a small JSON file in a folder beside the ledger, written whole. Whoever may write the ledger takes it in: one
transaction, then the file goes. Killed in between, it is taken in again, which changes nothing.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Final

from emwatch.errors import EmwatchError, LedgerError
from emwatch.frame import CATEGORIES, Review, ReviewVerdict, path_to_text
from emwatch.ingest.events import Notice
from emwatch.ledger.reviews import NoSuchFrameError
from emwatch.whole_file import written_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from emwatch.ingest.events import Happening
    from emwatch.ledger.writer import Ledger

_LOOK_EVERY_S: Final = 1.0
#: Nobody names so many frames on one command line.
_LONGEST_REQUEST_BYTES: Final = 16_000_000


def requests_folder(ledger: Path) -> Path:
    """Give the folder in which reviews wait for whoever writes the ledger."""
    return ledger.with_name(f"{ledger.name}.reviews")


def hand_over(ledger: Path, reviews: Sequence[Review]) -> Path:
    """Leave reviews for the daemon; gives the file, which goes when they are recorded. Raises `EmwatchError`."""
    request = requests_folder(ledger) / f"{reviews[0].reviewed_at:%Y%m%dT%H%M%S%f}-{os.getpid()}.json"
    document = [{**asdict(each), "reviewed_at": each.reviewed_at.isoformat()} for each in reviews]
    try:
        request.parent.mkdir(exist_ok=True)
        with written_whole(request) as made:
            made.write_text(json.dumps({"reviews": document}), encoding="utf-8")
    except OSError as error:
        raise EmwatchError(
            f"{path_to_text(request)}: the review cannot be left for the running daemon: {error.strerror or error}; "
            "review as a user who may write there"
        ) from error
    return request


def take_in(ledger: Ledger) -> Iterator[Notice]:
    """
    Record the reviews that wait; gives what to tell of requests that were refused, which are kept under another name.

    Raises `LedgerError` where the ledger cannot be written now: what waits goes on waiting.
    """
    folder = requests_folder(ledger.path)
    try:
        waiting = sorted(path for path in folder.iterdir() if path.suffix == ".json" and path.name[0] != ".")
    except OSError:  # nobody has reviewed anything
        return
    for request in waiting:
        try:
            try:
                ledger.add_reviews(_read(request))
            except (ValueError, KeyError, TypeError, NoSuchFrameError) as error:
                kept = request.with_suffix(".refused")
                request.replace(kept)
                yield Notice("warning", f"a review was refused, and kept as {path_to_text(kept)}: {error}", kept)
            else:
                request.unlink()
        except OSError as error:
            yield Notice("warning", f"{path_to_text(request)}: a review cannot be taken in: {error}", request)


def _read(request: Path) -> list[Review]:
    """Read a request. Raises `ValueError`, `KeyError`, `TypeError` for anything else."""
    if request.stat().st_size > _LONGEST_REQUEST_BYTES:
        raise ValueError("is longer than any request")
    return [
        _checked(Review(**{**row, "reviewed_at": datetime.fromisoformat(row["reviewed_at"])}))
        for row in json.loads(request.read_bytes())["reviews"]
    ]


def _checked(review: Review) -> Review:
    verdict = ReviewVerdict(review.verdict)
    named = verdict in {ReviewVerdict.CONFIRM, ReviewVerdict.RELABEL}
    if review.category not in (CATEGORIES if named else (None,)):
        raise ValueError(f"category {review.category!r} does not go with {verdict}")
    if type(review.frame_id) is not int or not all(isinstance(text, str) for text in (review.reviewed_by, review.note)):
        raise TypeError("frame_id must be a number, reviewed_by and note texts")
    if review.reviewed_at.tzinfo is None:
        raise ValueError(f"{review.reviewed_at} has no time zone")
    return review


class LiveReviews:
    """Takes in what waits, between two frames: one look at a folder a second. Troubles are told once."""

    def __init__(self, ledger: Ledger, tell: Callable[[Happening], None]) -> None:
        self._ledger, self._tell = ledger, tell
        self._next_look = 0.0
        self._told: set[str] = set()

    def tick(self, now: float) -> None:
        """Record the reviews that wait, checked once a second; ``now``: monotonic seconds."""
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY_S
        try:
            for notice in take_in(self._ledger):
                self._once(notice)
        except LedgerError as error:  # the frames tell of it, too, and are tried again as well
            self._once(Notice("warning", f"reviews wait: {error}"))

    def _once(self, notice: Notice) -> None:
        if notice.text not in self._told:
            self._told.add(notice.text)
            self._tell(notice)
