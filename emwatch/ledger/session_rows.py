"""Sessions with what they hold, and notes, for those who read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from emwatch.frame import FrameState
from emwatch.ledger.dialects import unknown_last
from emwatch.ledger.filters import session_ids
from emwatch.ledger.schema import frames, matches, notes, sessions

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session: when its first and last frame were written, and how many current rows it has."""

    id: int
    name: str
    started_at: datetime
    ended_at: datetime
    frames: int
    hits: int
    failed: int
    opened_by: str = "gap"  #: ``gap``, ``command`` or ``folder``
    is_open: bool = False  #: by command, and not ended yet
    folder: str | None = None
    operator: str | None = None
    instrument: str | None = None
    sample: str | None = None


@dataclass(frozen=True, slots=True)
class NoteRow:
    """A note that stands."""

    id: int
    frame_id: int | None
    session_id: int | None
    text: str
    written_by: str
    written_at: datetime


def sessions_of(
    connection: Connection, which: str | None = None, *, asked_at: datetime | None = None, latest: int | None = None
) -> tuple[SessionRow, ...]:
    """Return the sessions with this name or number, or so many of the latest; the one last recorded into first."""
    hit = frames.c.id.in_(select(matches.c.frame_id))
    recorded = frames.c.state == FrameState.RECORDED
    question = (
        select(
            sessions,
            func.count(frames.c.id).filter(recorded).label("frames"),
            func.count(frames.c.id).filter(recorded, hit).label("hits"),
            func.count(frames.c.id).filter(frames.c.state == FrameState.FAILED).label("failed"),
        )
        .outerjoin(frames, (frames.c.session_id == sessions.c.id) & frames.c.superseded_by.is_(None))
        .group_by(sessions.c.id)
        .order_by(unknown_last(func.max(frames.c.recorded_at)), sessions.c.id.desc())
    )
    if latest is not None:
        newest = select(sessions.c.id).order_by(sessions.c.ended_at.desc(), sessions.c.id.desc()).limit(latest)
        question = question.where(sessions.c.id.in_(newest))
    if which is not None:
        question = question.where(sessions.c.id.in_(session_ids(which, asked_at)))
    return tuple(SessionRow(**row._mapping) for row in connection.execute(question))  # noqa: SLF001 - SQLAlchemy's public name


def open_sessions(connection: Connection) -> tuple[tuple[int, str], ...]:
    """Return number and name of the sessions that a command opened and none ended, the newest first."""
    question = select(sessions.c.id, sessions.c.name).where(sessions.c.is_open).order_by(sessions.c.started_at.desc())
    return tuple((row.id, row.name) for row in connection.execute(question))


def notes_of(connection: Connection, *, frame_id: int | None = None, session_id: int | None = None) -> list[NoteRow]:
    """Return the notes of a frame or of a session that stand, the oldest first."""
    of_it: Any = notes.c.frame_id == frame_id if frame_id is not None else notes.c.session_id == session_id
    question = (
        select(notes.c.id, notes.c.frame_id, notes.c.session_id, notes.c.text, notes.c.written_by, notes.c.written_at)
        .where(of_it, notes.c.replaced_by.is_(None), notes.c.text != "")
        .order_by(notes.c.written_at, notes.c.id)
    )
    return [NoteRow(**row._mapping) for row in connection.execute(question)]  # noqa: SLF001 - SQLAlchemy's public name
