"""
Zeiss and LEO, SmartSEM V05 to V07: tag 34118 (CZ_SEM), cp1252 text in pairs of lines; tag 34119 is the same in UTF-16.

Format facts: read from the bytes of 25 files of nine instruments and checked against the burned-in bar.
The bar lies inside the picture and has no fixed layout, so its height is not known from here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from emwatch import units
from emwatch.frame import Reading
from emwatch.readers.dates import iso_time
from emwatch.readers.field_table import Row, read_rows, read_value, text, unknown
from emwatch.readers.header_text import whole_lines
from emwatch.readers.raw_frame import Findings

if TYPE_CHECKING:
    from emwatch.readers.raw_frame import RawFrame

_TAG, _TAG_UTF16 = 34118, 34119
_KEY: Final = r"(?:AP|DP|SV)_[A-Z0-9_]{1,96}[ \t]*$"
_PAIR: Final = re.compile(rf"^[ \t]*+(?P<key>(?={_KEY})\w++)[ \t]*+(?:\n\s*+(?!{_KEY})(?P<line>.*))?", re.MULTILINE)

#: The width of the display for which AP_PIXEL_SIZE is given, whatever the width of the saved picture.
_DISPLAY_WIDTH_PX: Final = 1024


def _beam(raw: str) -> str:
    beam = {"SEM": "electron", "FIB": "ion"}.get(raw.strip().upper())
    if beam is None:
        raise ValueError(f"{raw.strip()[:40]!r} is neither SEM nor FIB")
    return beam


_degrees: Final = partial(units.angle_deg, bare="deg")
_millimetres: Final = partial(units.length, to="mm")
_nanometres: Final = partial(units.length, to="nm")

ROWS: Final = (
    Row("magnification", ("AP_MAG",), units.magnification),
    Row("horizontal_field_width_um", ("AP_WIDTH",), partial(units.length, to="um")),
    Row("pixel_size_nm", ("AP_IMAGE_PIXEL_SIZE",), _nanometres),
    # AP_TILT_ANGLE is the angle of the tilt correction, not of the stage: 54 degrees on frames whose stage is flat.
    Row("stage_tilt_deg", ("AP_STAGE_AT_T",), _degrees),
    Row("stage_rotation_deg", ("AP_STAGE_AT_R",), _degrees),
    Row("stage_x_mm", ("AP_STAGE_AT_X",), _millimetres),
    Row("stage_y_mm", ("AP_STAGE_AT_Y",), _millimetres),
    Row("stage_z_mm", ("AP_STAGE_AT_Z",), _millimetres),
    Row("working_distance_mm", ("AP_WD",), _millimetres),
    Row("accelerating_voltage_kv", ("AP_ACTUALKV",), units.voltage_kv),  # AP_MANUALKV is what was asked for
    Row("beam_current_na", ("AP_IPROBE",), units.current_na),
    Row("beam", ("DP_FIB_IMAGING",), _beam),
    Row("detector", ("DP_DETECTOR_CHANNEL", "DP_DETECTOR_TYPE"), text),
    Row("scan_rotation_deg", ("AP_SCANROTATION",), _degrees),
    Row("tilt_correction", ("DP_TILT_CORRECTION",), units.flag),
    Row("tilt_correction_deg", ("AP_TILT_ANGLE",), _degrees),
    Row("instrument", ("DP_SEM",), text),
    Row("serial", ("SV_SERIAL_NUMBER",), text),
    Row("software", ("SV_VERSION",), text),
    Row("operator", ("SV_OPERATOR", "SV_USER_NAME"), text),
    Row("sample", ("SV_SAMPLE_ID", "SV_USER_TEXT"), text),
)

#: What the electron column says is not about a frame taken with the ions.
_ELECTRON_ONLY: Final = (
    "magnification", "horizontal_field_width_um", "pixel_size_nm", "pixel_size_y_nm", "working_distance_mm",
    "accelerating_voltage_kv", "beam_current_na", "detector", "scan_rotation_deg",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ZeissReader:
    """SmartSEM's TIFF."""

    vendor: str = "Zeiss"

    def recognises(self, frame: RawFrame) -> bool:
        """Recognise the frame by the CZ_SEM tag, on any page."""
        return frame.has_tag(_TAG) or frame.has_tag(_TAG_UTF16)

    def read(self, frame: RawFrame) -> Findings:
        """Decode the CZ_SEM text."""
        tag = _TAG if frame.has_tag(_TAG) else _TAG_UTF16
        header = (frame.tag(tag) or b"").decode("cp1252" if tag == _TAG else "utf-16-le", errors="replace")
        values = pairs(header)
        source = f"tag {tag}"
        readings = read_rows(ROWS, values, source)
        readings |= _acquired_at(values, source)
        readings |= _scan_rotation(values, source)
        readings |= _dwell_time(values, source)
        if "pixel_size_nm" not in readings:
            readings |= _pixel_size_of_display(values, source, frame.width)
        readings |= _pixel_size_y(values, readings, source, frame)
        if "beam" in readings and readings["beam"].value == "ion":
            readings |= {
                name: replace(
                    readings[name], value=None, reason="describes the electron column; this frame is of the ions"
                )
                for name in _ELECTRON_ONLY
                if name in readings
            }
        cut = (f"{source} is cut off",) if frame.is_tag_cut(tag) else ()
        nothing = () if values else (f"{source} holds no key",)
        return Findings(readings, (*cut, *nothing))


READER: Final = ZeissReader()


def pairs(header: str) -> dict[str, str]:
    """
    Return the value text by key from pairs of lines: ``AP_WD`` and ``WD =  4.5 mm``.

    Date and time have a colon instead: ``Date :18 Apr 2016`` to V06, ``Date: 11 Apr 2023`` in V07. The bare numbers
    at the start are skipped. A key that comes twice keeps its first value; a key without its line has an empty one.
    """
    values: dict[str, str] = {}
    for match in _PAIR.finditer(whole_lines(header)):
        key, line = match["key"], match["line"] or ""
        if key not in values:
            values[key] = line.partition("=" if "=" in line else ":")[2]
    return values


def _acquired_at(values: dict[str, str], source: str) -> dict[str, Reading]:
    if "AP_DATE" not in values or "AP_TIME" not in values:
        return {}
    date, time = values["AP_DATE"], values["AP_TIME"]
    raw = f"{date.strip()} {time.strip()}"
    return {"acquired_at": read_value(lambda _: iso_time(date, time), raw, f"{source} AP_DATE AP_TIME")}


def _scan_rotation(values: dict[str, str], source: str) -> dict[str, Reading]:
    """AP_SCANROTATION keeps its angle while the rotation is switched off."""
    if values.get("DP_SCAN_ROT", "").strip().lower() != "off":
        return {}
    return {
        "scan_rotation_deg": Reading(0.0, "Off", f"{source} DP_SCAN_ROT", computed=True, reason="scan rotation is off")
    }


def _dwell_time(values: dict[str, str], source: str) -> dict[str, Reading]:
    """DP_DWELL_TIME is 100 ns at every scan speed from 4 to 6, with line times from 14 to 153 ms: it is not the frame's."""
    if "DP_DWELL_TIME" not in values:
        return {}
    reason = "does not follow the scan speed, so it is not the dwell time of this frame"
    return {"dwell_time_us": unknown(values["DP_DWELL_TIME"].strip(), f"{source} DP_DWELL_TIME", reason)}


def _pixel_size_of_display(values: dict[str, str], source: str, width: int) -> dict[str, Reading]:
    """
    Old frames have only AP_PIXEL_SIZE, which is for a display of 1024 px: a 512-px frame has pixels twice as large.

    Where the newer AP_IMAGE_PIXEL_SIZE is there but unusable this is not tried: the header is damaged.
    """
    if "AP_PIXEL_SIZE" not in values:
        return {}
    reading = read_value(_nanometres, values["AP_PIXEL_SIZE"], f"{source} AP_PIXEL_SIZE")
    if not isinstance(reading.value, float):
        return {"pixel_size_nm": reading}
    reason = f"AP_PIXEL_SIZE is for {_DISPLAY_WIDTH_PX} px; this frame has {width}"
    value = reading.value * _DISPLAY_WIDTH_PX / width
    return {"pixel_size_nm": replace(reading, value=value, computed=True, reason=reason)}


def _pixel_size_y(
    values: dict[str, str], readings: dict[str, Reading], source: str, frame: RawFrame
) -> dict[str, Reading]:
    """Only the width of a pixel is stored; its height is that of the field over the rows, while no correction stretches it."""
    pixel_x = readings.get("pixel_size_nm")
    if "AP_HEIGHT" not in values or pixel_x is None or not isinstance(pixel_x.value, float):
        return {}
    field = f"{source} AP_HEIGHT"
    reading = read_value(_nanometres, values["AP_HEIGHT"], field)
    if not isinstance(reading.value, float):
        return {"pixel_size_y_nm": reading}
    correction = readings.get("tilt_correction")
    if correction is None or correction.value is not False:
        return {"pixel_size_y_nm": unknown(reading.raw, field, "tilt correction may stretch the rows")}
    value = reading.value / frame.height
    if abs(value - pixel_x.value) > 0.02 * pixel_x.value:
        return {"pixel_size_y_nm": unknown(reading.raw, field, f"does not fit the {frame.height} rows of this file")}
    return {
        "pixel_size_y_nm": replace(reading, value=value, computed=True, reason=f"field height over {frame.height} rows")
    }
