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
from emwatch.readers.field_table import Row, read_rows, read_value, text
from emwatch.readers.header_text import find_sidecar, read_ini, sidecar_flags
from emwatch.readers.raw_frame import Findings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.frame import Reading
    from emwatch.readers.raw_frame import RawFrame, TextBeside

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
        """Recognise the frame by the sidecar and its heading."""
        return _sidecar(frame) is not None

    def read(self, frame: RawFrame) -> Findings:
        """Decode the sidecar."""
        found = _sidecar(frame)
        if found is None:
            return Findings({})
        beside, content = found
        values, _ = read_ini(content, ":")
        readings = read_rows(ROWS, values, "sidecar") | _acquired_at(values)
        return Findings(readings, sidecar_flags(frame, beside, content), sidecar=beside.identity)


READER: Final = SecReader()


def _sidecar(frame: RawFrame) -> tuple[TextBeside, str] | None:
    return find_sidecar(frame, (f"{frame.path.name}.txt",), "cp949", lambda content: _HEADING in content[:4000])


def _acquired_at(values: Mapping[str, str]) -> dict[str, Reading]:
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
