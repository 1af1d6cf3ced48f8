"""Bytes that are not UTF-8 on the command line, as of a terminal that is set to Latin-1."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from emwatch.cli.main import cli
from emwatch.ledger.filter_table import FILTERS
from emwatch.ledger.writer import Ledger
from emwatch.testing import NOON, make_outcome

#: As Python hands over the arguments of a program.
WORD = os.fsdecode("Größe".encode("latin-1"))
SPELLED = r"Gr\xf6\xdfe"


@pytest.fixture(name="bad")
def _bad(ledger: Path) -> Path:
    """A ledger with a frame of such a name."""
    with Ledger(ledger) as opened:
        opened.record(make_outcome(Path(f"/data/{WORD}.tif"), "bad"), NOON)
    return ledger


def run(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    ended = CliRunner().invoke(cli, [str(each) for each in arguments], input=stdin)
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    return ended


@pytest.mark.parametrize("key", [each.key for each in FILTERS if each.kind in {"text", "when"}])
def test_no_filter_stumbles(bad: Path, key: str) -> None:
    for command in ("log", "stats", "review"):
        more = ("--list",) if command == "review" else ()
        assert run(command, *more, f"--{key}", f"'{WORD}'", "--ledger", bad).exit_code in {0, 2, 3}


@pytest.mark.parametrize(
    "arguments",
    [
        *(("--path", f"{WORD}*"), ("--path", f"{SPELLED}*"), ("--text", WORD), ("--where", f"path LIKE '%{WORD}%'")),
        ("--path", f"/data/{WORD}.tif"),
    ],
)
def test_a_name_is_found_as_the_terminal_sends_it(bad: Path, arguments: tuple[str, ...]) -> None:
    [row] = json.loads(run("log", *arguments, "--json", "--ledger", bad).stdout)
    assert SPELLED in row["path"]


def test_sql_as_an_argument_and_from_stdin(bad: Path) -> None:
    question = f"SELECT path FROM frames WHERE path LIKE '%{WORD}%'"
    assert SPELLED in run("sql", question, "--ledger", bad).stdout
    assert SPELLED in run("sql", "-", "--ledger", bad, stdin=os.fsencode(question)).stdout


def test_what_people_enter_is_kept(bad: Path) -> None:
    run("session", "start", "Wafer 7", "--operator", WORD, "--sample", WORD, "--ledger", bad)
    run("session", "rename", "Wafer 7", "--instrument", WORD, "--ledger", bad)
    run("note", "1", WORD, "--by", WORD, "--ledger", bad)
    run("review", "1", "--confirm", "--by", WORD, "--note", WORD, "--ledger", bad)
    with closing(sqlite3.connect(bad)) as connection:
        for question in (
            "SELECT operator, sample, instrument FROM sessions WHERE name = 'Wafer 7'",
            "SELECT text, written_by FROM notes",
            "SELECT note, reviewed_by FROM reviews",
        ):
            for row in connection.execute(question).fetchall() or [()]:
                assert set(row) == {SPELLED}, question


def test_a_nul_is_no_word(bad: Path) -> None:
    assert run("log", "--text", "data\0bad", "--ledger", bad).exit_code == 3
