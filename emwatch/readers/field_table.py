"""Table-driven metadata: one row per field with its keys and its converter, so that a new firmware's key is one line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from emwatch import units
from emwatch.frame import Reading
from emwatch.readers.header_text import CUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: Raw text is kept for the operator's eye; a value longer than this is damage, and its start says enough.
LONGEST_RAW_CHARS: Final = 200
LONGEST_TEXT_CHARS: Final = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """
    One field of one vendor.

    The first of ``keys`` that has a usable value counts; ``convert`` raises `ValueError` for text it cannot use.
    """

    field: str
    keys: tuple[str, ...]
    convert: Callable[[str], float | str | bool]


def text(raw: str) -> str:
    """Take text as it is, without its margins."""
    if len(raw) > LONGEST_TEXT_CHARS:
        raise ValueError(f"{len(raw)} characters where a short text was expected")
    return "".join(char if char.isprintable() else " " for char in raw.replace("\x00", "")).strip()


def read_rows(rows: Iterable[Row], values: Mapping[str, str], source: str) -> dict[str, Reading]:
    """
    Read every row from texts by key; ``source`` names their place, e.g. ``tag 34118``.

    A field is absent if the header has none of its keys, and ``None`` with the reason if it has one that cannot be used.
    """
    readings: dict[str, Reading] = {}
    for row in rows:
        found = [read_value(row.convert, values[key], f"{source} {key}") for key in row.keys if key in values]
        usable = next((reading for reading in found if reading.value is not None), None)
        if usable or found:
            readings[row.field] = usable or found[0]
    return readings


def read_value(convert: Callable[[str], float | str | bool], raw: str, source: str) -> Reading:
    """Read one text; unusable text returns a reading without a value."""
    shown = raw[:LONGEST_RAW_CHARS].replace("\x00", "").strip()
    if CUT in raw:
        return unknown(shown.replace(CUT, ""), source, "the text breaks off within this value")
    if not shown and not raw.replace("\x00", "").strip():
        return unknown("", source, "the key has no value")
    try:
        value = convert(raw)
    except ValueError as error:
        return unknown(shown, source, str(error)[:LONGEST_RAW_CHARS])
    return Reading(value, shown, source) if value != "" else unknown(shown, source, "the key has no value")


def unknown(raw: str, source: str, reason: str) -> Reading:
    """Return a reading without a value, with the reason why it cannot be used."""
    return Reading(None, raw[:LONGEST_RAW_CHARS], source, reason=reason)


def field_width(readings: dict[str, Reading], width: int) -> dict[str, Reading]:
    """Return the field width of a frame whose header has only the pixel size; ``width`` is that of the file in pixels."""
    pixel = readings.get("pixel_size_nm")
    if "horizontal_field_width_um" in readings or pixel is None or not isinstance(pixel.value, float):
        return {}
    value = units.significant(pixel.value * width / 1000)
    return {
        "horizontal_field_width_um": replace(pixel, value=value, computed=True, reason=f"pixel size times {width} px")
    }


def scaled_pixel(reading: Reading, full_width: float, width: int) -> Reading:
    """Return the pixel size of a picture saved smaller or larger than the ``full_width`` px it was scanned with."""
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
    """Read the label of the scale bar that the instrument drew; ``None`` if there is none, or no length."""
    try:
        length = units.length(raw or "", to="nm", bare=bare)
    except ValueError:
        return None
    return length if length > 0 else None
