"""Contact sheets: frames in rows, as the network sees them, with a line of text below each."""

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


@dataclass(frozen=True, slots=True)
class Print:
    """One frame on a sheet: its view (height, width), grey 0..255, and up to three lines below; ``alert``: in red."""

    view: npt.NDArray[np.float32]
    lines: tuple[str, ...] = ()
    alert: bool = False


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A row of a sheet: what stands to its left, and its frames."""

    title: str
    subtitle: str
    prints: Sequence[Print]


def contact_sheet(rows: Sequence[SheetRow], columns: int, side_px: int = 170) -> bytes:
    """Draw rows of at most ``columns`` frames, with their titles to the left; returns a PNG file."""
    head = _HEAD_WIDTH_PX if any(row.title for row in rows) else 0
    lines = max((len(each.lines) for row in rows for each in row.prints), default=0)
    cell_height = side_px + lines * (_LETTER_PX + 4) + _GAP_PX
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
                _put(sheet, pen, row.prints[column], (left, top), side_px)
            elif row.title:
                pen.rectangle((left, top, left + side_px - 1, top + side_px - 1), fill=_EMPTY)
    file = io.BytesIO()
    sheet.save(file, format="PNG", optimize=True)
    return file.getvalue()


def _put(sheet: Image.Image, pen: ImageDraw.ImageDraw, each: Print, corner: tuple[int, int], side_px: int) -> None:
    left, top = corner
    picture = Image.fromarray(np.clip(each.view, 0, 255).astype(np.uint8))
    sheet.paste(picture.resize((side_px, side_px), Image.Resampling.LANCZOS), corner)
    for number, line in enumerate(each.lines):
        ink = _ALERT_INK if each.alert and number == 0 else _INK if number == 0 else _PALE_INK
        _write(pen, (left, top + side_px + 3 + number * (_LETTER_PX + 4)), line, side_px, ink, _LETTER_PX)


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
