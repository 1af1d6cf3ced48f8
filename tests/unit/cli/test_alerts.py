from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from emwatch.alerts.policy import Policy
from emwatch.ledger.writer import Ledger
from emwatch.service.alert_inbox import AlertRequest, alert_inbox, hand_over
from emwatch.service.lock import SingleInstance
from emwatch.testing import NOON, make_outcome
from tests.sinks import HttpSink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from subprocess import CompletedProcess

    Run = Callable[..., CompletedProcess[str]]


@pytest.fixture(name="config")
def _config(tmp_path: Path) -> Path:
    """Three alerts: the first told, the second given up, the third waiting."""
    file = tmp_path / "c.yaml"
    file.write_text(
        "ledger: {path: ledger.sqlite3}\n"
        "targets: [{name: tips, category: Tips, alerts: [phone]}]\n"
        "alerts:\n  phone: {kind: command, argv: [/bin/false]}\n",
        encoding="utf-8",
    )
    with Ledger(tmp_path / "ledger.sqlite3") as ledger:
        for name in "abc":
            ledger.record(make_outcome(f"/acq/{name}.tif", name, targets=("tips",), channels=("phone",)), NOON)
        ledger.alert_delivered(1, NOON)
        ledger.alert_dead(2, "exit status 8")
    return file


def states(emwatch: Run, config: Path) -> list[tuple[int, str]]:
    found = json.loads(emwatch("alerts", "list", "--json", "--config", config).stdout)["alerts"]
    return [(each["id"], "acknowledged" if each["acknowledged_at"] else each["state"]) for each in found]


def test_list_shows_the_newest_first_and_what_went_wrong(emwatch: Run, config: Path) -> None:
    assert states(emwatch, config) == [(3, "pending"), (2, "dead"), (1, "delivered")]
    shown = emwatch("alerts", "list", "--state", "dead", "--config", config)
    assert "exit status 8" in shown.stdout
    assert "b.tif" in shown.stdout
    assert emwatch("alerts", "list", "--target", "none", "--config", config).returncode == 3


def test_a_frame_s_alert_that_was_held_back_and_then_told_is_told(emwatch: Run, config: Path) -> None:
    path = config.parent / "ledger.sqlite3"
    with Ledger(path) as ledger:
        ledger.record(make_outcome("/acq/d.tif", "d", targets=("tips",), channels=("phone",)), NOON)
        ledger.snooze_alerts("tips", NOON + timedelta(hours=1), NOON)
        assert ledger.due_alerts("phone", NOON, policy=Policy()) == ()
        held = emwatch("show", "4", "--no-picture", "--config", config)
        ledger.alert_delivered(4, NOON)
    told = emwatch("show", "4", "--no-picture", "--config", config)

    assert "snoozed" in held.stdout
    assert "snoozed" not in told.stdout
    assert "delivered" in told.stdout


def test_ack_and_retry_without_a_daemon(emwatch: Run, config: Path) -> None:
    acknowledged = emwatch("alerts", "ack", "--all", "--config", config)
    again = emwatch("alerts", "retry", "2", "--config", config)

    assert (acknowledged.returncode, acknowledged.stderr) == (0, "1 alert acknowledged\n")
    assert (again.returncode, again.stderr) == (0, "1 alert will be tried again\n")
    assert states(emwatch, config) == [(3, "pending"), (2, "pending"), (1, "acknowledged")]
    assert "none of these alerts was told" in emwatch("alerts", "ack", "3", "--config", config).stderr


def test_what_was_left_for_a_daemon_is_done_before_what_is_asked_for_now(emwatch: Run, config: Path) -> None:
    hand_over(config.parent / "ledger.sqlite3", AlertRequest("snooze", until="2099-01-01T00:00:00+00:00"), NOON)
    emwatch("alerts", "snooze", "--off", "--config", config)

    listed = emwatch("alerts", "list", "--json", "--config", config)
    assert json.loads(listed.stdout)["snoozed"] == {}
    assert not list((config.parent / "ledger.sqlite3.alerts").iterdir())


def test_a_running_daemon_does_what_is_asked_for(emwatch: Run, config: Path) -> None:
    path, done = config.parent / "ledger.sqlite3", threading.Event()
    lock = SingleInstance(path)
    lock.acquire()
    notices: list[object] = []
    with Ledger(path) as ledger:
        inbox = alert_inbox(ledger, notices.append, lambda: datetime.now(UTC))

        def daemon() -> None:
            now = 0.0
            while not done.wait(0.05):
                inbox.tick(now := now + 2)

        thread = threading.Thread(target=daemon)
        thread.start()
        try:
            snoozed = emwatch("alerts", "snooze", "tips", "--for", "2h", "--config", config)
            listed = emwatch("alerts", "list", "--config", config)
            acknowledged = emwatch("alerts", "ack", "1", "--config", config)
            bad = path.with_name("ledger.sqlite3.alerts") / "bad.json"
            bad.write_text('{"do": "forget", "ids": [], "target": "", "until": ""}')
            found = states(emwatch, config)
        finally:
            done.set()
            thread.join()
        inbox.tick(1e9)
    lock.release()

    assert "held until" in snoozed.stderr
    assert "snoozed until" in listed.stderr
    assert acknowledged.stderr == "acknowledged\n"
    assert found[-1] == (1, "acknowledged")
    assert len(notices) == 1
    assert not list(bad.parent.glob("*.json"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("snooze", "tip", "--for", "2h"), "no target is called 'tip'; there are: tips"),
        (("snooze", "--for", "soon"), "expected a time such as 30m, 2h or 1d"),
        (("snooze",), "say --for TIME or --off"),
        (("ack",), "--target NAME or --all"),
        (("test", "fone"), "no channel is called 'fone'; known are terminal, phone"),
    ],
)
def test_what_cannot_be_meant_is_refused(emwatch: Run, config: Path, arguments: tuple[str, ...], says: str) -> None:
    done = emwatch("alerts", *arguments, "--config", config)

    assert done.returncode == 2
    assert says in done.stderr


def test_a_test_alert_goes_the_real_way(emwatch: Run, config: Path) -> None:
    sink = HttpSink()
    text = config.read_text(encoding="utf-8") + f"  hook: {{kind: webhook, url: '{sink.url}'}}\n"
    config.write_text(text, encoding="utf-8")
    taken = emwatch("alerts", "test", "hook", "--config", config)
    refused = emwatch("alerts", "test", "phone", "--config", config)
    shown = emwatch("alerts", "test", "terminal", "--config", config)
    sink.close()

    assert (taken.returncode, [each["target"] for each in sink.documents()]) == (0, ["emwatch"])
    assert refused.returncode == 1
    assert "exit status 1" in refused.stderr
    assert shown.stdout.startswith("test of the channel terminal")
