"""What a ledger holds, counted in plain SQL."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Counts(NamedTuple):
    """Current rows: recorded frames, those that met a target, failed files; and alerts not yet delivered."""

    frames: int = 0
    hits: int = 0
    failed: int = 0
    waiting_alerts: int = 0


def counts(ledger: Path) -> Counts:
    with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as connection:
        row = connection.execute(
            "SELECT count(*) FILTER (WHERE state = 'recorded'), count(*) FILTER (WHERE state = 'recorded'"
            " AND id IN (SELECT frame_id FROM matches)), count(*) FILTER (WHERE state = 'failed'),"
            " (SELECT count(*) FROM alerts WHERE state = 'pending') FROM frames WHERE superseded_by IS NULL"
        ).fetchone()
    return Counts(*row)
