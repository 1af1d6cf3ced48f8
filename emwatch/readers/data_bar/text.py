"""
The words of a data bar, as a recogniser read them, to readings in the units of the field names.

A recogniser errs: O for 0, a dot lost, half a number hidden behind the picture. Whatever needs a guess is left out, and
scale bar, magnification and field width must agree with each other: a wrong value is worse than none.
Keys and orders of words are those of real bars: SmartSEM "EHT = 5.00 kV", xT and Phenom with the key above its value,
XL30 "Acc.V Spot Magn Det WD" over the values, Hitachi "15.0kV 9.1mm x3.50k SE", JEOL bare words, Tescan "WD: 10.92 mm".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emwatch import units
from emwatch.frame import DATA_BAR_SOURCE, Reading
from emwatch.readers.checks import only_possible
from emwatch.readers.data_bar.scale import (
    LENGTH,
    NUMBER,
    Recognised,
    ScaleBar,
    TextLine,
    agreeing,
    find_label,
    pixel_size,
)
from emwatch.readers.dates import iso_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

#: Less sure than this, text is not used.
LEAST_CONFIDENCE: Final = 0.8

_PLAIN: Final = str.maketrans(
    {"\u00b5": "u", "\u03bc": "u", "\u00d7": "x", "\uff1a": ":", "\uff1d": "=", "\u00ba": "°"}
)
_GROUPED: Final = rf"\d{{1,3}}(?:[ ,]\d{{3}})+|{NUMBER}"
#: An O after a decimal point can only be a nought; anywhere else it is left alone, and the number with it.
_O_FOR_NOUGHT: Final = re.compile(r"(?<=\d\.)[Oo](?=\s?k?[VvmxX])|(?<=\d\.\d)[Oo](?=\s?k?[VvmxX])")

_KV: Final = re.compile(rf"(?<![\w.,-])({NUMBER})\s?[kK][Vv](?!\w)")
_MM: Final = re.compile(rf"(?<![\w.,-])({NUMBER})\s?mm(?![A-Za-wyz0-9_])")
_TIMES_BEFORE: Final = re.compile(rf"(?:(?<![A-Za-z0-9])|(?<=\dmm))[xX]\s?({_GROUPED})\s?([kKM]?)(?![\w.,])")
_TIMES_AFTER: Final = re.compile(rf"(?<![\w.,])({_GROUPED})\s?([kKM]?)\s?[xX](?!\w)")
_ANGLE: Final = re.compile(rf"(?<![\w.,])(-?{NUMBER})\s?°")
_BARE: Final = re.compile(rf"(?<![\w.,])({NUMBER})(?![\w,]|\.\d)")
_CURRENT: Final = re.compile(rf"(?<![\w.,])({NUMBER}\s?[pnu]A)(?!\w)")
_HITACHI: Final = re.compile(
    rf"(?:(?P<instrument>(?:SU|TM|S-|FlexSEM)\d+\S*)\s+)?(?P<kv>{NUMBER})\s?[kK]V\s+(?P<wd>{NUMBER})\s?mm\s+"
    rf"[xX](?P<mag>{NUMBER}\s?[kKM]?)\s+(?P<detector>[A-Z][A-Z0-9()+&-]*)(?!\S)"
)
_FOV: Final = re.compile(r"FOV\s?:\s?(\d+(?:\.\d+)?)\s?x\s?\d+(?:\.\d+)?\s?([num]m)(?!\w)")
_DATES: Final = (
    re.compile(r"(?<!\d)(?P<named>\d{1,2} ?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* ?\d{4})(?!\d)"),
    re.compile(r"(?<![A-Za-z])(?P<month>[A-Z][A-Za-z]{2,8}) (?P<day>\d{1,2}),? (?P<year>\d{4})(?!\d)"),
    re.compile(r"(?<![\d./-])(?P<numbers>\d{4}([./-])\d{1,2}\2\d{1,2}|\d{1,2}([./-])\d{1,2}\3\d{4})(?!\d)"),
)
_CLOCK: Final = re.compile(r"(?<![\d:])(\d{1,2}:\d{2})(:\d{2})?(?: ?([AP]M))?(?![\d:])")
#: Detectors written without a key: JEOL and SEC.
_JEOL_DETECTORS: Final = frozenset(
    ("SEI", "LEI", "BEI", "SED", "BED", "COMPO", "TOPO", "LED", "UED", "BEC", "BET", "TED")
)
_DETECTORS: Final = _JEOL_DETECTORS | {"SE", "BSE"}


@dataclass(frozen=True, slots=True)
class _Field:
    """How a field is found: after a key on its line, else below a key; ``convert`` raises ValueError for what it is not."""

    name: str
    inline: re.Pattern[str]
    above: re.Pattern[str]
    value: re.Pattern[str]
    convert: Callable[[re.Match[str]], float | str]


def parse(lines: Iterable[TextLine], scale: ScaleBar | None) -> tuple[dict[str, Reading], tuple[str, ...]]:
    """Return readings by field name, and flags for what was dropped because it contradicts something else."""
    sure = [_clean(line) for line in lines if line.confidence >= LEAST_CONFIDENCE and len(line.text) <= 200]
    found: dict[str, Recognised] = {}
    style = _hitachi(sure, found)
    for field in _FIELDS:
        if field.name not in found:
            hit = _one(_keyed(field, sure)) or _one(_columns(field, sure))
            if hit is not None:
                found[field.name] = hit
    style = _bare(sure, found) or style
    readings = {name: hit.reading() for name, hit in found.items()}
    stamp = _acquired(sure)
    if stamp is not None:
        readings["acquired_at"] = stamp
    taken = {hit.raw for name, hit in found.items() if name in {"working_distance_mm", "horizontal_field_width_um"}}
    label = None if scale is None else find_label(sure, scale, taken)
    if label is not None and scale is not None and "pixel_size_nm" not in readings:
        readings["pixel_size_nm"] = pixel_size(label, scale)
    possible = only_possible(readings)
    return agreeing({name: possible[name] for name in readings if possible[name] is readings[name]}, scale, style)


def _clean(line: TextLine) -> TextLine:
    text = _O_FOR_NOUGHT.sub("0", re.sub(r"\s+", " ", line.text.translate(_PLAIN))).strip()
    return TextLine(text, line.confidence, line.left, line.top, line.right, line.bottom)


def _one(hits: Iterable[Recognised]) -> Recognised | None:
    """Take the value if all hits say the same; two values for one field are none."""
    listed = list(hits)
    return max(listed, key=lambda hit: hit.confidence) if len({hit.value for hit in listed}) == 1 else None


# --- converters


def _positive(text: str) -> float:
    value = units.number(text)
    if value <= 0:
        raise ValueError(f"{text!r} is not positive")
    return value


def _kv(match: re.Match[str]) -> float:
    value = _positive(match[1])
    if not 0.01 <= value <= 400:
        raise ValueError(f"no microscope has {value:g} kV")
    return value


def _wd(match: re.Match[str]) -> float:
    value = _positive(match[1])
    if value > 150:
        raise ValueError(f"no working distance is {value:g} mm")
    return value


def _times(number: str, prefix: str) -> float:
    """Read a magnification; "1200k" has lost its dot, since an instrument writes 1.20M, and so has "4500000"."""
    digits = re.sub(r"[ ,]", "", number)
    if prefix and "." not in digits and len(digits) > 3:
        raise ValueError(f"{number}{prefix} has lost its decimal point")
    if not prefix and re.search(r"\.\d", digits) and float(digits) >= 1000:
        raise ValueError(f"{number} is no magnification")
    value = units.magnification(f"{digits} {prefix}x")
    if not 5 <= value <= 5e6:
        raise ValueError(f"no magnification is {value:g}")
    return value


def _mag(match: re.Match[str]) -> float:
    return _times(match[1], match[2])


def _um(match: re.Match[str]) -> float:
    return units.length(f"{match[1]} {match[2]}", to="um")


def _degrees(match: re.Match[str]) -> float:
    value = units.number(match[1])
    if abs(value) > 95:
        raise ValueError(f"no stage tilts by {value:g} degrees")
    return value


def _word(match: re.Match[str]) -> str:
    return match[1].strip(".,;:")


def _word_key(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z])(?:{text})(?![A-Za-z=:]| [=:])", re.IGNORECASE)


_NEVER: Final = re.compile(r"(?!)")
_WORD: Final = re.compile(r"(?<!\S)([A-Za-z][A-Za-z0-9()+-]{1,12}\.?)(?!\S)")
_TIMES_KEYED: Final = rf"({_GROUPED})\s?([kKM]?)\s?[xX](?!\w)"
_EQUALS: Final = r"\s?[=:]?\s?"

#: One row per field: the key before the value, the key above the value, and what the value looks like there.
_FIELDS: Final = (
    _Field("accelerating_voltage_kv", re.compile(rf"(?:EHT|HV){_EQUALS}({NUMBER})\s?[kK][Vv](?!\w)"),
           _word_key(r"HV|Acc\.V|E Beam"), _KV, _kv),
    _Field("working_distance_mm", re.compile(rf"(?<![A-Za-z])WD{_EQUALS}({NUMBER})\s?mm(?![A-Za-wyz0-9_])"), _word_key("WD"), _MM, _wd),
    _Field("working_distance_mm", _NEVER, _word_key("WD"), _BARE, _wd),
    _Field("magnification", re.compile(rf"(?<![A-Za-z])Magn?\.?{_EQUALS}{_TIMES_KEYED}", re.IGNORECASE),
           _word_key(r"Magn?\.?"), _TIMES_AFTER, _mag),
    _Field("horizontal_field_width_um",
           re.compile(rf"(?:HFW|(?<!\w )(?<!\w)Width|View field){_EQUALS}({NUMBER})\s?([num]m)(?!\w)", re.IGNORECASE),
           _word_key("HFW|FW"), LENGTH, _um),
    _Field("horizontal_field_width_um", _FOV, _NEVER, _NEVER, _um),
    _Field("stage_tilt_deg", re.compile(r"Stage at T\s?=\s?(-?\d+\.\d)(?!\d*[1-9])"), _word_key("tilt"), _ANGLE, _degrees),
    _Field("detector", re.compile(r"(?:Signal A\s?=|(?<![A-Za-z])Det\s?:)\s?([A-Za-z][\w()+-]*)"),
           _word_key(r"Det\.?"), _WORD, _word),
    _Field("stage_z_mm", re.compile(rf"Stage at Z\s?=\s?(-?{NUMBER})\s?mm(?!\w)"), _NEVER, _NEVER,
           lambda match: units.number(match[1])),
    _Field("pixel_size_nm", re.compile(rf"Image Pixel Size\s?=\s?({NUMBER})\s?([nu]m)(?!\w)"), _NEVER, _NEVER,
           lambda match: units.length(f"{match[1]} {match[2]}", to="nm")),
    _Field("beam_current_na", _NEVER, _word_key("curr"), _CURRENT, lambda match: units.current_na(match[1])),
)  # fmt: skip


# --- the ways in which values stand in a bar


def _converted(field: _Field, match: re.Match[str], line: TextLine) -> Recognised | None:
    try:
        return Recognised(field.convert(match), match[0].strip(), line.confidence)
    except ValueError:
        return None


def _keyed(field: _Field, lines: Sequence[TextLine]) -> Iterator[Recognised]:
    """Find values that follow their key on the same line."""
    for line in lines:
        for match in field.inline.finditer(line.text):
            hit = _converted(field, match, line)
            if hit is not None:
                yield hit


def _columns(field: _Field, lines: Sequence[TextLine]) -> Iterator[Recognised]:
    """Find values that stand below their key: the nearest to its column, on the line right below."""
    for line in lines:
        for key in field.above.finditer(line.text):
            centre, tall = line.centre_of(*key.span()), line.bottom - line.top
            below = [
                (abs(other.centre_of(*match.span()) - centre), match, other)
                for other in lines
                if 0.4 * tall < other.top - line.top < 2.2 * tall
                for match in field.value.finditer(other.text)
            ]
            if not below:
                continue
            distance, match, other = min(below, key=lambda found: found[0])
            hit = _converted(field, match, other) if distance < 1.5 * tall else None
            if hit is not None:
                yield hit


def _hitachi(lines: Sequence[TextLine], found: dict[str, Recognised]) -> str:
    """Read the one line in which Hitachi instruments write all, in a fixed order; return the style if it is theirs."""
    for line in lines:
        match = _HITACHI.search(line.text)
        if match is None:
            if re.search(rf"{NUMBER}\s?[kK]V\s+{NUMBER}\s?mm\s+[xX]", line.text):
                # All but the magnification: that is the piece the picture behind has spoilt.
                match = re.search(rf"(?P<kv>{NUMBER})\s?[kK]V\s+(?P<wd>{NUMBER})\s?mm", line.text)
            if match is None:
                continue
        parts = match.groupdict()
        for name, part, convert in (
            ("accelerating_voltage_kv", "kv", _positive),
            ("working_distance_mm", "wd", _positive),
            ("magnification", "mag", lambda text: _times(text.rstrip("kKM "), text[-1] if text[-1] in "kKM" else "")),
            ("detector", "detector", str),
            ("instrument", "instrument", str),
        ):
            text = parts.get(part)
            if not text:
                continue
            try:
                found[name] = Recognised(convert(text), text, line.confidence)
            except ValueError:
                continue
        return "hitachi"
    return ""


def _bare(lines: Sequence[TextLine], found: dict[str, Recognised]) -> str:
    """Read what stands without a key, if the bar holds only one such value; return the style if it is JEOL's."""
    bare_names: set[str] = set()
    bare: tuple[tuple[str, tuple[re.Pattern[str], ...], Callable[[re.Match[str]], float | str]], ...] = (
        ("accelerating_voltage_kv", (_KV,), _kv),
        ("magnification", (_TIMES_BEFORE, _TIMES_AFTER), _mag),
    )
    for name, patterns, convert in bare:
        if name in found:
            continue
        matches = [(line, match) for line in lines for pattern in patterns for match in pattern.finditer(line.text)]
        field = _Field(name, _NEVER, _NEVER, _NEVER, convert)
        hit = _one(hit for line, match in matches if (hit := _converted(field, match, line)) is not None)
        if hit is not None:
            found[name] = hit
            bare_names.add(name)
    if "detector" not in found:
        words = [
            Recognised(word, word, line.confidence)
            for line in lines
            for word in line.text.split()
            if word in _DETECTORS
        ]
        hit = _one(words)
        if hit is not None:
            found["detector"] = hit
            if hit.value in _JEOL_DETECTORS and "magnification" in bare_names:
                return "jeol"
    return ""


def _acquired(lines: Sequence[TextLine]) -> Reading | None:
    """Read the date, and the time if there is one: on the same line, else the only one in the bar."""
    dates = [(line, match) for line in lines for pattern in _DATES for match in pattern.finditer(line.text)]
    if len({match[0] for _, match in dates}) != 1:
        return None
    line, match = dates[0]
    parts = match.groupdict()
    day = parts.get("named") or parts.get("numbers") or f"{parts['day']} {parts['month'][:3].title()} {parts['year']}"
    day = re.sub(r"(\d) ?([A-Za-z]{3})[a-z]* ?(\d)", r"\1 \2 \3", day)
    clocks = list(_CLOCK.finditer(line.text[match.end() :])) or [
        c for other in lines for c in _CLOCK.finditer(other.text)
    ]
    clock = clocks[0] if len(clocks) == 1 else None
    raw = f"{match[0]} {clock[0]}" if clock else match[0]
    time = f"{clock[1]}{clock[2] or ':00'} {clock[3] or ''}" if clock else "0:00:00"
    try:
        stamp = iso_time(day, time.strip())
    except ValueError as error:
        return Reading(None, raw, DATA_BAR_SOURCE, reason=str(error))
    known = stamp[:10] if clock is None else stamp if clock[2] else stamp[:16]
    return Reading(known, raw, DATA_BAR_SOURCE, reason=f"read with confidence {line.confidence:.2f}")
