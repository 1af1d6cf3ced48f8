"""Reading a bar with a recogniser, and merging it with what the file says."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from emwatch.errors import ConfigError
from emwatch.frame import AcquisitionMetadata, Reading
from emwatch.readers.data_bar.bar import merge, read_bar
from emwatch.readers.data_bar.ocr import RapidRecogniser, is_installed
from emwatch.readers.data_bar.scale import TextLine
from emwatch.simulate.data_bar import with_data_bar
from tests.acquisitions import acquisition

if TYPE_CHECKING:
    from collections.abc import Callable

_ACQUISITION = acquisition()


class Reader:
    """Reads one line of text per look, and keeps the shapes of what it was shown."""

    def __init__(self, *texts: str, at: tuple[float, float] = (20, 20)) -> None:
        self._texts, self._at = list(texts), at
        self.shown: list[tuple[int, ...]] = []

    def read(self, picture: np.ndarray) -> list[TextLine]:
        """Return the next text."""
        self.shown.append(picture.shape)
        text = self._texts.pop(0) if self._texts else ""
        left, top = self._at
        return [TextLine(text, 0.95, left, top, left + 10 * len(text), top + 18)] if text else []


def _frame(*, block: bool = True, rows: int = 60) -> np.ndarray:
    frame = np.random.default_rng(1).integers(60, 200, (768, 1024), dtype=np.uint8)
    frame[-rows:] = 0
    frame[-30:-12, 300:700:5] = 255
    if block:
        frame[714:724, 20:127] = 255
    return frame


def _stored(**values: float | str | None) -> AcquisitionMetadata:
    return AcquisitionMetadata(
        "Zeiss", {name: Reading(value, str(value), "tag 34118") for name, value in values.items()}, ("a flag",)
    )


def _bar(**values: float | str | None) -> AcquisitionMetadata:
    return AcquisitionMetadata(None, {name: Reading(value, str(value), "data bar") for name, value in values.items()})


def test_only_the_strip_is_shown_to_the_recogniser() -> None:
    reader = Reader("1um X10,000", "")

    read_bar(_frame(), reader)

    assert reader.shown == [(60 + 32, 1024 + 32, 3)]


def test_without_a_bar_nothing_is_read() -> None:
    reader = Reader("5.0kV")

    assert read_bar(np.full((768, 1024), 9, np.uint8), reader) == AcquisitionMetadata()
    assert reader.shown == []


def test_the_pixel_size_is_the_label_over_the_scale_bar() -> None:
    reading = read_bar(_frame(), Reader("1um")).readings["pixel_size_nm"]

    assert reading.value == pytest.approx(1000 / 107, rel=1e-5)
    assert reading.computed
    assert "107 px" in reading.reason


def test_a_label_that_was_missed_is_looked_for_closer() -> None:
    reader = Reader("X10,000", "1um", at=(40, 20))

    assert read_bar(_frame(), reader).number("pixel_size_nm") == pytest.approx(1000 / 107, rel=1e-5)
    assert len(reader.shown) == 2


def test_the_strips_height_is_a_reading() -> None:
    assert read_bar(_frame(rows=70), Reader()).number("data_bar_height_px") == 70.0


def test_a_bar_fills_what_the_file_does_not_say() -> None:
    stored, bar = _stored(stage_tilt_deg=2.0, detector=None), _bar(magnification=5000.0, detector="SE2")

    merged = merge(stored, bar)

    assert merged.vendor == "Zeiss"
    assert merged.readings["magnification"].source == "data bar"
    assert (merged.text("detector"), merged.number("stage_tilt_deg")) == ("SE2", 2.0)
    assert merged.flags == ("a flag",)


def test_a_stored_value_stays_and_the_contradiction_is_flagged() -> None:
    merged = merge(_stored(magnification=333.0), _bar(magnification=500.0))

    assert merged.number("magnification") == 333.0
    assert merged.flags == ("a flag", "magnification: 333 in the tag 34118, 500 in the data bar")


@pytest.mark.parametrize(
    ("name", "stored", "bar"),
    [
        ("magnification", 49996.0, 50000.0),
        ("working_distance_mm", 4.88911, 4.9),
        ("stage_tilt_deg", -8.9e-05, 0.0),
        ("pixel_size_nm", 9.35, 9.6),
        ("detector", "In-Lens", "InLens"),
        ("acquired_at", "2024-05-06T07:08:09", "2024-05-06"),
    ],
)
def test_what_a_bar_rounds_is_no_contradiction(name: str, stored: float | str, bar: float | str) -> None:
    assert merge(_stored(**{name: stored}), _bar(**{name: bar})).flags == ("a flag",)


@pytest.mark.parametrize(
    ("name", "stored", "bar"),
    [
        ("working_distance_mm", 4.9, 5.1),
        ("stage_tilt_deg", 52.0, 0.0),
        ("accelerating_voltage_kv", 5.0, 15.0),
        ("detector", "SE2", "InLens"),
        ("acquired_at", "2024-05-06T07:08:09", "2024-06-05"),
    ],
)
def test_what_differs_beyond_rounding_is_flagged(name: str, stored: float | str, bar: float | str) -> None:
    merged = merge(_stored(**{name: stored}), _bar(**{name: bar}))

    assert merged.value(name) == stored
    assert len(merged.flags) == 2


def test_a_value_the_bar_could_not_give_changes_nothing() -> None:
    stored = _stored(acquired_at="2024-05-06T07:08:09")

    assert merge(stored, _bar(acquired_at=None)) == stored


def test_merging_twice_is_merging_once() -> None:
    stored, bar = _stored(magnification=333.0), _bar(magnification=500.0, detector="SE2")

    assert merge(merge(stored, bar), bar) == merge(stored, bar)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)

    assert not is_installed()
    with pytest.raises(ConfigError, match=r"pip install 'emwatch\[ocr\]'"):
        RapidRecogniser()


@pytest.fixture(name="recogniser", scope="module")
def _recogniser() -> RapidRecogniser:
    if importlib.util.find_spec("rapidocr") is None:
        pytest.skip("needs the ocr extra")
    return RapidRecogniser()


@pytest.fixture(name="drawn")
def _drawn() -> Callable[[str], np.ndarray]:
    def draw(style: str) -> np.ndarray:
        rng = np.random.default_rng(3)
        picture = rng.integers(70, 180, (960, 1280)).astype(np.uint8)
        return with_data_bar(picture, style, _ACQUISITION, rng).pixels

    return draw


@pytest.mark.slow
@pytest.mark.parametrize("style", ["strip-inside-white", "strip-inside-black", "below-black", "below-white"])
def test_drawn_bars_are_read_and_nothing_is_wrong(
    style: str, drawn: Callable[[str], np.ndarray], recogniser: RapidRecogniser
) -> None:
    metadata = read_bar(drawn(style), recogniser)

    truth = {
        "magnification": 5000.0,
        "accelerating_voltage_kv": 5.0,
        "working_distance_mm": 4.5,
        "stage_tilt_deg": 30.0,
    }
    read = {name: metadata.number(name) for name in truth if metadata.number(name) is not None}

    assert read == {name: value for name, value in truth.items() if name in read}
    assert len(read) >= 3
    assert metadata.number("pixel_size_nm") == pytest.approx(24.8, rel=0.02)
