"""
Are the values of one frame possible, and do they agree? Pure checks: what contradicts is flagged, and no value is changed.

Only values that the file states itself are compared: a computed one agrees with what it was computed from.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from emwatch.frame import FIELDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.frame import Reading

#: Headers round to three or four digits, and a micron bar is counted in whole pixels.
_TOLERANCE: Final = 0.02

#: No instrument before saved files of these formats; a clock that was never set says 1970 or 1980.
_EARLIEST_YEAR: Final = 1990

#: An instrument's clock names no zone; those of the world span 26 hours. A file cannot be older than its frame, but a copy
#: may be much younger, so only a time of acquisition after the file's own is a contradiction.
_ZONES_S: Final = 26 * 3600.0

#: ISO 8601 with an offset.
_ZONE: Final = re.compile(r"[+-]\d\d:\d\d$")


def disagreements(
    readings: Mapping[str, Reading], width: int, *, display_width_mm: float | None, modified_s: float | None
) -> tuple[str, ...]:
    """
    Return in words what does not agree.

    ``width`` is that of the picture in pixels, ``display_width_mm`` the width to which the magnification refers, if
    the format fixes it, and ``modified_s`` when the file was last written (seconds of the Unix clock).
    """
    found = (
        _field_width(readings, width),
        _magnification(readings, display_width_mm),
        _tilt_correction(readings),
        _clock(readings, modified_s),
    )
    return tuple(flag for flag in found if flag)


#: Ends of a scale bar are found within a pixel each, and headers round the pixel size.
_RULER_ENDS_PX: Final = 2.0
_RULER_ROUNDING: Final = 0.01
#: The round lengths 1 to 9 stand 10 % apart at their closest; a scale bar too short to tell them apart proves nothing.
_TOLD_APART: Final = 0.04
#: No scale bar is shorter than an atom or longer than a metre; a pixel size that says so is damage.
_SHORTEST_NM: Final = 0.01
_LONGEST_NM: Final = 1e9


def scale_bar_disagreement(pixel_nm: float, ruler_px: float, label_nm: float | None) -> str:
    """
    Return how the scale bar drawn into a picture contradicts the pixel size; empty if it does not.

    ``ruler_px``: its length in the picture. ``label_nm``: what the header says that it stands for; if that is not known,
    it has to be a round length, one digit and noughts, as all makers draw.
    """
    length_nm = ruler_px * pixel_nm
    if not _SHORTEST_NM <= length_nm <= _LONGEST_NM:
        return ""
    tolerance = _RULER_ENDS_PX / ruler_px + _RULER_ROUNDING
    if label_nm is None and tolerance > _TOLD_APART:
        return ""
    wanted_nm = _round_length_nm(length_nm) if label_nm is None else label_nm
    if wanted_nm <= 0 or abs(length_nm / wanted_nm - 1) <= tolerance:
        return ""
    expected = "no round length" if label_nm is None else f"its label says {wanted_nm / 1000:.4g} \u00b5m"
    return (
        f"the scale bar of {ruler_px:g} px is {length_nm / 1000:.4g} \u00b5m by the pixel size, {expected}: "
        "resized, or one of them wrong"
    )


def _round_length_nm(length_nm: float) -> float:
    power = 10.0 ** math.floor(math.log10(length_nm))
    return min((digit * power for digit in range(1, 11)), key=lambda each: abs(length_nm / each - 1))


def _stated(readings: Mapping[str, Reading], name: str) -> float | None:
    reading = readings.get(name)
    usable = reading is not None and not reading.computed and type(reading.value) is float and reading.value > 0
    return reading.value if usable else None  # type: ignore[union-attr,return-value]


def _field_width(readings: Mapping[str, Reading], width: int) -> str:
    pixel_nm, field_um = _stated(readings, "pixel_size_nm"), _stated(readings, "horizontal_field_width_um")
    if pixel_nm is None or field_um is None:
        return ""
    product_um = pixel_nm * width / 1000
    if abs(product_um - field_um) <= _TOLERANCE * field_um:
        return ""
    return (
        f"pixel size times width is {product_um:.4g} \u00b5m, but the field width is {field_um:.4g} \u00b5m: "
        "resized, cropped, or one of them wrong"
    )


def _magnification(readings: Mapping[str, Reading], display_width_mm: float | None) -> str:
    times, field = _stated(readings, "magnification"), readings.get("horizontal_field_width_um")
    if times is None or display_width_mm is None or field is None or not isinstance(field.value, float):
        return ""
    shown_mm = times * field.value / 1000
    if field.value <= 0 or abs(shown_mm - display_width_mm) <= _TOLERANCE * display_width_mm:
        return ""
    return f"magnification times field width is {shown_mm:.4g} mm, expected {display_width_mm:g} mm: one of them may be wrong"


def _tilt_correction(readings: Mapping[str, Reading]) -> str:
    on = readings.get("tilt_correction")
    if on is None or on.value is not True:
        return ""
    angle = readings.get("tilt_correction_deg")
    by = f" by {angle.value:g}\u00b0" if angle is not None and isinstance(angle.value, float) else ""
    return f"tilt-corrected{by}: the picture is stretched across the tilt axis"


def _clock(readings: Mapping[str, Reading], modified_s: float | None) -> str:
    stamp = readings.get("acquired_at")
    if stamp is None or not isinstance(stamp.value, str):
        return ""
    try:
        acquired = datetime.fromisoformat(stamp.value)
    except ValueError:
        return ""
    if acquired.year < _EARLIEST_YEAR:
        return f"acquired in {acquired.year}: the instrument's clock is not set"
    zoned = acquired.tzinfo is not None
    acquired_s = (acquired if zoned else acquired.replace(tzinfo=UTC)).timestamp()
    # Two files written by the same clock differ by little; an hour allows for a share whose clock is off.
    if modified_s is None or acquired_s - modified_s <= (3600.0 if zoned else _ZONES_S):
        return ""
    return f"acquired at {stamp.value}, after the file was last written: the instrument's clock is ahead, or the file's is wrong"


def only_possible(readings: Mapping[str, Reading]) -> dict[str, Reading]:
    """
    Return the readings, without the value of a number that no instrument has; its text stays, with the reason.

    Software writes 0 or -1 for what it does not know, and a damaged text can be any number: a field width of 0 would meet
    every target that asks for a narrow one.
    """
    return {name: _possible(name, reading) for name, reading in readings.items()}


def _possible(name: str, reading: Reading) -> Reading:
    low, high = FIELDS[name].ends
    if not isinstance(reading.value, (int, float)) or low <= reading.value <= high:
        return reading
    reason = f"{reading.value:g} is not possible: instruments have {low:g} to {high:g}"
    if reading.computed:
        reason = f"{reason}; {reading.reason}"
    return replace(reading, value=None, reason=reason)


def with_context(readings: Mapping[str, Reading]) -> dict[str, Reading]:
    """
    Add what a stored value refers to, if nothing is said yet: a magnification to a display, a time to a zone.

    Makers mean displays of 114 to 418 mm, so magnifications of two of them compare only with this.
    """
    said = dict(readings)
    times, field = readings.get("magnification"), readings.get("horizontal_field_width_um")
    if times and field and not times.computed and isinstance(times.value, float) and isinstance(field.value, float):
        display_mm = times.value * field.value / 1000
        if display_mm > 0 and not times.reason:
            said["magnification"] = replace(times, reason=f"for a display {display_mm:.0f} mm wide")
    stamp = readings.get("acquired_at")
    if stamp and isinstance(stamp.value, str) and not stamp.reason and _ZONE.search(stamp.value) is None:
        said["acquired_at"] = replace(stamp, reason="the instrument's local time, its zone is not stated")
    return said
