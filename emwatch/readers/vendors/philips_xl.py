"""
Philips and FEI, XL30: tag 34680, INI text with `` = ``.

Format facts: read from the bytes of ten files of one instrument and checked against the text in the picture.
Voltages are volts, lengths mm. The text holds no time, and its bar is an overlay of two rows, not a strip.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from emwatch import units
from emwatch.frame import Reading
from emwatch.readers.field_table import Row, field_width, read_rows, text, unknown
from emwatch.readers.header_text import read_ini
from emwatch.readers.raw_frame import Findings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.readers.raw_frame import RawFrame

_TAG = 34680
_SECTION: Final = b"[DatabarData]"

ROWS: Final = (
    # DatabarData.flMagn is no magnification: 0.0098 is half the field's height in mm.
    Row("magnification", ("Vector.Magnification",), units.magnification),
    Row("working_distance_mm", ("DatabarData.flWD", "Vector.FWD"), partial(units.length, to="mm", bare="mm")),
    Row("accelerating_voltage_kv", ("DatabarData.flAccV", "Vector.HighTension"), partial(units.voltage_kv, bare="V")),
    Row("serial", ("MachineData.MachineNumber",), text),
    Row("sample", ("DatabarData.szUserText",), text),
)

#: Keys whose unit or code no file has shown: 2172 may be micro-degrees, and 2 is some detector.
_UNPROVEN: Final = {
    "stage_tilt_deg": ("Vector.SpecimenTilt", "the unit is not known"),
    "stage_rotation_deg": ("Vector.SpecimenRotation", "the unit is not known"),
    "stage_x_mm": ("Vector.flStageXPosition", "the unit is not known"),
    "stage_y_mm": ("Vector.flStageYPosition", "the unit is not known"),
    "detector": ("DatabarData.lDetName", "a number whose meaning is not known"),
}


@dataclass(frozen=True, slots=True)
class PhilipsXlReader:
    """The TIFF of the XL series."""

    vendor: str = "Philips/FEI XL"

    def recognises(self, frame: RawFrame) -> bool:
        """Recognise the frame by the tag and its section: xT writes other content in the same tag."""
        return _SECTION in (frame.tag(_TAG) or b"")

    def read(self, frame: RawFrame) -> Findings:
        """Decode the INI text."""
        values, flags = read_ini((frame.tag(_TAG) or b"").decode("cp1252", errors="replace"))
        source = f"tag {_TAG}"
        readings = read_rows(ROWS, values, source)
        for name, (key, reason) in _UNPROVEN.items():
            if values.get(key):
                readings[name] = unknown(values[key], f"{source} {key}", reason)
        readings |= _pixel_size(values, readings, source, frame.width)
        readings |= field_width(readings, frame.width)
        cut = (f"{source} is cut off",) if frame.is_tag_cut(_TAG) else ()
        return Findings(readings, (*cut, *flags))


READER: Final = PhilipsXlReader()


def _pixel_size(values: Mapping[str, str], readings: dict[str, Reading], source: str, width: int) -> dict[str, Reading]:
    """Divide the width of the photograph, SizeY x RatioXY in mm, by magnification and columns."""
    times = readings.get("magnification")
    raw = [values.get(f"ImageDevice.{key}", "") for key in ("SizeY", "RatioXY")]
    try:
        height_mm, ratio = (units.number(part) for part in raw)
    except ValueError:
        return {}
    if times is None or not isinstance(times.value, float) or not (height_mm > 0 < ratio):
        return {}
    value = units.significant(height_mm * ratio * 1e6 / times.value / width)
    reason = f"{raw[0]} mm x {raw[1]} over magnification and {width} px"
    where = f"{source} ImageDevice.SizeY"
    return {"pixel_size_nm": Reading(value, raw[0], where, computed=True, reason=reason)}
