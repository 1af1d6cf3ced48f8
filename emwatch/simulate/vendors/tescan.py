"""
Tescan frames: 16-bit grey TIFF, a few rows a strip, pixels first, tag 50431 or a ``.hdr`` file beside it.

WrittenTag 50431 is a chain of blocks: a uint32 length n, a uint16 type, n - 2 bytes; the next block follows. Type 1 is a
JPEG 2000 thumbnail, 2 the text of ``[MAIN]``, 3 that of ``[SEM]``, and an empty block of type 0 ends the chain. Lengths
are metres, angles degrees. The data bar stands below the picture and is counted in the height. Programs up to version
4 write CR LF, exponents in threes and local time; Essence writes LF, plain decimals and the time of day in UTC.
"""

from __future__ import annotations

import io
import math
import struct
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from emwatch.simulate.tiff import TagType, WrittenPage, WrittenTag, encode_tiff
from emwatch.simulate.vendors.vendor import Vendor, as_lines, eight_bit, significant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.simulate.acquisition import Shot

_THUMBNAIL_PX: Final = 128
_BARS: Final = ("below-black", "below-black", "none")
_REFERENCE_WIDTH_MM: Final = 211.2  # VEGA3: 27.5 nm a pixel at 10000x and 768 columns
_ESSENCE_AHEAD_H: Final = 3
_ESSENCE_VERSION: Final = "TESCAN Essence Version 1.2.1.0, build 5120"
#: Where three generations of programs put the header beside ``name.tif``.
_SIDECAR_SUFFIXES: Final = {"VEGA3 LMH": "-tif.hdr", "MIRA3 LMH": ".hdr", "SOLARIS": ".tif.hdr"}


def engineering(value: float) -> str:
    """Write a number with five digits and an exponent that is a multiple of three: ``10.000e3``, ``27.500e-9``, ``0.0``."""
    if not value:
        return "0.0"
    power = 3 * math.floor(math.log10(abs(value)) / 3)
    digits = significant(value / 10.0**power, 5)
    return f"{digits}e{power}" if power else digits


def plain(value: float) -> str:
    """Write a number with up to 15 decimals and no exponent: ``0.0038``, ``1000.0``."""
    text = f"{value:.15f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def main_text(shot: Shot, *, essence: bool = False) -> dict[str, str]:
    """Return the keys of ``[MAIN]``, in their order."""
    acquisition = shot.acquisition
    number = plain if essence else engineering
    told_at = acquisition.acquired_at - timedelta(hours=_ESSENCE_AHEAD_H if essence else 0)
    pixel = number(acquisition.pixel_size_nm * 1e-9)
    versions = (
        {"DeviceModel": "S8251X", "SoftwareVersion": _ESSENCE_VERSION, "ViewFieldsCountX": "1", "ViewFieldsCountY": "1"}
        if essence
        else {"Note": "", "Sign": "", "TagRevision": "2", "Version": "4.2.30.0"}
    )
    rows = {
        "AccFrames": "2",
        "Date": f"{told_at:%Y-%m-%d}",
        "Description": acquisition.sample,
        "Device": acquisition.instrument,
        "FullUserName": acquisition.operator.title(),
        "ImageStripSize": str(shot.bar_height_px),
        "Magnification": number(acquisition.magnification),
        "PixelSizeX": pixel,
        "PixelSizeY": pixel,
        "SerialNumber": acquisition.serial,
        "Time": f"{told_at:%H:%M:%S}",
        "UserName": acquisition.operator,
    }
    return dict(sorted((rows | versions).items()))


def sem_text(shot: Shot, *, essence: bool = False) -> dict[str, str]:
    """Return the keys of ``[SEM]``, in their order."""
    acquisition = shot.acquisition
    number = plain if essence else engineering
    volts = acquisition.accelerating_voltage_kv * 1e3
    rows = {
        "ChamberPressure": number(0.00914),
        "Detector": acquisition.detector,
        "DwellTime": number(acquisition.dwell_time_us * 1e-6),
        "EmissionCurrent": number(8.4e-5),
        "Gun": "Schottky" if essence else "W",
        "GunShiftX": number(-2.1),
        "GunShiftY": "0.0",
        "GunTiltX": number(3.4),
        "GunTiltY": number(-16.2),
        "HV": number(volts),
        "ImageShiftX": "0.0",
        "ImageShiftY": "0.0",
        "LUTGamma": number(1.0),
        "PrimaryDetectorGain": number(48.2),
        "PrimaryDetectorOffset": number(71.5),
        "ScanMode": "RESOLUTION",
        "ScanRotation": number(acquisition.scan_rotation_deg),
        "ScanSpeed": "6",
        "SpecimenCurrent": number(4.1e-12),
        "SpotSize": number(1.2e-8),
        "StageRotation": f"{acquisition.stage_rotation_deg:.4f}",
        "StageTilt": number(acquisition.stage_tilt_deg),
        "StageX": plain(acquisition.stage_x_mm * 1e-3),
        "StageY": plain(acquisition.stage_y_mm * 1e-3),
        "StageZ": plain(acquisition.stage_z_mm * 1e-3),
        "StigmatorX": number(-1.7),
        "StigmatorY": number(2.2),
        "TiltCorrection": number(acquisition.tilt_correction_deg if acquisition.tilt_correction else 0.0),
        "WD": number(acquisition.working_distance_mm * 1e-3),
    }
    if essence:
        rows |= {"AcceleratorVoltage": number(volts), "BeamCurrent": number(acquisition.beam_current_na * 1e-9)}
    return dict(sorted(rows.items()))


def blocks(shot: Shot, *, essence: bool = False) -> bytes:
    """Return the value of tag 50431."""
    end = "\n" if essence else "\r\n"
    texts = [as_lines(rows, end=end) for rows in (main_text(shot, essence=essence), sem_text(shot, essence=essence))]
    contents = [
        (1, b"\0\0\0\0" + _thumbnail(shot)),
        *((kind, f"{text}\0".encode()) for kind, text in enumerate(texts, 2)),
    ]
    return b"".join(struct.pack("<IH", 2 + len(data), kind) + data for kind, data in [*contents, (0, b"")])


def _thumbnail(shot: Shot) -> bytes:
    out = io.BytesIO()
    thumbnail = Image.fromarray(eight_bit(shot))
    thumbnail.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
    thumbnail.save(out, "JPEG2000", irreversible=True, quality_layers=[8])
    return out.getvalue()


def _page(shot: Shot, *tags: WrittenTag) -> WrittenPage:
    return WrittenPage(
        eight_bit(shot).astype(np.uint16) * np.uint16(257),
        rows_per_strip=5,
        tags=(
            WrittenTag(271, TagType.ASCII, b"TESCAN - http://www.tescan.com/\0"),
            WrittenTag(272, TagType.ASCII, f"{shot.acquisition.instrument} {shot.acquisition.serial}\0".encode()),
            WrittenTag(274, TagType.SHORT, 1),
            WrittenTag(282, TagType.RATIONAL, (0xFFFFFFFF, 44739242)),
            WrittenTag(283, TagType.RATIONAL, (0xFFFFFFFF, 44739242)),
            WrittenTag(284, TagType.SHORT, 1),
            WrittenTag(296, TagType.SHORT, 2),
            WrittenTag(315, TagType.ASCII, f"{shot.acquisition.operator}\0".encode()),
            *tags,
        ),
    )


def _saved_at(shot: Shot, after_s: int) -> WrittenTag:
    return WrittenTag(
        306, TagType.ASCII, f"{shot.acquisition.acquired_at + timedelta(seconds=after_s):%Y:%m:%d %H:%M:%S}\0".encode()
    )


def _files(shot: Shot) -> Mapping[str, bytes]:
    page = _page(shot, _saved_at(shot, 9), WrittenTag(50431, TagType.BYTE, blocks(shot)))
    return {".tif": encode_tiff([page], directory_first=False)}


def _essence_files(shot: Shot) -> Mapping[str, bytes]:
    page = _page(
        shot,
        WrittenTag(305, TagType.ASCII, f"{_ESSENCE_VERSION}\0".encode()),
        _saved_at(shot, 0),
        WrittenTag(50431, TagType.BYTE, blocks(shot, essence=True)),
    )
    return {".tif": encode_tiff([page], directory_first=False)}


def _sidecar_files(shot: Shot) -> Mapping[str, bytes]:
    text = f"[MAIN]\r\n{as_lines(main_text(shot))}\r\n[SEM]\r\n{as_lines(sem_text(shot))}"
    return {
        ".tif": encode_tiff([WrittenPage(eight_bit(shot), rows_per_strip=5)], directory_first=False),
        _SIDECAR_SUFFIXES[shot.acquisition.instrument]: text.encode(),
    }


VENDOR: Final = Vendor(
    name="tescan",
    reference_width_mm=_REFERENCE_WIDTH_MM,
    instruments=(("VEGA3 SBU", "116-0412"), ("MIRA3 XMU", "117-0288")),
    detectors=("SE", "BSE", "InBeam"),
    bars=_BARS,
    files=_files,
)
ESSENCE: Final = Vendor(
    name="tescan-essence",
    reference_width_mm=418.2,  # AMBER: 4.5378 nm a pixel at 60000x and 1536 columns
    instruments=(("TESCAN AMBER", "120-0731"), ("TESCAN MIRA", "121-0140")),
    detectors=("E-T", "Mid-Angle BSE"),
    bars=_BARS,
    files=_essence_files,
    clock_ahead_of_utc_h=_ESSENCE_AHEAD_H,
)
SIDECAR: Final = Vendor(
    name="tescan-hdr",
    reference_width_mm=_REFERENCE_WIDTH_MM,
    instruments=tuple((model, f"118-0{number}") for number, model in enumerate(_SIDECAR_SUFFIXES, 311)),
    detectors=("SE", "BSE"),
    bars=_BARS,
    files=_sidecar_files,
)
