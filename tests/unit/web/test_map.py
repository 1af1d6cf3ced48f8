"""The stage map: where frames lie, which were hits, and the way from where the stage stands."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from emwatch.config import Config

    from .conftest import Open


def _place(config: Config, frame_id: int, **values: float | str | None) -> None:
    with closing(sqlite3.connect(config.ledger.path)) as ledger, ledger:
        for name, value in values.items():
            ledger.execute(f"UPDATE metadata SET {name} = ? WHERE frame_id = ?", (value, frame_id))


def test_frames_lie_to_scale_at_their_position(browser: Open, config: Config) -> None:
    _place(config, 3, stage_x_mm=2.0, stage_y_mm=-1.0, stage_tilt_deg=0.0, horizontal_field_width_um=100.0)
    _place(config, 4, stage_x_mm=None)
    found = browser().get("/api/v1/map").json
    by_id = {each[0]: each[1:] for each in found["frames"]}
    category, hit, x, y, *corners = by_id[3]

    assert (x, y) == (2000.0, -1000.0)
    assert max(corners[::2]) - min(corners[::2]) == pytest.approx(100.0, abs=1e-3)
    assert found["categories"][category] == browser().get("/api/v1/frames/3").json["category"]
    assert hit == 1
    assert 4 not in by_id
    assert found["without_position"] >= 1
    assert found["newest"] == found["frames"][0][0]
    assert not found["truncated"]


def test_the_filter_of_the_address_holds(browser: Open) -> None:
    client = browser()

    assert len(client.get("/api/v1/map?path=frame_0003.tif").json["frames"]) == 1
    assert client.get("/api/v1/map?target=never").json["frames"] == []
    assert client.get("/api/v1/map?category=Cats").status_code == 400
    assert client.get("/map?category=Cats").status_code == 400
    assert client.get("/api/v1/map?axes=moon").status_code == 400


def test_frames_are_turned_back_by_the_stage_rotation(browser: Open, config: Config) -> None:
    _place(config, 3, stage_x_mm=1.0, stage_y_mm=0.0, stage_rotation_deg=90.0)
    found = browser().get("/api/v1/map?axes=sample").json
    [place] = [(each[3], each[4]) for each in found["frames"] if each[0] == 3]

    assert place == pytest.approx((0.0, -1000.0), abs=1e-3)


def test_a_frame_says_how_far_it_is_from_where_the_stage_stands(browser: Open, config: Config) -> None:
    client = browser()
    newest = client.get("/api/v1/map").json["newest"]
    _place(config, newest, instrument="one", stage_x_mm=1.0, stage_y_mm=1.0)
    _place(config, 3, instrument="one", stage_x_mm=1.3, stage_y_mm=1.4)
    way = client.get("/api/v1/frames/3").json["from_here"]

    assert way["from_frame"] == newest
    assert (way["dx_um"], way["dy_um"]) == pytest.approx((300.0, 400.0))
    assert math.isclose(way["distance_um"], 500.0)
    assert "500" in client.get("/frames/3").text
    assert client.get(f"/api/v1/frames/{newest}").json["from_here"] is None
    _place(config, 3, instrument="another")
    assert client.get("/api/v1/frames/3").json["from_here"] is None
