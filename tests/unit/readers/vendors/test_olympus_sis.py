"""analySIS's block: one golden reading of every field, and damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emwatch.readers.raw_frame import Findings, RawFrame
from emwatch.readers.tiff import parse_pages
from emwatch.readers.vendors.olympus_sis import READER

_GOLDEN = {
    "magnification": 125000.0,
    "horizontal_field_width_um": 0.0492032,
    "pixel_size_nm": 1.5376,
    "pixel_size_y_nm": 1.522224,
    "sample": "AuNI scan 1",
    "acquired_at": "2016-03-24T10:01:00",
}


def _read(data: bytes) -> Findings:
    frame = RawFrame(Path("frame.tif"), data, "TIFF", 32, 24, parse_pages("frame.tif", data, 64))
    assert READER.recognises(frame)
    return READER.read(frame)


def _values(findings: Findings) -> Any:
    return {name: reading.value for name, reading in findings.readings.items()}


def test_every_field_is_read(build: Any) -> None:
    assert _values(_read(build.sis_tiff())) == _GOLDEN


@pytest.mark.parametrize(("exponent", "expected"), [(-6, 1537.6), (-9, 1.5376), (0, None), (300, None), (-31, None)])
def test_the_power_of_ten_is_applied_and_must_make_sense(build: Any, exponent: int, expected: float | None) -> None:
    assert _read(build.sis_tiff(exponent=exponent)).readings["pixel_size_nm"].value == expected


@pytest.mark.parametrize("pixel", [0.0, -1.0, float("nan"), float("inf")])
def test_a_pixel_that_is_none_is_unknown(build: Any, pixel: float) -> None:
    assert _read(build.sis_tiff(pixel=pixel)).readings["pixel_size_nm"].value is None


@pytest.mark.parametrize("times", [0.0, -1.0, float("nan"), float("inf")])
def test_a_magnification_that_is_none_is_unknown(build: Any, times: float) -> None:
    assert _read(build.sis_tiff(times=times)).readings["magnification"].value is None


def test_a_month_that_is_none_leaves_the_time_open(build: Any) -> None:
    assert _read(build.sis_tiff(month=12)).readings["acquired_at"].value is None


def test_a_date_that_was_never_written_is_not_1900(build: Any) -> None:
    stamp = _read(build.sis_tiff(year=0, month=0)).readings["acquired_at"]

    assert (stamp.value, "1900 is before" in stamp.reason) == (None, True)


def test_a_tag_that_points_elsewhere_is_flagged(build: Any) -> None:
    findings = _read(build.sis_tiff(magic=b"SIS9"))

    assert findings == Findings({}, ("tag 33560 does not point to its block",))


@pytest.mark.parametrize("cut", [1, 100, 115, 130, 190])
def test_a_block_that_breaks_off_is_no_error(build: Any, cut: int) -> None:
    assert "pixel_size_nm" not in _read(build.sis_tiff()[:-cut] if cut > 100 else build.sis_tiff()[:-120]).readings
