"""Words of data bars to readings: every style of bar, and what a recogniser gets wrong."""

from __future__ import annotations

import pytest

from emwatch.readers.data_bar.scale import ScaleBar, TextLine
from emwatch.readers.data_bar.text import parse


def _row(*texts: str, top: float = 10, confidence: float = 0.97) -> list[TextLine]:
    """Set texts side by side, 100 px apart, 10 px a letter and 20 px tall."""
    lines, left = [], 0.0
    for text in texts:
        lines.append(TextLine(text, confidence, left, top, left + 10 * len(text), top + 20))
        left += max(100, 10 * len(text) + 30)
    return lines


def _values(lines: list[TextLine], scale: ScaleBar | None = None) -> dict[str, object]:
    return {name: reading.value for name, reading in parse(lines, scale)[0].items()}


def _scale(length_px: float, left: float = 0, top: float = 40, width: int = 1280) -> ScaleBar:
    return ScaleBar(left, top, left + length_px, top + 4, length_px, width)


def test_smartsem_bar() -> None:
    lines = _row("EHT = 10.00 KV", "WD = 18 mm", "Mag = 40.00 K X", "Signal A = InLens", "Stage at T = 40.0 °")
    lines += _row("Stage at Z = 33.676 mm", "Date :17 Jan 2025", "Aperture Size = 30.00 μm", top=40)

    expected = {
        "accelerating_voltage_kv": 10.0,
        "working_distance_mm": 18.0,
        "magnification": 40000.0,
        "detector": "InLens",
        "stage_tilt_deg": 40.0,
        "stage_z_mm": 33.676,
        "acquired_at": "2025-01-17",
    }

    assert _values(lines) == expected


def test_xt_bar_has_the_key_above_its_value() -> None:
    lines = _row("HV", "WD", "mag", "HFW", "tilt", "det", "curr")
    lines += _row("5.00 kV", "7.9 mm", "3 000 x", "69.1 μm", "52 °", "ETD", "53 pA", top=35)

    expected = {
        "accelerating_voltage_kv": 5.0,
        "working_distance_mm": 7.9,
        "magnification": 3000.0,
        "horizontal_field_width_um": 69.1,
        "stage_tilt_deg": 52.0,
        "detector": "ETD",
        "beam_current_na": 0.053,
    }

    assert _values(lines) == expected


def test_xl_bar_has_columns_that_run_together() -> None:
    lines = [
        TextLine("Acc.V Spot Magn", 0.98, 37, 36, 187, 61),
        TextLine("Det WD", 0.94, 183, 36, 283, 60),
        TextLine("15.0 kV 3.0 200x", 0.99, 39, 59, 183, 82),
        TextLine("SE. 5.9 GTU", 0.95, 200, 58, 326, 81),
    ]

    expected = {
        "accelerating_voltage_kv": 15.0,
        "working_distance_mm": 5.9,
        "magnification": 200.0,
        "detector": "SE",
    }

    assert _values(lines) == expected


def test_hitachi_bar_is_one_line() -> None:
    values = _values(_row("SU3500 15.0kV 9.1mm X3.50k BSE-COMP 3/31/2025 16:05"))

    expected = {
        "instrument": "SU3500",
        "accelerating_voltage_kv": 15.0,
        "working_distance_mm": 9.1,
        "magnification": 3500.0,
        "detector": "BSE-COMP",
        "acquired_at": "2025-03-31T16:05",
    }

    assert values == expected


def test_jeol_bar_has_bare_words() -> None:
    lines = _row("SEI", "15.0kV", "X10,000", "1μm", "WD 10.0mm")

    values = _values(lines, _scale(107, left=300))

    assert values["pixel_size_nm"] == pytest.approx(1000 / 107, rel=1e-5)
    assert (values["magnification"], values["detector"]) == (10000.0, "SEI")
    assert (values["working_distance_mm"], values["accelerating_voltage_kv"]) == (10.0, 15.0)


def test_tescan_bar() -> None:
    lines = _row("SEM HV: 20.0 kV", "WD: 10.92 mm", "SEM MAG: 10.0 kx", "Det: BSE", "View field: 21.1 μm")

    expected = {
        "accelerating_voltage_kv": 20.0,
        "working_distance_mm": 10.92,
        "magnification": 10000.0,
        "detector": "BSE",
        "horizontal_field_width_um": 21.1,
    }

    assert _values(lines) == expected


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("10.0kV 14.3mm x1200k SE(M)", "magnification"),  # "x1.00k" whose dot and nought the picture hid
        ("Mag = 1234567890 X", "magnification"),
        ("FOV:1280x960nm", "magnification"),
        ("EHT = l0.00 kV", "accelerating_voltage_kv"),
        ("EHT = 1O.00 kV", "accelerating_voltage_kv"),
        ("EHT = 20000 kV", "accelerating_voltage_kv"),
        ("EHT = 0.00 kV", "accelerating_voltage_kv"),
        ("Stage at T = 400", "stage_tilt_deg"),  # "40.0" or "40" and a degree sign
        ("Stage at Z = 33.676 mm", "working_distance_mm"),
        ("Tilt Angle = 36.0 °", "stage_tilt_deg"),  # the correction's angle, not the stage's
        ("Aperture Size = 30.00 um", "pixel_size_nm"),
        ("10/1/2010 8:44:19", "acquired_at"),
        ("31/31/2010", "acquired_at"),
        ("WD = 500 mm", "working_distance_mm"),
    ],
)
def test_what_needs_a_guess_is_left_out(text: str, field: str) -> None:
    assert _values(_row(text), _scale(100)).get(field) is None


def test_a_noughts_twin_after_the_decimal_point_is_no_guess() -> None:
    assert _values(_row("10.OkV COMPO")) == {"accelerating_voltage_kv": 10.0, "detector": "COMPO"}


def test_two_values_for_one_field_are_none() -> None:
    assert "accelerating_voltage_kv" not in _values(_row("5.0kV", "15.0kV"))


def test_text_read_without_confidence_is_not_used() -> None:
    assert _values(_row("EHT = 5.00 kV", confidence=0.79)) == {}


def test_a_reading_says_its_source_text_and_confidence() -> None:
    reading = parse(_row("EHT = 5.00 kV", confidence=0.934), None)[0]["accelerating_voltage_kv"]

    assert (reading.source, reading.raw, reading.reason) == ("data bar", "EHT = 5.00 kV", "read with confidence 0.93")


def test_the_label_is_the_round_length_nearest_to_the_scale_bar() -> None:
    lines = _row("100 um", "69.1 um", "20 um", top=10)

    assert _values(lines, _scale(50, left=190))["pixel_size_nm"] == 20000 / 50


def test_a_length_far_from_the_scale_bar_is_no_label() -> None:
    assert _values(_row("100 um"), _scale(50, left=900)) == {}


def test_a_label_that_contradicts_the_field_width_drops_both() -> None:
    lines = _row("10 um") + _row("HFW 200 um", top=80)

    readings, flags = parse(lines, _scale(100, width=1000))

    assert readings == {}
    assert len(flags) == 1
    assert "contradict" in flags[0]


@pytest.mark.parametrize("label", ["1 um", "100 um"])
def test_a_label_wrong_by_ten_drops_the_label_and_the_magnification(label: str) -> None:
    readings, flags = parse(_row(label, "Mag = 1270 X"), _scale(100, width=1000))

    assert readings == {}
    assert len(flags) == 1


def test_scale_bar_and_magnification_that_agree_stay() -> None:
    values = _values(_row("10 um", "Mag = 1270 X"), _scale(100, width=1000))

    assert values == {"magnification": 1270.0, "pixel_size_nm": 100.0}


def test_a_field_width_that_agrees_with_the_scale_bar_outvotes_the_magnification() -> None:
    lines = _row("10 um", "Mag = 12 X") + _row("HFW 100 um", top=80)

    values = _values(lines, _scale(100, width=1000))

    assert values == {"pixel_size_nm": 100.0, "horizontal_field_width_um": 100.0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8/3/2018 3:28:34 PM", "2018-08-03T15:28:34"),
        ("2019.12.03 19:33", "2019-12-03T19:33"),
        ("2022-06-22 14:22", "2022-06-22T14:22"),
        ("OCT 12 2023 11:57", "2023-10-12T11:57"),
        ("June 23 2022", "2022-06-23"),
        ("Date :8 Aug 2007", "2007-08-08"),
        ("9/16/2020 18:51:40", "2020-09-16T18:51:40"),
    ],
)
def test_dates_keep_only_what_the_bar_says(text: str, expected: str) -> None:
    assert _values(_row(text)) == {"acquired_at": expected}


def test_text_of_a_megabyte_is_ignored() -> None:
    assert _values([TextLine("9 " * 500_000, 1.0, 0, 0, 100, 20)]) == {}


def test_a_length_that_no_instrument_has_is_left_out() -> None:
    lines = _row("EHT = 10.00 KV", "Width = 0.00 um", "Image Pixel Size = 0.0 nm", "Stage at Z = 99999 mm")

    assert _values(lines) == {"accelerating_voltage_kv": 10.0}
