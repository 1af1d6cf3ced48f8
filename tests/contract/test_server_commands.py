"""Commands that ask a server answer as they do for the ledger's file that was handed over to it."""

from __future__ import annotations

import hashlib
import json
import re
import signal
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from PIL import Image

from emwatch.ledger.server.connect import Server
from emwatch.ledger.server.handover import Handover
from emwatch.ledger.server.tables import SPAN
from emwatch.ledger.writer import Ledger
from emwatch.testing import NOON, make_metadata, make_outcome, make_stat_key
from tests.recorded import record

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Program

    from tests.postgres import Postgres

#: They need PostgreSQL, which `.ci/run` installs before the slow tests.
pytestmark = pytest.mark.slow

#: A frame of a map with a picture: base64 of a JPEG file.
HAS_PICTURE: Final = re.compile(r'"thumbnail": ?"[\w+/=]{100}')


def record_a_picture(ledger: Ledger, path: Path) -> None:
    """Record a frame that is really there."""
    grey = np.random.default_rng(1).integers(0, 255, (48, 64), dtype=np.uint8)
    Image.fromarray(grey).save(path)
    moment = NOON + timedelta(days=1, hours=1)
    made = make_outcome(
        path,
        targets=("wanted",),
        stat_key=make_stat_key(moment),
        metadata=make_metadata(stage_x_mm=1.0, stage_y_mm=2.0),
    )
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert made.reading is not None
    ledger.record(replace(made, sha256=sha256, reading=replace(made.reading, sha256=sha256)), moment)


@pytest.fixture(name="places", scope="module")
def _places(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> tuple[Path, str]:
    """A ledger's file, and the address of the server that it was handed over to."""
    folder, url = tmp_path_factory.mktemp("commands"), postgres.database()
    with Ledger(folder / "ledger.sqlite") as ledger:
        record(ledger)
        record_a_picture(ledger, folder / "there.tif")
        Handover(ledger, Server(url, lambda: postgres.PASSWORD)).hand_over(NOON)
        return ledger.path, url


@pytest.fixture(autouse=True)
def _password(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", postgres.PASSWORD)  # libpq finds it by itself


def here(text: str) -> str:
    """What a server says, with the numbers of the ledger."""
    return re.sub(rf"\b{str(SPAN)[:5]}(\d{{5}})\b", lambda found: str(int(found[1])), text)


@pytest.mark.parametrize(
    "words",
    [
        ("log", "--count"),
        ("log", "--csv", "--fields", "path,magnification,uncertain,targets", "--path", "*müller*"),
        ("stats", "--by", "category"),
        ("tail", "-n", "3"),
        *(("plot", kind) for kind in ("categories", "confidence", "magnification", "latency")),
        ("plot", "magnification", "--path", "*müller*"),
        ("review", "--list", "--json"),
        ("review", "--list", "--json", "--category", "Tips", "--session", "Wafer 7"),
    ],
    ids=" ".join,
)
def test_a_command_says_the_same(emwatch: Program, places: tuple[Path, str], words: tuple[str, ...]) -> None:
    file, url = places
    assert here(emwatch(*words, "--ledger", url).stdout) == emwatch(*words, "--ledger", file).stdout != ""


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (("map",), "map.html"),
        (("map", "--on-sample", "--hits"), "map.svg"),
        (("map", "--thumbnails", "1"), "map.html"),
        (("sheet", "--limit", "3"), "sheet.png"),
        (("plot", "confidence"), "plot.png"),
    ],
    ids=str,
)
def test_a_command_draws_the_same(emwatch: Program, places: tuple[Path, str], words: tuple[str, ...], out: str) -> None:
    drawn: list[bytes] = []
    for place in places:
        made = emwatch.home / out
        emwatch(*words, "--out", made, "--ledger", place)
        content = made.read_bytes()
        drawn.append(content if out.endswith("png") else here(content.decode()).encode())
        made.unlink()
    assert drawn[0] == drawn[1]
    if out == "map.html":
        assert HAS_PICTURE.search(drawn[1].decode())  # of the one frame that is there


def test_a_session_is_reported_the_same(emwatch: Program, places: tuple[Path, str]) -> None:
    documents: list[dict[str, Any]] = []
    for place in places:
        said = here(emwatch("report", "Wafer 7", "--json", "--ledger", place).stdout)
        documents.append(json.loads(said) | {"made_at": ""})
    file, server = documents
    assert server.pop("configuration") == {"ledger.server": Server(places[1]).name}
    assert file.pop("configuration")["watch.directory"]
    assert server == file
    assert server["counts"]["frames"] > 0


def test_the_page_of_a_session_has_pictures_of_frames_that_are_there(
    emwatch: Program, places: tuple[Path, str]
) -> None:
    out = emwatch.home / "report.html"
    told = emwatch("report", "last", "--out", out, "--ledger", places[1]).stderr
    page = out.read_text(encoding="utf-8")
    assert "data:image/jpeg" in page
    assert Server(places[1]).name in page
    assert str(emwatch.watched) not in page  # of the PC that asks
    assert "written" in told


QUESTIONS: Final = (
    "SELECT category, count(*) AS n, avg(probability) AS p FROM v_log GROUP BY 1 ORDER BY 2 DESC, 1",
    "SELECT path, recorded_at, uncertain, magnification, notes FROM v_log WHERE path LIKE '/acq/%' ORDER BY path, recorded_at",
    "WITH t AS (SELECT sum(width) AS w FROM frames) SELECT w FROM t; -- all",
    "VALUES (1, 'a', NULL), (2, 'b%s', 0.5)",
)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("shape", ["--csv", "--json"])
def test_questions_in_sql(emwatch: Program, places: tuple[Path, str], question: str, shape: str) -> None:
    file, url = places
    said, there = (emwatch("sql", question, shape, "--ledger", place).stdout for place in (file, url))
    assert len(there.splitlines()) > 1
    assert said == there


def test_a_table_of_an_sql_question_to_a_server(emwatch: Program, places: tuple[Path, str]) -> None:
    shown = emwatch("sql", "SELECT host, last_at, now() AS t, '{a,b}'::text[] AS l FROM ledgers", "--ledger", places[1])
    assert '["a", "b"]' in shown.stdout
    many = emwatch("sql", "SELECT generate_series(1, 1700) AS n", "--csv", "--ledger", places[1]).stdout
    assert many.split() == ["n", *map(str, range(1, 1701))]
    assert emwatch("sql", "SELECT 1 WHERE false", "--ledger", places[1], expect=3).stderr == "nothing found\n"


@pytest.mark.parametrize(
    "statement",
    [
        *(
            "DELETE FROM frames",
            "DROP TABLE frames",
            "SELECT 1; DROP TABLE frames",
            "SELECT 1; COMMIT; DROP TABLE frames",
        ),
        *("COMMIT", "WITH d AS (DELETE FROM frames RETURNING id) SELECT * FROM d", "SELECT 1 FROM frames FOR UPDATE"),
        *(
            "COPY frames TO STDOUT",
            "SET TRANSACTION READ WRITE",
            "SELECT set_config('transaction_read_only', 'off', true)",
        ),
        *("SELECT id INTO another FROM frames", "SELECT nextval('ledgers_number_seq')"),
        *("", "no question", "SELECT no_such_column FROM frames", "SELECT 1 / 0"),
    ],
)
def test_sql_that_would_change_a_server_is_refused(emwatch: Program, places: tuple[Path, str], statement: str) -> None:
    url = places[1]
    before = emwatch("log", "--count", "--ledger", url).stdout
    refused = emwatch("sql", statement, "--ledger", url, expect=2).stderr
    assert "QUESTION" in refused
    assert "Traceback" not in refused
    assert emwatch("log", "--count", "--ledger", url).stdout == before


def test_what_sql_does_in_a_server_is_rolled_back(emwatch: Program, places: tuple[Path, str]) -> None:
    url = places[1]
    emwatch.forks.run(
        ("sql", "SELECT lo_create(0)", "--ledger", url), emwatch.environ
    )  # older servers do not refuse it
    assert (
        emwatch("sql", "SELECT count(*) FROM pg_largeobject_metadata", "--csv", "--ledger", url).stdout == "count\n0\n"
    )


@pytest.mark.parametrize("question", ["SELECT pg_sleep(60)", "SELECT pg_sleep(0.01) FROM generate_series(1, 10000)"])
def test_sql_of_a_server_that_takes_too_long(emwatch: Program, places: tuple[Path, str], question: str) -> None:
    refused = emwatch("sql", question, "--csv", "--seconds", "0.2", "--ledger", places[1], expect=2).stderr
    assert "took longer than 0.2 s" in refused


def test_rows_of_all_microscopes_as_they_come(emwatch: Program, postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.database()
    server = Server(url, lambda: postgres.PASSWORD)

    def recorded(ledger: Ledger, name: str, hours: int) -> None:
        ledger.record(make_outcome(f"/acq/{name}", name), NOON + timedelta(hours=hours))
        while Handover(ledger, server).hand_over(NOON):
            pass

    with Ledger(tmp_path / "1.sqlite") as first, Ledger(tmp_path / "2.sqlite") as second:
        recorded(first, "a.tif", 1)
        recorded(second, "b.tif", 2)
        tail = emwatch.start("tail", "-f", "--ndjson", "-n", "1", "--path", "*.tif", "--ledger", url)
        assert tail.stdout is not None
        assert tail.stderr is not None
        try:
            come = lambda: json.loads(tail.stdout.readline())["path"]  # noqa: E731 - one line says it
            assert come() == "/acq/b.tif"
            recorded(first, "passed over.txt", 3)
            recorded(first, "c.tif", 0)  # handed over late, by the ledger with the lower number
            assert come() == "/acq/c.tif"
            recorded(second, "d.tif", 4)
            assert come() == "/acq/d.tif"
            with Ledger(tmp_path / "3.sqlite") as third:  # one that comes while others are followed
                third.record(make_outcome("/acq/old.tif", "old"), NOON)
                recorded(third, "e.tif", 5)
            assert come() == "/acq/e.tif"
            postgres.stop()
            assert "waiting for it" in tail.stderr.readline()
            postgres.start()
            recorded(second, "f.tif", 6)
            assert come() == "/acq/f.tif"
            tail.send_signal(signal.SIGINT)
            assert tail.wait(20) == 0
        finally:
            tail.kill()
            tail.communicate()


def test_pictures_on_a_map_are_of_the_newest_frames_of_all_ledgers(
    emwatch: Program, postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.database()
    placed = make_metadata(stage_x_mm=1.0, stage_y_mm=2.0)
    with Ledger(tmp_path / "1.sqlite") as first, Ledger(tmp_path / "2.sqlite") as second:
        record_a_picture(first, tmp_path / "there.tif")
        second.record(make_outcome("/acq/gone.tif", targets=("wanted",), metadata=placed), NOON)
        for each in (first, second):
            Handover(each, Server(url, lambda: postgres.PASSWORD)).hand_over(NOON)
    out = emwatch.home / "map.html"
    emwatch("map", "--thumbnails", "1", "--out", out, "--ledger", url)
    assert HAS_PICTURE.search(out.read_text(encoding="utf-8"))


def test_what_changes_something_needs_the_ledger(emwatch: Program, places: tuple[Path, str]) -> None:
    url = places[1]
    for words in (("run",), ("session", "end"), ("similar", "1")):
        assert "emwatch log" in emwatch(*words, "--ledger", url, expect=2).stderr
    for words in (("review", "--confirm", "1000000001"), ("review",), ("report", "--post", "elog")):
        assert "the ledger of the microscope" in emwatch(*words, "--ledger", url, expect=2).stderr


def test_single_frames_and_sessions_of_a_server(emwatch: Program, places: tuple[Path, str]) -> None:
    url = places[1]
    assert f"{SPAN + 1}" in emwatch("session", "list", "--ledger", url).stdout
    assert "Wafer 7" in emwatch("session", "show", str(SPAN + 1), "--ledger", url).stdout
    assert "Grain boundary" in emwatch("show", str(SPAN + 2), "--ledger", url).stdout


def test_a_server_that_cannot_be_asked(
    emwatch: Program, places: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = places[1]
    assert "ledger.server: is not configured" in emwatch("log", "--ledger", "server", expect=78).stderr
    assert "holds a password" in emwatch("log", "--ledger", url.replace("owner@", "owner:word@"), expect=2).stderr
    monkeypatch.setenv("PGPASSWORD", "another word")
    refused = emwatch("log", "--ledger", url, expect=1).stderr
    assert "refuses this user" in refused
    assert "another word" not in refused
