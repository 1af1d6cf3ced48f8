"""Tables on a terminal: what gives way where it is narrow, and what never does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emwatch.cli.terminal import display
from emwatch.cli.terminal.display import Column, fitting_widths, print_table

if TYPE_CHECKING:
    import pytest

COLUMNS = (
    Column("Category", whole=True),
    Column("Prob.", align="right"),
    Column("Median magnification", align="right", spare=1),
    Column("Tilt", align="right", spare=2),
    Column("File"),
)
ROWS = (
    ("Biological ?", "0.37", "250,000", "52.0", "zeiss_tiff_of_a_long_session_0001.tif"),
    ("Tips", "0.97", "", "", "a"),
)


def test_with_room_for_all_every_column_is_as_wide_as_it_wants_to_be() -> None:
    assert fitting_widths(COLUMNS, ROWS, 200) == {0: 12, 1: 5, 2: 20, 3: 4, 4: 37}


def test_names_and_titles_give_way_before_a_column_is_left_out() -> None:
    assert fitting_widths(COLUMNS, ROWS, 60) == {0: 12, 1: 5, 2: 13, 3: 4, 4: 14}
    assert fitting_widths(COLUMNS, ROWS, 58) == {0: 12, 1: 5, 2: 13, 3: 4, 4: 12}


def test_spare_columns_go_the_highest_first_and_the_others_stay_whatever_the_room() -> None:
    assert list(fitting_widths(COLUMNS, ROWS, 55)) == [0, 1, 2, 4]
    assert list(fitting_widths(COLUMNS, ROWS, 40)) == [0, 1, 4]
    assert list(fitting_widths(COLUMNS, ROWS, 10)) == [0, 1, 4]
    assert list(fitting_widths((Column("Note", spare=1), Column("File")), [("a long note", "a name")], 12)) == [1]


def test_on_a_narrow_terminal_no_number_is_broken_and_what_is_left_out_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(display, "is_terminal", lambda _stream: True)
    monkeypatch.setenv("COLUMNS", "55")
    monkeypatch.setenv("NO_COLOR", "1")
    print_table(COLUMNS, ROWS)
    drawn, told = capsys.readouterr()

    first = next(line for line in drawn.splitlines() if line.startswith("Biological"))
    assert first.split()[:4] == ["Biological", "?", "0.37", "250,000"]
    assert first.split()[4].startswith("zeiss")
    assert max(map(len, drawn.splitlines())) <= 55
    assert told == "no room for: Tilt\n"


def test_a_name_is_shortened_in_its_middle_and_stays_on_its_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(display, "is_terminal", lambda _stream: True)
    monkeypatch.setenv("COLUMNS", "40")
    print_table((Column("No.", align="right"), Column("File", shorten=True)), [("17", f"first_{'x' * 60}_0001.tif")])
    lines = capsys.readouterr().out.splitlines()

    assert len(lines) == 3
    assert lines[2].split()[1].startswith("first_")
    assert "…" in lines[2]
    assert lines[2].endswith("_0001.tif")
