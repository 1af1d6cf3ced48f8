"""
fibsemOS (OpenFIBSEM): JSON in tag 270.

Format facts: read from the bytes of a frame and from the program's own definitions (its structures say metres, radians,
volts, amperes and seconds).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from emwatch import units
from emwatch.readers.dates import iso_stamp
from emwatch.readers.field_table import Row, read_rows, text
from emwatch.readers.raw_frame import Findings

if TYPE_CHECKING:
    from emwatch.readers.raw_frame import RawFrame

_TAG = 270
_BEAM: Final = "<beam>"
_LARGEST_DEPTH = 6

_metres_as_mm: Final = partial(units.length, to="mm", bare="m")
_metres_as_nm: Final = partial(units.length, to="nm", bare="m")
_radians: Final = partial(units.angle_deg, bare="rad")


def _beam(raw: str) -> str:
    beam = raw.strip().lower()
    if beam not in {"electron", "ion"}:
        raise ValueError(f"{raw.strip()[:40]!r} is neither an electron nor an ion beam")
    return beam


def _time(raw: str) -> str:
    """Read ISO 8601, or seconds of the Unix clock."""
    try:
        seconds = units.number(raw)
    except ValueError:
        return iso_stamp(raw)
    if not 0 < seconds < 1e11:
        raise ValueError(f"{raw[:40]!r} is not a time")
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="seconds")


#: By path in the JSON; <beam> stands for electron_beam or ion_beam, whichever took the frame.
ROWS: Final = (
    Row(
        "horizontal_field_width_um",
        ("image.hfw", f"microscope_state.{_BEAM}_beam.hfw"),
        partial(units.length, to="um", bare="m"),
    ),
    Row("pixel_size_nm", ("pixel_size.x",), _metres_as_nm),
    Row("pixel_size_y_nm", ("pixel_size.y",), _metres_as_nm),
    Row("stage_tilt_deg", ("microscope_state.stage_position.t",), _radians),
    Row("stage_rotation_deg", ("microscope_state.stage_position.r",), _radians),
    Row("stage_x_mm", ("microscope_state.stage_position.x",), _metres_as_mm),
    Row("stage_y_mm", ("microscope_state.stage_position.y",), _metres_as_mm),
    Row("stage_z_mm", ("microscope_state.stage_position.z",), _metres_as_mm),
    Row("working_distance_mm", (f"microscope_state.{_BEAM}_beam.working_distance",), _metres_as_mm),
    Row("accelerating_voltage_kv", (f"microscope_state.{_BEAM}_beam.voltage",), partial(units.voltage_kv, bare="V")),
    Row("beam_current_na", (f"microscope_state.{_BEAM}_beam.beam_current",), partial(units.current_na, bare="A")),
    Row("beam", ("image.beam_type",), _beam),
    Row("detector", (f"microscope_state.{_BEAM}_detector.type",), text),
    Row("dwell_time_us", ("image.dwell_time",), partial(units.time_us, bare="s")),
    Row("scan_rotation_deg", (f"microscope_state.{_BEAM}_beam.scan_rotation",), _radians),
    Row("instrument", ("system.model", "system.info.model"), text),
    Row("serial", ("system.serial_number", "system.info.serial_number"), text),
    Row("operator", ("user.name",), text),
    Row("acquired_at", ("microscope_state.timestamp",), _time),
)


@dataclass(frozen=True, slots=True)
class FibsemOsReader:
    """The TIFF of fibsemOS."""

    vendor: str = "fibsemOS"

    def recognises(self, frame: RawFrame) -> bool:
        """Return True for JSON with the state of a microscope."""
        description = frame.tag(_TAG) or b""
        return description.lstrip()[:1] == b"{" and b'"microscope_state"' in description

    def read(self, frame: RawFrame) -> Findings:
        """Decode the JSON."""
        source = f"tag {_TAG}"
        try:
            document = json.loads((frame.tag(_TAG) or b"").rstrip(b"\x00").decode("utf-8", errors="replace"))
        except (ValueError, RecursionError) as error:
            return Findings({}, (f"{source} is damaged: {str(error)[:100]}",))
        values = flattened(document)
        beam = values.get("image.beam_type", "").lower()
        if beam in {"electron", "ion"}:
            values |= {
                key.replace(f".{beam}_", f".{_BEAM}_"): value
                for key, value in values.items()
                if key.startswith(f"microscope_state.{beam}_")
            }
        readings = {
            name: replace(reading, source=reading.source.replace(_BEAM, beam))
            for name, reading in read_rows(ROWS, values, source).items()
        }
        return Findings(readings, () if readings else (f"{source} holds no key",))


READER: Final = FibsemOsReader()


def flattened(document: Any, prefix: str = "", depth: int = 0) -> dict[str, str]:
    """Return the numbers and texts of nested JSON objects by path, ``pixel_size.x``; null and lists are left out."""
    values: dict[str, str] = {}
    if not isinstance(document, dict) or depth > _LARGEST_DEPTH:
        return values
    for key, value in document.items():
        path = f"{prefix}{key[:100]}"
        if isinstance(value, dict):
            values |= flattened(value, f"{path}.", depth + 1)
        elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
            values[path] = str(value) if len(str(value)) <= 4000 else str(value)[:4000]
    return values
