"""The XL30's INI text: one golden reading of every field, and each known trap by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emwatch.readers.raw_frame import RawFrame
from emwatch.readers.tiff import parse_pages
from emwatch.readers.vendors import philips_xl, thermofisher

_GOLDEN = {
    "magnification": 12000.0,
    "horizontal_field_width_um": pytest.approx(26.10458, abs=1e-4),
    "pixel_size_nm": pytest.approx(815.7682, abs=1e-3),
    "stage_tilt_deg": None,
    "stage_rotation_deg": None,
    "stage_x_mm": None,
    "working_distance_mm": 4.828,
    "accelerating_voltage_kv": 5.0,
    "detector": None,
    "serial": "918",
    "sample": "UW MAF",
}


def _frame(build: Any, block: bytes) -> RawFrame:
    data = build.tiff(tags={34680: block})
    return RawFrame(Path("frame.tif"), data, "TIFF", 32, 24, parse_pages("frame.tif", data, 64))


def _values(build: Any, changes: Any = None) -> Any:
    frame = _frame(build, build.xl(changes))
    assert philips_xl.READER.recognises(frame)
    return {name: reading.value for name, reading in philips_xl.READER.read(frame).readings.items()}


def test_every_field_is_read(build: Any) -> None:
    assert _values(build) == _GOLDEN


def test_fl_magn_is_half_the_height_in_mm_and_no_magnification(build: Any) -> None:
    assert "magnification" not in _values(build, {"Vector.Magnification": None})


def test_the_pixel_size_is_that_of_the_photograph_over_the_magnification(build: Any) -> None:
    reading = philips_xl.READER.read(_frame(build, build.xl())).readings["pixel_size_nm"]

    assert reading.value == pytest.approx(235 * 1.333 / 12000 / 32 * 1e6)
    assert reading.computed


@pytest.mark.parametrize("key", ["ImageDevice.SizeY", "ImageDevice.RatioXY", "Vector.Magnification"])
def test_without_its_parts_there_is_no_pixel_size(build: Any, key: str) -> None:
    assert "pixel_size_nm" not in _values(build, {key: None})
    assert "pixel_size_nm" not in _values(build, {key: "0"})


def test_tilt_is_left_open_with_the_reason(build: Any) -> None:
    reading = philips_xl.READER.read(_frame(build, build.xl())).readings["stage_tilt_deg"]

    assert (reading.value, reading.raw, reading.reason) == (None, "2172", "the unit is not known")


def test_no_time_is_invented(build: Any) -> None:
    assert "acquired_at" not in _values(build)


@pytest.mark.parametrize("block", [b"77u/PE1lbWVudG8=", b"[Beam]\r\nHV=1\r\n", b"\x00"])
def test_what_xt_writes_in_the_same_tag_is_not_taken(build: Any, block: bytes) -> None:
    assert not philips_xl.READER.recognises(_frame(build, block))


def test_xt_does_not_take_the_xls(build: Any) -> None:
    assert not thermofisher.READER.recognises(_frame(build, build.xl()))


def test_a_text_that_breaks_off_gives_what_is_there(build: Any) -> None:
    block = build.xl()
    found = philips_xl.READER.read(_frame(build, block[: block.index(b"[Vector]")])).readings

    assert (found["accelerating_voltage_kv"].value, "magnification" in found) == (5.0, False)


@pytest.mark.parametrize("value", ["x" * 100_000, "1" * 100_000, "nan", "", "--", "5 mm"])
def test_a_malformed_field_is_unknown_and_costs_no_other(build: Any, value: str) -> None:
    changes = {"DatabarData.flAccV": value, "Vector.HighTension": None}

    assert _values(build, changes) == _GOLDEN | {"accelerating_voltage_kv": None}
