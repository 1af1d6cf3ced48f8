"""
The data bar: the strip of text and the scale bar that instruments burn into, or put below, a picture.

The text tells the true values and the scale bar is as long as its label says, so that bar and header can be compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from emwatch.errors import EmwatchError

if TYPE_CHECKING:
    import numpy.typing as npt

    from emwatch.simulate.acquisition import Acquisition

#: Every style: inside the picture (it hides rows), as a corner box or a box with text that is not full width, below the picture (it adds rows), or none.
STYLES: Final = (
    "none",
    "strip-inside-white",
    "strip-inside-black",
    "one-line",
    "corner-box",
    "overlay-box",
    "below-black",
    "below-white",
)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Barred:
    """
    A picture with its data bar.

    ``pixels``: as given, with rows added where the bar stands below. ``picture_height_px``: rows of the picture itself.
    ``scale_bar_px`` and ``scale_bar_nm``: the drawn length and what its label says; both 0 without a bar.
    ``bar_rows``: first and last + 1 row that the bar touches.
    """

    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    picture_height_px: int
    scale_bar_px: int = 0
    scale_bar_nm: float = 0.0
    bar_rows: tuple[int, int] = (0, 0)


def with_data_bar(
    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16],
    style: str,
    acquisition: Acquisition,
    rng: np.random.Generator,
) -> Barred:
    """Put a data bar of a style on a picture of shape (height, width). Raises `EmwatchError` on an unknown style."""
    if style not in STYLES:
        raise EmwatchError(f"unknown data bar style {style!r}: choose one of {', '.join(STYLES)}")
    height, width = pixels.shape
    if style == "none":
        return Barred(pixels, height)
    length_nm = _round_length_nm(acquisition.pixel_size_nm * width * float(rng.uniform(0.1, 0.2)))
    length_px = round(length_nm / acquisition.pixel_size_nm)
    scale = _Scale(length_px, _length_text(length_nm))
    white = style.endswith("white") or (not style.endswith("black") and bool(rng.random() < 0.5))
    if style == "corner-box":
        strip = _corner_box(scale, height, white=white)
        at = (
            height - len(strip) - height // 50,
            (width - strip.shape[1] - width // 60) if rng.random() < 0.7 else width // 60,
        )
    elif style == "overlay-box":
        strip = _strip(round(width * 0.72), round(height * 0.08), 2, scale, inside_fields(acquisition), white=white)
        at = (height - len(strip) - height // 40, width // 8)
    else:
        rows = 1 if style == "one-line" else 2
        fields = below_fields(acquisition) if style.startswith("below") else inside_fields(acquisition)
        strip = _strip(
            width, round(height * (0.035 * rows + float(rng.uniform(0, 0.02)))), rows, scale, fields, white=white
        )
        at = (height if style.startswith("below") else height - len(strip), 0)
    strip = strip if style.startswith("below") else strip[-height:]
    added = max(0, at[0] + len(strip) - height)
    out = np.concatenate([pixels, np.zeros((added, width), pixels.dtype)])
    grey = strip if pixels.dtype == np.uint8 else strip.astype(np.uint16) * np.uint16(257)
    at = (max(0, at[0]), max(0, at[1]))
    out[at[0] : at[0] + len(strip), at[1] : at[1] + strip.shape[1]] = grey[:, : width - at[1]]
    return Barred(out, height, length_px, length_nm, (at[0], at[0] + len(strip)))


@dataclass(frozen=True, slots=True)
class _Scale:
    length_px: int
    label: str


def inside_fields(acquisition: Acquisition) -> list[str]:
    """Return the texts as SmartSEM words them."""
    magnification = acquisition.magnification
    when = acquisition.acquired_at
    return [
        f"Mag = {magnification / 1000:.2f} K X" if magnification >= 1000 else f"Mag = {magnification:.0f} X",
        f"EHT = {acquisition.accelerating_voltage_kv:.2f} kV",
        f"WD = {acquisition.working_distance_mm:.1f} mm",
        f"Signal A = {acquisition.detector}",
        f"Stage at T = {acquisition.stage_tilt_deg:.1f} °",
        f"Date :{when.day} {_MONTHS[when.month - 1]} {when.year}",
        f"Time :{when.hour}:{when:%M:%S}",
    ]


def below_fields(acquisition: Acquisition) -> list[str]:
    """Return the texts as xT words them: the name over the value."""
    when = acquisition.acquired_at
    return [
        f"HV {acquisition.accelerating_voltage_kv:.2f} kV",
        f"mag {acquisition.magnification:,.0f} x".replace(",", " "),
        f"WD {acquisition.working_distance_mm:.1f} mm",
        f"det {acquisition.detector}",
        f"tilt {acquisition.stage_tilt_deg:.1f} °",
        f"curr {acquisition.beam_current_na * 1000:.0f} pA",
        f"{when.month}/{when.day}/{when.year} {when:%I:%M:%S} {'AM' if when.hour < 12 else 'PM'}",
    ]


def _round_length_nm(wanted_nm: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten that is not longer than wanted."""
    power = 10.0 ** math.floor(math.log10(wanted_nm))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= wanted_nm * 1.0001)


def _length_text(length_nm: float) -> str:
    for unit, nanometres in (("mm", 1e6), ("µm", 1e3)):
        if length_nm >= nanometres:
            return f"{length_nm / nanometres:.0f} {unit}"
    return f"{length_nm:g} nm"


def _text_size(font_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(6, font_px))


def _strip(
    width: int, height: int, rows: int, scale: _Scale, fields: list[str], *, white: bool
) -> npt.NDArray[np.uint8]:
    """Draw a full-width strip: the scale bar on the left, the fields beside it; a field that has no room is left out."""
    height = max(height, 10 * rows)
    paper, ink = (255, 0) if white else (0, 255)
    image = Image.new("L", (width, height), paper)
    brush = ImageDraw.Draw(image)
    row_px = height // rows
    font = _text_size(round(row_px * 0.72))
    margin = max(3, width // 100)
    _ruler(brush, (margin, 0), scale, (height, rows), font, ink)
    start = margin * 3 + max(scale.length_px, round(font.getlength(scale.label.replace("µ", "u"))))
    if rows == 1:
        start = margin * 4 + scale.length_px + round(font.getlength(scale.label.replace("µ", "u")))
    x, row = float(start), 0
    for text in fields:
        length = font.getlength(text)
        if x + length > width - margin:
            x, row = float(start), row + 1
        if row >= rows or x + length > width - margin:
            break
        brush.text((x, row * row_px + row_px // 2), text, fill=ink, font=font, anchor="lm")
        x += length + margin * 2
    return np.asarray(image, dtype=np.uint8)


def _ruler(
    brush: ImageDraw.ImageDraw,
    at: tuple[int, int],
    scale: _Scale,
    shape: tuple[int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    ink: int,
) -> None:
    """Draw the scale bar, exactly ``length_px`` columns long, and its label above it (two rows) or after it (one)."""
    height, rows = shape
    x, y = at[0], at[1] + round(height * (0.72 if rows == 2 else 0.5))
    thick = max(1, height // 14)
    tick = max(thick, height // 8)
    brush.rectangle((x, y - thick // 2, x + scale.length_px - 1, y - thick // 2 + thick - 1), fill=ink)
    for end in (x, x + scale.length_px - 1):
        brush.line((end, y - tick, end, y + tick), fill=ink)
    if rows == 2:
        _label(brush, (x, at[1] + height * 0.28), scale.label, font, ink)
    else:
        _label(brush, (x + scale.length_px + height * 0.4, y), scale.label, font, ink)


def _label(
    brush: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    ink: int,
) -> None:
    """Write a label; its micro sign is a u with a stroke down on its left, since Pillow's own font has none."""
    before, micro, after = text.partition("µ")
    brush.text(at, f"{before}u{after}" if micro else text, fill=ink, font=font, anchor="lm")
    if micro:
        left, top, right, bottom = font.getbbox("u", anchor="lm")
        x = at[0] + font.getlength(before) + left
        stroke = max(1, round((right - left) / 7))
        brush.rectangle((x, at[1] + top, x + stroke - 1, at[1] + bottom + (bottom - top) * 0.45), fill=ink)


def _corner_box(scale: _Scale, frame_height: int, *, white: bool) -> npt.NDArray[np.uint8]:
    """Draw a small box with nothing but the scale bar and its label."""
    height = max(20, frame_height // 12)
    font = _text_size(round(height * 0.4))
    margin = height // 4
    width = max(scale.length_px, round(font.getlength(scale.label.replace("µ", "u")))) + 2 * margin
    paper, ink = (255, 0) if white else (0, 255)
    image = Image.new("L", (width, height), paper)
    _ruler(ImageDraw.Draw(image), (margin, 0), scale, (height, 2), font, ink)
    return np.asarray(image, dtype=np.uint8)
