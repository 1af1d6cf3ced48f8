"""
SEC tabletop frames: a JPEG, and a UTF-8 text file whose name is the frame's with ``.txt`` after it: ``name.jpg.txt``.

Lines are ``Key : value`` in sections, ended by CR LF. The maker's spelling is kept (``Acceleated Voltage``), as are the date
with Korean words for AM and PM beside a 24-hour time, and keys that stand in several sections. No tilt, no pixel size.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from emwatch.simulate.vendors.vendor import Vendor, as_lines, eight_bit, everything_but, saved_as

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.simulate.acquisition import Shot


def sidecar_text(shot: Shot) -> str:
    """Return the text of the file beside the frame."""
    sections = {**_image_sections(shot), **_column_sections(shot)}
    return "".join(f"[{name}]\r\n{as_lines(rows, ' : ')}" for name, rows in sections.items())


def _image_sections(shot: Shot) -> dict[str, dict[str, str]]:
    acquisition = shot.acquisition
    when = acquisition.acquired_at
    half = "오전" if when.hour < 12 else "오후"
    times = f"x{acquisition.magnification:.0f} "
    return {
        "Image Info": {
            "Model": acquisition.instrument,
            "Date": f"{when:%Y-%m-%d} {half} {(when.hour - 1) % 12 + 1}:{when:%M:%S}",
            "Time": f"{when:%H:%M:%S}.0415927",
            "File Name": f"D:\\DATA\\{PurePath(shot.file_name).stem}.jpg",
            "Discription": "Tabletop SEM",
            "Acceleated Voltage": f" {acquisition.accelerating_voltage_kv:g} kV",
            "Magnification": times,
            "Emission Current": "104uA",
            "Detector Mode": acquisition.detector,
            "Vacuum Mode": "High Vacuum",
            "Scan Speed": "",
        },
        "Running Info": {
            "Focus": "2187",
            "Magnification": times,
            "Scan Rotaion": f"{acquisition.scan_rotation_deg:g}°",
        },
    }


def _column_sections(shot: Shot) -> dict[str, dict[str, str]]:
    acquisition = shot.acquisition
    size = f"{shot.width_px},{shot.height_px}"
    return {
        "   - Image Process": {"Brightness": "98", "Contrast": "31"},
        "   - Detector": {"Detector": "101", "Collector": "133"},
        "   - Spot Size": {"Spot Size": "104"},
        "   - Working Distance": {
            "Default Working Distance": "0mm",
            "Working Distance": f"{acquisition.working_distance_mm:g}mm",
        },
        "   - Stig": {"Stig X": "-3", "Stig Y": "1"},
        "Config Info": {"Alias": f" {acquisition.accelerating_voltage_kv:g} kV"},
        "   - Accelerated Voltage": {"Anode": "161", "Filament": "164", "Filament Current": "5210.4", "Grid": "127"},
        "   - Rotation": {"Scan Rotation": "-68250", "BeamShift Rotation": "1084"},
        "Active Scan": {"Channel": "0", "Image Size": size, "Frame Size": size, "Pixel Size": "0.7"},
    }


def _files(shot: Shot) -> Mapping[str, bytes]:
    return {".jpg": saved_as(eight_bit(shot), "JPEG", quality=92), ".jpg.txt": sidecar_text(shot).encode()}


VENDOR: Final = Vendor(
    name="sec",
    reference_width_mm=120.0,
    instruments=(("SNE-4500M Plus", ""), ("SNE-3200M", "")),
    detectors=("SED", "BSED"),
    bars=("one-line", "strip-inside-black"),
    files=_files,
    tells=everything_but("stage_tilt_deg", "pixel_size_nm"),
)
