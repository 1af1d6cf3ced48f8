"""SmartSEM's header: one golden reading of every field, and each known trap by name."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from emwatch.frame import Reading
from emwatch.readers.field_table import LONGEST_RAW_CHARS
from emwatch.readers.raw_frame import Findings, RawFrame
from emwatch.readers.tiff import parse_pages
from emwatch.readers.vendors.zeiss import READER, pairs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_GOLDEN = {
    "magnification": 2500.0,
    "horizontal_field_width_um": 45.0,
    "pixel_size_nm": 703.1,
    "pixel_size_y_nm": 703.125,
    "stage_tilt_deg": 52.6,
    "stage_rotation_deg": 15.1,
    "stage_x_mm": 47.8473,
    "stage_y_mm": 32.614,
    "stage_z_mm": 25.342,
    "working_distance_mm": 4.5,
    "accelerating_voltage_kv": 1.8,
    "beam_current_na": 0.69,
    "beam": "electron",
    "detector": "InLens",
    "dwell_time_us": None,
    "scan_rotation_deg": 24.2,
    "tilt_correction": False,
    "tilt_correction_deg": 36.0,
    "instrument": "Auriga 60",
    "serial": "AURIGA-39-45",
    "software": "V05.04.05.00 : 21-Oct-11",
    "operator": "SCHMIDT",
    "sample": "A = B",
    "acquired_at": "2021-01-08T09:56:16",
}


@pytest.fixture(name="zeiss")
def _zeiss(build: Any, written: Callable[..., Path]) -> Any:
    """Read a header with changes; the frame is 64 x 48 so that its pixel size fits the field."""

    def read(
        changes: Any = None, *, raw: Any = None, width: Any = 64, height: Any = 48, tag: Any = 34118, order: str = "<"
    ) -> Any:
        header = build.zeiss(changes) if raw is None else raw
        data = build.tiff(tags={tag: header}, order=order)
        frame = RawFrame(written(data), data, "TIFF", width, height, parse_pages("frame.tif", data, 64))
        assert READER.recognises(frame)
        return READER.read(frame)

    return read


@pytest.mark.parametrize("order", ["<", ">"])
def test_every_field_is_read(zeiss: Callable[..., Findings], order: str) -> None:
    findings = zeiss(order=order)

    assert {name: reading.value for name, reading in findings.readings.items()} == _GOLDEN
    assert findings.flags == ()


def test_every_reading_keeps_its_raw_text_and_source(zeiss: Callable[..., Findings]) -> None:
    assert zeiss().readings["working_distance_mm"] == Reading(4.5, "4.5 mm", "tag 34118 AP_WD")


def test_the_tilt_correction_angle_is_not_the_stage_tilt(zeiss: Callable[..., Findings]) -> None:
    readings = zeiss({"AP_STAGE_AT_T": None, "AP_TILT_ANGLE": "Tilt Angle =  54.0 °"}).readings

    assert "stage_tilt_deg" not in readings
    assert readings["tilt_correction_deg"].value == 54.0


@pytest.mark.parametrize("said", ["Yes", "No", "in X"])
@pytest.mark.parametrize("tilt", ["0.0", "10.0"])
def test_the_word_for_a_tilted_stage_raises_no_flag(zeiss: Callable[..., Findings], said: str, tilt: str) -> None:
    # It contradicts the angle on 11 of 17 frames of instruments that do not keep it.
    changes = {"DP_TILTED": f"Stage Tilted = {said}", "AP_STAGE_AT_T": f"Stage at T =  {tilt} \u00b0"}

    assert zeiss(changes).flags == ()


def test_a_stage_tilt_of_minus_zero_is_zero(zeiss: Callable[..., Findings]) -> None:
    value = zeiss({"AP_STAGE_AT_T": "Stage at T =  -0.0 °"}).readings["stage_tilt_deg"].value

    assert math.copysign(1.0, value) == 1.0


def test_the_target_voltage_is_not_the_actual_one(zeiss: Callable[..., Findings]) -> None:
    assert "accelerating_voltage_kv" not in zeiss({"AP_ACTUALKV": None}).readings


def test_the_display_pixel_size_is_not_used_where_the_image_has_its_own(zeiss: Callable[..., Findings]) -> None:
    readings = zeiss(
        {"AP_PIXEL_SIZE": "Pixel Size = 24.65 nm", "AP_IMAGE_PIXEL_SIZE": "Image Pixel Size = 12.33 nm"}
    ).readings

    assert readings["pixel_size_nm"].value == 12.33


def test_without_an_image_pixel_size_that_of_the_display_is_scaled_to_the_width(zeiss: Callable[..., Findings]) -> None:
    reading = zeiss({"AP_PIXEL_SIZE": "Pixel Size = 5.825 nm", "AP_IMAGE_PIXEL_SIZE": None}, width=512).readings[
        "pixel_size_nm"
    ]

    assert (reading.value, reading.computed) == (11.65, True)
    assert "1024 px" in reading.reason


def test_a_damaged_image_pixel_size_is_not_replaced_by_a_guess(zeiss: Callable[..., Findings]) -> None:
    reading = zeiss({"AP_IMAGE_PIXEL_SIZE": "Image Pixel Size = ???"}).readings["pixel_size_nm"]

    assert (reading.value, reading.raw) == (None, "???")
    assert reading.reason


def test_pixels_below_a_nanometre_are_read_from_picometres(zeiss: Callable[..., Findings]) -> None:
    assert zeiss({"AP_IMAGE_PIXEL_SIZE": "Image Pixel Size = 980.0 pm"}).readings["pixel_size_nm"].value == 0.98


def test_dates_of_v07_with_a_space_after_the_colon_are_read(zeiss: Callable[..., Findings]) -> None:
    readings = zeiss({"AP_DATE": "Date: 11 Apr 2023", "AP_TIME": "Time: 8:40:47"}).readings

    assert readings["acquired_at"].value == "2023-04-11T08:40:47"


def test_an_impossible_date_is_unknown_with_its_raw_text(zeiss: Callable[..., Findings]) -> None:
    reading = zeiss({"AP_DATE": "Date :31 Feb 2020"}).readings["acquired_at"]

    assert (reading.value, reading.raw) == (None, "31 Feb 2020 9:56:16")


def test_scan_rotation_that_is_switched_off_counts_nothing(zeiss: Callable[..., Findings]) -> None:
    assert zeiss({"DP_SCAN_ROT": "Scan Rot = Off"}).readings["scan_rotation_deg"].value == 0.0


def test_rows_stretched_by_tilt_correction_have_no_pixel_height(zeiss: Callable[..., Findings]) -> None:
    readings = zeiss({"DP_TILT_CORRECTION": "Tilt Corrn. = On"}).readings

    assert readings["tilt_correction"].value is True
    assert readings["pixel_size_y_nm"].value is None


def test_a_cropped_frame_has_no_pixel_height(zeiss: Callable[..., Findings]) -> None:
    assert zeiss(height=30).readings["pixel_size_y_nm"].value is None


def test_the_electron_column_says_nothing_of_an_ion_frame(zeiss: Callable[..., Findings]) -> None:
    readings = zeiss({"DP_FIB_IMAGING": "FIB Imaging = FIB"}).readings

    assert readings["beam"].value == "ion"
    assert [readings[name].value for name in ("accelerating_voltage_kv", "working_distance_mm", "magnification")] == [
        None
    ] * 3
    assert readings["stage_tilt_deg"].value == 52.6


def test_the_utf16_copy_is_read_where_there_is_no_cp1252(zeiss: Callable[..., Findings], build: Any) -> None:
    raw = build.zeiss().decode("cp1252").encode("utf-16-le")

    assert zeiss(raw=raw, tag=34119).readings["horizontal_field_width_um"].value == 45.0


def test_decimal_commas_are_read(zeiss: Callable[..., Findings]) -> None:
    assert zeiss({"AP_WD": "WD =  4,5 mm"}).readings["working_distance_mm"].value == 4.5


@pytest.mark.parametrize(
    "line", ["WD =", "WD", "WD = mm", "WD = 4.5", "WD = 4.5 lightyears", "WD = " + "9" * 1_000_000]
)
def test_a_malformed_field_is_unknown_and_costs_no_other(zeiss: Callable[..., Findings], line: str) -> None:
    readings = zeiss({"AP_WD": line}).readings

    assert readings["working_distance_mm"].value is None
    assert readings["working_distance_mm"].reason
    assert len(readings["working_distance_mm"].raw) <= LONGEST_RAW_CHARS
    assert {name: reading.value for name, reading in readings.items()} == _GOLDEN | {"working_distance_mm": None}


def test_a_key_without_its_line_does_not_shift_the_pairs() -> None:
    assert pairs("AP_WD\r\nAP_MAG\r\nMag = 105 X\r\n") == {"AP_WD": "", "AP_MAG": " 105 X"}


def test_of_a_key_that_comes_twice_the_first_counts() -> None:
    assert pairs("AP_WD\nWD = 1 mm\nAP_WD\nWD = 2 mm\n") == {"AP_WD": " 1 mm"}


def test_a_header_cut_by_the_end_of_the_file_is_flagged_and_read_as_far_as_it_goes(build: Any) -> None:
    data = build.tiff(tags={34118: build.zeiss()})
    frame = RawFrame(None, data[:500], "TIFF", 64, 48, parse_pages("frame.tif", data[:500], 64))

    findings = READER.read(frame)

    assert findings.flags == ("tag 34118 is cut off",)
    assert findings.readings["magnification"].value == 2500.0


@pytest.mark.parametrize("raw", [b"\x00" * 500, b"\xff" * 500, b"AP_", b"\r\n" * 10_000, b"AP_WD" * 10_000])
def test_a_header_without_a_key_is_flagged(zeiss: Callable[..., Findings], raw: Any) -> None:
    findings = zeiss(raw=raw)

    assert (findings.readings, findings.flags) == ({}, ("tag 34118 holds no key",))
