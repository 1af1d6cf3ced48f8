"""
point electronic DISS, the electronics of retrofitted columns (Philips XL40 and others): XMP in tag 700, one page a signal.

Built from descriptions; no file was at hand. Keys: a public reader of XL40 files with this electronics. The XMP has several
``rdf:Description``: pixel size in metres and the signals' names; WD and HV (or GunHV) with value and Unit, and Mag; the
stage, each axis with value and Unit. The unit of the tilt is wrong in the files: it is degrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from emwatch import units
from emwatch.readers.field_table import Row, field_width, read_rows, text
from emwatch.readers.header_text import HeaderText, parse_xml
from emwatch.readers.raw_frame import Findings

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from emwatch.readers.raw_frame import RawFrame

_XMP, _SOFTWARE = 700, 305
_PROGRAMS: Final = (b"point electronic", b"Digital Image Processing System", b"DISS")


def _tilt(raw: str) -> float:
    number, _ = units.split_quantity(raw)
    return float(number)


_metres_as_nm: Final = partial(units.length, to="nm", bare="m")

ROWS: Final = (
    Row("magnification", ("Mag",), units.magnification),
    Row("pixel_size_nm", ("PixelSizeX",), _metres_as_nm),
    Row("pixel_size_y_nm", ("PixelSizeY",), _metres_as_nm),
    Row("stage_tilt_deg", ("Tilt",), _tilt),
    Row("stage_rotation_deg", ("Rotation",), units.angle_deg),
    Row("stage_x_mm", ("X",), partial(units.length, to="mm")),
    Row("stage_y_mm", ("Y",), partial(units.length, to="mm")),
    Row("stage_z_mm", ("Z",), partial(units.length, to="mm")),
    Row("working_distance_mm", ("WD",), partial(units.length, to="mm")),
    Row("accelerating_voltage_kv", ("HV", "GunHV"), units.voltage_kv),
    Row("detector", ("SignalName",), text),
    Row("sample", ("description",), text),
)


@dataclass(frozen=True, slots=True)
class PointElectronicReader:
    """The TIFF of DISS."""

    vendor: str = "point electronic"

    def recognises(self, frame: RawFrame) -> bool:
        """Return True for XMP of a TIFF whose software is DISS; XMP alone is everybody's."""
        software = frame.tag(_SOFTWARE) or b""
        return frame.has_tag(_XMP) and any(each in software for each in _PROGRAMS)

    def read(self, frame: RawFrame) -> Findings:
        """Decode the XMP."""
        source = f"tag {_XMP}"
        root, flags = parse_xml(_without_packet(frame.tag(_XMP) or b""), source)
        if root is None:
            return Findings({}, flags)
        values = HeaderText(pair for element in root.iter() for pair in _pairs(element))
        software = (frame.tag(_SOFTWARE) or b"").split(b"\x00")[0].decode("utf-8", errors="replace")
        values.add("Software", software)
        readings = read_rows((*ROWS, Row("software", ("Software",), text)), values, source)
        readings |= field_width(readings, frame.width)
        return Findings(readings, flags)


READER: Final = PointElectronicReader()


def _without_packet(raw: bytes) -> bytes:
    """Leave out the processing instructions and the padding around the XML of an XMP packet."""
    start, stop = raw.find(b"<x:xmpmeta"), raw.rfind(b"</x:xmpmeta>")
    if 0 <= start < stop:
        return raw[start : stop + len(b"</x:xmpmeta>")]
    start, stop = raw.find(b"<rdf:RDF"), raw.rfind(b"</rdf:RDF>")
    return raw[start : stop + len(b"</rdf:RDF>")] if 0 <= start < stop else raw


def _pairs(element: Element) -> list[tuple[str, str]]:
    """Return what an element says by its local name: its attributes, its value with its unit, or its text."""
    pairs = [(_local(name), value) for name, value in element.attrib.items()]
    inside = {_local(child.tag).casefold(): child.text or "" for child in element}
    inside |= {_local(name).casefold(): value for name, value in element.attrib.items()}
    if "value" in inside:
        pairs.append((_local(element.tag), f"{inside['value'].strip()} {inside.get('unit', '').strip()}".strip()))
    elif len(element) == 0:
        pairs.append((_local(element.tag), element.text or ""))
    elif _local(element.tag) == "description":
        pairs.append(("description", "".join(element.itertext()).strip()))
    return pairs


def _local(name: str) -> str:
    return name.rpartition("}")[2]
