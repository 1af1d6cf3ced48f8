"""Every depth, photometric, compression and layout gives the same numbers, as an independent writer wrote them."""

from __future__ import annotations

import io
import itertools
import struct
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from emwatch import errors
from emwatch.readers import image
from emwatch.readers.sandbox.limits import Limits

_ROWS, _COLUMNS = 50, 70
_RNG = np.random.default_rng(11)
_INTEGERS = ("u1", "u2", "u4", "u8", "i1", "i2", "i4")
_FLOATS = ("f2", "f4", "f8")
_LAYOUTS: dict[str, dict[str, Any]] = {"strips": {"rowsperstrip": 7}, "tiles": {"tile": (16, 32)}}


def _values(kind: str, *more: int) -> np.ndarray:
    if kind in _FLOATS:
        return _RNG.normal(0, 1000, (_ROWS, _COLUMNS, *more)).astype(kind)
    span = np.iinfo(kind)
    return _RNG.integers(span.min, span.max, (_ROWS, _COLUMNS, *more), dtype=kind, endpoint=True)


def _decoded(data: bytes) -> np.ndarray:
    return image.decode("frame.tif", data, image.read_header("frame.tif", data, Limits()))


def _written(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, metadata=None, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("layout", _LAYOUTS)
@pytest.mark.parametrize("compression", [None, "zlib", "lzma"])
@pytest.mark.parametrize("kind", _INTEGERS + _FLOATS)
def test_grey_is_the_same_in_every_form(kind: str, compression: Any, layout: str, photometric: str) -> None:
    pixels = _values(kind)
    predictors = (1, 2) if compression and kind in _INTEGERS else (1,)
    dark = pixels if photometric == "minisblack" else -pixels if kind in _FLOATS else ~pixels

    for order, predictor, big in itertools.product("<>", predictors, (False, True)):
        options = {"byteorder": order, "predictor": predictor, "compression": compression, **_LAYOUTS[layout]}
        actual = _decoded(_written(pixels, photometric=photometric, bigtiff=big, **options))

        assert actual.dtype == pixels.dtype
        np.testing.assert_array_equal(dark, actual, err_msg=f"{order} predictor {predictor} bigtiff {big}")


@pytest.mark.parametrize("layout", _LAYOUTS)
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_colour_is_the_same_in_every_form(kind: str, compression: Any, layout: str, planes: Any) -> None:
    pixels = _values(kind, 3)
    stored = pixels if planes == "contig" else np.ascontiguousarray(np.moveaxis(pixels, 2, 0))

    data = _written(stored, photometric="rgb", planarconfig=planes, compression=compression, **_LAYOUTS[layout])

    np.testing.assert_array_equal(pixels, _decoded(data))


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_16_bit_white_is_zero_is_turned_round_in_every_compression(compression: str) -> None:
    pixels = _values("u2")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "TIFF", compression=compression, tiffinfo={262: 0})

    np.testing.assert_array_equal(~pixels, _decoded(buffer.getvalue()))


def _float_predictor(pixels: np.ndarray) -> np.ndarray:
    """Encode rows as TIFF Technical Note 3 says: bytes apart, the highest first, then the difference from byte to byte."""
    size = pixels.dtype.itemsize
    planes = pixels.astype(f">f{size}").view(np.uint8).reshape(len(pixels), -1, size).transpose(0, 2, 1)
    return np.diff(planes.reshape(len(pixels), -1), axis=1, prepend=np.uint8(0)).astype(np.uint8)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_the_predictor_for_floats_is_undone(kind: str, order: Any) -> None:
    pixels = _values(kind)
    rows = _float_predictor(pixels)
    data = _written(rows, compression="zlib", byteorder=order, rowsperstrip=_ROWS)
    data = _with_tags(data, order, {256: _COLUMNS, 258: pixels.dtype.itemsize * 8, 317: 3, 339: 3})

    np.testing.assert_array_equal(pixels, _decoded(data))


def _with_tags(data: bytes, order: str, values: dict[int, int]) -> bytes:
    """Write another directory at the end, with other values of one number each."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = {tag.code: tag.value for tag in file.pages[0].tags if isinstance(tag.value, int)}  # type: ignore[union-attr]
        page = file.pages[0]
        tags |= {273: page.dataoffsets[0], 279: page.databytecounts[0], **values}  # type: ignore[union-attr]
    at, byte_order = len(data) + len(data) % 2, "little" if order == "<" else "big"
    entries = [len(tags).to_bytes(2, byte_order)]
    for code in sorted(tags):
        entries += [code.to_bytes(2, byte_order), (4).to_bytes(2, byte_order), (1).to_bytes(4, byte_order)]
        entries += [int(tags[code]).to_bytes(4, byte_order)]
    return data[:4] + at.to_bytes(4, byte_order) + data[8:].ljust(at - 8, b"\0") + b"".join(entries) + bytes(4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_put_upright_in_every_depth(orientation: int) -> None:
    deep = _values("u2")
    shallow = (deep >> 8).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(shallow).save(buffer, "TIFF", tiffinfo={274: orientation})
    turned = Image.open(io.BytesIO(buffer.getvalue()))
    turned.load()

    actual = _decoded(_written(deep, photometric="minisblack", extratags=[(274, 3, 1, orientation, True)]))

    np.testing.assert_array_equal(np.asarray(turned), actual >> 8)


def test_tiles_that_are_too_short_are_truncated() -> None:
    data = bytearray(_written(_values("u2"), tile=(16, 32)))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        counts = file.pages[0].tags[325]  # type: ignore[union-attr]
        first, size = counts.valueoffset, 2 if counts.dtype == tifffile.DATATYPE.SHORT else 4
    data[first : first + size] = (10).to_bytes(size, "little")

    with pytest.raises(errors.Truncated):
        _decoded(bytes(data))


@pytest.mark.parametrize("step", [257, 1], ids=["16 bits", "8 bits"])
def test_a_colour_map_of_8_bits_is_not_black(step: int) -> None:
    pixels = _values("u1")
    colours = np.tile(np.arange(255, -1, -1, dtype="u2") * step, (3, 1))

    actual = _decoded(_written(pixels, photometric="palette", colormap=colours))

    np.testing.assert_array_equal(255 - pixels, actual)


def test_samples_of_an_undefined_format_are_unsigned() -> None:
    pixels = _values("u2")
    entry = struct.pack("<HHI", 339, 3, 1)
    signed = _written(pixels.view("i2"), byteorder="<")
    assert signed.count(entry + b"\x02") == 1

    np.testing.assert_array_equal(pixels, _decoded(signed.replace(entry + b"\x02", entry + b"\x04")))
