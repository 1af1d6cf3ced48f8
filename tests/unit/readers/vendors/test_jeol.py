"""JEOL's sidecar and MakerNote: one golden reading of each, and each known trap by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emwatch.frame import Reading
from emwatch.readers.raw_frame import RawFrame
from emwatch.readers.registry import read_header
from emwatch.readers.tiff import parse_pages
from emwatch.readers.vendors.jeol import READER
from tests.beside import texts_beside

_SIDECAR_GOLDEN = {
    "magnification": 1800.0,
    "horizontal_field_width_um": 40.0,
    "pixel_size_nm": 1250.0,
    "stage_tilt_deg": 15.5,
    "stage_rotation_deg": 359.51052,
    "stage_x_mm": 30.6525,
    "stage_y_mm": -59.5,
    "stage_z_mm": 11.0,
    "working_distance_mm": 10.75,
    "accelerating_voltage_kv": 15.0,
    "beam_current_na": 25.0,
    "detector": "COMPO",
    "scan_rotation_deg": 12.5,
    "instrument": "8530F",
    "operator": "UMNUser",
    "sample": "alloy",
    "acquired_at": "2020-09-05T14:55:12",
    "data_bar_height_px": 6.0,
}

_NOTE_GOLDEN = {
    "magnification": 50000.0,
    "horizontal_field_width_um": 2.56,
    "pixel_size_nm": 80.0,
    "stage_tilt_deg": 15.5,
    "stage_rotation_deg": 359.51052,
    "stage_x_mm": -9.07425,
    "stage_y_mm": 2.0025,
    "stage_z_mm": 10.999488,
    "working_distance_mm": 10.26948,
    "accelerating_voltage_kv": 10.0,
    "detector": "SED",
    "dwell_time_us": 14.1,
    "scan_rotation_deg": 12.5,
    "tilt_correction": False,
    "instrument": "JSM-IT800",
    "acquired_at": "2025-02-03T10:32:00",
    "data_bar_height_px": 6.0,
}


def _beside(sidecar: bytes | None, *, name: str = "frame.bmp", width: int = 32, height: int = 30) -> RawFrame:
    """Return a picture without tags of its own, with a sidecar called ``frame.txt``."""
    found = {"frame.txt": sidecar} if sidecar is not None else {}
    return RawFrame(Path("/nowhere") / name, b"", "BMP", width, height, sidecar=texts_beside(found))


def _within(data: bytes, **size: int) -> RawFrame:
    shape = {"width": 32, "height": 30} | size
    return RawFrame(Path("frame.tif"), data, "TIFF", pages=parse_pages("frame.tif", data, 64), **shape)


def _values(frame: RawFrame) -> Any:
    assert READER.recognises(frame)
    return {name: reading.value for name, reading in READER.read(frame).readings.items()}


@pytest.mark.parametrize("name", ["frame.bmp", "frame.tif", "frame.jpg"])
def test_every_field_of_the_sidecar_is_read_beside_any_format(build: Any, name: str) -> None:
    frame = _beside(build.jeol_txt(), name=name)

    assert _values(frame) == _SIDECAR_GOLDEN
    assert READER.read(frame).flags == ()


def test_every_field_of_the_maker_note_is_read(build: Any) -> None:
    frame = _within(build.jeol_tiff())

    assert _values(frame) == _NOTE_GOLDEN
    assert READER.read(frame).flags == ()


def test_every_reading_keeps_its_raw_text_and_source(build: Any) -> None:
    beside, within = READER.read(_beside(build.jeol_txt())).readings, READER.read(_within(build.jeol_tiff())).readings

    assert beside["working_distance_mm"] == Reading(10.75, "10.75", "sidecar $SM_WD")
    assert within["pixel_size_nm"] == Reading(80.0, "80.00nm/pixel", "tag 37500 $CM_PIXEL_SIZE")


def test_the_stage_is_read_in_its_form_with_names(build: Any) -> None:
    values = _values(_beside(build.jeol_txt({"$CM_STAGE_POS": "X=37.17, Y=44.93, R=354.99, Z=16.90, T=0.50"})))

    assert [values[f"stage_{name}"] for name in ("x_mm", "y_mm", "z_mm", "rotation_deg", "tilt_deg")] == [
        37.17, 44.93, 16.9, 354.99, 0.5,
    ]  # fmt: skip


@pytest.mark.parametrize("stage", ["1 2 3", "1 2 3 4 5 6 7", "", "X=1, Y=2", "here"])
def test_a_stage_in_an_unknown_form_is_unknown(build: Any, stage: str) -> None:
    assert _values(_beside(build.jeol_txt({"$CM_STAGE_POS": stage})))["stage_tilt_deg"] is None


def test_the_pixel_size_comes_from_the_bar_and_never_from_the_magnification(build: Any) -> None:
    reading = READER.read(_beside(build.jeol_txt())).readings["pixel_size_nm"]
    without = _values(_beside(build.jeol_txt({"$$SM_MICRON_BAR": None})))

    assert (reading.value, reading.computed, reading.raw) == (1250.0, True, "10um / 8")
    assert "pixel_size_nm" not in without


def test_a_picture_saved_smaller_has_larger_pixels_and_a_smaller_strip(build: Any) -> None:
    values = _values(_beside(build.jeol_txt(), width=16, height=15))

    assert (values["pixel_size_nm"], values["horizontal_field_width_um"], values["data_bar_height_px"]) == (2500, 40, 3)


@pytest.mark.parametrize("micro", ["\u00b5".encode("cp1252"), "\u03bc".encode(), "\u03bc".encode("cp932"), b"u"])
def test_a_micrometre_is_one_in_every_encoding(build: Any, micro: bytes) -> None:
    text = build.jeol_txt().replace(b"10um", b"10" + micro + b"m")

    assert _values(_beside(text))["pixel_size_nm"] == 1250.0


def test_the_angle_of_a_channelling_pattern_is_no_length(build: Any) -> None:
    assert _values(_beside(build.jeol_txt({"$$SM_MICRON_MARKER": "5deg."})))["pixel_size_nm"] is None


@pytest.mark.parametrize("date", ["2020/09/05", "2020-09-05"])
def test_a_date_with_slashes_or_dashes_is_read(build: Any, date: str) -> None:
    assert _values(_beside(build.jeol_txt({"$CM_DATE": date})))["acquired_at"] == "2020-09-05T14:55:12"


def test_the_magnification_of_the_screen_is_not_taken(build: Any) -> None:
    assert "magnification" not in _values(_within(build.jeol_tiff({"$CM_MAG": None})))


def test_a_probe_current_of_zero_was_not_measured(build: Any) -> None:
    assert _values(_beside(build.jeol_txt({"$$SM_PROBE_CURRENT": "0"})))["beam_current_na"] is None


def test_a_frame_without_a_strip_has_a_strip_of_no_rows(build: Any) -> None:
    assert _values(_beside(build.jeol_txt(), height=24))["data_bar_height_px"] == 0


@pytest.mark.parametrize(("width", "height"), [(32, 32), (32, 20), (24, 32)])
def test_a_sidecar_of_another_shape_is_flagged_and_not_read(build: Any, width: int, height: int) -> None:
    findings = READER.read(_beside(build.jeol_txt(), width=width, height=height))

    assert findings.readings == {}
    assert findings.flags == ("sidecar frame.txt is of another frame and not read",)


@pytest.mark.parametrize("text", [None, b"", b"lunch at 12", b"[SemImageFile]\r\n", b"\xff\xfe"])
def test_another_text_is_not_taken(text: bytes | None) -> None:
    assert not READER.recognises(_beside(text))


def test_xp_tags_alone_are_nobodys(build: Any) -> None:
    data = build.tiff(tags={40093: "External".encode("utf-16-le")})

    assert read_header(_within(data))[0].vendor is None


def test_a_damaged_exif_directory_is_none(build: Any) -> None:
    whole = build.jeol_tiff()
    cut = whole[: whole.index(b"UNICODE\x00") - 30]

    assert not READER.recognises(_within(cut))


def test_a_maker_note_that_breaks_off_gives_what_is_there(build: Any) -> None:
    whole = build.jeol_tiff()
    values = _values(_within(whole[: whole.index("$SM_WD".encode("utf-16-le"))]))

    expected = {name: _NOTE_GOLDEN[name] for name in ("magnification", "pixel_size_nm", "stage_tilt_deg")}
    assert expected == {name: values[name] for name in expected}
    assert "working_distance_mm" not in values


def test_a_magnification_that_does_not_fit_the_standard_field_is_flagged(build: Any) -> None:
    assert read_header(_within(build.jeol_tiff()))[0].flags == ()

    (flag,) = read_header(_within(build.jeol_tiff({"$CM_MAG": "171528"})))[0].flags
    assert flag.startswith("magnification times field width is 439.1 mm, expected 128 mm")


@pytest.mark.parametrize("value", ["x" * 100_000, "1" * 100_000, "nan", "--", "15 mm", "1,234"])
def test_a_malformed_field_is_unknown_and_costs_no_other(build: Any, value: str) -> None:
    expected = _SIDECAR_GOLDEN | {"accelerating_voltage_kv": None}

    assert expected == _values(_beside(build.jeol_txt({"$CM_ACCEL_VOLT": value})))
