"""
SEC (SNE series): the sidecar named after the whole file, ``frame.jpg.txt``, with lines ``Key : value``.

Format facts: read from the bytes of an SNE-4500M's text and checked against the bar; the spelling is the instrument's.
The text has no stage and no pixel size: its "Pixel Size : 0.7" is a setting of the scan without a unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emwatch import units
from emwatch.readers.dates import iso_time
from emwatch.readers.field_table import Row, read_rows, read_value, text, whole_lines
from emwatch.readers.raw_frame import Findings
from emwatch.readers.sidecar import cut_flags, find_sidecar

if TYPE_CHECKING:
    from emwatch.frame import Reading
    from emwatch.readers.raw_frame import RawFrame

_HEADING: Final = "[Image Info]"
_MORNING, _AFTERNOON = "\uc624\uc804", "\uc624\ud6c4"


def _set_distance(raw: str) -> float:
    distance = units.length(raw, to="mm")
    if distance <= 0:
        raise ValueError("none was set")
    return distance


ROWS: Final = (
    Row("magnification", ("Image Info.Magnification", "Running Info.Magnification"), units.magnification),
    Row("working_distance_mm", ("Working Distance.Working Distance",), _set_distance),
    Row(
        "accelerating_voltage_kv",
        ("Image Info.Acceleated Voltage", "Image Info.Accelerated Voltage"),
        units.voltage_kv,
    ),
    # Emission Current is what leaves the gun, not what reaches the sample.
    Row("detector", ("Image Info.Detector Mode",), text),
    Row("scan_rotation_deg", ("Running Info.Scan Rotaion", "Running Info.Scan Rotation"), units.angle_deg),
    Row("instrument", ("Image Info.Model",), text),
)


@dataclass(frozen=True, slots=True)
class SecReader:
    """Any image with SEC's sidecar."""

    vendor: str = "SEC"

    def recognises(self, frame: RawFrame) -> bool:
        """Tell by the sidecar and its heading."""
        return _sidecar(frame) is not None

    def read(self, frame: RawFrame) -> Findings:
        """Decode the sidecar."""
        name, content = _sidecar(frame) or ("", "")
        values = lines(content)
        return Findings(read_rows(ROWS, values, "sidecar") | _acquired_at(values), cut_flags(name, content))


READER: Final = SecReader()


def _sidecar(frame: RawFrame) -> tuple[str, str] | None:
    return find_sidecar(frame, (f"{frame.path.name}.txt",), "cp949", lambda content: _HEADING in content[:4000])


def lines(content: str) -> dict[str, str]:
    """Give the values by ``Section.Key``; a section within another is written ``[   - Working Distance]``."""
    values: dict[str, str] = {}
    section = ""
    for line in whole_lines(content).split("\n"):
        stripped = line.strip()
        if stripped.startswith("[") and stripped.endswith("]") and len(stripped) <= 100:
            section = stripped[1:-1].strip(" -")
        elif ":" in stripped:
            key, _, value = stripped.partition(":")
            values.setdefault(f"{section}.{key.strip()[:100]}", value.strip())
    return values


def _acquired_at(values: dict[str, str]) -> dict[str, Reading]:
    """Join the day of Date, whose time may be in Korean ("오후 7:34:06"), and Time, which is that of the same moment."""
    stamp, time = values.get("Image Info.Date", ""), values.get("Image Info.Time", "")
    if not stamp:
        return {}
    date, _, of_day = stamp.partition(" ")
    if not time:
        for word, half in ((_MORNING, "AM"), (_AFTERNOON, "PM")):
            if of_day.startswith(word):
                of_day = f"{of_day.removeprefix(word)} {half}"
        time = of_day
    return {"acquired_at": read_value(lambda _: iso_time(date, time), f"{stamp} {time}", "sidecar Date Time")}
