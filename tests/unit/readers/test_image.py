"""Pixels: every layout in, grey or RGB out; and nothing damaged, unfinished or absurd gets through as a frame."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from emwatch import errors
from emwatch.readers import image
from emwatch.readers.sandbox.limits import Limits

_RNG = np.random.default_rng(7)
_GREY8 = _RNG.integers(1, 256, (40, 60), np.uint8)
_GREY16 = _RNG.integers(1, 65536, (40, 60), np.uint16)
_RGB8 = _RNG.integers(1, 256, (40, 60, 3), np.uint8)


def _decoded(data: bytes, limits: Limits | None = None) -> np.ndarray:
    return image.decode("frame.tif", data, image.read_header("frame.tif", data, limits or Limits()))


def _encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("rows_per_strip", [None, 1, 7])
@pytest.mark.parametrize(
    "pixels",
    [
        _GREY8,
        _GREY16,
        _GREY16.astype(np.uint32),
        _GREY16.astype(np.float32) / 3,
        _GREY16.view(np.int16),
        _RGB8,
        _GREY16[..., np.newaxis].repeat(3, axis=2),
    ],
    ids=["uint8", "uint16", "uint32", "float32", "int16", "rgb8", "rgb16"],
)
def test_uncompressed_tiffs_keep_every_value_and_their_type(
    build: Any, pixels: Any, rows_per_strip: Any, order: str
) -> None:
    actual = _decoded(build.tiff(pixels, order=order, rows_per_strip=rows_per_strip))

    np.testing.assert_array_equal(pixels, actual)
    assert actual.dtype == pixels.dtype


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("pixels", [_GREY8, _GREY16, _RGB8], ids=["uint8", "uint16", "rgb8"])
def test_tiffs_of_other_writers_are_decoded(pixels: Any, compression: Any) -> None:
    actual = _decoded(_encoded(Image.fromarray(pixels), "TIFF", compression=compression))

    np.testing.assert_array_equal(pixels, actual)


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
@pytest.mark.parametrize("pixels", [_GREY8, _RGB8], ids=["uint8", "rgb8"])
def test_exported_pictures_are_decoded(pixels: Any, kind: str) -> None:
    np.testing.assert_array_equal(pixels, _decoded(_encoded(Image.fromarray(pixels), kind)))


def test_a_16_bit_png_keeps_its_16_bits() -> None:
    np.testing.assert_array_equal(_GREY16, _decoded(_encoded(Image.fromarray(_GREY16), "PNG")))


def test_a_jpeg_is_decoded() -> None:
    actual = _decoded(_encoded(Image.new("L", (60, 40), 77), "JPEG"))

    assert (actual.shape, actual.dtype, int(actual[5, 5])) == ((40, 60), np.uint8, 77)


def _paletted(colours: list[tuple[int, int, int]], indices: np.ndarray) -> Image.Image:
    picture = Image.new("P", indices.shape[::-1])
    picture.putdata(indices.ravel().tolist())
    picture.putpalette([value for colour in colours for value in colour])
    return picture


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "BMP"])
def test_a_palette_is_grey_where_the_colours_in_use_are(kind: str) -> None:
    colours = [(255 - n, 255 - n, 255 - n) for n in range(255)] + [(255, 0, 0)]
    indices = _GREY8 - 1

    np.testing.assert_array_equal(255 - indices, _decoded(_encoded(_paletted(colours, indices), kind)))


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "BMP"])
def test_a_palette_is_rgb_where_one_colour_in_use_is_not_grey(kind: str) -> None:
    colours = [(n, n, n) for n in range(255)] + [(255, 0, 10)]
    indices = _GREY8.copy()
    indices[0, 0] = 255

    actual = _decoded(_encoded(_paletted(colours, indices), kind))

    assert actual.shape == (40, 60, 3)
    assert (actual[0, 0].tolist(), actual[5, 5].tolist()) == ([255, 0, 10], [int(_GREY8[5, 5])] * 3)


def test_white_is_zero_is_turned_round(build: Any) -> None:
    actual = _decoded(build.tiff(_GREY8, replace={262: (3, (0,))}))

    np.testing.assert_array_equal(255 - _GREY8, actual)


@pytest.mark.parametrize("alpha", [0, 255])
def test_an_alpha_that_is_the_same_everywhere_is_ignored(build: Any, alpha: int) -> None:
    rgba = np.dstack([_RGB8, np.full((40, 60), alpha, np.uint8)])

    np.testing.assert_array_equal(_RGB8, _decoded(build.tiff(rgba)))


def test_transparency_is_over_black() -> None:
    rgba = np.dstack([np.full((4, 4, 3), 200, np.uint8), np.full((4, 4), 255, np.uint8)])
    rgba[0, 0, 3] = 0

    actual = _decoded(_encoded(Image.fromarray(rgba), "PNG"))

    assert (actual[0, 0].tolist(), actual[1, 1].tolist()) == ([0, 0, 0], [200, 200, 200])


@pytest.mark.parametrize(
    "options", [{}, {"compression": "deflate"}, {"tile": (16, 16)}], ids=["plain", "deflate", "tiles"]
)
def test_of_several_pages_the_first_that_is_no_thumbnail_is_the_frame(options: Any) -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(_GREY8[:4, :6], subfiletype=1, metadata=None)
        writer.write(_GREY8, metadata=None, **options)
    data = buffer.getvalue()

    header = image.read_header("frame.tif", data, Limits())

    assert (len(header.pages), header.picture, header.width) == (2, 1, 60)
    np.testing.assert_array_equal(_GREY8, image.decode("frame.tif", data, header))


@pytest.mark.parametrize("cut", [0.999, 0.9, 0.5, 0.1, 0.01])
@pytest.mark.parametrize("kind", ["TIFF", "PNG", "JPEG", "BMP"])
def test_a_file_cut_anywhere_is_truncated(kind: str, cut: float) -> None:
    data = _encoded(Image.fromarray(_GREY8), kind)

    with pytest.raises(errors.Truncated, match=r"frame\.tif: "):
        _decoded(data[: int(len(data) * cut)])


@pytest.mark.parametrize("size", range(1, 8))
def test_a_tiff_of_a_few_bytes_is_truncated(build: Any, size: int) -> None:
    with pytest.raises(errors.Truncated):
        image.read_header("frame.tif", build.tiff()[:size], Limits())


@pytest.mark.parametrize("rows_per_strip", [None, 1, 8])
@pytest.mark.parametrize("unwritten_rows", [4, 20, 39])
def test_a_black_tail_is_a_whole_frame_that_may_still_be_written(
    build: Any, rows_per_strip: Any, unwritten_rows: int
) -> None:
    if rows_per_strip == 8 and unwritten_rows < 8:
        unwritten_rows = 8
    pixels = _GREY8.copy()
    pixels[-unwritten_rows:] = 0
    data = build.tiff(pixels, rows_per_strip=rows_per_strip)

    header = image.read_header("frame.tif", data, Limits())

    assert header.black_tail
    np.testing.assert_array_equal(pixels, image.decode("frame.tif", data, header))


def test_a_bmp_that_ends_in_zeros_may_still_be_written() -> None:
    pixels = _GREY8.copy()
    pixels[:4] = 0  # a BMP has its lowest row first

    found = [image.read_header("a.bmp", _encoded(Image.fromarray(each), "BMP"), Limits()) for each in (pixels, _GREY8)]

    assert [each.black_tail for each in found] == [True, False]


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_compressed_space_reserved_and_never_written_is_truncated(compression: str) -> None:
    data = bytearray(_encoded(Image.fromarray(_GREY8), "TIFF", compression=compression))
    offsets, counts = image.read_header("frame.tif", bytes(data), Limits()).pages[0].segments
    start, size = int(offsets[-1]), int(counts[-1])
    data[start : start + size] = bytes(size)

    with pytest.raises(errors.Truncated, match="never written"):
        image.read_header("frame.tif", bytes(data), Limits())


def test_a_black_margin_below_the_bar_is_no_unwritten_space(build: Any) -> None:
    pixels = np.full((960, 64), 90, np.uint8)
    pixels[-8:] = 0  # as on real Hitachi frames, where it fills the last strip

    header = image.read_header("frame.tif", build.tiff(pixels, rows_per_strip=6), Limits())

    assert (header.height, header.black_tail) == (960, False)


def test_a_frame_that_is_black_throughout_is_a_frame(build: Any) -> None:
    assert not _decoded(build.tiff(np.zeros((40, 60), np.uint8), rows_per_strip=4)).any()


def test_a_file_of_zeros_named_like_a_frame_is_reserved_space() -> None:
    with pytest.raises(errors.Truncated, match="nothing written yet"):
        image.recognise("frame.tif", b"\x00" * 1000)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"[MAIN]\r\nMagnification=100", "the text '[MAIN]"),
        (b"\xff\xfe[\x00S\x00E\x00M\x00]\x00", "the text '[SEM]'"),
        (b"PK\x03\x04\x00\x00\x00\x00", "the bytes 50 4b 03 04"),
        (b"\x00" * 100, "the bytes 00 00"),
        (b"\xff\xfe\x00", "the bytes ff fe 00"),
    ],
)
def test_what_is_no_image_is_no_frame_and_the_message_says_how_it_starts(data: Any, says: str) -> None:
    with pytest.raises(errors.NotAFrame) as caught:
        image.recognise("notes.txt", data)

    assert f"notes.txt: starts with {says}" in str(caught.value)
    assert "expected a TIFF, PNG, JPEG or BMP image" in str(caught.value)


def test_an_uncompressed_header_that_asks_for_too_much_is_refused_before_decoding(build: Any) -> None:
    data = build.tiff(replace={256: (4, (200_000,)), 257: (4, (200_000,))})

    with pytest.raises(errors.TooLarge, match=r"200000 x 200000.* or raise watch\.max_frame_mb"):
        image.read_header("frame.tif", data, Limits())


def test_a_compressed_bomb_is_refused_before_decoding() -> None:
    data = _encoded(Image.new("L", (6000, 6000)), "TIFF", compression="tiff_adobe_deflate")
    assert len(data) < 100_000

    with pytest.raises(errors.TooLarge, match="200 times"):
        image.read_header("frame.tif", data, Limits())


def test_a_png_bomb_is_refused_by_its_pixels() -> None:
    ihdr = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + ihdr + b"\x00\x00\x00\x00" + b"\x00\x00\x00\x00IEND\xaeB`\x82"
    data = data[:29] + struct.pack(">I", zlib.crc32(b"IHDR" + ihdr)) + data[33:]

    with pytest.raises(errors.TooLarge):
        image.read_header("frame.png", data, Limits())


def test_a_blank_frame_that_compresses_a_thousandfold_is_a_frame() -> None:
    data = _encoded(Image.new("L", (1024, 768), 12), "TIFF", compression="tiff_adobe_deflate")
    assert len(data) * 200 < 1024 * 768

    assert _decoded(data).shape == (768, 1024)


def test_more_pages_than_a_frame_has_are_refused() -> None:
    pages = [Image.new("L", (2, 2), 5)] * 65
    data = _encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])

    with pytest.raises(errors.TooLarge, match="64 pages"):
        image.read_header("frame.tif", data, Limits())


def test_pages_that_form_a_ring_are_refused(build: Any) -> None:
    with pytest.raises(errors.Unreadable, match="ring"):
        image.read_header("frame.tif", build.tiff(next_ifd=8), Limits())


def test_a_next_page_beyond_the_end_is_truncated(build: Any) -> None:
    with pytest.raises(errors.Truncated):
        image.read_header("frame.tif", build.tiff(next_ifd=10_000_000), Limits())


@pytest.mark.parametrize(
    "replace",
    [{256: (4, (0,))}, {279: (4, (1, 2))}, {258: (3, (0,))}, {262: (3, (77,)), 258: (3, (5,))}],
    ids=["no width", "more lengths than positions", "no bits", "unknown colours"],
)
def test_a_header_that_makes_no_sense_is_unreadable(build: Any, replace: Any) -> None:
    with pytest.raises(errors.Unreadable, match=r"frame\.tif: "):
        _decoded(build.tiff(replace=replace))


@pytest.mark.parametrize("offset", [10**6, 2**32 - 1])
def test_a_strip_beyond_the_end_is_truncated(build: Any, offset: int) -> None:
    with pytest.raises(errors.Truncated, match="1 of 1 strips"):
        image.read_header("frame.tif", build.tiff(replace={273: (4, (offset,))}), Limits())


def test_strips_too_short_for_the_picture_are_truncated(build: Any) -> None:
    with pytest.raises(errors.Truncated, match="expected 768"):
        image.read_header("frame.tif", build.tiff(replace={279: (4, (767,))}), Limits())


def test_strips_that_overlap_by_the_thousand_take_no_memory(build: Any) -> None:
    whole = build.tiff(_GREY8)
    at = whole.index(_GREY8.tobytes())
    copies = 10_000
    data = build.tiff(_GREY8, replace={273: (4, (at,) * copies), 279: (4, (_GREY8.size,) * copies)})
    header = image.read_header("frame.tif", data, Limits())

    tracemalloc.start()
    pixels = image.decode("frame.tif", data, header)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert pixels.shape == (40, 60)
    assert peak < 5_000_000


def test_damaged_compressed_pixels_are_an_error_and_not_zeros() -> None:
    data = bytearray(_encoded(Image.fromarray(_GREY8), "TIFF", compression="tiff_lzw"))
    page = image.read_header("frame.tif", bytes(data), Limits()).pages[0]
    offsets, counts = page.segments
    start = int(offsets[0])
    data[start : start + int(counts[0])] = bytes(range(1, 255)) * 100

    with pytest.raises((errors.Unreadable, errors.Truncated)):
        _decoded(bytes(data))


def test_16_bit_colour_that_cannot_be_decoded_is_refused_rather_than_halved(build: Any) -> None:
    data = build.tiff(_GREY16[..., np.newaxis].repeat(3, axis=2), replace={259: (3, (7,))})

    with pytest.raises(errors.Unreadable, match="3 samples of 16 bits a pixel"):
        _decoded(data)
