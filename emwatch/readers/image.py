"""
Pixels: what kind of image the bytes are, whether it is whole, and its grey or RGB values.

Recognised by content, never by name. The samples of a TIFF are read by `tiff_samples` if it can, everything else by Pillow,
restricted to the one format that was recognised. Nothing is decoded before its header passed.
"""

from __future__ import annotations

import io
import struct
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image, UnidentifiedImageError

from emwatch import errors
from emwatch.readers import tiff
from emwatch.readers.tiff_samples import read_samples

if TYPE_CHECKING:
    import numpy.typing as npt

    from emwatch.readers.sandbox.limits import Limits
    from emwatch.readers.sandbox.snapshot import OpenFile

_MAGICS: Final = (
    *((magic, "TIFF") for magic in tiff.MAGICS),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"BM", "BMP"),
)
#: So much of a file is read to recognise it, and of its end to see that a PNG or JPEG is whole.
_HEAD_BYTES: Final = 4096
_TAIL_BYTES: Final = 65536

#: Of a larger file the structure is looked at before it is read whole: one that is written slowly is looked at often.
_LARGE_BYTES: Final = 4 * 1024 * 1024
_JUST_NOW_S: Final = 3.0

_SUFFIXES: Final = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")

#: What a damaged file makes Pillow raise; it documents none of it (seen in mutated frames: all of these).
_DECODER_ERRORS: Final = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, RuntimeError,
    struct.error, ArithmeticError, AssertionError,
)  # fmt: skip

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_PALETTE = 3
_COLOUR_MAP = 320


#: A BMP that ends in zeros for this share of its bytes may not be written to its end; a smaller one is a black margin.
_BLACK_TAIL_SHARE: Final = 1 / 32


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of an image states."""

    image_format: str
    width: int
    height: int
    pixel_type: str
    pages: tuple[tiff.Page, ...]  #: of a TIFF; empty for the others
    picture: int  #: index of the page that is the frame
    black_tail: bool = False  #: it ends in zeros: black, or not written yet


def recognise(name: str, data: bytes) -> str:
    """
    Return the image format of the bytes: ``TIFF``, ``PNG``, ``JPEG`` or ``BMP``; ``name`` is for messages.

    Raises `errors.NotAFrame` for anything else, `errors.Truncated` for a file named like an image that has hardly begun.
    """
    for magic, image_format in _MAGICS:
        if data.startswith(magic):
            return image_format
    if name.lower().endswith(_SUFFIXES):
        if not data[:4096].strip(b"\x00"):
            raise errors.Truncated(f"{name}: starts with zeros: space was reserved and nothing written yet")
        if any(magic.startswith(data) for magic, _ in _MAGICS):
            raise errors.Truncated(f"{name}: ends within its first bytes; the writer has not finished or failed")
    raise errors.NotAFrame(f"{name}: starts with {_start(data)}; expected a TIFF, PNG, JPEG or BMP image")


def _start(data: bytes) -> str:
    head = data[:24]
    for encoding in ("utf-8-sig", "utf-16"):
        if encoding == "utf-16" and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
            continue
        text = head.decode(encoding, errors="ignore").strip()
        if text and text.replace("\r", "").replace("\n", "").replace("\t", "").isprintable():
            return f"the text {text!r}"
    return f"the bytes {head[:8].hex(' ')}"


def check_start(name: str, file: OpenFile, limits: Limits) -> None:
    """
    Refuse a file that is no image by its first bytes, and a large one that is not whole yet by its structure.

    Raises `errors.NotAFrame`, `errors.Truncated`, and `errors.Unsteady` for a large file that was written to a moment ago and
    ends in zeros. What passes may still be refused once it is read.
    """
    head = file[:_HEAD_BYTES]
    image_format = recognise(name, head)
    if file.size < _LARGE_BYTES:
        return
    if image_format != "TIFF":
        _check_whole(name, file.size, head, file[-_TAIL_BYTES:], image_format)
        return
    pages = tiff.parse_pages(name, file, limits.pages)
    page = pages[tiff.picture_page(pages)]
    tiff.check_complete(name, page)
    if 0 <= time.time() - file.modified_s < _JUST_NOW_S and tiff.has_black_tail(page):
        raise errors.Unsteady(
            f"{name}: just written to, and its last rows are black or not written yet; it is read later"
        )


def read_header(name: str, data: bytes, limits: Limits) -> Header:
    """
    Read and judge an image's header: its size against the limits, and whether all of it is there.

    Raises `errors.NotAFrame`, `errors.Truncated`, `errors.TooLarge` and `errors.Unreadable`.
    """
    image_format = recognise(name, data)
    if image_format == "TIFF":
        return _tiff_header(name, data, limits)
    _check_whole(name, len(data), data, data[-_TAIL_BYTES:], image_format)
    with _decoder_errors(name), _open(data, image_format) as image:
        width, height = image.size
        mode = image.mode
        # A PNG or JPEG with several frames (APNG, MPO) shows its first; none of them is a microscope's.
    _check_size(
        name,
        width,
        height,
        width * height * _bytes_per_pixel(mode),
        len(data),
        limits,
        compressed=image_format != "BMP",
    )
    tail = image_format == "BMP" and not data[-max(1, int(len(data) * _BLACK_TAIL_SHARE)) :].strip(b"\x00")
    return Header(image_format, width, height, _MODE_NAMES.get(mode, mode), (), 0, tail)


def _tiff_header(name: str, data: bytes, limits: Limits) -> Header:
    pages = tiff.parse_pages(name, data, limits.pages)
    picture = tiff.picture_page(pages)
    page = pages[picture]
    compressed = page.number(tiff.COMPRESSION, 1) != 1
    width, height = page.number(tiff.WIDTH), page.number(tiff.HEIGHT)
    _check_size(name, width, height, page.decoded_bytes, len(data), limits, compressed=compressed)
    tiff.check_complete(name, page)
    return Header("TIFF", width, height, _tiff_pixel_type(page), pages, picture, tiff.has_black_tail(page))


def _tiff_pixel_type(page: tiff.Page) -> str:
    bits = max((int(n) for n in page.numbers(tiff.BITS)), default=1)
    kind = {2: "int", 3: "float"}.get(page.number(tiff.SAMPLE_FORMAT, 1), "uint")
    photometric, samples = page.number(tiff.PHOTOMETRIC, _BLACK_IS_ZERO), page.number(tiff.SAMPLES, 1)
    layout = (
        "palette"
        if photometric == _PALETTE
        else {1: "", 2: "grey+alpha", 3: "RGB", 4: "RGBA"}.get(samples, f"{samples} samples")
    )
    return f"{kind}{bits} {layout}".rstrip()


def _check_size(
    name: str, width: int, height: int, decoded: int, size: int, limits: Limits, *, compressed: bool
) -> None:
    if width < 1 or height < 1 or decoded < 1:
        raise errors.Unreadable(f"{name}: {width} x {height} pixels, expected at least one; save the frame again")
    if decoded > limits.frame_bytes:
        raise errors.TooLarge(
            f"{name}: {width} x {height} pixels are {decoded} bytes, more than the {limits.frame_bytes} a frame may have; "
            "export it smaller, or raise watch.max_frame_mb"
        )
    if compressed and decoded > max(limits.inflation_free_bytes, limits.inflation * size):
        raise errors.TooLarge(
            f"{name}: {size} bytes that claim to hold {decoded}, more than {limits.inflation} times as much: "
            "damaged, or made to exhaust memory"
        )


def _check_whole(name: str, size: int, head: bytes, tail: bytes, image_format: str) -> None:
    """Refuse a PNG or JPEG without its end, and a BMP with fewer rows than it promises."""
    if image_format == "PNG":
        whole = b"IEND\xaeB`\x82" in tail  # with its checksum, which is always this
    elif image_format == "JPEG":
        whole = b"\xff\xd9" in tail
    else:
        if size < 30:
            raise errors.Truncated(f"{name}: ends within its header; the writer has not finished or failed")
        offset, (width, height, _, bits) = struct.unpack_from("<I", head, 10)[0], struct.unpack_from("<iiHH", head, 18)
        compression = struct.unpack_from("<I", head, 30)[0] if size >= 34 else 0
        whole = compression in (1, 2, 4, 5) or size >= offset + abs(height) * ((abs(width) * bits + 31) // 32 * 4)
    if not whole:
        raise errors.Truncated(
            f"{name}: {size} bytes without the end of a {image_format}; the writer has not finished or failed"
        )


_MODE_NAMES: Final = {
    "1": "bool", "L": "uint8", "LA": "uint8 grey+alpha", "P": "uint8 palette", "PA": "uint8 palette", "RGB": "uint8 RGB",
    "RGBA": "uint8 RGBA", "I;16": "uint16", "I;16B": "uint16", "I": "int32", "F": "float32", "CMYK": "uint8 CMYK",
    "YCbCr": "uint8 RGB",
}  # fmt: skip


def _bytes_per_pixel(mode: str) -> int:
    return {"I;16": 2, "I;16B": 2, "I": 4, "F": 4}.get(
        mode, len(mode) if mode in {"LA", "RGB", "RGBA", "CMYK", "YCbCr"} else 1
    )


def _open(data: bytes, image_format: str) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=(image_format,))


class _decoder_errors:  # noqa: N801 - used as a verb in a with statement.
    """Turn what a decoder raises into emwatch's own errors, and its bomb warning into one."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._warnings = warnings.catch_warnings()

    def __enter__(self) -> None:
        self._warnings.__enter__()
        warnings.simplefilter("ignore")  # Pillow warns of every odd tag; only one warning matters here
        warnings.simplefilter("error", Image.DecompressionBombWarning)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._warnings.__exit__(None, None, None)
        if error is None or isinstance(error, (errors.EmwatchError, MemoryError)):
            return
        if isinstance(error, (Image.DecompressionBombWarning, Image.DecompressionBombError)):
            raise errors.TooLarge(
                f"{self._name}: more pixels than a compressed frame may have; export it smaller ({error})"
            ) from error
        if isinstance(error, UnidentifiedImageError):
            raise errors.Unreadable(
                f"{self._name}: a kind of image that is not decoded here; export it as 8- or 16-bit grey, palette or RGB(A)"
            ) from error
        if isinstance(error, _DECODER_ERRORS):
            kind = errors.Truncated if "truncated" in str(error).lower() else errors.Unreadable
            raise kind(
                f"{self._name}: its pixels cannot be decoded ({type(error).__name__}: {str(error)[:200]}); save the frame again"
            ) from error


def decode(name: str, data: bytes, header: Header) -> npt.NDArray[Any]:
    """
    Decode an image whose header passed, palette and transparency resolved.

    Returns shape (height, width) for grey or (height, width, 3) for RGB, in the type of the file (uint8, uint16, float32 ...).
    Raises `errors.Truncated` and `errors.Unreadable`.
    """
    with _decoder_errors(name):
        samples = _tiff_samples(name, header.pages[header.picture]) if header.pages else None
        if samples is not None:
            return _without_alpha(samples)
        with _open(data, header.image_format) as image:
            if header.picture:
                image.seek(header.picture)
            image.load()
            return _resolved(image)


def _tiff_samples(name: str, page: tiff.Page) -> npt.NDArray[Any] | None:
    """Return the pixels of a TIFF page, palette resolved; ``None`` if only Pillow can read them."""
    count, photometric = page.number(tiff.SAMPLES, 1), page.number(tiff.PHOTOMETRIC, _BLACK_IS_ZERO)
    bits = max((int(n) for n in page.numbers(tiff.BITS)), default=1)
    grey = count in (1, 2) and photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
    palette = count == 1 and photometric == _PALETTE and bits == 8 and len(page.numbers(_COLOUR_MAP)) == 768
    known = grey or palette or (photometric == _RGB and count in (3, 4))
    samples = read_samples(name, page) if known else None
    if samples is None:
        if bits > 8 and count > 1:
            # Pillow would keep the high byte of each sample: a 12-bit picture in 16-bit samples would come out black.
            raise errors.Unreadable(
                f"{name}: {count} samples of {bits} bits a pixel in a form that is not decoded; "
                "expected grey or RGB: export it uncompressed"
            )
        return None
    if palette:
        # The colour map holds 16 bits: all reds, all greens, all blues. Some programs write 8 there, which were black.
        stored = page.numbers(_COLOUR_MAP)
        shift = np.uint64(8 if stored.max() > 255 else 0)
        colours = (stored.reshape(3, 256).T >> shift).astype(np.uint8)
        return _through_palette(samples[..., 0].astype(np.uint8, copy=False), colours)
    if photometric == _WHITE_IS_ZERO:
        samples = np.concatenate([_inverted(samples[..., :1]), samples[..., 1:]], axis=2)
    return samples[..., 0] if count == 1 else samples


def _inverted(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if pixels.dtype.kind == "u":
        return np.asarray(np.iinfo(pixels.dtype).max - pixels, pixels.dtype)
    return np.asarray(-1 - pixels if pixels.dtype.kind == "i" else -pixels, pixels.dtype)


def _through_palette(indices: npt.NDArray[np.uint8], colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """
    Look indices up in a map of shape (256, 3).

    Grey if every colour in use is grey: SmartSEM's map has green and red entries for the bar, mostly unused.
    """
    coloured = np.flatnonzero((colours != colours[:, :1]).any(axis=1))
    if len(coloured):
        used = indices.tobytes()
        # A search for one byte runs at memory speed: cheaper than counting all 256.
        if any(index.to_bytes() in used for index in coloured.tolist()):
            return np.stack([_looked_up(indices, colours[:, channel]) for channel in range(3)], axis=-1)
    return _looked_up(indices, colours[:, 0])


def _looked_up(indices: npt.NDArray[np.uint8], table: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    if (table == np.arange(256)).all():
        return indices
    # Six times as fast as indexing, which first widens every index to 64 bits.
    return np.frombuffer(indices.tobytes().translate(table.tobytes()), np.uint8).reshape(indices.shape)


def _without_alpha(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """
    Resolve transparency over black.

    A fourth channel that is the same everywhere is no transparency: instruments write 0 there as well as 255.
    """
    if pixels.ndim == 2 or pixels.shape[2] not in (2, 4):
        return pixels
    alpha, colours = pixels[..., -1], pixels[..., :-1]
    if alpha.min() != alpha.max():
        full = np.float32(np.iinfo(alpha.dtype).max if alpha.dtype.kind in "ui" else 1.0)
        colours = (colours * (alpha[..., np.newaxis] / full)).astype(pixels.dtype)
    return colours[..., 0] if colours.shape[2] == 1 else colours


def _resolved(image: Image.Image) -> npt.NDArray[Any]:
    if image.mode in {"P", "PA"}:
        if "transparency" in image.info or image.mode == "PA":
            return _without_alpha(np.asarray(image.convert("RGBA")))
        palette = np.zeros((256, 3), np.uint8)
        entries = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)[:256]
        palette[: len(entries)] = entries
        return _through_palette(np.asarray(image), palette)
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode not in {"L", "LA", "RGB", "RGBA", "I;16", "I;16B", "I;16L", "I;16N", "I", "F"}:
        image = image.convert("RGB")
    pixels = np.asarray(image)
    return _without_alpha(pixels if pixels.dtype.isnative else pixels.astype(pixels.dtype.newbyteorder("=")))
