"""Snooze and acknowledge from the page: what is left for the daemon, and what the page shows once it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from emwatch.clock import SystemClock
from emwatch.ledger.writer import Ledger
from emwatch.service.alert_inbox import alert_inbox
from emwatch.testing import make_outcome

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from emwatch.config import Config

    from .conftest import Open


def _state(client: FlaskClient, target: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        each for each in client.get("/api/v1/targets").json["targets"] if each["name"] == target
    )
    return found


def _do_what_waits(config: Config) -> None:
    """What the daemon does once a second."""
    with Ledger(config.ledger.path) as ledger:
        alert_inbox(ledger, lambda _: None, SystemClock().now).tick(0.0)


def test_alerts_are_acknowledged(browser: Open, config: Config) -> None:
    client = browser()
    assert _state(client, "anything")["count"] == 13
    assert _state(client, "anything")["unacknowledged"] > 0

    answer = client.post("/api/v1/alerts", json={"do": "acknowledge", "target": "anything"})
    _do_what_waits(config)

    client = browser()  # as it is shown a second later
    assert answer.status_code == 202
    assert _state(client, "anything")["unacknowledged"] == 0
    assert client.get("/api/v1/alerts?target=anything&limit=1").json["alerts"][0]["acknowledged_at"]
    number = client.get("/api/v1/alerts?limit=1").json["alerts"][0]["frame_id"]
    assert "acknowledged" in client.get(f"/frames/{number}").text


def _told(config: Config, name: str, target: str) -> None:
    """One more alert that a channel took."""
    with Ledger(config.ledger.path) as ledger:
        now = SystemClock().now()
        found = make_outcome(f"/acq/{name}.tif", name, targets=(target,), channels=("phone",), written_at=now)
        ledger.record(found, now)
        [alert] = ledger.due_alerts("phone", now)
        ledger.alert_delivered(alert.id, now)


def test_alerts_of_a_target_that_is_configured_no_more_are_acknowledged_and_no_others(
    browser: Open, config: Config
) -> None:
    _told(config, "old", "of last week")
    others = _state(browser(), "anything")["unacknowledged"]

    answer = browser().post("/api/v1/alerts", json={"do": "acknowledge", "target": "of last week"})
    _do_what_waits(config)

    assert answer.json["alerts"] == 1
    assert _state(browser(), "of last week")["unacknowledged"] == 0
    assert _state(browser(), "anything")["unacknowledged"] == others > 0


def test_an_alert_that_was_not_shown_yet_is_not_acknowledged(browser: Open, config: Config) -> None:
    _told(config, "first", "anything")
    shown = _state(browser(), "anything")
    _told(config, "second", "anything")

    asked = {"do": "acknowledge", "target": "anything", "up_to": shown["newest_alert"]}
    answer = browser().post("/api/v1/alerts", json=asked)
    _do_what_waits(config)

    assert answer.json["alerts"] == shown["unacknowledged"]
    assert _state(browser(), "anything")["unacknowledged"] == 1


@pytest.mark.parametrize("target", ["never", ""])
def test_a_target_is_snoozed_and_told_again(browser: Open, config: Config, target: str) -> None:
    client = browser()

    def until() -> str | None:
        client = browser()  # as it is shown a second later
        shown = client.get("/api/v1/targets").json
        found: str | None = shown["all_snoozed_until"] if not target else _state(client, target)["snoozed_until"]
        return found

    answer = client.post("/api/v1/alerts", json={"do": "snooze", "target": target, "minutes": 60})
    _do_what_waits(config)
    assert until() == answer.json["until"]

    client.post("/api/v1/alerts", json={"do": "snooze", "target": target, "minutes": 0})
    _do_what_waits(config)
    assert until() is None


@pytest.mark.parametrize(
    ("document", "named"),
    [
        (None, "expected an object"),
        ({"do": "dance", "target": ""}, "snooze or acknowledge"),
        ({"do": "snooze", "target": "cats", "minutes": 5}, "anything, never"),
        ({"do": "snooze", "target": "never"}, "whole number"),
        ({"do": "snooze", "target": "never", "minutes": True}, "whole number"),
        ({"do": "snooze", "target": "never", "minutes": 10**9}, "43,200"),
        ({"do": "acknowledge", "target": ["never"]}, "anything, never"),
        ({"do": "acknowledge", "target": "never", "up_to": "all"}, "number of an alert"),
    ],
)
def test_a_request_that_makes_no_sense_leaves_nothing(
    browser: Open, config: Config, document: object, named: str
) -> None:
    answer = browser().post("/api/v1/alerts", json=document)

    assert answer.status_code == 400
    assert named in answer.json["error"]["message"]
    assert not list(config.ledger.path.parent.glob("*.alerts/*"))


def test_another_page_cannot_silence_alerts(browser: Open, config: Config) -> None:
    asked = {"do": "snooze", "target": "", "minutes": 60}
    answer = browser().post("/api/v1/alerts", json=asked, headers={"Origin": "http://evil.example"})

    assert answer.status_code == 403
    assert not list(config.ledger.path.parent.glob("*.alerts/*"))
