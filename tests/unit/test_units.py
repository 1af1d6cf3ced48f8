"""Vendor text to numbers: every form seen on an instrument, and every form that must be refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emwatch import units


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("   2.50 K X", 2500.0),
        ("    105 X", 105.0),
        ("1.20 M X", 1_200_000.0),
        ("x1.2k", 1200.0),
        ("X500 ", 500.0),
        ("10000", 10000.0),
        ("10.000e3", 10000.0),
        ("2,50 K X", 2500.0),
        ("50.00 K X\x00\x00", 50000.0),
    ],
)
def test_magnification_is_read_in_every_form(text: str, expected: float) -> None:
    actual = units.magnification(text)

    assert expected == actual


@pytest.mark.parametrize("text", ["", "K X", "0 X", "-5 X", "12 mm", "1e999 X", "nan", "inf X", "10,000 X", "5 5 X"])
def test_what_is_no_magnification_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        units.magnification(text)


@pytest.mark.parametrize(
    ("text", "to", "bare", "expected"),
    [
        ("  4.1 mm", "mm", None, 4.1),
        ("4,1 mm", "mm", None, 4.1),
        ("186.1 nm", "nm", None, 186.1),
        ("980.0 pm", "nm", None, 0.98),
        ("413.5 fm", "nm", None, 0.0004135),
        ("7.520 \u00b5m", "um", None, 7.52),
        ("7.520 \u03bcm", "um", None, 7.52),
        ("7.520 um", "nm", None, 7520.0),
        ("0.0165", "mm", "m", 16.5),
        ("1.34896e-009", "nm", "m", 1.34896),
        ("-0.0290365", "mm", "m", -29.0365),
        (".5 mm", "um", None, 500.0),
    ],
)
def test_length_is_read_in_every_form(text: str, to: str, bare: str | None, expected: float) -> None:
    actual = units.length(text, to=to, bare=bare)

    assert expected == actual


def test_micro_is_read_from_cp1252_bytes() -> None:
    text = b"42.87 \xb5m".decode("cp1252")

    assert units.length(text, to="um") == 42.87


@pytest.mark.parametrize("text", ["4.1", "mm", "4.1 furlong", "4.1 kV", "4.1mmm", "4.1 m m", "--4 mm", "1e-9999 m"])
def test_length_without_a_known_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        units.length(text, to="mm")


def test_volts_and_kilovolts_become_kilovolts() -> None:
    assert [units.voltage_kv("1.80 kV"), units.voltage_kv("1.80 KV"), units.voltage_kv("2000", bare="V")] == [
        1.8,
        1.8,
        2.0,
    ]


def test_picoamperes_and_amperes_become_nanoamperes() -> None:
    assert [units.current_na("690 pA"), units.current_na("200.0 nA"), units.current_na("5e-011", bare="A")] == [
        0.69,
        200.0,
        0.05,
    ]


def test_seconds_and_nanoseconds_become_microseconds() -> None:
    assert [units.time_us("100 ns"), units.time_us("1e-006", bare="s"), units.time_us("10.8 Secs")] == [
        0.1,
        1.0,
        10_800_000.0,
    ]


def test_degrees_stay_and_radians_become_degrees() -> None:
    actual = [
        units.angle_deg(" 52.6 \u00b0"),
        units.angle_deg("0.523599", bare="rad"),
        units.angle_deg("3.5", bare="deg"),
    ]

    assert [52.6, pytest.approx(30.0, rel=1e-5), 3.5] == actual


def test_an_angle_without_a_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown unit"):
        units.angle_deg("0.52")


def test_minus_zero_is_zero() -> None:
    assert math.copysign(1.0, units.angle_deg("-0.0 \u00b0")) == 1.0


@pytest.mark.parametrize("text", ["1,234", "12,500 nm", "-999,000"])
def test_a_comma_that_may_mean_thousands_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="thousands"):
        units.split_quantity(text)


def test_a_leading_zero_makes_the_comma_decimal() -> None:
    assert units.number("0,127") == 0.127


def test_a_megabyte_of_digits_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="1000000 characters"):
        units.number("9" * 1_000_000)


@pytest.mark.parametrize(("text", "expected"), [("On", True), (" yes ", True), ("Off", False), ("no", False)])
def test_flags_are_read(text: str, expected: bool) -> None:
    assert units.flag(text) is expected


def test_what_is_no_flag_is_refused() -> None:
    with pytest.raises(ValueError, match="neither on nor off"):
        units.flag("maybe")


@given(st.text(max_size=100))
def test_any_text_is_a_finite_number_or_a_value_error(text: str) -> None:
    for read in (
        units.magnification,
        units.number,
        lambda t: units.length(t, to="mm"),
        lambda t: units.angle_deg(t, bare="rad"),
    ):
        try:
            value = read(text)
        except ValueError:
            continue

        assert math.isfinite(value)
