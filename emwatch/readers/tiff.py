"""
The structure of a TIFF: pages, tags, and whether every strip and tile lies inside the file.

Read here and not by a library, because vendor tags are damaged, huge or not valid text, and because completeness must be
known before anything is decoded. Format: TIFF 6.0 (Adobe, 1992), and BigTIFF (AWare Systems).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from emwatch import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

MAGICS: Final = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")

#: Bytes per value of each field type (TIFF 6.0 section 2; 13 and 16-18 from later notes and BigTIFF).
_TYPE_BYTES: Final[Mapping[int, int]] = MappingProxyType(
    {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
)
_UNSIGNED: Final[Mapping[int, str]] = MappingProxyType({1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"})

_RATIO: Final = 5

#: A frame of a microscope has some thirty tags; thousands are an attack or damage.
_MOST_TAGS: Final = 4096

NEW_SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS = 273, 274, 277, 278, 279
PLANAR, TILE_OFFSETS, TILE_COUNTS, SAMPLE_FORMAT, FILL_ORDER = 284, 324, 325, 339, 266


class Data(Protocol):
    """The bytes of a file, all at hand, or read part by part from an open file."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Tag:
    """Where the values of one tag lie in the file."""

    kind: int
    count: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Page:
    """One image file directory of a TIFF."""

    data: Data
    order: str  #: ``<`` or ``>``
    tags: Mapping[int, Tag]

    def raw(self, tag: int) -> bytes | None:
        """Return the bytes of a tag, ``None`` if there is none; cut at the end of the file."""
        found = self.tags.get(tag)
        return None if found is None else self.data[found.start : found.stop]

    def is_cut(self, tag: int) -> bool:
        """Return whether a tag claims bytes beyond the end of the file."""
        found = self.tags.get(tag)
        return found is not None and found.stop > len(self.data)

    def numbers(self, tag: int) -> npt.NDArray[np.uint64]:
        """Return the whole numbers of a tag, none if it is absent or of another type."""
        found = self.tags.get(tag)
        if found is None or found.kind not in _UNSIGNED or found.stop > len(self.data):
            return np.empty(0, np.uint64)
        dtype = np.dtype(self.order + _UNSIGNED[found.kind])
        return np.frombuffer(self.data[found.start : found.stop], dtype).astype(np.uint64)

    def number(self, tag: int, default: int = 0) -> int:
        """Return the first whole number of a tag."""
        found = self.tags.get(tag)
        if found is None or found.kind not in _UNSIGNED or found.stop > len(self.data):
            return default
        first = self.data[found.start : found.start + _TYPE_BYTES[found.kind]]
        return int.from_bytes(first, "little" if self.order == "<" else "big")

    def ratio(self, tag: int) -> tuple[int, int] | None:
        """Return the numerator and denominator of a tag's first ratio, ``None`` if it has none."""
        found = self.tags.get(tag)
        if found is None or found.kind != _RATIO or found.stop > len(self.data) or found.count < 1:
            return None
        numerator, denominator = struct.unpack(self.order + "II", self.data[found.start : found.start + 8])
        return numerator, denominator

    @property
    def segments(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """Offsets and byte counts of the strips, or of the tiles if there are no strips."""
        offsets, counts = self.numbers(STRIP_OFFSETS), self.numbers(STRIP_COUNTS)
        if not len(offsets):
            offsets, counts = self.numbers(TILE_OFFSETS), self.numbers(TILE_COUNTS)
        if len(offsets) == 1 and not len(counts) and self.number(COMPRESSION, 1) == 1:
            # Legal long ago: one uncompressed strip whose length follows from the size of the picture.
            counts = np.array([self.decoded_bytes], np.uint64)
        return offsets, counts

    @property
    def decoded_bytes(self) -> int:
        """Bytes of the decoded picture, as its header claims."""
        bits = max((int(n) for n in self.numbers(BITS)), default=1)
        samples = self.number(SAMPLES, 1)
        return self.number(HEIGHT) * ((self.number(WIDTH) * samples * bits + 7) // 8)


def parse_pages(name: str, data: Data, max_pages: int) -> tuple[Page, ...]:
    """
    Read the pages of a TIFF, in the order of the file; ``name`` is for messages.

    Raises `errors.Truncated` if the file ends before its directory, `errors.TooLarge` for more than ``max_pages``,
    `errors.Unreadable` for pages that form a ring or make no sense.
    """
    order, big = ("<" if data[:2] == b"II" else ">"), data[2:4] in {b"+\x00", b"\x00+"}
    try:
        (offset,) = struct.unpack_from(order + ("Q" if big else "I"), data[:16], 8 if big else 4)
        pages: list[Page] = []
        seen: set[int] = set()
        while offset:
            if offset in seen:
                raise errors.Unreadable(f"{name}: its pages form a ring; expected a last page. Save the frame again")
            if len(pages) == max_pages:
                raise errors.TooLarge(
                    f"{name}: more than {max_pages} pages; export the frame you want as a file of its own"
                )
            seen.add(offset)
            page, offset = _parse_page(name, data, offset, order, big=big)
            pages.append(page)
    except (struct.error, OverflowError) as error:  # the latter for a position above 2**63
        raise errors.Truncated(
            f"{name}: {len(data)} bytes, and its list of tags lies beyond them; the writer has not finished or failed"
        ) from error
    if not pages:
        raise errors.Truncated(f"{name}: a TIFF header without a picture; the writer has not finished or failed")
    return tuple(pages)


def _parse_page(name: str, data: Data, offset: int, order: str, *, big: bool) -> tuple[Page, int]:
    (count,) = struct.unpack(order + ("Q" if big else "H"), data[offset : offset + (8 if big else 2)])
    if count == 0:
        raise errors.Truncated(f"{name}: its list of tags is empty; the writer has not finished or failed")
    if count > _MOST_TAGS:
        raise errors.Unreadable(
            f"{name}: a page claims {count} tags, expected at most {_MOST_TAGS}; save the frame again"
        )
    at = offset + (8 if big else 2)
    entry = struct.Struct(order + ("HHQ" if big else "HHI"))
    value_bytes, step, pointer = (8, 20, "Q") if big else (4, 12, "I")
    directory = data[at : at + count * step + value_bytes]
    tags: dict[int, Tag] = {}
    for place in range(0, count * step, step):
        number, kind, values = entry.unpack_from(directory, place)
        length = _TYPE_BYTES.get(kind, 0) * values
        start = at + place + entry.size
        if length > value_bytes:
            (start,) = struct.unpack_from(order + pointer, directory, place + entry.size)
        if length and number not in tags:  # of a repeated tag the first counts, as in libtiff
            tags[number] = Tag(kind, values, start, start + length)
    (following,) = struct.unpack_from(order + pointer, directory, count * step)
    return Page(data, order, MappingProxyType(tags)), following


def sub_page(page: Page, tag: int) -> Page | None:
    """Return the directory that a tag points to (the Exif one, say), ``None`` if there is none or it is damaged."""
    offset, big = page.number(tag), page.data[2:4] in {b"+\x00", b"\x00+"}
    if not offset:
        return None
    try:
        return _parse_page("", page.data, offset, page.order, big=big)[0]
    except (errors.FrameError, struct.error, OverflowError):
        return None


def picture_page(pages: tuple[Page, ...]) -> int:
    """Return the index of the page that is the frame: the first that is not marked as a reduced copy (thumbnail)."""
    return next((index for index, page in enumerate(pages) if not page.number(NEW_SUBFILE_TYPE) & 1), 0)


def check_complete(name: str, page: Page) -> None:
    """
    Refuse a page whose pixels are not all in the file, or whose compressed strips were reserved and never written.

    Raises `errors.Truncated`, or `errors.Unreadable` if the page does not say where its pixels are.
    """
    offsets, counts = page.segments
    if not len(offsets) or len(offsets) != len(counts):
        raise errors.Unreadable(
            f"{name}: {len(offsets)} strip positions and {len(counts)} strip lengths, expected as many of each; "
            "save the frame again"
        )
    size = len(page.data)
    # Compared without adding, as offset + count may exceed 64 bits in a damaged file.
    outside = (offsets > size) | (counts > size - np.minimum(offsets, size))
    if outside.any():
        raise errors.Truncated(
            f"{name}: {size} bytes, and {int(outside.sum())} of {len(offsets)} strips lie beyond them; "
            "the writer has not finished or failed"
        )
    uncompressed = page.number(COMPRESSION, 1) == 1
    if uncompressed and int(counts.sum()) < page.decoded_bytes:
        raise errors.Truncated(
            f"{name}: its strips hold {int(counts.sum())} bytes, expected {page.decoded_bytes}; save the frame again"
        )
    if not counts.any() or (page.number(COMPRESSION, 1) not in _ZEROS_ARE_PIXELS and _last_strip_is_zeros(page)):
        raise errors.Truncated(f"{name}: its last strip is empty: space was reserved and never written")


#: Compressions in which zeros are pixels: none, and PackBits, where they are black pixels one by one.
_ZEROS_ARE_PIXELS: Final = frozenset({1, 32773})

#: A black tail of less than this share of the pixels is a margin. The last 8 of 960 rows are black on real Hitachi frames.
_MARGIN_SHARE: Final = 1 / 32


def _last_strip_is_zeros(page: Page) -> bool:
    offsets, counts = page.segments
    return not page.data[int(offsets[-1]) : int(offsets[-1]) + int(counts[-1])].strip(b"\x00")


def has_black_tail(page: Page) -> bool:
    """
    Return True if the last strip or tile, and at least 1/32 of the pixels, are zeros.

    It is black, or space that was reserved and is still to be written; only time tells which.
    """
    if page.number(COMPRESSION, 1) not in _ZEROS_ARE_PIXELS:
        return False
    offsets, counts = page.segments
    wanted = max(int(counts[-1]) if len(counts) > 1 else 0, int(page.decoded_bytes * _MARGIN_SHARE), 1)
    for offset, count in zip(offsets[::-1].tolist(), counts[::-1].tolist(), strict=True):
        used = min(count, wanted)
        if page.data[offset + count - used : offset + count].strip(b"\x00"):
            return False
        wanted -= used
        if wanted == 0:
            break
    return True
