"""
JEOL frames: a TIFF whose Exif MakerNote holds the header, and the older TIFF or BMP with a ``name.txt`` beside it.

The MakerNote is ``UNICODE`` and a NUL, then UTF-16LE text of ``$KEY=value`` parted by tabs, some of them empty; the date is
Exif's. The text file has lines ``$KEY value`` or ``$$KEY value`` ended by LF. Lengths are millimetres unless the value names
a unit, angles degrees, and the stage reads ``X Y Z R T 0``. The data bar stands below the picture. The text file tells no
pixel size: it follows from the scale bar, which is told in whole pixels.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.tiff import TagType, WrittenPage, WrittenTag, directory_block, encode_tiff
from emwatch.simulate.vendors.vendor import Vendor, as_lines, eight_bit, saved_as

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.simulate.acquisition import Acquisition, Shot

_FE_WIDTH_MM: Final = 128.0  # IT800, 4700F: the scanned field at 1x
_EPMA_WIDTH_MM: Final = 120.0  # JXA-8530F
_MICRO: Final = "μ"  # Greek mu, not the micro sign


def maker_note(shot: Shot) -> str:
    """Return the text of the MakerNote."""
    acquisition = shot.acquisition
    size = f"{shot.width_px} {shot.picture_height_px}"
    rows: dict[str, str] = {
        "CM_FORMAT": "JEOL/FE",
        "CM_VERSION": "4\t\t\t\t",
        "CM_IMAGE_SIZE": size,
        "CM_COLOR_MODE": "0",
        "CM_MAG": f"{acquisition.magnification:.0f}",
        "CM_STAGE_POSITION": _stage(acquisition),
        "CM_CONTRAST": "1604",
        "CM_BRIGHTNESS": "3311",
        "CM_ACCEL_VOLT": f"{acquisition.accelerating_voltage_kv:g}\t\t",
        "CM_FIELD_OF_VIEW": _field_of_view(shot),
        "CM_PIXEL_SIZE": f"{acquisition.pixel_size_nm:.{2 if acquisition.pixel_size_nm >= 1 else 4}f}nm/pixel",
        "SM_VERSION": "10",
        "SM_STANDARD_FIELD_SIZE": "128 96",
        **_micron_bar(shot, "SM_MICRON_MARKER", "SM_MICRON_BAR"),
        "SM_PNU_HEIGHT": str(shot.bar_height_px),
        "SM_PNU_TYPE": "1",
        "SM_NICKNAME": acquisition.instrument,
        "SM_DETECTOR": "Led",
        "SM_WD": f"{acquisition.working_distance_mm:.5f}",
        "SM_SCAN_TIME": "19.32",
        "SM_SCAN_ROTATION": f"{acquisition.scan_rotation_deg:g}\t",
        "SM_DETECTOR1": "None",
        "SM_PROBE_CURRENT": "0",
        "SM_GUN_VOLT": f"{acquisition.accelerating_voltage_kv:g}",
        "SM_MONITOR_MAGNIFICATION": f"{acquisition.magnification * 1.7:.0f}",
        "SM_TILT_MAG_CORRECTION": "0",
        "SM_DWELL_TIME": f"{acquisition.dwell_time_us:.1f}{_MICRO}s",
        "FE_VERSION": "9",
        "FE_DETECTOR_NAME": acquisition.detector,
        "FE_EMISSION_CURRENT": "35.8",
        "FE_SCAN_SPEED": "9",
    }
    return "\t".join(f"${key}={value}" for key, value in rows.items())


def sidecar_text(shot: Shot) -> str:
    """Return the text of the file beside an older frame."""
    acquisition = shot.acquisition
    when = acquisition.acquired_at
    rows: dict[str, str] = {
        "$SEM_DATA_VERSION": "1",
        "$CM_SIGNAL_NAME": acquisition.detector,
        "$CM_DETECTOR_NAME": acquisition.detector,
        "$$SM_ADD_IMAGE": "",
        "$CM_CONTRAST": "1204",
        "$CM_BRIGHTNESS": "311",
        "$CM_ACCEL_VOLT": f"{acquisition.accelerating_voltage_kv:.2f}",
        "$SM_GB_GUN_VOLT": f"{acquisition.accelerating_voltage_kv:.2f}",
        "$$SM_WD": f"{acquisition.working_distance_mm:.2f}",
        "$CM_MAG": f"{acquisition.magnification:.0f}",
        "$$SM_COLUMN_MODE": "NOR",
        "$$SM_OL_APERTURE": "2",
        "$$SM_OL_STIG": "-11 -82",
        "$$SM_SCAN_ROTATION": f"{acquisition.scan_rotation_deg:.2f}",
        "$$SM_INTEG_NO": "1",
        "$$CM_SCAN_SPEED": "9",
        "$CM_SIGNAL": acquisition.detector,
        "$CM_DETECTOR": acquisition.detector,
        "$CM_STAGE_POS": _stage(acquisition),
        "$SM_EMI_CURRENT": "58.10",
        "$$SM_PROBE_CURRENT": f"{acquisition.beam_current_na * 1e-9:.2e}".replace("e-", "e-0"),
        "$CM_FORMAT": "JEOL-SEM",
        "$CM_VERSION": "3",
        "$CM_COMMENT": acquisition.sample,
        "$CM_DATE": f"{when:%Y/%m/%d}",
        "$CM_TIME": f"{when:%H:%M:%S}",
        "$CM_OPERATOR": acquisition.operator,
        "$CM_INSTRUMENT": acquisition.instrument,
        **_micron_bar(shot, "$$SM_MICRON_MARKER", "$$SM_MICRON_BAR"),
        "$CM_FRAME_SIZE": "0 0",
        "$CM_TITLE": PurePath(shot.file_name).stem,
        "$CM_OFFSET": "0 0",
        "$CM_FULL_SIZE": f"{shot.width_px} {shot.picture_height_px}",
        "$CM_COLOR_MODE": "0",
        "$AN_TEXT%0": f'5.0 874.0 215.0 910.0 "X:{acquisition.pixel_size_nm / 1000:.3f}µm" "Courier New" 0 32.0',
    }
    return as_lines(rows, separator=" ", end="\n")


def _stage(acquisition: Acquisition) -> str:
    axes = (acquisition.stage_x_mm, acquisition.stage_y_mm, acquisition.stage_z_mm)
    return " ".join(f"{value:g}" for value in (*axes, acquisition.stage_rotation_deg, acquisition.stage_tilt_deg, 0))


def _field_of_view(shot: Shot) -> str:
    width_nm, height_nm = (shot.acquisition.pixel_size_nm * side for side in (shot.width_px, shot.picture_height_px))
    unit, nanometres = ("nm", 1.0) if width_nm < 2000 else (f"{_MICRO}m", 1e3)
    return f"{width_nm / nanometres:.6g} {height_nm / nanometres:.6g}{unit}"


def _micron_bar(shot: Shot, marker: str, bar: str) -> dict[str, str]:
    if not shot.scale_bar_px:
        return {}
    length = shot.scale_bar_nm
    text = f"{length:g}nm" if length < 1e3 else f"{length / 1e3:g}um" if length < 1e6 else f"{length / 1e6:g}mm"
    return {marker: text, bar: str(shot.scale_bar_px)}


def _exif_files(shot: Shot) -> Mapping[str, bytes]:
    acquisition = shot.acquisition
    when = f"{acquisition.acquired_at:%Y:%m:%d %H:%M:%S}\0".encode()
    exif = (
        WrittenTag(36867, TagType.ASCII, when),
        WrittenTag(36868, TagType.ASCII, when),
        WrittenTag(37500, TagType.UNDEFINED, b"UNICODE\0" + maker_note(shot).encode("utf-16-le")),
        WrittenTag(37521, TagType.ASCII, b"00\0"),
        WrittenTag(40962, TagType.ASCII, f"{shot.width_px}\0".encode()),
        WrittenTag(40963, TagType.ASCII, f"{shot.picture_height_px}\0".encode()),
    )
    title = PurePath(shot.file_name).stem
    page = WrittenPage(
        eight_bit(shot),
        rows_per_strip=9,
        tags=(
            WrittenTag(254, TagType.LONG, 0),
            WrittenTag(270, TagType.ASCII, f"{title}\0".encode()),
            WrittenTag(272, TagType.ASCII, f"{acquisition.instrument}\0".encode()),
            WrittenTag(282, TagType.RATIONAL, (254000, 1000)),
            WrittenTag(283, TagType.RATIONAL, (254000, 1000)),
            WrittenTag(296, TagType.SHORT, 2),
            WrittenTag(315, TagType.ASCII, f"{acquisition.operator}\0".encode()),
            WrittenTag(40091, TagType.BYTE, f"{title}\0".encode("utf-16-le")),
            WrittenTag(40092, TagType.BYTE, b"\0\0"),
            WrittenTag(40093, TagType.BYTE, f"{acquisition.operator}\0".encode("utf-16-le")),
            WrittenTag(40095, TagType.BYTE, b"\0\0"),
        ),
        blocks={34665: directory_block(exif)},
    )
    return {".tif": encode_tiff([page], directory_first=False)}


def _sidecar(shot: Shot) -> bytes:
    return sidecar_text(shot).encode("cp1252")


def _tiff_files(shot: Shot) -> Mapping[str, bytes]:
    page = WrittenPage(
        eight_bit(shot),
        palette=np.repeat(np.arange(256, dtype=np.uint16)[None] * 257, 3, axis=0),
        tags=(
            WrittenTag(282, TagType.RATIONAL, (568189440, 2097152)),
            WrittenTag(283, TagType.RATIONAL, (568189440, 2097152)),
            WrittenTag(284, TagType.SHORT, 1),
            WrittenTag(296, TagType.SHORT, 2),
        ),
    )
    return {".tif": encode_tiff([page], directory_first=False), ".txt": _sidecar(shot)}


def _bmp_files(shot: Shot) -> Mapping[str, bytes]:
    return {".bmp": saved_as(eight_bit(shot), "BMP"), ".txt": _sidecar(shot)}


VENDOR: Final = Vendor(
    name="jeol",
    reference_width_mm=_FE_WIDTH_MM,
    instruments=(("JSM-IT800", "SM22200041"), ("JSM-IT510", "SM22300107")),
    detectors=("SED", "UED", "BED-C"),
    bars=("below-black", "below-black", "none"),
    files=_exif_files,
)
TEXT_BESIDE_TIFF: Final = Vendor(
    name="jeol-txt",
    reference_width_mm=_EPMA_WIDTH_MM,
    instruments=(("8530F", ""),),
    detectors=("SEI", "COMPO"),
    bars=("below-black",),
    files=_tiff_files,
)
TEXT_BESIDE_BMP: Final = Vendor(
    name="jeol-bmp",
    reference_width_mm=_EPMA_WIDTH_MM,
    instruments=(("8530F", ""),),
    detectors=("SEI", "COMPO"),
    bars=("below-black",),
    files=_bmp_files,
)
