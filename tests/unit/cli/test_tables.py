"""Tables on a terminal: what gives way where it is narrow, and what never does."""

from __future__ import annotations

import importlib
import pkgutil
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from PIL import Image

import emwatch.cli
from emwatch.cli.terminal import display
from emwatch.cli.terminal.display import Column, fitting_widths, moment_texts, print_table
from emwatch.ledger.writer import Ledger
from emwatch.testing import NOON, make_outcome, make_prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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


GAPS = [(" 17", " 0.97", "frame_0003.tif"), (" 18", " 0.83", "frame_0103.tif")]


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
    monkeypatch.setenv("COLUMNS", "52")
    monkeypatch.setenv("NO_COLOR", "1")
    print_table(COLUMNS, ROWS)
    drawn, told = capsys.readouterr()

    first = next(line for line in drawn.splitlines() if line.startswith("Biological"))
    assert first.split()[:4] == ["Biological", "?", "0.37", "250,000"]
    assert first.split()[4].startswith("zeiss")
    assert max(map(len, drawn.splitlines())) <= 52
    assert told == "no room for: Tilt\n"


@pytest.mark.parametrize(("columns", "gap"), [(28, 3), (27, 2), (26, 2)])
def test_where_room_is_short_the_gaps_go_before_the_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int, gap: int
) -> None:
    monkeypatch.setattr(display, "is_terminal", lambda _stream: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    print_table((Column("No.", align="right"), Column("Prob.", align="right"), Column("File", shorten=True)), GAPS)
    lines = capsys.readouterr().out.splitlines()

    assert [line.rstrip() for line in lines[2:]] == [(" " * gap).join(row) for row in GAPS]


@pytest.mark.parametrize(
    ("recorded_at", "narrow", "shown"),
    [
        ("2026-11-02T09:05:07", True, "02 09:05:07"),
        ("2026-10-02T09:05:07", True, "2026-10-02 09:05"),
        ("2025-11-02T09:05:07", True, "2025-11-02 09:05"),
        ("2025-11-02T09:05:07", False, "2025-11-02 09:05:07"),
    ],
)
def test_a_day_without_its_month_is_of_this_month(recorded_at: str, narrow: bool, shown: str) -> None:
    now = datetime.fromisoformat("2026-11-29T18:00:00").astimezone()
    other = datetime.fromisoformat("2026-11-05T18:00:00").astimezone()

    assert moment_texts([other, datetime.fromisoformat(recorded_at).astimezone()], now, narrow=narrow)[1] == shown


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


#: Long values of columns that a table of frames may have; others are numbers.
LONG = {
    "Category": "MEMS_devices_and_electrodes ?",
    "Second": "Porous_Sponge 0.12",
    "Recorded": "2026-11-29 16:05:03",
    "Reviewed": "2026-11-29 16:05:03",
    "Queued": "2026-11-29 16:05:03",
    "Learned": "2026-11-29 16:05",
    "Magnification": "250,000",
    "Magn.": "250,000",
    "Recall": "100 % (80-100)",
    "False alarms": "12 % (3-24)",
    "Target": "nanowires on the left",
    "File": "session_of_the_whole_night/frame_0003.tif",
}


def _tables() -> Iterator[tuple[str, tuple[Column, ...]]]:
    """Yield the columns of every table that a module of the command line keeps, with the module's name."""
    for module in pkgutil.walk_packages(emwatch.cli.__path__, "emwatch.cli."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, tuple) and value and all(isinstance(each, Column) for each in value):
                yield f"{module.name}{name}", value


TABLES = dict(_tables())


@pytest.mark.parametrize("columns", [pytest.param(each, id=name) for name, each in TABLES.items()])
def test_names_of_files_are_never_broken_over_lines(columns: tuple[Column, ...]) -> None:
    assert all(each.shorten or each.whole for each in columns if each.title == "File")


@pytest.mark.parametrize(
    "table",
    ["commands.classify_COLUMNS", "commands.target_FOUND", "commands.target_LISTED", "terminal.log_rows_COLUMNS"],
)
def test_at_80_columns_a_row_of_frames_is_a_line_and_no_word_of_a_title_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], table: str
) -> None:
    monkeypatch.setattr(display, "is_terminal", lambda _stream: True)
    monkeypatch.setenv("COLUMNS", "80")
    columns = TABLES[f"emwatch.cli.{table}"]
    print_table(columns, [[LONG.get(column.title, "12") for column in columns]] * 2)
    drawn, told = capsys.readouterr()
    title, rows = drawn.split("─", 1)

    left_out = told.removeprefix("no room for: ").strip().split(", ")
    assert {word for column in columns if column.title not in left_out for word in column.title.split()} == set(
        title.split()
    )
    assert len([line for line in rows.splitlines()[1:] if line.strip()]) == 2
    assert max(map(len, drawn.splitlines())) <= 80


@pytest.mark.parametrize(("hits", "words"), [(0, "0 hits"), (1, "1 hit"), (1200, "1,200 hits")])
def test_a_number_agrees_with_its_noun(hits: int, words: str) -> None:
    assert words in display.result_words(1, hits, 0, 0)


def test_at_80_columns_categories_are_short_and_whole_wherever_frames_are_listed(
    on_terminal: Callable[..., str], tmp_path: Path
) -> None:
    ledger, frame = tmp_path / "l.sqlite3", tmp_path / "frame_0003.png"
    Image.effect_noise((96, 64), 40).save(frame)
    with Ledger(ledger) as opened:
        said = make_prediction("MEMS_devices_and_electrodes", 0.9)
        opened.record(make_outcome("/sem/frame_0003.tif", "1", prediction=said), NOON)
    listed = [
        on_terminal(*command, "--ledger", ledger, COLUMNS="80")
        for command in (("log",), ("stats", "--by", "weekday,hour,category"))
    ]
    classified = on_terminal("classify", "--engine", "stub", frame, COLUMNS="80")

    assert all(" MEMS " in each and "MEMS_devices" not in each for each in listed)
    assert "no room for" not in classified
    assert frame.name in classified
