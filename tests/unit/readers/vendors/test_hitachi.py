"""Hitachi's sidecar and XP tags: one golden reading of each, and each known trap by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emwatch.frame import Reading
from emwatch.readers.raw_frame import RawFrame
from emwatch.readers.registry import read_header
from emwatch.readers.tiff import parse_pages
from emwatch.readers.vendors.hitachi import READER
from tests.beside import texts_beside

_GOLDEN = {
    "magnification": 1200.0,
    "horizontal_field_width_um": pytest.approx(105.8333, abs=1e-4),
    "pixel_size_nm": 3307.2917,
    "stage_tilt_deg": 15.5,
    "stage_rotation_deg": 90.5,
    "stage_x_mm": 17.5,
    "stage_y_mm": -1.25,
    "stage_z_mm": 3.0,
    "working_distance_mm": 7.9205,
    "accelerating_voltage_kv": 15.0,
    "detector": "BSE",
    "scan_rotation_deg": 10.2,
    "tilt_correction": False,
    "instrument": "TM4000",
    "serial": "2170A6-05",
    "software": "01-08",
    "operator": "Sato",
    "sample": "\u30bf\u30f3\u30dd\u30dd",
    "acquired_at": "2021-06-23T16:43:33",
}

_TAG_GOLDEN = {
    "magnification": 1200.0,
    "horizontal_field_width_um": pytest.approx(105.8333, abs=1e-4),
    "pixel_size_nm": 3307.2917,
    "working_distance_mm": 7.9,
    "accelerating_voltage_kv": 15.0,
    "detector": "BSE",
    "instrument": "TM4000",
    "serial": "2170A6-05",
}


def _frame(build: Any, sidecar: bytes | None = None, tags: dict[int, bytes] | None = None, **size: int) -> RawFrame:
    found = {"frame.txt": sidecar} if sidecar is not None else {}
    shape = {"width": 32, "height": 30} | size
    data = build.tiff(tags=tags) if tags else b""
    pages = parse_pages("frame.tif", data, 64) if tags else ()
    return RawFrame(Path("/nowhere/frame.tif"), data, "TIFF", pages=pages, sidecar=texts_beside(found), **shape)


def _values(frame: RawFrame) -> Any:
    assert READER.recognises(frame)
    return {name: reading.value for name, reading in READER.read(frame).readings.items()}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp932", "utf-8", "utf-8-sig"])
def test_every_field_of_the_sidecar_is_read_in_every_encoding(build: Any, encoding: str) -> None:
    frame = _frame(build, build.hitachi_txt(encoding=encoding))

    assert _values(frame) == _GOLDEN
    assert READER.read(frame).flags == ()


def test_an_ascii_sidecar_is_read(build: Any) -> None:
    text = build.hitachi_txt({"SampleName": "pollen", "ImageName": "a.tif"}, encoding="ascii")

    assert _values(_frame(build, text)) == _GOLDEN | {"sample": "pollen"}


def test_without_a_sidecar_the_xp_tags_are_read(build: Any) -> None:
    assert _values(_frame(build, tags=build.hitachi_tags())) == _TAG_GOLDEN


def test_every_reading_keeps_its_raw_text_and_source(build: Any) -> None:
    beside, within = (
        READER.read(_frame(build, build.hitachi_txt())),
        READER.read(_frame(build, tags=build.hitachi_tags())),
    )

    assert beside.readings["accelerating_voltage_kv"] == Reading(15.0, "15000 Volt", "sidecar AcceleratingVoltage")
    assert within.readings["magnification"] == Reading(1200.0, "x1.20k", "tag 40092 Condition Mag")


def test_the_sidecar_is_preferred_to_the_tags_and_says_more_exactly(build: Any) -> None:
    assert _values(_frame(build, build.hitachi_txt(), build.hitachi_tags())) == _GOLDEN


def test_the_tags_fill_what_the_sidecar_leaves_empty(build: Any) -> None:
    reading = READER.read(_frame(build, build.hitachi_txt({"SignalName": ""}), build.hitachi_tags())).readings[
        "detector"
    ]

    assert (reading.value, reading.source) == ("BSE", "tag 40092 SignalName")


def test_the_name_inside_may_be_another_and_japanese(build: Any) -> None:
    assert _values(_frame(build, build.hitachi_txt({"ImageName": "\u5225\u306e.tif"}))) == _GOLDEN


def test_a_sidecar_of_another_shape_is_flagged_and_not_read(build: Any) -> None:
    findings = READER.read(_frame(build, build.hitachi_txt({"DataSize": "1280x960"})))

    assert findings.readings == {}
    assert findings.flags == ("sidecar frame.txt is of another frame and not read",)


@pytest.mark.parametrize(("key", "value"), [("SerialNumber", "1"), ("PixelSize", "9"), ("Condition", "Mag=x5")])
def test_a_sidecar_that_the_tags_contradict_is_of_another_frame(build: Any, key: str, value: str) -> None:
    frame = _frame(build, build.hitachi_txt({key: value}), build.hitachi_tags())

    assert _values(frame) == _TAG_GOLDEN
    assert READER.read(frame).flags == ("sidecar frame.txt is of another frame and not read",)


def test_a_picture_saved_smaller_has_larger_pixels(build: Any) -> None:
    values = _values(_frame(build, build.hitachi_txt(), width=16, height=15))

    assert (values["pixel_size_nm"], values["horizontal_field_width_um"]) == (6614.5834, pytest.approx(105.8333))


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("23/06/2021", "2021-06-23T16:43:33"),
        ("06/23/2021", "2021-06-23T16:43:33"),
        ("2021/06/05", "2021-06-05T16:43:33"),
        ("05/06/2021", None),
    ],
)
def test_the_order_of_a_date_is_known_by_its_parts_or_not_at_all(build: Any, date: str, expected: str | None) -> None:
    assert _values(_frame(build, build.hitachi_txt({"Date": date})))["acquired_at"] == expected


def test_the_emission_current_is_not_that_of_the_beam(build: Any) -> None:
    assert "beam_current_na" not in _values(_frame(build, build.hitachi_txt(), build.hitachi_tags()))


def test_an_operator_hidden_by_stars_is_unknown(build: Any) -> None:
    assert _values(_frame(build, build.hitachi_txt({"UserName": "***"})))["operator"] is None


def test_an_older_instrument_has_its_software_under_version(build: Any) -> None:
    assert _values(_frame(build, build.hitachi_txt({"SemVersion": None, "Version": "02"})))["software"] == "02"


def test_the_section_of_a_transmission_picture_is_read(build: Any) -> None:
    text = build.hitachi_txt(encoding="utf-8").replace(b"SemImageFile", b"TemImageFile")

    assert _values(_frame(build, text)) == _GOLDEN


def test_a_magnification_that_does_not_fit_the_photograph_is_flagged(build: Any) -> None:
    assert read_header(_frame(build, build.hitachi_txt()))[0].flags == ()

    (flag,) = read_header(_frame(build, build.hitachi_txt({"Magnification": "120"})))[0].flags
    assert flag.startswith("magnification times field width is 12.7 mm, expected 127 mm")


@pytest.mark.parametrize("text", [b"", b"lunch at 12", b"$CM_MAG 5\r\n", b"\xff\xfe[\x00"])
def test_another_text_is_not_taken(build: Any, text: bytes) -> None:
    assert not READER.recognises(_frame(build, text))


@pytest.mark.parametrize("comment", ["", "Shot on a Sunday", "Condition=fine", "SerialNumber=5"])
def test_the_xp_comment_of_another_program_is_not_taken(build: Any, comment: str) -> None:
    assert not READER.recognises(
        _frame(build, tags={40092: comment.encode("utf-16-le") or b"\x00\x00", 40093: b"T\x00"})
    )


def test_a_sidecar_that_breaks_off_gives_what_is_there(build: Any) -> None:
    text = build.hitachi_txt()
    values = _values(_frame(build, text[: text.index("WorkingDistance".encode("utf-16-le")) + 3]))

    assert (values["magnification"], "working_distance_mm" in values) == (1200.0, False)


@pytest.mark.parametrize("value", ["x" * 100_000, "1" * 100_000, "nan", "--", "15 mm", "1,234"])
def test_a_malformed_field_is_unknown_and_costs_no_other(build: Any, value: str) -> None:
    text = build.hitachi_txt({"AcceleratingVoltage": value, "Condition": None})

    assert _values(_frame(build, text)) == _GOLDEN | {"accelerating_voltage_kv": None}
