"""
Zeiss SmartSEM frames: 8-bit palette TIFF, directory first, tag 34118 (cp1252) and 34119 (the same in UTF-16LE).

The header is 35 bare numbers (SI units, four times seven and the number of entries), then pairs of lines: a key and
``Label = value unit``. Two traps of the real files are kept: ``AP_TILT_ANGLE`` is the tilt correction and not the
stage tilt, and ``AP_PIXEL_SIZE`` is for a display 1024 pixels wide whatever the width of the picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.tiff import TagType, WrittenPage, WrittenTag, encode_tiff
from emwatch.simulate.vendors.vendor import Vendor, significant, with_long_exponent

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from emwatch.simulate.acquisition import Acquisition, Shot

#: Palette entries SmartSEM gives colours to, for the text and lines of the data bar; every ninth from 9 to 243.
_BAR_COLOURS: Final = (
    *((255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 255, 255), (255, 0, 255), (255, 255, 0)),
    *((128, 0, 0), (0, 128, 0), (0, 0, 128), (0, 128, 128), (128, 0, 128), (128, 128, 0)),
    *((128, 64, 0), (0, 255, 128), (0, 64, 128), (128, 255, 255), (255, 0, 128), (255, 255, 128)),
    *((255, 128, 64), (192, 220, 192), (0, 128, 255), (128, 128, 64), (0, 64, 64), (166, 202, 240)),
    *((64, 0, 255), (128, 128, 255), (255, 255, 255)),
)
_DISPLAY_WIDTH_PX: Final = 1024
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def palette() -> npt.NDArray[np.uint16]:
    """Return SmartSEM's colour map: grey, but for every ninth entry. uint16, shape (3, 256)."""
    table = np.repeat(np.arange(256, dtype=np.uint16)[None] * 257, 3, axis=0)
    table[:, 9 : 9 * len(_BAR_COLOURS) + 1 : 9] = np.array(_BAR_COLOURS, dtype=np.uint16).T * 257
    return table


def without_bar_colours(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Move grey values off the entries that have a colour, as SmartSEM does, so that no pixel shows in colour."""
    coloured = (pixels % 9 == 0) & (pixels > 0) & (pixels <= 243)
    return np.where(coloured, pixels + np.uint8(1), pixels).astype(np.uint8)


def header(shot: Shot) -> str:
    """Return the text of tag 34118, lines ended by CR LF."""
    acquisition = shot.acquisition
    height, width = shot.pixels.shape[:2]
    entries = [*_states(acquisition, width, height), *_values(acquisition, width, height), *_texts(shot)]
    lines = [*_numeric_head(acquisition, width, len(entries))]
    for key, text in entries:
        lines += [key, text]
    return "".join(f"{line}\r\n" for line in lines)


def _numeric_head(acquisition: Acquisition, width: int, entries: int) -> list[str]:
    numbers = (
        _display_pixel_nm(acquisition, width) * 1e-9,
        acquisition.magnification,
        None,
        acquisition.accelerating_voltage_kv * 1e3,
        2.34,
        acquisition.beam_current_na * 1e-9,
        acquisition.working_distance_mm * 1e-3,
    )
    block = ["6" if number is None else with_long_exponent(f"{number:.6e}") for number in numbers]
    lines = ["0", "0"]
    for channel in range(4):
        lines += [str(channel), *block]
    return [*lines, str(entries)]


def _display_pixel_nm(acquisition: Acquisition, width: int) -> float:
    return acquisition.pixel_size_nm * width / _DISPLAY_WIDTH_PX


def _states(acquisition: Acquisition, width: int, height: int) -> list[tuple[str, str]]:
    tilted = "Yes" if abs(acquisition.stage_tilt_deg) >= 0.1 else "No"
    correction = "On" if acquisition.tilt_correction else "Off"
    rotated = "On" if acquisition.scan_rotation_deg else "Off"
    rows = (
        ("OPTIMODE", "OptiBeam Mode", "Resolution"),
        ("RECIPE", "Recipe", "Idle"),
        ("IMPLIED_DETECTOR", "Signal B", "InLens"),
        ("TRACK_Z", "Track Z", "On"),
        ("STAGE_TILTED", "Stage Tilt", "in X"),
        ("COLUMN_ISOLATED", "Column Isolated", "No"),
        ("MIXING", "Mixing", "Off"),
        ("HIGH_CURRENT", "High Current", "Off"),
        ("DWELL_TIME", "Dwell Time", f"{acquisition.dwell_time_us * 1000:.0f} ns"),
        ("FAST_MODE", "Fast Mode", "Off"),
        ("FIB_COLUMN", "FIB Column", "None"),
        ("TILTED", "Stage Tilted", tilted),
        ("CROSSHAIRS", "Crosshairs", "Off"),
        ("IMAGE_STORE", "Store resolution", f"{width} * {height}"),
        ("STAGE_INIT", "Stage Initialised", "Yes"),
        ("CHANNEL", "Display", "0"),
        ("FROZEN", "Image", "Frozen"),
        ("SAMPLE_HOLDER", "Sample Holder", "Carousel 9x 6.5mm"),
        ("BEAM_BLANKED", "Beam Blanked", "Yes"),
        ("MAG_RANGE", "Mag Range", "2"),
        ("ZONE", "Zone", "0"),
        ("MAIN_DETECTOR", "Control", "Signal A"),
        ("INVERT", "Invert A", "Off"),
        ("FREEZE_ON", "Freeze on", "End Frame"),
        ("USE_REF_MAG", "Reference Mag", "Polaroid 545"),
        ("DETECTOR_CHANNEL", "Signal A", acquisition.detector),
        ("DETECTOR_TYPE", "Detector", acquisition.detector),
        ("TILT_CORRECTION", "Tilt Corrn.", correction),
        ("DYNFOCUS", "Dyn.Focus", "Off"),
        ("SPOT", "Spot", "Off"),
        ("PIXEL_SIZE", "Pix Size state", "calibrated"),
        ("COLUMN_TYPE", "Column", "1500"),
        ("SCAN_ROT", "Scan Rot", rotated),
        ("APERTURE", "Aperture No.", "1"),
        ("SEM", "Sem", acquisition.instrument),
        ("OUT_DEV", "Output dev", "Polaroid 545"),
        ("SCANRATE", "Scan Speed", "6"),
        ("OPERATING_MODE", "Operating Mode", "Normal"),
        ("FIB_IMAGING", "FIB Imaging", "SEM"),
        ("NOISE_REDUCTION", "Noise Reduction", "Line Avg"),
        ("VACSTATUS", "Vac Status", "Ready"),
        ("RUNUPSTATE", "EHT", "On"),
    )
    return [(f"DP_{key}", f"{label} = {text}") for key, label, text in rows]


def _values(acquisition: Acquisition, width: int, height: int) -> list[tuple[str, str]]:
    field_width_nm = acquisition.pixel_size_nm * width
    rows = (
        ("MAG", "Mag", _magnification(acquisition.magnification)),
        ("LINE_TIME", "Line Time", f"{significant(acquisition.dwell_time_us * width * 1.1e-3 + 1.0)} ms"),
        ("STAGE_GOTO_R", "Stage goto R", _degrees(acquisition.stage_rotation_deg)),
        ("FILE_NUMBER", "File No", f"{1:<6d}"),
        ("TILT_ANGLE", "Tilt Angle", _degrees(acquisition.tilt_correction_deg)),
        ("STIG_X", "Stigmation X", _percent(-0.7)),
        ("STAGE_HIGH_T", "Stage high T", _degrees(70.0)),
        ("IPROBE", "I Probe", f"{acquisition.beam_current_na * 1000:6.1f} pA"),
        ("TILT_AXIS", "Tilt Axis", _degrees(0.0)),
        ("GAMMA", "Gamma", "1.0000"),
        ("ACTUALEXT", "Extractor V", " 4.90 kV"),
        ("ZOOM_FACTOR", "Zoom factor", " 1.000"),
        ("NR_COEFF", "N", f"{10:<6d}"),
        ("MANUALKV", "EHT Target", f"{acquisition.accelerating_voltage_kv:5.2f} kV"),
        ("COLUMN_VAC", "Gun Vacuum", "1.20e-009 mbar"),
        ("APERTURESIZE", "Aperture Size", "30.00 µm"),
        ("SCANROTATION", "Scan Rotation", _degrees(acquisition.scan_rotation_deg)),
        ("PIXEL_SIZE", "Pixel Size", _length(_display_pixel_nm(acquisition, width))),
        ("IMAGE_PIXEL_SIZE", "Image Pixel Size", _length(acquisition.pixel_size_nm)),
        ("BRIGHTNESS", "Brightness", _percent(50.0)),
        ("CONTRAST", "Contrast", _percent(33.0)),
        ("HEIGHT", "Height", _length(field_width_nm * height / width)),
        ("WD", "WD", f"{acquisition.working_distance_mm:4.1f} mm"),
        ("FRAME_TIME", "Cycle Time", f"{acquisition.dwell_time_us * width * height * 1.1e-6 + 0.1:.1f} Secs"),
        ("FRAME_AVERAGE_COUNT", "Frames to average", f"{1:<6d}"),
        ("STAGE_GOTO_T", "Stage goto T", _degrees(acquisition.stage_tilt_deg)),
        ("SYSTEM_VAC", "System Vacuum", "2.35e-006 mbar"),
        ("COLLECTOR_BIAS", "Collector Bias", f"{300:5d} V"),
        ("WIDTH", "Width", _length(field_width_nm)),
        ("STAGE_AT_M", "Stage at M", " 0.000 mm"),
        ("STAGE_AT_Z", "Stage at Z", f"{acquisition.stage_z_mm:6.3f} mm"),
        ("STAGE_AT_Y", "Stage at Y", f"{acquisition.stage_y_mm:7.4f} mm"),
        ("ACTUALCURRENT", "Fil I", " 2.340 A"),
        ("STAGE_AT_X", "Stage at X", f"{acquisition.stage_x_mm:7.4f} mm"),
        ("ACTUALKV", "EHT", f"{acquisition.accelerating_voltage_kv:5.2f} kV"),
        ("STAGE_AT_T", "Stage at T", _degrees(acquisition.stage_tilt_deg)),
        ("STAGE_AT_R", "Stage at R", _degrees(acquisition.stage_rotation_deg)),
    )
    when = acquisition.acquired_at
    return [
        *((f"AP_{key}", f"{label} = {text}") for key, label, text in rows),
        ("AP_TIME", f"Time :{when.hour}:{when:%M:%S}"),
        ("AP_DATE", f"Date :{when.day} {_MONTHS[when.month - 1]} {when.year}"),
    ]


def _texts(shot: Shot) -> list[tuple[str, str]]:
    acquisition = shot.acquisition
    rows = (
        ("VERSION", "Version", "V06.00.00.00 : 09-Jun-16"),
        ("USER_TEXT", "User Text", ""),
        ("FILE_NAME", "File Name", shot.file_name),
        ("IMAGE_PATH", "Images", r"d:\images" + "\\"),
        ("USER_NAME", "User Name", acquisition.operator.upper()),
        ("SAMPLE_ID", "Sample ID", acquisition.sample),
        ("SERIAL_NUMBER", "Serial No.", acquisition.serial),
        ("OPERATOR", "Operator", ""),
    )
    return [(f"SV_{key}", f"{label} = {text}") for key, label, text in rows]


def _magnification(value: float) -> str:
    return f"{value:6.0f} X" if value < 1000 else f"{value / 1000:7.2f} K X"


def _degrees(value: float) -> str:
    return f"{value:5.1f} °"


def _percent(value: float) -> str:
    return f"{value:5.1f} %"


def _length(value_nm: float) -> str:
    for unit, nanometres in (("mm", 1e6), ("µm", 1e3), ("nm", 1.0)):
        if value_nm >= nanometres:
            return f"{significant(value_nm / nanometres)} {unit}"
    return f"{significant(value_nm * 1000)} pm"


def _files(shot: Shot) -> Mapping[str, bytes]:
    text = header(shot)
    if shot.pixels.dtype != np.uint8:
        raise ValueError("SmartSEM frames are 8-bit")
    page = WrittenPage(
        without_bar_colours(shot.pixels.astype(np.uint8, copy=False)),
        palette=palette(),
        tags=(
            WrittenTag(254, TagType.LONG, 0),
            WrittenTag(274, TagType.SHORT, 1),
            WrittenTag(278, TagType.LONG, 0xFFFFFFFF),
            WrittenTag(282, TagType.RATIONAL, (1, 1)),
            WrittenTag(283, TagType.RATIONAL, (1, 1)),
            WrittenTag(296, TagType.SHORT, 1),
            WrittenTag(339, TagType.SHORT, 1),
            WrittenTag(34118, TagType.ASCII, text.encode("cp1252")),
            WrittenTag(34119, TagType.ASCII, text.encode("utf-16-le")),
        ),
    )
    return {".tif": encode_tiff([page], directory_first=True)}


VENDOR: Final = Vendor(
    name="zeiss",
    reference_width_mm=114.3296,  # Polaroid 545: 1.1165e-4 m a pixel at 1x, times 1024
    instruments=(("Supra 40", "SUPRA 40-12-34"), ("Merlin", "Merlin-61-07"), ("Auriga", "Auriga-33-18")),
    detectors=("InLens", "SE2"),
    bars=("strip-inside-white", "strip-inside-black", "one-line", "corner-box", "none"),
    files=_files,
)
