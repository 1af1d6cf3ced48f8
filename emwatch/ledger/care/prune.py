"""
Old rows removed, only those asked for.

A row is what keeps a file from being read and alerted again. So rows of files stay for as long as the file is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emwatch.frame import FrameState, text_to_path
from emwatch.ledger.column_types import instant
from emwatch.ledger.database import driver_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

_FINDINGS: Final = ("alerts", "matches", "reviews", "predictions", "embeddings", "metadata", "notes")
#: What a person opened or wrote about stays.
_EMPTY_SESSIONS: Final = (
    "DELETE FROM sessions WHERE opened_by <> 'command' AND id NOT IN (SELECT session_id FROM notes WHERE session_id NOT NULL)"
    " AND id NOT IN (SELECT session_id FROM frames WHERE session_id NOT NULL)"
)


@dataclass(frozen=True, slots=True)
class Prune:
    """
    What is to go: rows recorded before these times, ``None``: none.

    ``is_there`` tells whether a file still exists; it raises `OSError` if that cannot be told.
    """

    is_there: Callable[[Path], bool]
    superseded: datetime | None = None
    failed: datetime | None = None
    skipped: datetime | None = None
    frames: datetime | None = None
    alerts: datetime | None = None  #: delivered or given up


@dataclass(slots=True)
class Pruned:
    """How many rows of a kind were, or would be, removed; and how many stay though they are old enough."""

    removed: int = 0
    kept: int = 0


def prune(connection: Connection, wanted: Prune, *, apply: bool) -> dict[str, Pruned]:
    """Remove, or without ``apply`` only count, what is wanted, within a transaction; by kind."""
    driver = driver_of(connection)
    found: dict[str, Pruned] = {}
    if wanted.superseded is not None:
        found["superseded"] = _superseded(driver, wanted.superseded, apply=apply)
    for kind, state, before in (
        ("failed", FrameState.FAILED, wanted.failed),
        ("skipped", FrameState.SKIPPED, wanted.skipped),
        ("frames", FrameState.RECORDED, wanted.frames),
    ):
        if before is not None:
            found[kind] = _of_files_gone(driver, state, before, wanted.is_there, apply=apply)
    if wanted.alerts is not None:
        old = "FROM alerts WHERE state <> 'pending' AND created_at < ?"
        (number,) = driver.execute(f"SELECT count(*) {old}", (instant(wanted.alerts),)).fetchone()
        found["alerts"] = Pruned(number)
        if apply:
            driver.execute(f"DELETE {old}", (instant(wanted.alerts),))
    if apply:
        driver.execute(_EMPTY_SESSIONS)
    return found


def _superseded(driver: sqlite3.Connection, before: datetime, *, apply: bool) -> Pruned:
    """Take contents that were overwritten out of their chains; one that others are copies of stays."""
    pruned = Pruned()
    rows = driver.execute(
        "SELECT id FROM frames WHERE superseded_by NOT NULL AND recorded_at < ? ORDER BY id", (instant(before),)
    ).fetchall()
    for (frame_id,) in rows:
        if _has_copies(driver, frame_id):
            pruned.kept += 1
            continue
        pruned.removed += 1
        if apply:
            before_it, after_it = driver.execute(
                "SELECT supersedes, superseded_by FROM frames WHERE id = ?", (frame_id,)
            ).fetchone()
            driver.execute("UPDATE frames SET supersedes = ? WHERE id = ?", (before_it, after_it))
            driver.execute("UPDATE frames SET superseded_by = ? WHERE id = ?", (after_it, before_it))
            _remove(driver, frame_id)
    return pruned


def _of_files_gone(
    driver: sqlite3.Connection,
    state: FrameState,
    before: datetime,
    is_there: Callable[[Path], bool],
    *,
    apply: bool,
) -> Pruned:
    """Remove current rows whose file is gone, with what the path held before; one that others are copies of stays."""
    pruned = Pruned()
    rows = driver.execute(
        "SELECT path FROM frames WHERE superseded_by IS NULL AND state = ? AND recorded_at < ? ORDER BY id",
        (state, instant(before)),
    ).fetchall()
    for (path,) in rows:
        chain = [each for (each,) in driver.execute("SELECT id FROM frames WHERE path = ? ORDER BY id DESC", (path,))]
        # An unfinished row over recorded ones goes with them only when frames are asked for.
        if (
            is_there(text_to_path(path))
            or (state is not FrameState.RECORDED and len(chain) > 1)
            or any(_has_copies(driver, each) for each in chain)
        ):
            pruned.kept += 1
        else:
            pruned.removed += 1
            if apply:
                driver.execute("UPDATE frames SET supersedes = NULL, superseded_by = id WHERE path = ?", (path,))
                for each in chain:
                    _remove(driver, each)
    return pruned


def _has_copies(driver: sqlite3.Connection, frame_id: int) -> bool:
    return driver.execute("SELECT 1 FROM frames WHERE duplicate_of = ? LIMIT 1", (frame_id,)).fetchone() is not None


def _remove(driver: sqlite3.Connection, frame_id: int) -> None:
    # One note may name another of the same frame: both go.
    driver.execute("UPDATE notes SET replaced_by = NULL WHERE frame_id = ?", (frame_id,))
    for table in _FINDINGS:
        driver.execute(f"DELETE FROM {table} WHERE frame_id = ?", (frame_id,))  # noqa: S608 - our own names
    driver.execute("DELETE FROM frames WHERE id = ?", (frame_id,))
