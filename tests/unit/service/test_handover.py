from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from emwatch.config import load
from emwatch.config.schema import LedgerConfig
from emwatch.ledger.server.changes import begin
from emwatch.ledger.server.connect import Server
from emwatch.ledger.writer import Ledger
from emwatch.service.doctor import Machine
from emwatch.service.doctor import server as doctor
from emwatch.service.handover import ServerHandover
from emwatch.service.lock import SingleInstance
from emwatch.service.status import status_document
from emwatch.service.status_file import status_file_path
from emwatch.testing import NOON, ManualClock, make_outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emwatch.config import Config
    from emwatch.ingest.events import Notice
    from tests.postgres import Postgres

#: They need PostgreSQL, which `.ci/run` installs before the slow tests.
pytestmark = pytest.mark.slow

NOWHERE = "postgresql+psycopg://owner@127.0.0.1:1/emwatch"


@pytest.fixture(name="ledger")
def _ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


class Told:
    """A handover with what it says, and a server that can be exchanged under it."""

    def __init__(self, ledger: Ledger, url: str, password: str = "") -> None:
        self.said: list[Notice] = []
        self.noted: dict[str, Any] = {}
        self.clock = ManualClock(NOON)
        server = Server(url, lambda: password)
        self.handover = ServerHandover(ledger, server, clock=self.clock, tell=self.said.append, note=self._note)

    def _note(self, fact: dict[str, Any]) -> None:
        self.noted = fact

    def comes_back(self, url: str, password: str) -> None:
        object.__setattr__(self.handover._server, "url", url)
        object.__setattr__(self.handover._server, "password", lambda: password)


def test_a_server_that_is_away_is_told_once_and_asked_less_and_less(ledger: Ledger, postgres: Postgres) -> None:
    told = Told(ledger, NOWHERE)
    ledger.record(make_outcome(), NOON)
    pauses = [told.handover.step() for _ in range(8)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    [notice] = told.said
    assert notice.level == "warning"
    assert "127.0.0.1:1/emwatch: the server does not answer" in notice.text
    assert "Frames are recorded in ledger.sqlite as before" in notice.text
    assert told.noted["away_since"] == NOON.isoformat()
    assert told.noted["waiting"] == 2  # the frame and its session
    told.clock.advance(90)
    ledger.record(make_outcome("/acq/b.tif", "B"), NOON)
    told.comes_back(postgres.database(), postgres.PASSWORD)
    assert told.handover.step() == 1
    assert [each.text for each in told.said[1:]] == [f"the server {told.noted['name']} takes rows again, after 90 s"]
    assert (told.noted["waiting"], told.noted["trouble"], told.noted["away_since"]) == (0, "", None)
    assert told.handover.step() == 1
    assert len(told.said) == 2


def test_what_is_left_is_handed_over_at_the_end(ledger: Ledger, postgres: Postgres) -> None:
    url = postgres.database()
    told = Told(ledger, url, postgres.PASSWORD)
    told.handover.start()
    until = time.monotonic() + 20
    while not told.noted.get("last_at") and time.monotonic() < until:
        ledger.record(make_outcome(), NOON)
    ledger.record(make_outcome("/acq/b.tif", "B"), NOON)
    told.handover.stop()
    assert postgres.query(url, "SELECT count(*) FROM frames") == [(2,)]


def _config(tmp_path: Path, url: str, ledger: Ledger) -> Config:
    file = tmp_path / "c.yaml"
    file.write_text(
        f"ledger: {{path: {ledger.path}, server: '{url}', server_password: {{env: EMWATCH_TEST_WORD}}}}\n",
        encoding="utf-8",
    )
    return load(file, environ={}, user_file=tmp_path / "none", system_file=tmp_path / "none").config


def test_status_and_doctor_say_how_the_handover_is(
    tmp_path: Path, ledger: Ledger, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.database()
    told = Told(ledger, url, postgres.PASSWORD)
    told.handover.step()
    ledger.record(make_outcome(), NOON)
    config = _config(tmp_path, url, ledger)
    assert status_document(config, NOON)["server"]["waiting"] == 2
    monkeypatch.setenv("EMWATCH_TEST_WORD", postgres.PASSWORD)
    [checked] = doctor.check(config, Machine(NOON))
    assert checked.findings == ()
    assert "PostgreSQL" in checked.fact
    monkeypatch.setenv("EMWATCH_TEST_WORD", "another word")
    [checked] = doctor.check(config, Machine(NOON))
    assert "refuses this user" in checked.findings[0].found
    assert "another word" not in str(checked)
    monkeypatch.delenv("EMWATCH_TEST_WORD")
    [checked] = doctor.check(config, Machine(NOON))
    assert "variable EMWATCH_TEST_WORD: the secret is empty" in checked.findings[0].found
    without_server = config.model_copy(update={"ledger": LedgerConfig()})
    assert list(doctor.check(without_server, Machine(NOON))) == []


@pytest.mark.parametrize(("after_s", "warned"), [(30, False), (90, True)])
def test_status_warns_of_a_server_that_is_there_and_does_not_answer(
    tmp_path: Path, ledger: Ledger, after_s: float, warned: bool
) -> None:
    ledger.handover_changes(begin)
    ledger.record(make_outcome(), NOON)
    note = {"name": "db/emwatch", "waiting": 0, "away_since": None, "trouble": "", "last_at": None}
    lock = SingleInstance(ledger.path)
    lock.acquire()
    try:
        file = status_file_path(ledger.path)
        file.write_text(json.dumps({"pid": os.getpid(), "state": "watching", "server": note}), encoding="utf-8")
        document = status_document(_config(tmp_path, NOWHERE, ledger), NOON + timedelta(seconds=after_s))
    finally:
        lock.release()
    warnings = [each for each in document["warnings"] if "nothing is handed over to the server for 90 s" in each]
    assert [each.endswith("2 frames and sessions waiting: it does not answer") for each in warnings] == [True] * warned
