"""Sessions and notes from the command line, with the real program on a real ledger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from emwatch.cli.main import cli

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_session_is_started_described_shown_and_ended(emwatch: Run, ledger: Path) -> None:
    def session(*arguments: str) -> subprocess.CompletedProcess[str]:
        return emwatch("session", *arguments, "--ledger", ledger)

    assert session("start", "Wafer 7", "--operator", "Ana", "--since", "1h").stdout == "Wafer 7: started\n"
    assert session("rename", "Wafer 7", "Wafer 8", "--sample", "W8").stdout == "Wafer 7: is Wafer 8 now\n"
    assert emwatch("note", "Wafer 8", "new filament", "--by", "ben", "--ledger", ledger).stdout == "noted\n"
    assert session("end").stdout == "Wafer 8: ended\n"
    shown = json.loads(session("show", "Wafer 8", "--json").stdout)
    assert (shown["operator"], shown["sample"], shown["frames"], shown["failed"]) == ("Ana", "W8", 1, 1)
    assert shown["categories"] == {"Nanowires": 1}
    assert [each["text"] for each in shown["notes"]] == ["new filament"]
    assert "new filament (ben, " in session("show", "Wafer 8").stdout
    listed = json.loads(session("list", "--json").stdout)
    assert [each["name"] for each in listed if each["opened_by"] == "command"] == ["Wafer 8"]
    found = emwatch("log", "--text", "filament", "--fields", "path", "--ndjson", "--ledger", ledger)
    assert {json.loads(line)["path"] for line in found.stdout.splitlines()} == {
        "/data/sem/flat.tif",
        "/data/sem/cut.tif",
    }


def test_a_name_that_another_session_has_is_said_with_both_numbers_when_it_is_given(emwatch: Run, ledger: Path) -> None:
    def session(*arguments: str) -> subprocess.CompletedProcess[str]:
        return emwatch("session", *arguments, "--ledger", ledger)

    def number_of_the_newest() -> int:
        return max(each["id"] for each in json.loads(session("list", "--json").stdout))

    assert session("start", "Wafer 7", "--since", "2h").stderr == ""
    first = number_of_the_newest()
    again = session("start", "Wafer 7", "--since", "1h")
    second = number_of_the_newest()
    session("start", "Wafer 8")
    third = number_of_the_newest()
    renamed = session("rename", "Wafer 8", "Wafer 7")

    assert again.returncode == renamed.returncode == 0
    assert f"warning: another session is called 'Wafer 7': {first} (" in again.stderr
    assert f"name each by its number: this one is {second}\n" in again.stderr
    assert f"{second} (" in renamed.stderr
    assert f"this one is {third}\n" in renamed.stderr
    assert session("rename", str(third), "Wafer 9").stderr == ""
    assert session("rename", str(third), "--sample", "W9").stderr == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("session end", "no session is open"),
        ("session end 9", "there is no session '9'; the last are"),
        ("session end last", "was not started by a command"),
        ("session start 17", "'17' means another session"),
        ("session start x --since tomorrow", "'tomorrow' is not a time"),
        ("session start x --since 2099-01-01", "is still to come"),
        ("session start x --instrument Gemini", "'Gemini': watch.instrument names none"),
        ("session rename last", "say another NAME"),
        ("note", "name a frame or a session"),
        ("note 99 text", "no recorded frame has number 99; the number of a session goes with --session"),
        ("note nothing text", "nothing: is no recorded frame, and there is no session 'nothing'"),
        ("note --change 1 --remove 2", "exclude each other"),
        ("note --remove 1 text", "--remove N goes alone"),
        ("note --remove 4", "no note has number 4"),
        ("note 2 ''", "is empty; --remove N takes a note back"),
    ],
)
def test_what_cannot_be_is_said(ledger: Path, arguments: str, says: str) -> None:
    words = ["" if each == "''" else each for each in arguments.split()]
    done = CliRunner().invoke(cli, [*words, "--ledger", str(ledger)])

    assert done.exit_code in {1, 2}
    assert says in " ".join(done.stderr.split())


def test_notes_are_written_changed_listed_and_taken_back(emwatch: Run, ledger: Path) -> None:
    def note(*arguments: str) -> subprocess.CompletedProcess[str]:
        return emwatch("note", *arguments, "--ledger", ledger)

    assert note("4", "ein \x1b[31mRiss\udcff", "--by", "ana").stdout == "noted\n"
    assert r"ein \x1b[31mRiss\xff" in note("/data/sem/tilted.tif").stdout
    assert note("--change", "1", "a crack").stdout == "noted\n"
    (only,) = json.loads(note("4", "--json").stdout)
    assert (only["id"], only["text"]) == (2, "a crack")
    assert "a crack" in emwatch("log", "--text", "crack", "--csv", "--ledger", ledger).stdout
    assert note("--remove", "2").stdout == "taken back\n"
    assert note("4").returncode == 3
    assert emwatch("log", "--text", "crack", "--ledger", ledger).returncode == 3
