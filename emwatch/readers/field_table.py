"""Table-driven metadata: one row per field with its keys and its converter, so that a new firmware's key is one line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emwatch.frame import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: Raw text is kept for the operator's eye; a value longer than this is damage, and its start says enough.
LONGEST_RAW_CHARS: Final = 200
LONGEST_TEXT_CHARS: Final = 1000


#: Ends a text whose last line has no end: half of "WD=0.0107" is a distance too. No instrument writes this code point.
CUT: Final = "\ufdd0"


def whole_lines(content: str, end: str = "\n") -> str:
    """
    Give a text without NUL padding and with plain line ends; one that breaks off within a line ends with `CUT`.

    All makers end the last line as well; a sidecar that is being written, or a block cut short, does not.
    """
    plain = content.replace("\x00", "").replace("\r", "\n")
    return plain if not plain or plain.endswith(end) else plain + CUT


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
    Read every row from texts by key; ``source`` names where they stand, e.g. ``tag 34118``.

    A field is absent where the header has none of its keys, and ``None`` with the reason where it has and cannot be used.
    """
    readings: dict[str, Reading] = {}
    for row in rows:
        found = [read_value(row.convert, values[key], f"{source} {key}") for key in row.keys if key in values]
        usable = next((reading for reading in found if reading.value is not None), None)
        if usable or found:
            readings[row.field] = usable or found[0]
    return readings


def read_value(convert: Callable[[str], float | str | bool], raw: str, source: str) -> Reading:
    """Read one text; unusable text gives a reading without a value."""
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
    """Say that a value is there and why it cannot be used."""
    return Reading(None, raw[:LONGEST_RAW_CHARS], source, reason=reason)
