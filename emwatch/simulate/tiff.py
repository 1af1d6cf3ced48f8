"""
A small TIFF writer: strips, grey, palette, RGB(A), several pages, any extra tag, the directory before or after the pixels.

The pretend microscope writes its own TIFFs because the layout matters: instruments differ in where the directory
stands and in how many strips there are, and a half-written file fails differently for each.
Source: TIFF Revision 6.0, Adobe, 1992, sections 2-8.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

#: An integer tag takes one or several numbers, a rational one (numerator, denominator), the byte-like ones bytes.
TagValue = bytes | int | Sequence[int] | Sequence[tuple[int, int]] | Sequence[float]


class TagType(IntEnum):
    """Field types of TIFF 6.0, and IFD of the TIFF 6.0 supplement 1."""

    BYTE = 1
    ASCII = 2
    SHORT = 3
    LONG = 4
    RATIONAL = 5
    SBYTE = 6
    UNDEFINED = 7
    SSHORT = 8
    SLONG = 9
    SRATIONAL = 10
    FLOAT = 11
    DOUBLE = 12
    IFD = 13


_CODES: Final = {
    TagType.SHORT: "H",
    TagType.LONG: "I",
    TagType.RATIONAL: "I",
    TagType.SBYTE: "b",
    TagType.SSHORT: "h",
    TagType.SLONG: "i",
    TagType.SRATIONAL: "i",
    TagType.FLOAT: "f",
    TagType.DOUBLE: "d",
    TagType.IFD: "I",
}
_RAW: Final = frozenset({TagType.BYTE, TagType.ASCII, TagType.UNDEFINED})
_PAIRS: Final = frozenset({TagType.RATIONAL, TagType.SRATIONAL})


@dataclass(frozen=True, slots=True)
class WrittenTag:
    """One entry of a directory. BYTE, ASCII and UNDEFINED take bytes as they shall stand (ASCII with its NUL)."""

    code: int
    type: TagType
    value: TagValue

    def packed(self, byte_order: Literal["<", ">"]) -> tuple[int, bytes]:
        """Return the count and the bytes of the value."""
        if self.type in _RAW:
            if not isinstance(self.value, bytes):
                raise TypeError(f"tag {self.code}: {self.type.name} takes bytes, not {type(self.value).__name__}")
            return len(self.value), self.value
        values = np.atleast_1d(np.asarray(self.value)).ravel().tolist()
        count = len(values) // 2 if self.type in _PAIRS else len(values)
        return count, struct.pack(f"{byte_order}{len(values)}{_CODES[self.type]}", *values)


@dataclass(frozen=True, slots=True)
class WrittenPage:
    """
    One image of a file.

    ``pixels``: uint8 or uint16, shape (height, width) or (height, width, 3 or 4). ``palette``: uint16, shape (3, 256),
    for 8-bit grey only. ``rows_per_strip`` of ``None`` writes one strip. ``tags`` replace the page's own of that code.
    ``blocks``: tag code -> function that gives bytes for the place in the file where they will stand, at its end; the
    tag, a LONG, holds that place, as for an Exif directory or a maker's structure with addresses of its own.
    """

    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    tags: tuple[WrittenTag, ...] = ()
    palette: npt.NDArray[np.uint16] | None = None
    rows_per_strip: int | None = None
    blocks: Mapping[int, Callable[[int], bytes]] = field(default_factory=dict)


def encode_tiff(
    pages: Sequence[WrittenPage], *, directory_first: bool = True, byte_order: Literal["<", ">"] = "<"
) -> bytes:
    """
    Write pages as an uncompressed TIFF.

    ``directory_first`` puts each directory (and its values) before the page's pixels, as SmartSEM does; otherwise the
    pixels come first, as xT does. ``byte_order`` is ``<`` or ``>``. Raises `ValueError` on pixels no TIFF page can hold.
    """
    out = bytearray(b"II" if byte_order == "<" else b"MM")
    out += struct.pack(f"{byte_order}HI", 42, 0)
    link_at = 4
    for page in pages:
        strips = _strips(page, byte_order)
        tags = _directory(page, strips)
        start = len(out)
        size = _directory_size(tags, byte_order)
        blocks = _place_blocks(page, tags, start + size + _even(sum(map(len, strips))))
        pixels_at = start + size if directory_first else start
        directory_at = start if directory_first else start + _even(sum(map(len, strips)))
        offsets = pixels_at + np.cumsum([0, *map(len, strips[:-1])])
        tags[273] = WrittenTag(273, TagType.LONG, offsets.tolist())
        directory, next_link_at = _pack_directory(tags, directory_at, byte_order)
        body = b"".join(strips)
        body += bytes(_even(len(body)) - len(body))
        out += (directory + body if directory_first else body + directory) + blocks
        struct.pack_into(f"{byte_order}I", out, link_at, directory_at)
        link_at = next_link_at
    return bytes(out)


def _even(length: int) -> int:
    return length + length % 2


def _strips(page: WrittenPage, byte_order: Literal["<", ">"]) -> list[bytes]:
    pixels = page.pixels
    if pixels.dtype not in (np.uint8, np.uint16) or not (
        pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    ):
        raise ValueError(f"a TIFF page takes uint8 or uint16, grey or RGB(A), not {pixels.dtype} {pixels.shape}")
    if page.palette is not None and (pixels.ndim != 2 or pixels.dtype != np.uint8):
        raise ValueError("a palette goes with 8-bit grey pixels only")
    stored = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder(byte_order), copy=False))
    step = page.rows_per_strip or len(stored)
    return [stored[row : row + step].tobytes() for row in range(0, len(stored), step)]


def _directory(page: WrittenPage, strips: list[bytes]) -> dict[int, WrittenTag]:
    height, width = page.pixels.shape[:2]
    channels = page.pixels.shape[2] if page.pixels.ndim == 3 else 1
    photometric = 2 if channels > 1 else 3 if page.palette is not None else 1
    tags = {
        tag.code: tag
        for tag in (
            WrittenTag(256, TagType.LONG, width),
            WrittenTag(257, TagType.LONG, height),
            WrittenTag(258, TagType.SHORT, [8 * page.pixels.dtype.itemsize] * channels),
            WrittenTag(259, TagType.SHORT, 1),
            WrittenTag(262, TagType.SHORT, photometric),
            WrittenTag(273, TagType.LONG, [0] * len(strips)),
            WrittenTag(277, TagType.SHORT, channels),
            WrittenTag(278, TagType.LONG, page.rows_per_strip or height),
            WrittenTag(279, TagType.LONG, [len(strip) for strip in strips]),
        )
    }
    if channels == 4:
        tags[338] = WrittenTag(338, TagType.SHORT, 2)
    if page.palette is not None:
        tags[320] = WrittenTag(320, TagType.SHORT, page.palette.ravel().tolist())
    tags.update({tag.code: tag for tag in page.tags})
    tags.update({code: WrittenTag(code, TagType.LONG, 0) for code in page.blocks})
    return tags


def directory_block(tags: Sequence[WrittenTag], byte_order: Literal["<", ">"] = "<") -> Callable[[int], bytes]:
    """Return a directory of its own, as Exif has, ready for `WrittenPage.blocks`."""
    return lambda at: _pack_directory({tag.code: tag for tag in tags}, at, byte_order)[0]


def _place_blocks(page: WrittenPage, tags: dict[int, WrittenTag], at: int) -> bytes:
    """Return the blocks of a page that begin at a place, and set their tags to it."""
    out = bytearray()
    for code, block in page.blocks.items():
        tags[code] = WrittenTag(code, TagType.LONG, at + len(out))
        data = block(at + len(out))
        out += data.ljust(_even(len(data)), b"\0")
    return bytes(out)


def _directory_size(tags: dict[int, WrittenTag], byte_order: Literal["<", ">"]) -> int:
    payload = (len(tag.packed(byte_order)[1]) for tag in tags.values())
    return _even(6 + 12 * len(tags)) + sum(_even(size) for size in payload if size > 4)


def _pack_directory(tags: dict[int, WrittenTag], at: int, byte_order: Literal["<", ">"]) -> tuple[bytes, int]:
    """Return the directory with the values that do not fit in it, and the place of its link to the next one."""
    fixed = 6 + 12 * len(tags)
    values = bytearray()
    entries = bytearray(struct.pack(f"{byte_order}H", len(tags)))
    for code in sorted(tags):
        tag = tags[code]
        count, payload = tag.packed(byte_order)
        entries += struct.pack(f"{byte_order}HHI", code, tag.type, count)
        if len(payload) <= 4:
            entries += payload.ljust(4, b"\0")
        else:
            entries += struct.pack(f"{byte_order}I", at + _even(fixed) + len(values))
            values += payload.ljust(_even(len(payload)), b"\0")
    entries += bytes(4)
    return bytes(entries.ljust(_even(fixed), b"\0") + values), at + fixed - 4
