"""Tescan's tag and sidecar: one golden reading of every field, and each known trap by name."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emwatch.frame import Reading
from emwatch.readers.raw_frame import Findings, RawFrame
from emwatch.readers.tiff import parse_pages
from emwatch.readers.vendors.tescan import READER
from tests.beside import texts_beside

if TYPE_CHECKING:
    from collections.abc import Callable

_GOLDEN = {
    "magnification": 10000.0,
    "horizontal_field_width_um": 0.88,
    "pixel_size_nm": 27.5,
    "pixel_size_y_nm": 27.6,
    "stage_tilt_deg": 55.0,
    "stage_rotation_deg": 89.99692,
    "stage_x_mm": 11.99904,
    "stage_y_mm": -16.31934,
    "stage_z_mm": 3.000001,
    "working_distance_mm": 10.863,
    "accelerating_voltage_kv": 20.0,
    "beam_current_na": 0.1,
    "beam": "electron",
    "detector": "SE",
    "dwell_time_us": 3.2,
    "scan_rotation_deg": 18.0,
    "tilt_correction": False,
    "tilt_correction_deg": 0.0,
    "instrument": "VEGA3 SBU",
    "serial": "116-0006",
    "software": "4.2.36.0",
    "operator": "Teplonogova M.",
    "sample": "Co",
    "acquired_at": "2024-03-08T13:14:09",
    "data_bar_height_px": 6.0,
}


@pytest.fixture(name="tescan")
def _tescan(build: Any) -> Any:
    """Read a header with changes by ``Section.Key``, in the tag or as a sidecar."""

    def read(
        changes: Any = None, *, raw: Any = None, sidecars: Any = None, name: str = "frame.tif", tag: bool = True
    ) -> Any:
        block = build.tescan(changes) if raw is None else raw
        data = build.tiff(tags={50431: block} if tag else {})
        frame = RawFrame(
            Path("/nowhere") / name,
            data,
            "TIFF",
            32,
            30,
            parse_pages("x", data, 64),
            sidecar=texts_beside(sidecars or {}),
        )
        return READER.read(frame) if READER.recognises(frame) else None

    return read


def _values(findings: Any) -> Any:
    return {name: reading.value for name, reading in findings.readings.items()}


def test_every_field_is_read(tescan: Callable[..., Findings]) -> None:
    findings = tescan()

    assert _values(findings) == _GOLDEN
    assert findings.flags == ()


@pytest.mark.parametrize("hdr", ["frame-tif.hdr", "frame.hdr", "frame.tif.hdr", "frame-tif.HDR"])
def test_every_field_is_read_from_a_sidecar_of_each_naming(
    tescan: Callable[..., Findings], build: Any, hdr: str
) -> None:
    findings = tescan(tag=False, sidecars={hdr: build.tescan_hdr()})

    assert _values(findings) == _GOLDEN
    assert findings.readings["stage_tilt_deg"] == Reading(55.0, "55.0", "sidecar SEM.StageTilt")


def test_a_frame_named_in_capitals_finds_the_sidecar_in_either_case(
    tescan: Callable[..., Findings], build: Any
) -> None:
    assert tescan(tag=False, name="frame.TIF", sidecars={"frame-tif.hdr": build.tescan_hdr()}) is not None
    assert tescan(tag=False, name="frame.TIF", sidecars={"frame-TIF.hdr": build.tescan_hdr()}) is not None


@pytest.mark.parametrize("hdr", [b"ENVI\r\nsamples = 32\r\n", b"", b"\xff" * 100])
def test_an_hdr_of_another_program_is_not_taken(tescan: Callable[..., Findings], hdr: bytes) -> None:
    assert tescan(tag=False, sidecars={"frame.hdr": hdr}) is None


def test_the_tag_is_preferred_to_the_sidecar(tescan: Callable[..., Findings], build: Any) -> None:
    findings = tescan(sidecars={"frame.hdr": build.tescan_hdr({"SEM.StageTilt": "1.0"})})

    assert findings.readings["stage_tilt_deg"].value == 55.0


def test_a_sidecar_fills_what_a_broken_tag_has_lost(tescan: Callable[..., Findings], build: Any) -> None:
    raw = build.tescan()
    findings = tescan(raw=raw[: raw.index(b"StageX")], sidecars={"frame.hdr": build.tescan_hdr()})

    assert _values(findings) == _GOLDEN
    assert findings.readings["stage_x_mm"].source == "sidecar SEM.StageX"
    assert findings.flags == ("tag 50431 breaks off in a block",)


def test_a_sidecar_of_another_frame_is_flagged_and_not_read(tescan: Callable[..., Findings], build: Any) -> None:
    raw = build.tescan()
    hdr = build.tescan_hdr({"MAIN.Time": "13:20:00"})
    findings = tescan(raw=raw[: raw.index(b"StageX")], sidecars={"frame.hdr": hdr})

    assert "stage_x_mm" not in findings.readings
    assert findings.flags[1] == "sidecar frame.hdr is of another frame and not read"


def test_stage_angles_are_degrees_and_not_radians(tescan: Callable[..., Findings]) -> None:
    assert tescan({"SEM.StageTilt": "0.001"}).readings["stage_tilt_deg"].value == 0.001


def test_the_time_of_essence_is_utc(tescan: Callable[..., Findings]) -> None:
    findings = tescan({"MAIN.SoftwareVersion": "TESCAN Essence Version 1.1.3.0, build 4348"})

    assert findings.readings["acquired_at"].value == "2024-03-08T13:14:09+00:00"


def test_lines_may_end_without_carriage_return_as_in_essence(tescan: Callable[..., Findings], build: Any) -> None:
    assert _values(tescan(raw=build.tescan(newline="\n"))) == _GOLDEN


def test_magnification_with_an_exponent_or_twelve_digits_is_read(tescan: Callable[..., Findings]) -> None:
    expected = [10000.0, 59999.85148301]
    actual = [
        tescan({"MAIN.Magnification": value}).readings["magnification"].value
        for value in ("10.000e3", "59999.85148301")
    ]

    assert expected == actual


def test_a_minimal_sidecar_has_only_the_accelerator_voltage(tescan: Callable[..., Findings]) -> None:
    hdr = b"[MAIN]\r\nMagnification=500\r\n[SEM]\r\nAcceleratorVoltage=2000\r\n"

    findings = tescan(tag=False, sidecars={"frame.hdr": hdr})

    assert _values(findings) == {"magnification": 500.0, "accelerating_voltage_kv": 2.0, "beam": "electron"}


def test_the_strip_is_part_of_the_picture(tescan: Callable[..., Findings]) -> None:
    assert tescan().readings["data_bar_height_px"] == Reading(6.0, "6", "tag 50431 MAIN.ImageStripSize")


@pytest.mark.parametrize("strip", ["-1", "16", "1e9", "2.5", "6 mm"])
def test_a_strip_that_cannot_be_is_unknown(tescan: Callable[..., Findings], strip: str) -> None:
    assert tescan({"MAIN.ImageStripSize": strip}).readings["data_bar_height_px"].value is None


def test_a_tilt_correction_with_an_angle_is_on(tescan: Callable[..., Findings]) -> None:
    values = _values(tescan({"SEM.TiltCorrection": "36.0"}))

    assert (values["tilt_correction"], values["tilt_correction_deg"]) == (True, 36.0)


def test_an_ion_frame_has_the_values_of_the_ions(tescan: Callable[..., Findings], build: Any) -> None:
    findings = tescan(raw=build.tescan({"SEM.HV": "30000"}, beam_block=4))

    expected = _GOLDEN | {"beam": "ion", "accelerating_voltage_kv": 30.0}
    assert expected == _values(findings)
    assert findings.readings["accelerating_voltage_kv"].source == "tag 50431 FIB.HV"


def test_a_header_of_both_beams_leaves_open_what_differs_between_them(
    tescan: Callable[..., Findings], build: Any
) -> None:
    fib = b"HV=30000\r\n"
    raw = build.tescan()[:-6] + struct.pack("<IH", len(fib) + 2, 4) + fib + struct.pack("<IH", 2, 0)

    values = _values(tescan(raw=raw))

    assert (values["accelerating_voltage_kv"], values["working_distance_mm"], values.get("beam")) == (None, None, None)
    assert values["stage_tilt_deg"] == 55.0


def test_a_block_that_claims_four_gigabytes_is_cut_where_the_tag_ends(tescan: Callable[..., Findings]) -> None:
    findings = tescan(raw=struct.pack("<IH", 2**32 - 1, 2) + b"Magnification=500\nPixelSizeX=2")

    assert _values(findings) == {"magnification": 500.0, "pixel_size_nm": None}
    assert findings.flags == ("tag 50431 breaks off in a block",)


@pytest.mark.parametrize("raw", [b"\x00" * 6, b"", b"\x01", b"\xff" * 40])
def test_a_tag_without_text_gives_nothing_and_says_so(tescan: Callable[..., Findings], raw: bytes) -> None:
    findings = tescan(raw=raw or b"\x02\x00\x00\x00\x00\x00")

    assert findings.readings == {}
    assert findings.flags


@pytest.mark.parametrize("value", ["x" * 100_000, "1" * 100_000, "nan", "", "--", "1,234", "20 m"])
def test_a_malformed_field_is_unknown_and_costs_no_other(tescan: Callable[..., Findings], value: str) -> None:
    assert _values(tescan({"SEM.HV": value})) == _GOLDEN | {"accelerating_voltage_kv": None}
