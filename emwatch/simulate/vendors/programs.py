"""
Frames written by programs and not by an instrument: fibsemOS, OME-TIFF and ImageJ, each with its text in tag 270.

fibsemOS writes JSON in metres, volts, amperes, seconds and radians, with the time in seconds of the Unix clock. OME-TIFF is
XML, see https://www.openmicroscopy.org/Schemas/OME/2016-06; lengths name their unit. An export from ImageJ knows nothing
but a calibrated pixel size: ``unit`` in the text, and pixels a unit as the resolution.
"""

from __future__ import annotations

import json
import math
from datetime import UTC
from typing import TYPE_CHECKING, Final

from emwatch.simulate.tiff import TagType, WrittenPage, WrittenTag, encode_tiff
from emwatch.simulate.vendors.vendor import Vendor, eight_bit, everything_but
from emwatch.simulate.vendors.xml_text import branch, leaf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.simulate.acquisition import Shot

_OME: Final = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_MILLIONTH: Final = 1_000_000
_LARGEST_LONG: Final = 0xFFFFFFFF


def fibsemos_text(shot: Shot) -> str:
    """Return the JSON of a fibsemOS frame."""
    acquisition = shot.acquisition
    pixel_m = acquisition.pixel_size_nm * 1e-9
    hfw_m = pixel_m * shot.width_px
    resolution = [shot.width_px, shot.picture_height_px]
    dwell_s = acquisition.dwell_time_us * 1e-6
    beam = {
        "beam_type": "ELECTRON",
        "working_distance": acquisition.working_distance_mm * 1e-3,
        "beam_current": acquisition.beam_current_na * 1e-9,
        "voltage": acquisition.accelerating_voltage_kv * 1e3,
        "hfw": hfw_m,
        "resolution": resolution,
        "dwell_time": dwell_s,
        "stigmation": {"x": 0.0, "y": 0.0},
        "shift": {"x": 0.0, "y": 0.0},
        "scan_rotation": math.radians(acquisition.scan_rotation_deg),
        "preset": None,
    }
    stage = {
        "name": None,
        "x": acquisition.stage_x_mm * 1e-3,
        "y": acquisition.stage_y_mm * 1e-3,
        "z": acquisition.stage_z_mm * 1e-3,
        "r": math.radians(acquisition.stage_rotation_deg),
        "t": math.radians(acquisition.stage_tilt_deg),
        "coordinate_system": "RAW",
    }
    state = {
        "timestamp": acquisition.acquired_at.replace(tzinfo=UTC).timestamp(),
        "stage_position": stage,
        "electron_beam": beam,
        "ion_beam": None,
        "electron_detector": {
            "type": acquisition.detector,
            "mode": "SecondaryElectrons",
            "brightness": 0.5,
            "contrast": 0.5,
        },
        "ion_detector": None,
    }
    text = {
        "shape": [shot.height_px, shot.width_px],
        "image": {
            "beam_type": "ELECTRON",
            "resolution": resolution,
            "dwell_time": dwell_s,
            "hfw": hfw_m,
            "autocontrast": False,
            "autogamma": False,
            "save": True,
            "path": "log",
            "filename": shot.file_name,
            "reduced_area": None,
        },
        "version": "v3",
        "pixel_size": {"x": pixel_m, "y": pixel_m},
        "microscope_state": state,
        "user": {"name": acquisition.operator, "email": "null", "organization": "null", "hostname": "null"},
        "experiment": {"id": None, "method": "null", "date": None},
        "system": {
            "info": {"manufacturer": "Demo", "model": acquisition.instrument, "serial_number": acquisition.serial},
        },
    }
    return json.dumps(text)


def ome_text(shot: Shot) -> str:
    """Return the XML of an OME-TIFF."""
    acquisition = shot.acquisition
    pixel = f"{acquisition.pixel_size_nm:.9g}"
    root = branch(
        "OME",
        branch(
            "Instrument",
            leaf("Microscope", Manufacturer="Acme", Model=acquisition.instrument, SerialNumber=acquisition.serial),
            ID="Instrument:0",
        ),
        branch(
            "Image",
            leaf("AcquisitionDate", f"{acquisition.acquired_at:%Y-%m-%dT%H:%M:%S}"),
            branch(
                "Pixels",
                leaf("Channel", ID="Channel:0:0", SamplesPerPixel=1),
                leaf("TiffData", IFD=0, PlaneCount=1),
                ID="Pixels:0",
                DimensionOrder="XYCZT",
                Type="uint8",
                SizeX=shot.width_px,
                SizeY=shot.height_px,
                **dict.fromkeys(("SizeC", "SizeZ", "SizeT"), 1),
                PhysicalSizeX=pixel,
                PhysicalSizeXUnit="nm",
                PhysicalSizeY=pixel,
                PhysicalSizeYUnit="nm",
            ),
            ID="Image:0",
            Name=shot.file_name,
        ),
        xmlns=_OME,
        xmlns_xsi="http://www.w3.org/2001/XMLSchema-instance",
        xsi_schemaLocation=f"{_OME} {_OME}/ome.xsd",
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{root}'


def imagej_resolution(pixel_size_nm: float) -> tuple[str, tuple[int, int]]:
    r"""Return the unit, as ImageJ writes it (``\u00B5m``), and pixels a unit as a fraction that fits a tag."""
    unit, nanometres = ("nm", 1.0) if pixel_size_nm < 10 else ("\\u00B5m", 1e3)
    per_unit = nanometres / pixel_size_nm
    if per_unit * _MILLIONTH > _LARGEST_LONG:
        return unit, (round(per_unit), 1)
    return unit, (round(per_unit * _MILLIONTH), _MILLIONTH)


def _described(text: str) -> WrittenTag:
    return WrittenTag(270, TagType.ASCII, f"{text}\0".encode())


def _fibsemos_files(shot: Shot) -> Mapping[str, bytes]:
    page = WrittenPage(
        eight_bit(shot), tags=(_described(fibsemos_text(shot)), WrittenTag(305, TagType.ASCII, b"tifffile.py\0"))
    )
    return {".tif": encode_tiff([page])}


def _ome_files(shot: Shot) -> Mapping[str, bytes]:
    return {".ome.tif": encode_tiff([WrittenPage(eight_bit(shot), tags=(_described(ome_text(shot)),))])}


def _imagej_files(shot: Shot) -> Mapping[str, bytes]:
    unit, resolution = imagej_resolution(shot.acquisition.pixel_size_nm)
    page = WrittenPage(
        eight_bit(shot),
        tags=(
            WrittenTag(254, TagType.LONG, 0),
            _described(f"ImageJ=1.54f\nunit={unit}\n"),
            WrittenTag(282, TagType.RATIONAL, resolution),
            WrittenTag(283, TagType.RATIONAL, resolution),
            WrittenTag(296, TagType.SHORT, 1),
        ),
    )
    return {".tif": encode_tiff([page], byte_order=">")}


FIBSEMOS: Final = Vendor(
    name="fibsemos",
    reference_width_mm=127.0,
    instruments=(("DemoMicroscope", "0001"),),
    detectors=("ETD", "TLD"),
    bars=("none",),
    files=_fibsemos_files,
    tells=everything_but("magnification"),
)
OME_TIFF: Final = Vendor(
    name="ometiff",
    reference_width_mm=127.0,
    instruments=(("SEM 1", "0001"),),
    detectors=("SE",),
    bars=("none", "one-line"),
    files=_ome_files,
    tells=("pixel_size_nm", "acquired_at"),
)
IMAGEJ: Final = Vendor(
    name="imagej",
    reference_width_mm=127.0,
    instruments=(("SEM", "1"),),
    detectors=("SE", "BSE"),
    bars=("strip-inside-black", "none"),
    files=_imagej_files,
    tells=("pixel_size_nm",),
)
