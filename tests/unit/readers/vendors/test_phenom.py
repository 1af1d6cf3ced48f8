"""Phenom's XML: one golden reading of every field, and each known trap by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emwatch.readers.raw_frame import Findings, RawFrame
from emwatch.readers.tiff import parse_pages
from emwatch.readers.vendors.phenom import READER

_GOLDEN = {
    "horizontal_field_width_um": 31.216,
    "pixel_size_nm": 975.5,
    "pixel_size_y_nm": 976.5,
    "stage_x_mm": -2.5,
    "stage_y_mm": -0.75,
    "working_distance_mm": 8.25,
    "accelerating_voltage_kv": 15.0,
    "detector": "bsd-all",
    "dwell_time_us": 0.2,
    "scan_rotation_deg": 0.0,
    "instrument": "PhenomXL G5 XL",
    "serial": "MVE-1",
    "software": "5.4.5",
    "operator": "Ida",
    "sample": "grid",
    "acquired_at": "2019-08-07T09:37:31",
    "data_bar_height_px": 6.0,
}


def _read(build: Any, *changes: tuple[str, str]) -> Findings:
    xml = build.phenom_xml
    for old, new in changes:
        assert old in xml
        xml = xml.replace(old, new)
    data = build.tiff(tags={34683: xml.encode()})
    frame = RawFrame(Path("frame.tif"), data, "TIFF", 32, 30, parse_pages("frame.tif", data, 64))
    assert READER.recognises(frame)
    return READER.read(frame)


def _values(findings: Findings) -> Any:
    return {name: reading.value for name, reading in findings.readings.items()}


def test_every_field_is_read(build: Any) -> None:
    findings = _read(build)

    assert _values(findings) == _GOLDEN
    assert findings.flags == ()


def test_the_voltage_is_that_of_the_cathode_and_loses_its_sign(build: Any) -> None:
    reading = _read(build).readings["accelerating_voltage_kv"]

    assert (reading.value, reading.raw) == (15.0, "-15 kV")


@pytest.mark.parametrize(
    ("written", "expected"),
    [('"nm">975.5', 975.5), ('"um">0.9755', 975.5), ('"m">9.755e-7', 975.5), ('"px">975.5', None), ('"">975.5', None)],
)
def test_the_unit_of_a_pixel_is_read_and_never_assumed(build: Any, written: str, expected: float | None) -> None:
    findings = _read(build, ('<pixelWidth unit="nm">975.5', f"<pixelWidth unit={written}"))

    assert findings.readings["pixel_size_nm"].value == expected


def test_there_is_no_tilt_and_without_a_display_no_magnification(build: Any) -> None:
    values = _values(_read(build))

    assert {"stage_tilt_deg", "magnification"} & values.keys() == set()


def test_a_display_gives_a_computed_magnification(build: Any) -> None:
    reading = _read(build, ("<displayWidth>0<", "<displayWidth>0.31216<")).readings["magnification"]

    assert (reading.value, reading.computed) == (10000.0, True)


def test_a_rotation_of_unknown_unit_is_unknown(build: Any) -> None:
    findings = _read(build, ("<rotation>0<", "<rotation>0.5<"))

    assert findings.readings["scan_rotation_deg"].value is None


def test_a_bar_that_cannot_be_is_unknown(build: Any) -> None:
    findings = _read(build, ("<databarHeight>6<", "<databarHeight>60<"))

    assert findings.readings["data_bar_height_px"].value is None


def test_a_version_without_the_detector_element_has_no_detector(build: Any) -> None:
    assert "detector" not in _read(build, ("<detector>bsd-all</detector>", "")).readings


def test_damaged_xml_is_flagged(build: Any) -> None:
    findings = _read(build, ("</instrument></FeiImage>", ""))

    assert findings.readings == {}
    assert findings.flags[0].startswith("tag 34683 is damaged")


def test_entities_are_not_expanded(build: Any) -> None:
    findings = _read(build, ("<FeiImage", '<!DOCTYPE a [<!ENTITY b "1">]><FeiImage'))

    assert findings == Findings({}, ("tag 34683 has a document type, which is not read",))


@pytest.mark.parametrize("value", ["x" * 100_000, "1" * 100_000, "nan", "", "--", "1,234"])
def test_a_malformed_field_is_unknown_and_costs_no_other(build: Any, value: str) -> None:
    assert _values(_read(build, (">8.25<", f">{value}<"))) == _GOLDEN | {"working_distance_mm": None}
