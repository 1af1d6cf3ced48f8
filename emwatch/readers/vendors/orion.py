"""
Zeiss Orion, helium ion microscope: tag 65000, XML ``<ImageTags>``, each value as ``<Key><Value>..</Value><Units>..</Units></Key>``.

Built from descriptions; no file was at hand. Keys and units: the field table of NexusLIMS' reader, and the values that its
tests expect of a real file (AccelerationVoltage 29997 V, StageX 25157.23 um, ScalingX 9.765625e-10 m).
"""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from emwatch import units
from emwatch.frame import Reading
from emwatch.readers.dates import iso_stamp
from emwatch.readers.field_table import Row, field_width, read_rows, text
from emwatch.readers.header_text import HeaderText, XmlTagReader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from xml.etree.ElementTree import Element

    from emwatch.readers.raw_frame import RawFrame

#: The words that stand in <Units> instead of a symbol. "Degrees" is the only one seen.
_UNIT_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "degrees": "deg",
        "volts": "V",
        "picoamps": "pA",
        "micrometers": "um",
        "microns": "um",
        "millimeters": "mm",
        "microseconds": "us",
        "meters": "m",
    }
)

_micrometres_as_mm: Final = partial(units.length, to="mm", bare="um")
_degrees: Final = partial(units.angle_deg, bare="deg")

ROWS: Final = (
    # For a print 4 x 5 inches, 127 mm wide; MagnificationDisplay is for a display of unknown width.
    Row("magnification", ("Magnification4x5",), units.magnification),
    Row("horizontal_field_width_um", ("Fov", "GFIS.FieldOfView"), partial(units.length, to="um", bare="um")),
    Row("pixel_size_nm", ("ScalingX",), partial(units.length, to="nm", bare="m")),
    Row("pixel_size_y_nm", ("ScalingY",), partial(units.length, to="nm", bare="m")),
    Row("stage_tilt_deg", ("StageTilt",), _degrees),
    Row("stage_rotation_deg", ("StageRotate",), _degrees),
    Row("stage_x_mm", ("StageX",), _micrometres_as_mm),
    Row("stage_y_mm", ("StageY",), _micrometres_as_mm),
    Row("stage_z_mm", ("StageZ",), partial(units.length, to="mm", bare="mm")),
    Row("working_distance_mm", ("WorkingDistance", "GFIS.WorkingDistance"), partial(units.length, to="mm", bare="mm")),
    Row(
        "accelerating_voltage_kv",
        ("AccelerationVoltage", "GFIS.AccelerationVoltage"),
        partial(units.voltage_kv, bare="V"),
    ),
    Row("beam_current_na", ("GFIS.BeamCurrent",), partial(units.current_na, bare="pA")),
    Row("detector", ("DetectorName",), text),
    Row("dwell_time_us", ("DwellTime",), partial(units.time_us, bare="us")),
    Row("scan_rotation_deg", ("ScanRotate", "GFIS.ScanRotation"), _degrees),
    Row("instrument", ("System.Model",), text),
    Row("serial", ("System.Name",), text),
    Row("acquired_at", ("TimeStamp",), iso_stamp),
)


def _readings(root: Element, frame: RawFrame, source: str) -> dict[str, Reading]:
    values = HeaderText()
    for element in root.iter():
        found = element.find("Value")
        if found is not None:
            values.add(element.tag, _with_unit(found.text or "", element.findtext("Units") or ""))
    readings = read_rows(ROWS, values, source)
    readings["beam"] = Reading("ion", "ImageTags", source, computed=True, reason="the instrument has no other")
    readings |= field_width(readings, frame.width)
    return readings


def _with_unit(value: str, unit: str) -> str:
    word = unit.strip()
    return f"{value.strip()} {_UNIT_WORDS.get(word.casefold(), word)}".strip()


READER: Final = XmlTagReader("Zeiss Orion", 65000, b"<ImageTags", _readings)
