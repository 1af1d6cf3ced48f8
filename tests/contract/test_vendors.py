"""What the pretend microscope writes in any maker's format, emwatch reads back as it was."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from emwatch.readers.frame_reader import read_frame
from emwatch.simulate.microscope import Microscope, Truth, WriteMode
from emwatch.simulate.vendors import VENDORS
from emwatch.simulate.vendors.vendor import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emwatch.frame import AcquisitionMetadata

#: Formats that no reader recognises yet. A format leaves this list with its reader: one that is read must not stand here.
EXPECTED_MISSING: Final = frozenset[str]()

#: Formats whose files tell no pixel size but the length of a scale bar in whole pixels: half a pixel is their precision.
PIXEL_SIZE_FROM_THE_SCALE_BAR: Final = frozenset({"jeol-txt", "jeol-bmp"})

#: Formats that tell the time without the seconds.
TIME_TO_THE_MINUTE: Final = frozenset({"olympus"})

#: Formats that tell the height of a data bar below the picture, in a key or by two heights that differ.
TELLS_ITS_DATA_BAR: Final = frozenset(
    {"thermofisher", "thermofisher-xml", "tescan", "tescan-essence", "tescan-hdr"}
    | {"jeol", "jeol-txt", "jeol-bmp", "phenom"}
)

#: Formats with a page for each detector signal.
ONE_PAGE_A_SIGNAL: Final = frozenset({"point-electronic"})

FRAMES: Final = 3
#: A day that is also a month and an afternoon, so that a swapped date and a lost PM show.
SESSION_START: Final = datetime(2024, 4, 8, 15, 6, 9)  # noqa: DTZ001 - an instrument's header has no zone
SIZE: Final = {"width": 512, "height": 384}
READ: Final = tuple(name for name in VENDORS if name not in EXPECTED_MISSING and VENDORS[name].tells)


@pytest.fixture(name="written", scope="module")
def _written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[Truth, AcquisitionMetadata]]]:
    """Some frames of every vendor with what was read from them; each vendor draws scenes and settings of its own."""
    folder = tmp_path_factory.mktemp("vendors")
    return {
        vendor: list(_taken_and_read(folder / vendor, vendor, seed)) for seed, vendor in enumerate(VENDORS, start=50)
    }


def _taken_and_read(out: Path, vendor: str, seed: int) -> Iterator[tuple[Truth, AcquisitionMetadata]]:
    microscope = Microscope(
        out, FRAMES, mode=WriteMode.BURST, vendor=vendor, seed=seed, session_start=SESSION_START, **SIZE
    )
    for truth in microscope.run():
        path = out / truth.path.rpartition("/")[2]
        # With the picture decoded, as in the daemon: its scale bar is held against the header.
        yield truth, read_frame(path, lambda _pixels, _rows: np.zeros((1, 170, 170), np.float32)).metadata


def _agrees(truth: Truth, field: str, value: object) -> bool:
    """Return whether a reading is the truth: numbers within 0.5 % or a rounded header's last digit, texts as they are."""
    expected = getattr(truth, field)
    if field == "acquired_at":
        return isinstance(value, str) and _same_moment(truth, value)
    if field == "detector" or not isinstance(value, float):
        return value == expected
    tolerance = max(0.005 * abs(expected), 0.051 if field == "stage_tilt_deg" else 0.0)
    if field == "pixel_size_nm" and truth.vendor in PIXEL_SIZE_FROM_THE_SCALE_BAR:
        tolerance += expected * 0.51 / truth.scale_bar_px
    return abs(value - expected) <= tolerance


def _same_moment(truth: Truth, text: str) -> bool:
    read, expected = datetime.fromisoformat(text), datetime.fromisoformat(truth.acquired_at)
    offset = read.utcoffset()
    if offset is not None:
        ahead = timedelta(hours=VENDORS[truth.vendor].clock_ahead_of_utc_h)
        read = read.replace(tzinfo=None) - offset + ahead
    if truth.vendor in TIME_TO_THE_MINUTE:
        expected = expected.replace(second=0)
    return read == expected


Written = dict[str, list[tuple["Truth", "AcquisitionMetadata"]]]


def test_exactly_the_vendors_listed_as_missing_have_no_reader(written: Written) -> None:
    unread = {
        vendor
        for vendor, frames in written.items()
        if VENDORS[vendor].tells and any(metadata.vendor is None for _, metadata in frames)
    }

    assert unread == EXPECTED_MISSING


@pytest.mark.parametrize("field", EVERYTHING)
@pytest.mark.parametrize("vendor", READ)
def test_what_the_files_tell_is_read_back(written: Written, vendor: str, field: str) -> None:
    """And what they do not tell is either unknown or, where it was worked out, right."""
    wrong = [
        f"{truth.path}: {metadata.readings.get(field)}, true: {getattr(truth, field)}"
        for truth, metadata in written[vendor]
        if not _agrees(truth, field, metadata.value(field))
        and (field in truth.told or metadata.value(field) is not None)
    ]

    assert wrong == []


@pytest.mark.parametrize("vendor", READ)
def test_the_data_bar_is_as_high_as_the_files_tell(written: Written, vendor: str) -> None:
    read = [metadata.value("data_bar_height_px") for _, metadata in written[vendor]]
    true = [truth.data_bar_rows[1] - truth.data_bar_rows[0] for truth, _ in written[vendor]]

    assert read == (true if vendor in TELLS_ITS_DATA_BAR else [None] * FRAMES)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_sound_frame_raises_no_doubt(written: Written, vendor: str) -> None:
    expected = ("2 pages of the same size: only the first is read",) if vendor in ONE_PAGE_A_SIGNAL else ()

    assert [metadata.flags for _, metadata in written[vendor]] == [expected] * FRAMES


@pytest.mark.parametrize("vendor", VENDORS)
def test_no_frame_is_taken_for_another_maker_s(written: Written, vendor: str) -> None:
    """Variants of a maker's format are named after it: ``tescan``, ``tescan-hdr``, ... are one maker's."""
    names = {metadata.vendor for _, metadata in written[vendor]}
    makers = {
        other.partition("-")[0]
        for other, frames in written.items()
        if {metadata.vendor for _, metadata in frames} & names
    }

    assert len(names) == 1
    assert makers == {vendor.partition("-")[0]} or names == {None}
