"""A ledger with something of everything, for tests that ask it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from emwatch.frame import FrameState, Review, ReviewVerdict
from emwatch.ledger.entries import Note, SessionChange
from emwatch.testing import NOON, make_failure, make_metadata, make_outcome, make_prediction, make_stat_key

if TYPE_CHECKING:
    from emwatch.ledger.writer import Ledger

PATHS: Final = (
    *(
        "/acq/Ana/wafer-7_scan[1].tif",
        "/acq/Ana/wafer 7 (copy).tif",
        "/acq/Bo/MÜLLER_Größe.tif",
        "/acq/Bo/Mu\u0308ller2.tif",
    ),
    *("/acq/50%_done.tif", "/acq/back\\slash.tif", "/acq/B.tif", "/acq/a.tif", "/acq/ä.tif", "/acq/émail.tif"),
    *("/acq/Ana/it's.tif", '/acq/Ana/"quoted".tif', "/acq/x.y-z.TIF", "/acq/scan1.tif", "/acq/scan[1].tif"),
)


def record(ledger: Ledger) -> None:
    """Record frames of every kind, and what people say of them."""
    for at, path in enumerate(PATHS):
        moment = NOON + timedelta(minutes=37 * at)
        values = {
            "magnification": 1000.0 * at,
            "stage_x_mm": at / 7,
            "stage_y_mm": -at / 3,
            "working_distance_mm": 0.1 + 0.2 * at,
            "detector": ("ETD", "InLens", "etd_2")[at % 3],
            "operator": ("Ana", "Bo")[at % 2],
            "instrument": f"Quanta {at % 2}",
        }
        metadata = make_metadata(**(values if at % 4 else {}))
        key = make_stat_key(moment, inode=at)
        outcome = make_outcome(path, f"content {at}", targets=("wanted",) if at % 3 == 0 else (), stat_key=key)
        assert outcome.reading is not None
        said = make_prediction(
            ("Tips", "Nanowires", "Films_Coated_Surface")[at % 3], 0.5 + at / 40, uncertain=at % 5 == 0
        )
        said = replace(said, margin=at / 50, novelty=None if at % 2 else at / 10)
        ledger.record(replace(outcome, reading=replace(outcome.reading, metadata=metadata), prediction=said), moment)
    later = NOON + timedelta(days=1)
    ledger.record(make_failure("/acq/broken.tif", "", "truncated", state=FrameState.FAILED), later)
    ledger.record(make_failure("/acq/notes.txt", "", "not-a-frame", state=FrameState.SKIPPED), later)
    ledger.record(make_outcome("/acq/a.tif", "overwritten", stat_key=make_stat_key(later)), later)
    ledger.record(make_outcome("/acq/copy.tif", "content 3", stat_key=make_stat_key(later)), later)
    ledger.baseline(ledger.path.parent, [(ledger.path.parent / "old.tif", make_stat_key())], NOON)
    ledger.add_reviews(
        [
            Review(1, ReviewVerdict.CONFIRM, "Tips", "Ana", NOON, "sharp"),
            Review(1, ReviewVerdict.RELABEL, "Films_Coated_Surface", "Bo", later, ""),
            Review(4, ReviewVerdict.UNSURE, None, "Bo", later, "too dark"),
        ]
    )
    for text, of in (("Grain boundary, seen twice", 2), ("second note", 2), ("Größe stimmt nicht", 3)):
        ledger.enter(Note(text, "Ana", NOON + timedelta(seconds=len(text)), frame_id=of))
    ledger.enter(Note("vacuum was poor", "Ana", NOON, session_id=1))
    ledger.enter(SessionChange(1, "Wafer 7", operator="Chen", sample="W7"))
    for alert in ledger.due_alerts("terminal", later, limit=2):
        ledger.alert_delivered(alert.id, later)
