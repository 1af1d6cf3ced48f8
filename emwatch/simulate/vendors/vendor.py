"""What the pretend microscope needs to know of a vendor, and the number formats two of them share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from emwatch.simulate.acquisition import Shot


@dataclass(frozen=True, slots=True)
class Vendor:
    """
    One maker's files.

    ``reference_width_mm``: field width times magnification; makers calibrate the magnification for a print or a screen of
    this width. ``instruments``: (model, serial number). ``bars``: the data bar styles seen on this maker's frames.
    ``files``: file name suffix -> bytes, the frame first. ``has_header``: whether the files tell the acquisition.
    """

    name: str
    reference_width_mm: float
    instruments: tuple[tuple[str, str], ...]
    detectors: tuple[str, ...]
    bars: tuple[str, ...]
    files: Callable[[Shot], Mapping[str, bytes]]
    has_header: bool = True


def with_long_exponent(text: str) -> str:
    """Write the exponent with three digits, as the C library of old Windows did: ``1.5e-06`` -> ``1.5e-006``."""
    return re.sub(r"e([+-])(\d\d)$", r"e\g<1>0\2", text)


def significant(value: float, digits: int = 4) -> str:
    """Write a number >= 1 with so many significant digits, trailing zeros kept: 7.344, 55.82, 190.5."""
    whole = len(str(int(abs(value))))
    return f"{value:.{max(0, digits - whole)}f}"
