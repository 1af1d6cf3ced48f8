"""From decoded pixels to an encoded picture of a chosen size. Runs in the picture child: numpy and Pillow only."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from emwatch.classify.preprocess import eight_bits
from emwatch.pictures.scale_bar import draw_scale_bar, scale_bar
from emwatch.readers.data_bar.bar import find_bar

if TYPE_CHECKING:
    import numpy.typing as npt

_JPEG_QUALITY: Final = 85


@dataclass(frozen=True, slots=True)
class Picture:
    """
    A frame as a JPEG file for people.

    Attributes:
        jpeg: the encoded file.
        width: of the file, in pixels.
        height: of the file, in pixels.
        frame_width: of the frame as acquired, in pixels.
        frame_height: of the frame as acquired, in pixels.
        scale_bar_nm: the length that the drawn bar stands for; ``None`` if none was drawn.

    """

    jpeg: bytes
    width: int
    height: int
    frame_width: int
    frame_height: int
    scale_bar_nm: float | None


def render(
    pixels: npt.NDArray[Any],
    longest_px: int,
    *,
    pixel_size_nm: float | None = None,
    data_bar_rows: int | None = None,
    with_scale_bar: bool = True,
) -> Picture:
    """
    Scale a frame so that its longer side has at most ``longest_px`` pixels, stretch it to 8 bits, and encode it.

    ``pixels``: (height, width) or (height, width, channels) as decoded. ``pixel_size_nm``: of the frame as acquired.
    The scale bar is drawn above the frame's own data bar, which takes ``data_bar_rows`` rows at the foot; ``None``: the
    bar is looked for. A frame is never enlarged. Raises `errors.Unreadable` if the pixels are no picture.
    """
    height, width = pixels.shape[:2]
    grey = eight_bits(_reduced(pixels, longest_px))
    image = Image.fromarray(np.ascontiguousarray(grey))
    shrink = min(1.0, longest_px / max(width, height))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    shown_nm = None if pixel_size_nm is None else pixel_size_nm * width / size[0]
    bar = scale_bar(size[0], shown_nm) if with_scale_bar else None
    if bar is not None:
        image = image.convert("RGB")
        draw_scale_bar(image, bar, round(_picture_rows(pixels, data_bar_rows) * size[1] / height))
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=_JPEG_QUALITY)
    return Picture(file.getvalue(), *size, width, height, None if bar is None else bar.length_nm)


def _picture_rows(pixels: npt.NDArray[Any], data_bar_rows: int | None) -> int:
    """Return the number of rows above a frame's data bar; if its height is not known, the bar is looked for."""
    height = int(pixels.shape[0])
    if data_bar_rows is None:
        found = find_bar(pixels)
        return height if found is None or found.top < height / 2 else found.top
    return height - data_bar_rows if 0 < data_bar_rows < height / 2 else height


def _reduced(pixels: npt.NDArray[Any], longest_px: int) -> npt.NDArray[Any]:
    """Average whole blocks of a frame far larger than asked for: stretching is then done on few pixels."""
    block = max(pixels.shape[:2]) // (4 * longest_px)
    if block < 2:
        return pixels
    height, width = (length // block * block for length in pixels.shape[:2])
    blocks = pixels[:height, :width].reshape(height // block, block, width // block, block, *pixels.shape[2:])
    mean: npt.NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return np.rint(mean).astype(np.uint8) if pixels.dtype == np.uint8 else mean
