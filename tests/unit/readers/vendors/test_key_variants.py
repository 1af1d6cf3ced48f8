"""Keys that firmware versions write otherwise: capitals, blanks and underscores do not count, and what is left follows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emwatch.readers.header_text import HeaderText, read_ini
from emwatch.readers.raw_frame import RawFrame
from emwatch.readers.registry import read_header
from emwatch.readers.tiff import parse_pages
from tests.beside import texts_beside

if TYPE_CHECKING:
    from emwatch.frame import AcquisitionMetadata

#: As early xT (2.4) writes it.
_EARLY_XT = """[User]
User=x
Date=5/19/2023
Time=1:17:31 PM

[SYSTEM]
DNumber=1234
Software=2.4

[Beam]
HV=20000
Spot=2.5
ScanRotation=0

[Scan]
Dwelltime=1e-005
PixelHeight=6.18408e-007
PixelWidth=6.18408e-007
{field}

[Stage]
StageT=0.00294961
WorkingDistance=0.0399995

[Detectors]
Number=1
Name=Etd

[PrivateFei]
Databarheight=59
"""

#: As a JSM-6700F writes it beside a BMP.
_JSM_6700F = """$CM_FORMAT Bitmap
$CM_DATE 10/29/2025
$CM_TIME 9:33:41 AM
$CM_INSTRUMENT JSM 6700F NT
$CM_ACCEL_VOLT 20.0
$CM_MAG 250
$CM_SIGNAL LEI
$$SM_WD 15.2
$$SM_MICRON_BAR 267
$$SM_MICRON_MARKER 100um
$CM_IMAGE_RES 1280x1024
$CM_STAGE_POSITION X=37.1761, Y=44.9344, R=354.9968, Z=16.90, T=0.00
"""


def _tagged(build: Any, number: int, header: bytes, width: int = 1024) -> AcquisitionMetadata:
    data = build.tiff(tags={number: header})
    return read_header(RawFrame(Path("frame.tif"), data, "TIFF", width, 30, parse_pages("frame.tif", data, 64)))[0]


def _beside(texts: dict[str, bytes], width: int, height: int) -> AcquisitionMetadata:
    frame = RawFrame(Path("frame.bmp"), b"", "BMP", width, height, sidecar=texts_beside(texts))
    return read_header(frame)[0]


def test_early_xt_is_read(build: Any) -> None:
    found = _tagged(build, 34682, _EARLY_XT.format(field="Horfieldsize=0.00063325").encode("cp1252"))

    assert found.number("horizontal_field_width_um") == 633.25
    assert (found.text("serial"), found.text("software")) == ("1234", "2.4")
    assert (found.number("working_distance_mm"), found.number("accelerating_voltage_kv")) == (39.9995, 20.0)


def test_the_field_width_of_xt_follows_from_its_pixels(build: Any) -> None:
    reading = _tagged(build, 34682, _EARLY_XT.format(field="").encode("cp1252")).readings["horizontal_field_width_um"]

    assert reading.value == pytest.approx(633.2498, abs=1e-3)
    assert reading.computed
    assert reading.reason == "pixel size times 1024 px"


def test_the_pixel_of_a_jsm_6700f_follows_from_its_bar() -> None:
    found = _beside({"frame.txt": _JSM_6700F.encode("cp1252")}, 1280, 1024)

    assert found.number("pixel_size_nm") == pytest.approx(374.53, abs=0.01)
    assert found.number("stage_rotation_deg") == 354.9968
    # The size is that of the saved picture, which may have a bar below.
    assert "data_bar_height_px" not in found.readings


@pytest.mark.parametrize("change", [str.upper, str.lower, str.title, lambda key: key.replace("_", "")])
def test_capitals_and_underscores_of_keys_do_not_count(build: Any, change: Any) -> None:
    def changed(text: bytes, encoding: str) -> bytes:
        lines = text.decode(encoding).splitlines(keepends=True)
        return "".join(_with_key(line, change) for line in lines).encode(encoding)

    xt = _tagged(build, 34682, changed(build.fei(), "cp1252"), 32)
    hitachi = _beside({"frame.txt": changed(build.hitachi_txt(encoding="utf-8"), "utf-8")}, 32, 30)

    assert xt.number("horizontal_field_width_um") == 2.072
    assert xt.number("stage_tilt_deg") == pytest.approx(30.001, abs=1e-3)
    assert xt.text("serial") == "D8883"
    assert hitachi.number("magnification") == 1200.0


def _with_key(line: str, change: Any) -> str:
    if line.startswith("["):
        return str(change(line))
    key, separator, value = line.partition("=")
    return f"{change(key)}{separator}{value}"


@pytest.mark.parametrize("beam", ["IRBeam", "NavCam", "Nav-Cam", "Optical"])
def test_a_camera_picture_has_no_beam(build: Any, beam: str) -> None:
    found = _tagged(build, 34682, build.fei({"Beam.Beam": beam}), 32)

    assert found.value("beam") is None


def test_of_a_key_that_comes_twice_the_first_with_a_value_counts() -> None:
    values, flags = read_ini("[A]\nkey=\n[b]\nKey=3\n[a]\nKEY=1\nKey=2\n")

    assert (values["a.key"], values["B.key"]) == ("1", "3")
    assert flags == ()


def test_the_values_of_a_section_are_those_below_its_name() -> None:
    assert dict(HeaderText([("Scan.Dwell_Time", "1"), ("Scanner.X", "2")]).below("SCAN")) == {"dwelltime": "1"}


def test_a_jeol_text_in_small_letters_is_read() -> None:
    found = _beside({"frame.txt": _JSM_6700F.lower().encode()}, 1280, 1024)

    assert found.vendor == "JEOL"
    assert found.number("magnification") == 250.0
