"""
ImageJ's export: nothing of the microscope but a pixel size, if the picture was calibrated in a unit of length.

Format: TIFF resolution in pixels per ``unit`` of the text in tag 270. An uncalibrated picture has the resolution 1 and no
unit; inch and cm come from a print resolution, and neither is a calibration: nothing is read from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from emwatch import units
from emwatch.frame import Reading
from emwatch.readers.raw_frame import Findings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.readers.raw_frame import RawFrame

_TAG, _X, _Y = 270, 282, 283
_START: Final = b"ImageJ="

#: Nanometres per unit; ImageJ writes µ as it is, as ``\\u00B5``, or spells it out.
_UNITS_NM: Final[Mapping[str, Decimal]] = MappingProxyType(
    {
        "pm": Decimal("0.001"),
        "\u00c5": Decimal("0.1"),
        "angstrom": Decimal("0.1"),
        "nm": Decimal(1),
        "nanometer": Decimal(1),
        "um": Decimal(1000),
        "\u00b5m": Decimal(1000),
        "\u03bcm": Decimal(1000),
        "micron": Decimal(1000),
        "microns": Decimal(1000),
        "micrometer": Decimal(1000),
        "mm": Decimal(1_000_000),
    }
)


@dataclass(frozen=True, slots=True)
class ImageJReader:
    """The TIFF that ImageJ and Fiji save."""

    vendor: str = "ImageJ export"

    def recognises(self, frame: RawFrame) -> bool:
        """Recognise the frame by the start of the description."""
        return (frame.tag(_TAG) or b"").startswith(_START)

    def read(self, frame: RawFrame) -> Findings:
        """Take the pixel size, and only from a calibration."""
        values = _values((frame.tag(_TAG) or b"")[:20_000])
        readings = {}
        for name, tag, unit in (
            ("pixel_size_nm", _X, values.get("unit", "")),
            ("pixel_size_y_nm", _Y, values.get("yunit", values.get("unit", ""))),
        ):
            ratio = frame.pages[frame.picture].ratio(tag)
            scale = _UNITS_NM.get(unit)
            if scale is None or ratio is None or not all(ratio):
                continue
            value = units.significant(float(scale) * ratio[1] / ratio[0])
            readings[name] = Reading(value, f"{ratio[0]}/{ratio[1]} per {unit}", f"tag {tag}")
        return Findings(readings)


READER: Final = ImageJReader()


def _values(raw: bytes) -> dict[str, str]:
    try:
        content = raw.decode("utf-8")
    except UnicodeDecodeError:
        content = raw.decode("cp1252", errors="replace")
    pairs = (line.partition("=") for line in content.replace("\x00", "").replace("\\u00B5", "\u00b5").splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
