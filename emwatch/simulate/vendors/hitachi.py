"""
Hitachi frames: 8-bit grey TIFF with Windows' own XP tags, and a text file ``name.txt`` with one section.

Newer instruments write the text in UTF-16LE with a byte order mark, older ones in Shift-JIS; lines end with CR LF. Lengths
are nanometres but for the working distance. The ``ImageName`` in the text is the name at the instrument, which may be
Japanese and need not be the file's. WrittenTag 40092 holds a short list: no tilt, no date.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from emwatch.simulate.tiff import TagType, WrittenPage, WrittenTag, encode_tiff
from emwatch.simulate.vendors.vendor import Vendor, as_lines, eight_bit, everything_but

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.simulate.acquisition import Acquisition, Shot

_BARS: Final = ("strip-inside-black", "strip-inside-black", "none")
_REFERENCE_WIDTH_MM: Final = 127.0


def sidecar_text(shot: Shot) -> str:
    """Return the text of the file beside the frame."""
    acquisition = shot.acquisition
    when = acquisition.acquired_at
    rows = {
        "InstructName": acquisition.instrument,
        "SemVersion": "01-10",
        "SDMVersion": "",
        "SerialNumber": acquisition.serial,
        "DataNumber": f"{acquisition.instrument} 0001",
        "SampleName": acquisition.sample,
        "Format": "tif",
        "ImageName": f"試料_{PurePath(shot.file_name).stem}.tif",
        "Directory": "D:\\SemImage\\",
        "Date": f"{when:%Y/%m/%d}",
        "Time": f"{when:%H:%M:%S}",
        "Media": "HD[Data]",
        "DataSize": f"{shot.width_px}x{shot.height_px}",
        "PixelSize": f"{acquisition.pixel_size_nm:.7g}",
        "SignalName": acquisition.detector,
        "DisplaySignalName": acquisition.detector,
        "SEDetSetting": "",
        "AcceleratingVoltage": f"{acquisition.accelerating_voltage_kv * 1e3:.0f} Volt",
        "DecelerationVoltage": "0 Volt",
        "DecelerationMode": "",
        "Magnification": f"{acquisition.magnification:.0f}",
        "WorkingDistance": f"{acquisition.working_distance_mm * 1e3:.6g} um",
        "EmissionCurrent": "45100 nA",
        "PhotoSize": "1000",
        "MagnificationDisplay": "0",
        "Vacuum": "50",
        "MicronMarker": f"{shot.scale_bar_nm:g}",
        "SubMagnification": "0",
        "SubSignalName": "",
        "SpecimenBias": "0 V",
        "Condencer1": "9230",
        "ScanSpeed": "Capture_Slow(80)",
        "CalibrationScanSpeed": "24",
        "ColorMode": "Grayscale",
        "ScreenMode": "Full Screen",
        "Comment": "",
        "KeyWord1": "",
        "Condition": _condition(acquisition),
        "DataDisplayCombine": str(int(shot.scale_bar_px > 0)),
        "StageType": "0",
        "StagePositionX": f"{acquisition.stage_x_mm * 1e6:.0f}",
        "StagePositionY": f"{acquisition.stage_y_mm * 1e6:.0f}",
        "StagePositionR": f"{acquisition.stage_rotation_deg:.3f}",
        "StagePositionZ": f"{acquisition.stage_z_mm * 1e6:.0f}",
        "StagePositionT": f"{acquisition.stage_tilt_deg:.3f}",
        "TiltCompensation": "0",
        "RasterRotation": f"{acquisition.scan_rotation_deg:.1f}",
        "UserName": acquisition.operator,
    }
    return f"[SemImageFile]\r\n{as_lines(rows)}"


def comment_text(shot: Shot) -> str:
    """Return the short list of tag 40092."""
    acquisition = shot.acquisition
    rows = {
        "SerialNumber": acquisition.serial,
        "DataNumber": f"{acquisition.instrument} 0001",
        "SampleName": acquisition.sample,
        "PixelSize": f"{acquisition.pixel_size_nm:.7g}",
        "Condition": _condition(acquisition),
        "EmissionCurrent": "45100",
        "SignalName": acquisition.detector,
        "Vacuum": "50",
        "ScanSpeed": "Capture_Slow(80)",
        "ScreenMode": "Full Screen",
        "DataDisplayCombine": str(int(shot.scale_bar_px > 0)),
        "MagnificationDisplay": "0",
        "KeyWord1": "",
        "KeyWord2": "",
        "Comment": "",
    }
    return as_lines(rows)


def _condition(acquisition: Acquisition) -> str:
    magnification = acquisition.magnification
    times = f"x{magnification:.0f}" if magnification < 1000 else f"x{magnification / 1000:.2f}k"
    volts = f"{acquisition.accelerating_voltage_kv:.1f}kV"
    return f"Vacc={volts} Mag={times} WD={acquisition.working_distance_mm:.1f}mm LensMode=3"


def _frame(shot: Shot) -> bytes:
    page = WrittenPage(
        eight_bit(shot),
        rows_per_strip=9,
        tags=(
            WrittenTag(254, TagType.LONG, 0),
            WrittenTag(282, TagType.RATIONAL, (256007, 1000)),
            WrittenTag(283, TagType.RATIONAL, (256007, 1000)),
            WrittenTag(296, TagType.SHORT, 2),
            WrittenTag(40092, TagType.BYTE, comment_text(shot).encode("utf-16-le")),
            WrittenTag(40093, TagType.BYTE, shot.acquisition.instrument.encode("utf-16-le")),
        ),
    )
    return encode_tiff([page], directory_first=False)


def _files(shot: Shot) -> Mapping[str, bytes]:
    return {".tif": _frame(shot), ".txt": b"\xff\xfe" + sidecar_text(shot).encode("utf-16-le")}


def _files_without_sidecar(shot: Shot) -> Mapping[str, bytes]:
    return {".tif": _frame(shot)}


def _older_files(shot: Shot) -> Mapping[str, bytes]:
    page = WrittenPage(eight_bit(shot), rows_per_strip=64)
    return {".tif": encode_tiff([page]), ".txt": sidecar_text(shot).encode("cp932")}


VENDOR: Final = Vendor(
    name="hitachi",
    reference_width_mm=_REFERENCE_WIDTH_MM,
    instruments=(("TM4000", "2170X9-07"), ("TM4000Plus", "2181X2-11")),
    detectors=("BSE", "SE", "MIX"),
    bars=_BARS,
    files=_files,
)
XP_TAGS: Final = Vendor(
    name="hitachi-xp",
    reference_width_mm=_REFERENCE_WIDTH_MM,
    instruments=(("TM4000", "2170X9-07"),),
    detectors=("BSE", "SE"),
    bars=_BARS,
    files=_files_without_sidecar,
    tells=everything_but("stage_tilt_deg", "acquired_at"),
)
SHIFT_JIS: Final = Vendor(
    name="hitachi-sjis",
    reference_width_mm=_REFERENCE_WIDTH_MM,
    instruments=(("S-4800", "9345-04"), ("SU8010", "9402-12")),
    detectors=("SE(U)", "SE(L)", "LA-BSE"),
    bars=_BARS,
    files=_older_files,
)
