"""Real frames of nine vendors: every value of the truth table, and every pixel."""

from __future__ import annotations

import csv
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from emwatch import errors
from emwatch.frame import FIELDS, AcquisitionMetadata, FieldKind
from emwatch.readers import image
from emwatch.readers.frame_reader import read_frame
from emwatch.readers.sandbox.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path

_NUMBERS = {
    "magnification": "magnification",
    "stage_tilt_deg": "tilt_deg",
    "working_distance_mm": "wd_mm",
    "accelerating_voltage_kv": "kV",
    "pixel_size_nm": "pixel_size_nm",
}
_STAMPS = (
    "%d %b %Y %H:%M:%S",
    "%m/%d/%Y %I:%M:%S %p",
    "%Y-%m-%d %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%Y:%m:%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
)
_VENDORS = {
    "Zeiss/LEO": "Zeiss",
    "FEI/TFS": "Thermo Fisher",
    "FEI XL": "Philips/FEI XL",
    "Olympus SIS analySIS (tag 33560)": "Olympus SIS",
}


@pytest.fixture(name="truth", scope="module")
def _truth(real_frames: Path) -> Any:
    with (real_frames / "truth.tsv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    assert len(rows) >= 48
    return {row["file"]: row for row in rows}


@pytest.fixture(name="readings", scope="module")
def _readings(real_frames: Path, truth: dict[str, dict[str, str]]) -> Any:
    return {file: read_frame(real_frames / file, None).metadata for file in truth}


def _iso(stamp: str) -> str:
    if not stamp:
        return ""
    for form in _STAMPS:
        try:
            return datetime.strptime(stamp, form).isoformat()  # noqa: DTZ007 - the instrument's zone is not known.
        except ValueError:
            continue
    raise AssertionError(f"{stamp!r} is of no known form")


def test_every_frame_is_known_by_its_vendor(
    truth: dict[str, dict[str, str]], readings: dict[str, AcquisitionMetadata]
) -> None:
    expected = {file: _VENDORS.get(row["vendor"], row["vendor"]) for file, row in truth.items()}

    assert expected == {file: found.vendor for file, found in readings.items()}


def test_every_number_of_the_truth_table_is_read_within_half_a_percent(
    truth: dict[str, dict[str, str]], readings: dict[str, AcquisitionMetadata]
) -> None:
    expected = {
        (file, name): pytest.approx(float(row[column]), rel=0.005, abs=1e-9)
        for file, row in truth.items()
        for name, column in _NUMBERS.items()
        if row[column]
    }
    actual = {(file, name): readings[file].number(name) for file, name in expected}

    assert expected == actual


def test_what_the_truth_table_leaves_open_is_not_guessed(
    truth: dict[str, dict[str, str]], readings: dict[str, AcquisitionMetadata]
) -> None:
    guessed = {
        (file, name): readings[file].value(name)
        for file, row in truth.items()
        for name, column in _NUMBERS.items()
        if not row[column] and readings[file].value(name) is not None
    }

    assert guessed == {}


def test_every_detector_and_date_of_the_truth_table_is_read(
    truth: dict[str, dict[str, str]], readings: dict[str, AcquisitionMetadata]
) -> None:
    # The XL's truth is the number of a detector, which is not a name; a UTC offset is not part of the table.
    expected = {
        file: (row["detector"] if not row["detector"].startswith("lDetName") else "", _iso(row["timestamp"]))
        for file, row in truth.items()
    }
    actual = {
        file: (found.text("detector") or "", (found.text("acquired_at") or "").removesuffix("+00:00"))
        for file, found in readings.items()
    }

    assert expected == actual


def test_thermo_fisher_magnification_is_marked_computed_and_zeiss_is_not(
    truth: dict[str, dict[str, str]], readings: dict[str, AcquisitionMetadata]
) -> None:
    marks = {
        (found.vendor, found.readings["magnification"].computed)
        for file, found in readings.items()
        if "magnification" in found.readings and truth[file]["vendor"] in {"Zeiss/LEO", "FEI/TFS"}
    }

    assert marks == {("Zeiss", False), ("Thermo Fisher", True)}


def test_every_bar_height_is_that_of_the_truth_table(
    truth: dict[str, dict[str, str]], readings: dict[str, AcquisitionMetadata]
) -> None:
    expected = {
        file: float(row["notes"].partition(key)[2].split()[0])
        for file, row in truth.items()
        for key in ("barpx=", "ImageStripSize=", "pnu=")
        if key in row["notes"] and not row["notes"].endswith("pnu=None")
    }
    actual = {file: readings[file].number("data_bar_height_px") for file in expected}

    assert expected == actual


def test_the_pixel_size_times_the_width_is_the_field_width(
    real_frames: Path, truth: dict[str, dict[str, str]], readings: dict[str, AcquisitionMetadata]
) -> None:
    for file, found in readings.items():
        width = read_frame(real_frames / file, None).width
        field_um, pixel_nm = found.number("horizontal_field_width_um"), found.number("pixel_size_nm")
        if pixel_nm is None:
            assert truth[file]["vendor"] == "ImageJ export"
            continue

        assert field_um == pytest.approx(pixel_nm * width / 1000, rel=0.005), file


def test_every_reading_has_a_known_field_a_source_and_the_type_of_the_field(
    readings: dict[str, AcquisitionMetadata],
) -> None:
    types = {FieldKind.NUMBER: float, FieldKind.TEXT: str, FieldKind.FLAG: bool, FieldKind.TIME: str}
    for found in readings.values():
        for name, reading in found.readings.items():
            assert reading.source
            assert reading.reason if reading.value is None else isinstance(reading.value, types[FIELDS[name].kind])


def test_only_the_tilt_corrected_real_frame_is_flagged(readings: dict[str, AcquisitionMetadata]) -> None:
    flags = {file.rpartition("/")[2]: found.flags for file, found in readings.items() if found.flags}

    assert flags == {
        "experiment-analysis__WF102_cav06.tif": (
            "tilt-corrected by 36\u00b0: the picture is stretched across the tilt axis",
        )
    }


def test_a_jpeg_with_its_text_beside_it_is_read(real_frames: Path) -> None:
    (path,) = (real_frames / "data_bar_only").glob("*.jpg.txt")
    found = read_frame(path.with_name(path.stem), None).metadata

    assert (found.vendor, found.number("magnification"), found.number("accelerating_voltage_kv")) == ("SEC", 500, 20)


def test_no_number_is_read_from_the_frames_that_hold_none(real_frames: Path) -> None:
    guessed = {
        path.name: reading
        for path in (real_frames / "data_bar_only").iterdir()
        if path.suffix not in {".txt", ".tsv"} and not path.with_name(f"{path.name}.txt").exists()
        for reading in read_frame(path, None).metadata.readings.values()
        if isinstance(reading.value, float)
    }

    assert guessed == {}


def test_every_frame_of_every_vendor_is_decoded_and_every_text_is_refused(real_frames: Path) -> None:
    def prepare(pixels: Any, _bar: Any) -> Any:
        assert pixels.ndim == 2 or pixels.shape[2] == 3
        return np.full((1, 170, 170), pixels.mean(), np.float32)

    refused = set()
    for path in sorted(path for path in real_frames.rglob("*") if path.is_file()):
        try:
            reading = read_frame(path, prepare)
        except errors.NotAFrame:
            refused.add(path.suffix)
        else:
            assert reading.views.shape == (1, 170, 170)

    assert refused == {".txt", ".tsv"}


def test_every_uncompressed_tiff_has_the_pixels_that_tifffile_finds(real_frames: Path) -> None:
    compared = 0
    for path in sorted(path for path in real_frames.rglob("*") if path.suffix.lower() in {".tif", ".tiff"}):
        data = path.read_bytes()
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            if page.compression != 1 or page.photometric == 3:
                continue
            expected = page.asarray(maxworkers=1)
        compared += 1

        np.testing.assert_array_equal(
            expected, image.decode(path.name, data, image.read_header(path.name, data, Limits()))
        )

    assert compared >= 20
