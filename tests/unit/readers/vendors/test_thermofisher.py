"""The INI and XML of xT: one golden reading of every field, and each known trap by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from emwatch.frame import Reading
from emwatch.readers.raw_frame import Findings, RawFrame
from emwatch.readers.tiff import parse_pages
from emwatch.readers.vendors.thermofisher import READER

if TYPE_CHECKING:
    from collections.abc import Callable

_GOLDEN = {
    "magnification": 200_000.0,
    "horizontal_field_width_um": 2.072,
    "pixel_size_nm": 64.75,
    "pixel_size_y_nm": 65.75,
    "stage_tilt_deg": pytest.approx(30.00110, abs=1e-4),
    "stage_rotation_deg": pytest.approx(-129.9932, abs=1e-3),
    "stage_x_mm": -1.35896,
    "stage_y_mm": -29.0365,
    "stage_z_mm": 5.00045,
    "working_distance_mm": 5.03875,
    "accelerating_voltage_kv": 2.0,
    "beam_current_na": 0.05,
    "beam": "electron",
    "detector": "ETD",
    "dwell_time_us": 1.0,
    "scan_rotation_deg": pytest.approx(358.9294, abs=1e-3),
    "tilt_correction": False,
    "tilt_correction_deg": pytest.approx(-30.0, abs=1e-4),
    "instrument": 'Helios NanoLab" 660',
    "serial": "D8883",
    "software": "7.7.1",
    "operator": "support",
    "sample": "TiO\u2082",
    "acquired_at": "2017-05-03T16:31:35",
    "data_bar_height_px": 6.0,
}

_XML = b"""<?xml version="1.0"?>
<Metadata xmlns:nil="http://schemas.fei.com/Metadata/v1/2013/07">
<Core><UserID>Supervisor</UserID></Core>
<Instrument><ControlSoftwareVersion>14.5</ControlSoftwareVersion><InstrumentClass>Helios G4</InstrumentClass><InstrumentID>99</InstrumentID></Instrument>
<Acquisition><AcquisitionDatetime>2022-12-14T13:53:39</AcquisitionDatetime><BeamType>Ion</BeamType></Acquisition>
<Optics><AccelerationVoltage>30000</AccelerationVoltage><BeamCurrent>2E-11</BeamCurrent><WorkingDistance>0.0165</WorkingDistance>
<ScanFieldOfView><X>0.00015</X></ScanFieldOfView></Optics>
<StageSettings><StagePosition><X>-0.003239</X><Y>-0.002987</Y><Z>0.01641</Z><Rotation>-2.2688</Rotation>
<Tilt><Alpha>0.523598776</Alpha></Tilt></StagePosition></StageSettings>
<ScanSettings><DwellTime>1E-06</DwellTime><ScanRotation>0</ScanRotation></ScanSettings>
<Detectors><ScanningDetector><DetectorName>ETD</DetectorName></ScanningDetector></Detectors>
<BinaryResult><PixelSize><X unit="m">9.765625E-08</X><Y unit="m">9.765625E-08</Y></PixelSize></BinaryResult>
</Metadata>"""

_XML_GOLDEN = {
    "horizontal_field_width_um": 150.0,
    "pixel_size_nm": 97.65625,
    "pixel_size_y_nm": 97.65625,
    "stage_tilt_deg": pytest.approx(30.0),
    "stage_rotation_deg": pytest.approx(-129.9927, abs=1e-3),
    "stage_x_mm": -3.239,
    "stage_y_mm": -2.987,
    "stage_z_mm": 16.41,
    "working_distance_mm": 16.5,
    "accelerating_voltage_kv": 30.0,
    "beam_current_na": 0.02,
    "beam": "ion",
    "detector": "ETD",
    "dwell_time_us": 1.0,
    "scan_rotation_deg": 0.0,
    "instrument": "Helios G4",
    "serial": "99",
    "software": "14.5",
    "operator": "Supervisor",
    "acquired_at": "2022-12-14T13:53:39",
}


@pytest.fixture(name="fei")
def _fei(build: Any) -> Any:
    """Read a header with changes; the file has 30 rows for 24 scanned ones."""

    def read(changes: Any = None, *, raw: Any = None, xml: Any = None, width: Any = 32, height: Any = 30) -> Any:
        tags = {34682: build.fei(changes) if raw is None else raw, 34683: xml}
        data = build.tiff(tags={number: block for number, block in tags.items() if block})
        frame = RawFrame(None, data, "TIFF", width, height, parse_pages("frame.tif", data, 64))
        assert READER.recognises(frame)
        return READER.read(frame)

    return read


def _values(findings: Any) -> Any:
    return {name: reading.value for name, reading in findings.readings.items()}


def test_every_field_is_read(fei: Callable[..., Findings]) -> None:
    findings = fei()

    assert _values(findings) == _GOLDEN
    assert findings.flags == ()


def test_every_field_of_the_xml_is_read(fei: Callable[..., Findings]) -> None:
    findings = fei(raw=b"\x00", xml=_XML)

    assert _values(findings) == _XML_GOLDEN


def test_every_reading_keeps_its_raw_text_and_source(fei: Callable[..., Findings]) -> None:
    assert fei().readings["stage_x_mm"] == Reading(-1.35896, "-0.00135896", "tag 34682 Stage.StageX")


def test_radians_become_degrees(fei: Callable[..., Findings]) -> None:
    assert fei({"Stage.StageT": "0.523618"}).readings["stage_tilt_deg"].value == pytest.approx(30.0011, abs=1e-4)


def test_magnification_is_marked_computed_and_says_how(fei: Callable[..., Findings]) -> None:
    reading = fei().readings["magnification"]

    assert reading.computed
    assert "0.4144 m" in reading.reason


@pytest.mark.parametrize(
    ("mode", "expected"), [("4", 0.127 / 2.072e-6), ("2", 0.8 * 0.518 / 2.072e-6), ("3", 0.4 * 0.518 / 2.072e-6)]
)
def test_without_a_canvas_the_mode_tells_the_display(fei: Callable[..., Findings], mode: str, expected: float) -> None:
    readings = fei({"Image.MagCanvasRealWidth": "", "Image.MagnificationMode": mode}).readings

    assert readings["magnification"].value == pytest.approx(expected)


def test_without_canvas_and_mode_there_is_no_magnification(fei: Callable[..., Findings]) -> None:
    assert "magnification" not in fei({"Image.MagCanvasRealWidth": "", "Image.MagnificationMode": ""}).readings


def test_an_ion_frame_has_the_voltage_and_distance_of_the_ions(fei: Callable[..., Findings]) -> None:
    values = _values(fei({"Beam.Beam": "IBeam"}))

    assert (
        values["beam"],
        values["accelerating_voltage_kv"],
        values["working_distance_mm"],
        values["horizontal_field_width_um"],
        values["beam_current_na"],
    ) == ("ion", 30.0, 16.5, 150.0, 0.02)


def test_the_databar_height_of_private_fei_is_not_trusted(fei: Callable[..., Findings]) -> None:
    reading = fei({"PrivateFei.DatabarHeight": "0"}, height=30).readings["data_bar_height_px"]

    assert (reading.value, reading.computed) == (6.0, True)


def test_a_frame_without_a_bar_has_a_bar_of_no_rows(fei: Callable[..., Findings]) -> None:
    assert fei(height=24).readings["data_bar_height_px"].value == 0


def test_a_resized_frame_has_no_known_bar(fei: Callable[..., Findings]) -> None:
    assert fei(width=16, height=15).readings["data_bar_height_px"].value is None


def test_without_the_operators_note_in_unicode_the_plain_one_is_read(fei: Callable[..., Findings]) -> None:
    assert fei({"User.UserTextUnicode": None}).readings["sample"].value == "TiO?"


def test_the_unambiguous_stamp_is_preferred_to_the_locale_date(fei: Callable[..., Findings]) -> None:
    assert fei().readings["acquired_at"].source == "tag 34682 PrivateFei.TimeOfCreation"


def test_a_date_beside_pm_has_the_month_first(fei: Callable[..., Findings]) -> None:
    assert fei({"PrivateFei.TimeOfCreation": ""}).readings["acquired_at"].value == "2019-04-05T13:28:49"


def test_a_date_that_may_be_either_way_round_is_unknown(fei: Callable[..., Findings]) -> None:
    reading = fei({"PrivateFei.TimeOfCreation": "", "User.Time": "13:28:49"}).readings["acquired_at"]

    assert (reading.value, reading.raw) == (None, "04/05/2019 13:28:49")


def test_empty_values_are_unknown_and_never_zero(fei: Callable[..., Findings]) -> None:
    readings = fei({"EBeam.HV": "", "Beam.HV": "", "Stage.StageT": "", "EBeam.StageTa": ""}).readings

    assert [readings[name].value for name in ("accelerating_voltage_kv", "stage_tilt_deg")] == [None, None]
    assert readings["stage_tilt_deg"].reason == "the key has no value"


def test_a_navigation_camera_frame_without_beam_sections_is_read(fei: Callable[..., Findings]) -> None:
    raw = b"[System]\r\nSystemType=Quanta\r\n[Beam]\r\nHV=\r\nBeam=\r\n[Stage]\r\nStageT=0.1\r\n"

    values = _values(fei(raw=raw))

    assert (values["instrument"], values["accelerating_voltage_kv"]) == ("Quanta", None)
    assert values["stage_tilt_deg"] == pytest.approx(5.72958, abs=1e-4)


def test_the_second_tilt_key_stands_in_for_a_damaged_first(fei: Callable[..., Findings]) -> None:
    assert fei({"Stage.StageT": "notafloat"}).readings["stage_tilt_deg"].value == pytest.approx(5.72958, abs=1e-4)


def test_decimal_commas_are_read(fei: Callable[..., Findings]) -> None:
    assert fei({"EBeam.WD": "0,00503875"}).readings["working_distance_mm"].value == 5.03875


def test_a_value_with_a_wrong_unit_is_unknown(fei: Callable[..., Findings]) -> None:
    assert fei({"EBeam.HV": "2000 m", "Beam.HV": ""}).readings["accelerating_voltage_kv"].value is None


def test_a_section_that_comes_twice_is_flagged_and_the_first_counts(fei: Callable[..., Findings], build: Any) -> None:
    findings = fei(raw=build.fei() + b"\r\n[Stage]\r\nStageX=9\r\n")

    assert findings.flags == ("section [Stage] comes twice",)
    assert findings.readings["stage_x_mm"].value == -1.35896


@pytest.mark.parametrize("value", ["x" * 1_000_000, "1" * 1_000_000, "nan", "1e999", "--", "\x00"])
def test_a_malformed_field_is_unknown_and_costs_no_other(fei: Callable[..., Findings], value: str) -> None:
    findings = fei({"Scan.PixelHeight": value})

    assert _values(findings) == _GOLDEN | {"pixel_size_y_nm": None}


def test_a_missing_section_costs_only_its_fields(fei: Callable[..., Findings], build: Any) -> None:
    raw = build.fei().replace(b"[Stage]", b"[Elsewhere]")

    expected = {
        name: value
        for name, value in _GOLDEN.items()
        if name not in {"stage_rotation_deg", "stage_x_mm", "stage_y_mm", "stage_z_mm"}
    }
    assert expected | {"stage_tilt_deg": pytest.approx(5.72958, abs=1e-4)} == _values(fei(raw=raw))


@pytest.mark.parametrize("xml", [_XML[:700], b"<Metadata>&bomb;</Metadata>", b"<Metadata \xff\xfe"])
def test_damaged_xml_is_flagged_and_costs_nothing_else(fei: Callable[..., Findings], xml: Any) -> None:
    findings = fei(xml=xml)

    assert _values(findings) == _GOLDEN
    assert findings.flags[0].startswith("tag 34683 is damaged")


def test_xml_entities_are_not_expanded(fei: Callable[..., Findings]) -> None:
    findings = fei(
        raw=b"\x00",
        xml=b'<!DOCTYPE a [<!ENTITY b "30000">]><Metadata><Optics><AccelerationVoltage>&b;</AccelerationVoltage></Optics></Metadata>',
    )

    assert "accelerating_voltage_kv" not in findings.readings
    assert findings.flags[0] == "tag 34683 has a document type, which is not read"


def test_phenoms_xml_in_the_same_tag_is_not_taken(build: Any) -> None:
    data = build.tiff(tags={34683: b"<FeiImage><pixelWidth/></FeiImage>"})
    frame = RawFrame(None, data, "TIFF", 32, 24, parse_pages("frame.tif", data, 64))

    assert not READER.recognises(frame)


def test_early_software_wrote_the_same_text_in_tag_34680(build: Any) -> None:
    data = build.tiff(tags={34680: build.fei()})
    frame = RawFrame(None, data, "TIFF", 32, 30, parse_pages("frame.tif", data, 64))

    assert READER.recognises(frame)
    assert _values(READER.read(frame)) == _GOLDEN
    assert READER.read(frame).readings["stage_x_mm"].source == "tag 34680 Stage.StageX"


def test_the_settings_that_xt_14_keeps_in_tag_34680_are_passed_over(build: Any) -> None:
    memento = b"77u/PE1lbWVudG9JdGVtQ29sbGVjdGlvbj4="
    data = build.tiff(tags={34680: memento, 34683: _XML})
    frame = RawFrame(None, data, "TIFF", 32, 24, parse_pages("frame.tif", data, 64))

    assert _values(READER.read(frame)) == _XML_GOLDEN


def test_xml_in_utf_16_which_could_hide_a_document_type_is_not_read(fei: Callable[..., Findings]) -> None:
    hidden = '<!DOCTYPE a [<!ENTITY b "30000">]><a>&b;</a>'.encode("utf-16-le")

    assert fei(raw=b"\x00", xml=b"<Metadata" + hidden).flags[0] == "tag 34683 is damaged: zero bytes within"
