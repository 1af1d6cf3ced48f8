"""``show``, ``stats``, ``sql`` and ``tail``: what the log is asked beside ``emwatch log``."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from PIL import Image

from emwatch.cli.main import cli
from emwatch.frame import Review, ReviewVerdict
from emwatch.ledger.entries import Note
from emwatch.ledger.query import LedgerReader
from emwatch.ledger.writer import Ledger
from emwatch.teaching import examples
from emwatch.testing import NOON, make_outcome, make_prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result

TILTED = 4


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(each) for each in arguments])


class TestShow:
    def test_everything_that_is_known_of_a_frame(self, ledger: Path) -> None:
        with Ledger(ledger) as opened:
            opened.add_reviews([Review(TILTED, ReviewVerdict.RELABEL, "Fibres", "ana", datetime.now(UTC), "bent")])
            opened.enter(Note("at the edge", "ben", datetime.now(UTC), frame_id=TILTED))
        shown = run("show", "/data/sem/tilted.tif", "--ledger", ledger)
        document = json.loads(run("show", str(TILTED), "--json", "--ledger", ledger).stdout)

        for words in (
            "/data/sem/tilted.tif",
            "Nanowires 0.95",
            "52",
            "Fibres",
            "bent",
            "at the edge",
            "wires",
            "pending",
        ):
            assert words in shown.stdout
        assert document["metadata"]["stage_tilt_deg"]["value"] == 52.0
        assert [each["category"] for each in document["reviews"]] == ["Fibres"]
        assert [each["text"] for each in document["notes"]] == ["at the edge"]
        assert [each["target"] for each in document["alerts"]] == ["wires"]
        assert document["predictions"][0]["scores"]["Nanowires"] == document["probability"]

    def test_a_file_that_could_not_be_read_says_why(self, ledger: Path) -> None:
        shown = run("show", "/data/sem/cut.tif", "--ledger", ledger)

        assert "ends early" in shown.stdout

    def test_a_frame_that_is_not_there(self, ledger: Path) -> None:
        for name in ("99", "nowhere.tif", "9" * 30):
            assert f"no frame is {name}" in run("show", name, "--ledger", ledger).stderr

    def test_its_picture_is_drawn_while_the_file_is_the_recorded_one(
        self, tmp_path: Path, on_terminal: Callable[..., str]
    ) -> None:
        frame, ledger = tmp_path / "a.png", tmp_path / "ledger.sqlite"
        Image.new("L", (40, 30), 128).save(frame)
        at = datetime.now(UTC)
        sha256 = hashlib.sha256(frame.read_bytes()).hexdigest()
        with Ledger(ledger) as opened:
            opened.record(replace(make_outcome(frame, "a", written_at=at), sha256=sha256), at)
        blocks = on_terminal("show", "1", "--ledger", ledger, TERM_PROGRAM="", KITTY_WINDOW_ID="")
        hidden = on_terminal("show", "1", "--no-picture", "--ledger", ledger)
        frame.write_bytes(b"another content")
        changed = on_terminal("show", "1", "--ledger", ledger)

        assert "▀" in blocks
        assert "▀" not in hidden
        assert "no picture: " in changed


def test_the_table_of_the_log_has_a_column_for_notes_only_where_there_is_one(ledger: Path) -> None:
    titles = run("log", "--ledger", ledger).stdout.splitlines()[0].split()
    with Ledger(ledger) as opened:
        opened.enter(Note("at the edge", "ben", datetime.now(UTC), frame_id=TILTED))
    noted = run("log", "--ledger", ledger).stdout

    assert titles == ["No.", "Recorded", "Category", "Prob.", "Magn.", "Tilt", "°", "Target", "File"]
    assert noted.splitlines()[0].split()[-3:] == ["Target", "Note", "File"]
    assert "wires   at the edge" in noted or "wires  at the edge" in noted


class TestStats:
    def test_the_numbers_are_those_of_the_log(self, ledger: Path) -> None:
        for by in ("category", "session", "day,category", "weekday,hour", "uncertain,vendor", "state", "instrument"):
            rows = json.loads(run("stats", "--by", by, "--json", "--ledger", ledger).stdout)

            assert set(by.split(",")) < set(rows[0])
            assert sum(row["frames"] for row in rows) == 5
            assert sum(row["hits"] for row in rows) == 1
            assert sum(row["failed"] for row in rows) == 1
            assert sum(row["uncertain"] for row in rows) == 1

    def test_filters_choose_what_is_counted(self, ledger: Path) -> None:
        (row,) = json.loads(run("stats", "--magnification", "10k..", "--hits", "--json", "--ledger", ledger).stdout)

        assert (row["category"], row["frames"], row["mean_probability"]) == ("Nanowires", 1, 0.95)

    def test_days_and_hours_are_those_of_the_clock_on_the_wall(
        self, emwatch: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
    ) -> None:
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            for hour in (0, 1):  # 02:30 summer time, then 02:30 again in winter time
                at = datetime(2026, 10, 25, hour, 30, tzinfo=UTC)
                ledger.record(make_outcome(Path(f"/acq/{hour}.tif"), str(hour), written_at=at), at)
        done = emwatch(
            "stats", "--by", "day,hour", "--json", "--ledger", tmp_path / "ledger.sqlite", TZ="Europe/Berlin"
        )
        (row,) = json.loads(done.stdout)

        assert (row["day"], row["hour"], row["frames"]) == ("2026-10-25", "02:00", 2)

    def test_what_nothing_can_be_counted_by(self, ledger: Path) -> None:
        failed = run("stats", "--by", "colour", "--ledger", ledger)

        assert failed.exit_code == 2
        assert "colour: count by month, day, weekday, hour, category" in " ".join(failed.stderr.split())
        assert run("stats", "--category", "Powder", "--hits", "--ledger", ledger).exit_code == 3


class TestSql:
    def test_rows_in_every_shape(self, ledger: Path) -> None:
        question = "SELECT category, count(*) AS n FROM v_log WHERE category NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
        table = run("sql", question, "--ledger", ledger).stdout.splitlines()
        as_json = json.loads(run("sql", question, "--json", "--ledger", ledger).stdout)
        as_csv = list(csv.DictReader(io.StringIO(run("sql", question, "--csv", "--ledger", ledger).stdout)))

        assert [line.split() for line in table[:2]] == [["category", "n"], ["Nanowires", "2"]]
        assert as_json[0] == {"category": "Nanowires", "n": 2}
        assert [(row["category"], int(row["n"])) for row in as_csv] == [(row["category"], row["n"]) for row in as_json]

    def test_json_has_every_column_also_of_one_name(self, ledger: Path) -> None:
        asked = run("sql", "SELECT 1 AS id, 2 AS id, 3 AS id_2, 4 AS id, 5 AS x", "--json", "--ledger", ledger)
        assert json.loads(asked.stdout) == [{"id": 1, "id_3": 2, "id_2": 3, "id_4": 4, "x": 5}]

    @pytest.mark.parametrize(
        ("question", "says"),
        [
            ("DELETE FROM frames", "only read"),
            ("UPDATE frames SET path = 'x'", "only read"),
            ("CREATE TABLE x (y)", "only read"),
            ("CREATE TEMP TABLE x (y)", "only read"),
            ("DROP VIEW v_log", "only read"),
            ("ATTACH '{folder}/other.db' AS x", "only read"),
            ("VACUUM INTO '{folder}/other.db'", "only read"),
            ("PRAGMA journal_mode=DELETE", "only read"),
            ("PRAGMA query_only=OFF", "only read"),
            ("INSERT INTO log_text (log_text) VALUES ('optimize')", "only read"),
            ("WITH x AS (SELECT 1) DELETE FROM frames", "only read"),
            ("BEGIN", "only read"),
            ("SELECT 1; DELETE FROM frames", "only read"),
            ("SELECT load_extension('x')", "not authorized"),
            ("SELECT colour FROM v_log", "no such column: colour; `emwatch docs ledger` names the columns"),
            ("SELECT * FROM frame", "no such table: frame; most is in the views v_log"),
            ("SELEC", "syntax error"),
            ("", "has no rows"),
            ("SELECT zeroblob(1000000000)", "too big"),
            (
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
                "took longer than 0.2 s",
            ),
        ],
    )
    def test_what_writes_or_is_no_question_is_refused(self, ledger: Path, question: str, says: str) -> None:
        before = ledger.read_bytes()
        failed = run("sql", question.format(folder=ledger.parent), "--seconds", "0.2", "--ledger", ledger)

        assert failed.exit_code == 2
        assert says in failed.stderr
        assert ledger.read_bytes() == before
        assert not (ledger.parent / "other.db").exists()

    def test_the_full_text_index_and_facts_about_tables_can_be_asked(self, ledger: Path) -> None:
        asked = "SELECT count(*) FROM log_text WHERE log_text MATCH 'tilted'"
        assert run("sql", asked, "--ledger", ledger).exit_code == 0
        assert "stage_x_mm" in run("sql", "PRAGMA table_info(v_hits)", "--ledger", ledger).stdout
        assert run("sql", "SELECT 1 WHERE 0", "--ledger", ledger).exit_code == 3

    def test_words_go_with_an_sql_filter(self, ledger: Path) -> None:
        assert (
            run("log", "--text", "tilted", "--where", "magnification > 1", "--count", "--ledger", ledger).stdout
            == "1\n"
        )


@pytest.mark.parametrize("command", [["log"], ["review", "--list"], ["stats"], ["tail"], ["reclassify"]])
def test_sql_that_is_no_expression_is_said_by_every_command_with_filters(ledger: Path, command: list[str]) -> None:
    failed = run(*command, "--where", "colour = 1", "--ledger", ledger)

    assert failed.exit_code == 2
    assert "'--where'" in failed.stderr
    assert "no such column: colour" in failed.stderr


@pytest.fixture(name="follow")
def _follow() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def follow(*arguments: str | Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "emwatch", "tail", "-f", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, text=True, env=dict(os.environ), **pipes))  # type: ignore[call-overload]
        return started[-1]

    yield follow
    for each in started:
        each.kill()
        each.communicate()


def record(ledger: Path, name: str, category: str = "Tips") -> None:
    at = datetime.now(UTC)
    outcome = make_outcome(Path("/acq") / name, name, written_at=at, prediction=make_prediction(category, 0.9))
    with Ledger(ledger) as opened:
        opened.record(outcome, at)


class TestTail:
    def test_the_newest_rows_the_oldest_first(self, ledger: Path) -> None:
        lines = run("tail", "-n", "2", "--ledger", ledger).stdout.splitlines()

        assert [line.split("/")[-1].split()[0] for line in lines] == ["flat.tif", "cut.tif"]
        assert run("tail", "--category", "Films_Coated_Surface", "--ledger", ledger).exit_code == 3

    @pytest.mark.slow
    def test_rows_come_as_they_are_recorded_also_into_another_ledger(
        self, ledger: Path, follow: Callable[..., subprocess.Popen[str]], tmp_path: Path
    ) -> None:
        tail = follow("-n", "1", "--ndjson", "--category", "Tips", "--ledger", ledger)
        assert tail.stdout is not None
        seen = [Path(json.loads(tail.stdout.readline())["path"]).name]
        for name, category in (("one.tif", "Tips"), ("other.tif", "Powder"), ("two.tif", "Tips")):
            record(ledger, name, category)
        seen += [Path(json.loads(tail.stdout.readline())["path"]).name for _ in range(2)]
        for each in tmp_path.glob("ledger.sqlite3*"):
            each.rename(tmp_path / f"aside.{each.name}")
        record(ledger, "anew.tif")
        seen.append(Path(json.loads(tail.stdout.readline())["path"]).name)
        tail.send_signal(signal.SIGINT)

        assert tail.wait(timeout=20) == 0
        assert seen == ["unsure.tif", "one.tif", "two.tif", "anew.tif"]

    def test_a_ctrl_c_that_a_callback_swallowed_ends_it_all_the_same(
        self, ledger: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = LedgerReader.newest_id
        asked: list[int] = []

        def interrupted(reader: LedgerReader) -> int:
            asked.append(1)
            assert len(asked) < 4, "asked on and on"
            if len(asked) == 2:
                with suppress(KeyboardInterrupt):  # as SQLite and finalizers do
                    signal.raise_signal(signal.SIGINT)
            return real(reader)

        monkeypatch.setattr(LedgerReader, "newest_id", interrupted)
        monkeypatch.setattr("emwatch.cli.commands.tail._PAUSE_S", 0.0)
        monkeypatch.setattr("emwatch.cli.commands.tail._nobody_reads", lambda: False)  # there is no pipe here

        assert run("tail", "-f", "-n", "1", "--ledger", ledger).exit_code == 0
        assert len(asked) == 2

    @pytest.mark.slow
    def test_it_ends_when_nobody_reads_any_more(
        self, ledger: Path, follow: Callable[..., subprocess.Popen[str]]
    ) -> None:
        tail = follow("-n", "1", "--ledger", ledger)
        assert tail.stdout is not None
        assert "cut.tif" in tail.stdout.readline()
        tail.stdout.close()

        assert tail.wait(timeout=20) == 0
        assert tail.stderr is not None
        assert tail.stderr.read() == ""


class TestNamesOfTheTable:
    """Tables leave out the folder that all files share: what then stands there must find the frame again."""

    @pytest.fixture(name="folders")
    def _folders(self, tmp_path: Path) -> Path:
        place = tmp_path / "l.sqlite3"
        with Ledger(place) as opened:
            for at, name in enumerate(("a/one.tif", "a/two.tif", "b/two.tif", "a/[3].tif")):
                opened.record(make_outcome(f"/sem/{name}", str(at), prediction=make_prediction("Tips", 0.9)), NOON)
        return place

    @pytest.mark.parametrize(
        ("name", "number"), [("one.tif", 1), ("a/two.tif", 2), ("b/two.tif", 3), ("[3].tif", 4), ("ONE.tif", 1)]
    )
    def test_a_frame_is_found_by_it(self, folders: Path, name: str, number: int) -> None:
        shown = json.loads(run("show", name, "--json", "--ledger", folders).stdout)
        reviewed = json.loads(run("review", name, "--confirm", "--by", "Ana", "--json", "--ledger", folders).stdout)
        noted = run("note", name, "seen", "--by", "Ana", "--ledger", folders)
        with LedgerReader(folders) as reader:
            located = examples.located(reader, name)
            notes = reader.notes(frame_id=number)

        assert (shown["id"], reviewed["reviews"][0]["frame_id"], located[1]) == (number, number, number)
        assert (noted.exit_code, [each.text for each in notes]) == (0, ["seen"])

    @pytest.mark.parametrize("command", [("show",), ("review", "--confirm", "--by", "Ana"), ("note",), ("similar",)])
    def test_one_of_several_frames_is_asked_for_by_number(self, folders: Path, command: tuple[str, ...]) -> None:
        result = run(*command, "two.tif", "--ledger", folders)

        assert result.exit_code == 1
        assert "two.tif: several frames are called so: 3, 2; give the number, or the whole path" in result.stderr

    @pytest.mark.parametrize("name", ["wo.tif", "*.tif", "t?o.tif", ""])
    def test_part_of_a_name_is_none(self, folders: Path, name: str) -> None:
        result = run("show", name, "--ledger", folders)

        assert result.exit_code == 1
        assert "give the number that emwatch log shows, or the path" in result.stderr
