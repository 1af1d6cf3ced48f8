"""Where the frames of a selection were taken, for a map."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from emwatch.errors import QuestionError
from emwatch.frame import FrameState
from emwatch.ledger.query import LedgerReader, LogFilter
from emwatch.stage import field_of_view
from emwatch.testing import make_failure, make_metadata, make_outcome, make_prediction

if TYPE_CHECKING:
    from datetime import datetime

    from emwatch.ledger.writer import Ledger


def test_a_selection_comes_with_where_it_was_taken(ledger: Ledger, noon: datetime) -> None:
    metadata = make_metadata(
        "Tescan",
        stage_x_mm=1.5,
        stage_y_mm=-2.0,
        stage_tilt_deg=10.0,
        scan_rotation_deg=45.0,
        tilt_correction=True,
        tilt_correction_deg=10.0,
        horizontal_field_width_um=100.0,
        data_bar_height_px=64,
    )
    ledger.record(make_outcome("/acq/a.tif", "a", metadata=metadata, targets=("tips", "all")), noon)
    said = make_prediction("Fibres", 0.6, uncertain=True)
    ledger.record(make_outcome("/acq/b.tif", "b", prediction=said), noon)
    ledger.record(make_failure("/acq/c.tif"), noon)
    with LedgerReader(ledger.path) as reader:
        hits = reader.positions(LogFilter(hits=True))
        all_of_them = reader.positions(LogFilter(newest_first=False))
        failed = reader.positions(LogFilter(states=(FrameState.FAILED,)))
    (first,) = hits
    assert (first.path.name, first.category, first.targets) == ("a.tif", "Tips", ("all", "tips"))
    assert first.placement.tilt_correction is True
    assert (first.placement.width_px, first.placement.height_px) == (1024, 768)
    seen = field_of_view(first.placement)
    assert seen is not None
    assert seen.centre == (1500, -2000)
    assert not seen.assumed
    assert [each.path.name for each in all_of_them] == ["a.tif", "b.tif", "c.tif"]
    assert (all_of_them[1].category, all_of_them[1].uncertain) == ("Fibres", True)
    assert field_of_view(all_of_them[1].placement) is None
    assert [(each.path.name, each.category) for each in failed] == [("c.tif", None)]


def test_the_limit_holds_and_sql_that_is_none_is_refused(ledger: Ledger, noon: datetime) -> None:
    for name in "abc":
        ledger.record(make_outcome(f"/acq/{name}.tif", name), noon)
    with LedgerReader(ledger.path) as reader:
        newest = reader.positions(LogFilter(limit=1))
        with pytest.raises(QuestionError):
            reader.positions(replace(LogFilter(), where="no SQL at all"))
    assert [each.path.name for each in newest] == ["c.tif"]
