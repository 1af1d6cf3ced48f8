"""A true scale bar: a round length that fits the picture, drawn at exactly that length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

#: The bar takes at most this share of the picture's width.
_LONGEST_SHARE: Final = 0.3
#: Below this length, rounding to whole pixels would make the bar wrong by more than 2 %.
_SHORTEST_PX: Final = 25
_ROUND: Final = (1, 2, 5)
_MICRO: Final = "µ"
_WHITE: Final = (255, 255, 255, 255)
_UNITS: Final = ((1e6, "mm"), (1e3, "µm"), (1.0, "nm"))


@dataclass(frozen=True, slots=True)
class OverlayBar:
    """A bar of ``length_nm`` nanometres that is ``length_px`` pixels long in the picture it was made for."""

    length_nm: float
    length_px: int

    @property
    def label(self) -> str:
        """Return the length as people write it, such as ``500 nm`` or ``2 µm``."""
        for unit_nm, name in _UNITS:
            if self.length_nm >= unit_nm:
                return f"{self.length_nm / unit_nm:g} {name}"
        return f"{self.length_nm:g} nm"


def scale_bar(width_px: int, pixel_size_nm: float | None) -> OverlayBar | None:
    """
    Return the longest bar of 1, 2 or 5 times a power of ten that takes at most 30 % of ``width_px``.

    ``pixel_size_nm``: of the picture as shown, not as acquired. ``None`` is returned if it is unknown or makes no
    sense, and if the picture is too narrow for a bar that is right to 2 %.
    """
    if pixel_size_nm is None or not math.isfinite(pixel_size_nm) or pixel_size_nm <= 0:
        return None
    longest_nm = width_px * _LONGEST_SHARE * pixel_size_nm
    power = 10.0 ** math.floor(math.log10(longest_nm))
    length_nm = max(each * power for each in _ROUND if each * power <= longest_nm * (1 + 1e-9))
    length_px = round(length_nm / pixel_size_nm)
    return OverlayBar(length_nm, length_px) if length_px >= _SHORTEST_PX else None


def draw_scale_bar(picture: Image.Image, bar: OverlayBar, bottom_px: int) -> None:
    """Draw the bar with its label into the lower right corner of the rows above ``bottom_px``, on a dark plate."""
    from PIL import ImageDraw, ImageFont  # in the child process that draws: the daemon itself never needs them

    letter_px = max(10, round(picture.width / 40))
    margin = max(4, letter_px // 2)
    thickness = max(2, letter_px // 5)
    font = ImageFont.load_default(letter_px)
    pen = ImageDraw.Draw(picture, "RGBA")
    text_width = math.ceil(pen.textlength(_without_micro(bar.label), font=font))
    plate_width = max(bar.length_px, text_width) + 2 * margin
    plate_height = letter_px + thickness + 3 * margin
    right, bottom = picture.width - margin, bottom_px - margin
    left, top = right - plate_width, max(0, bottom - plate_height)
    pen.rectangle((left, top, right - 1, bottom - 1), fill=(0, 0, 0, 150))
    middle = (left + right) / 2
    _write(pen, (middle - text_width / 2, top + margin / 2), bar.label, font, letter_px)
    start = round(middle - bar.length_px / 2)
    foot = bottom - margin
    # Pillow includes the last pixel of a rectangle.
    pen.rectangle((start, foot - thickness, start + bar.length_px - 1, foot - 1), fill=(255, 255, 255, 255))


def _without_micro(text: str) -> str:
    return text.replace(_MICRO, "u")


def _write(
    pen: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    letter_px: int,
) -> None:
    """Write a label. Pillow's own font has no micro sign: it is a u with a longer left stem, so the stem is added."""
    shown = _without_micro(text)
    pen.text(corner, shown, font=font, fill=_WHITE)
    at = text.find(_MICRO)
    if at >= 0:
        start = corner[0] + pen.textlength(shown[:at], font=font)
        _, _, _, baseline = pen.textbbox((start, corner[1]), "u", font=font)
        inked = font.getmask("u").getbbox()
        left = round(start) + (inked[0] if inked else 0)
        stem = max(1, round(letter_px / 11))
        pen.rectangle((left, baseline - letter_px / 3, left + stem - 1, baseline + letter_px / 5), fill=_WHITE)
