"""Sessions: which one a frame belongs to, by what a person opened, by its folder, or by the time between two frames."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, func, insert, or_, select, text, update

from emwatch.ledger.column_types import instant
from emwatch.ledger.prepared import Prepared
from emwatch.ledger.schema import frames, notes, sessions

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from emwatch.session_rules import Place

GAP, FOLDER, COMMAND = "gap", "folder", "command"

_NEAR: Final = (
    select(sessions)
    .where(
        sessions.c.opened_by == GAP,
        sessions.c.started_at <= bindparam("latest"),
        sessions.c.ended_at >= bindparam("earliest"),
        func.coalesce(sessions.c.instrument, "") == bindparam("of_instrument"),
    )
    .order_by(sessions.c.started_at, sessions.c.id)
)
_TIMES_NEAR: Final = Prepared(_NEAR.with_only_columns(sessions.c.id, sessions.c.started_at, sessions.c.ended_at))
_OF_FOLDER: Final = select(sessions).where(sessions.c.folder == bindparam("of_folder"), sessions.c.opened_by == FOLDER)
#: Those that were ended take what was written before that; `text` is what the index over the open ones asks for.
_BY_COMMAND: Final = (
    select(sessions)
    .where(
        sessions.c.opened_by == COMMAND,
        sessions.c.started_at <= bindparam("at"),
        or_(text("is_open = 1"), sessions.c.ended_at >= bindparam("at")),
        or_(
            sessions.c.instrument.is_(None),
            bindparam("of_instrument") == "",
            sessions.c.instrument == bindparam("of_instrument"),
        ),
    )
    .order_by(sessions.c.started_at.desc(), sessions.c.id.desc())
    .limit(1)
)
_ANY_BY_COMMAND: Final = Prepared(_BY_COMMAND.with_only_columns(sessions.c.id))
_ADD: Final = insert(sessions)
_CHANGE: Final = update(sessions).where(sessions.c.id == bindparam("of_id"))
_EXTEND: Final = Prepared(_CHANGE)


def session_name(started_at: datetime) -> str:
    """Return the name of a session: date and time of its first frame in the zone of this machine."""
    return f"{started_at.astimezone():%Y-%m-%dT%H:%M}"


def session_of(connection: Connection, written_at: datetime, gap: timedelta, place: Place) -> tuple[int, str]:
    """
    Return the session that a file written then, at that place, belongs to, and the name of its instrument or "".

    A session that a person opened goes first, then that of the file's folder, then the one that is near in time.
    """
    asked = {"at": written_at, "of_instrument": place.instrument}
    # Most frames have none, and SQLAlchemy's way to a row costs more than SQLite's.
    by_command = _ANY_BY_COMMAND.run(connection, asked).fetchone() is not None
    opened = connection.execute(_BY_COMMAND, asked).one_or_none() if by_command else None
    if opened is not None:
        if opened.is_open:
            _hold(connection, opened, written_at)
        return opened.id, place.instrument or opened.instrument or ""
    if place.folder:
        return _of_folder(connection, written_at, place), place.instrument
    return near_in_time(connection, written_at, gap, place.instrument), place.instrument


def _of_folder(connection: Connection, written_at: datetime, place: Place) -> int:
    found = connection.execute(_OF_FOLDER, {"of_folder": place.folder}).first()
    if found is not None:
        _hold(connection, found, written_at)
        return int(found.id)
    values = {
        "name": place.session,
        "started_at": written_at,
        "ended_at": written_at,
        "opened_by": FOLDER,
        "folder": place.folder,
        "operator": place.operator,
        "sample": place.sample,
        "instrument": place.instrument or None,
    }
    return int(connection.execute(_ADD, values).lastrowid)


def _hold(connection: Connection, session: Row[Any], written_at: datetime) -> None:
    """Extend a session so that a file written then lies in it."""
    started_at, ended_at = min(written_at, session.started_at), max(written_at, session.ended_at)
    if (started_at, ended_at) != (session.started_at, session.ended_at):
        connection.execute(_CHANGE, {"of_id": session.id, "started_at": started_at, "ended_at": ended_at})


def near_in_time(connection: Connection, written_at: datetime, gap: timedelta, instrument: str = "") -> int:
    """
    Return the session of an instrument whose frames are within ``gap``: one that is there, extended, or a new one.

    A frame that lies between two sessions joins them, so that the sessions do not depend on the order of arrival.
    """
    reach = {"latest": _shifted(written_at, gap), "earliest": _shifted(written_at, -gap), "of_instrument": instrument}
    times = _TIMES_NEAR.run(connection, reach).fetchall()
    at = instant(written_at)
    if len(times) == 1 and times[0][1] <= at:  # most frames: neither joins two sessions nor is its session's first
        only, _, ended = times[0]
        if at > ended:
            _EXTEND.run(connection, {"of_id": only, "ended_at": written_at})
        return int(only)
    near = connection.execute(_NEAR, reach).all() if times else []
    if not near:
        values = {"name": session_name(written_at), "started_at": written_at, "ended_at": written_at}
        return int(connection.execute(_ADD, {**values, "instrument": instrument or None}).lastrowid)
    kept, *others = near
    changes: dict[str, Any] = {}
    for other in others:
        for table in (frames, notes):
            connection.execute(update(table).where(table.c.session_id == other.id).values(session_id=kept.id))
        connection.execute(delete(sessions).where(sessions.c.id == other.id))
    started_at = min(written_at, kept.started_at)
    ended_at = max(written_at, *(each.ended_at for each in near))
    if (started_at, ended_at) != (kept.started_at, kept.ended_at):
        given = [each.name for each in near if each.name != session_name(each.started_at)]
        changes |= {"name": (given or [session_name(started_at)])[0], "started_at": started_at, "ended_at": ended_at}
    for said in ("operator", "sample"):
        if others and (words := [getattr(each, said) for each in near if getattr(each, said)]):
            changes[said] = words[0]
    if changes:
        connection.execute(_CHANGE, {"of_id": kept.id, **changes})
    return int(kept.id)


def _shifted(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment + by
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if by > timedelta(0) else datetime.min.replace(tzinfo=UTC)
