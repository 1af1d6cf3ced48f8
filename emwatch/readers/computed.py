"""Values that follow from others in the same header, or have to agree with them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from emwatch import units
from emwatch.readers.field_table import read_value, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.frame import Reading

#: ISO 8601 with an offset.
_ZONE: Final = re.compile(r"[+-]\d\d:\d\d$")


def field_width(readings: dict[str, Reading], width: int) -> dict[str, Reading]:
    """Give the field width of a frame whose header has only the pixel size; ``width`` is that of the file in pixels."""
    pixel = readings.get("pixel_size_nm")
    if "horizontal_field_width_um" in readings or pixel is None or not isinstance(pixel.value, float):
        return {}
    value = units.significant(pixel.value * width / 1000)
    return {
        "horizontal_field_width_um": replace(pixel, value=value, computed=True, reason=f"pixel size times {width} px")
    }


def scaled_pixel(reading: Reading, full_width: float, width: int) -> Reading:
    """Give the pixel size of a picture saved smaller or larger than the ``full_width`` px it was scanned with."""
    if not isinstance(reading.value, float) or full_width == width:
        return reading
    value = units.significant(reading.value * full_width / width)
    reason = f"scanned {full_width:g} px wide, saved with {width}"
    return replace(
        reading, value=value, computed=True, reason=f"{reading.reason}; {reason}" if reading.reason else reason
    )


def data_bar_height(values: Mapping[str, str], key: str, source: str, height: int) -> dict[str, Reading]:
    """Read the rows of the data bar; ``height`` is that of the file with its bar, which can be no half of it."""
    if key not in values:
        return {}
    reading = read_value(units.number, values[key], f"{source} {key}")
    if isinstance(reading.value, float) and not (reading.value.is_integer() and 0 <= reading.value < height / 2):
        reading = unknown(reading.raw, reading.source, f"no bar of a picture of {height} rows")
    return {"data_bar_height_px": reading}


def label_nm(raw: str | None, *, bare: str | None = None) -> float | None:
    """Read the label of the scale bar that the instrument drew; ``None`` where there is none, or no length."""
    try:
        length = units.length(raw or "", to="nm", bare=bare)
    except ValueError:
        return None
    return length if length > 0 else None


def with_context(readings: Mapping[str, Reading]) -> dict[str, Reading]:
    """
    Say what a stored value refers to, where nothing is said yet: a magnification to a display, a time to a zone.

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
