"""
Data bars of training frames: found, cut and redrawn, so that no style of bar can carry a category.

Without this a head learns bars: nearly all frames of one laboratory's archive are of one category and wear one bar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    import numpy.typing as npt

#: A bar is between these shares of the frame's height.
_LEAST, _MOST = 0.03, 0.22
#: A bar inside the frame lies in this share of its height, from the bottom.
_LOWEST: Final = 0.35
#: In each of a bar's rows at least this share of pixels has the bar's own grey; text and rulers take the rest.
_PLAIN: Final = 0.55
#: Tolerance for "the same grey": JPEG rings around letters.
_SAME_GREY: Final = 10


def bar_height_px(grey: npt.NDArray[np.uint8]) -> int:
    """
    Return how many rows to cut from a frame (height, width), uint8, to remove its data bar; 0 if none is found.

    A bar is a plain black or white strip at the bottom, or a plain white one inside the frame, as Zeiss instruments
    burn it; what lies below that goes too. It prefers to miss a bar: half a picture lost costs more than a bar left in.
    """
    height = grey.shape[0]
    gap = max(2, height // 100)
    black = (grey <= _SAME_GREY).mean(axis=1) >= _PLAIN
    white = (grey >= 255 - _SAME_GREY).mean(axis=1) >= _PLAIN
    cuts = [_strip(black, gap, bottom_only=True), _strip(white, gap, bottom_only=False)]
    return max(cuts)


def _strip(plain: npt.NDArray[np.bool_], gap: int, bottom_only: bool) -> int:
    """Return the number of rows from the top of a strip of plain rows to the bottom of the frame; 0 if there is none."""
    height = len(plain)
    from_bottom = np.flatnonzero(plain[::-1][: round(height * _LOWEST)])
    if from_bottom.size == 0:
        return 0
    runs = np.split(from_bottom, np.flatnonzero(np.diff(from_bottom) > gap) + 1)
    for run in runs:
        if bottom_only and run[0] > gap:
            return 0
        if _LEAST * height <= run[-1] + 1 - run[0] <= _MOST * height:
            return int(run[-1]) + 1
    return 0


def without_bar(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the frame without its bar, if one is found."""
    height = bar_height_px(grey)
    return grey[: grey.shape[0] - height] if height else grey


def with_drawn_bar(picture: npt.NDArray[np.uint8], random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Put a bar of a random style under, or a ruler onto, a picture that has none: text and ruler say nothing true."""
    height, width = picture.shape
    if random.random() < 0.25:
        image = Image.fromarray(picture.copy())
        _write(
            ImageDraw.Draw(image), random, top=round(height * random.uniform(0.86, 0.93)), size=(width, height), ink=255
        )
        return np.asarray(image)
    tall = max(8, round(height * random.uniform(0.05, 0.14)))
    black = bool(random.random() < 0.6)
    image = Image.new("L", (width, height + tall), 0 if black else 255)
    image.paste(Image.fromarray(picture), (0, 0))
    _write(ImageDraw.Draw(image), random, top=height + 1, size=(width, height + tall), ink=255 if black else 0)
    return np.asarray(image)


def _write(pen: ImageDraw.ImageDraw, random: np.random.Generator, top: int, size: tuple[int, int], ink: int) -> None:
    width, bottom = size
    lines = 1 if bottom - top < 24 or random.random() < 0.5 else 2
    letter_px = max(6, (bottom - top) // (lines + 1))
    for line in range(lines):
        x = int(random.integers(2, max(3, width // 10)))
        while x < width * 0.95:
            word = "".join(random.choice(list("0123456789.kVmxWDHEBS:/")) for _ in range(int(random.integers(2, 9))))
            pen.text((x, top + line * (letter_px + 2)), word, fill=ink, font_size=letter_px)
            x += int(letter_px * (len(word) * 0.6 + random.uniform(1, 5)))
    start, length = random.uniform(0.05, 0.6) * width, random.uniform(0.1, 0.35) * width
    y = bottom - max(2, letter_px // 2)
    pen.line([(start, y), (start + length, y)], fill=ink, width=max(1, letter_px // 4))
