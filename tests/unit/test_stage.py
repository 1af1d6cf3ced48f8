from __future__ import annotations

import math
from typing import Any

import pytest

from emwatch.stage import Offset, Placement, Point, field_of_view, offset

#: 100 µm by 75 µm about (1 mm, 2 mm), seen from straight above.
FLAT: dict[str, Any] = {
    "stage_x_mm": 1.0,
    "stage_y_mm": 2.0,
    "stage_rotation_deg": 0.0,
    "stage_tilt_deg": 0.0,
    "scan_rotation_deg": 0.0,
    "horizontal_field_width_um": 100.0,
    "width_px": 1024,
    "height_px": 768,
}


def near(*corners: tuple[float, float]) -> list[Any]:
    return [pytest.approx(each, abs=1e-6) for each in corners]


def test_a_frame_seen_from_above_is_a_box_about_its_stage_position() -> None:
    found = field_of_view(Placement(**FLAT))
    assert found is not None
    assert found.centre == Point(1000, 2000)
    assert (found.width_um, found.height_um) == (100, 75)
    # The upper left corner of the picture first: x to the right, y upwards.
    assert list(found.corners) == near((950, 2037.5), (1050, 2037.5), (1050, 1962.5), (950, 1962.5))
    assert found.bounds == (950, 1962.5, 1050, 2037.5)
    assert not found.assumed


def test_the_data_bar_is_no_part_of_the_stage() -> None:
    found = field_of_view(Placement(**FLAT | {"height_px": 832, "data_bar_height_px": 64}))
    assert found is not None
    assert found.height_um == 75


def test_without_a_field_width_the_pixel_size_gives_it_and_rows_may_have_their_own() -> None:
    given = FLAT | {"horizontal_field_width_um": None, "pixel_size_nm": 50.0, "pixel_size_y_nm": 100.0}
    found = field_of_view(Placement(**given))
    assert found is not None
    assert (found.width_um, found.height_um) == (pytest.approx(51.2), pytest.approx(76.8))


def test_scan_rotation_turns_the_picture_counter_clockwise() -> None:
    found = field_of_view(Placement(**FLAT | {"scan_rotation_deg": 90.0}))
    assert found is not None
    # What stands at the picture's upper left is now at the lower left of the stage.
    assert list(found.corners) == near((962.5, 1950), (962.5, 2050), (1037.5, 2050), (1037.5, 1950))
    found = field_of_view(Placement(**FLAT | {"scan_rotation_deg": 30.0}))
    assert found is not None
    # (50, 37.5) turned by 30°: 50 cos 30 - 37.5 sin 30 = 24.5513, 50 sin 30 + 37.5 cos 30 = 57.4760
    assert found.corners[1] == pytest.approx((1024.551270, 2057.475953), abs=1e-5)
    # Half the box: 50 cos 30 + 37.5 sin 30 = 62.0513
    assert found.bounds.right_um == pytest.approx(1062.051270, abs=1e-5)


def test_a_tilted_surface_reaches_further_along_y() -> None:
    found = field_of_view(Placement(**FLAT | {"stage_tilt_deg": 60.0, "tilt_correction": False}))
    assert found is not None
    assert found.bounds == pytest.approx((950, 1925, 1050, 2075))
    sideways = {"stage_tilt_deg": 60.0, "tilt_correction": False, "scan_rotation_deg": 90.0}
    turned = field_of_view(Placement(**FLAT | sideways))
    assert turned is not None
    assert turned.bounds == pytest.approx((962.5, 1900, 1037.5, 2100))


@pytest.mark.parametrize(
    ("correction_deg", "height"),
    [(None, 75.0), (60.0, 75.0), (0.0, 150.0)],
    ids=["by the stage's tilt", "by its own angle", "by nothing"],
)
def test_tilt_correction_takes_the_stretch_away(correction_deg: float | None, height: float) -> None:
    tilted = {"stage_tilt_deg": 60.0, "tilt_correction": True, "tilt_correction_deg": correction_deg}
    found = field_of_view(Placement(**FLAT | tilted))
    assert found is not None
    assert found.bounds.top_um - found.bounds.bottom_um == pytest.approx(height)


def test_tescan_s_drives_run_against_the_picture() -> None:
    found = field_of_view(Placement(**FLAT, vendor="Tescan"))
    assert found is not None
    assert found.corners[0] == pytest.approx((1050, 1962.5))
    assert found.bounds == pytest.approx((950, 1962.5, 1050, 2037.5))


def test_on_the_sample_frames_of_several_rotations_meet() -> None:
    straight = field_of_view(Placement(**FLAT), on_sample=True)
    turned = {"stage_x_mm": -2.0, "stage_y_mm": 1.0, "stage_rotation_deg": 90.0}
    quarter = field_of_view(Placement(**FLAT | turned), on_sample=True)
    assert straight is not None
    assert quarter is not None
    assert quarter.centre == pytest.approx(straight.centre)
    assert quarter.bounds == pytest.approx((962.5, 1950, 1037.5, 2050))


def test_what_is_not_known_is_taken_as_0_and_said() -> None:
    given = FLAT | {"scan_rotation_deg": None, "stage_tilt_deg": None, "stage_rotation_deg": None}
    found = field_of_view(Placement(**given))
    assert found is not None
    assert found.bounds == (950, 1962.5, 1050, 2037.5)
    assert found.assumed == ("scan rotation is not known: taken as 0", "stage tilt is not known: taken as 0")
    on_sample = field_of_view(Placement(**given), on_sample=True)
    assert on_sample is not None
    assert "stage rotation is not known: taken as 0" in on_sample.assumed
    tilted = field_of_view(Placement(**FLAT | {"stage_tilt_deg": 10.0}))
    assert tilted is not None
    assert tilted.assumed == ("tilt correction is not known: taken as off",)


def test_a_surface_seen_from_the_side_is_drawn_flat_and_said() -> None:
    found = field_of_view(Placement(**FLAT | {"stage_tilt_deg": 90.0, "tilt_correction": False}))
    assert found is not None
    assert found.bounds == (950, 1962.5, 1050, 2037.5)
    assert found.assumed == ("tilt of 90°: drawn as if it were flat",)


@pytest.mark.parametrize("missing", ["stage_x_mm", "stage_y_mm"])
def test_without_a_position_there_is_no_field_of_view(missing: str) -> None:
    assert field_of_view(Placement(**FLAT | {missing: None})) is None


@pytest.mark.parametrize(
    "broken",
    [
        {"horizontal_field_width_um": None},
        {"horizontal_field_width_um": 0.0},
        {"horizontal_field_width_um": math.inf},
        {"width_px": None},
    ],
)
def test_without_a_scale_it_is_a_point(broken: dict[str, Any]) -> None:
    found = field_of_view(Placement(**FLAT | broken))
    assert found is not None
    assert found.corners == ()
    assert found.bounds == (1000, 2000, 1000, 2000)
    assert found.assumed == ("the scale is not known: drawn as a point",)


@pytest.mark.parametrize(
    ("way", "text", "arrow"),
    [
        ((1100.0, -570.0), "1.24 mm, x +1.10, y -0.57", "↘"),
        ((-12_000.0, 300.0), "12.0 mm, x -12.0, y +0.3", "←"),
        ((300.0, 160.0), "340 µm, x +300, y +160", "↗"),
        ((0.0, 2.5), "2.50 µm, x +0.00, y +2.50", "↑"),
        ((0.0, -0.04), "40.0 nm, x +0.0, y -40.0", "↓"),
        ((0.0, 0.0), "the same place", "·"),
    ],
)
def test_a_way_reads_like_the_stage_s_display(way: tuple[float, float], text: str, arrow: str) -> None:
    assert str(Offset(*way)) == text
    assert Offset(*way).arrow == arrow


def test_the_way_leads_from_the_first_frame_to_the_second() -> None:
    start, end = field_of_view(Placement(**FLAT)), field_of_view(Placement(**FLAT | {"stage_x_mm": 3.0}))
    assert start is not None
    assert end is not None
    assert offset(start, end) == Offset(2000, 0)
