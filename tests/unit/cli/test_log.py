from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from emwatch.cli.main import cli
from emwatch.cli.parameter_types import Range
from emwatch.cli.terminal.display import csv_cell
from emwatch.frame import CATEGORIES, Window
from emwatch.ledger.filter_table import FILTERS
from emwatch.ledger.writer import Ledger
from emwatch.testing import NOON, make_metadata, make_outcome

Run = Callable[..., Any]


def _names(ledger: Path, *arguments: str) -> list[str]:
    result = CliRunner().invoke(cli, ["log", "--ledger", str(ledger), "--ndjson", *arguments])
    assert result.exit_code in {0, 3}, result.output
    return [Path(json.loads(line)["path"]).name for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ("", ["cut", "flat", "tilted", "blind", "unsure", "old"]),
        ("--oldest-first", ["old", "unsure", "blind", "tilted", "flat", "cut"]),
        ("--category Nanowires", ["flat", "tilted"]),
        ("--category nanowires --category TIPS", ["flat", "tilted", "unsure"]),
        ("--target wires", ["tilted"]),
        ("--target none-such", []),
        ("--hits", ["tilted"]),
        ("--min-probability 0.85", ["flat", "tilted", "old"]),
        ("--max-probability 0.5", ["unsure"]),
        ("--min-probability 0.5 --max-probability 0.8", ["blind"]),
        ("--magnification 10k..", ["tilted", "old"]),
        ("--magnification ..5000", ["flat", "unsure"]),
        ("--magnification 0.8k..5kx", ["flat", "unsure"]),
        ("--tilt -1..1", ["flat", "unsure", "old"]),
        ("--tilt 50..", ["tilted"]),
        ("--since 2h", ["cut", "flat", "tilted"]),
        ("--until 3d", ["old"]),
        ("--until today", ["cut", "flat", "tilted", "blind", "unsure", "old"]),
        ("--since 6h --until 3h", ["blind", "unsure"]),
        ("--session last", ["cut", "flat", "tilted"]),
        ("--session 1", ["old"]),
        ("--session none-such", []),
        ("--uncertain", ["unsure"]),
        ("--failed", ["cut"]),
        ("--all --since 1h", ["notes", "cut", "flat"]),
        ("--path t*", ["tilted"]),
        ("--path /data/*", ["cut", "flat", "tilted", "blind", "unsure", "old"]),
        ("--path /other/*", []),
        ("--limit 2", ["cut", "flat"]),
        ("--limit 0", ["cut", "flat", "tilted", "blind", "unsure", "old"]),
        ("--category Nanowires --tilt 50.. --hits", ["tilted"]),
        ("--day 2000-01-01..02", []),
        ("--text tilted", ["tilted"]),
        ("--text til*", ["tilted"]),
        ("--text tif --category Tips", ["unsure"]),
        ("--text nowhere", []),
        ("--where category='Nanowires'", ["flat", "tilted"]),
        ("--where magnification>=10000", ["tilted", "old"]),
        ("--alerted", []),
        ("--operator nobody", []),
        ("--stage-x 0..1 --stage-y 0..1", []),
        ("--working-distance ..0.001", []),
        ("--sort path", ["blind", "cut", "flat", "old", "tilted", "unsure"]),
        ("--sort -magnification --limit 1", ["tilted"]),
    ],
)
def test_filters_add_up(ledger: Path, arguments: str, names: list[str]) -> None:
    assert [name.split(".")[0] for name in _names(ledger, *arguments.split())] == names


@pytest.mark.parametrize("arguments", [[], ["--category", "Nanowires"], ["--hits"], ["--failed"], ["--target", "no"]])
def test_every_shape_gives_the_same_rows(ledger: Path, arguments: list[str]) -> None:
    def ask(shape: list[str]) -> str:
        return CliRunner().invoke(cli, ["log", "--ledger", str(ledger), *shape, *arguments]).stdout

    names = _names(ledger, *arguments)
    table = [line.split("/")[-1] for line in ask([]).splitlines()[1:]]
    as_csv = [Path(row["path"]).name for row in csv.DictReader(io.StringIO(ask(["--csv"])))]
    as_json = [Path(row["path"]).name for row in json.loads(ask(["--json"]))]

    assert table == as_csv == as_json == names
    assert ask(["--count"]) == f"{len(names)}\n"


def test_a_row_for_machines_has_every_score_and_a_time_with_its_offset(ledger: Path) -> None:
    result = CliRunner().invoke(cli, ["log", "--ledger", str(ledger), "--json", "--hits"])
    (row,) = json.loads(result.stdout)

    assert list(row["scores"]) == list(CATEGORIES)
    assert row["targets"] == ["wires"]
    assert (row["magnification"], row["stage_tilt_deg"]) == (20000.0, 52.0)
    assert datetime.fromisoformat(row["recorded_at"]).utcoffset() is not None


def test_csv_has_a_column_for_each_score(ledger: Path) -> None:
    result = CliRunner().invoke(cli, ["log", "--ledger", str(ledger), "--csv", "--hits"])
    (row,) = csv.DictReader(io.StringIO(result.stdout))

    assert float(row["score_Nanowires"]) == 0.95
    assert (row["uncertain"], row["targets"]) == ("false", "wires")


@pytest.mark.parametrize(
    ("arguments", "code", "stdout"),
    [
        (["--target", "no"], 3, ""),
        (["--target", "no", "--json"], 3, "[]\n"),
        (["--target", "no", "--ndjson"], 3, ""),
        (["--target", "no", "--count"], 0, "0\n"),
        (["--hits", "--count"], 0, "1\n"),
    ],
)
def test_nothing_found_ends_with_3_but_a_count_of_0_is_an_answer(
    ledger: Path, arguments: list[str], code: int, stdout: str
) -> None:
    result = CliRunner().invoke(cli, ["log", "--ledger", str(ledger), *arguments])

    assert (result.exit_code, result.stdout) == (code, stdout)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--json", "--csv"], "--json and --csv exclude each other"),
        (["--ndjson", "--count"], "--ndjson and --count exclude each other"),
        (["--failed", "--all"], "--failed and --all exclude each other"),
        (["--since", "soon"], "'soon' is not a time: write 2h"),
        (["--magnification", "5000"], "write LO..HI, LO.. or ..HI"),
        (["--magnification", "9k..1k"], "the low end is above the high end"),
        (["--tilt", "a..b"], "'a' is not a number"),
        (["--category", "Wires"], "is not one of Biological, Fibres,"),
        (["--min-probability", "80"], "0<=x<=1"),
        (["--min-probability", "nan"], "'nan' is not a number"),
        (["--magnification", "1e999.."], "'1e999' is too large a number"),
        (["--limit", "-1"], "x>=0"),
    ],
)
def test_a_wrong_filter_is_a_usage_error(ledger: Path, arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(cli, ["log", "--ledger", str(ledger), *arguments])

    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stdout == ""


def test_a_period_that_ends_before_it_begins_is_told(ledger: Path) -> None:
    backwards = ["--since", "2026-03-02", "--until", "2026-03-01"]
    result = CliRunner().invoke(cli, ["log", "--ledger", str(ledger), *backwards])

    assert result.exit_code == 2
    assert "'--since': 2026-03-02 (2026-03-02 00:00:00) is after 2026-03-01 (2026-03-01 23:59:59)" in " ".join(
        result.stderr.split()
    )


def test_the_table_has_the_number_that_a_review_takes(ledger: Path) -> None:
    title, *lines = CliRunner().invoke(cli, ["log", "--ledger", str(ledger)]).stdout.splitlines()
    ids = [row["id"] for row in json.loads(CliRunner().invoke(cli, ["log", "--ledger", str(ledger), "--json"]).stdout)]

    assert title.split()[0] == "No."
    assert [int(line.split()[0]) for line in lines] == ids


def test_without_a_ledger_one_line_says_what_makes_it(emwatch: Run, tmp_path: Path) -> None:
    ended = emwatch("log", "--ledger", tmp_path / "none.sqlite3")

    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(
        r"error: .*none\.sqlite3: no ledger here yet: `emwatch run` makes it; .*--ledger.*--config FILE\n", ended.stderr
    )


def test_the_ledger_of_the_configuration_is_asked(emwatch: Run, ledger: Path) -> None:
    file = ledger.parent / "c.yaml"
    file.write_text("ledger: {path: ledger.sqlite3}", encoding="utf-8")

    assert emwatch("log", "--count", "--config", file).stdout == "6\n"
    assert emwatch("log", "--count", EMWATCH_LEDGER_PATH=str(ledger)).stdout == "6\n"


def test_asking_changes_nothing(emwatch: Run, ledger: Path) -> None:
    before = ledger.read_bytes()

    emwatch("log", "--ledger", ledger, "--csv")

    assert ledger.read_bytes() == before


def test_names_that_steer_a_terminal_are_shown_not_obeyed(
    tmp_path: Path, write_ledger: Run, make_row: Run, emwatch: Run
) -> None:
    name = "a\x1b[2J\nb\u202e[bold].tif"
    ledger = write_ledger(tmp_path / "l.sqlite3", (make_row(name),))

    outputs = [emwatch("log", "--ledger", ledger, *shape).stdout for shape in ([], ["--csv"], ["--ndjson"])]

    assert [set(output) & {"\x1b", "\u202e"} for output in outputs] in (
        [set(), set(), set()],
        [set(), set(), {"\u202e"}],
    )
    assert [output.count("\n") for output in outputs] == [2, 2, 1]
    assert r"a\x1b[2J\nb\u202e[bold].tif" in outputs[0]
    assert Path(json.loads(outputs[2])["path"]).name == name


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@cmd", "'@cmd"),
        ("+x", "'+x"),
        ("-x", "'-x"),
        ("-1.5", "-1.5"),
        (-1.5, "-1.5"),
        ("+3", "+3"),
        ("plain", "plain"),
        ("\tx", r"\tx"),
        (None, ""),
        (True, "true"),
    ],
)
def test_a_csv_cell_is_never_a_formula(value: object, cell: str) -> None:
    assert csv_cell(value) == cell


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("1000..", Window(1000, None)),
        ("..5000", Window(None, 5000)),
        ("5k..20k", Window(5000, 20000)),
        (" 1.5 k .. 2 K ", Window(1500, 2000)),
        ("-10..-5.5", Window(-10, -5.5)),
        ("1e3..1M", Window(1000, 1e6)),
    ],
)
def test_a_range_is_read_as_people_write_it(text: str, window: Window) -> None:
    assert Range().convert(text, None, None) == window


def test_a_reader_that_has_seen_enough_ends_the_program_quietly(ledger: Path) -> None:
    import subprocess
    import sys

    program = f"{sys.executable} -m emwatch log --ledger {ledger} --ndjson"
    ended = subprocess.run(
        ["/bin/bash", "-c", f"set -o pipefail; {program} | true"], capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_terminal_gets_a_screenful_and_a_pipe_everything(
    tmp_path: Path, write_ledger: Run, make_row: Run, emwatch: Run, on_terminal: Run
) -> None:
    rows = tuple(make_row(f"{number:03}.tif", hours_ago=1 - number / 1000) for number in range(55))
    ledger = write_ledger(tmp_path / "l.sqlite3", rows)

    shown, whole, piped = (
        on_terminal("log", "--ledger", ledger),
        on_terminal("log", "--ledger", ledger, "--limit", "0"),
        emwatch("log", "--ledger", ledger).stdout,
    )

    assert [text.count(".tif") for text in (shown, whole, piped)] == [50, 55, 55]
    assert "50 of 55 rows; --limit N shows more, --limit 0 all" in shown
    assert "below /data/sem\n" in shown
    assert "/data/sem/000.tif" in piped


def test_a_name_that_is_not_there_is_told_apart_from_one_without_frames(ledger: Path) -> None:
    for option, says in (("--target", "known are 'wires'"), ("--session", "the last are 3 = ")):
        result = CliRunner().invoke(cli, ["log", "--ledger", str(ledger), option, "xyz"])

        assert result.exit_code == 3
        assert "there is no" in result.stderr
        assert says in result.stderr


def test_who_asks_for_an_instrument_or_a_name_that_no_frame_has_is_told_which_there_are(tmp_path: Path) -> None:
    place = tmp_path / "l.sqlite3"
    with Ledger(place) as opened:
        for number, instrument in enumerate(("Merlin", "Auriga", "Merlin")):
            named = make_metadata("zeiss", instrument=instrument, detector="SE2")
            opened.record(make_outcome(f"/sem/frame_{number}.tif", str(number), metadata=named), NOON)

    def told(*arguments: str) -> list[str]:
        result = CliRunner().invoke(cli, ["log", "--ledger", str(place), *arguments])
        return result.stderr.splitlines()

    assert told("--instrument", "Zeiss") == [
        "nothing found",
        "no frame has the instrument 'Zeiss'; known are 'Auriga', 'Merlin'",
    ]
    assert told("--instrument", "merl*", "--tilt", "89..") == ["nothing found"]
    assert told("--operator", "ana") == ["nothing found", "no frame has the operator 'ana'; it is known of none"]
    assert told("--path", "frame") == [
        "nothing found",
        "--path 'frame' means exactly this name; a part of names: --path '*frame*'",
    ]
    assert told("--path", "nowhere*") == ["nothing found"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--where", "1); DELETE FROM frames; --"], "where"),
        (["--where", "no_such_column > 3"], "no such column"),
        (["--where", "(SELECT load_extension('x'))"], "not authorized"),
        (["--text", "..."], "no word"),
        (["--day", "2026-11-22..20"], "is after"),
        (["--day", "today", "--since", "2h"], "says both"),
        (["--sort", "colour"], "recorded_at"),
        (["--fields", "colour"], "magnification"),
    ],
)
def test_a_question_that_makes_no_sense_is_told(ledger: Path, arguments: list[str], told: str) -> None:
    before = ledger.read_bytes()
    result = CliRunner().invoke(cli, ["log", "--ledger", str(ledger), *arguments])

    assert result.exit_code == 2, result.output
    assert told in " ".join(result.stderr.split())
    assert ledger.read_bytes() == before


def test_named_fields_are_the_same_in_every_shape(ledger: Path) -> None:
    def ask(shape: str) -> str:
        asked = ["log", "--ledger", str(ledger), "--fields", "id,category,magnification", shape]
        return CliRunner().invoke(cli, asked).stdout

    as_tsv = list(csv.reader(io.StringIO(ask("--tsv")), delimiter="\t"))
    as_csv = list(csv.reader(io.StringIO(ask("--csv"))))
    as_json = json.loads(ask("--json"))
    as_ndjson = [json.loads(line) for line in ask("--ndjson").splitlines()]

    assert as_csv == as_tsv
    assert as_tsv[0] == list(as_json[0]) == ["id", "category", "magnification"]
    assert as_json == as_ndjson
    assert [row[0] for row in as_tsv[1:]] == [str(row["id"]) for row in as_json]
    assert len(as_json) == 6


@pytest.mark.slow  # one format is of an extra
def test_every_format_holds_the_same_rows(ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emwatch.cli.terminal.separated._ROWS_AT_A_TIME", 25)
    parquet = pytest.importorskip("pyarrow.parquet")
    target = tmp_path / "log.parquet"
    texts = ("", "plain", 'Ana "A", B; C', "1.5", "µm\u2014x", "true", "last\\")
    with Ledger(ledger) as writer:
        for number in range(49):
            named = make_metadata("zeiss", operator=texts[number % 7] or None, magnification=number / 7 or None)
            made = make_outcome(f"/data/{number},{texts[number % 7]}.tif", str(number), metadata=named)
            writer.record(made, NOON + timedelta(seconds=number / 3))

    def said(*asked: str) -> str:
        result = CliRunner().invoke(cli, ["log", "--ledger", str(ledger), "--all", *asked])
        assert result.exit_code == 0, result.output
        return result.stdout

    said("--parquet", str(target))
    rows = json.loads(said("--json"))
    times = [name for name in rows[0] if name.endswith("_at") and name != "acquired_at"]
    stored = parquet.read_table(target).to_pylist()
    for row in stored:
        row["scores"] = json.loads(row["scores"]) if row["scores"] else None
        row |= {name: row[name] and row[name].astimezone().isoformat(timespec="milliseconds") for name in times}

    assert len(rows) == 56
    assert [json.loads(line) for line in said("--ndjson").splitlines()] == rows
    assert stored == rows
    for option, separator in (("--csv", ","), ("--tsv", "\t")):
        cells = list(csv.DictReader(io.StringIO(said(option)), delimiter=separator))
        assert [_read_back(each, like=rows) for each in cells] == rows


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Monrovia"])
def test_csv_has_the_times_of_json_when_clocks_change(emwatch: Run, tmp_path: Path, zone: str) -> None:
    changes = (  # of these zones, in UTC; that of 1972 is in the middle of a minute
        *("2026-03-29T01:00:00", "2026-10-25T01:00:00", "2026-04-04T15:00:00", "2026-10-03T15:30:00"),
        *("1985-12-31T18:30:00", "1972-01-07T00:44:30"),
    )
    with Ledger(tmp_path / "l.sqlite") as ledger:
        for at, seconds in product(
            (datetime.fromisoformat(f"{each}+00:00") for each in changes), (-61, -0.001, 0, 59.5)
        ):
            moment = at + timedelta(seconds=seconds)
            ledger.record(make_outcome(Path(f"/{moment}.tif"), str(moment), written_at=moment), moment)

    as_csv, as_json = (
        emwatch("log", "--ledger", tmp_path / "l.sqlite", shape, TZ=zone) for shape in ("--csv", "--json")
    )
    times = [(row["recorded_at"], row["file_modified_at"]) for row in csv.DictReader(io.StringIO(as_csv.stdout))]

    assert len(set(times)) == 24
    assert times == [(row["recorded_at"], row["file_modified_at"]) for row in json.loads(as_json.stdout)]


def _read_back(cells: dict[str, str], like: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a row of CSV as JSON has it; what a column holds is seen from all rows."""
    scores = {category: float(text) for category in CATEGORIES if (text := cells.pop(f"score_{category}"))}
    row: dict[str, Any] = {}
    for name, text in cells.items():
        known: Any = next((each[name] for each in like if each[name] is not None), "")
        if name == "targets":
            row[name] = text.split("; ") if text else []
        elif not text and any(each[name] is None for each in like):
            row[name] = None
        else:
            row[name] = text == "true" if isinstance(known, bool) else type(known)(text)
    return row | {"scores": scores or None}


@pytest.mark.parametrize("key", [each.key for each in FILTERS if each.kind in {"text", "when"}])
def test_an_empty_filter_is_refused_and_does_not_mean_every_frame(ledger: Path, key: str) -> None:
    """``emwatch review --confirm --session "$SESSION"`` in a script that did not set it."""
    before = ledger.read_bytes()
    for command, empty in ((("log",), " "), (("review", "--confirm", "--yes"), "")):
        ended = CliRunner().invoke(cli, [*command, f"--{key}", empty, "--ledger", str(ledger)])
        assert ended.exit_code == 2
        assert "is empty; was it meant to come from a variable that is not set?" in ended.stderr
    assert ledger.read_bytes() == before


@pytest.mark.parametrize(
    "command",
    [
        *("log --limit", "tail --lines", "plot latency --limit", "map --limit", "session list --limit"),
        *("alerts list --limit", "alerts ack", "note --remove"),
    ],
)
@pytest.mark.parametrize("number", [2**63 - 1, 2**63, 10**30])
def test_a_number_that_no_database_holds_is_refused(ledger: Path, command: str, number: int) -> None:
    ended = CliRunner().invoke(cli, [*command.split(), str(number), "--ledger", str(ledger)])
    assert isinstance(ended.exception, SystemExit)
    assert ended.exit_code == 2
    assert "is larger than any number of the ledger" in ended.stderr
