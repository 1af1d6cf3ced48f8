"""SEC's sidecar: one golden reading of every field, and each known trap by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emwatch.frame import Reading
from emwatch.readers.raw_frame import RawFrame
from emwatch.readers.vendors.sec import READER
from tests.beside import texts_beside

_GOLDEN = {
    "magnification": 500.0,
    "working_distance_mm": 5.0,
    "accelerating_voltage_kv": 20.0,
    "detector": "SED",
    "scan_rotation_deg": 12.5,
    "instrument": "SNE-4500M Plus",
    "acquired_at": "2019-12-03T19:34:06",
}


def _frame(text: bytes, name: str = "frame.jpg.txt") -> RawFrame:
    return RawFrame(Path("/nowhere/frame.jpg"), b"", "JPEG", 32, 24, sidecar=texts_beside({name: text}))


def _values(text: bytes) -> Any:
    assert READER.recognises(_frame(text))
    return {name: reading.value for name, reading in READER.read(_frame(text)).readings.items()}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_every_field_is_read_in_every_encoding(build: Any, encoding: str) -> None:
    assert _values(build.sec_text.encode(encoding)) == _GOLDEN


def test_every_reading_keeps_its_raw_text_and_source(build: Any) -> None:
    reading = READER.read(_frame(build.sec_text.encode())).readings["accelerating_voltage_kv"]

    assert reading == Reading(20.0, "20 kV", "sidecar Image Info.Acceleated Voltage")


def test_the_name_is_appended_and_never_replaces_the_suffix(build: Any) -> None:
    assert not READER.recognises(_frame(build.sec_text.encode(), "frame.txt"))


def test_the_correct_spelling_of_a_later_version_is_read_too(build: Any) -> None:
    assert _values(build.sec_text.replace("Acceleated", "Accelerated").encode()) == _GOLDEN


def test_a_default_distance_of_zero_is_not_the_frames(build: Any) -> None:
    text = build.sec_text.replace("\nWorking Distance : 5mm", "")

    assert "working_distance_mm" not in _values(text.encode())


def test_a_distance_of_zero_was_not_set(build: Any) -> None:
    assert _values(build.sec_text.replace(": 5mm", ": 0mm").encode())["working_distance_mm"] is None


def test_the_raw_rotation_of_the_configuration_is_not_taken(build: Any) -> None:
    text = build.sec_text.replace("Scan Rotaion : 12.5\u00b0\n", "")

    assert "scan_rotation_deg" not in _values(text.encode())


def test_the_setting_called_pixel_size_is_none_and_there_is_no_tilt(build: Any) -> None:
    assert {"pixel_size_nm", "stage_tilt_deg", "beam_current_na"} & _values(build.sec_text.encode()).keys() == set()


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("\uc624\ud6c4 7:34:06", "2019-12-03T19:34:06"),
        ("\uc624\uc804 7:34:06", "2019-12-03T07:34:06"),
        ("\uc624\uc804 12:34:06", "2019-12-03T00:34:06"),
        ("19:34:06", "2019-12-03T19:34:06"),
        ("\u5348\u5f8c 7:34:06", None),
    ],
)
def test_without_a_time_of_its_own_the_korean_half_day_is_read(build: Any, stamp: str, expected: str | None) -> None:
    text = build.sec_text.replace("Time : 19:34:06.0269059\n", "").replace("\uc624\ud6c4 7:34:06", stamp)

    assert _values(text.encode())["acquired_at"] == expected


@pytest.mark.parametrize("text", [b"", b"lunch : 12", b"$CM_MAG 5\r\n"])
def test_another_text_is_not_taken(text: bytes) -> None:
    assert not READER.recognises(_frame(text))


@pytest.mark.parametrize("value", ["x" * 100_000, "1" * 100_000, "nan", "", "--", "20 mm", "20"])
def test_a_malformed_field_is_unknown_and_costs_no_other(build: Any, value: str) -> None:
    text = build.sec_text.replace(" 20 kV", value)

    assert _values(text.encode()) == _GOLDEN | {"accelerating_voltage_kv": None}
