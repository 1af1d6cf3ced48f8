"""
Vendor text to numbers in the units of the field names: ``"2.50 K X"``, ``"4.1 mm"``, radians, µm in cp1252.

Pure and strict: text that is not clearly one number with a known unit raises `ValueError` with the reason,
because a wrong value is worse than none. Scaling is decimal, so ``0.0165`` m is 16.5 mm and not 16.500000000000004.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: No instrument writes a longer number; a longer text is damage, not precision.
LONGEST_NUMBER_CHARS: Final = 80

_NUMBER: Final = re.compile(
    r"\s*(?P<number>[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d{1,4})?)\s*(?P<unit>.*?)\s*", re.DOTALL
)
_THOUSANDS_OR_DECIMAL: Final = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")

#: µ is U+00B5 in cp1252 and on most instruments, the Greek letter U+03BC on others; both end up as "u".
_MICRO: Final = str.maketrans({"\u00b5": "u", "\u03bc": "u"})
_PREFIXES: Final[Mapping[str, int]] = MappingProxyType(
    {"f": -15, "p": -12, "n": -9, "u": -6, "m": -3, "": 0, "k": 3, "K": 3, "M": 6, "G": 9}
)
_MAGNIFICATION: Final = re.compile(r"(?P<prefix>[kKM]?)\s*[xX\u00d7]?")
_LEADING_X: Final = re.compile(r"\s*[xX\u00d7]\s*(?=[\d.])")


_RANGE_END: Final = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([kKM]?)[xX]?")
_FACTORS: Final[Mapping[str, float]] = MappingProxyType({"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6})


def parse_range(text: str) -> tuple[float | None, float | None]:
    """
    Return the low and high end of what people write as ``5k..20k``, ``1000..`` or ``..5000``; k and M are thousand and million.

    Raises `ValueError` with what was expected.
    """
    low_text, dots, high_text = (part.strip() for part in text.partition(".."))
    if not dots or not (low_text or high_text):
        raise ValueError(f"{text!r}: write LO..HI, LO.. or ..HI, for example 5k..20k")
    low, high = _range_end(low_text), _range_end(high_text)
    if low is not None and high is not None and low > high:
        raise ValueError(f"{text!r}: the low end is above the high end")
    return low, high


def _range_end(text: str) -> float | None:
    if not text:
        return None
    found = _RANGE_END.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a number such as 52, 2.5 or 20k")
    number = float(found[1]) * _FACTORS[found[2]]
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is too large a number")
    return number


def split_quantity(text: str) -> tuple[Decimal, str]:
    """
    Split text into its number and its unit, e.g. ``"186,1 nm"`` into 186.1 and ``"nm"``.

    A comma is a decimal comma. ``"1,234"`` could be either and is refused.
    """
    if len(text) > LONGEST_NUMBER_CHARS:
        raise ValueError(f"{len(text)} characters where a number was expected")
    match = _NUMBER.fullmatch(text.replace("\x00", ""))
    if match is None:
        raise ValueError(f"no number in {text.strip()!r}")
    number = match["number"]
    if _THOUSANDS_OR_DECIMAL.fullmatch(number):
        raise ValueError(f"{number!r} may mean thousands or decimals")
    return Decimal(number.replace(",", ".")), match["unit"].translate(_MICRO)


def _finite(number: Decimal) -> float:
    value = float(number)
    if not math.isfinite(value) or (value == 0.0 and number != 0):
        raise ValueError(f"{number} is out of range")
    return value + 0.0  # -0.0 becomes 0.0: "Stage at T = -0.0" is no tilt


def _exponent(unit: str, base: str) -> int:
    """Return the power of ten of a prefixed unit, e.g. -9 for ``nm`` of base ``m``."""
    prefix = unit.removesuffix(base)
    if not unit.endswith(base) or prefix not in _PREFIXES:
        raise ValueError(f"unknown unit {unit!r}, expected one of {base!r}")
    return _PREFIXES[prefix]


def _scaled(text: str, base: str, to: str, bare: str | None) -> float:
    number, unit = split_quantity(text)
    unit = unit or bare or ""
    if not unit:
        raise ValueError(f"{text.strip()!r} has no unit")
    return _finite(number.scaleb(_exponent(unit, base) - _exponent(to, base)))


def number(text: str) -> float:
    """Read a plain number; a unit is refused."""
    value, unit = split_quantity(text)
    if unit:
        raise ValueError(f"{text.strip()!r} has a unit where a plain number was expected")
    return _finite(value)


def length(text: str, *, to: str, bare: str | None = None) -> float:
    """Read a length in the unit ``to`` (``"nm"``, ``"um"``, ``"mm"``); ``bare`` is the unit of text that names none."""
    return _scaled(text, "m", to, bare)


def voltage_kv(text: str, *, bare: str | None = None) -> float:
    """Read a voltage in kV; ``bare`` is the unit of text that names none."""
    return _scaled(text, "V", "kV", bare)


def current_na(text: str, *, bare: str | None = None) -> float:
    """Read a current in nA; ``bare`` is the unit of text that names none."""
    return _scaled(text, "A", "nA", bare)


def time_us(text: str, *, bare: str | None = None) -> float:
    """Read a duration in µs; ``bare`` is the unit of text that names none."""
    number_, unit = split_quantity(text)
    unit = {"Secs": "s", "Sec": "s", "sec": "s"}.get(unit, unit)
    return _scaled(f"{number_}{unit}", "s", "us", bare)


def angle_deg(text: str, *, bare: str | None = None) -> float:
    """Read an angle in degrees from ``°``, ``deg`` or ``rad``; ``bare`` is the unit of text that names none."""
    value, unit = split_quantity(text)
    unit = unit or bare or ""
    if unit in {"°", "deg", "deg."}:
        return _finite(value)
    if unit == "rad":
        return significant(math.degrees(_finite(value)))
    raise ValueError(f"unknown unit {unit!r}, expected an angle in degrees or radians")


def significant(value: float, digits: int = 10) -> float:
    """Drop the noise of binary arithmetic: 2500.0000000000005 is 2500; instruments write six digits at most."""
    return float(f"{value:.{digits}g}") + 0.0


def magnification(text: str) -> float:
    """Read a magnification: ``"2.50 K X"``, ``"105 X"``, ``"x1.2k"``, ``"10000"``; it is positive or it is not one."""
    value, unit = split_quantity(_LEADING_X.sub("", text, count=1))
    match = _MAGNIFICATION.fullmatch(unit)
    if match is None:
        raise ValueError(f"unknown unit {unit!r}, expected a magnification such as '2.50 K X'")
    times = _finite(value.scaleb(_PREFIXES[match["prefix"]]))
    if times <= 0:
        raise ValueError(f"a magnification of {times:g} means that none was set")
    return times


def flag(text: str) -> bool:
    """Read on/off, yes/no, true/false."""
    word = text.strip().lower()
    if word in {"on", "yes", "true"}:
        return True
    if word in {"off", "no", "false"}:
        return False
    raise ValueError(f"{text.strip()[:40]!r} is neither on nor off")


def degrees_text(value: float) -> str:
    """Return an angle for people, in tenths of a degree; smaller values are 0.0, without a sign."""
    return f"{round(value, 1) + 0.0:.1f}"


def number_text(value: float) -> str:
    """Return a number for people: five significant digits, whole numbers in full, thousands as in 12,500."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) < 1e-4:  # in digits, not as 8.9e-05
        return f"{Decimal(f'{value:.5g}'):f}"
    return f"{value:,.0f}" if abs(value) >= 10000 else f"{value:,.5g}"
