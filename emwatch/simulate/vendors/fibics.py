"""
Frames of Fibics' programs: 8-bit grey TIFF, tag 51023 with XML ``<Fibics>``; units as attributes, items without any.

Built from descriptions of the format (see `emwatch.readers.vendors.fibics`); no file was at hand. Magnification and working
distance are not told, and the time has an offset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emwatch.simulate.tiff import TagType, WrittenPage, WrittenTag, encode_tiff
from emwatch.simulate.vendors.vendor import Vendor, eight_bit, everything_but
from emwatch.simulate.vendors.xml_text import branch, leaf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.simulate.acquisition import Shot

_AHEAD_OF_UTC_H: Final = -4


def header(shot: Shot) -> str:
    """Return the text of tag 51023."""
    acquisition = shot.acquisition
    field_um = acquisition.pixel_size_nm * shot.width_px / 1000
    root = branch(
        "Fibics",
        branch(
            "Application",
            leaf("Version", "NPVE v4.5"),
            leaf("Date", f"{acquisition.acquired_at:%Y-%m-%dT%H:%M:%S}.498{_AHEAD_OF_UTC_H:+03d}:00"),
        ),
        branch(
            "Image",
            leaf("Width", shot.width_px),
            leaf("Height", shot.height_px),
            leaf("Machine", acquisition.instrument),
            leaf("Beam", "Orion"),
            leaf("Detector", acquisition.detector),
        ),
        branch(
            "Scan",
            leaf("Dwell", f"{acquisition.dwell_time_us * 1e3:g}", units="ns"),
            leaf("FOV_X", repr(field_um), units="um"),
            leaf("FOV_Y", repr(field_um * shot.height_px / shot.width_px), units="um"),
            leaf("ScanRot", f"{acquisition.scan_rotation_deg:g}", units="degrees"),
        ),
        branch(
            "Stage",
            leaf("X", f"{acquisition.stage_x_mm * 1e3:.4f}", units="um"),
            leaf("Y", f"{acquisition.stage_y_mm * 1e3:.4f}", units="um"),
            leaf("Z", f"{acquisition.stage_z_mm * 1e3:.4f}", units="um"),
            leaf("Tilt", f"{acquisition.stage_tilt_deg:.4f}", units="degrees"),
            leaf("Rot", f"{acquisition.stage_rotation_deg:.4f}", units="degrees"),
        ),
        branch(
            "BeamInfo",
            leaf("item", f"{acquisition.beam_current_na * 1e3:g}", name="BeamI"),
            leaf("item", f"{acquisition.accelerating_voltage_kv * 1e3:g}", name="AccV"),
            leaf("item", "He", name="GFISGas"),
        ),
        branch("DetectorInfo", leaf("item", "=500.0 V", name="Collector")),
        version="1.0",
    )
    return f'<?xml version="1.0" encoding="iso-8859-1"?>{root}'


def _files(shot: Shot) -> Mapping[str, bytes]:
    page = WrittenPage(
        eight_bit(shot), tags=(WrittenTag(51023, TagType.ASCII, header(shot).encode("latin-1") + b"\0"),)
    )
    return {".tif": encode_tiff([page], directory_first=False)}


VENDOR: Final = Vendor(
    name="fibics",
    reference_width_mm=127.0,
    instruments=(("CONSOLE18", "NF-0107"),),
    detectors=("ET", "MCP"),
    bars=("none",),
    files=_files,
    tells=everything_but("magnification", "working_distance_mm"),
    clock_ahead_of_utc_h=_AHEAD_OF_UTC_H,
)
