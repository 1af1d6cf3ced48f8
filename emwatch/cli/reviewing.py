"""Reviews made at the command line: who makes them, what they say, and how they come into the ledger."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

import click

from emwatch.cli.exclusive import exclusive_ledger
from emwatch.cli.terminal.display import tell_event
from emwatch.clock import SystemClock
from emwatch.errors import EmwatchError
from emwatch.frame import CATEGORIES, Review, ReviewVerdict, path_to_text

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.config import Config


def login() -> str:
    """Return the name of this user. Raises click's usage error if there is none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError) as error:  # no name for this number
        raise click.UsageError("this user has no login name: say --by NAME") from error


def review_of(
    frame_id: int,
    path: Path,
    category: str | None,
    verdict: ReviewVerdict,
    relabel: str | None,
    by: str,
    note: str = "",
) -> Review:
    """Return a review made now; ``category`` is what the model says. Raises `EmwatchError` if it says none to confirm."""
    named = category if verdict is ReviewVerdict.CONFIRM else relabel
    if verdict is ReviewVerdict.CONFIRM and named not in CATEGORIES:
        raise EmwatchError(
            f"{path_to_text(path)}: the model has named no category that could be confirmed; say --as CATEGORY"
        )
    return Review(frame_id, verdict, named, by, SystemClock().now(), note)


def record(config: Config, made: list[Review], *, wait: bool = True) -> bool:
    """
    Write reviews, or pass them to the process that writes the ledger.

    Returns whether they are recorded; with ``wait``, a daemon gets some seconds for it. Raises `EmwatchError`.
    """
    from emwatch.service.inbox import is_done
    from emwatch.service.lock import holder
    from emwatch.service.review_inbox import hand_over, review_inbox

    path = config.ledger.path
    if holder(path) is None:
        with exclusive_ledger(config, what="review") as ledger:
            review_inbox(ledger, tell_event).empty()  # what waited for a daemon is older
            ledger.add_reviews(made)
        return True
    request = hand_over(path, made)
    return is_done(request) if wait else not request.exists()
