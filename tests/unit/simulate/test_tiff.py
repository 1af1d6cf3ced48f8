from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
import tifffile
from PIL import Image

from emwatch.simulate.tiff import TagType, WrittenPage, WrittenTag, directory_block, encode_tiff

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

GREY = (np.arange(37 * 23).reshape(23, 37) % 256).astype(np.uint8)
DEEP = (np.arange(37 * 23).reshape(23, 37) * 61).astype(np.uint16)
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=-1)
ALPHA = np.concatenate([COLOUR, GREY[..., None]], axis=-1)
PALETTE = np.stack([np.arange(256), np.arange(256)[::-1], np.full(256, 7)]).astype(np.uint16) * 257


def read(data: bytes) -> tifffile.TiffFile:
    return tifffile.TiffFile(io.BytesIO(data))


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("directory_first", [True, False])
@pytest.mark.parametrize("rows_per_strip", [None, 1, 10])
@pytest.mark.parametrize("pixels", [GREY, DEEP, COLOUR, ALPHA], ids=["grey", "16-bit", "rgb", "rgba"])
def test_pixels_come_back_from_every_layout(
    pixels: Pixels, rows_per_strip: int | None, directory_first: bool, byte_order: Literal["<", ">"]
) -> None:
    data = encode_tiff(
        [WrittenPage(pixels, rows_per_strip=rows_per_strip)], directory_first=directory_first, byte_order=byte_order
    )

    assert np.array_equal(pixels, read(data).asarray())


@pytest.mark.parametrize("pixels", [GREY, DEEP, COLOUR, ALPHA], ids=["grey", "16-bit", "rgb", "rgba"])
def test_pillow_reads_the_same_pixels(pixels: Pixels) -> None:
    image = Image.open(io.BytesIO(encode_tiff([WrittenPage(pixels, rows_per_strip=4)])))

    assert np.array_equal(pixels, np.asarray(image))


def test_a_palette_gives_its_colours() -> None:
    image = Image.open(io.BytesIO(encode_tiff([WrittenPage(GREY, palette=PALETTE)])))

    assert image.mode == "P"
    assert np.array_equal(np.asarray(image.convert("RGB")), (PALETTE // 257).T[GREY])


@pytest.mark.parametrize("directory_first", [True, False])
def test_every_page_comes_back(directory_first: bool) -> None:
    pages = [WrittenPage(GREY), WrittenPage(DEEP, rows_per_strip=5), WrittenPage(COLOUR)]

    with read(encode_tiff(pages, directory_first=directory_first)) as tiff:
        found = [page.asarray() for page in tiff.pages]

    assert len(found) == 3
    assert all(np.array_equal(page.pixels, pixels) for page, pixels in zip(pages, found, strict=True))


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        (WrittenTag(65001, TagType.BYTE, b"\x01\x02\x03\x04\x05"), b"\x01\x02\x03\x04\x05"),
        (WrittenTag(65001, TagType.ASCII, b"WD = 4.1 mm\0"), "WD = 4.1 mm"),
        (WrittenTag(65001, TagType.SHORT, [1, 2, 3]), (1, 2, 3)),
        (WrittenTag(65001, TagType.LONG, 70000), 70000),
        (WrittenTag(65001, TagType.RATIONAL, (3, 7)), (3, 7)),
        (WrittenTag(65001, TagType.RATIONAL, [(3, 7), (1, 2)]), (3, 7, 1, 2)),
        (WrittenTag(65001, TagType.SBYTE, [-1, 5]), (-1, 5)),
        (WrittenTag(65001, TagType.UNDEFINED, b"abcdefg"), b"abcdefg"),
        (WrittenTag(65001, TagType.SSHORT, -300), -300),
        (WrittenTag(65001, TagType.SLONG, -70000), -70000),
        (WrittenTag(65001, TagType.SRATIONAL, (-3, 7)), (-3, 7)),
        (WrittenTag(65001, TagType.FLOAT, 0.5), 0.5),
        (WrittenTag(65001, TagType.DOUBLE, [0.1, 2e-9]), (0.1, 2e-9)),
    ],
    ids=lambda value: value.type.name if isinstance(value, WrittenTag) else "",
)
def test_an_extra_tag_of_any_type_is_kept(tag: WrittenTag, expected: object) -> None:
    with read(encode_tiff([WrittenPage(GREY, tags=(tag,))])) as tiff:
        assert expected == tiff.pages[0].tags[65001].value
        assert np.array_equal(GREY, tiff.asarray())


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("directory_first", [True, False])
def test_a_block_stands_where_its_tag_says(directory_first: bool, byte_order: Literal["<", ">"]) -> None:
    """Also on a second page, behind a value that needs padding, and for a directory with a place of its own."""
    exif = directory_block([WrittenTag(36867, TagType.ASCII, b"2026:04:08 15:06:09\0")], byte_order)
    page = WrittenPage(
        GREY,
        tags=(WrittenTag(65000, TagType.ASCII, b"odd\0\0"),),
        blocks={34665: exif, 65001: lambda at: f"at {at}".encode()},
    )
    data = encode_tiff([page, page], directory_first=directory_first, byte_order=byte_order)

    with read(data) as tiff:
        for each in tiff.pages:
            place = each.tags[65001].value
            assert data[place:].startswith(f"at {place}".encode())
            assert each.tags[34665].value["DateTimeOriginal"] == "2026:04:08 15:06:09"
            assert np.array_equal(GREY, each.asarray())


@pytest.mark.parametrize(("directory_first", "nearer"), [(True, "directory"), (False, "pixels")])
def test_the_directory_stands_where_it_was_asked_for(directory_first: bool, nearer: str) -> None:
    data = encode_tiff([WrittenPage(GREY)], directory_first=directory_first)

    with read(data) as tiff:
        first = "directory" if tiff.pages[0].offset < tiff.pages[0].dataoffsets[0] else "pixels"

    assert nearer == first


@pytest.mark.parametrize(
    "page",
    [
        WrittenPage(GREY.astype(np.float32)),
        WrittenPage(np.zeros((4, 4, 2), np.uint8)),
        WrittenPage(DEEP, palette=PALETTE),
    ],
    ids=["float", "two channels", "deep palette"],
)
def test_pixels_no_page_can_hold_are_refused(page: WrittenPage) -> None:
    with pytest.raises(ValueError, match="8-bit" if page.palette is not None else "TIFF page"):
        encode_tiff([page])


def test_text_given_to_a_byte_tag_is_refused() -> None:
    with pytest.raises(TypeError, match="65001"):
        encode_tiff([WrittenPage(GREY, tags=(WrittenTag(65001, TagType.ASCII, "text"),))])
