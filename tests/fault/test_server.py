"""A server that goes away or is killed, and daemons that are killed while they hand over: every frame once, and as it is."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from rig import Rig, sized

from emwatch.ledger.server.tables import NUMBERS, SPAN
from tests.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Program

pytestmark = [pytest.mark.fault, pytest.mark.slow]

RATE = 10.0
#: Of these tables each row of a ledger is compared with that of the server.
COMPARED = {
    "frames": "id, path, sha256, state, attempts, supersedes, superseded_by, duplicate_of, session_id, recorded_at",
    "metadata": "frame_id, vendor, magnification, readings",
    "predictions": "id, frame_id, category, probability, newest",
    "matches": "id, frame_id, target",
    "alerts": "id, frame_id, key, state, attempts, delivered_at",
    "sessions": "id, name, started_at, ended_at",
    "log_search": "frame_id, at_us, state, category, magnification",
}


@pytest.fixture(name="server")
def _server() -> Iterator[Postgres]:
    with Postgres() as cluster:
        yield cluster


@pytest.fixture(name="microscope")
def _microscope(emwatch: Program, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Makes microscopes, each with a home of its own, that hand over to one database."""
    made: list[Rig] = []

    def make(url: str) -> Rig:
        home = tmp_path / f"microscope{len(made)}"
        home.mkdir()
        program = dataclasses.replace(emwatch, home=home)
        program.watched.mkdir(exist_ok=True)
        rig = Rig(program)
        word = home / "word"
        word.write_text(Postgres.PASSWORD, encoding="utf-8")
        rig.configure(ledger=f"{{path: {rig.ledger}, server: '{url}', server_password: {{file: {word}}}}}")
        made.append(rig)
        return rig

    yield make
    for each in made:
        each.close()


def compare(server: Postgres, url: str, number: int, ledger: Path) -> int:
    """Assert that the server has every row of a ledger once, and no other. Returns the number of frames."""
    with closing(sqlite3.connect(ledger)) as driver:
        for table, columns in COMPARED.items():
            here = [_plain(row) for row in driver.execute(f"SELECT {columns} FROM {table}")]
            key = "frame_id" if table in {"metadata", "log_search"} else "id"
            there = [
                _plain(row, columns.split(", "), number * SPAN)
                for row in server.query(url, f"SELECT {columns} FROM {table} WHERE {key} / {SPAN} = {number}")
            ]
            assert sorted(there, key=str) == sorted(here, key=str), table
        return int(driver.execute("SELECT count(*) FROM frames WHERE state = 'recorded'").fetchone()[0])


def _plain(row: tuple[Any, ...], columns: list[str] | None = None, base: int = 0) -> tuple[Any, ...]:
    names = columns or [""] * len(row)
    return tuple(
        int(value) if isinstance(value, bool) else value - base if name in NUMBERS and value is not None else value
        for name, value in zip(names, row, strict=True)
    )


def number_of(server: Postgres, url: str, rig: Rig) -> int:
    [(number,)] = server.query(url, f"SELECT number FROM ledgers WHERE path = '{rig.ledger}'")
    return int(str(number))


def handed_over(rig: Rig) -> bool:
    """Whether everything that is recorded was handed over."""
    return rig.query("SELECT count(*) FROM handover_changes") == [(0,)]


def test_two_daemons_and_a_server_that_stops_and_is_killed_under_load(
    server: Postgres, microscope: Callable[..., Rig], capsys: pytest.CaptureFixture[str]
) -> None:
    url = server.database()
    rigs = [microscope(url), microscope(url)]
    number = sized(150, 1200)
    away_s = sized(5, 60)
    daemons = [rig.start(os.fspath(rig.watched)).wait_until_ready() for rig in rigs]
    with rigs[0].writer(number, RATE), rigs[1].writer(number, RATE):
        time.sleep(3)
        stopped = time.monotonic()
        server.stop()
        before = [rig.count() for rig in rigs]
        for rig in rigs:
            rig.wait_for_status(lambda told: told.get("server", {}).get("away_since"))
        time.sleep(max(0.0, away_s - (time.monotonic() - stopped)))
        # Recording goes on, as fast as frames come.
        recorded = [rig.count() - had for rig, had in zip(rigs, before, strict=True)]
        assert min(recorded) > 0.5 * RATE * away_s
        most = max(rig.query("SELECT count(*) FROM handover_changes")[0][0] for rig in rigs)
        server.start()
        for _ in range(3):
            time.sleep(sized(2, 8))
            server.kill()
            server.start()
    for rig in rigs:
        rig.wait_for_count(number)
        rig.wait_for(rig.all_alerts_told)
    caught_up = max(rig.wait_for(lambda rig=rig: handed_over(rig), 100) for rig in rigs)  # type: ignore[misc]
    for rig, daemon in zip(rigs, daemons, strict=True):
        assert daemon.heard("the ledger is not handed over to the server")
        assert daemon.heard("takes rows again")
        assert daemon.stop() == 0
        truth = {each["path"]: each["sha256"] for each in rig.truth()}
        assert dict(rig.rows()) == truth
        assert compare(server, url, number_of(server, url, rig), rig.ledger) == number
    assert server.query(url, "SELECT count(*) FROM frames") == [(2 * number,)]
    with capsys.disabled():
        print(
            f"\n2 daemons, {number} frames each at {RATE:g}/s; server stopped for {away_s} s (up to {most} frames and "
            f"sessions of a ledger waiting) and killed 3 times: every frame once; the last row {caught_up:.1f} s after the end"
        )


def test_daemons_killed_while_they_hand_over(
    server: Postgres, microscope: Callable[..., Rig], capsys: pytest.CaptureFixture[str]
) -> None:
    url = server.database()
    rig = microscope(url)
    number = sized(120, 600)
    kills = 0
    with rig.writer(number, RATE) as writer:
        while writer.poll() is None:
            daemon = rig.start(os.fspath(rig.watched)).wait_until_ready()
            time.sleep(1.0 + 0.37 * (kills % 5))  # at another place of the rhythm of the handover each time
            daemon.kill()
            kills += 1
    daemon = rig.start(os.fspath(rig.watched)).wait_until_ready()
    rig.wait_for_count(number)
    rig.wait_for(rig.all_alerts_told)
    rig.wait_for(lambda: handed_over(rig))
    assert daemon.stop() == 0
    assert daemon.heard("copied, or restored") == []
    assert compare(server, url, 1, rig.ledger) == number
    assert server.query(url, "SELECT count(*) FROM ledgers") == [(1,)]
    with capsys.disabled():
        print(f"\n{number} frames, the daemon killed {kills} times while it handed over: every frame once")


def test_a_ledger_of_years_is_handed_over_with_the_daemon_killed_in_between(
    server: Postgres, microscope: Callable[..., Rig], capsys: pytest.CaptureFixture[str]
) -> None:
    url = server.database()
    rig = microscope(url)
    number = sized(60, 300)
    with rig.writer(number, 1000.0):
        pass
    without = rig.config.read_text(encoding="utf-8")
    rig.configure()  # at first without a server
    rig.once(os.fspath(rig.watched))
    assert rig.count() == number
    with closing(sqlite3.connect(rig.ledger)) as driver, driver:  # many frames, so that there are many batches
        columns = [row[1] for row in driver.execute("PRAGMA table_info(frames)") if row[1] not in {"id", "path"}]
        for copy in range(sized(100, 400)):
            driver.execute(
                f"INSERT INTO frames (path, {', '.join(columns)}) SELECT '/years/{copy}' || path, {', '.join(columns)}"
                f" FROM frames WHERE id <= {number}"
            )
    rig.config.write_text(without, encoding="utf-8")
    for pause in (0.3, 0.6, 1.1):
        daemon = rig.start(os.fspath(rig.watched)).wait_until_ready()
        time.sleep(pause)
        daemon.kill()
    daemon = rig.start(os.fspath(rig.watched)).wait_until_ready()
    took = rig.wait_for(lambda: handed_over(rig), sized(80, 500))
    assert daemon.stop() == 0
    assert compare(server, url, 1, rig.ledger) == rig.count()
    with capsys.disabled():
        print(
            f"\n{rig.count():,} frames of before, the daemon killed 3 times: every frame once, {took:.0f} s after the last kill"
        )
