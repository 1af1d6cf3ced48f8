"""
Another ledger's rows taken over into this one: what is known already stays, nothing is there twice, nothing is alerted twice.

(path, sha256) is the identity, as in recording. The rows of a path stay in the order in which they were recorded.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from emwatch.frame import FrameState
from emwatch.ledger.database import driver_of
from emwatch.ledger.sessions import GAP, near_in_time

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from emwatch.ledger.care.salvage import Row, Salvage
    from emwatch.session_rules import SessionRules

_NOT_SENT: Final = "taken over from another ledger, not sent"
#: Links between rows of one ledger mean nothing in another.
_OWN_LINKS: Final = ("id", "supersedes", "superseded_by", "duplicate_of", "session_id")
_BESIDE: Final = ("bundles", "embedding_spaces", "roots")
_OF_FRAMES: Final = ("metadata", "predictions", "embeddings", "reviews", "matches", "alerts")


@dataclass(slots=True)
class Merged:
    """What was taken over."""

    frames: int = 0
    known: int = 0
    alerts: int = 0
    skipped: int = 0  #: rows that did not fit, as their frame could not be read


class _Target:
    """The ledger that takes over; everything in the one transaction of ``connection``."""

    def __init__(self, connection: Connection, rules: SessionRules) -> None:
        driver = driver_of(connection)
        self.connection, self.rules, self.driver = connection, rules, driver
        self._columns = {
            table: {row[1] for row in driver.execute(f"PRAGMA table_info('{table}')")}
            for table in (*_BESIDE, "frames", "sessions", "notes", *_OF_FRAMES)
        }
        self.sessions: dict[int, int] = {}  # numbers there and here, of those that are taken over as they are
        self.frame_of: dict[int, int] = {}  # number of a session there, and here of one of its frames
        driver.execute("DROP TABLE IF EXISTS temp.taken")
        driver.execute("CREATE TEMP TABLE taken (old INTEGER PRIMARY KEY, new INTEGER, fresh INTEGER, copy_of INTEGER)")

    def insert(self, table: str, row: Row, how: str = "INSERT") -> sqlite3.Cursor:
        values = {name: value for name, value in row.items() if name in self._columns[table]}
        places = ", ".join(f":{name}" for name in values)
        return self.driver.execute(f"{how} INTO {table} ({', '.join(values)}) VALUES ({places})", values)

    def one(self, question: str, *values: object) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self.driver.execute(question, values).fetchone()
        return found

    def new_id(self, old: object) -> int | None:
        found = self.one("SELECT new FROM temp.taken WHERE old = ?", old)
        return None if found is None else int(found[0])


def merge(connection: Connection, other: Salvage, rules: SessionRules, *, send_waiting: bool) -> Merged:
    """
    Take over all rows of ``other``, within a transaction.

    ``send_waiting``: alerts that wait there go on waiting here; else they are given up, as nobody wants them any more.
    """
    target, merged = _Target(connection, rules), Merged()
    for table in _BESIDE:
        for row in other.rows(table):
            target.insert(table, row, "INSERT OR IGNORE")
    for row in other.rows("sessions"):
        _take_session(target, row)
    for row in other.rows("frames"):
        _take_frame(target, row, merged)
    _link_copies(target)
    for table in _OF_FRAMES:
        for row in other.rows(table):
            frame_id = target.new_id(row["frame_id"])
            try:
                merged.skipped += frame_id is None
                if frame_id is not None:
                    _take_finding(target, table, {**row, "frame_id": frame_id}, merged, send_waiting=send_waiting)
            except sqlite3.IntegrityError:
                merged.skipped += 1
    _take_notes(target, other)
    target.driver.execute("DROP TABLE temp.taken")
    return merged


def _take_frame(target: _Target, row: Row, merged: Merged) -> None:
    known = target.one("SELECT id FROM frames WHERE path = ? AND sha256 = ?", row["path"], row["sha256"])
    if known is not None:
        merged.known += 1
        _took(target, row, int(known[0]), fresh=False)
        return
    current = target.one("SELECT id, state FROM frames WHERE path = ? AND superseded_by IS NULL", row["path"])
    if row["state"] != FrameState.RECORDED and (current is not None or row["superseded_by"] is not None):
        return  # more is known of this file than that it was no frame once
    values = {name: value for name, value in row.items() if name not in _OWN_LINKS}
    values["session_id"] = _session(target, row)
    if current is not None and current[1] == FrameState.BASELINE:
        changes = ", ".join(f"{name} = :{name}" for name in values)
        target.driver.execute(f"UPDATE frames SET {changes} WHERE id = :id", {**values, "id": current[0]})  # noqa: S608 - our own names
        _took(target, row, int(current[0]), fresh=True)
    else:
        _took(target, row, _insert_in_order(target, row, values), fresh=True)
    merged.frames += 1


def _insert_in_order(target: _Target, row: Row, values: Row) -> int:
    """Insert a frame where it belongs in its path's chain; it keeps its number if that is free."""
    after = target.one(
        "SELECT id, supersedes FROM frames WHERE path = ? AND recorded_at > ? ORDER BY recorded_at, id LIMIT 1",
        row["path"],
        row["recorded_at"],
    )
    before = target.one("SELECT id FROM frames WHERE path = ? AND superseded_by IS NULL", row["path"])
    if after is not None:
        values |= {"superseded_by": after[0], "supersedes": after[1]}
    elif before is not None:
        # Points at itself for a moment: two current rows of one path are refused, and the new number is not known yet.
        target.driver.execute("UPDATE frames SET superseded_by = id WHERE id = ?", before)
        values["supersedes"] = before[0]
    if target.one("SELECT 1 FROM frames WHERE id = ?", row["id"]) is None:
        values["id"] = row["id"]
    new = int(target.insert("frames", values).lastrowid or 0)
    if after is not None:
        target.driver.execute("UPDATE frames SET supersedes = ? WHERE id = ?", (new, after[0]))
    if values.get("supersedes") is not None:
        target.driver.execute("UPDATE frames SET superseded_by = ? WHERE id = ?", (new, values["supersedes"]))
    return new


def _took(target: _Target, row: Row, new: int, *, fresh: bool) -> None:
    if row.get("session_id") is not None:
        target.frame_of[row["session_id"]] = new
    target.driver.execute(
        "INSERT OR REPLACE INTO temp.taken VALUES (?, ?, ?, ?)", (row["id"], new, fresh, row.get("duplicate_of"))
    )


def _session(target: _Target, row: Row) -> int | None:
    if row["state"] not in {FrameState.RECORDED, FrameState.FAILED} or not row["file_modified_at"]:
        return None
    if row.get("session_id") not in target.sessions:
        written_at = datetime.fromisoformat(row["file_modified_at"])
        return near_in_time(target.connection, written_at, target.rules.gap, row.get("instrument_id") or "")
    return target.sessions[row["session_id"]]


def _take_session(target: _Target, row: Row) -> None:
    """Take over a session that a person or a folder opened; those by time are found anew by their frames."""
    if row.get("opened_by", GAP) == GAP:
        return
    same = "SELECT id FROM sessions WHERE opened_by = ? AND started_at = ? AND name = ?"
    here = target.one(same, row["opened_by"], row["started_at"], row["name"])
    values = {name: value for name, value in row.items() if name != "id"} | {"is_open": 0}
    target.sessions[row["id"]] = int(here[0]) if here else int(target.insert("sessions", values).lastrowid or 0)


def _take_notes(target: _Target, other: Salvage) -> None:
    """Take over the notes whose frame or session is here, and which of them stand."""
    numbers: dict[int, int] = {}
    replaced: dict[int, object] = {}
    sessions = {
        old: found[0]
        for old, frame_id in target.frame_of.items()
        if (found := target.one("SELECT session_id FROM frames WHERE id = ?", frame_id)) is not None
    } | target.sessions
    for row in other.rows("notes"):
        frame_id, session_id = target.new_id(row["frame_id"]), sessions.get(row["session_id"])
        if frame_id is None and session_id is None:
            continue
        values = row | {"frame_id": frame_id, "session_id": session_id, "replaced_by": None}
        values.pop("id")
        target.insert("notes", values, "INSERT OR IGNORE")
        same = "SELECT id FROM notes WHERE written_at = ? AND written_by = ? AND frame_id IS ? AND session_id IS ?"
        here = target.one(same, row["written_at"], row["written_by"], frame_id, session_id)
        if here is not None:
            numbers[row["id"]] = here[0]
            replaced[here[0]] = row.get("replaced_by")
    for here_id, by in replaced.items():
        if by in numbers:
            target.driver.execute("UPDATE notes SET replaced_by = ? WHERE id = ?", (numbers[by], here_id))


def _link_copies(target: _Target) -> None:
    """Set the original of each imported copy: as in the other ledger, or an earlier frame of this one."""
    target.driver.execute(
        "UPDATE frames SET duplicate_of = (SELECT o.new FROM temp.taken AS t JOIN temp.taken AS o ON o.old = t.copy_of"
        " WHERE t.new = frames.id AND t.fresh AND o.new <> t.new)"
        " WHERE id IN (SELECT new FROM temp.taken WHERE fresh AND copy_of IS NOT NULL)"
    )
    target.driver.execute(
        "UPDATE frames SET duplicate_of = (SELECT min(coalesce(f.duplicate_of, f.id)) FROM frames AS f"
        " WHERE f.sha256 = frames.sha256 AND f.sha256 <> '' AND f.path <> frames.path AND f.state = 'recorded'"
        " AND f.id NOT IN (SELECT new FROM temp.taken WHERE fresh))"
        " WHERE duplicate_of IS NULL AND state = 'recorded' AND id IN (SELECT new FROM temp.taken WHERE fresh)"
    )


def _take_finding(target: _Target, table: str, row: Row, merged: Merged, *, send_waiting: bool) -> None:
    if table == "metadata":
        target.insert(table, row, "INSERT OR IGNORE")
        return
    row.pop("id", None)
    if table == "alerts":
        _take_alert(target, row, merged, send_waiting=send_waiting)
        return
    if table == "predictions" and row["newest"]:
        row["newest"] = target.one("SELECT 1 FROM predictions WHERE frame_id = ? AND newest", row["frame_id"]) is None
    target.insert(table, row, "INSERT OR IGNORE")


def _take_alert(target: _Target, row: Row, merged: Merged, *, send_waiting: bool) -> None:
    if row["state"] == "pending" and not send_waiting:
        row |= {"state": "dead", "last_error": _NOT_SENT}
    here = target.one("SELECT id, state FROM alerts WHERE key = ?", row["key"])
    if here is None:
        target.insert("alerts", row)
        merged.alerts += 1
    elif here[1] != "delivered" and row["state"] == "delivered":
        target.driver.execute(
            "UPDATE alerts SET state = 'delivered', delivered_at = ?, last_error = '' WHERE id = ?",
            (row["delivered_at"], here[0]),
        )
