"""
Philips and FEI XL30 frames: 8-bit grey TIFF, ten rows a strip, tag 34680 with an INI text, ``key = value``.

Voltages are volts, working distances millimetres. Three traps of the real files are kept: ``flMagn`` is half the
vertical field in millimetres and no magnification, the detector is a code number, and the specimen's angles are raw
counts. No pixel size and no date are told: ``SizeY`` times ``RatioXY`` is the width of the screen in millimetres.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emwatch.simulate.tiff import TagType, WrittenPage, WrittenTag, encode_tiff
from emwatch.simulate.vendors.vendor import Vendor, as_lines, eight_bit, everything_but

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.simulate.acquisition import Shot

_SCREEN_HEIGHT_MM: Final = 235.0
_SCREEN_RATIO: Final = 1.333
_DETECTOR_CODES: Final = {"SE": 2, "BSE": 3}


def header(shot: Shot) -> str:
    """Return the text of tag 34680, which begins with an empty line."""
    return "".join(f"\r\n[{name}]\r\n{as_lines(rows, ' = ')}" for name, rows in _sections(shot).items())


def _sections(shot: Shot) -> dict[str, dict[str, str]]:
    acquisition = shot.acquisition
    volts = f"{acquisition.accelerating_voltage_kv * 1e3:.3f}"
    distance = f"{acquisition.working_distance_mm:.3f}"
    code = str(_DETECTOR_CODES[acquisition.detector])
    return {
        "DatabarData": {
            "flAccV": volts,
            "flSpot": "3.000",
            "flMagn": f"{_SCREEN_HEIGHT_MM / 2 / acquisition.magnification:17.11f}",
            "lDetName": code,
            "flWD": distance,
            "lScanSpeed": "5",
            "FilterMode": "136",
            "Definition": "177",
            "szUserText": acquisition.sample,
            "ImageName": shot.file_name.upper(),
            "flIonAccV": "30000.000",
            "flIonSpot": "11.000",
            "flIonMagn": "0.00979",
            "flIonWD": "16.500",
            "iImageType": "1",
        },
        "ImageDevice": {
            "DeviceName": "2",
            "SizeY": f"{_SCREEN_HEIGHT_MM:.5f}",
            "RatioXY": f"{_SCREEN_RATIO:.5f}",
        },
        "MachineData": {
            "Magic": "19544",
            "Version": "1556",
            "MachineType": "5",
            "MachineNumber": acquisition.serial,
            "NrOfVectors": "1",
            "XLFileType": "0",
        },
        "Vector": {
            "flStageXPosition": f"{acquisition.stage_x_mm * 1e6:.0f}",
            "flStageYPosition": f"{acquisition.stage_y_mm * 1e6:.0f}",
            "SpecimenRotation": f"{-acquisition.stage_rotation_deg * 1e6:.0f}",
            "SpecimenTilt": f"{acquisition.stage_tilt_deg * 1e6:.0f}",
            "Magnification": f"{acquisition.magnification:.3f}",
            "HighTension": volts,
            "FWD": distance,
            "ScanRotation": f"{acquisition.scan_rotation_deg:.3f}",
            "BeamShiftX": "0.00000",
            "BeamShiftY": "0.00000",
            "ProbeCurrent": "3.000",
            "StigmatorX": "4.20317",
            "StigmatorY": "11.80512",
            "NrOfScanPresets": "5",
        },
        "Vector.Sysscan": {"Index": "5", "Mode": "7", "TVFilterMode": "136", "TVResolution": "177"},
        "Vector.Video.Detectors": {"NrDetectorsConnected": "2", "ActualSelected": code, "Detector_0_Name": "12"},
        "Vector.IonColumn": {"VectMask": "4", "IonWD": "18135.41797", "IonMagn": "12000.00000"},
    }


def _files(shot: Shot) -> Mapping[str, bytes]:
    page = WrittenPage(
        eight_bit(shot),
        rows_per_strip=10,
        tags=(
            WrittenTag(254, TagType.LONG, 0),
            WrittenTag(282, TagType.RATIONAL, (89, 3)),
            WrittenTag(283, TagType.RATIONAL, (242, 9)),
            WrittenTag(296, TagType.SHORT, 3),
            WrittenTag(34680, TagType.ASCII, header(shot).encode("cp1252") + b"\0"),
        ),
    )
    return {".tif": encode_tiff([page], directory_first=True)}


VENDOR: Final = Vendor(
    name="xl30",
    reference_width_mm=_SCREEN_HEIGHT_MM * _SCREEN_RATIO,
    instruments=(("XL30", "731"), ("XL30 FEG", "864")),
    detectors=tuple(_DETECTOR_CODES),
    bars=("overlay-box", "overlay-box", "none"),
    files=_files,
    tells=everything_but("stage_tilt_deg", "detector", "acquired_at"),
)
