"""
Olympus Soft Imaging (analySIS): tag 33560, the position of a binary block.

Format facts: read from the bytes of two files; the layout is that of tifffile, no specification is public. Little-endian:
``SIS0``, minute, hour, day, month from 0, year from 1900, a name, and a list of blocks, of which type 1 is the calibration.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from emwatch import units
from emwatch.frame import Reading
from emwatch.readers.field_table import field_width, text, unknown
from emwatch.readers.raw_frame import Findings

if TYPE_CHECKING:
    from emwatch.readers.raw_frame import RawFrame

_TAG, _SOFTWARE = 33560, 305
_HEAD: Final = struct.Struct("<4s6x5h6x32sH")
_ENTRY: Final = struct.Struct("<hhI")
_CALIBRATION: Final = struct.Struct("<10xhdd8xd")
_CALIBRATION_KIND = 1
_MOST_ENTRIES = 64

#: A pixel of an electron microscope, in metres: what lies outside is damage or no calibration.
_SMALLEST_M, _LARGEST_M = 1e-13, 1e-3


@dataclass(frozen=True, slots=True)
class OlympusSisReader:
    """The TIFF of analySIS."""

    vendor: str = "Olympus SIS"

    def recognises(self, frame: RawFrame) -> bool:
        """Recognise the frame by the tag."""
        return frame.has_tag(_TAG)

    def read(self, frame: RawFrame) -> Findings:
        """Decode the block that the tag points to."""
        page = next(page for page in frame.pages if _TAG in page.tags)
        at, source = page.number(_TAG), f"tag {_TAG}"
        block = frame.data[at : at + _HEAD.size]
        if not at or len(block) < _HEAD.size or not block.startswith(b"SIS0"):
            return Findings({}, (f"{source} does not point to its block",))
        _, minute, hour, day, month, year, name, entries = _HEAD.unpack(block)
        readings = _acquired_at(year, month, day, hour, minute, source)
        sample = text(name.partition(b"\x00")[0].decode("cp1252", errors="replace"))
        if sample:
            readings["sample"] = Reading(sample, sample, f"{source} name")
        for index in range(min(entries, _MOST_ENTRIES)):
            entry = frame.data[at + _HEAD.size + index * _ENTRY.size :][: _ENTRY.size]
            if len(entry) < _ENTRY.size:
                break
            kind, _, where = _ENTRY.unpack(entry)
            if kind == _CALIBRATION_KIND:
                readings |= _calibration(frame.data[where : where + _CALIBRATION.size], source)
        software = text((frame.tag(_SOFTWARE) or b"")[:200].decode("cp1252", errors="replace"))
        if software:
            readings["software"] = Reading(software, software, f"tag {_SOFTWARE}")
        return Findings(readings | field_width(readings, frame.width))


READER: Final = OlympusSisReader()

#: Since 1900. The block is written in one piece, so that zeros mean that it was not.
_FIRST_YEAR: Final = 85


def _acquired_at(year: int, month: int, day: int, hour: int, minute: int, source: str) -> dict[str, Reading]:
    raw, where = f"{year} {month} {day} {hour} {minute}", f"{source} date"
    if year < _FIRST_YEAR:
        return {"acquired_at": unknown(raw, where, f"{1900 + year} is before the program: no date was written")}
    try:
        stamp = datetime(1900 + year, month + 1, day, hour, minute)  # noqa: DTZ001 - the instrument's zone is not known.
    except ValueError as error:
        return {"acquired_at": unknown(raw, where, str(error))}
    return {"acquired_at": Reading(stamp.isoformat(), raw, where)}


def _calibration(block: bytes, source: str) -> dict[str, Reading]:
    """Read pixel sizes, a number each times a common power of ten metres, and the magnification."""
    if len(block) < _CALIBRATION.size:
        return {}
    exponent, width, height, times = _CALIBRATION.unpack(block)
    readings = {}
    for name, key, value in (("pixel_size_nm", "pixelsizex", width), ("pixel_size_y_nm", "pixelsizey", height)):
        metres = value * 10.0**exponent if -30 <= exponent <= 30 and math.isfinite(value) else 0.0
        raw, where = f"{value:.7g}e{exponent}", f"{source} {key}"
        readings[name] = (
            Reading(units.significant(metres * 1e9), raw, where)
            if _SMALLEST_M <= metres <= _LARGEST_M
            else unknown(raw, where, "not calibrated")
        )
    raw, where = f"{times:.7g}", f"{source} magnification"
    known = math.isfinite(times) and 1 <= times <= 1e8
    readings["magnification"] = Reading(times, raw, where) if known else unknown(raw, where, "none was set")
    return readings
