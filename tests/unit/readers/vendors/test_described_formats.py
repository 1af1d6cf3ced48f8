"""Formats of which no file was at hand: what their descriptions say, and the traps that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emwatch.readers.raw_frame import RawFrame
from emwatch.readers.registry import read_header
from emwatch.readers.tiff import parse_pages

if TYPE_CHECKING:
    from emwatch.frame import AcquisitionMetadata


def _read(build: Any, tags: dict[int, bytes], width: int = 32) -> AcquisitionMetadata:
    data = build.tiff(tags=tags)
    return read_header(RawFrame(Path("frame.tif"), data, "TIFF", width, 30, parse_pages("frame.tif", data, 64)))[0]


def _orion(key: str, value: str, unit: str) -> bytes:
    return f"<ImageTags><{key}><Value>{value}</Value><Units>{unit}</Units></{key}></ImageTags>".encode()


@pytest.mark.parametrize(
    ("key", "value", "unit", "field", "expected"),
    [
        ("AccelerationVoltage", "29997", "", "accelerating_voltage_kv", 29.997),
        ("StageTilt", "0.16", "Degrees", "stage_tilt_deg", 0.16),
        ("StageX", "25157.23", "", "stage_x_mm", 25.15723),
        ("ScalingX", "9.765625e-10", "", "pixel_size_nm", 0.9765625),
        ("GFIS.BeamCurrent", "0.938", "pA", "beam_current_na", 0.000938),
        ("WorkingDistance", "8.1", "furlongs", "working_distance_mm", None),
    ],
)
def test_orion_values_have_the_units_of_the_description(
    build: Any, key: str, value: str, unit: str, field: str, expected: float | None
) -> None:
    found = _read(build, {65000: _orion(key, value, unit)})

    assert (found.vendor, found.value("beam"), found.number(field)) == ("Zeiss Orion", "ion", expected)


def test_fibics_values_have_their_units_or_those_of_the_description(build: Any) -> None:
    text = (
        b'<?xml version="1.0" encoding="iso-8859-1"?><Fibics version="1.0">'
        b"<Application><Version>NPVE v4.5</Version><Date>2025-05-27T10:32:12.498-04:00</Date></Application>"
        b"<Image><Beam>Orion</Beam><Detector>ET</Detector></Image>"
        b'<Scan><Dwell units="ns">10000</Dwell><FOV_X units="um">2.5</FOV_X></Scan>'
        b'<Stage><X units="um">-21319.2368624182</X></Stage>'
        b'<BeamInfo><item name="BeamI">1.3275146484375</item><item name="AccV">30000</item></BeamInfo></Fibics>'
    )
    found = _read(build, {51023: text}, 2048)

    assert found.vendor == "Fibics"
    assert (found.number("dwell_time_us"), found.number("accelerating_voltage_kv")) == (10.0, 30.0)
    assert found.number("pixel_size_nm") == pytest.approx(2500 / 2048)
    assert found.number("stage_x_mm") == pytest.approx(-21.3192, abs=1e-4)
    assert (found.text("beam"), found.text("acquired_at")) == ("ion", "2025-05-27T10:32:12-04:00")


_DISS = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:pe="urn:pe">
<rdf:Description><pe:Tilt><pe:value>30</pe:value><pe:Unit>mm</pe:Unit></pe:Tilt></rdf:Description>
<rdf:Description><pe:GunHV pe:value="20" pe:Unit="kV"/><pe:Mag>500</pe:Mag></rdf:Description>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def test_the_tilt_of_diss_is_degrees_whatever_its_unit_says(build: Any) -> None:
    found = _read(build, {305: b"point electronic DISS 5.13\0", 700: _DISS})

    assert (found.vendor, found.number("stage_tilt_deg")) == ("point electronic", 30.0)
    assert (found.number("accelerating_voltage_kv"), found.number("magnification")) == (20.0, 500.0)


def test_xmp_of_another_program_is_not_taken_for_diss(build: Any) -> None:
    assert _read(build, {305: b"Adobe Photoshop\0", 700: _DISS}).vendor is None


@pytest.mark.parametrize("tag", [65000, 51023])
def test_damaged_xml_is_a_flag(build: Any, tag: int) -> None:
    root = {65000: b"<ImageTags", 51023: b"<Fibics"}[tag]
    found = _read(build, {tag: root + b"><Half>"})

    assert found.flags[0].startswith(f"tag {tag} is damaged")
