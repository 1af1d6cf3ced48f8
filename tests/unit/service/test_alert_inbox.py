"""Requests about alerts: what makes no sense is set aside with its reason, and the next one is done."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from emwatch.ingest.events import Notice
from emwatch.ledger.query import LedgerReader
from emwatch.ledger.writer import Ledger
from emwatch.service.alert_inbox import AlertRequest, alert_inbox, hand_over

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emwatch.ingest.events import Event

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
UNTIL = (NOON + timedelta(hours=1)).isoformat()


class Rig:
    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.told: list[Notice] = []
        self.inbox = alert_inbox(ledger, self._hear, lambda: NOON)
        self.now = 0.0

    def _hear(self, event: Event) -> None:
        assert isinstance(event, Notice)
        self.told.append(event)

    def left(self, name: str = "", content: bytes | None = None) -> Path:
        """A request as the command leaves it; ``content``: what stands in it instead."""
        request = hand_over(self.ledger.path, AlertRequest("snooze", target=name, until=UNTIL), NOON)
        request = request.rename(request.with_name(f"{name or 'bad'}.json"))
        if content is not None:
            request.write_bytes(content)
        return request

    def look(self) -> list[str]:
        before = len(self.told)
        self.now += 1
        self.inbox.tick(self.now)
        return [each.text for each in self.told[before:]]

    def snoozed(self) -> set[str]:
        with LedgerReader(self.ledger.path) as reader:
            return set(reader.snoozed(NOON))


@pytest.fixture(name="rig")
def _rig(tmp_path: Path) -> Iterator[Rig]:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield Rig(ledger)


def _document(**changes: Any) -> bytes:
    return json.dumps({"do": "snooze", "ids": [], "target": "bad", "until": UNTIL} | changes).encode()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (_document(do="forget"), "unknown request"),
        (_document(do=[]), "unhashable"),
        (_document(target=7), "target must be a text"),
        (_document(target="\ud800"), "surrogates"),
        (_document(until="2026-03-01T12:00:00"), "no time zone"),
        (_document(until="0001-01-01T00:00:00+14:00"), "out of range"),
        (_document(until="9999-12-31T23:59:59-12:00"), "out of range"),
        (_document(until=7), "must be str"),
        (_document(do="acknowledge", ids=[1 << 63]), "number of a row"),
        (_document(do="acknowledge", ids=[True]), "number of a row"),
        (_document(do="retry", ids="12"), "number of a row"),
        (b'{"do": "snooze"}', "lacks 'ids'"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"ids": [' + b"9" * 4000 + b"]}", "number of 4000 digits"),
        (b" " * 1_000_001, "larger than"),
        (b"\xff", "utf-8"),
        (b"[]", "indices"),
    ],
)
def test_what_makes_no_sense_is_kept_beside_and_told_and_the_next_one_done(rig: Rig, content: bytes, why: str) -> None:
    bad = rig.left("", content)
    rig.left("good")
    [said] = rig.look()

    assert why in said
    assert len(said) < 1000
    assert bad.with_suffix(".refused").read_bytes() == content
    assert [each.name for each in bad.parent.iterdir()] == ["bad.refused"]
    assert rig.snoozed() == {"good"}
    assert rig.look() == []


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "dangling"])
@pytest.mark.timeout(20)
def test_what_is_no_file_is_set_aside_and_never_waited_for(rig: Rig, kind: str) -> None:
    bad = rig.left()
    bad.unlink()
    if kind == "pipe":
        os.mkfifo(bad)
    elif kind == "folder":
        bad.mkdir()
    else:
        bad.symlink_to("/dev/zero" if kind == "device" else "/nowhere/at/all")
    rig.left("good")

    assert len(rig.look()) == 1
    assert rig.snoozed() == {"good"}
    assert rig.look() == []
