"""What people read of a frame's values, on the terminal and on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emwatch.frame import FIELDS, FieldKind
from emwatch.units import number_text

if TYPE_CHECKING:
    from emwatch.frame import Reading


def value_text(name: str, reading: Reading | None) -> str:
    """Return a value for people; ``-`` if it is unknown."""
    value = None if reading is None else reading.value
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number_text(value)
    return value.replace("T", " ") if FIELDS[name].kind is FieldKind.TIME else value
