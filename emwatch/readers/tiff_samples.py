"""
The samples of a TIFF page as numbers: every depth, byte order and layout of grey, palette and RGB.

Uncompressed pixels are read with numpy. Of a lossless compression Pillow undoes only the compression: it is given the same
strips or tiles as 8-bit grey, because its own way through 16-bit white-is-zero, big-endian or signed samples gives negatives,
swapped bytes and wrong signs. Formats: TIFF 6.0, sections 3, 8, 14 (predictor) and 15 (tiles); Adobe's TIFF Technical Note 3
of 2005 (floating point predictor).
"""

from __future__ import annotations

import io
import itertools
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import TiffImagePlugin

from emwatch import errors
from emwatch.readers import tiff

if TYPE_CHECKING:
    import numpy.typing as npt

#: By (sample format, bits); sample format 1 unsigned, 2 signed, 3 float; 4, undefined, is read as 1 (TIFF 6.0, page 80).
_TYPES: Final = {
    (1, 8): "u1", (1, 16): "u2", (1, 32): "u4", (1, 64): "u8", (2, 8): "i1", (2, 16): "i2", (2, 32): "i4", (2, 64): "i8",
    (3, 16): "f2", (3, 32): "f4", (3, 64): "f8",
}  # fmt: skip

_UNDEFINED: Final = 4
_NONE: Final = 1
_PACKBITS: Final = 32773
_PREDICTED: Final = frozenset({5, 8, 32946, 34925, 50000})  # LZW, Deflate, old Deflate, LZMA, Zstandard
_LOSSLESS: Final = _PREDICTED | {_NONE, _PACKBITS}
_PREDICTOR, _TILE_WIDTH, _TILE_LENGTH = 317, 322, 323
_PLAIN, _HORIZONTAL, _FLOATING = 1, 2, 3
_SEPARATE: Final = 2
_REVERSED_BITS: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the samples of one plane lie in the file. A picture has one plane, or one for each sample of a pixel."""

    dtype: np.dtype[Any]
    height: int
    width: int
    samples: int  #: of a pixel, in one plane
    planes: int
    tile: tuple[int, int] | None  #: rows and columns; ``None`` for strips
    predictor: int

    @property
    def pixel_bytes(self) -> int:
        return self.samples * self.dtype.itemsize

    @property
    def stored_width(self) -> int:
        """Columns including those that fill the last tile."""
        return self.width if self.tile is None else -(-self.width // self.tile[1]) * self.tile[1]


def read_samples(name: str, page: tiff.Page) -> npt.NDArray[Any] | None:
    """
    Return the samples of a page, shape (height, width, samples), upright, in the type of the file and native byte order.

    ``None`` if the page has another kind of samples (1, 4 or 12 bits, JPEG), which is left to Pillow. The header must have
    passed `tiff.check_complete`. Raises `errors.Truncated`, `errors.Unreadable`, and what Pillow raises for damage.
    """
    layout = _layout(page)
    if layout is None:
        return None
    planes = [_plane(name, page, layout, index) for index in range(layout.planes)]
    pixels = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
    return _upright(pixels, page.number(tiff.ORIENTATION, 1))


def _layout(page: tiff.Page) -> _Layout | None:
    bits = {int(n) for n in page.numbers(tiff.BITS)}
    kind = page.number(tiff.SAMPLE_FORMAT, 1)
    dtype = _TYPES.get((1 if kind == _UNDEFINED else kind, max(bits, default=1)))
    compression = page.number(tiff.COMPRESSION, _NONE)
    if dtype is None or len(bits) != 1 or compression not in _LOSSLESS:
        return None
    samples = page.number(tiff.SAMPLES, 1)
    separate = page.number(tiff.PLANAR, 1) == _SEPARATE and samples > 1
    tiled = not len(page.numbers(tiff.STRIP_OFFSETS))
    tile = (page.number(_TILE_LENGTH), page.number(_TILE_WIDTH)) if tiled else None
    predictor = page.number(_PREDICTOR, _PLAIN) if compression in _PREDICTED else _PLAIN
    if (tile is not None and 0 in tile) or not _PLAIN <= predictor <= _FLOATING:
        return None
    return _Layout(
        np.dtype(page.order + dtype),
        page.number(tiff.HEIGHT),
        page.number(tiff.WIDTH),
        1 if separate else samples,
        samples if separate else 1,
        tile,
        predictor,
    )


def _plane(name: str, page: tiff.Page, layout: _Layout, index: int) -> npt.NDArray[Any]:
    offsets, counts = (values.tolist() for values in page.segments)
    each = len(offsets) // layout.planes
    offsets, counts = offsets[index * each : (index + 1) * each], counts[index * each : (index + 1) * each]
    if page.number(tiff.COMPRESSION, _NONE) != _NONE:
        stored = _decompressed(page, layout, offsets, counts)
    else:
        join = _joined_strips if layout.tile is None else _joined_tiles
        stored = join(name, page, layout, offsets, counts)
        if page.number(tiff.FILL_ORDER, 1) != 1:
            stored = np.frombuffer(stored.tobytes().translate(_REVERSED_BITS), np.uint8)
    stored = stored.reshape(layout.height, -1)
    if layout.predictor == _FLOATING:
        values = _without_float_predictor(stored, layout)
    else:
        values = stored.view(layout.dtype).astype(layout.dtype.newbyteorder("="), copy=False)
        values = values.reshape(layout.height, layout.stored_width, layout.samples)
        if layout.predictor == _HORIZONTAL:
            values = _without_predictor(values, layout)
    return values[:, : layout.width]


def _joined_strips(
    name: str, page: tiff.Page, layout: _Layout, offsets: list[int], counts: list[int]
) -> npt.NDArray[np.uint8]:
    row = layout.width * layout.pixel_bytes
    needed = layout.height * row
    data = np.frombuffer(page.data[:], np.uint8)
    strip = min(page.number(tiff.ROWS_PER_STRIP, 2**32 - 1) * row, needed)
    strips = -(-needed // strip) if strip else 0
    offsets, counts = offsets[:strips], counts[:strips]  # a damaged header may list millions that overlap
    if all(following == offset + strip for offset, following in itertools.pairwise(offsets)):
        joined = data[offsets[0] : offsets[0] + needed]  # one run, as every microscope here writes it: nothing to copy
    else:
        joined = np.concatenate([data[o : o + min(c, strip)] for o, c in zip(offsets, counts, strict=True)])[:needed]
    if len(joined) != needed or any(count < strip for count in counts[:-1]):
        raise errors.Truncated(
            f"{name}: its strips hold {len(joined)} bytes of pixels, expected {needed}; save the frame again"
        )
    return joined


def _joined_tiles(
    name: str, page: tiff.Page, layout: _Layout, offsets: list[int], counts: list[int]
) -> npt.NDArray[np.uint8]:
    rows, columns = layout.tile or (0, 0)
    wide = columns * layout.pixel_bytes
    places = list(itertools.product(range(0, layout.height, rows), range(0, layout.width, columns)))
    if len(offsets) < len(places) or min(counts[: len(places)]) < rows * wide:
        raise errors.Truncated(f"{name}: its tiles hold fewer bytes than its picture has; save the frame again")
    data = np.frombuffer(page.data[:], np.uint8)
    joined = np.empty((layout.height, layout.stored_width * layout.pixel_bytes), np.uint8)
    for (top, left), offset in zip(places, offsets[: len(places)], strict=True):
        tile = data[offset : offset + rows * wide].reshape(rows, wide)
        part = joined[top : top + rows, left * layout.pixel_bytes : left * layout.pixel_bytes + wide]
        part[:] = tile[: len(part)]
    return joined


def _decompressed(page: tiff.Page, layout: _Layout, offsets: list[int], counts: list[int]) -> npt.NDArray[np.uint8]:
    """Return the bytes of each row, shape (height, bytes), as Pillow decompresses them when told that they are 8-bit grey."""
    tags: dict[int, list[int]] = {
        tiff.WIDTH: [layout.stored_width * layout.pixel_bytes],
        tiff.HEIGHT: [layout.height],
        tiff.BITS: [8],
        tiff.COMPRESSION: [page.number(tiff.COMPRESSION)],
        tiff.PHOTOMETRIC: [1],
        tiff.FILL_ORDER: [page.number(tiff.FILL_ORDER, 1)],
        tiff.SAMPLES: [1],
    }
    if layout.tile is None:
        tags[tiff.ROWS_PER_STRIP] = [min(page.number(tiff.ROWS_PER_STRIP, layout.height), layout.height)]
        tags |= {tiff.STRIP_OFFSETS: offsets, tiff.STRIP_COUNTS: counts}
    else:
        tags |= {_TILE_WIDTH: [layout.tile[1] * layout.pixel_bytes], _TILE_LENGTH: [layout.tile[0]]}
        tags |= {tiff.TILE_OFFSETS: offsets, tiff.TILE_COUNTS: counts}
    # Not by Image.open: its bound on pixels counts each byte here as one, and the header has passed our own bounds.
    with TiffImagePlugin.TiffImageFile(io.BytesIO(_with_directory(page, tags))) as image:
        image.load()
        return np.asarray(image)


def _with_directory(page: tiff.Page, tags: dict[int, list[int]]) -> bytes:
    """Return the file with another directory at its end, in which every tag is a LONG (a classic TIFF, also of a BigTIFF)."""
    at = len(page.data) + len(page.data) % 2
    values_at = at + 2 + 12 * len(tags) + 4
    entries, values = struct.pack(page.order + "H", len(tags)), b""
    for tag in sorted(tags):
        numbers = struct.pack(f"{page.order}{len(tags[tag])}I", *tags[tag])
        entries += struct.pack(page.order + "HHI", tag, 4, len(tags[tag]))
        if len(numbers) == 4:
            entries += numbers
        else:
            entries += struct.pack(page.order + "I", values_at + len(values))
            values += numbers
    head = page.data[:2] + struct.pack(page.order + "HI", 42, at)
    return b"".join((head, page.data[8:], bytes(at - len(page.data)), entries, bytes(4), values))


def _without_predictor(values: npt.NDArray[Any], layout: _Layout) -> npt.NDArray[Any]:
    """Add up the differences from pixel to pixel, in each tile or row."""
    step = layout.tile[1] if layout.tile else layout.width
    whole = values.view(f"u{layout.dtype.itemsize}")
    sums = [
        np.cumsum(whole[:, at : at + step], axis=1, dtype=whole.dtype) for at in range(0, layout.stored_width, step)
    ]
    return np.concatenate(sums, axis=1).view(values.dtype) if len(sums) > 1 else sums[0].view(values.dtype)


def _without_float_predictor(stored: npt.NDArray[np.uint8], layout: _Layout) -> npt.NDArray[Any]:
    """Add up the differences from byte to byte; each tile or row has first the highest bytes of all values, then the next."""
    step = layout.tile[1] if layout.tile else layout.width
    size, parts = layout.dtype.itemsize, []
    for at in range(0, stored.shape[1], step * layout.pixel_bytes):
        block = stored[:, at : at + step * layout.pixel_bytes].reshape(layout.height, -1, layout.samples)
        planes = np.cumsum(block, axis=1, dtype=np.uint8).reshape(layout.height, size, step * layout.samples)
        values = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(f">{layout.dtype.kind}{size}")
        parts.append(values.reshape(layout.height, step, layout.samples))
    joined = np.concatenate(parts, axis=1)
    return joined.astype(joined.dtype.newbyteorder("="))


def _upright(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Turn and mirror as the Orientation tag asks (TIFF 6.0, page 36)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
