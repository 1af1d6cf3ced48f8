"""
Thermo Fisher xT 14 frames: the INI text of tag 34682 beside tag 34683, an XML text whose root is ``Metadata``.

The INI has the same keys as before, but those from which a magnification would follow are empty. The XML is in SI units and
radians, with the time as ISO 8601 without a zone. These frames come without a data bar.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from emwatch.simulate.tiff import TagType, WrittenPage, WrittenTag, encode_tiff
from emwatch.simulate.vendors import thermofisher
from emwatch.simulate.vendors.vendor import Vendor, everything_but
from emwatch.simulate.vendors.xml_text import branch, leaf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.simulate.acquisition import Shot

_EMPTY_SINCE_XT_14: Final = re.compile(
    r"^((?:Screen)?Mag(?:nificationMode|CanvasRealWidth)|DataBar\w+|DatabarHeight)=.*?(?=\r$)", re.MULTILINE
)


def header(shot: Shot) -> str:
    """Return the text of tag 34682."""
    return _EMPTY_SINCE_XT_14.sub(r"\1=", thermofisher.header(shot)).replace("7.7.1.4284", "14.5.1.432")


def xml(shot: Shot) -> str:
    """Return the text of tag 34683."""
    root = branch(
        "Metadata",
        *_who(shot),
        _optics(shot),
        _stage(shot),
        *_scan(shot),
        _result(shot),
        xmlns_nil="http://schemas.fei.com/Metadata/v1/2013/07",
        xmlns_xsi="http://www.w3.org/2001/XMLSchema-instance",
    )
    return f'<?xml version="1.0"?>\n{root}'.replace("\n", "\r\n")


def _who(shot: Shot) -> tuple[str, ...]:
    acquisition = shot.acquisition
    return (
        branch("Core", leaf("UserID", acquisition.operator), leaf("ApplicationSoftware", "xT")),
        branch(
            "Instrument",
            leaf("ControlSoftwareVersion", "14.5.1.432"),
            leaf("Manufacturer", "FEI Company"),
            leaf("InstrumentClass", acquisition.instrument),
            leaf("InstrumentID", acquisition.serial),
        ),
        branch(
            "Acquisition",
            leaf("AcquisitionDatetime", f"{acquisition.acquired_at:%Y-%m-%dT%H:%M:%S}"),
            leaf("BeamType", "Electron"),
            leaf("ColumnType", "Elstar"),
        ),
    )


def _optics(shot: Shot) -> str:
    acquisition = shot.acquisition
    pixel_m = acquisition.pixel_size_nm * 1e-9
    field = (_size(pixel_m * shot.width_px), _size(pixel_m * shot.picture_height_px))
    return branch(
        "Optics",
        leaf("AccelerationVoltage", f"{acquisition.accelerating_voltage_kv * 1e3:g}"),
        leaf("BeamCurrent", _size(acquisition.beam_current_na * 1e-9)),
        *(
            branch(name, leaf("X", field[0]), leaf("Y", field[1]))
            for name in ("FullScanFieldOfView", "ScanFieldOfView")
        ),
        leaf("WorkingDistance", _size(acquisition.working_distance_mm * 1e-3)),
        leaf("EucentricWorkingDistance", "0.004"),
        branch("BeamShift", leaf("X", 0), leaf("Y", 0)),
    )


def _stage(shot: Shot) -> str:
    acquisition = shot.acquisition
    return branch(
        "StageSettings",
        branch(
            "StagePosition",
            leaf("X", _size(acquisition.stage_x_mm * 1e-3)),
            leaf("Y", _size(acquisition.stage_y_mm * 1e-3)),
            leaf("Z", _size(acquisition.stage_z_mm * 1e-3)),
            leaf("Rotation", _size(math.radians(acquisition.stage_rotation_deg))),
            branch("Tilt", leaf("Alpha", _size(math.radians(acquisition.stage_tilt_deg))), leaf("Beta", 0)),
        ),
    )


def _scan(shot: Shot) -> tuple[str, ...]:
    acquisition = shot.acquisition
    size = (leaf("Width", shot.width_px), leaf("Height", shot.picture_height_px))
    return (
        branch(
            "ScanSettings",
            leaf("DwellTime", _size(acquisition.dwell_time_us * 1e-6)),
            branch("ScanSize", *size),
            branch("ScanArea", leaf("X", 0), leaf("Y", 0), *size),
            leaf("LineIntegrationCount", 1),
            leaf("ScanRotation", _size(math.radians(acquisition.scan_rotation_deg))),
        ),
        branch(
            "Detectors",
            branch(
                "ScanningDetector",
                leaf("DetectorName", acquisition.detector),
                leaf("DetectorType", acquisition.detector),
                leaf("Signal", "SE"),
            ),
        ),
    )


def _result(shot: Shot) -> str:
    pixel = _size(shot.acquisition.pixel_size_nm * 1e-9)
    return branch(
        "BinaryResult",
        leaf("AcquisitionUnit", "Pixel"),
        leaf("CompositionType", "Single"),
        branch("ImageSize", leaf("X", shot.width_px), leaf("Y", shot.picture_height_px)),
        branch("PixelSize", *(leaf(axis, pixel, unit="m", unitPrefixPower=1) for axis in "XY")),
        leaf("Gamma", 1),
    )


def _size(value: float) -> str:
    return f"{value:.17G}"


def _files(shot: Shot) -> Mapping[str, bytes]:
    page = WrittenPage(
        shot.pixels,
        tags=(
            WrittenTag(284, TagType.SHORT, 1),
            WrittenTag(296, TagType.SHORT, 2),
            WrittenTag(34682, TagType.ASCII, header(shot).encode("utf-8") + b"\0"),
            WrittenTag(34683, TagType.ASCII, xml(shot).encode("utf-8") + b"\0"),
        ),
    )
    return {".tif": encode_tiff([page], directory_first=True)}


VENDOR: Final = Vendor(
    name="thermofisher-xml",
    reference_width_mm=thermofisher.VENDOR.reference_width_mm,
    instruments=(("Helios G4 PFIB UXe", "9931207"), ("Scios 2", "9930411")),
    detectors=("ETD", "TLD"),
    bars=("none",),
    files=_files,
    tells=everything_but("magnification"),
)
