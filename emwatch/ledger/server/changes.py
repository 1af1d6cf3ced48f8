"""
What of a ledger's file is still to be handed over to a server.

Triggers note each frame and session that changed, whoever changed it: recording, people, repair, pruning. They are made
when a server is used for the first time, and everything is noted then.
"""

# ruff: noqa: S608 - the names are our own

from __future__ import annotations

import json
import sqlite3
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from emwatch.ledger.column_types import plain
from emwatch.ledger.database import driver_of
from emwatch.ledger.schema import REVISION
from emwatch.ledger.sqlite_file import any_text, connect_to_read, explained, must_be_there

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

#: A frame takes a few hundred bytes, with its embedding some thousands.
BATCH: Final = 500

_STATE: Final = (
    "CREATE TABLE IF NOT EXISTS handover_state (identity TEXT NOT NULL, follows TEXT NOT NULL, run TEXT NOT NULL,"
    " run_before TEXT NOT NULL, batches INTEGER NOT NULL, revision TEXT NOT NULL)"
)
_CHANGES: Final = (
    "CREATE TABLE IF NOT EXISTS handover_changes (kind TEXT NOT NULL, id INTEGER NOT NULL, changes INTEGER NOT NULL,"
    " PRIMARY KEY (kind, id)) WITHOUT ROWID"
)
#: Which column of a table names the frame or session that changes with its row.
_NOTED: Final = (
    ("frames", "frames", "id"),
    ("sessions", "sessions", "id"),
    *(
        ("frames", table, "frame_id")
        for table in ("metadata", "predictions", "embeddings", "reviews", "notes", "matches", "alerts")
    ),
    ("sessions", "notes", "session_id"),
)
#: Whatever is not there has no meaning without the rest: then everything is noted anew.
_ALL: Final = (
    "DELETE FROM handover_changes",
    "INSERT INTO handover_changes SELECT 'frames', id, 1 FROM frames",
    "INSERT INTO handover_changes SELECT 'sessions', id, 1 FROM sessions",
)


def _triggers() -> dict[str, str]:
    found = {}
    for kind, table, column in _NOTED:
        for what, rows in (("INSERT", ("new",)), ("UPDATE", ("old", "new")), ("DELETE", ("old",))):
            name = f"tr_handover_{kind}_{table}_{what.lower()}"
            # Not one upsert: within a trigger, the OR of the statement outside would hold.
            body = "".join(
                f" UPDATE handover_changes SET changes = changes + 1 WHERE kind = '{kind}' AND id = {row}.{column};"
                f" INSERT INTO handover_changes SELECT '{kind}', {row}.{column}, 1 WHERE {row}.{column} IS NOT NULL"
                f" AND NOT EXISTS (SELECT 1 FROM handover_changes WHERE kind = '{kind}' AND id = {row}.{column});"
                for row in rows
                if row == "new" or what == "DELETE" or column != "id"
            )
            found[name] = f"CREATE TRIGGER {name} AFTER {what} ON {table} BEGIN{body} END"
    return found


@dataclass(frozen=True, slots=True)
class HandoverState:
    """
    What a ledger knows of its handover.

    Attributes:
        identity: the same for as long as the file is the same.
        follows: identities of the ledgers of which this one goes on.
        run: the mark of this start of the daemon; ``run_before``: that of the start before.
        batches: so many were handed over, and noted here.

    """

    identity: str
    follows: tuple[str, ...]
    run: str
    run_before: str
    batches: int


@dataclass(frozen=True, slots=True)
class Changed:
    """A frame or session that changed, and how often since it was handed over; without a row now: it was removed."""

    kind: str
    id: int
    changes: int


@dataclass(slots=True)
class Batch:
    """What is handed over together, as it is at one moment: what changed, and the rows of each table that belong to it."""

    state: HandoverState
    changed: Sequence[Changed]
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def ids(self, kind: str) -> list[int]:
        """Return the numbers of the frames or sessions."""
        return [each.id for each in self.changed if each.kind == kind]


def begin(connection: Connection) -> None:
    """Make what notes changes, within a transaction; if something of it was not there, everything counts as changed."""
    driver = driver_of(connection)
    triggers = _triggers()
    there = dict(driver.execute("SELECT name, sql FROM sqlite_master WHERE name LIKE '%handover\\_%' ESCAPE '\\'"))
    state = driver.execute("SELECT revision FROM handover_state").fetchone() if "handover_state" in there else None
    if state == (REVISION,) and all(there.get(name) == sql for name, sql in triggers.items()):
        return
    for statement in (_STATE, _CHANGES):
        driver.execute(statement)
    for name, sql in triggers.items():
        driver.execute(f"DROP TRIGGER IF EXISTS {name}")
        driver.execute(sql)
    if state is None:
        driver.execute("INSERT INTO handover_state VALUES (?, '[]', '', '', 0, ?)", (str(uuid.uuid4()), REVISION))
    driver.execute("UPDATE handover_state SET revision = ?", (REVISION,))
    note_all(connection)


def note_all(connection: Connection) -> None:
    """Note every frame and session as changed."""
    for statement in _ALL:
        driver_of(connection).execute(statement)


def become_another(connection: Connection) -> None:
    """
    Set a new identity of the file, and note everything as changed: all of it is handed over as a new ledger.

    For a file that was copied or restored: under its old identity, which is added to ``follows``, the server has batches
    that the file does not know of.
    """
    driver = driver_of(connection)
    state = _state(driver)
    driver.execute(
        "UPDATE handover_state SET identity = ?, follows = ?, run = '', run_before = '', batches = 0",
        (str(uuid.uuid4()), json.dumps([*state.follows, state.identity])),
    )
    note_all(connection)


def note_run(connection: Connection, run: str, run_before: str) -> None:
    """Write down the mark of this start, before the server hears of it."""
    values = (run, run_before)
    driver_of(connection).execute("UPDATE handover_state SET run = ?, run_before = ?", values)


def note_batches(connection: Connection, batches: int) -> None:
    """Write down how many batches the server has."""
    driver_of(connection).execute("UPDATE handover_state SET batches = ?", (batches,))


def handed_over(connection: Connection, batch: Batch, batches: int) -> None:
    """Forget the changes that a batch handed over; what changed again meanwhile stays noted."""
    driver_of(connection).executemany(
        "DELETE FROM handover_changes WHERE kind = ? AND id = ? AND changes = ?",
        [(each.kind, each.id, each.changes) for each in batch.changed],
    )
    note_batches(connection, batches)


def waiting(path: Path) -> int | None:
    """Return how many frames and sessions are still to be handed over, ``None`` if none of the file ever was."""
    with _reading(path) as driver:
        if driver is None:
            return None
        return int(driver.execute("SELECT count(*) FROM handover_changes").fetchone()[0])


def next_batch(path: Path, most: int = BATCH) -> Batch | None:
    """Return what is to be handed over next, it may be nothing; ``None``: `begin` has to be called first. Raises `LedgerError`."""
    with _reading(path) as driver:
        if driver is None:
            return None
        found = driver.execute(
            "SELECT kind, id, changes FROM handover_changes ORDER BY kind DESC, id LIMIT ?", (most,)
        ).fetchall()
        batch = Batch(_state(driver), [Changed(*row) for row in found])
        if not found:
            return batch
        driver.row_factory = sqlite3.Row
        given = {kind: json.dumps(batch.ids(kind)) for kind in ("frames", "sessions")}
        for table, question in _QUESTIONS.items():
            batch.rows[table] = [dict(row) for row in driver.execute(question, given)]
    return batch


_FRAMES: Final = "(SELECT value FROM json_each(:frames))"
_SESSIONS: Final = "(SELECT value FROM json_each(:sessions))"
_QUESTIONS: Final = {
    "sessions": f"SELECT * FROM sessions WHERE id IN {_SESSIONS}",
    "frames": f"SELECT * FROM frames WHERE id IN {_FRAMES}",
    "notes": f"SELECT * FROM notes WHERE frame_id IN {_FRAMES} UNION ALL SELECT * FROM notes WHERE session_id IN {_SESSIONS}",
    **{
        table: f"SELECT * FROM {table} WHERE frame_id IN {_FRAMES}"
        for table in ("metadata", "predictions", "embeddings", "reviews", "matches", "alerts", "log_search")
    },
    "bundles": "SELECT * FROM bundles WHERE sha256 IN"
    f" (SELECT bundle_sha256 FROM predictions WHERE frame_id IN {_FRAMES}) ORDER BY sha256",
    "embedding_spaces": "SELECT * FROM embedding_spaces WHERE sha256 IN"
    f" (SELECT space_sha256 FROM embeddings WHERE frame_id IN {_FRAMES}) ORDER BY sha256",
    # What was there before the first start has no words until it is read.
    "log_text": f"SELECT w.* FROM frames AS f CROSS JOIN log_words AS w ON w.frame_id = f.id WHERE f.id IN {_FRAMES}"
    " AND f.state <> 'baseline'",
    "log_text_sessions": "SELECT s.id, s.name, s.operator, s.instrument, s.sample, n.notes FROM v_sessions AS n"
    f" JOIN sessions AS s ON s.id = n.id WHERE s.id IN {_SESSIONS}",
}


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Yield a connection for questions about one moment, ``None`` if nothing notes changes in this file yet."""
    must_be_there(path)
    try:
        with closing(connect_to_read(path)) as driver:
            driver.text_factory = _plain_text
            driver.execute("BEGIN")
            named = "SELECT count(*) FROM sqlite_master WHERE name IN ('handover_state', 'handover_changes')"
            yield driver if driver.execute(named).fetchone() == (2,) else None
    except sqlite3.Error as error:
        raise explained(path, error) from error


def _plain_text(stored: bytes) -> str:
    return plain(any_text(stored))  # PostgreSQL takes no NUL, which another program may have written into the file


def _state(driver: sqlite3.Connection) -> HandoverState:
    identity, follows, run, before, batches, _ = driver.execute("SELECT * FROM handover_state").fetchone()
    return HandoverState(identity, tuple(json.loads(follows)), run, before, batches)
