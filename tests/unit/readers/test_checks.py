"""Values that do not agree are flagged, and those that do are left in peace."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from emwatch.frame import Reading
from emwatch.readers.checks import disagreements, scale_bar_disagreement

_WRITTEN = datetime(2021, 6, 23, 12, 0, 0, tzinfo=UTC).timestamp()


def _flags(*, width: int = 1024, display: float | None = None, modified: float | None = _WRITTEN, **values: Any) -> Any:
    readings = {
        name: value if isinstance(value, Reading) else Reading(value, str(value), "tag 1")
        for name, value in values.items()
    }
    return disagreements(readings, width, display_width_mm=display, modified_s=modified)


def _computed(value: float) -> Reading:
    return Reading(value, "", "tag 1", computed=True, reason="computed")


def test_nothing_known_is_nothing_to_flag() -> None:
    assert _flags() == ()


def test_a_pixel_size_that_fills_the_field_width_is_in_peace() -> None:
    assert _flags(pixel_size_nm=10.0, horizontal_field_width_um=10.2) == ()


@pytest.mark.parametrize("field_um", [5.12, 10.5, 20.48])
def test_a_pixel_size_that_does_not_fill_the_field_width_is_flagged(field_um: float) -> None:
    (flag,) = _flags(pixel_size_nm=10.0, horizontal_field_width_um=field_um)

    assert flag.startswith("pixel size times width is 10.24 \u00b5m, but the field width is")


def test_a_computed_field_width_is_not_held_against_the_pixel_size() -> None:
    assert _flags(pixel_size_nm=10.0, horizontal_field_width_um=_computed(99.0)) == ()


def test_a_magnification_that_fits_the_display_is_in_peace() -> None:
    assert _flags(magnification=1200.0, horizontal_field_width_um=_computed(105.8), display=127.0) == ()


def test_a_magnification_that_does_not_fit_the_display_is_flagged() -> None:
    (flag,) = _flags(magnification=2400.0, horizontal_field_width_um=_computed(105.8), display=127.0)

    assert flag.startswith("magnification times field width is 253.9 mm, expected 127 mm")


def test_a_magnification_is_in_peace_where_the_display_is_not_known() -> None:
    assert _flags(magnification=2400.0, horizontal_field_width_um=105.8) == ()


def test_a_tilt_corrected_frame_is_flagged_with_its_angle() -> None:
    assert _flags(tilt_correction=True, tilt_correction_deg=36.0) == (
        "tilt-corrected by 36\u00b0: the picture is stretched across the tilt axis",
    )


def test_a_frame_without_tilt_correction_is_in_peace_whatever_the_angle() -> None:
    assert _flags(tilt_correction=False, tilt_correction_deg=54.0) == ()


def test_a_copy_made_years_later_is_in_peace() -> None:
    assert _flags(acquired_at="2003-01-01T12:00:00") == ()


def test_a_local_time_that_may_be_of_an_eastern_zone_is_in_peace() -> None:
    assert _flags(acquired_at="2021-06-24T13:59:00") == ()


@pytest.mark.parametrize("stamp", ["2021-06-24T14:01:00", "2036-01-01T00:00:00", "2021-06-23T13:01:00+00:00"])
def test_a_time_after_the_file_was_written_is_flagged(stamp: str) -> None:
    (flag,) = _flags(acquired_at=stamp)

    assert flag.startswith(f"acquired at {stamp}, after the file was last written")


@pytest.mark.parametrize("modified", [_WRITTEN, None])
def test_a_clock_that_was_never_set_is_flagged(modified: float | None) -> None:
    (flag,) = _flags(acquired_at="1980-01-01T00:00:12", modified=modified)

    assert flag.startswith("acquired in 1980")


@pytest.mark.parametrize("stamp", [None, "no time", True])
def test_a_time_that_is_none_is_in_peace(stamp: Any) -> None:
    assert _flags(acquired_at=Reading(stamp, "", "tag 1", reason="x")) == ()


def test_no_check_changes_a_value() -> None:
    readings = {"pixel_size_nm": Reading(1.0, "1", "a"), "horizontal_field_width_um": Reading(9.0, "9", "b")}
    before = dict(readings)

    disagreements(readings, 10, display_width_mm=None, modified_s=None)

    assert before == readings


@pytest.mark.parametrize(
    ("pixel_nm", "ruler_px", "label_nm"),
    [
        (82.68229, 484, 40_000.0),  # a TM4000's label
        (82.68229, 484, None),
        (31.00590, 324, None),  # an xT strip: 10.05 um
        (36.42580, 139, None),  # 5.06 um: the ruler's ends are 2 px off
        (99.9, 100, None),  # just below a power of ten
        (11.7, 27, None),  # 316 nm, and too short to tell whether it is 300
        (0.0, 100, 5.0),
        (1e307, 100, None),  # a damaged exponent must not cost the frame
        (5e-324, 100, None),
    ],
)
def test_a_scale_bar_that_fits_the_pixel_size_is_in_peace(
    pixel_nm: float, ruler_px: float, label_nm: float | None
) -> None:
    assert scale_bar_disagreement(pixel_nm, ruler_px, label_nm) == ""


@pytest.mark.parametrize(
    ("pixel_nm", "label_nm", "expected"),
    [
        (10.0, 4000.0, "its label says 4 \u00b5m"),
        (10.0, 2100.0, "its label says 2.1 \u00b5m"),
        (12.5, None, "no round length"),
    ],
)
def test_a_scale_bar_that_contradicts_the_pixel_size_is_flagged(
    pixel_nm: float, label_nm: float | None, expected: str
) -> None:
    flag = scale_bar_disagreement(pixel_nm, 200, label_nm)

    assert flag.startswith(f"the scale bar of 200 px is {pixel_nm / 5:.4g} \u00b5m by the pixel size, {expected}")
