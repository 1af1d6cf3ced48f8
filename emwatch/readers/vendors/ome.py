"""
OME-TIFF: XML in tag 270.

Format: the OME schema 2016-06. Units stand in attributes of their own; if they are missing, the schema's default is µm.
The objective's NominalMagnification is not the magnification of a scanned picture and is not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from emwatch import units
from emwatch.readers.dates import iso_stamp
from emwatch.readers.field_table import Row, field_width, read_rows, text, unknown
from emwatch.readers.header_text import parse_xml
from emwatch.readers.raw_frame import Findings

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from emwatch.readers.raw_frame import RawFrame

_TAG = 270


def _nanometres(raw: str) -> float:
    """Read a length; \u00c5ngstr\u00f6m is a unit of the schema too."""
    number, unit = units.split_quantity(raw)
    value = units.significant(float(number) / 10) if unit == "\u00c5" else units.length(raw, to="nm")
    if value <= 0:
        raise ValueError("not calibrated")
    return value


ROWS: Final = (
    Row("pixel_size_nm", ("Pixels PhysicalSizeX",), _nanometres),
    Row("pixel_size_y_nm", ("Pixels PhysicalSizeY",), _nanometres),
    Row("stage_x_mm", ("Plane PositionX",), partial(units.length, to="mm")),
    Row("stage_y_mm", ("Plane PositionY",), partial(units.length, to="mm")),
    Row("stage_z_mm", ("Plane PositionZ",), partial(units.length, to="mm")),
    Row("instrument", ("Microscope Model",), text),
    Row("serial", ("Microscope SerialNumber",), text),
    Row("acquired_at", ("AcquisitionDate",), iso_stamp),
)

#: Units of the schema if the file names none; that of a position is an unknown frame of reference.
_DEFAULT_UNIT: Final = {"Pixels PhysicalSizeX": "\u00b5m", "Pixels PhysicalSizeY": "\u00b5m"}


@dataclass(frozen=True, slots=True)
class OmeReader:
    """OME-TIFF, whichever program wrote it."""

    vendor: str = "OME-TIFF"

    def recognises(self, frame: RawFrame) -> bool:
        """Recognise the frame by the XML's root in the first page's description."""
        return b"<OME" in _description(frame)[:2000]

    def read(self, frame: RawFrame) -> Findings:
        """Decode the XML's first image."""
        source = f"tag {_TAG}"
        root, flags = parse_xml(_description(frame), source)
        if root is None:
            return Findings({}, flags)
        values = _values(root)
        readings = read_rows(ROWS, values, source)
        columns = values.get("Pixels SizeX", "")
        if columns != str(frame.width):
            reason = f"for {columns[:20] or 'an unknown number of'} px; this file has {frame.width}"
            for name in ("pixel_size_nm", "pixel_size_y_nm"):
                if name in readings:
                    readings[name] = unknown(readings[name].raw, readings[name].source, reason)
        return Findings(readings | field_width(readings, frame.width), flags)


READER: Final = OmeReader()


def _description(frame: RawFrame) -> bytes:
    return (frame.pages[0].raw(_TAG) or b"")[: 4 * 1024 * 1024] if frame.pages else b""


def _values(root: Element) -> dict[str, str]:
    """Return the attributes of the first element of each kind as ``Element Attribute``, a unit after its number."""
    values: dict[str, str] = {}
    for element in root.iter():
        kind = element.tag.rpartition("}")[2]
        if kind == "AcquisitionDate":
            values.setdefault(kind, element.text or "")
        elif kind in {"Pixels", "Plane", "Microscope"} and f"{kind} " not in values:
            values[f"{kind} "] = ""
            for name, value in element.attrib.items():
                key = f"{kind} {name}"
                values[key] = f"{value} {element.get(f'{name}Unit', _DEFAULT_UNIT.get(key, ''))}".strip()
    return values
