"""The views that other programs open: what people ask for, also while the ledger is being written."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from emwatch.frame import Review, ReviewVerdict
from emwatch.ledger.entries import Note
from emwatch.testing import make_metadata, make_outcome

if TYPE_CHECKING:
    from datetime import datetime

    from emwatch.ledger.writer import Ledger


def test_a_hit_is_there_with_all_that_people_ask_for(ledger: Ledger, noon: datetime) -> None:
    numbers = {"stage_x_mm": 1.5, "stage_y_mm": -2.0, "horizontal_field_width_um": 12.0, "stage_rotation_deg": 30.0}
    frame = make_outcome(
        Path("/acq/a.tif"), "a", targets=("t",), written_at=noon, metadata=make_metadata("Zeiss", **numbers)
    )
    number = ledger.record(frame, noon).frame_id
    ledger.add_reviews([Review(number, ReviewVerdict.RELABEL, "Powder", "ana", noon)])
    ledger.enter(Note("at the edge", "ana", noon, frame_id=number))
    (alert,) = ledger.due_alerts("terminal", noon)
    ledger.alert_delivered(alert.id, noon)
    told = "2026-03-01T12:00:00.000000+00:00"
    with closing(sqlite3.connect(f"{ledger.path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        (hit,) = map(dict, connection.execute("SELECT * FROM v_hits"))
        (row,) = map(dict, connection.execute("SELECT * FROM v_log"))
        (session,) = map(dict, connection.execute("SELECT * FROM v_sessions"))

    for found in (hit, row):
        assert {name: found[name] for name in numbers} == numbers
        assert (found["reviewed"], found["notes"], found["alerted_at"]) == ("Powder", "at the edge", told)
    assert (hit["queued_at"], hit["alerts"]) == (told, "terminal delivered")
    assert (session["frames"], session["hits"], session["name"]) == (1, 1, row["session"])


def test_they_are_read_without_a_lock_error_while_rows_come(ledger: Ledger, noon: datetime) -> None:
    done, counts = threading.Event(), []

    def write() -> None:
        for number in range(60):
            outcome = make_outcome(Path(f"/acq/{number}.tif"), str(number), targets=("t",), written_at=noon)
            ledger.record(outcome, noon)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        # As pandas, sqlite-utils and datasette open it; without a timeout, so that a lock would be an error.
        with closing(sqlite3.connect(f"{ledger.path.as_uri()}?mode=ro", uri=True, timeout=0)) as connection:
            counts.append(
                tuple(connection.execute(f"SELECT count(*) FROM {view}").fetchone()[0] for view in ("v_log", "v_hits"))
            )
            connection.execute("SELECT * FROM v_sessions").fetchall()
    writer.join()

    assert counts == sorted(counts)
    assert len(counts) > 3
