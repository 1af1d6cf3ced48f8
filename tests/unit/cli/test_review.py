"""``emwatch review``: said by number or path, listed, refused whole where a name is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from emwatch.cli.main import cli

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def ask(ledger: Path, *arguments: str, command: str = "review") -> Result:
    return CliRunner().invoke(cli, [command, "--ledger", str(ledger), *arguments])


def listed(ledger: Path, *filters: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ask(ledger, "--list", "--json", *filters).stdout)
    return found


def test_frames_are_named_by_number_and_by_path_each_once(ledger: Path) -> None:
    said = ask(ledger, "1", "/data/sem/tilted.tif", "/data/sem/x/../old.tif", "--as", "tips", "--by", "ana")

    assert said.exit_code == 0, said.stderr
    assert said.stdout.splitlines() == [
        "1  /data/sem/old.tif  is Tips, not Powder",
        "4  /data/sem/tilted.tif  is Tips, not Nanowires",
    ]
    assert [(row["frame_id"], row["category"], row["reviewed_by"], row["counts"]) for row in listed(ledger)] == [
        (4, "Tips", "ana", True),
        (1, "Tips", "ana", True),
    ]
    rows = json.loads(ask(ledger, "--json", "--reviewed", command="log").stdout)
    assert {row["id"]: (row["category"], row["reviewed"]) for row in rows} == {
        1: ("Powder", "Tips"),
        4: ("Nanowires", "Tips"),
    }


def test_confirm_takes_the_models_category_and_another_review_takes_it_back(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "night-shift")
    document = json.loads(ask(ledger, "4", "--confirm", "--note", "all along", "--json").stdout)
    [row] = document["reviews"]

    assert document["recorded"] is True
    assert (row["verdict"], row["category"], row["reviewed_by"], row["note"]) == (
        "confirm",
        "Nanowires",
        "night-shift",
        "all along",
    )
    assert ask(ledger, "4", "--unsure").exit_code == 0
    assert [(each["verdict"], each["counts"]) for each in listed(ledger)] == [("unsure", True), ("confirm", False)]


def test_the_list_takes_the_filters_of_the_log(ledger: Path) -> None:
    assert ask(ledger, "--list").exit_code == 3
    ask(ledger, "1", "4", "--reject")

    assert [row["frame_id"] for row in listed(ledger, "--hits")] == [4]
    assert [row["frame_id"] for row in listed(ledger, "--since", "2h")] == [4]
    table = ask(ledger, "--list").stdout.splitlines()
    assert "reject" in table[1]
    assert table[1].endswith("/data/sem/tilted.tif")


def test_the_log_has_room_for_reviews_only_where_there_are_some(ledger: Path) -> None:
    before = ask(ledger, command="log").stdout.splitlines()[0]
    ask(ledger, "1", "--as", "Fibres")
    head, *rows = ask(ledger, command="log").stdout.splitlines()

    assert "Reviewed" not in before
    assert "Reviewed" in head
    assert [row[head.index("Reviewed") :].split()[0] for row in rows if "old.tif" in row] == ["Fibres"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "without a terminal, name frames and say"),
        (["1"], "say --as CATEGORY"),
        (["--confirm"], "name the frames, or choose them by filters"),
        (["--confirm", "--hits"], "this would confirm 1 frame: 1 Nanowires; say --yes"),
        (["1", "--confirm", "--as", "Tips"], "exclude each other"),
        (["1", "--reject", "--unsure"], "exclude each other"),
        (["1", "--as", "Wires"], "is not one of"),
        (["1", "--confirm", "--session", "last"], "by filters; not both"),
        (["1", "--list"], "--list takes filters"),
        (["--list", "--reject"], "--list takes filters"),
        (["1", "--reject", "--note", "x" * 1001], "longer than 1000"),
    ],
)
def test_wrong_usage(ledger: Path, arguments: list[str], says: str) -> None:
    result = ask(ledger, *arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr


@pytest.mark.parametrize("name", ["99", "none.tif", "/data/sem/cut.tif", "6", "1" * 30])
def test_one_name_that_is_no_recorded_frame_and_nothing_is_reviewed(ledger: Path, name: str) -> None:
    result = ask(ledger, "1", name, "--reject")

    assert result.exit_code == 1
    assert f"no recorded frame is {name}: give the number" in result.stderr
    assert ask(ledger, "--list").exit_code == 3


def test_without_a_ledger_none_is_made(tmp_path: Path) -> None:
    result = ask(tmp_path / "none.sqlite3", "1", "--reject")

    assert result.exit_code == 1
    assert "no ledger here yet" in result.stderr
    assert list(tmp_path.iterdir()) == []
