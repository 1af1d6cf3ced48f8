"""
Phenom: tag 34683, XML with the root FeiImage, its units in attributes.

Format facts: read from the bytes of frames of a PhenomXL and from Bio-Formats. There is no stage tilt in it, and no magnification
other than that of a display whose width may be 0.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from emwatch import units
from emwatch.frame import Reading
from emwatch.readers.dates import iso_stamp
from emwatch.readers.field_table import Row, data_bar_height, field_width, read_rows, text
from emwatch.readers.header_text import XmlTagReader

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from emwatch.readers.raw_frame import RawFrame


def _unsigned_kv(raw: str) -> float:
    """Read the voltage of the cathode, which is negative: -15 kV."""
    return abs(units.voltage_kv(raw))


def _no_rotation(raw: str) -> float:
    if units.number(raw) != 0:
        raise ValueError("the unit is not known")
    return 0.0


_nanometres: Final = partial(units.length, to="nm")
_metres_as_mm: Final = partial(units.length, to="mm", bare="m")

#: By path below <FeiImage>; the text is followed by the element's unit.
ROWS: Final = (
    Row("pixel_size_nm", ("pixelWidth",), _nanometres),
    Row("pixel_size_y_nm", ("pixelHeight",), _nanometres),
    Row("stage_x_mm", ("samplePosition/x",), _metres_as_mm),
    Row("stage_y_mm", ("samplePosition/y",), _metres_as_mm),
    Row("working_distance_mm", ("workingDistance", "acquisition/scan/workingDistance"), partial(units.length, to="mm")),
    Row("accelerating_voltage_kv", ("acquisition/scan/highVoltage",), _unsigned_kv),
    Row("detector", ("acquisition/scan/detector",), text),
    Row("dwell_time_us", ("acquisition/scan/dwellTime",), units.time_us),
    Row("scan_rotation_deg", ("acquisition/scan/rotation",), _no_rotation),
    Row("instrument", ("instrument/type",), text),
    Row("serial", ("instrument/uniqueID",), text),
    Row("software", ("instrument/softwareVersion",), text),
    Row("operator", ("currentUser",), text),
    Row("sample", ("databarLabel",), text),
    Row("acquired_at", ("time",), iso_stamp),
)
_FURTHER: Final = ("instrument/edition", "displayWidth", "databarHeight")


def _readings(root: Element, frame: RawFrame, source: str) -> dict[str, Reading]:
    keys = [key for row in ROWS for key in row.keys] + list(_FURTHER)
    values = {
        key: f"{element.text or ''} {element.get('unit', '')}".strip()
        for key in keys
        if (element := root.find(key)) is not None
    }
    readings = read_rows(ROWS, values, source)
    edition, instrument = values.get("instrument/edition"), readings.get("instrument")
    if edition and instrument and isinstance(instrument.value, str):
        readings["instrument"] = replace(instrument, value=text(f"{instrument.value} {edition[:200]}"))
    readings |= field_width(readings, frame.width)
    readings |= _magnification(values, readings, source)
    readings |= data_bar_height(values, "databarHeight", source, frame.height)
    return readings


def _magnification(values: dict[str, str], readings: dict[str, Reading], source: str) -> dict[str, Reading]:
    """Divide the display's width by that of the field; 0 if the frame was never on a display."""
    field, raw = readings.get("horizontal_field_width_um"), values.get("displayWidth", "")
    try:
        display_m = units.length(raw, to="mm", bare="m") / 1000
    except ValueError:
        return {}
    if field is None or not isinstance(field.value, float) or field.value <= 0 or not 0.01 <= display_m <= 10:
        return {}
    times = units.significant(display_m * 1e6 / field.value)
    reason = f"not stored; computed as a display of {display_m:g} m over the field width"
    return {"magnification": Reading(times, raw, f"{source} displayWidth", computed=True, reason=reason)}


READER: Final = XmlTagReader("Phenom", 34683, b"<FeiImage", _readings)
