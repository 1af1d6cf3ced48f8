"""
Olympus SIS (analySIS) frames: 8-bit grey TIFF, tag 33560 with the place of a binary structure after the pixels.

The structure begins ``SIS0``, has the time to the minute, a name of 32 bytes and a table of (type, count, place); the block
of type 1 has the pixel size as a power of ten and two doubles, and the magnification. All is little-endian; nobody has
published a specification, the layout is that of real files and of tifffile's ``read_sis``.
"""

from __future__ import annotations

import struct
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from emwatch.simulate.tiff import TagType, WrittenPage, WrittenTag, encode_tiff
from emwatch.simulate.vendors.vendor import Vendor, eight_bit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.simulate.acquisition import Shot

_HEAD: Final = struct.Struct("<4s6s5h6s32sH")  # 60 bytes
_ENTRY: Final = struct.Struct("<hhI")
_GENERAL: Final = struct.Struct("<10xhdd8xd2x34s32s")
_TO_METRES: Final = -9  # the pixel size is told in nanometres


def structure(shot: Shot, at: int) -> bytes:
    """Return the structure for its place in the file: the head, its table, then the blocks."""
    acquisition = shot.acquisition
    when = acquisition.acquired_at
    general = _GENERAL.pack(
        _TO_METRES,
        acquisition.pixel_size_nm,
        acquisition.pixel_size_nm,
        acquisition.magnification,
        b"",
        b"Gray Value",
    )
    channel = bytes(16)
    table_end = _HEAD.size + 2 * _ENTRY.size
    head = _HEAD.pack(
        b"SIS0",
        struct.pack("<HHH", 0x0101, 0, 50),
        *(when.minute, when.hour, when.day, when.month - 1, when.year - 1900),
        struct.pack("<HHH", 4, 83, 0),
        PurePath(shot.file_name).stem.encode("ascii", "replace")[:31],
        2,
    )
    entries = (_ENTRY.pack(1, 1, at + table_end), _ENTRY.pack(7, 1, at + table_end + len(general)))
    return head + b"".join(entries) + general + channel


def _files(shot: Shot) -> Mapping[str, bytes]:
    page = WrittenPage(
        eight_bit(shot),
        tags=(
            WrittenTag(254, TagType.LONG, 0),
            WrittenTag(271, TagType.ASCII, b"SIS, D-48153 Muenster\0"),
            WrittenTag(282, TagType.RATIONAL, (200, 1)),
            WrittenTag(283, TagType.RATIONAL, (200, 1)),
            WrittenTag(296, TagType.SHORT, 1),
            WrittenTag(305, TagType.ASCII, b"analySIS 5.0\0"),
        ),
        blocks={33560: lambda at: structure(shot, at)},
    )
    return {".tif": encode_tiff([page], directory_first=False)}


VENDOR: Final = Vendor(
    name="olympus",
    reference_width_mm=124.0,
    instruments=(("analySIS", ""),),
    detectors=("SE",),
    bars=("none", "corner-box"),
    files=_files,
    tells=("magnification", "pixel_size_nm", "acquired_at"),
)
