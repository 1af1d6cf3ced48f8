"""
What people enter into the log beside reviews: sessions that they start, end and describe, and notes.

An entry made a second time, as after a kill, changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Table, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from emwatch.errors import LedgerError
from emwatch.frame import FrameState, text_to_path
from emwatch.ledger.schema import frames, notes, sessions
from emwatch.ledger.sessions import COMMAND, session_of

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from emwatch.session_rules import SessionRules

#: What of a session a person can change.
DESCRIBED: Final = ("name", "operator", "instrument", "sample")


class EntryError(LedgerError):
    """An entry about something that is not there, or that contradicts what is."""


@dataclass(frozen=True, slots=True)
class SessionStart:
    """
    A session begins; frames written from then on are of it until it ends.

    ``instrument``: only those of its directories; ``None``: all. One that is open there ends.
    """

    name: str
    started_at: datetime
    operator: str | None = None
    instrument: str | None = None
    sample: str | None = None


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """A session ends; frames written later belong where their time or folder puts them."""

    session_id: int
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class SessionChange:
    """Other words for a session; ``None`` leaves one as it is, "" takes it back (but a name stays)."""

    session_id: int
    name: str | None = None
    operator: str | None = None
    instrument: str | None = None
    sample: str | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A note about a frame or a session, or in place of the note ``replaces``; without text it takes that one back."""

    text: str
    written_by: str
    written_at: datetime
    frame_id: int | None = None
    session_id: int | None = None
    replaces: int | None = None


Entry = SessionStart | SessionEnd | SessionChange | Note


def enter(connection: Connection, entry: Entry, rules: SessionRules) -> int:
    """Write an entry, in a transaction. Returns the number of its session, or of a note. Raises `EntryError`."""
    match entry:
        case SessionStart():
            return _start(connection, entry)
        case SessionEnd():
            return _end(connection, entry, rules)
        case SessionChange():
            return _change(connection, entry)
        case Note():
            return _write(connection, entry)


def _start(connection: Connection, entry: SessionStart) -> int:
    same = select(sessions.c.id).where(
        sessions.c.opened_by == COMMAND, sessions.c.started_at == entry.started_at, sessions.c.name == entry.name
    )
    if (there := connection.scalar(same)) is not None:
        return int(there)
    before = sessions.c.is_open & (sessions.c.started_at <= entry.started_at)
    if entry.instrument is not None:
        before &= sessions.c.instrument.is_(None) | (sessions.c.instrument == entry.instrument)
    connection.execute(update(sessions).where(before).values(is_open=False, ended_at=entry.started_at))
    values = {name: getattr(entry, name) for name in DESCRIBED}
    values |= {"started_at": entry.started_at, "ended_at": entry.started_at, "opened_by": COMMAND, "is_open": True}
    session_id = int(connection.execute(insert(sessions).values(values)).lastrowid)
    _take_frames(connection, session_id, entry)
    return session_id


def _take_frames(connection: Connection, session_id: int, entry: SessionStart) -> None:
    """Take what was written since a session that starts in the past."""
    taken = (
        frames.c.session_id.in_(select(sessions.c.id).where(sessions.c.id != session_id))
        & (frames.c.file_modified_at >= entry.started_at)
        & frames.c.state.in_((FrameState.RECORDED, FrameState.FAILED))
    )
    if entry.instrument is not None:
        taken &= frames.c.instrument_id.in_(("", entry.instrument))
    robbed = connection.scalars(select(frames.c.session_id).where(taken).distinct()).all()
    latest = connection.scalar(select(func.max(frames.c.file_modified_at)).where(taken))
    connection.execute(update(frames).where(taken).values(session_id=session_id))
    if latest is not None:
        connection.execute(update(sessions).where(sessions.c.id == session_id).values(ended_at=latest))
    _shrink(connection, robbed)


def _shrink(connection: Connection, session_ids: Any) -> None:
    """Let sessions that lost frames span those that are left; one without frames goes, unless a person wrote about it."""
    for each in session_ids:
        of_it = frames.c.session_id == each
        span = select(func.min(frames.c.file_modified_at), func.max(frames.c.file_modified_at)).where(of_it)
        first, last = connection.execute(span).one()
        this = (sessions.c.id == each) & (sessions.c.opened_by != COMMAND)
        if first is not None:
            connection.execute(update(sessions).where(this).values(started_at=first, ended_at=last))
        elif connection.scalar(select(notes.c.id).where(notes.c.session_id == each).limit(1)) is None:
            connection.execute(delete(sessions).where(this))


def _end(connection: Connection, entry: SessionEnd, rules: SessionRules) -> int:
    session = connection.execute(select(sessions).where(sessions.c.id == entry.session_id)).one_or_none()
    if session is None or session.opened_by != COMMAND:
        raise EntryError(f"session {entry.session_id}: no such session was started by a command")
    if entry.ended_at < session.started_at:
        raise EntryError(f"session {session.id} began at {session.started_at.isoformat()} and cannot end before that")
    values = {"is_open": False, "ended_at": entry.ended_at}
    connection.execute(update(sessions).where(sessions.c.id == session.id).values(values))
    later = select(frames.c.id, frames.c.path, frames.c.file_modified_at).where(
        frames.c.session_id == session.id, frames.c.file_modified_at > entry.ended_at
    )
    for row in connection.execute(later.order_by(frames.c.file_modified_at)).all():
        place = rules.place_of(text_to_path(row.path))
        other, _ = session_of(connection, row.file_modified_at, rules.gap, place)
        connection.execute(update(frames).where(frames.c.id == row.id).values(session_id=other))
    return int(session.id)


def _change(connection: Connection, entry: SessionChange) -> int:
    _must_exist(connection, sessions, entry.session_id)
    said = {name: text for name in DESCRIBED if (text := getattr(entry, name)) is not None}
    values = {name: text if name == "name" else text or None for name, text in said.items()}
    if values:
        connection.execute(update(sessions).where(sessions.c.id == entry.session_id).values(values))
    return entry.session_id


def _write(connection: Connection, entry: Note) -> int:
    if entry.replaces is not None:
        return _replace(connection, entry, entry.replaces)
    if entry.frame_id is not None:
        _must_exist(connection, frames, entry.frame_id)
    else:
        _must_exist(connection, sessions, entry.session_id)
    return _add(connection, entry, entry.frame_id, entry.session_id)


def _replace(connection: Connection, entry: Note, old: int) -> int:
    found = connection.execute(select(notes).where(notes.c.id == old)).one_or_none()
    if found is None:
        raise EntryError(f"no note has number {old}")
    new = _add(connection, entry, found.frame_id, found.session_id)
    if found.replaced_by not in {None, new}:
        raise EntryError(f"note {old} was changed or taken back already")
    connection.execute(update(notes).where(notes.c.id == old).values(replaced_by=new))
    return new


def _add(connection: Connection, entry: Note, frame_id: int | None, session_id: int | None) -> int:
    identity: dict[str, Any] = {"frame_id": frame_id, "session_id": session_id}
    identity |= {"written_by": entry.written_by, "written_at": entry.written_at}
    add = insert(notes).values({**identity, "text": entry.text}).on_conflict_do_nothing()
    connection.execute(add)
    same = [notes.c[name].is_not_distinct_from(value) for name, value in identity.items()]
    return int(connection.scalars(select(notes.c.id).where(*same)).one())


def _must_exist(connection: Connection, table: Table, number: int | None) -> None:
    if connection.scalar(select(table.c.id).where(table.c.id == number)) is None:
        raise EntryError(f"no {table.name.removesuffix('s')} has number {number}")
