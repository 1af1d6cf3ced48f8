"""`emwatch db` as an operator runs it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from emwatch.ledger.care.check import VIEWS
from emwatch.ledger.schema import tables
from emwatch.service.lock import SingleInstance

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(name="emwatch")
def _emwatch(emwatch_here: Run) -> Run:
    return emwatch_here


def test_a_sound_ledger_is_checked_backed_up_and_the_backup_verified(emwatch: Run, ledger: Path) -> None:
    checked = emwatch("db", "check", "--full", "--ledger", ledger)
    backed_up = emwatch("db", "backup", "--ledger", ledger, "--to", ledger.parent / "safe", "--json")
    made = json.loads(backed_up.stdout)["path"]
    verified = emwatch("db", "verify", made, "--json")

    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.endswith(f"{ledger}: sound\n")
    assert made.startswith(f"{ledger.parent}/safe/ledger.sqlite3.backup-")
    assert json.loads(verified.stdout)["sound"] is True
    assert emwatch("db", "verify", "--ledger", ledger).returncode == 1  # none in the folder of the configuration


def test_a_damaged_backup_is_not_sound(emwatch: Run, ledger: Path) -> None:
    damaged = ledger.with_name("damaged")
    content = bytearray(ledger.read_bytes())
    content[4096 * 3 : 4096 * 9] = bytes(4096 * 6)
    damaged.write_bytes(content)
    done = emwatch("db", "verify", damaged)

    assert done.returncode == 5
    assert done.stdout.startswith("BROKEN  the file is what SQLite wrote\n")
    assert "NOT sound; go by another one, and make one now: emwatch db backup" in done.stdout


@pytest.mark.parametrize("command", [("log",), ("db", "check"), ("db", "backup"), ("review", "--list")])
def test_a_directory_in_place_of_the_ledger_is_called_one(
    emwatch: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = emwatch(*command, "--ledger", tmp_path)

    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path}: is a directory, and the ledger is a file: name it, for example")


@pytest.mark.parametrize("command", [("log",), ("db", "backup"), ("review", "--list")])
def test_a_file_that_is_no_ledger_is_named_and_what_was_expected(
    emwatch: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("not a ledger", encoding="ascii")
    done = emwatch(*command, "--ledger", notes)

    assert done.returncode == 1
    assert done.stderr.startswith(
        f"error: {notes}: is not a ledger: it does not begin like a database of SQLite; name "
    )


@pytest.mark.parametrize("command", [("log",), ("status",), ("db", "check"), ("db", "prune", "--alerts-before", "now")])
def test_a_path_that_the_system_refuses_is_told_in_words(
    emwatch: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    ledger = tmp_path / ("x" * 300)
    done = emwatch(*command, "--ledger", ledger)

    assert str(ledger) in done.stderr
    assert "Errno" not in done.stderr


def test_what_cannot_be_merged_makes_no_ledger(emwatch: Run, tmp_path: Path) -> None:
    notes, ledger = tmp_path / "notes.txt", tmp_path / "new.sqlite3"
    notes.write_text("not a ledger", encoding="ascii")
    done = emwatch("db", "merge", notes, "--ledger", ledger)

    assert done.returncode == 1
    assert f"{notes}: expected a ledger" in done.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == ["notes.txt"]


def test_commands_that_write_are_refused_while_another_has_the_ledger(emwatch: Run, ledger: Path) -> None:
    lock = SingleInstance(ledger)
    lock.acquire()
    before = ledger.read_bytes()
    other = shutil.copy(ledger, ledger.with_name("other"))
    for command in (("prune", "--alerts-before", "now", "--apply"), ("merge", other), ("repair",)):
        done = emwatch("db", *command, "--ledger", ledger)
        assert done.returncode == 1
        assert "emwatch runs on this ledger (process " in done.stderr
    assert emwatch("db", "backup", "--ledger", ledger).returncode == 0
    assert ledger.read_bytes() == before
    lock.release()


def move_frames(ledger: Path, folder: Path) -> None:
    """Let the rows of a ledger name files of this folder."""
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("UPDATE frames SET path = replace(path, '/data/sem', ?)", (str(folder),))


def test_pruning_is_only_counted_unless_asked_to(emwatch: Run, ledger: Path, tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "another.tif").touch()
    move_frames(ledger, tmp_path / "archive")
    asked = ("db", "prune", "--failed-before", "now", "--frames-before", "2d", "--ledger", ledger)
    counted = emwatch(*asked)
    applied = emwatch(*asked, "--apply", "--json")

    assert counted.stdout.splitlines() == ["failed      1 to remove", "frames      1 to remove"]
    assert "nothing was removed" in counted.stderr
    assert json.loads(applied.stdout) == {
        "applied": True,
        "rows": {"failed": {"removed": 1, "kept": 0}, "frames": {"removed": 1, "kept": 0}},
    }
    assert "as it was: " in applied.stderr
    assert emwatch("log", "--count", "--ledger", ledger).stdout == "4\n"
    assert emwatch("db", "prune", "--ledger", ledger).returncode == 2


def test_a_share_that_is_away_does_not_make_its_frames_gone(emwatch: Run, ledger: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("watch: {directory: /data/sem}\n")  # where the rows' files are said to be; it is not there
    done = emwatch("db", "prune", "--frames-before", "now", "--ledger", ledger, "--config", config)

    assert done.stdout.splitlines() == ["frames      0 to remove, 5 old ones stay"]


@pytest.mark.parametrize(
    ("watched", "files", "removed"),
    [
        ("other", [], 0),  # of a PC whose ledger was merged
        ("other", ["share/"], 0),  # an archive that is not mounted
        ("other", ["share/old/"], 0),
        ("other", ["share/old/another.tif"], 5),
        ("share", ["share/another.tif"], 5),  # its folder was deleted
        (
            "share",
            ["share/another.tif", "share/old/"],
            0,
        ),  # the place of a share that is away, within the watched directory
        ("share", ["share/"], 0),
        ("share", [], 0),
    ],
)
def test_a_frame_is_gone_only_if_its_place_can_be_seen(
    emwatch: Run, ledger: Path, tmp_path: Path, watched: str, files: list[str], removed: int
) -> None:
    lab = tmp_path / "lab"
    (lab / "other").mkdir(parents=True)
    for each in files:
        (lab / each).parent.mkdir(parents=True, exist_ok=True)
        (lab / each).mkdir(parents=True, exist_ok=True) if each.endswith("/") else (lab / each).touch()
    move_frames(ledger, lab / "share" / "old")
    config = tmp_path / "config.yaml"
    config.write_text(f"watch: {{directory: {lab / watched}}}\n")
    done = emwatch("db", "prune", "--frames-before", "now", "--ledger", ledger, "--config", config, "--json")

    assert json.loads(done.stdout)["rows"]["frames"] == {"removed": removed, "kept": 5 - removed}


def test_merging_a_ledger_into_a_new_one_takes_all_of_it(emwatch: Run, ledger: Path) -> None:
    new = ledger.with_name("new.sqlite3")
    merged = emwatch("db", "merge", ledger, "--ledger", new)
    again = emwatch("db", "merge", ledger, "--ledger", new, "--json")

    assert merged.stdout == f"{ledger}: 7 rows taken over, 0 known already, 1 alert\n"
    assert json.loads(again.stdout)["frames"] == 0
    assert emwatch("log", "--count", "--all", "--ledger", new).stdout == "7\n"
    assert emwatch("db", "merge", new, "--ledger", new).returncode == 1


def test_a_damaged_ledger_is_repaired(emwatch: Run, ledger: Path) -> None:
    assert emwatch("db", "repair", "--ledger", ledger).stdout == f"{ledger}: nothing to repair\n"
    content = bytearray(ledger.read_bytes())
    content[-4096:] = bytes(4096)
    ledger.write_bytes(content)
    done = emwatch("db", "repair", "--ledger", ledger)
    [aside] = [each for each in ledger.parent.glob("ledger.sqlite3.corrupt-*") if each.name[-1] == "Z"]

    assert "was moved aside as" in done.stderr
    assert done.stdout.startswith(f"{aside}: ")
    ledger.unlink()  # as after a kill between moving it aside and beginning another
    assert emwatch("db", "repair", "--ledger", ledger).stdout.startswith(f"{aside}: ")
    assert aside.read_bytes() == content
    assert emwatch("db", "check", "--ledger", ledger).returncode == 0
    assert int(emwatch("log", "--count", "--all", "--ledger", ledger).stdout) >= 5


def test_a_damaged_ledger_of_which_nothing_can_be_read_costs_no_backup_and_has_an_end(
    emwatch: Run, ledger: Path
) -> None:
    ledger.write_bytes(bytes(4096) + ledger.read_bytes()[4096:])
    done = emwatch("db", "repair", "--ledger", ledger)
    [aside] = [each for each in ledger.parent.glob("ledger.sqlite3.corrupt-*") if each.name[-1] == "Z"]

    assert done.returncode == 5
    assert f"{aside}: expected a ledger, and nothing of it can be read" in done.stdout
    assert "move the file away when it is not needed" in done.stdout
    assert not (ledger.parent / "backups").exists()
    aside.rename(aside.with_name("kept elsewhere"))
    assert emwatch("db", "repair", "--ledger", ledger).stdout == f"{ledger}: nothing to repair\n"


PARTS = sorted(
    [f"INDEX {index.name}" for table in tables.sorted_tables for index in table.indexes]
    + [f"VIEW {name}" for name in VIEWS]
)


@pytest.mark.parametrize("part", PARTS)
def test_a_dropped_index_or_view_is_noticed_and_made_again(emwatch: Run, ledger: Path, part: str) -> None:
    name = part.partition(" ")[2]
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute(f"DROP {part}")
        connection.commit()
    done = emwatch("db", "check", "--ledger", ledger)

    assert done.returncode == 5
    assert f"{name}: not there" in done.stdout
    repaired = emwatch("db", "repair", "--ledger", ledger)
    assert (repaired.returncode, repaired.stderr) == (0, f"made again: {name}\n")
    assert emwatch("db", "check", "--full", "--ledger", ledger).returncode == 0


def test_an_index_that_lets_two_rows_pass_is_noticed(emwatch: Run, ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as connection:
        connection.executescript(
            "DROP INDEX ux_frames_current_path; CREATE INDEX ux_frames_current_path ON frames (path);"
        )
    assert "ux_frames_current_path: not there, or another one" in emwatch("db", "check", "--ledger", ledger).stdout
    emwatch("db", "repair", "--ledger", ledger)
    assert emwatch("db", "check", "--ledger", ledger).returncode == 0


WRITERS = [
    ("db", "prune", "--alerts-before", "90d"),
    ("db", "merge", "OTHER"),
    ("db", "repair"),
    ("db", "backup"),
    ("review", "1", "--reject", "--by", "ana"),
    ("log",),
    ("status",),
]


@pytest.mark.parametrize("command", WRITERS, ids=[" ".join(each[:2]) for each in WRITERS])
@pytest.mark.parametrize("how", ["itself", "link in it", "link to it"])
def test_no_command_opens_a_ledger_in_a_watched_directory(
    emwatch: Run, ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], how: str
) -> None:
    watched = tmp_path / "watched"
    (watched / "day").mkdir(parents=True)
    monkeypatch.setenv("EMWATCH_WATCH_DIRECTORY", str(watched))
    named = watched / "day" / "ledger.sqlite3"
    if how == "link in it":
        named.symlink_to(ledger)
    else:
        shutil.copyfile(ledger, named)
    if how == "link to it":
        named = tmp_path / "link"
        named.symlink_to(watched / "day" / "ledger.sqlite3")
    before = sorted(path.name for path in watched.rglob("*"))
    words = [str(ledger) if word == "OTHER" else word for word in command]
    done = emwatch(*words, "--ledger", named)

    assert done.returncode == 78
    assert "lies in the watched directory" in done.stderr
    assert sorted(path.name for path in watched.rglob("*")) == before


def test_no_backup_is_put_into_a_watched_directory(
    emwatch: Run, ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = tmp_path / "watched"
    watched.mkdir()
    (tmp_path / "link").symlink_to(watched)
    monkeypatch.setenv("EMWATCH_WATCH_DIRECTORY", str(watched))
    for place in (watched, watched / "safe", tmp_path / "link" / "safe"):
        done = emwatch("db", "backup", "--ledger", ledger, "--to", place)
        assert done.returncode == 78
        assert "ledger.backup_directory" in done.stderr
    assert list(watched.iterdir()) == []
