from __future__ import annotations

import io
import math
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
import tifffile
from PIL import Image

from emwatch.errors import EmwatchError
from emwatch.simulate.acquisition import Acquisition, Shot
from emwatch.simulate.vendors import VENDORS, thermofisher, vendor_named, zeiss

ACQUISITION = Acquisition(
    magnification=2500.0,
    pixel_size_nm=44.66,
    stage_tilt_deg=30.0,
    working_distance_mm=4.1,
    accelerating_voltage_kv=5.0,
    detector="InLens",
    acquired_at=datetime(2026, 4, 8, 15, 6, 9),  # noqa: DTZ001 - an instrument's header has no zone
    instrument="Merlin",
    serial="Merlin-61-07",
    stage_x_mm=-12.5,
    stage_rotation_deg=7.5,
    beam_current_na=0.05,
    tilt_correction=True,
    tilt_correction_deg=54.0,
    operator="operator",
    sample="sample 7",
)
#: Grey levels by which a format may change a pixel: SmartSEM keeps off its bar colours, JPEG is lossy.
OFF_BY = {"zeiss": 1, "sec": 40}
GREY = (np.arange(64 * 48) % 256).astype(np.uint8).reshape(48, 64)


def shot(width: int = 64, *, picture_height: int = 48, **changes: float) -> Shot:
    pixels = np.resize(GREY, (48, width)).astype(np.uint8)
    return Shot(pixels, picture_height, replace(ACQUISITION, **changes), "frame_0001.tif")  # type: ignore[arg-type]


def shot_for(vendor: str, **changes: float) -> Shot:
    """A shot with this vendor's first instrument and detector."""
    (instrument, serial), detector = VENDORS[vendor].instruments[0], VENDORS[vendor].detectors[0]
    given = shot(**changes)
    setting = replace(given.acquisition, instrument=instrument, serial=serial, detector=detector)
    return replace(given, acquisition=setting)


def opened(vendor: str, given: Shot) -> tifffile.TiffFile:
    return tifffile.TiffFile(io.BytesIO(VENDORS[vendor].files(given)[".tif"]))


def zeiss_pairs(given: Shot) -> dict[str, str]:
    lines = zeiss.header(given).split("\r\n")[35:]
    return dict(zip(lines[::2], lines[1::2], strict=False))


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("AP_MAG", "Mag =    2.50 K X"),
        ("AP_WD", "WD =  4.1 mm"),
        ("AP_ACTUALKV", "EHT =  5.00 kV"),
        ("AP_STAGE_AT_T", "Stage at T =  30.0 °"),
        ("AP_STAGE_AT_X", "Stage at X = -12.5000 mm"),
        ("AP_TILT_ANGLE", "Tilt Angle =  54.0 °"),
        ("AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = 44.66 nm"),
        ("AP_PIXEL_SIZE", "Pixel Size = 2.791 nm"),
        ("AP_WIDTH", "Width = 2.858 µm"),
        ("DP_DETECTOR_CHANNEL", "Signal A = InLens"),
        ("DP_TILTED", "Stage Tilted = Yes"),
        ("DP_SEM", "Sem = Merlin"),
        ("AP_DATE", "Date :8 Apr 2026"),
        ("AP_TIME", "Time :15:06:09"),
        ("SV_SERIAL_NUMBER", "Serial No. = Merlin-61-07"),
        ("SV_FILE_NAME", "File Name = frame_0001.tif"),
    ],
)
def test_zeiss_writes_the_line_smartsem_writes(key: str, line: str) -> None:
    assert line == zeiss_pairs(shot())[key]


@pytest.mark.parametrize(("magnification", "line"), [(105.0, "Mag =    105 X"), (50000.0, "Mag =   50.00 K X")])
def test_zeiss_gives_thousands_their_own_unit(magnification: float, line: str) -> None:
    assert line == zeiss_pairs(shot(magnification=magnification))["AP_MAG"]


@pytest.mark.parametrize(("pixel_size_nm", "text"), [(0.5, "500.0 pm"), (7.344, "7.344 nm"), (1240.0, "1.240 µm")])
def test_zeiss_gives_a_length_four_digits_and_the_fitting_unit(pixel_size_nm: float, text: str) -> None:
    assert f"Image Pixel Size = {text}" == zeiss_pairs(shot(pixel_size_nm=pixel_size_nm))["AP_IMAGE_PIXEL_SIZE"]


def test_zeiss_gives_the_display_pixel_for_1024_columns_and_the_true_one_beside_it() -> None:
    wide = zeiss_pairs(shot(2048, pixel_size_nm=12.33))

    assert wide["AP_PIXEL_SIZE"] == "Pixel Size = 24.66 nm"
    assert wide["AP_IMAGE_PIXEL_SIZE"] == "Image Pixel Size = 12.33 nm"


def test_zeiss_begins_with_the_bare_numbers_in_si_units() -> None:
    lines = zeiss.header(shot()).split("\r\n")

    assert lines[:10] == [
        *("0", "0", "0", "2.791250e-009", "2.500000e+003"),
        *("6", "5.000000e+003", "2.340000e+000", "5.000000e-011", "4.100000e-003"),
    ]
    assert int(lines[34]) == len(zeiss_pairs(shot()))


def test_zeiss_keeps_the_header_in_both_encodings() -> None:
    data = VENDORS["zeiss"].files(shot())[".tif"]
    with opened("zeiss", shot()) as tiff:
        raw = {
            code: data[tag.valueoffset : tag.valueoffset + tag.count]
            for code in (34118, 34119)
            for tag in [tiff.pages[0].tags[code]]
        }

    assert zeiss.header(shot()) == raw[34118].decode("cp1252")
    assert zeiss.header(shot()) == raw[34119].decode("utf-16-le")


def test_tifffile_understands_the_zeiss_header() -> None:
    with opened("zeiss", shot()) as tiff:
        found = tiff.sem_metadata

    assert found is not None
    assert found["ap_wd"] == ("WD", 4.1, "mm")
    assert found["ap_stage_at_t"] == ("Stage at T", 30.0, "°")


def test_zeiss_pixels_never_show_a_bar_colour() -> None:
    image = Image.open(io.BytesIO(VENDORS["zeiss"].files(shot())[".tif"]))
    red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")).astype(int), -1, 0)

    assert image.mode == "P"
    assert (red == green).all()
    assert (red == blue).all()
    assert abs(red - GREY).max() <= 1


def fei_header(given: Shot) -> dict[str, dict[str, object]]:
    with opened("thermofisher", given) as tiff:
        return tiff.fei_metadata  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("Beam", "HV", 5000),
        ("EBeam", "WD", 0.0041),
        ("EBeam", "HFW", 44.66e-9 * 64),
        ("Stage", "StageT", math.radians(30)),
        ("EBeam", "StageTa", math.radians(30)),
        ("Stage", "StageX", -0.0125),
        ("Stage", "StageR", math.radians(7.5)),
        ("EBeam", "TiltCorrectionAngle", math.radians(54)),
        ("Scan", "PixelWidth", 44.66e-9),
        ("Image", "ResolutionX", 64),
        ("Image", "ResolutionY", 40),
        ("PrivateFei", "DatabarHeight", 8),
        ("EBeam", "BeamCurrent", 5e-11),
    ],
)
def test_thermofisher_writes_si_units_and_radians(section: str, key: str, value: float) -> None:
    assert fei_header(shot(picture_height=40))[section][key] == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    ("section", "key", "text"),
    [
        ("User", "Date", "04/08/2026"),
        ("User", "Time", "03:06:09 PM"),
        ("PrivateFei", "TimeOfCreation", "08.04.2026 15:06:09"),
        ("Detectors", "Name", "InLens"),
        ("System", "SystemType", "Merlin"),
        ("EBeam", "TiltCorrectionIsOn", "yes"),
        ("Beam", "FineStageBias", ""),
    ],
)
def test_thermofisher_writes_the_texts_xt_writes(section: str, key: str, text: str) -> None:
    lines = thermofisher.header(shot()).partition(f"[{section}]\r\n")[2].partition("\r\n[")[0].split("\r\n")

    assert f"{key}={text}" in lines


def test_thermofisher_writes_long_exponents() -> None:
    assert "PixelWidth=4.466e-008\r\n" in thermofisher.header(shot())


def test_magnification_follows_from_the_canvas_and_the_field_where_it_is_not_stored() -> None:
    vendor = VENDORS["thermofisher"]
    pixel_size_nm = vendor.reference_width_mm * 1e6 / 2500 / 64
    header = fei_header(shot(pixel_size_nm=pixel_size_nm))

    assert float(str(header["Image"]["MagCanvasRealWidth"])) / float(str(header["EBeam"]["HFW"])) == pytest.approx(
        2500, rel=1e-5
    )


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_vendor_keeps_the_pixels(vendor: str) -> None:
    data = next(iter(VENDORS[vendor].files(shot_for(vendor)).values()))
    pixels = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    grey = pixels // 257 if pixels.max() > 255 else pixels

    assert np.abs(grey - GREY).max() <= OFF_BY.get(vendor, 0)


def test_a_plain_export_tells_nothing_of_the_microscope() -> None:
    with opened("generic", shot()) as tiff:
        codes = set(tiff.pages[0].tags.keys())

    assert not codes & {270, 271, 272, 305, 34118, 34682}


def test_an_unknown_vendor_is_refused_with_the_known_ones() -> None:
    with pytest.raises(EmwatchError, match="zeiss, thermofisher, generic"):
        vendor_named("zeis")


def test_deep_pixels_are_refused_where_the_maker_has_none() -> None:
    deep = replace(shot(), pixels=GREY.astype(np.uint16))

    with pytest.raises(ValueError, match="8-bit"):
        VENDORS["zeiss"].files(deep)
