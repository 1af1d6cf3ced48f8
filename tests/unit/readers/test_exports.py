"""What programs write that are no microscope's: fibsemOS, OME-TIFF and ImageJ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emwatch.readers.raw_frame import Findings, RawFrame
from emwatch.readers.tiff import parse_pages
from emwatch.readers.vendors import fibsem_os, imagej, ome

_FIBSEM_GOLDEN = {
    "horizontal_field_width_um": 150.0,
    "pixel_size_nm": 4687.5,
    "pixel_size_y_nm": 4700.0,
    "stage_tilt_deg": 30.0,
    "stage_rotation_deg": 180.0,
    "stage_x_mm": 1.0,
    "stage_y_mm": -2.0,
    "stage_z_mm": 4.0,
    "working_distance_mm": 4.0,
    "accelerating_voltage_kv": 2.0,
    "beam_current_na": 1.0,
    "beam": "electron",
    "detector": "ETD",
    "dwell_time_us": 1.0,
    "scan_rotation_deg": 0.0,
    "instrument": "Hydra",
    "serial": "99",
    "operator": "demo",
    "acquired_at": "2024-05-01T10:20:30",
}

_OME_GOLDEN = {
    "horizontal_field_width_um": 0.4,
    "pixel_size_nm": 12.5,
    "pixel_size_y_nm": 12.6,
    "stage_x_mm": 1.5,
    "stage_y_mm": None,
    "stage_z_mm": 0.0025,
    "instrument": "Merlin",
    "serial": "7",
    "acquired_at": "2020-01-02T03:04:05",
}


def _read(reader: Any, data: bytes, width: int = 32) -> Findings:
    frame = RawFrame(Path("frame.tif"), data, "TIFF", width, 24, parse_pages("frame.tif", data, 64))
    assert reader.recognises(frame)
    return reader.read(frame)


def _values(findings: Findings) -> Any:
    return {name: reading.value for name, reading in findings.readings.items()}


def _fibsem(build: Any, text: str) -> Findings:
    return _read(fibsem_os.READER, build.tiff(tags={270: text.encode()}))


def _ome(build: Any, text: str, width: int = 32) -> Findings:
    return _read(ome.READER, build.tiff(tags={270: text.encode()}), width)


def test_every_field_of_fibsem_os_is_read(build: Any) -> None:
    assert _values(_fibsem(build, build.fibsem_state)) == _FIBSEM_GOLDEN


def test_an_ion_frame_of_fibsem_os_has_the_values_of_the_ions(build: Any) -> None:
    findings = _fibsem(build, build.fibsem_state.replace('"ELECTRON"', '"ION"'))

    expected = _FIBSEM_GOLDEN | {
        "beam": "ion",
        "accelerating_voltage_kv": 30.0,
        "beam_current_na": 0.02,
        "working_distance_mm": 16.5,
        "detector": "ICE",
    }
    assert expected == _values(findings)
    assert findings.readings["detector"].source == "tag 270 microscope_state.ion_detector.type"


def test_a_frame_of_fibsem_os_that_names_no_beam_has_the_values_of_none(build: Any) -> None:
    values = _values(_fibsem(build, build.fibsem_state.replace('"beam_type": "ELECTRON", ', "")))

    assert {"accelerating_voltage_kv", "working_distance_mm", "beam"} & values.keys() == set()


def test_null_in_json_is_no_value(build: Any) -> None:
    assert "stage_tilt_deg" not in _values(_fibsem(build, build.fibsem_state.replace("0.5235987755982988", "null")))


@pytest.mark.parametrize(
    "text", ['{"microscope_state"', '{"a":' * 5000 + '"microscope_state"', '{"microscope_state": NaN}']
)
def test_damaged_json_is_flagged(build: Any, text: str) -> None:
    findings = _fibsem(build, text)

    assert findings.readings == {}
    assert findings.flags


def test_a_clock_in_seconds_is_read_as_utc(build: Any) -> None:
    findings = _fibsem(build, build.fibsem_state.replace('"2024-05-01T10:20:30.123456"', "1714558830.5"))

    assert findings.readings["acquired_at"].value == "2024-05-01T10:20:30+00:00"


def test_every_field_of_ome_is_read(build: Any) -> None:
    assert _values(_ome(build, build.ome_xml)) == _OME_GOLDEN


def test_the_magnification_of_an_objective_is_not_the_frames(build: Any) -> None:
    assert "magnification" not in _values(_ome(build, build.ome_xml))


def test_a_missing_unit_is_the_schemas_micrometre_and_of_a_position_unknown(build: Any) -> None:
    readings = _ome(build, build.ome_xml).readings

    assert (readings["pixel_size_nm"].raw, readings["pixel_size_nm"].value) == ("0.0125 \u00b5m", 12.5)
    assert readings["stage_y_mm"].value is None


def test_a_position_with_a_unit_is_read(build: Any) -> None:
    findings = _ome(build, build.ome_xml.replace('PositionY="4"', 'PositionY="4" PositionYUnit="mm"'))

    assert findings.readings["stage_y_mm"].value == 4.0


@pytest.mark.parametrize(
    ("unit", "expected"), [("\u00c5", 1.26), ("pixel", None), ("reference frame", None), ("mm", 12.6e6)]
)
def test_the_units_of_the_schema_are_read(build: Any, unit: str, expected: float | None) -> None:
    findings = _ome(build, build.ome_xml.replace('PhysicalSizeYUnit="nm"', f'PhysicalSizeYUnit="{unit}"'))

    assert findings.readings["pixel_size_y_nm"].value == expected


def test_a_pixel_size_for_another_width_is_unknown(build: Any) -> None:
    assert _ome(build, build.ome_xml, width=16).readings["pixel_size_nm"].value is None


def test_damaged_ome_is_flagged(build: Any) -> None:
    assert _ome(build, build.ome_xml[:-20]).flags[0].startswith("tag 270 is damaged")


@pytest.mark.parametrize(
    ("description", "ratio", "expected"),
    [
        (b"ImageJ=1.53t\nunit=nm\n", (500000, 1000000), 2.0),
        (b"ImageJ=1.53t\nunit=um\n", (100000000, 1000000), 10.0),
        (b"ImageJ=1.53t\nunit=micron\n", (100000000, 1000000), 10.0),
        (b"ImageJ=1.53t\nunit=\\u00B5m\n", (100000000, 1000000), 10.0),
        (b"ImageJ=1.53t\nunit=\xb5m\n", (100000000, 1000000), 10.0),
        (b"ImageJ=1.53t\nunit=\xc2\xb5m\n", (100000000, 1000000), 10.0),
        (b"ImageJ=1.53t\nunit=mm\n", (1000, 1), 1000.0),
        (b"ImageJ=1.53t\nunit=\xc5\n", (1, 1), 0.1),
    ],
)
def test_a_calibrated_export_gives_its_pixel_size_and_nothing_else(
    build: Any, description: bytes, ratio: tuple[int, int], expected: float
) -> None:
    findings = _read(imagej.READER, build.imagej_tiff(description, ratio, ratio))

    assert _values(findings) == {"pixel_size_nm": expected, "pixel_size_y_nm": expected}
    assert findings.readings["pixel_size_nm"].source == "tag 282"


@pytest.mark.parametrize(
    ("description", "ratio"),
    [
        (b"ImageJ=1.52p\nunit=", (1000000, 1000000)),
        (b"ImageJ=1.52p\n", (72, 1)),
        (b"ImageJ=1.52p\nunit=inch\n", (300, 1)),
        (b"ImageJ=1.52p\nunit=cm\n", (118, 1)),
        (b"ImageJ=1.52p\nunit=pixel\n", (1, 1)),
        (b"ImageJ=1.52p\nunit=nm\n", None),
        (b"ImageJ=1.52p\nunit=nm\n", (0, 1)),
        (b"ImageJ=1.52p\nunit=nm\n", (1, 0)),
    ],
)
def test_an_uncalibrated_export_gives_nothing(build: Any, description: bytes, ratio: tuple[int, int] | None) -> None:
    assert _read(imagej.READER, build.imagej_tiff(description, ratio, ratio)) == Findings({})


def test_another_unit_for_the_rows_is_read(build: Any) -> None:
    data = build.imagej_tiff(b"ImageJ=1.53t\nunit=nm\nyunit=um\n", (1, 2), (1, 2))

    assert _values(_read(imagej.READER, data)) == {"pixel_size_nm": 2.0, "pixel_size_y_nm": 2000.0}
