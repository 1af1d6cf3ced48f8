"""
Thermo Fisher and FEI, xT: tag 34682 (INI text), and tag 34683 (XML) beside it on newer software.

Format facts: read from the bytes of 22 files of eight instruments and checked against the burned-in bar.
Lengths are metres, angles radians, voltages volts, currents amperes and times seconds, none with a unit in the text.
Magnification is not stored: it is the width of a display over the field width, and which display differs by frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from emwatch import units
from emwatch.frame import Reading
from emwatch.readers.dates import iso_stamp, iso_time
from emwatch.readers.field_table import Row, field_width, read_rows, read_value, text, unknown
from emwatch.readers.header_text import parse_xml, read_ini
from emwatch.readers.raw_frame import Findings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.readers.header_text import HeaderText
    from emwatch.readers.raw_frame import RawFrame

_TAG_INI, _TAG_XML = 34682, 34683

#: Of the Philips XL, whose text is another (see `philips_xl`); early xT wrote its own there, xT 14 settings in base64.
_TAG_EARLY: Final = 34680

#: Name of the section of the beam, and of the scan, that took the frame: [EBeam] or [IBeam], [EScan] or [IScan].
_BEAM, _SCAN = "<Beam>", "<Scan>"

_radians: Final = partial(units.angle_deg, bare="rad")
_metres_as_mm: Final = partial(units.length, to="mm", bare="m")
_metres_as_um: Final = partial(units.length, to="um", bare="m")
_metres_as_nm: Final = partial(units.length, to="nm", bare="m")
_volts: Final = partial(units.voltage_kv, bare="V")
_amperes: Final = partial(units.current_na, bare="A")
_seconds: Final = partial(units.time_us, bare="s")


def _beam(raw: str) -> str:
    word = raw.strip().lower()
    if word in {"ebeam", "electron"}:
        return "electron"
    if word in {"ibeam", "ion"}:
        return "ion"
    raise ValueError(f"{raw.strip()[:40]!r} is neither an electron nor an ion beam")  # IRBeam is an infrared camera


def _utf16_hex(raw: str) -> str:
    """Decode UserTextUnicode: UTF-16LE as hexadecimal digits, ``"4B004900"`` is ``"KI"``."""
    if len(raw) > 8000:
        raise ValueError(f"{len(raw)} characters where a short text was expected")
    return text(bytes.fromhex(raw).decode("utf-16-le"))


ROWS: Final = (
    Row("horizontal_field_width_um", (f"{_BEAM}.HFW", "Scan.HorFieldsize", f"{_SCAN}.HorFieldsize"), _metres_as_um),
    Row("pixel_size_nm", ("Scan.PixelWidth", f"{_SCAN}.PixelWidth"), _metres_as_nm),
    Row("pixel_size_y_nm", ("Scan.PixelHeight", f"{_SCAN}.PixelHeight"), _metres_as_nm),
    Row("stage_tilt_deg", ("Stage.StageT", f"{_BEAM}.StageTa"), _radians),
    Row("stage_rotation_deg", ("Stage.StageR", f"{_BEAM}.StageR"), _radians),
    Row("stage_x_mm", ("Stage.StageX", f"{_BEAM}.StageX"), _metres_as_mm),
    Row("stage_y_mm", ("Stage.StageY", f"{_BEAM}.StageY"), _metres_as_mm),
    Row("stage_z_mm", ("Stage.StageZ", f"{_BEAM}.StageZ"), _metres_as_mm),
    Row("working_distance_mm", (f"{_BEAM}.WD", "Stage.WorkingDistance"), _metres_as_mm),
    Row("accelerating_voltage_kv", (f"{_BEAM}.HV", "Beam.HV"), _volts),
    Row("beam_current_na", (f"{_BEAM}.BeamCurrent",), _amperes),
    Row("beam", ("Beam.Beam",), _beam),
    Row("detector", ("Detectors.Name",), text),
    Row("dwell_time_us", ("Scan.Dwelltime", f"{_SCAN}.Dwell"), _seconds),
    Row("scan_rotation_deg", (f"{_BEAM}.ScanRotation", "Beam.ScanRotation"), _radians),
    Row("tilt_correction", (f"{_BEAM}.TiltCorrectionIsOn", f"{_BEAM}.TiltCorrection"), units.flag),
    Row("tilt_correction_deg", (f"{_BEAM}.TiltCorrectionAngle",), _radians),
    Row("instrument", ("System.SystemType",), text),
    Row("serial", ("System.Dnumber",), text),
    Row("software", ("System.Software",), text),
    Row("operator", ("User.User",), text),
    Row("sample", ("User.UserTextUnicode",), _utf16_hex),
    Row("sample_plain", ("User.UserText",), text),
    # [User] Date and Time follow the locale of the computer; this does not.
    Row("acquired_at", ("PrivateFei.TimeOfCreation",), iso_stamp),
)

#: The same in tag 34683, by path below <Metadata>; used for what the INI text does not say.
XML_ROWS: Final = (
    Row("horizontal_field_width_um", ("Optics/ScanFieldOfView/X",), _metres_as_um),
    Row("pixel_size_nm", ("BinaryResult/PixelSize/X",), _metres_as_nm),
    Row("pixel_size_y_nm", ("BinaryResult/PixelSize/Y",), _metres_as_nm),
    Row("stage_tilt_deg", ("StageSettings/StagePosition/Tilt/Alpha",), _radians),
    Row("stage_rotation_deg", ("StageSettings/StagePosition/Rotation",), _radians),
    Row("stage_x_mm", ("StageSettings/StagePosition/X",), _metres_as_mm),
    Row("stage_y_mm", ("StageSettings/StagePosition/Y",), _metres_as_mm),
    Row("stage_z_mm", ("StageSettings/StagePosition/Z",), _metres_as_mm),
    Row("working_distance_mm", ("Optics/WorkingDistance",), _metres_as_mm),
    Row("accelerating_voltage_kv", ("Optics/AccelerationVoltage",), _volts),
    Row("beam_current_na", ("Optics/BeamCurrent",), _amperes),
    Row("beam", ("Acquisition/BeamType",), _beam),
    Row("detector", ("Detectors/ScanningDetector/DetectorName",), text),
    Row("dwell_time_us", ("ScanSettings/DwellTime",), _seconds),
    Row("scan_rotation_deg", ("ScanSettings/ScanRotation",), _radians),
    Row("instrument", ("Instrument/InstrumentClass",), text),
    Row("serial", ("Instrument/InstrumentID",), text),
    Row("software", ("Instrument/ControlSoftwareVersion",), text),
    Row("operator", ("Core/UserID",), text),
    Row("acquired_at", ("Acquisition/AcquisitionDatetime",), iso_stamp),
)

#: Display width in metres by [Image] MagnificationMode, if MagCanvasRealWidth does not give it: of [System] DisplayWidth.
_POLAROID_MODE, _POLAROID_M = 4, 0.127
_SHARE_OF_DISPLAY: Final = {2: 0.8, 3: 0.4}


@dataclass(frozen=True, slots=True)
class ThermoFisherReader:
    """The TIFF of xT."""

    vendor: str = "Thermo Fisher"

    def recognises(self, frame: RawFrame) -> bool:
        """Recognise the frame by the INI tag, or by an XML tag that is not Phenom's (whose root is FeiImage)."""
        return (
            frame.has_tag(_TAG_INI)
            or b"<Metadata" in (frame.tag(_TAG_XML) or b"")[:2000]
            or b"[Beam]" in (frame.tag(_TAG_EARLY) or b"")
        )

    def read(self, frame: RawFrame) -> Findings:
        """Decode the INI text, and the XML for what that does not say."""
        early = not frame.has_tag(_TAG_INI) and b"[Beam]" in (frame.tag(_TAG_EARLY) or b"")
        tag = _TAG_EARLY if early else _TAG_INI
        values, flags = read_ini((frame.tag(tag) or b"").decode("cp1252", errors="replace"))
        _name_active_sections(values)
        source = f"tag {tag}"
        readings = read_rows(ROWS, values, source)
        _merge_sample(readings)
        readings |= _locale_time(values, readings, source)
        from_xml, xml_flags = read_xml(frame.tag(_TAG_XML))
        for name, reading in from_xml.items():
            if name not in readings or (readings[name].value is None and reading.value is not None):
                readings[name] = reading
        readings |= field_width(readings, frame.width)
        readings |= _magnification(values, readings, source)
        readings |= _data_bar_height(values, frame, source)
        cut = tuple(f"tag {block} is cut off" for block in (tag, _TAG_XML) if frame.is_tag_cut(block))
        nothing = () if readings else (f"{source} holds no key",)
        return Findings(readings, (*cut, *flags, *xml_flags, *nothing))


READER: Final = ThermoFisherReader()


def _name_active_sections(values: HeaderText) -> None:
    """Repeat the sections of the beam and the scan in use under one name; an IBeam frame carries the ions' HV and WD."""
    for alias, key in ((_BEAM, "Beam.Beam"), (_SCAN, "Beam.Scan")):
        if section := values.get(key, ""):
            values.add_below(alias, values.below(section))


def _merge_sample(readings: dict[str, Reading]) -> None:
    """Prefer the operator's note in Unicode; the plain one has lost what is not in the computer's code page."""
    plain = readings.pop("sample_plain", None)
    if plain and ("sample" not in readings or readings["sample"].value is None):
        readings["sample"] = plain


def _locale_time(values: Mapping[str, str], readings: dict[str, Reading], source: str) -> dict[str, Reading]:
    known = readings.get("acquired_at")
    if (known and known.value is not None) or not values.get("User.Date") or not values.get("User.Time"):
        return {}
    date, time = values["User.Date"], values["User.Time"]
    return {
        "acquired_at": read_value(lambda _: iso_time(date, time), f"{date} {time}", f"{source} User.Date User.Time")
    }


def _magnification(values: Mapping[str, str], readings: dict[str, Reading], source: str) -> dict[str, Reading]:
    field = readings.get("horizontal_field_width_um")
    if field is None or not isinstance(field.value, float) or field.value <= 0:
        return {}
    canvas_m, raw, key = _canvas(values)
    if canvas_m is None:
        return {}
    reason = (
        f"not stored; computed as a display of {canvas_m:g} m over the field width, the bar may be for another display"
    )
    times = units.significant(canvas_m / (field.value * 1e-6))
    return {"magnification": Reading(times, raw, f"{source} {key} / HFW", computed=True, reason=reason)}


def _canvas(values: Mapping[str, str]) -> tuple[float | None, str, str]:
    """Return the width in metres of the display that the magnification is for, with its raw text and key."""
    for key in ("Image.MagCanvasRealWidth", "Image.MagnificationMode"):
        raw = values.get(key, "")
        try:
            value = units.number(raw)
            if key == "Image.MagCanvasRealWidth":
                canvas = value
            elif value == _POLAROID_MODE:
                canvas = _POLAROID_M
            else:
                canvas = _SHARE_OF_DISPLAY.get(int(value), 0.0) * units.number(values.get("System.DisplayWidth", ""))
        except ValueError:
            continue
        if 0.01 <= canvas <= 10:
            return canvas, raw, key
    return None, "", ""


def _data_bar_height(values: Mapping[str, str], frame: RawFrame, source: str) -> dict[str, Reading]:
    """
    Rows that the file has beyond the scanned ones: 29 to 79 if there is a bar, 0 if there is none.

    [PrivateFei] DatabarHeight is not used: it is 0 on Teneo and Scios frames that have a bar of 70 px.
    """
    raw, key = values.get("Image.ResolutionY", ""), f"{source} Image.ResolutionY"
    if not raw:
        return {}
    try:
        rows, columns = units.number(raw), units.number(values.get("Image.ResolutionX", ""))
    except ValueError as error:
        return {"data_bar_height_px": unknown(raw, key, str(error))}
    height = frame.height - rows
    if columns != frame.width or not 0 <= height < frame.height / 2:
        reason = f"scanned as {columns:g} x {rows:g}, saved as {frame.width} x {frame.height}: resized or cropped"
        return {"data_bar_height_px": unknown(raw, key, reason)}
    reason = f"{frame.height} rows of the file less {rows:g} scanned ones"
    return {"data_bar_height_px": Reading(height, raw, key, computed=True, reason=reason)}


def read_xml(raw: bytes | None) -> tuple[dict[str, Reading], tuple[str, ...]]:
    """Read the XML block; damaged XML returns a flag and no readings."""
    if not raw or b"<Metadata" not in raw[:2000]:
        return {}, ()
    root, flags = parse_xml(raw, f"tag {_TAG_XML}")
    if root is None:
        return {}, flags
    values = {
        key: element.text or "" for row in XML_ROWS for key in row.keys if (element := root.find(key)) is not None
    }
    return read_rows(XML_ROWS, values, f"tag {_TAG_XML}"), ()
