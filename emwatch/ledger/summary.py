"""What a ledger holds, in numbers, within a bounded time; needs no SQLAlchemy, so that the answer comes at once."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from emwatch.ledger.sqlite_file import connect_to_read, explained, must_be_there

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_BUSY_MS: Final = 200
_STEPS_BETWEEN_LOOKS: Final = 10_000


@dataclass(frozen=True, slots=True)
class ChannelBacklog:
    """A channel's alerts that were not delivered: ``dead`` ones are given up."""

    pending: int = 0
    dead: int = 0
    oldest_pending_at: str | None = None
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """
    What a ledger holds now.

    ``frames``: current rows by state, ``None`` if counting took too long. ``last_frame_at``: ISO 8601.
    ``to_hand_over``: frames and sessions that a server does not have yet, ``None`` without a server or if that is not known.
    """

    revision: str | None = None
    frames: Mapping[str, int] | None = field(default_factory=dict)
    last_frame_at: str | None = None
    alerts: Mapping[str, ChannelBacklog] | None = field(default_factory=dict)
    to_hand_over: int | None = None


def summarise(path: Path, *, seconds: float = 0.4) -> Summary:
    """
    Count what is in a ledger; a count that takes longer than ``seconds`` is left out.

    Raises:
        LedgerError: there is no ledger, or it cannot be read.

    """
    must_be_there(path)
    try:
        with closing(connect_to_read(path, busy_timeout_ms=_BUSY_MS)) as connection:
            return _summary(connection, seconds)
    except sqlite3.Error as error:
        raise explained(path, error) from error


def _summary(connection: sqlite3.Connection, seconds: float) -> Summary:
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "alembic_version" not in names:
        return Summary()
    revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    newest = connection.execute(
        "SELECT max(recorded_at) FROM frames WHERE superseded_by IS NULL AND state = 'recorded'"
    ).fetchone()[0]
    by_state = _within(
        connection, seconds, "SELECT state, count(*) FROM frames WHERE superseded_by IS NULL GROUP BY state"
    )
    undelivered = _within(
        connection,
        seconds,
        "SELECT channel, count(*) FILTER (WHERE state = 'pending'), count(*) FILTER (WHERE state = 'dead'),"
        " min(created_at) FILTER (WHERE state = 'pending') FROM alerts WHERE state <> 'delivered' GROUP BY channel",
    )
    alerts = None
    if undelivered is not None:
        alerts = {
            channel: ChannelBacklog(pending, dead, oldest, _last_error(connection, channel))
            for channel, pending, dead, oldest in undelivered
        }
    waiting = None
    if "handover_changes" in names:
        waiting = _within(connection, seconds, "SELECT count(*) FROM handover_changes")
    return Summary(
        None if revision is None else revision[0],
        None if by_state is None else dict(by_state),
        newest,
        alerts,
        None if waiting is None else waiting[0][0],
    )


def _last_error(connection: sqlite3.Connection, channel: str) -> str:
    found = connection.execute(
        "SELECT last_error FROM alerts WHERE channel = ? AND state = 'pending' AND last_error <> '' ORDER BY id LIMIT 1",
        (channel,),
    ).fetchone()
    return "" if found is None else str(found[0])


def _within(connection: sqlite3.Connection, seconds: float, question: str) -> list[tuple[Any, ...]] | None:
    """Ask, but for no longer than so many seconds; ``None`` without an answer by then."""
    until = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS_BETWEEN_LOOKS)
    try:
        return connection.execute(question).fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_INTERRUPT":
            raise
        return None
    finally:
        connection.set_progress_handler(None, 0)
