"""
JEOL: the ``.txt`` sidecar (``$CM_KEY value``), and the Exif MakerNote of newer instruments (``$CM_KEY=value``).

Format facts: read from the bytes of ten frames (JSM-IT800, 4700F, JXA-8530F) and checked against the bar.
Lengths are mm, voltages kV and angles degrees, most without a unit in the text. The width to which the magnification
refers differs by instrument (120 and 128 mm), so it is never used to compute a pixel size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from emwatch import units
from emwatch.frame import Reading, Sidecar
from emwatch.readers.dates import iso_time
from emwatch.readers.field_table import Row, field_width, label_nm, read_rows, read_value, scaled_pixel, text, unknown
from emwatch.readers.header_text import HeaderText, find_sidecar, sidecar_flags, whole_lines
from emwatch.readers.raw_frame import Findings
from emwatch.readers.tiff import sub_page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.readers.raw_frame import RawFrame, TextBeside

_EXIF, _MAKER_NOTE, _DATE_TIME_ORIGINAL = 34665, 37500, 36867
_UNICODE: Final = b"UNICODE\x00"
_TAB: Final = "\t"
_KEY: Final = re.compile(r"^\$+((?:CM|SM|FE)_\w{1,60})[ =]?(.*)$", re.IGNORECASE)
_NAMED_AXIS: Final = re.compile(r"\b([XYZRT])\s*=\s*([^\s,]+)")
_POSITIONS: Final = {"X": 0, "Y": 1, "Z": 2, "R": 3, "T": 4}
_TWO: Final = re.compile(r"\s*(\S+)\s+([\d.]+)\s*(\S*)\s*")


def _stage(axis: str, raw: str) -> float:
    """Take one axis of ``"X Y Z R T 0"`` or of ``"X=37.17, Y=44.93, R=354.99, Z=16.90, T=0.00"``."""
    named = dict(_NAMED_AXIS.findall(raw[:400]))
    parts = raw[:400].split()
    if named:
        if axis not in named:
            raise ValueError(f"no {axis} in the stage's position")
        part = named[axis]
    elif len(parts) in {5, 6}:
        part = parts[_POSITIONS[axis]]
    else:
        raise ValueError(f"{len(parts)} numbers where X Y Z R T 0 was expected")
    return units.angle_deg(part, bare="deg") if axis in "RT" else units.length(part, to="mm", bare="mm")


def _field_of_view(raw: str) -> float:
    """Take the width of ``"2.56 1.92\u03bcm"``, whose unit stands after the height."""
    match = _TWO.fullmatch(raw[:100])
    if match is None:
        raise ValueError(f"{raw.strip()[:40]!r} is not a width, a height and a unit")
    return units.length(match[1] + match[3], to="um")


def _per_pixel(raw: str) -> float:
    return units.length(raw[:100].strip().removesuffix("/pixel"), to="nm")


def _off(raw: str) -> bool:
    if raw.strip() != "0":
        raise ValueError("not known what this means; 0 is off")
    return False


_millimetres: Final = partial(units.length, to="mm", bare="mm")
#: Keys of the size that was scanned. The JSM-6700F has only that of the saved picture, with the bar if it is below.
_SCANNED_SIZE: Final = ("$CM_FULL_SIZE", "$CM_IMAGE_SIZE")
_SAVED_SIZE: Final = "$CM_IMAGE_RES"
_STAGE_KEYS: Final = ("$CM_STAGE_POSITION", "$CM_STAGE_POS")

ROWS: Final = (
    # $SM_MONITOR_MAGNIFICATION is that on the screen of the instrument, not that of the bar.
    Row("magnification", ("$CM_MAG",), units.magnification),
    Row("horizontal_field_width_um", ("$CM_FIELD_OF_VIEW",), _field_of_view),
    Row("pixel_size_nm", ("$CM_PIXEL_SIZE",), _per_pixel),
    Row("stage_tilt_deg", _STAGE_KEYS, partial(_stage, "T")),
    Row("stage_rotation_deg", _STAGE_KEYS, partial(_stage, "R")),
    Row("stage_x_mm", _STAGE_KEYS, partial(_stage, "X")),
    Row("stage_y_mm", _STAGE_KEYS, partial(_stage, "Y")),
    Row("stage_z_mm", _STAGE_KEYS, partial(_stage, "Z")),
    Row("working_distance_mm", ("$SM_WD",), _millimetres),
    Row("accelerating_voltage_kv", ("$CM_ACCEL_VOLT",), partial(units.voltage_kv, bare="kV")),
    Row("detector", ("$FE_DETECTOR_NAME", "$CM_SIGNAL", "$CM_SIGNAL_NAME", "$CM_DETECTOR_NAME"), text),
    Row("dwell_time_us", ("$SM_DWELL_TIME",), units.time_us),
    Row("scan_rotation_deg", ("$SM_SCAN_ROTATION",), partial(units.angle_deg, bare="deg")),
    Row("tilt_correction", ("$SM_TILT_MAG_CORRECTION",), _off),
    Row("instrument", ("$SM_NICKNAME", "$CM_INSTRUMENT"), text),
    Row("operator", ("$CM_OPERATOR",), text),
    Row("sample", ("$CM_COMMENT",), text),
)


@dataclass(frozen=True, slots=True)
class JeolReader:
    """JEOL's TIFF with a MakerNote, and any image with JEOL's sidecar."""

    vendor: str = "JEOL"

    def recognises(self, frame: RawFrame) -> bool:
        """Recognise the frame by the MakerNote, else by a sidecar of JEOL's keys; Exif and XP tags alone are everybody's."""
        return bool(_maker_note(frame)) or _sidecar(frame) is not None

    def read(self, frame: RawFrame) -> Findings:
        """Decode the MakerNote, else the sidecar."""
        note = _maker_note(frame)
        flags: tuple[str, ...] = ()
        sidecar: Sidecar | None = None
        if note:
            values, source = pairs(note, _TAB), f"tag {_MAKER_NOTE}"
        else:
            found = _sidecar(frame)
            if found is None:
                return Findings({})
            beside, content = found
            sidecar = beside.identity
            values, source, flags = pairs(content, "\n"), "sidecar", sidecar_flags(frame, beside, content)
            if not _fits(values, frame):
                foreign = f"sidecar {sidecar.name} is of another frame and not read"
                return Findings({}, (foreign,), sidecar=sidecar)
        readings = read_rows(ROWS, values, source) | _acquired_at(values, source, frame)
        full_width, full_height = _size(values)
        if not note:
            readings |= _beam_current(values, source) | _pixel_of_bar(values, source)
        if full_width and "pixel_size_nm" in readings:
            readings["pixel_size_nm"] = scaled_pixel(readings["pixel_size_nm"], full_width, frame.width)
        readings |= _data_bar_height(values, source, frame, full_width, full_height)
        readings |= field_width(readings, frame.width)
        label = label_nm(values.get("$SM_MICRON_MARKER"))
        return Findings(readings, flags, _display_width_mm(values), label, sidecar)


READER: Final = JeolReader()


def pairs(content: str, separator: str) -> HeaderText:
    """Return the values by key, ``$$SM_WD`` and ``$SM_WD`` both as the latter."""
    found = (_KEY.match(line.strip()) for line in whole_lines(content, separator).split(separator))
    return HeaderText((f"${match[1]}", match[2].strip()) for match in found if match)


def _maker_note(frame: RawFrame) -> str:
    page = frame.pages[frame.picture] if frame.pages else None
    exif = sub_page(page, _EXIF) if page else None
    raw = (exif.raw(_MAKER_NOTE) or b"")[:200_000] if exif else b""
    if not raw.startswith(_UNICODE):
        return ""
    content = raw[len(_UNICODE) :]
    note = content.decode("utf-16-be" if content[:1] == b"\x00" else "utf-16-le", errors="replace")
    if exif is None or "$CM_" not in note:
        return ""
    # The last pair of a note has no tab: it is whole if the tag is, and was written to its end.
    return note if exif.is_cut(_MAKER_NOTE) or note.endswith("\x00") else note + _TAB


def _sidecar(frame: RawFrame) -> tuple[TextBeside, str] | None:
    found = find_sidecar(frame, (f"{frame.path.stem}.txt",), "cp1252", lambda content: "$CM_" in content.upper())
    if found is None:
        return None
    beside, content = found
    return beside, content.replace("\u0192\u00ca", "\u03bc")  # Shift-JIS's Greek mu, as cp1252 shows it


def _size(values: Mapping[str, str]) -> tuple[float, float]:
    """Return width and height that were scanned, zeros if they are not known."""
    return _two_numbers(next((values[key] for key in (*_SCANNED_SIZE, _SAVED_SIZE) if values.get(key)), ""))


def _two_numbers(raw: str) -> tuple[float, float]:
    """Return the numbers of ``"1280 960"`` or ``"1280x960"``, zeros if it is no size."""
    try:
        width, height = (units.number(part) for part in raw[:40].lower().replace("x", " ").split())
    except ValueError:
        return 0.0, 0.0
    return (width, height) if width >= 1 and height >= 1 else (0.0, 0.0)


def _fits(values: Mapping[str, str], frame: RawFrame) -> bool:
    """Return whether the scanned shape is that of the frame, alone or with a strip of up to a quarter below."""
    width, height = _size(values)
    if not width:
        return True
    rows = frame.width * height / width
    return rows - 1 <= frame.height <= 1.25 * rows


def _display_width_mm(values: Mapping[str, str]) -> float | None:
    try:
        width, _ = (units.number(part) for part in values.get("$SM_STANDARD_FIELD_SIZE", "")[:40].split())
    except ValueError:
        return None
    return width if width > 0 else None


def _acquired_at(values: Mapping[str, str], source: str, frame: RawFrame) -> dict[str, Reading]:
    date, time, where = values.get("$CM_DATE", ""), values.get("$CM_TIME", ""), f"{source} $CM_DATE $CM_TIME"
    exif = sub_page(frame.pages[frame.picture], _EXIF) if frame.pages and not (date and time) else None
    stamp = (exif.raw(_DATE_TIME_ORIGINAL) or b"")[:40].decode("ascii", errors="replace") if exif else ""
    if stamp:
        # Exif writes 2025:02:03 10:32:00, a colon also within the date.
        date, _, time = stamp.strip("\x00 ").partition(" ")
        date, where = date.replace(":", "-"), f"tag {_DATE_TIME_ORIGINAL}"
    if not date:
        return {}
    return {"acquired_at": read_value(lambda _: iso_time(date, time), stamp or f"{date} {time}", where)}


def _beam_current(values: Mapping[str, str], source: str) -> dict[str, Reading]:
    """Read the probe current, in A; 0 is what instruments write that do not measure it."""
    key = "$SM_PROBE_CURRENT"
    if key not in values:
        return {}
    reading = read_value(partial(units.current_na, bare="A"), values[key], f"{source} {key}")
    if reading.value == 0:
        reading = unknown(reading.raw, reading.source, "0 means that it was not measured")
    return {"beam_current_na": reading}


def _pixel_of_bar(values: Mapping[str, str], source: str) -> dict[str, Reading]:
    """Divide the micron bar's label by its length in scanned pixels, a whole number: right within 1/length."""
    marker, bar = values.get("$SM_MICRON_MARKER"), values.get("$SM_MICRON_BAR")
    if marker is None or bar is None:
        return {}
    where, raw = f"{source} $SM_MICRON_MARKER / $SM_MICRON_BAR", f"{marker} / {bar}"
    label = read_value(partial(units.length, to="nm"), marker, where)  # "5deg." of a channelling pattern is refused
    count = read_value(units.number, bar, where)
    if not isinstance(label.value, float) or not isinstance(count.value, float):
        return {"pixel_size_nm": unknown(raw, where, label.reason or count.reason)}
    if label.value <= 0 or count.value < 1:
        return {"pixel_size_nm": unknown(raw, where, "no bar was drawn")}
    if not _size(values)[0]:
        return {"pixel_size_nm": unknown(raw, where, "the width that was scanned is not known")}
    value = units.significant(label.value / count.value)
    reason = f"label of the micron bar over its {count.value:g} px"
    return {"pixel_size_nm": Reading(value, raw, where, computed=True, reason=reason)}


def _data_bar_height(
    values: Mapping[str, str], source: str, frame: RawFrame, full_width: float, full_height: float
) -> dict[str, Reading]:
    """Count the rows that the file has beyond the scanned ones: 64 of 1024, or $SM_PNU_HEIGHT; text may overlay the rest."""
    raw = next((values[key] for key in _SCANNED_SIZE if values.get(key)), "")
    if not full_width or not raw:
        return {}
    rows = round(frame.width * full_height / full_width)
    key = f"{source} $CM_FULL_SIZE"
    height = frame.height - rows
    if not 0 <= height < frame.height / 2:
        reason = f"scanned as {full_width:g} x {full_height:g}, saved as {frame.width} x {frame.height}: cropped"
        return {"data_bar_height_px": unknown(raw, key, reason)}
    reading = Reading(float(height), raw, key, computed=True, reason=f"{frame.height} rows less {rows} scanned ones")
    stated = values.get("$SM_PNU_HEIGHT", "")
    if stated == str(height):
        reading = replace(reading, raw=stated, source=f"{source} $SM_PNU_HEIGHT", computed=False, reason="")
    return {"data_bar_height_px": reading}
