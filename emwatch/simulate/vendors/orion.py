"""
Zeiss Orion frames: 8-bit grey TIFF, tag 65000 with XML ``<ImageTags>``, a Value and its Units below each key.

Built from descriptions of the format (see `emwatch.readers.vendors.orion`); no file was at hand. How the instrument writes
its time is not known, so none is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emwatch.simulate.tiff import TagType, WrittenPage, WrittenTag, encode_tiff
from emwatch.simulate.vendors.vendor import Vendor, eight_bit, everything_but
from emwatch.simulate.vendors.xml_text import branch, leaf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.simulate.acquisition import Shot


def header(shot: Shot) -> str:
    """Return the text of tag 65000."""
    acquisition = shot.acquisition
    volts = f"{acquisition.accelerating_voltage_kv * 1e3:g}"
    return branch(
        "ImageTags",
        _tag("AccelerationVoltage", volts, "Volts"),
        _tag("GFIS.AccelerationVoltage", volts, "Volts"),
        _tag("GFIS.BeamCurrent", f"{acquisition.beam_current_na * 1e3:g}", "pA"),
        _tag("GFIS.IonGas", "Helium"),
        _tag("SpotNumber", "6"),
        _tag("WorkingDistance", f"{acquisition.working_distance_mm:g}", "mm"),
        _tag("Fov", repr(acquisition.pixel_size_nm * shot.width_px / 1000), "um"),
        _tag("ScanRotate", f"{acquisition.scan_rotation_deg:g}", "Degrees"),
        _tag("DwellTime", f"{acquisition.dwell_time_us:g}", "us"),
        _tag("StageX", f"{acquisition.stage_x_mm * 1e3:.2f}", "um"),
        _tag("StageY", f"{acquisition.stage_y_mm * 1e3:.2f}", "um"),
        _tag("StageZ", f"{acquisition.stage_z_mm:g}", "mm"),
        _tag("StageTilt", f"{acquisition.stage_tilt_deg:.2f}", "Degrees"),
        _tag("StageRotate", f"{acquisition.stage_rotation_deg:g}", "Degrees"),
        _tag("DetectorName", acquisition.detector),
        _tag("Magnification4x5", f"{acquisition.magnification:g}"),
        _tag("MagnificationDisplay", f"{acquisition.magnification * 2.4:g}"),
        _tag("System.Model", acquisition.instrument),
        _tag("System.Name", acquisition.serial),
        _tag("ScalingX", repr(acquisition.pixel_size_nm * 1e-9), "m"),
        _tag("ScalingY", repr(acquisition.pixel_size_nm * 1e-9), "m"),
        _tag("ImageWidth", str(shot.width_px)),
        _tag("ImageHeight", str(shot.height_px)),
    )


def _tag(name: str, value: str, unit: str = "") -> str:
    return branch(name, leaf("Value", value), leaf("Units", unit))


def _files(shot: Shot) -> Mapping[str, bytes]:
    page = WrittenPage(eight_bit(shot), tags=(WrittenTag(65000, TagType.ASCII, header(shot).encode() + b"\0"),))
    return {".tif": encode_tiff([page], directory_first=False)}


VENDOR: Final = Vendor(
    name="orion",
    reference_width_mm=127.0,
    instruments=(("ORION NanoFab", "NF-0107"), ("ORION Plus", "OP-0031")),
    detectors=("ETDetector", "MCPDetector"),
    bars=("none", "strip-inside-black"),
    files=_files,
    tells=everything_but("acquired_at"),
)
