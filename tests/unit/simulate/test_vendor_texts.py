"""The headers and sidecars of each maker, held against what a real file has: keys, units, encodings, line ends, traps."""

from __future__ import annotations

import io
import json
import math
import re
import struct
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

from emwatch.simulate.acquisition import Acquisition, Shot
from emwatch.simulate.vendors import (
    VENDORS,
    hitachi,
    jeol,
    olympus,
    phenom,
    programs,
    sec,
    tescan,
    thermofisher_xml,
    xl30,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

GREY = (np.arange(64 * 48) % 256).astype(np.uint8).reshape(48, 64)
ACQUISITION = Acquisition(
    magnification=2500.0,
    pixel_size_nm=44.66,
    stage_tilt_deg=30.0,
    working_distance_mm=4.1,
    accelerating_voltage_kv=5.0,
    detector="SE",
    acquired_at=datetime(2026, 4, 8, 15, 6, 9),  # noqa: DTZ001 - an instrument's header has no zone
    instrument="XL30",
    serial="116-0412",
    stage_x_mm=-12.5,
    stage_y_mm=3.25,
    stage_z_mm=9.5,
    stage_rotation_deg=7.5,
    beam_current_na=0.05,
    sample="sample 7",
)
SHOT = Shot(GREY, 40, ACQUISITION, "frame_0001.tif", 12, 500.0)


def shot(**changes: float) -> Shot:
    return replace(SHOT, acquisition=replace(ACQUISITION, **changes))  # type: ignore[arg-type]


def files(vendor: str, given: Shot = SHOT) -> dict[str, bytes]:
    maker = VENDORS[vendor]
    known = given.acquisition.instrument in {model for model, _ in maker.instruments}
    instrument = given.acquisition.instrument if known else maker.instruments[0][0]
    return dict(maker.files(replace(given, acquisition=replace(given.acquisition, instrument=instrument))))


def tag(data: bytes, code: int) -> bytes:
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        found = tiff.pages[0].tags[code]
        return data[found.valueoffset :][: found.count * {3: 2, 4: 4}.get(found.dtype, 1)]


def real_tag(path: Path, code: int) -> bytes:
    return tag(path.read_bytes(), code)


def blocks(value: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(value):
        size, kind = struct.unpack_from("<IH", value, at)
        found.append((kind, value[at + 6 : at + 4 + size]))
        at += 4 + size
    return found


def keys(text: str, separator: str = "=") -> set[str]:
    """The keys of ``key<separator>value`` lines."""
    return {line.partition(separator)[0] for line in text.splitlines() if separator in line}


def xml_names(text: str) -> set[str]:
    return set(re.findall(r"<(\w+)", text))


def only(paths: Iterable[Path]) -> Path:
    return min(paths)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((10_000.0, "10.000e3"), (27.5e-9, "27.500e-9"), (0.0, "0.0"), (100e-6, "100.00e-6")),
        *((55.664, "55.664"), (-3.0, "-3.0000"), (0.0041, "4.1000e-3")),
    ],
)
def test_tescan_4_writes_five_digits_and_exponents_in_threes(value: float, text: str) -> None:
    assert text == tescan.engineering(value)


@pytest.mark.parametrize(("value", "text"), [(1000.0, "1000.0"), (4.5e-9, "0.0000000045"), (-0.0135, "-0.0135")])
def test_essence_writes_plain_decimals(value: float, text: str) -> None:
    assert text == tescan.plain(value)


def test_tescan_chains_a_thumbnail_two_texts_and_an_empty_block() -> None:
    found = blocks(tag(files("tescan")[".tif"], 50431))
    thumbnail = Image.open(io.BytesIO(found[0][1][4:]))

    assert [kind for kind, _ in found] == [1, 2, 3, 0]
    assert (thumbnail.format, thumbnail.size, found[-1][1]) == ("JPEG2000", (64, 48), b"")
    assert all(text.endswith(b"\r\n\0") for _, text in found[1:3])


def test_tescan_counts_the_bar_in_the_height_and_tells_it() -> None:
    assert tescan.main_text(SHOT)["ImageStripSize"] == "8"


@pytest.mark.parametrize(
    ("essence", "time", "end"), [(False, "Time=15:06:09", b"\r\n"), (True, "Time=12:06:09", b"\n")]
)
def test_essence_tells_the_time_in_utc_and_the_older_programs_local_time(essence: bool, time: str, end: bytes) -> None:
    data = files("tescan-essence" if essence else "tescan")[".tif"]
    main = blocks(tag(data, 50431))[1][1]

    assert time.encode() in main.split(end)
    assert tag(data, 306) == (b"2026:04:08 15:06:09\0" if essence else b"2026:04:08 15:06:18\0")


def test_tescan_frames_are_16_bit() -> None:
    with tifffile.TiffFile(io.BytesIO(files("tescan")[".tif"])) as tiff:
        pixels = tiff.asarray()

    assert (pixels.dtype, pixels.max()) == (np.uint16, 65535)


@pytest.mark.parametrize(
    ("model", "suffix"), [("VEGA3 LMH", "-tif.hdr"), ("MIRA3 LMH", ".hdr"), ("SOLARIS", ".tif.hdr")]
)
def test_the_tescan_sidecar_has_one_of_three_names_and_both_sections(model: str, suffix: str) -> None:
    given = replace(SHOT, acquisition=replace(ACQUISITION, instrument=model))
    (_, frame), (name, text) = files("tescan-hdr", given).items()

    assert name == suffix
    assert re.findall(rb"^\[(\w+)\]\r$", text, re.MULTILINE) == [b"MAIN", b"SEM"]
    assert b"\r\nStageTilt=30.000\r\n" in text
    with tifffile.TiffFile(io.BytesIO(frame)) as tiff:
        assert 50431 not in tiff.pages[0].tags


def test_every_tescan_key_is_one_of_a_real_file(real_frames: Path) -> None:
    paths = [*real_frames.glob("Tescan/*.tif"), *real_frames.glob("Tescan/*.TIF")]
    real = [dict(blocks(real_tag(path, 50431))) for path in paths]
    main, sem = ({key for each in real for key in keys(each[kind].decode())} for kind in (2, 3))

    for essence in (False, True):
        assert tescan.main_text(SHOT, essence=essence).keys() - main == set()
        assert tescan.sem_text(SHOT, essence=essence).keys() - sem == set()


@pytest.mark.parametrize(
    ("vendor", "mark", "encoding"), [("hitachi", b"\xff\xfe", "utf-16-le"), ("hitachi-sjis", b"", "cp932")]
)
def test_the_hitachi_sidecar_is_in_the_encoding_of_its_generation(vendor: str, mark: bytes, encoding: str) -> None:
    data = files(vendor)[".txt"]
    lines = data.removeprefix(mark).decode(encoding).split("\r\n")

    assert data.startswith(mark)
    assert lines[0] == "[SemImageFile]"
    assert {"WorkingDistance=4100 um", "AcceleratingVoltage=5000 Volt", "StagePositionX=-12500000"} <= set(lines)
    assert {"Condition=Vacc=5.0kV Mag=x2.50k WD=4.1mm LensMode=3", "MicronMarker=500"} <= set(lines)


def test_the_name_in_the_hitachi_sidecar_is_not_the_file_s() -> None:
    assert "ImageName=試料_frame_0001.tif" in hitachi.sidecar_text(SHOT)


def test_hitachi_xp_tags_tell_no_tilt_and_no_date() -> None:
    data = files("hitachi-xp")
    comment = keys(tag(data[".tif"], 40092).decode("utf-16-le"))

    assert set(data) == {".tif"}
    assert {"Condition", "PixelSize", "SignalName"} <= comment
    assert not comment & {"Date", "Time", "StagePositionT"}


def test_every_hitachi_key_is_one_of_a_real_file(real_frames: Path) -> None:
    beside = only(real_frames.glob("Hitachi/*.txt")).read_bytes()
    comment = real_tag(only(real_frames.glob("Hitachi/*.tif")), 40092)

    assert beside.startswith(b"\xff\xfe")
    assert keys(hitachi.sidecar_text(SHOT)) - keys(beside.decode("utf-16")) == set()
    assert keys(hitachi.comment_text(SHOT)) - keys(comment.decode("utf-16-le")) == set()


def maker_note(data: bytes) -> bytes:
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        return bytes(tiff.pages[0].tags[34665].value["MakerNote"])


def test_the_jeol_maker_note_is_marked_utf_16_in_exif() -> None:
    note = maker_note(files("jeol")[".tif"])
    parts = note.removeprefix(b"UNICODE\0").decode("utf-16-le").split("\t")

    assert note.startswith(b"UNICODE\0")
    assert {"$CM_MAG=2500", "$SM_WD=4.10000", "$CM_ACCEL_VOLT=5", "$CM_PIXEL_SIZE=44.66nm/pixel", ""} <= set(parts)
    assert {"$CM_STAGE_POSITION=-12.5 3.25 9.5 7.5 30 0", "$SM_PNU_HEIGHT=8", "$SM_MICRON_BAR=12"} <= set(parts)
    assert "$CM_FIELD_OF_VIEW=2.85824 1.7864μm" in parts


def test_the_magnification_of_jeol_s_monitor_is_another() -> None:
    assert "$SM_MONITOR_MAGNIFICATION=4250" in jeol.maker_note(SHOT).split("\t")


@pytest.mark.parametrize(("length_nm", "text"), [(500.0, "500nm"), (2e3, "2um"), (1e6, "1mm")])
def test_jeol_labels_the_scale_bar_without_a_blank(length_nm: float, text: str) -> None:
    lines = jeol.sidecar_text(replace(SHOT, scale_bar_nm=length_nm)).split("\n")

    assert f"$$SM_MICRON_MARKER {text}" in lines
    assert "$$SM_MICRON_BAR 12" in lines


def test_the_older_jeol_text_ends_its_lines_with_lf_and_is_not_utf_8() -> None:
    text = files("jeol-bmp")[".txt"]

    assert b"\r" not in text
    assert b"\xb5m" in text
    assert b"\n$CM_STAGE_POS -12.5 3.25 9.5 7.5 30 0\n" in text


def test_the_older_jeol_frame_is_a_palette_tiff_or_a_bmp() -> None:
    tiff, bmp = (Image.open(io.BytesIO(next(iter(files(name).values())))) for name in ("jeol-txt", "jeol-bmp"))

    assert (tiff.mode, bmp.format) == ("P", "BMP")


def test_every_jeol_key_is_one_of_a_real_file(real_frames: Path) -> None:
    note = maker_note(only(real_frames.glob("JEOL/*A2h*.tif")).read_bytes())[8:].decode("utf-16-le")
    beside = only(real_frames.glob("JEOL/*image000.txt")).read_bytes().decode("cp1252")

    assert keys(jeol.maker_note(SHOT).replace("\t", "\n")) - keys(note.replace("\t", "\n")) == set()
    assert keys(jeol.sidecar_text(SHOT), " ") - keys(beside, " ") == set()


def test_the_xl30_half_field_is_not_the_magnification() -> None:
    lines = xl30.header(SHOT).split("\r\n")

    assert lines[0] == ""
    assert {"flMagn =     0.04700000000", "Magnification = 2500.000", "HighTension = 5000.000"} <= set(lines)
    assert {"flWD = 4.100", "lDetName = 2", "SpecimenTilt = 30000000"} <= set(lines)


def test_the_xl30_screen_gives_the_pixel_size() -> None:
    maker = VENDORS["xl30"]
    given = shot(pixel_size_nm=maker.reference_width_mm * 1e6 / 2500 / 64)
    lines = dict(line.split(" = ", 1) for line in xl30.header(given).split("\r\n") if " = " in line)
    pixel_mm = float(lines["SizeY"]) * float(lines["RatioXY"]) / float(lines["Magnification"]) / 64

    assert pixel_mm * 1e6 == pytest.approx(given.acquisition.pixel_size_nm, rel=1e-6)


def test_every_xl30_key_is_one_of_a_real_file(real_frames: Path) -> None:
    real = real_tag(only(real_frames.glob("FEI_XL/*.TIF")), 34680).decode("cp1252")

    assert keys(xl30.header(SHOT), " = ") - keys(real, " = ") == set()
    assert re.findall(r"^\[.*\]", xl30.header(SHOT), re.MULTILINE)[0] == "[DatabarData]"


def test_the_phenom_high_voltage_is_negative_and_numbers_name_their_unit() -> None:
    text = phenom.header(SHOT)

    assert '<highVoltage unit="kV">-5</highVoltage>' in text
    assert '<workingDistance unit="mm">4.1</workingDistance>' in text
    assert '<pixelWidth unit="nm">44.66</pixelWidth>' in text
    assert "<time>2026-04-08T15:06:09</time>" in text
    assert not re.search(r"tilt|magnification", text, re.IGNORECASE)


def test_every_phenom_element_is_one_of_a_real_file(real_frames: Path) -> None:
    real = real_tag(only(real_frames.glob("Phenom/*.tif")), 34683).decode()

    assert xml_names(phenom.header(SHOT)) - xml_names(real) == set()


def test_the_sec_sidecar_has_the_frame_s_whole_name_and_the_maker_s_spelling() -> None:
    data = files("sec")
    lines = data[".jpg.txt"].decode().split("\r\n")

    assert Image.open(io.BytesIO(data[".jpg"])).format == "JPEG"
    assert {"Acceleated Voltage :  5 kV", "Magnification : x2500 ", "Working Distance : 4.1mm"} <= set(lines)
    assert {"Date : 2026-04-08 오후 3:06:09", "File Name : D:\\DATA\\frame_0001.jpg"} <= set(lines)


@pytest.mark.parametrize(
    ("hour", "text"), [(0, "오전 12:06:09"), (11, "오전 11:06:09"), (12, "오후 12:06:09"), (23, "오후 11:06:09")]
)
def test_sec_counts_the_hours_to_twelve(hour: int, text: str) -> None:
    given = replace(SHOT, acquisition=replace(ACQUISITION, acquired_at=ACQUISITION.acquired_at.replace(hour=hour)))

    assert f"Date : 2026-04-08 {text}\r\n" in sec.sidecar_text(given)


def test_every_sec_key_is_one_of_a_real_file(real_frames: Path) -> None:
    real = only(real_frames.glob("data_bar_only/*.jpg.txt")).read_text(encoding="utf-8")

    assert keys(sec.sidecar_text(SHOT), " : ") - {key.rstrip(" :") for key in keys(real, ":")} == set()


def test_tifffile_reads_the_olympus_structure() -> None:
    with tifffile.TiffFile(io.BytesIO(files("olympus")[".tif"])) as tiff:
        found = tiff.sis_metadata

    assert found is not None
    assert found["pixelsizex"] == pytest.approx(44.66e-9)
    assert (found["magnification"], found["name"]) == (2500.0, "frame_0001")
    assert found["datetime"] == datetime(2026, 4, 8, 15, 6)  # noqa: DTZ001 - an instrument's header has no zone


def test_the_olympus_structure_is_laid_out_as_a_real_one(real_frames: Path) -> None:
    real = only(real_frames.glob("Olympus*/*.tif")).read_bytes()
    at = real.index(b"SIS0")
    general = struct.unpack_from("<hhI", real, at + 60)
    mine = olympus.structure(SHOT, 0)

    assert mine[4:10] == real[at + 4 : at + 10]
    assert mine[20:26] == real[at + 20 : at + 26]
    assert struct.unpack_from("<hh", mine, 60) == general[:2]
    assert struct.unpack_from("<h", mine, 76 + 10) == struct.unpack_from("<h", real, general[2] + 10) == (-9,)


def test_fibsemos_is_in_si_units_radians_and_unix_seconds() -> None:
    found = json.loads(programs.fibsemos_text(SHOT))
    state = found["microscope_state"]

    assert found["pixel_size"]["x"] == pytest.approx(44.66e-9)
    assert state["stage_position"]["t"] == pytest.approx(math.radians(30))
    assert state["electron_beam"]["working_distance"] == pytest.approx(0.0041)
    assert state["electron_beam"]["voltage"] == 5000
    assert datetime.fromtimestamp(state["timestamp"], UTC).isoformat() == "2026-04-08T15:06:09+00:00"


def test_tifffile_takes_the_ome_tiff_for_one() -> None:
    with tifffile.TiffFile(io.BytesIO(files("ometiff")[".ome.tif"])) as tiff:
        assert tiff.is_ome
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]

    assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeXUnit"]) == (44.66, "nm")


@pytest.mark.parametrize(
    ("pixel_size_nm", "unit", "per_unit"),
    [(0.5, "nm", 2.0), (44.66, "\\u00B5m", 22.391402), (0.0001, "nm", 10000.0)],
)
def test_imagej_writes_pixels_a_unit_as_a_fraction_that_fits(pixel_size_nm: float, unit: str, per_unit: float) -> None:
    written, (above, below) = programs.imagej_resolution(pixel_size_nm)

    assert (written, above / below) == (unit, pytest.approx(per_unit))
    assert above < 2**32


def test_an_imagej_export_tells_nothing_else() -> None:
    data = files("imagej")[".tif"]
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        assert tiff.byteorder == ">"
        assert tiff.imagej_metadata == {"ImageJ": "1.54f", "unit": "\\u00B5m"}


def test_xt_14_leaves_empty_what_a_magnification_would_follow_from() -> None:
    lines = thermofisher_xml.header(SHOT).split("\r\n")
    about_magnification = [line for line in lines if re.match(r"(Screen)?Mag(Canvas|nificationMode)", line)]

    assert len(about_magnification) == 4
    assert all(line.endswith("=") for line in about_magnification)
    assert {"DatabarHeight=", "Software=14.5.1.432"} <= set(lines)


def test_every_xt_14_element_is_one_of_a_real_file(real_frames: Path) -> None:
    real = real_tag(only(real_frames.glob("FEI_TFS/fibsem*.tif")), 34683).decode()

    assert xml_names(thermofisher_xml.xml(SHOT)) - xml_names(real) == set()
    assert thermofisher_xml.xml(SHOT).startswith('<?xml version="1.0"?>\r\n<Metadata ')
