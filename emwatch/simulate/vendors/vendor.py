"""What the pretend microscope needs to know of a vendor, and the number formats two of them share."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from emwatch.simulate.acquisition import Shot

#: What the manifest knows of every frame; names as in `emwatch.frame.FIELDS`.
EVERYTHING: Final = (
    "magnification",
    "stage_tilt_deg",
    "working_distance_mm",
    "accelerating_voltage_kv",
    "pixel_size_nm",
    "detector",
    "acquired_at",
)


def everything_but(*names: str) -> tuple[str, ...]:
    """Return what the manifest knows without some of it."""
    return tuple(name for name in EVERYTHING if name not in names)


@dataclass(frozen=True, slots=True)
class Vendor:
    """
    One maker's files.

    ``reference_width_mm``: field width times magnification; makers calibrate the magnification for a print or a screen of
    this width. ``instruments``: (model, serial number). ``bars``: the data bar styles seen on this maker's frames.
    ``files``: file name suffix -> bytes, the frame first. ``tells``: which of `EVERYTHING` the files state, or what
    follows from what they state. ``clock_ahead_of_utc_h``: where the pretend instrument stands, for formats with UTC.
    """

    name: str
    reference_width_mm: float
    instruments: tuple[tuple[str, str], ...]
    detectors: tuple[str, ...]
    bars: tuple[str, ...]
    files: Callable[[Shot], Mapping[str, bytes]]
    tells: tuple[str, ...] = EVERYTHING
    clock_ahead_of_utc_h: int = 0


def with_long_exponent(text: str) -> str:
    """Write the exponent with three digits, as the C library of old Windows did: ``1.5e-06`` -> ``1.5e-006``."""
    return re.sub(r"e([+-])(\d\d)$", r"e\g<1>0\2", text)


def significant(value: float, digits: int = 4) -> str:
    """Write a number >= 1 with so many significant digits, trailing zeros kept: 7.344, 55.82, 190.5."""
    whole = len(str(int(abs(value))))
    return f"{value:.{max(0, digits - whole)}f}"


def as_lines(rows: Mapping[str, object], separator: str = "=", end: str = "\r\n") -> str:
    """Write ``key<separator>value`` lines."""
    return "".join(f"{key}{separator}{value}{end}" for key, value in rows.items())


def eight_bit(shot: Shot) -> npt.NDArray[np.uint8]:
    """Return the pixels of a shot for a format that has no other; raises `ValueError` if they are deeper."""
    if shot.pixels.dtype != np.uint8:
        raise ValueError(f"frames of this format are 8-bit, not {shot.pixels.dtype}")
    return shot.pixels.astype(np.uint8, copy=False)


def saved_as(pixels: npt.NDArray[np.uint8], image_format: str, **options: int) -> bytes:
    """Encode grey pixels as Pillow does: ``BMP``, ``JPEG``, ..."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, image_format, **options)
    return out.getvalue()
