"""A server answers by the clock of the PC that asks."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from emwatch.ledger.server.asking import ServerToAsk

if TYPE_CHECKING:
    from emwatch.ledger.server.connect import Server

#: It needs PostgreSQL, which `.ci/run` installs before the slow tests.
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "zone",
    [
        *(
            "Europe/Berlin",
            ":Europe/Berlin",
            ":/usr/share/zoneinfo/Europe/Berlin",
            "America/St_Johns",
            "Australia/Lord_Howe",
        ),
        *(
            "CET-1CEST,M3.5.0,M10.5.0/3",
            "EST5EDT,M3.2.0,M11.1.0",
            "UTC0",
            "<+0330>-3:30",
            "IST-5:30",
            "",
            "Nonsense/Zone",
        ),
    ],
)
def test_times_are_those_of_this_pc_in_summer_and_winter(
    server: Server, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=13 * each) for each in range(700)]
    with server.writing():
        pass
    try:
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        here = [time.strftime("%Y-%m-%d %H:%M", time.localtime(each.timestamp())) for each in hours]
        asked = ServerToAsk(server)
        with asked.snapshot(None) as connection:
            question = text("SELECT to_char(to_timestamp(at), 'YYYY-MM-DD HH24:MI') FROM unnest(:of) AS at")
            there = list(connection.scalars(question, {"of": [each.timestamp() for each in hours]}))
        asked.close()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert there == here
