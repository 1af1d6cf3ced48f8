"""The scale bar's label beside its length in pixels, and what of a data bar must agree: lengths, field width, magnification."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emwatch import units
from emwatch.frame import DATA_BAR_SOURCE, Reading

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

#: The source of every reading from a data bar.
#: A number and a length as bars write them.
NUMBER: Final = r"\d+(?:\.\d+)?"
LENGTH: Final = re.compile(rf"(?<![\w.,-])({NUMBER})\s?([num]m)(?!\w)")


@dataclass(frozen=True, slots=True)
class TextLine:
    """One piece of recognised text, its confidence in 0..1, and its box in pixels."""

    text: str
    confidence: float
    left: float
    top: float
    right: float
    bottom: float

    def centre_of(self, start: int, end: int) -> float:
        """Return the middle column of characters ``start`` to ``end`` - 1, as if all were equally wide."""
        return self.left + (self.right - self.left) * (start + end) / 2 / max(1, len(self.text))


@dataclass(frozen=True, slots=True)
class ScaleBar:
    """The scale bar in the same pixels as the text, its length in pixels of the frame, and the frame's width."""

    left: float
    top: float
    right: float
    bottom: float
    length_px: float
    frame_width_px: int


@dataclass(frozen=True, slots=True)
class Recognised:
    """A value with the text it came from and the recogniser's confidence."""

    value: float | str
    raw: str
    confidence: float

    def reading(self) -> Reading:
        """Make a reading of it."""
        return Reading(self.value, self.raw, DATA_BAR_SOURCE, reason=f"read with confidence {self.confidence:.2f}")


def label_nm(raw: str) -> float:
    """Return the length on a scale bar's label, e.g. ``"10.0 um"``, in nm; raises ValueError."""
    return units.length(raw, to="nm")


def find_label(lines: Sequence[TextLine], scale: ScaleBar, taken: Container[str]) -> Recognised | None:
    """Find the scale bar's label: the nearest round length that is nothing else, at most a fifth of the frame away."""
    best: tuple[float, Recognised] | None = None
    for line in lines:
        for match in LENGTH.finditer(line.text):
            if re.search(r"[A-Za-z=:]\s*$", line.text[: match.start()]) or not _is_round(match[1]) or match[0] in taken:
                continue
            at, tall = line.centre_of(*match.span()), line.bottom - line.top
            half = (line.right - line.left) * len(match[0]) / max(1, len(line.text)) / 2
            across = max(0.0, scale.left - at - half, at - half - scale.right)
            down = max(0.0, scale.top - line.bottom, line.top - scale.bottom)
            if across <= 0.2 * scale.frame_width_px and down <= 2.5 * tall:
                distance = across + 2 * down
                hit = Recognised(units.length(f"{match[1]} {match[2]}", to="nm"), match[0], line.confidence)
                best = min(best or (distance, hit), (distance, hit), key=lambda found: found[0])
    return None if best is None else best[1]


def _is_round(number: str) -> bool:
    digits = number.rstrip("0").rstrip(".") if "." in number else number
    digits = digits.replace(".", "").strip("0")
    return 1 <= len(digits) <= 2


def pixel_size(label: Recognised, scale: ScaleBar) -> Reading:
    """Divide the label by the scale bar's length."""
    within = 100 / scale.length_px
    return Reading(
        units.significant(float(label.value) / scale.length_px, 6),
        label.raw,
        DATA_BAR_SOURCE,
        computed=True,
        reason=f"{label.raw} over {scale.length_px:g} px, within {within:.1f} %; read with confidence {label.confidence:.2f}",
    )


# --- what must agree

#: Width of the picture in mm at magnification 1: 127 and 128 on prints, up to 520 on screens; wider limits let crops pass.
_REFERENCE_MM: Final = (60.0, 700.0)
_PRINTED_MM: Final = {"hitachi": (120.0, 134.0), "jeol": (111.0, 135.0)}


def agreeing(
    readings: dict[str, Reading], scale: ScaleBar | None, style: str
) -> tuple[dict[str, Reading], tuple[str, ...]]:
    """Drop what contradicts: scale bar against field width, and either against the magnification."""
    flags: list[str] = []

    def number(name: str) -> float | None:
        value = readings[name].value if name in readings else None
        return value if isinstance(value, float) else None

    def drop(names: tuple[str, ...], why: str) -> None:
        dropped = [name for name in names if readings.pop(name, None) is not None]
        flags.append(f"data bar: {' and '.join(dropped)} left out, {why}")

    width = None if scale is None else scale.frame_width_px
    pixel, field, times = number("pixel_size_nm"), number("horizontal_field_width_um"), number("magnification")
    if scale is not None and width and pixel and field:
        tolerance = 0.04 + 2 / scale.length_px
        if abs(pixel * width / 1000 / field - 1) > tolerance:
            drop(("pixel_size_nm", "horizontal_field_width_um"), "scale bar and field width contradict each other")
            pixel = field = None
    seen = pixel * width / 1e6 if pixel and width else field / 1000 if field else None
    low, high = _PRINTED_MM.get(style, _REFERENCE_MM)
    if times and seen and not low <= seen * times <= high:
        both = (
            ("magnification",) if pixel and field else ("magnification", "pixel_size_nm", "horizontal_field_width_um")
        )
        drop(both, f"a field of {seen * 1000:.4g} um does not go with {times:g}x")
    return readings, tuple(flags)
