"""
Tescan: tag 50431, binary blocks of which some are INI text, and the ``.hdr`` sidecar that holds the same text.

Format facts: read from the bytes of ten files (MIRA3 and VEGA3 4.2, AMBER with Essence 1.1) and checked against the bar.
A block is uint32 n, uint16 type and n - 2 bytes, little-endian; type 1 is a JPEG 2000 thumbnail, 2 [MAIN], 3 [SEM], 4 [FIB].
Lengths are metres, voltages volts, currents amperes, times seconds, and angles degrees, none with a unit in the text.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from emwatch import units
from emwatch.frame import Reading, Sidecar
from emwatch.readers.dates import iso_time
from emwatch.readers.field_table import Row, data_bar_height, field_width, read_rows, read_value, text
from emwatch.readers.header_text import HeaderText, decode_text, find_sidecar, read_ini, sidecar_flags
from emwatch.readers.raw_frame import Findings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.readers.raw_frame import RawFrame, TextBeside

_TAG = 50431
_SECTIONS: Final = {2: "MAIN", 3: "SEM", 4: "FIB"}

#: Stands for the section of the beam that took the frame: [SEM] or [FIB].
_BEAM: Final = "<Beam>"

#: Where a tag and a sidecar differ in one of these, the sidecar is of another frame.
_IDENTITY: Final = ("MAIN.Date", "MAIN.Time", "MAIN.SerialNumber", "MAIN.Magnification", "MAIN.PixelSizeX")

_metres_as_mm: Final = partial(units.length, to="mm", bare="m")
_metres_as_nm: Final = partial(units.length, to="nm", bare="m")
_degrees: Final = partial(units.angle_deg, bare="deg")
_volts: Final = partial(units.voltage_kv, bare="V")

ROWS: Final = (
    Row("magnification", ("MAIN.Magnification",), units.magnification),
    Row("pixel_size_nm", ("MAIN.PixelSizeX",), _metres_as_nm),
    Row("pixel_size_y_nm", ("MAIN.PixelSizeY",), _metres_as_nm),
    Row("stage_tilt_deg", (f"{_BEAM}.StageTilt",), _degrees),
    Row("stage_rotation_deg", (f"{_BEAM}.StageRotation",), _degrees),
    Row("stage_x_mm", (f"{_BEAM}.StageX",), _metres_as_mm),
    Row("stage_y_mm", (f"{_BEAM}.StageY",), _metres_as_mm),
    Row("stage_z_mm", (f"{_BEAM}.StageZ",), _metres_as_mm),
    Row("working_distance_mm", (f"{_BEAM}.WD",), _metres_as_mm),
    Row("accelerating_voltage_kv", (f"{_BEAM}.HV", f"{_BEAM}.AcceleratorVoltage"), _volts),
    # SpecimenCurrent is what flows off the sample and PredictedBeamCurrent what was asked for.
    Row("beam_current_na", (f"{_BEAM}.BeamCurrent",), partial(units.current_na, bare="A")),
    Row("detector", (f"{_BEAM}.Detector", f"{_BEAM}.Detector0"), text),
    Row("dwell_time_us", (f"{_BEAM}.DwellTime",), partial(units.time_us, bare="s")),
    Row("scan_rotation_deg", (f"{_BEAM}.ScanRotation",), _degrees),
    Row("tilt_correction_deg", (f"{_BEAM}.TiltCorrection",), _degrees),
    Row("instrument", ("MAIN.Device", "MAIN.DeviceModel"), text),
    Row("serial", ("MAIN.SerialNumber",), text),
    Row("software", ("MAIN.SoftwareVersion", "MAIN.Version"), text),
    Row("operator", ("MAIN.FullUserName", "MAIN.UserName"), text),
    Row("sample", ("MAIN.Description",), text),
)


@dataclass(frozen=True, slots=True)
class TescanReader:
    """Tescan's TIFF, and any image with Tescan's sidecar."""

    vendor: str = "Tescan"

    def recognises(self, frame: RawFrame) -> bool:
        """Recognise the frame by the tag, else by a sidecar with a [MAIN] section."""
        return frame.has_tag(_TAG) or _sidecar(frame) is not None

    def read(self, frame: RawFrame) -> Findings:
        """Decode the tag, or the sidecar if the tag is absent or damaged."""
        values, flags = blocks(frame.tag(_TAG) or b"")
        readings = _readings(values, f"tag {_TAG}", frame)
        if frame.is_tag_cut(_TAG):
            flags = (f"tag {_TAG} is cut off",)
        found = _sidecar(frame) if flags or not values else None
        sidecar: Sidecar | None = None
        if found:
            beside, content = found
            sidecar = beside.identity
            further, odd = read_ini(content)
            if any(values.get(key, further.get(key)) != further.get(key, values.get(key)) for key in _IDENTITY):
                flags = (*flags, f"sidecar {sidecar.name} is of another frame and not read")
            else:
                readings = _readings(further, "sidecar", frame) | readings
                flags = (*flags, *odd)
            flags = (*flags, *sidecar_flags(frame, beside, content))
        nothing = () if readings else (f"tag {_TAG} holds no key",)
        return Findings(readings, (*flags, *nothing), sidecar=sidecar)


READER: Final = TescanReader()


def _sidecar(frame: RawFrame) -> tuple[TextBeside, str] | None:
    """Look for ``frame-tif.hdr``, ``frame.hdr`` and ``frame.tif.hdr``; ENVI and others call theirs ``.hdr`` too."""
    name, stem, suffix = frame.path.name, frame.path.stem, frame.path.suffix[1:]
    names = (f"{stem}-{suffix}.hdr", f"{stem}-{suffix.lower()}.hdr", f"{stem}.hdr", f"{name}.hdr")
    return find_sidecar(frame, names, "cp1252", lambda content: "[main]" in content.lower())


def blocks(raw: bytes) -> tuple[HeaderText, tuple[str, ...]]:
    """Return the values of the tag's texts by ``Section.Key``, and a flag if the blocks break off."""
    values = HeaderText()
    at = 0
    while at + 6 <= len(raw):
        size, kind = struct.unpack_from("<IH", raw, at)
        stop = at + 4 + size
        if kind in _SECTIONS:
            content = decode_text(raw[at + 6 : stop], "cp1252")
            # A key that is there twice, and a heading within the text, must not end up in another section.
            found, _ = read_ini(f"[{_SECTIONS[kind]}]\n{content}")
            for key, value in found.items():
                values.add(key, value)
        if size < 2 or stop > len(raw):
            return values, (f"tag {_TAG} breaks off in a block",)
        if kind == 0:
            return values, ()
        at = stop
    return values, () if not raw or at == len(raw) else (f"tag {_TAG} breaks off in a block",)


def _readings(values: HeaderText, source: str, frame: RawFrame) -> dict[str, Reading]:
    sections = [section for section in ("SEM", "FIB") if values.below(section)]
    section = sections[0] if sections else "SEM"
    values.add_below(_BEAM, values.below(section))
    found = read_rows(ROWS, values, source)
    found = {name: replace(reading, source=reading.source.replace(_BEAM, section)) for name, reading in found.items()}
    if len(sections) == 2:
        reason = "the header describes both beams and does not say which took the frame"
        for name in ("working_distance_mm", "accelerating_voltage_kv", "beam_current_na", "detector", "dwell_time_us"):
            if name in found:
                found[name] = replace(found[name], value=None, reason=reason)
    elif sections:
        beam = {"SEM": "electron", "FIB": "ion"}[section]
        found["beam"] = Reading(beam, f"[{section}]", source, computed=True, reason="from the section in the header")
    found |= _tilt_correction(found)
    found |= _acquired_at(values, source)
    found |= data_bar_height(values, "MAIN.ImageStripSize", source, frame.height)
    return found | field_width(found, frame.width)


def _tilt_correction(readings: dict[str, Reading]) -> dict[str, Reading]:
    angle = readings.get("tilt_correction_deg")
    if angle is None or not isinstance(angle.value, float):
        return {}
    return {
        "tilt_correction": replace(angle, value=angle.value != 0, computed=True, reason="on where its angle is not 0")
    }


def _acquired_at(values: Mapping[str, str], source: str) -> dict[str, Reading]:
    """
    Join Date and Time, which Essence writes in UTC and earlier software in the computer's zone.

    Tag 306 is the time of a later save, by up to 38 s.
    """
    if "MAIN.Date" not in values:
        return {}
    date, time = values["MAIN.Date"], values.get("MAIN.Time", "")
    zone = "+00:00" if "Essence" in values.get("MAIN.SoftwareVersion", "") else ""
    return {
        "acquired_at": read_value(
            lambda _: iso_time(date, time) + zone, f"{date} {time}", f"{source} MAIN.Date MAIN.Time"
        )
    }
