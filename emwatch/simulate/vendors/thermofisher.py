"""
Thermo Fisher (FEI) xT frames: grey TIFF, one row a strip, pixels first, tag 34682 with an INI text, lines ended by CR LF.

Lengths are metres, angles radians, voltages volts. The data bar stands below the picture: the file has more rows than
``[Image] ResolutionY``. No magnification is stored; the screen shows ``MagCanvasRealWidth`` over ``HFW``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from emwatch.simulate.tiff import TagType, WrittenPage, WrittenTag, encode_tiff
from emwatch.simulate.vendors.vendor import Vendor, with_long_exponent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.simulate.acquisition import Shot

_DISPLAY_WIDTH_M: Final = 0.518
_CANVAS_WIDTH_M: Final = 0.8 * _DISPLAY_WIDTH_M  # magnification mode 2: one picture on one display
_BAR_FIELDS: Final = "det mode HV curr mag dwell WD tilt MicronBar"


def header(shot: Shot) -> str:
    """Return the text of tag 34682."""
    sections = {**_who(shot), **_beam(shot), **_scan(shot), **_picture(shot)}
    return "\r\n".join(
        f"[{name}]\r\n" + "".join(f"{key}={value}\r\n" for key, value in rows.items())
        for name, rows in sections.items()
    )


def _number(value: float) -> str:
    return with_long_exponent(f"{value:g}")


def _who(shot: Shot) -> dict[str, dict[str, str]]:
    acquisition = shot.acquisition
    when = acquisition.acquired_at
    return {
        "User": {
            "Date": f"{when:%m/%d/%Y}",
            "Time": f"{when:%I:%M:%S} {'AM' if when.hour < 12 else 'PM'}",
            "User": acquisition.operator,
            "UserText": acquisition.sample,
            "UserTextUnicode": acquisition.sample.encode("utf-16-le").hex().upper(),
        },
        "System": {
            "Type": "SEM",
            "Dnumber": acquisition.serial,
            "Software": "7.7.1.4284",
            "BuildNr": "4284",
            "Source": "FEG",
            "Column": "Nicole",
            "FinalLens": "Nicole",
            "Chamber": "xT-SDB",
            "Stage": "110 x 110",
            "Pump": "TMP",
            "ESEM": "no",
            "Aperture": "AVA",
            "Scan": "PIA 3.0",
            "Acq": "PIA 3.0",
            "EucWD": "0.01",
            "SystemType": acquisition.instrument,
            "DisplayWidth": f"{_DISPLAY_WIDTH_M:.3f}",
            "DisplayHeight": "0.324",
        },
    }


def _beam(shot: Shot) -> dict[str, dict[str, str]]:
    acquisition = shot.acquisition
    volts = f"{acquisition.accelerating_voltage_kv * 1e3:.0f}"
    correction = "yes" if acquisition.tilt_correction else "no"
    width_m, height_m = _field_m(shot)
    return {
        "Beam": {
            "HV": volts,
            "Spot": "7",
            "StigmatorX": "-0.000455195",
            "StigmatorY": "-0.000121675",
            "BeamShiftX": "0",
            "BeamShiftY": "0",
            "ScanRotation": _number(math.radians(acquisition.scan_rotation_deg)),
            "ImageMode": "Normal",
            "FineStageBias": "",
            "Beam": "EBeam",
            "Scan": "EScan",
        },
        "EBeam": {
            "Source": "FEG",
            "ColumnType": "Nicole",
            "FinalLens": "Nicole",
            "Acq": "PIA 3.0",
            "Aperture": "AVA",
            "ApertureDiameter": "3.2e-005",
            "HV": volts,
            "HFW": _number(width_m),
            "VFW": _number(height_m),
            "WD": _number(acquisition.working_distance_mm * 1e-3),
            "BeamCurrent": _number(acquisition.beam_current_na * 1e-9),
            "TiltCorrectionIsOn": correction,
            "DynamicFocusIsOn": "no",
            "DynamicWDIsOn": "",
            "ScanRotation": _number(math.radians(acquisition.scan_rotation_deg)),
            "LensMode": "Field-Free",
            "LensModeA": "",
            "UseCase": "OptiPlan",
            "SemOpticalMode": "",
            "ImageMode": "Normal",
            **_stage(shot, tilt_key="StageTa"),
            "EucWD": "0.01",
            "EmissionCurrent": "0.000122031",
            "TiltCorrectionAngle": _number(math.radians(acquisition.tilt_correction_deg)),
            "PreTilt": "0",
            "WehneltBias": "",
            "BeamMode": "N-Beam",
            "MagnificationCorrection": "Off",
        },
        "GIS": {"Number": "0"},
    }


def _stage(shot: Shot, tilt_key: str) -> dict[str, str]:
    acquisition = shot.acquisition
    return {
        "StageX": _number(acquisition.stage_x_mm * 1e-3),
        "StageY": _number(acquisition.stage_y_mm * 1e-3),
        "StageZ": _number(acquisition.stage_z_mm * 1e-3),
        "StageR": _number(math.radians(acquisition.stage_rotation_deg)),
        tilt_key: _number(math.radians(acquisition.stage_tilt_deg)),
        "StageTb": "0",
    }


def _field_m(shot: Shot) -> tuple[float, float]:
    pixel_m = shot.acquisition.pixel_size_nm * 1e-9
    return pixel_m * shot.pixels.shape[1], pixel_m * shot.picture_height_px


def _scan(shot: Shot) -> dict[str, dict[str, str]]:
    acquisition = shot.acquisition
    width_px = shot.pixels.shape[1]
    width_m, height_m = _field_m(shot)
    dwell_s = acquisition.dwell_time_us * 1e-6
    field = {
        "PixelWidth": _number(acquisition.pixel_size_nm * 1e-9),
        "PixelHeight": _number(acquisition.pixel_size_nm * 1e-9),
        "HorFieldsize": _number(width_m),
        "VerFieldsize": _number(height_m),
    }
    frame_time = {"FrameTime": _number(dwell_s * width_px * shot.picture_height_px * 1.115)}
    return {
        "Scan": {
            "InternalScan": "true",
            "Dwelltime": _number(dwell_s),
            **field,
            "Average": "0",
            "Integrate": "1",
            **frame_time,
        },
        "EScan": {
            "Scan": "PIA 3.0",
            "InternalScan": "true",
            "Dwell": _number(dwell_s),
            **field,
            **frame_time,
            "LineTime": _number(dwell_s * width_px * 1.115),
            "Mainslock": "On",
            "LineIntegration": "1",
            "ScanInterlacing": "1",
        },
        "Stage": {
            **_stage(shot, tilt_key="StageT"),
            "SpecTilt": "0",
            "WorkingDistance": _number(acquisition.working_distance_mm * 1e-3),
        },
    }


def _picture(shot: Shot) -> dict[str, dict[str, str]]:
    acquisition = shot.acquisition
    height, width = shot.pixels.shape[:2]
    return {
        "Image": {
            "DigitalContrast": "1",
            "DigitalBrightness": "0",
            "DigitalGamma": "1",
            "Average": "0",
            "Integrate": "1",
            "ResolutionX": str(width),
            "ResolutionY": str(shot.picture_height_px),
            "DriftCorrected": "Off",
            "ZoomFactor": "1.0",
            "ZoomPanX": "0.5",
            "ZoomPanY": "0.5",
            "MagCanvasRealWidth": f"{_CANVAS_WIDTH_M:.5f}",
            "MagnificationMode": "2",
            "ScreenMagCanvasRealWidth": f"{_CANVAS_WIDTH_M:.5f}",
            "ScreenMagnificationMode": "2",
            "PostProcessing": "None",
            "Transformation": "None",
        },
        "Vacuum": {"ChPressure": "0.000327087", "Gas": "Wet", "UserMode": "High vacuum", "Humidity": ""},
        "Specimen": {"Temperature": "", "SpecimenCurrent": ""},
        "Detectors": {"Number": "1", "Name": acquisition.detector, "Mode": "SE"},
        acquisition.detector: {"Contrast": "71.2", "Brightness": "42.5", "Mix": "100", "Signal": "SE", "Grid": "250"},
        "Accessories": {"Number": "0"},
        "EBeamDeceleration": {
            "ModeOn": "Off",
            "LandingEnergy": f"{acquisition.accelerating_voltage_kv * 1e3:.0f}",
            "ImmersionRatio": "1",
            "StageBias": "0",
        },
        "PrivateFei": {
            "BitShift": "0",
            "DataBarSelected": _BAR_FIELDS if height > shot.picture_height_px else "",
            "DataBarAvailable": "srot frame HFW PW x y z rotation pressure filter DateTime driftCorr zoom spot",
            "TimeOfCreation": f"{acquisition.acquired_at:%d.%m.%Y %H:%M:%S}",
            "DatabarHeight": str(height - shot.picture_height_px),
        },
    }


def _files(shot: Shot) -> Mapping[str, bytes]:
    page = WrittenPage(
        shot.pixels,
        rows_per_strip=1,
        tags=(
            WrittenTag(282, TagType.RATIONAL, (120, 1)),
            WrittenTag(283, TagType.RATIONAL, (120, 1)),
            WrittenTag(284, TagType.SHORT, 1),
            WrittenTag(296, TagType.SHORT, 2),
            WrittenTag(34682, TagType.ASCII, header(shot).encode("utf-8") + b"\0"),
        ),
    )
    return {".tif": encode_tiff([page], directory_first=False)}


VENDOR: Final = Vendor(
    name="thermofisher",
    reference_width_mm=_CANVAS_WIDTH_M * 1e3,
    instruments=(("Teneo", "9911001"), ("Quanta FEG", "D9042"), ("Helios NanoLab 650", "D8207")),
    detectors=("ETD", "TLD", "T1"),
    bars=("below-black", "below-white", "none"),
    files=_files,
)
