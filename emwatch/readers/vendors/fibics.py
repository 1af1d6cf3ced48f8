"""
Fibics (NPVE, Atlas), which drives columns of several makers: tag 51023, XML ``<Fibics>``.

Built from descriptions; no file was at hand. Keys and units: the field table of NexusLIMS' reader, and the values that its
tests expect of a real file (Dwell 10000 ns, FOV_X 2.5 um, BeamI 1.33 pA, AccV 30000 V). The text has no working distance
and no magnification.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from emwatch import units
from emwatch.readers.dates import iso_stamp
from emwatch.readers.field_table import Row, read_rows, text
from emwatch.readers.header_text import HeaderText, XmlTagReader

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from emwatch.frame import Reading
    from emwatch.readers.raw_frame import RawFrame


def _beam(raw: str) -> str:
    beam = {"orion": "ion", "fib": "ion", "ion": "ion", "sem": "electron"}.get(raw.strip().casefold())
    if beam is None:
        raise ValueError(f"{raw.strip()[:40]!r} is not known as a beam")
    return beam


_micrometres_as_mm: Final = partial(units.length, to="mm", bare="um")
_degrees: Final = partial(units.angle_deg, bare="deg")

ROWS: Final = (
    Row("horizontal_field_width_um", ("Scan.FOV_X",), partial(units.length, to="um", bare="um")),
    Row("stage_tilt_deg", ("Stage.Tilt",), _degrees),
    Row("stage_rotation_deg", ("Stage.Rot",), _degrees),
    Row("stage_x_mm", ("Stage.X",), _micrometres_as_mm),
    Row("stage_y_mm", ("Stage.Y",), _micrometres_as_mm),
    Row("stage_z_mm", ("Stage.Z",), _micrometres_as_mm),
    Row("accelerating_voltage_kv", ("BeamInfo.AccV",), partial(units.voltage_kv, bare="V")),
    Row("beam_current_na", ("BeamInfo.BeamI",), partial(units.current_na, bare="pA")),
    Row("beam", ("Image.Beam",), _beam),
    Row("detector", ("Image.Detector",), text),
    Row("dwell_time_us", ("Scan.Dwell",), partial(units.time_us, bare="ns")),
    Row("scan_rotation_deg", ("Scan.ScanRot",), _degrees),
    Row("instrument", ("Image.Machine",), text),
    Row("software", ("Application.Version",), text),
    Row("acquired_at", ("Application.Date",), iso_stamp),
)


def _readings(root: Element, frame: RawFrame, source: str) -> dict[str, Reading]:
    values = HeaderText()
    for section in root:
        for element in section:
            unit = (element.get("units") or "").replace("degrees", "deg")
            key = element.get("name", element.tag) if element.tag == "item" else element.tag
            values.add(f"{section.tag}.{key}", f"{(element.text or '').strip()} {unit}".strip())
    readings = read_rows(ROWS, values, source)
    readings |= _pixel_size(readings, frame.width)
    return readings


def _pixel_size(readings: dict[str, Reading], width: int) -> dict[str, Reading]:
    """Divide the field width by the columns of the file: Fibics writes no bar into the picture."""
    field = readings.get("horizontal_field_width_um")
    if field is None or not isinstance(field.value, float) or width < 1:
        return {}
    value = units.significant(field.value * 1000 / width)
    return {"pixel_size_nm": replace(field, value=value, computed=True, reason=f"field width over {width} px")}


READER: Final = XmlTagReader("Fibics", 51023, b"<Fibics", _readings)
