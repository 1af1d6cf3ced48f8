"""Contact sheets: frames in rows, with lines of text below each; as PNG, or as PDF with several pages."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_PAPER: Final = (255, 255, 255)
_INK: Final = (32, 36, 42)
_PALE_INK: Final = (106, 114, 125)
_ALERT_INK: Final = (178, 34, 34)
_EMPTY: Final = (238, 240, 243)

_GAP_PX: Final = 8
_LETTER_PX: Final = 13
_HEAD_WIDTH_PX: Final = 230
_A4_WIDTH_INCHES: Final = 8.27


@dataclass(frozen=True, slots=True)
class Print:
    """One frame on a sheet: grey or RGB values 0..255 (height, width[, 3]), and some lines below; ``alert``: in red."""

    view: npt.NDArray[np.float32] | npt.NDArray[np.uint8]
    lines: tuple[str, ...] = ()
    alert: bool = False


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A row of a sheet: what stands to its left, and its frames."""

    title: str
    subtitle: str
    prints: Sequence[Print]


def pixels_of(jpeg: bytes) -> npt.NDArray[np.uint8]:
    """Return the RGB values (height, width, 3) of a picture."""
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


def contact_sheet(rows: Sequence[SheetRow], columns: int, side_px: int = 170) -> bytes:
    """Draw rows of at most ``columns`` frames, with their titles to the left; returns a PNG file."""
    file = io.BytesIO()
    _drawn(rows, columns, side_px).save(file, format="PNG", optimize=True)
    return file.getvalue()


def contact_sheets(pages: Sequence[Sequence[SheetRow]], columns: int, side_px: int) -> bytes:
    """Draw several sheets; returns a PDF file with a page each, A4 wide if printed as it is."""
    first, *others = (_drawn(rows, columns, side_px) for rows in pages)
    file = io.BytesIO()
    resolution = first.width / _A4_WIDTH_INCHES
    first.save(file, format="PDF", save_all=True, append_images=others, resolution=resolution)
    return file.getvalue()


def _drawn(rows: Sequence[SheetRow], columns: int, side_px: int) -> Image.Image:
    head = _HEAD_WIDTH_PX if any(row.title for row in rows) else 0
    lines = max((len(each.lines) for row in rows for each in row.prints), default=0)
    tallest = max((_fitted(each, side_px)[1] for row in rows for each in row.prints), default=side_px)
    cell_height = tallest + lines * (_LETTER_PX + 4) + _GAP_PX
    width = head + columns * (side_px + _GAP_PX) + _GAP_PX
    sheet = Image.new("RGB", (width, max(1, len(rows)) * cell_height + _GAP_PX), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        top = _GAP_PX + number * cell_height
        _write(pen, (_GAP_PX, top + 4), row.title, head - _GAP_PX, _INK, _LETTER_PX + 2)
        _write(pen, (_GAP_PX, top + 26), row.subtitle, head - _GAP_PX, _PALE_INK, _LETTER_PX)
        for column in range(columns):
            left = head + _GAP_PX + column * (side_px + _GAP_PX)
            if column < len(row.prints):
                _put(sheet, pen, row.prints[column], (left, top), (side_px, tallest))
            elif row.title:
                pen.rectangle((left, top, left + side_px - 1, top + tallest - 1), fill=_EMPTY)
    return sheet


def _fitted(each: Print, side_px: int) -> tuple[int, int]:
    """Return width and height of a picture whose longer side is ``side_px``."""
    height, width = each.view.shape[:2]
    scale = side_px / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _put(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, each: Print, corner: tuple[int, int], room: tuple[int, int]
) -> None:
    (left, top), (side_px, tallest) = corner, room
    picture = Image.fromarray(np.clip(each.view, 0, 255).astype(np.uint8))
    size = _fitted(each, side_px)
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    sheet.paste(picture, (left + (side_px - size[0]) // 2, top + (tallest - size[1]) // 2))
    for number, line in enumerate(each.lines):
        ink = _ALERT_INK if each.alert and number == 0 else _INK if number == 0 else _PALE_INK
        _write(pen, (left, top + tallest + 3 + number * (_LETTER_PX + 4)), line, side_px, ink, _LETTER_PX)


def _write(
    pen: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, width_px: int, ink: tuple[int, int, int], size_px: int
) -> None:
    """Draw one line, shortened in the middle if it is too long; missing characters are boxes."""
    font = ImageFont.load_default(size_px)
    shown = "".join(char if char.isprintable() else "?" for char in text)
    kept = len(shown)
    while kept > 4 and pen.textlength(shown, font=font) > width_px:
        kept -= 1
        half = kept // 2
        shown = f"{text[:half]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - (kept - half) :]}"
        shown = "".join(char if char.isprintable() else "?" for char in shown)
    pen.text(corner, shown, fill=ink, font=font)
