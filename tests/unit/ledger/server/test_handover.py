from __future__ import annotations

import random
import re
import shutil
import sqlite3
import string
import traceback
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emwatch.errors import LedgerError
from emwatch.frame import Review, ReviewVerdict
from emwatch.ledger.care.prune import Prune
from emwatch.ledger.entries import Note, SessionChange
from emwatch.ledger.filters import LogFilter
from emwatch.ledger.query import LedgerReader
from emwatch.ledger.server import changes
from emwatch.ledger.server.connect import Server
from emwatch.ledger.server.handover import Handover
from emwatch.ledger.server.tables import NUMBERS, OF_FRAMES, SHARED, SPAN, server_tables
from emwatch.ledger.writer import Ledger
from emwatch.testing import make_prediction
from tests.recorded import record

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from emwatch.frame import Outcome
    from tests.postgres import Postgres

    Make = Callable[..., Outcome]

#: They need PostgreSQL, which `.ci/run` installs before the slow tests.
pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[4]
_TABLES = ("sessions", "frames", *OF_FRAMES)


def held(server: Server, number: int = 1) -> dict[str, list[dict[str, Any]]]:
    """What the server has of a ledger, by table, with the numbers of the ledger itself."""
    found = {}
    with server.reading() as connection:
        for name in _TABLES:
            rows = connection.execute(server_tables.tables[name].select()).mappings()
            found[name] = sorted((_as_here(row, number) for row in rows if _ledger(row) == number), key=str)
    return found


def _ledger(row: Any) -> int:
    return int(row["id"] if "id" in row else row["frame_id"]) // SPAN


def _as_here(row: Any, number: int) -> dict[str, Any]:
    return {
        name: value - number * SPAN if name in NUMBERS and value is not None else value
        for name, value in row.items()
        if name not in {"ledger", "is_indexed"}
    }


def recorded(path: Path) -> dict[str, list[dict[str, Any]]]:
    """What a ledger's file has, by table."""
    found = {}
    with closing(sqlite3.connect(path)) as driver:
        driver.row_factory = sqlite3.Row
        for name in _TABLES:
            kinds = {each.name: each.type.python_type for each in server_tables.tables[name].columns}
            rows = [
                {
                    key: bool(value) if kinds[key] is bool and value is not None else value
                    for key, value in dict(row).items()
                    if key != "is_indexed"
                }
                for row in driver.execute(f"SELECT * FROM {name}")
            ]
            found[name] = sorted(rows, key=str)
    return found


@pytest.fixture(name="handover")
def _handover(ledger: Ledger, server: Server) -> Handover:
    return Handover(ledger, server)


def all_of(handover: Handover, now: datetime) -> int:
    number = 0
    while some := handover.hand_over(now):
        number += some
    return number


def test_the_server_holds_what_the_ledger_holds(
    handover: Handover, ledger: Ledger, server: Server, frame_of: Make, failure_of: Make, noon: datetime
) -> None:
    ledger.record(frame_of(targets=("wanted",), numbers={"magnification": 5000.0}), noon)
    ledger.record(frame_of("/acq/b.tif", "B", category="Nanowires"), noon + timedelta(hours=9))
    ledger.record(failure_of("/acq/c.tif"), noon)
    assert changes.waiting(ledger.path) is None  # nothing was ever handed over
    assert all_of(handover, noon) == 4  # three files, and their session
    assert held(server) == recorded(ledger.path)
    assert changes.waiting(ledger.path) == 0
    assert handover.hand_over(noon) == 0


def test_what_changes_later_is_handed_over_as_well(
    handover: Handover, ledger: Ledger, server: Server, frame_of: Make, failure_of: Make, noon: datetime
) -> None:
    first = ledger.record(frame_of(targets=("wanted",)), noon).frame_id
    broken = ledger.record(failure_of("/acq/c.tif"), noon).frame_id
    all_of(handover, noon)

    [alert] = ledger.due_alerts("terminal", noon)

    def pruned() -> None:
        ledger.prune(Prune(lambda _path: False, failed=noon + timedelta(days=99)), apply=True)

    for change in (
        lambda: ledger.add_reviews([Review(first, ReviewVerdict.RELABEL, "Films", "Ana", noon, "thin")]),
        lambda: ledger.enter(Note("broken tip", "Ana", noon, frame_id=first)),
        lambda: ledger.enter(Note("a good day", "Ana", noon, session_id=1)),
        lambda: ledger.add_prediction(first, make_prediction("Films", bundle_sha256="c" * 64), noon),
        lambda: ledger.alert_delivered(alert.id, noon),
        lambda: ledger.record(frame_of("/acq/c.tif", "C"), noon),  # was cut off, and is whole now
        lambda: ledger.record(frame_of(content="A2"), noon),  # overwritten
        lambda: ledger.record(failure_of("/acq/d.tif"), noon),
        pruned,
    ):
        change()
        assert all_of(handover, noon) > 0
        assert held(server) == recorded(ledger.path)
    assert ledger.record(frame_of("/acq/c.tif", "C"), noon).frame_id == broken


def test_a_batch_whose_end_was_not_noted_changes_nothing_a_second_time(
    handover: Handover, ledger: Ledger, server: Server, frame_of: Make, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.record(frame_of(targets=("wanted",)), noon)

    def killed(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(changes, "handed_over", killed)  # between the server's commit and the ledger's
    with pytest.raises(KeyboardInterrupt):
        handover.hand_over(noon)
    monkeypatch.undo()
    assert held(server) == recorded(ledger.path)
    ledger.record(frame_of("/acq/b.tif", "B"), noon)
    for again in (handover, Handover(ledger, server)):  # the same daemon, and the next one
        all_of(again, noon)
        assert held(server) == recorded(ledger.path)
        assert again.news == []
        ledger.record(frame_of("/acq/c.tif", "C"), noon)


def test_what_changes_while_it_is_handed_over_is_handed_over_again(
    handover: Handover, ledger: Ledger, server: Server, frame_of: Make, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = ledger.record(frame_of(), noon).frame_id
    real = changes.handed_over

    def meanwhile(*args: Any) -> None:
        monkeypatch.undo()
        args[0].exec_driver_sql(f"UPDATE frames SET attempts = 7 WHERE id = {number}")
        real(*args)

    monkeypatch.setattr(changes, "handed_over", meanwhile)
    handover.hand_over(noon)
    assert changes.waiting(ledger.path) == 1
    all_of(handover, noon)
    assert held(server) == recorded(ledger.path)


def test_two_ledgers_with_the_same_paths_stay_apart(
    handover: Handover, ledger: Ledger, server: Server, frame_of: Make, noon: datetime, tmp_path: Path
) -> None:
    with Ledger(tmp_path / "other.sqlite") as other:
        second = Handover(other, server)
        for each in (ledger, other):
            each.record(frame_of(targets=("wanted",)), noon)
            each.record(frame_of("/acq/b.tif", "B"), noon)
        all_of(handover, noon)
        all_of(second, noon)
        assert held(server, 1) == recorded(ledger.path)
        assert held(server, 2) == recorded(other.path)


@pytest.mark.parametrize("batches", [1, 3])
def test_a_file_restored_from_a_backup_loses_nothing_and_doubles_nothing(
    handover: Handover,
    ledger: Ledger,
    server: Server,
    frame_of: Make,
    noon: datetime,
    tmp_path: Path,
    batches: int,
) -> None:
    ledger.record(frame_of(targets=("wanted",)), noon)
    all_of(handover, noon)
    ledger.close()
    backup = tmp_path / "backup.sqlite"
    shutil.copy(ledger.path, backup)
    with Ledger(ledger.path) as again:
        later = Handover(again, server)
        for number in range(batches):
            again.record(frame_of(f"/acq/later{number}.tif", f"L{number}"), noon)
            all_of(later, noon)
    shutil.copy(backup, ledger.path)
    with Ledger(ledger.path) as restored:
        # Another frame has the number that a later one had.
        restored.record(frame_of("/acq/other.tif", "O"), noon)
        restored.record(frame_of("/acq/later0.tif", "L0"), noon)
        last = Handover(restored, server)
        all_of(last, noon)
        assert len(last.news) == 1
        assert held(server, 2) == recorded(restored.path)
        kept = [f"/acq/later{number}.tif" for number in range(batches)]
        assert paths(server) == sorted(["/acq/a.tif", "/acq/other.tif", *kept])


def test_a_server_that_was_restored_is_given_everything_again(
    handover: Handover, ledger: Ledger, server: Server, frame_of: Make, noon: datetime, postgres: Postgres
) -> None:
    ledger.record(frame_of(), noon)
    all_of(handover, noon)
    empty = Server(postgres.database(), server.password)
    dumped = Server(postgres.database(), server.password)
    for started in (handover, Handover(ledger, empty), Handover(ledger, empty)):
        ledger.record(frame_of(f"/acq/{id(started)}.tif", str(id(started))), noon)
        all_of(started, noon)
    assert held(empty) == recorded(ledger.path)
    # One that was saved three starts ago is put back: it knows the ledger, and not these starts of it.
    [(identity,)] = postgres.query(empty.url, "SELECT identity FROM ledgers")
    with dumped.writing() as connection, connection.begin():
        connection.exec_driver_sql(
            "INSERT INTO ledgers (identity, host, path, follows, run, batches, first_at, last_at)"
            f" VALUES ('{identity}', '', '', '{{}}', 'long ago', 1, '', '')"
        )
    last = Handover(ledger, dumped)
    all_of(last, noon)
    assert "everything is handed over again" in last.news[0]
    assert held(dumped) == recorded(ledger.path)


@pytest.mark.parametrize(
    "lost", ["TRUNCATE ledgers", "UPDATE ledgers SET batches = 1", "TRUNCATE ledgers, frames CASCADE"]
)
def test_a_server_that_is_restored_while_a_daemon_runs(
    ledger: Ledger, server: Server, frame_of: Make, noon: datetime, postgres: Postgres, lost: str
) -> None:
    """The transaction that notices it must not wait for itself."""
    impatient = Server(f"{server.url}?options=-c%20lock_timeout%3D2s", server.password)
    handover = Handover(ledger, impatient)
    for name in ("a", "b", "c"):
        ledger.record(frame_of(f"/acq/{name}.tif", name), noon)
        all_of(handover, noon)
    postgres.query(server.url, lost)
    ledger.record(frame_of("/acq/d.tif", "D"), noon)
    all_of(handover, noon)
    assert "everything is handed over again" in handover.news[0]
    [(number,)] = postgres.query(server.url, "SELECT max(number) FROM ledgers")
    assert held(server, int(str(number))) == recorded(ledger.path)


def test_a_copied_file_is_noticed_while_daemons_run(
    ledger: Ledger, server: Server, frame_of: Make, noon: datetime, tmp_path: Path
) -> None:
    impatient = Server(f"{server.url}?options=-c%20lock_timeout%3D2s", server.password)
    handover = Handover(ledger, impatient)
    ledger.record(frame_of(), noon)
    all_of(handover, noon)
    shutil.copy(ledger.path, tmp_path / "copy.sqlite3")
    with Ledger(tmp_path / "copy.sqlite3") as copied:
        other = Handover(copied, impatient)
        for at, each in enumerate((copied, ledger, copied, ledger)):
            each.record(frame_of(f"/acq/{at}.tif", str(at)), noon)
            all_of(handover if each is ledger else other, noon)
        paths_of = [{row["path"] for row in held(server, number)["frames"]} for number in (1, 2)]
    assert sorted(map(len, paths_of)) == [2, 3]


def test_tables_of_another_emwatch(
    handover: Handover, ledger: Ledger, server: Server, frame_of: Make, noon: datetime, postgres: Postgres
) -> None:
    ledger.record(frame_of(), noon)
    all_of(handover, noon)
    postgres.query(server.url, "UPDATE emwatch_server SET revision = '9999'")
    ledger.record(frame_of("/acq/b.tif", "B"), noon)
    with pytest.raises(LedgerError, match="of a newer emwatch"):
        handover.hand_over(noon)
    postgres.query(server.url, "UPDATE emwatch_server SET revision = '0001'")
    postgres.query(server.url, "ALTER TABLE frames DROP COLUMN instrument_id CASCADE")
    with pytest.raises(LedgerError, match="of an older emwatch"), server.reading():
        pass
    ledger.handover_changes(changes.note_all)
    all_of(handover, noon)
    assert held(server) == recorded(ledger.path)


def test_texts_of_any_length_go_over(
    handover: Handover, ledger: Ledger, server: Server, frame_of: Make, noon: datetime
) -> None:
    """One row that the server refused would hold up the whole ledger for ever."""
    draw = random.Random(1)

    def text(length: int) -> str:  # that does not compress
        return "".join(draw.choices(string.ascii_letters, k=length))

    deep = "/acq/" + "/".join(text(200) for _ in range(19))
    first = ledger.record(frame_of(f"{deep}/a.tif"), noon).frame_id
    assert ledger.record(frame_of(f"{deep}/a.tif", content="A2"), noon).frame_id is not None
    all_of(handover, noon)
    ledger.add_reviews([Review(first, ReviewVerdict.CONFIRM, "Tips", text(30_000), noon, text(30_000))])
    ledger.enter(Note(" ".join(text(500) for _ in range(15_000)), text(30_000), noon, frame_id=first))
    ledger.enter(
        Note(" ".join("\N{GREEK SMALL LETTER MU}" * each for each in range(1, 500)) * 20, "Ana", noon, session_id=1)
    )
    ledger.enter(SessionChange(1, text(30_000), operator=text(30_000), sample=text(30_000)))
    ledger.handover_changes(lambda here: here.exec_driver_sql("UPDATE sessions SET folder = ?", (deep,)))
    all_of(handover, noon)
    assert held(server) == recorded(ledger.path)
    with LedgerReader(server) as reader:
        assert [str(row.path) for row in reader.rows(LogFilter(path=f"{deep}/*"))] == [f"{deep}/a.tif"]


@pytest.mark.parametrize("text", ["'a' || char(0) || 'b'", "CAST(x'61ff62' AS TEXT)", "CAST(x'610062ff' AS TEXT)"])
def test_bytes_that_another_program_wrote_hold_nothing_up(
    handover: Handover, ledger: Ledger, server: Server, frame_of: Make, noon: datetime, text: str
) -> None:
    for name in ("a", "b"):
        ledger.record(frame_of(f"/acq/{name}.tif", name), noon)
    with closing(sqlite3.connect(ledger.path)) as driver, driver:
        driver.execute(f"UPDATE frames SET reason = {text}, path = '/acq/' || {text} WHERE id = 1")
    all_of(handover, noon)
    assert [row["id"] for row in held(server)["frames"]] == [1, 2]
    assert changes.waiting(ledger.path) == 0


def test_words_for_what_is_wrong(server: Server, postgres: Postgres) -> None:
    secret = "not this one"
    name = server.url.rpartition("/")[2]
    postgres.query(server.url, "CREATE ROLE reader LOGIN PASSWORD 'reads'")
    reader = Server(server.url.replace("owner@", "reader@"), lambda: "reads")
    for wrong, words in (
        (replace(server, password=lambda: secret), "refuses this user"),
        (Server(server.url.replace(name, "nothing"), server.password), "no such database"),
        (Server(server.url.replace(str(postgres.port), "1"), server.password), "does not answer"),
        (Server(server.url.replace("127.0.0.1", "no.such.host.invalid"), server.password), "does not answer"),
        (reader, "may not write there"),
    ):
        with pytest.raises(LedgerError, match=words) as raised, wrong.writing():
            pass
        assert secret not in "".join(traceback.format_exception(raised.value))
        with pytest.raises(LedgerError, match=words):
            wrong.probe()
    assert "no tables yet" in server.probe()
    with pytest.raises(LedgerError, match="no ledger was handed over"), server.reading():
        pass
    with server.writing():
        pass
    with pytest.raises(LedgerError, match="may not read that"), reader.reading():
        pass
    postgres.query(server.url, "CREATE DATABASE bare ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    bare = Server(server.url.replace(name, "bare"), server.password)
    for ask in (bare.probe, bare.writing().__enter__):
        with pytest.raises(LedgerError, match="ENCODING 'UTF8'"):
            ask()


def test_tables_of_another_program_are_left_alone(
    handover: Handover, ledger: Ledger, server: Server, frame_of: Make, noon: datetime, postgres: Postgres
) -> None:
    ledger.record(frame_of(), noon)
    postgres.query(server.url, "CREATE TABLE sessions (id bigint PRIMARY KEY, cookie text)")
    for ask in (lambda: handover.hand_over(noon), server.probe):
        with pytest.raises(LedgerError, match=r"tables of another program \(sessions\)"):
            ask()
    found = postgres.query(server.url, "SELECT relname FROM pg_class WHERE relname IN ('sessions', 'frames')")
    assert found == [("sessions",)]
    columns = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'sessions'"
    assert postgres.query(server.url, columns) == [(2,)]
    postgres.query(server.url, "DROP TABLE sessions")
    all_of(handover, noon)
    assert held(server) == recorded(ledger.path)


def test_a_password_that_is_changed_is_read_for_the_next_connection(
    ledger: Ledger, server: Server, frame_of: Make, noon: datetime, postgres: Postgres
) -> None:
    postgres.query(server.url, "CREATE ROLE changing LOGIN SUPERUSER PASSWORD 'before'")
    said = ["before"]
    handover = Handover(ledger, Server(server.url.replace("owner@", "changing@"), lambda: said[-1]))
    ledger.record(frame_of(), noon)
    all_of(handover, noon)
    postgres.query(server.url, "ALTER ROLE changing PASSWORD 'after'")
    ledger.record(frame_of("/acq/b.tif", "B"), noon)
    with pytest.raises(LedgerError, match="refuses this user"):
        handover.hand_over(noon)
    said.append("after")
    all_of(handover, noon)
    assert held(server) == recorded(ledger.path)


def test_options_for_libpq_in_the_address_are_kept(server: Server) -> None:
    asked = Server(f"{server.url}?application_name=lab&options=-c%20work_mem%3D7MB", server.password)
    with asked.writing() as connection:
        shown = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in ("work_mem", "statement_timeout")]
    assert shown == ["7MB", "2min"]


def test_a_microscope_is_removed_as_the_manual_says(
    handover: Handover, ledger: Ledger, server: Server, noon: datetime, postgres: Postgres
) -> None:
    record(ledger)
    all_of(handover, noon)
    manual = (REPOSITORY / "docs" / "many-microscopes.md").read_text(encoding="utf-8")
    block = re.search(r"```sql\n(DELETE FROM frames .*?)```", manual, re.DOTALL)
    assert block is not None
    for statement in block[1].replace("= 3", "= 1").splitlines():
        postgres.query(server.url, statement)
    for table in server_tables.sorted_tables:
        if table.name not in {"emwatch_server", *SHARED}:
            assert postgres.query(server.url, f"SELECT count(*) FROM {table.name}") == [(0,)], table.name


def paths(server: Server) -> list[str]:
    """The paths of all frames of a server."""
    frames = server_tables.tables["frames"]
    with server.reading() as connection:
        return sorted(connection.scalars(frames.select().with_only_columns(frames.c.path)))


def test_a_ledger_begun_anew_takes_the_place_of_the_one_before_but_not_of_what_people_wrote(
    handover: Handover, ledger: Ledger, server: Server, frame_of: Make, noon: datetime
) -> None:
    for name in ("a", "b", "c"):
        ledger.record(frame_of(f"/acq/{name}.tif", name), noon)
    ledger.add_reviews([Review(2, ReviewVerdict.CONFIRM, "Tips", "Ana", noon, "")])
    all_of(handover, noon)
    ledger.close()
    for each in ledger.path.parent.glob(f"{ledger.path.name}*"):
        each.unlink()
    with Ledger(ledger.path) as anew:
        for name in ("a", "b"):
            anew.record(frame_of(f"/acq/{name}.tif", name), noon)
        all_of(Handover(anew, server), noon)
    # b stays beside itself, since only the server knows its review; c is known to the server alone.
    assert paths(server) == ["/acq/a.tif", "/acq/b.tif", "/acq/b.tif", "/acq/c.tif"]
