from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict, fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine

from emwatch.errors import LedgerError
from emwatch.frame import Review, ReviewVerdict, StatKey, path_to_text
from emwatch.ledger import schema
from emwatch.ledger.care import upgrade
from emwatch.ledger.care.upgrade import MIGRATIONS, bring_up_to_date
from emwatch.ledger.column_types import instant
from emwatch.ledger.database import ledger_errors, writing_engine
from emwatch.ledger.query import LedgerReader, LogFilter, LogRow
from emwatch.ledger.writer import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from emwatch.frame import Outcome

EARLIER_FORM = (
    "CREATE TABLE log_search (at_us INTEGER, frame_id INTEGER, state TEXT, PRIMARY KEY (at_us, frame_id)) WITHOUT ROWID",
    "CREATE INDEX ix_log_search_state ON log_search (state)",
    "CREATE VIRTUAL TABLE log_text USING fts5(path)",
    (
        "CREATE TRIGGER tr_frames_insert AFTER INSERT ON frames BEGIN INSERT INTO log_search VALUES (1, new.id, new.state);"
        " INSERT INTO log_text (rowid, path) VALUES (new.id, new.path); END"
    ),
)
ADD_A_COLUMN = """
STATEMENTS = ["ALTER TABLE frames ADD COLUMN remark TEXT", "UPDATE frames SET remark = 'old'"]
"""


def migrate(path: Path, now: datetime, revision: str, migrations: Path = MIGRATIONS) -> Path | None:
    engine = writing_engine(path)
    try:
        with ledger_errors(path), engine.connect() as connection:
            return bring_up_to_date(connection, path, now, migrations=migrations, revision=revision)
    finally:
        engine.dispose()


def described(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return everything about a database's shape, as SQLite sees it and not as it was written."""
    found: dict[str, Any] = {}
    master = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall()
    for kind, name, table, sql in master:
        if (name.startswith("sqlite_") and kind == "table") or table == "alembic_version":
            continue
        found[f"{kind} {name}"] = " ".join(sql.split()) if sql and kind in {"index", "view"} else None
        if kind == "table":
            found[f"columns of {name}"] = sorted(row[1:] for row in connection.execute(f"PRAGMA table_info({name})"))
            found[f"references of {name}"] = sorted(
                row[2:] for row in connection.execute(f"PRAGMA foreign_key_list({name})")
            )
            indexes = connection.execute(f"PRAGMA index_list({name})").fetchall()
            found[f"unique of {name}"] = sorted(
                [column[2] for column in connection.execute(f"PRAGMA index_info('{index[1]}')")]
                for index in indexes
                if index[2]
            )
            found[f"checks of {name}"] = sorted(part.strip(" \t,") for part in sql.split("\n") if "CHECK" in part)
            found[f"counts up in {name}"] = "AUTOINCREMENT" in sql
    return found


def test_the_newest_migration_is_the_one_the_program_asks_for() -> None:
    assert [*upgrade.revisions_in(MIGRATIONS)][-1] == schema.REVISION


def test_migrated_and_present_tables_do_not_drift_apart(tmp_path: Path, noon: datetime) -> None:
    migrate(tmp_path / "migrated.sqlite", noon, schema.REVISION)
    engine = create_engine(f"sqlite:///{tmp_path / 'made.sqlite'}")
    with engine.begin() as connection:
        schema.tables.create_all(connection)
    engine.dispose()
    with (
        closing(sqlite3.connect(tmp_path / "migrated.sqlite")) as migrated,
        closing(sqlite3.connect(tmp_path / "made.sqlite")) as made,
    ):
        expected, actual = described(made), described(migrated)
        actual = {
            what: said
            for what, said in actual.items()
            if not what.startswith(("view ", "trigger ")) and "log_text" not in what
        }
        application = migrated.execute("PRAGMA application_id").fetchone()[0]

    assert expected == actual
    assert len(expected) > 60
    assert application == schema.APPLICATION_ID


def test_the_view_of_the_log_shows_what_the_log_shows(
    ledger: Ledger, frame_of: Callable[..., Outcome], failure_of: Callable[..., Outcome], noon: datetime
) -> None:
    for number in range(3):
        frame = frame_of(f"/acq/{number}.tif", "same", targets=("t",), numbers={"magnification": 5.0})
        ledger.record(frame, noon + timedelta(hours=number))
    ledger.record(failure_of("/acq/bad.tif"), noon + timedelta(hours=9))
    ledger.add_reviews([Review(1, ReviewVerdict.RELABEL, "Powder", "ana", noon)])
    with closing(sqlite3.connect(f"{ledger.path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        viewed = [dict(row) for row in connection.execute("SELECT * FROM v_log ORDER BY id")]
    with LedgerReader(ledger.path) as reader:
        logged = [asdict(row) for row in sorted(reader.rows(), key=lambda row: row.id)]
    written = {
        "path": path_to_text, "recorded_at": instant, "file_modified_at": instant, "alerted_at": instant, "targets": ", ".join,
        "scores": lambda scores: json.dumps(scores, separators=(",", ":")),
    }  # fmt: skip

    assert [list(row) for row in viewed] == [[each.name for each in fields(LogRow)]] * 4
    for row in logged:
        row |= {name: write(row[name]) for name, write in written.items() if row[name] is not None}
        row["targets"] = row["targets"] or None
    assert viewed == logged


def test_a_rows_worth_of_views_can_be_read(ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime) -> None:
    ledger.record(frame_of(targets=("t",)), noon)
    with closing(sqlite3.connect(f"{ledger.path.as_uri()}?mode=ro", uri=True)) as connection:
        log = connection.execute("SELECT path, category, targets, session FROM v_log").fetchall()
        hits = connection.execute("SELECT path, target, alerts FROM v_hits").fetchall()

    assert log == [("/acq/a.tif", "Tips", "t", "2026-03-01T12:00")]
    assert hits == [("/acq/a.tif", "t", "terminal pending")]


@pytest.mark.parametrize("revision", [*upgrade.revisions_in(MIGRATIONS)])
def test_a_ledger_of_every_revision_opens_with_its_rows(
    tmp_path: Path, noon: datetime, frame_of: Callable[..., Outcome], revision: str
) -> None:
    path = tmp_path / "ledger.sqlite"
    migrate(path, noon, revision)
    with closing(sqlite3.connect(path)) as old:
        old.execute(
            "INSERT INTO frames (path, sha256, state, first_seen_at, recorded_at)"
            " VALUES ('/acq/old.tif', 'aa', 'recorded', '2026-01-01T00:00:00.000000+00:00',"
            " '2026-01-01T00:00:00.000000+00:00')"
        )
        old.commit()
    with Ledger(path) as ledger:
        ledger.record(frame_of(), noon)
        paths = {Path("/acq/old.tif"), Path("/acq/a.tif")}
        assert paths == set(ledger.known_files(paths))
        assert (ledger.copy is None) == (revision == schema.REVISION)


def test_what_failed_for_good_under_an_older_program_is_tried_once_again(
    tmp_path: Path, noon: datetime, failure_of: Callable[..., Outcome]
) -> None:
    path = tmp_path / "ledger.sqlite"
    migrate(path, noon, "0003")
    times = instant(noon - timedelta(days=30)), instant(noon - timedelta(days=30))
    with closing(sqlite3.connect(path)) as old:
        for name, state in (("died", "failed"), ("text", "skipped"), ("good", "recorded")):
            old.execute(
                "INSERT INTO frames (path, sha256, state, code, first_seen_at, recorded_at) VALUES (?, ?, ?, ?, ?, ?)",
                (f"/acq/{name}.tif", "aa" if state == "recorded" else "", state, name, *times),
            )
        old.commit()
    paths = [Path(f"/acq/{name}.tif") for name in ("died", "text", "good")]
    with Ledger(path) as ledger:
        again = {each.stem for each, known in ledger.known_files(paths).items() if known.retry_at is not None}
        ledger.record(failure_of("/acq/died.tif"), noon)  # it is as bad as before
    with Ledger(path) as ledger:
        settled = ledger.known_files(paths)[paths[0]]

    assert again == {"died"}
    assert settled.retry_at is None


def test_a_cut_sidecar_is_a_column_after_the_upgrade(tmp_path: Path, noon: datetime) -> None:
    path = tmp_path / "ledger.sqlite"
    migrate(path, noon, "0004")
    with closing(sqlite3.connect(path)) as old:
        for number, flags in enumerate(('["sidecar a.txt breaks off, still being written or cut"]', '["odd"]'), 1):
            old.execute(
                "INSERT INTO frames (path, sha256, state, first_seen_at, recorded_at) VALUES (?, ?, 'recorded', ?, ?)",
                (f"/acq/{number}.tif", str(number), instant(noon), instant(noon)),
            )
            old.execute(
                "INSERT INTO metadata (frame_id, vendor, flags, readings) VALUES (?, 'JEOL', ?, '{}')", (number, flags)
            )
        old.commit()
    with Ledger(path) as ledger:
        wants = [
            ledger.wants_sidecar(Path(f"/acq/{number}.tif"), Path("/acq/a.txt"), StatKey(1, 1, 1, 1))
            for number in (1, 2)
        ]
    assert wants == [True, False]


@pytest.fixture(name="two_migrations")
def _two_migrations(tmp_path: Path) -> Path:
    migrations = tmp_path / "migrations % and space"
    shutil.copytree(MIGRATIONS, migrations, ignore=shutil.ignore_patterns("__pycache__"))
    (migrations / "9999_remark.py").write_text(ADD_A_COLUMN)
    return migrations


@pytest.fixture(name="old_ledger")
def _old_ledger(tmp_path: Path, frame_of: Callable[..., Outcome], noon: datetime) -> Path:
    with Ledger(tmp_path / "state" / "ledger.sqlite") as ledger:
        ledger.record(frame_of(), noon)
    return ledger.path


def test_a_migration_makes_a_copy_first(two_migrations: Path, old_ledger: Path, noon: datetime) -> None:
    copy = migrate(old_ledger, noon, "9999", two_migrations)

    assert old_ledger.with_name(f"ledger.sqlite.revision-{schema.REVISION}-20260301T120000+0000") == copy
    with closing(sqlite3.connect(old_ledger)) as new, closing(sqlite3.connect(copy)) as kept:
        assert new.execute("SELECT remark FROM frames").fetchall() == [("old",)]
        assert new.execute("SELECT * FROM alembic_version").fetchall() == [("9999",)]
        assert kept.execute("SELECT path FROM frames").fetchall() == [("/acq/a.tif",)]
        assert kept.execute("SELECT * FROM alembic_version").fetchall() == [(schema.REVISION,)]


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(
    two_migrations: Path, old_ledger: Path, noon: datetime
) -> None:
    broken = ADD_A_COLUMN + "STATEMENTS += ['SELECT * FROM nowhere']\n"
    (two_migrations / "9999_remark.py").write_text(broken)
    with closing(sqlite3.connect(old_ledger)) as connection:
        before = described(connection)
    with pytest.raises(LedgerError, match="nowhere"):
        migrate(old_ledger, noon, "9999", two_migrations)

    with closing(sqlite3.connect(old_ledger)) as connection:
        assert before == described(connection)
    with Ledger(old_ledger) as ledger:
        assert ledger.knows_files_below(Path("/acq"))


def test_a_migration_that_would_orphan_rows_is_undone(two_migrations: Path, old_ledger: Path, noon: datetime) -> None:
    orphaning = ADD_A_COLUMN + "STATEMENTS += ['DELETE FROM frames']\n"
    (two_migrations / "9999_remark.py").write_text(orphaning)
    with pytest.raises(LedgerError, match="without their frame"):
        migrate(old_ledger, noon, "9999", two_migrations)

    with Ledger(old_ledger) as ledger:
        assert ledger.knows_files_below(Path("/acq"))


def test_no_migration_without_a_copy(two_migrations: Path, old_ledger: Path, noon: datetime) -> None:
    old_ledger.with_name(f"ledger.sqlite.revision-{schema.REVISION}-20260301T120000+0000.part").mkdir()
    with pytest.raises(LedgerError, match="no copy could be made"):
        migrate(old_ledger, noon, "9999", two_migrations)

    with Ledger(old_ledger) as ledger:
        assert ledger.knows_files_below(Path("/acq"))


def test_a_ledger_of_a_newer_program_is_refused_and_left_alone(
    two_migrations: Path, old_ledger: Path, noon: datetime
) -> None:
    migrate(old_ledger, noon, "9999", two_migrations)
    for program in (Ledger, LedgerReader):
        with pytest.raises(
            LedgerError, match=rf"newer emwatch .ledger revision 9999, this program knows {schema.REVISION}"
        ):
            program(old_ledger)


def test_a_migration_that_takes_long_is_told(
    tmp_path: Path, noon: datetime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(upgrade, "TELL_EVERY_S", 0.0)
    monkeypatch.setattr(upgrade, "_STEPS_BETWEEN_LOOKS", 100)
    migrate(tmp_path / "ledger.sqlite", noon, "0009")  # to the newest one, tests get a copy

    assert f"{tmp_path / 'ledger.sqlite'}: is being brought up to date" in caplog.messages[0]
    assert "0 s so far" in caplog.messages[0]


def test_an_earlier_form_of_what_answers_questions_is_made_anew(
    tmp_path: Path, noon: datetime, frame_of: Callable[..., Outcome]
) -> None:
    path = tmp_path / "ledger.sqlite"
    migrate(path, noon, "0009")
    with closing(sqlite3.connect(path)) as old:
        for statement in EARLIER_FORM:
            old.execute(statement)
        old.execute(
            "INSERT INTO frames (path, sha256, state, first_seen_at, recorded_at) VALUES ('/acq/old.tif', 'aa', 'recorded', ?, ?)",
            (instant(noon), instant(noon)),
        )
        old.commit()
        assert old.execute("SELECT count(*) FROM log_search").fetchone() == (1,)
    with Ledger(path) as ledger:
        ledger.record(frame_of("/acq/new.tif"), noon + timedelta(minutes=1))
    with LedgerReader(path) as reader:
        assert [row.path.name for row in reader.rows()] == ["new.tif", "old.tif"]
        assert [row.path.name for row in reader.rows(LogFilter(text="old"))] == ["old.tif"]


def test_words_for_times_import_no_sqlalchemy() -> None:
    script = "import sys; import emwatch.ledger.times; sys.exit('sqlalchemy' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
