"""
Hitachi: the ``.txt`` sidecar with a section [SemImageFile], and XP tags in the TIFF of the TM series.

Format facts: read from the bytes of three TM4000 frames and checked against the bar; other encodings and date orders from
Bio-Formats and a TM3000. The bar lies inside the picture, so its height is not known from here.
The text names its units in part: PixelSize and StagePosition are nm, angles degrees.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from emwatch import units
from emwatch.readers.dates import iso_time
from emwatch.readers.field_table import Row, field_width, label_nm, read_rows, read_value, scaled_pixel, text
from emwatch.readers.header_text import HeaderText, find_sidecar, read_ini, sidecar_flags
from emwatch.readers.raw_frame import Findings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.frame import Reading, Sidecar
    from emwatch.readers.raw_frame import RawFrame, TextBeside

_XP_COMMENT, _XP_AUTHOR = 40092, 40093
_SECTIONS: Final = ("SemImageFile", "TemImageFile")

#: The magnification refers to a photograph 127 mm wide: PixelSize x width x magnification is 127.0 mm on every frame.
_PHOTOGRAPH_MM: Final = 127.0
_VOLT: Final = re.compile(r"Volts?$", re.IGNORECASE)
_CONDITION: Final = re.compile(r"(\w+)=(\S+)")

#: Where tag and sidecar differ in one of these, the sidecar is of another frame.
_IDENTITY: Final = ("SerialNumber", "PixelSize", "Condition")


def _volts(raw: str) -> float:
    """Read ``"15000 Volt"``."""
    return units.voltage_kv(_VOLT.sub("V", raw, count=1))


def _name(raw: str) -> str:
    name = text(raw)
    if name and not name.strip("*"):
        raise ValueError("hidden by the instrument")
    return name


def _off(raw: str) -> bool:
    if raw.strip() != "0":
        raise ValueError("not known what this means; 0 is off")
    return False


_degrees: Final = partial(units.angle_deg, bare="deg")
_nm_as_mm: Final = partial(units.length, to="mm", bare="nm")

ROWS: Final = (
    Row("magnification", ("Magnification", "Condition Mag"), units.magnification),
    Row("pixel_size_nm", ("PixelSize",), partial(units.length, to="nm", bare="nm")),
    Row("stage_tilt_deg", ("StagePositionT",), _degrees),
    Row("stage_rotation_deg", ("StagePositionR",), _degrees),
    Row("stage_x_mm", ("StagePositionX",), _nm_as_mm),
    Row("stage_y_mm", ("StagePositionY",), _nm_as_mm),
    Row("stage_z_mm", ("StagePositionZ",), _nm_as_mm),
    Row("working_distance_mm", ("WorkingDistance", "Condition WD"), partial(units.length, to="mm")),
    Row("accelerating_voltage_kv", ("AcceleratingVoltage", "Condition Vacc"), _volts),
    # EmissionCurrent is what leaves the gun, not what reaches the sample.
    Row("detector", ("SignalName",), text),
    Row("scan_rotation_deg", ("RasterRotation",), _degrees),
    Row("tilt_correction", ("TiltCompensation",), _off),
    Row("instrument", ("InstructName", "XPAuthor"), text),
    Row("serial", ("SerialNumber",), text),
    Row("software", ("SemVersion", "Version"), text),
    Row("operator", ("UserName",), _name),
    Row("sample", ("SampleName",), text),
)


@dataclass(frozen=True, slots=True)
class HitachiReader:
    """Hitachi's TIFF with XP tags, and any image with Hitachi's sidecar."""

    vendor: str = "Hitachi"

    def recognises(self, frame: RawFrame) -> bool:
        """Recognise the sidecar's section, else Hitachi's list in XPComment; other makers write XP tags too."""
        return _sidecar(frame) is not None or bool(_xp_values(frame))

    def read(self, frame: RawFrame) -> Findings:
        """Decode the sidecar, and the XP tags for what it does not say."""
        from_tag = _xp_values(frame)
        readings = read_rows(ROWS, from_tag, f"tag {_XP_COMMENT}")
        beside = _sidecar(frame)
        flags: tuple[str, ...] = ()
        sidecar: Sidecar | None = None
        values = from_tag
        if beside:
            text_beside, content = beside
            sidecar, flags = text_beside.identity, sidecar_flags(frame, text_beside, content)
            found, odd = read_ini(content)
            values = next((part for section in _SECTIONS if (part := found.below(section))), HeaderText())
            if _is_foreign(values, from_tag, frame):
                foreign = f"sidecar {sidecar.name} is of another frame and not read"
                return _complete(readings, from_tag, frame, (foreign, *flags), sidecar)
            _add_condition(values)
            stated = read_rows(ROWS, values, "sidecar") | _acquired_at(values)
            readings |= {
                key: reading for key, reading in stated.items() if reading.value is not None or key not in readings
            }
            flags = (*odd, *flags)
        return _complete(readings, values, frame, flags, sidecar)


READER: Final = HitachiReader()


def _complete(
    readings: dict[str, Reading],
    values: Mapping[str, str],
    frame: RawFrame,
    flags: tuple[str, ...],
    sidecar: Sidecar | None,
) -> Findings:
    width, _ = _size(values)
    if width and "pixel_size_nm" in readings:
        readings["pixel_size_nm"] = scaled_pixel(readings["pixel_size_nm"], width, frame.width)
    readings |= field_width(readings, frame.width)
    return Findings(readings, flags, _PHOTOGRAPH_MM, label_nm(values.get("MicronMarker"), bare="nm"), sidecar)


def _sidecar(frame: RawFrame) -> tuple[TextBeside, str] | None:
    """Pair by name: the ImageName inside may be an earlier one, in Japanese."""
    return find_sidecar(
        frame,
        (f"{frame.path.stem}.txt",),
        "cp932",
        lambda content: any(f"[{section}]".lower() in content[:4000].lower() for section in _SECTIONS),
    )


def _xp_values(frame: RawFrame) -> HeaderText:
    """Return the ``key=value`` lines of XPComment, none if they are not Hitachi's."""
    comment = (frame.tag(_XP_COMMENT) or b"")[:20_000].decode("utf-16-le", errors="replace")
    found, _ = read_ini(comment)
    values = found.below("")
    if "Condition" not in values or "SerialNumber" not in values:
        return HeaderText()
    author = (frame.tag(_XP_AUTHOR) or b"")[:400].decode("utf-16-le", errors="replace").strip("\x00 ")
    if author:
        values.add("XPAuthor", author)
    _add_condition(values)
    return values


def _add_condition(values: HeaderText) -> None:
    """Take ``"Vacc=15.0kV Mag=x1.20k WD=7.9mm"`` apart: the only place of magnification, WD and voltage in the XP tags."""
    for key, value in _CONDITION.findall(values.get("Condition", "")[:400]):
        values.add(f"Condition {key}", value)


def _size(values: Mapping[str, str]) -> tuple[float, float]:
    try:
        width, height = (units.number(part) for part in values.get("DataSize", "")[:40].lower().split("x"))
    except ValueError:
        return 0.0, 0.0
    return (width, height) if width >= 1 and height >= 1 else (0.0, 0.0)


def _is_foreign(values: Mapping[str, str], from_tag: Mapping[str, str], frame: RawFrame) -> bool:
    """Return whether a sidecar is of another frame: by its shape, or because the frame's own tags contradict it."""
    width, height = _size(values)
    if width and abs(frame.width * height / width - frame.height) > 1:
        return True
    return any(values[key] != from_tag[key] for key in _IDENTITY if values.get(key) and from_tag.get(key))


def _acquired_at(values: Mapping[str, str]) -> dict[str, Reading]:
    """Join Date and Time; the order of the date differs by instrument, and one that could be read either way is unknown."""
    if "Date" not in values:
        return {}
    date, time = values["Date"], values.get("Time", "")
    return {"acquired_at": read_value(lambda _: iso_time(date, time), f"{date} {time}", "sidecar Date Time")}
