"""
Phenom frames: 8-bit grey TIFF, tag 34683 with an XML text whose root is ``FeiImage``; most numbers name their unit.

The high voltage is negative, as the cathode's is; positions are metres without saying so. Neither magnification nor tilt is
told, and ``displayWidth``, from which a magnification would follow, is 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emwatch.simulate.tiff import TagType, WrittenPage, WrittenTag, encode_tiff
from emwatch.simulate.vendors.vendor import Vendor, eight_bit, everything_but
from emwatch.simulate.vendors.xml_text import branch, leaf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.simulate.acquisition import Acquisition, Shot


def header(shot: Shot) -> str:
    """Return the text of tag 34683."""
    acquisition = shot.acquisition
    pixel = repr(acquisition.pixel_size_nm)
    x_m, y_m = acquisition.stage_x_mm * 1e-3, acquisition.stage_y_mm * 1e-3
    root = branch(
        "FeiImage",
        leaf("databarHeight", shot.bar_height_px),
        leaf("databarFields", 955),
        leaf("databarLabel", acquisition.sample),
        leaf("displayWidth", 0),
        leaf("pixelWidth", pixel, unit="nm"),
        leaf("pixelHeight", pixel, unit="nm"),
        leaf("time", f"{acquisition.acquired_at:%Y-%m-%dT%H:%M:%S}"),
        leaf("currentUser", acquisition.operator),
        leaf("integrations", 16),
        branch("cropHint", *(leaf(side, 0) for side in ("left", "top", "right", "bottom"))),
        branch("samplePosition", leaf("x", -x_m), leaf("y", -y_m)),
        branch("multiStage", leaf("axis", x_m, id="X"), leaf("axis", y_m, id="Y"), leaf("sampleHeight", 0, unit="m")),
        leaf("appliedContrast", 0.36),
        leaf("appliedBrightness", 0.54),
        leaf("appliedGamma", 1),
        branch("acquisition", _scan(acquisition)),
        leaf("workingDistance", repr(acquisition.working_distance_mm), unit="mm"),
        branch(
            "instrument",
            leaf("type", acquisition.instrument),
            leaf("softwareVersion", "5.5.2.rel.0a1b2c3.24100"),
            leaf("uniqueID", acquisition.serial),
            leaf("edition", "G5"),
        ),
        leaf("applicationID"),
        xmlns_xsi="http://www.w3.org/2001/XMLSchema-instance",
        xsi_noNamespaceSchemaLocation="http://www.phenom-world.com/Schemas/FeiImage1.xsd",
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{root}'


def _scan(acquisition: Acquisition) -> str:
    return branch(
        "scan",
        leaf("scanHW", "PLPC"),
        leaf("acqHW", "PLPC"),
        leaf("dwellTime", f"{acquisition.dwell_time_us * 1e3:g}", unit="ns"),
        leaf("spotSize", 3.3),
        leaf("spotPresetName", "Image"),
        leaf("rotation", f"{acquisition.scan_rotation_deg:g}"),
        leaf("interlace", 1),
        leaf("detector", acquisition.detector),
        branch("detectors", branch("QBSD", leaf("gain", 5), leaf("mixFactor", 1), A="+", B="+", C="+", D="+")),
        leaf("sourceTime", 52, unit="h"),
        leaf("sourceId"),
        leaf("highVoltage", f"{-acquisition.accelerating_voltage_kv:g}", unit="kV"),
        leaf("emissionCurrent", 38.2, unit="uA"),
        leaf("scanScale", 1),
    )


def _files(shot: Shot) -> Mapping[str, bytes]:
    page = WrittenPage(
        eight_bit(shot),
        rows_per_strip=16,
        tags=(
            WrittenTag(254, TagType.LONG, 0),
            WrittenTag(282, TagType.RATIONAL, (96000, 1000)),
            WrittenTag(283, TagType.RATIONAL, (96000, 1000)),
            WrittenTag(296, TagType.SHORT, 2),
            WrittenTag(34683, TagType.ASCII, header(shot).encode() + b"\0"),
        ),
    )
    return {".tif": encode_tiff([page], directory_first=False)}


VENDOR: Final = Vendor(
    name="phenom",
    reference_width_mm=237.0,
    instruments=(("PhenomXL", "MVE031204-0041-L"), ("PhenomProX", "MVE029911-0013-L")),
    detectors=("bsd-all", "sed"),
    bars=("below-black", "below-black", "none"),
    files=_files,
    tells=everything_but("magnification", "stage_tilt_deg"),
)
