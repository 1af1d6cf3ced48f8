"""Sessions: frames whose files were written within a gap of each other belong together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, delete, insert, select, update

from emwatch.ledger.schema import frames, sessions

if TYPE_CHECKING:
    from sqlalchemy import Connection


_NEAR: Final = (
    select(sessions)
    .where(sessions.c.started_at <= bindparam("latest"), sessions.c.ended_at >= bindparam("earliest"))
    .order_by(sessions.c.started_at, sessions.c.id)
)
_ADD: Final = insert(sessions)
_CHANGE: Final = update(sessions).where(sessions.c.id == bindparam("of_id"))


def session_name(started_at: datetime) -> str:
    """Return the name of a session: date and time of its first frame in the zone of this machine."""
    return f"{started_at.astimezone():%Y-%m-%dT%H:%M}"


def session_of(connection: Connection, written_at: datetime, gap: timedelta) -> int:
    """
    Return the session that a file written then belongs to: an existing one, extended to hold it, or a new one.

    A frame that lies between two sessions joins them, so that the sessions do not depend on the order of arrival.
    """
    reach = {"latest": _shifted(written_at, gap), "earliest": _shifted(written_at, -gap)}
    near = connection.execute(_NEAR, reach).all()
    if not near:
        values = {"name": session_name(written_at), "started_at": written_at, "ended_at": written_at}
        return int(connection.execute(_ADD, values).lastrowid)
    kept, *others = near
    for other in others:
        connection.execute(update(frames).where(frames.c.session_id == other.id).values(session_id=kept.id))
        connection.execute(delete(sessions).where(sessions.c.id == other.id))
    started_at = min(written_at, kept.started_at)
    ended_at = max(written_at, *(each.ended_at for each in near))
    if (started_at, ended_at) != (kept.started_at, kept.ended_at):
        named_by_us = kept.name == session_name(kept.started_at)
        name = session_name(started_at) if named_by_us else kept.name
        connection.execute(_CHANGE, {"of_id": kept.id, "name": name, "started_at": started_at, "ended_at": ended_at})
    return int(kept.id)


def _shifted(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment + by
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if by > timedelta(0) else datetime.min.replace(tzinfo=UTC)
