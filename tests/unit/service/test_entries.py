"""Sessions and notes handed to whoever writes the ledger: taken in once, refused with a reason, kept while it cannot be written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emwatch.ingest.events import Notice
from emwatch.ledger.entries import Note, SessionEnd, SessionStart
from emwatch.ledger.query import LedgerReader
from emwatch.ledger.sqlite_file import LedgerUnavailableError
from emwatch.ledger.writer import Ledger
from emwatch.service.entry_inbox import entry_inbox, hand_over
from emwatch.testing import make_outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.ingest.events import Event

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(name="ledger")
def _ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.record(make_outcome(Path("/acq/a.tif"), "a", written_at=NOON), NOON)
        yield ledger


def test_what_waits_is_recorded_in_its_order_and_goes(ledger: Ledger) -> None:
    told: list[Event] = []
    entries = (
        SessionStart("Wafer 7", NOON + timedelta(hours=1)),
        SessionEnd(2, NOON + timedelta(hours=2)),
        Note("edge", "ana", NOON, frame_id=1),
        Note("of the wafer", "ana", NOON, session_id=2),
        Note("corner", "ana", NOON + timedelta(minutes=1), replaces=1),
    )
    requests = [hand_over(ledger.path, each, NOON + timedelta(seconds=at)) for at, each in enumerate(entries)]
    again = requests[-1].read_bytes()
    inbox = entry_inbox(ledger, told.append)
    inbox.tick(0.0)
    requests[-1].write_bytes(again)  # killed between the commit and the removal
    inbox.tick(0.5)
    assert requests[-1].exists()  # it looks once a second
    inbox.tick(1.5)

    assert told == []
    assert not any(each.exists() for each in requests)
    with LedgerReader(ledger.path) as reader:
        (session,) = reader.session("Wafer 7")
        assert (session.is_open, session.ended_at) == (False, NOON + timedelta(hours=2))
        assert [each.text for each in reader.notes(frame_id=1)] == ["corner"]
        assert [each.text for each in reader.notes(session_id=2)] == ["of the wafer"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"frame_id": 7}, "no frame has number 7"),
        ({"frame_id": "1"}, "frame_id must be a number of a row"),
        ({"session_id": 1}, "a note is about one thing"),
        ({"written_at": "2026-03-01T12:00:00"}, "has no time zone"),
        ({"written_at": 5}, "must be str"),
        ({"text": "x" * 20_000}, "a text of at most 10,000"),
        ({"text": "\ud800"}, "surrogates not allowed"),
        ({"mood": "good"}, "mood"),
        ({"do": "sing"}, "lacks 'sing'"),
        ({"do": "start"}, "unexpected keyword"),
    ],
)
def test_what_makes_no_sense_is_kept_beside_and_told_once(ledger: Ledger, change: dict[str, Any], why: str) -> None:
    told: list[Event] = []
    request = hand_over(ledger.path, Note("edge", "ana", NOON, frame_id=1), NOON)
    request.write_text(json.dumps({**json.loads(request.read_bytes()), **change}), encoding="ascii")
    inbox = entry_inbox(ledger, told.append)
    for now in (0.0, 2.0):
        inbox.tick(now)

    assert not request.exists()
    assert request.with_suffix(".refused").exists()
    (notice,) = told
    assert isinstance(notice, Notice)
    assert why in notice.text


@pytest.mark.parametrize("name", ["17", "last", "", "a\nb", "x" * 201])
def test_a_name_that_means_another_session_or_cannot_be_printed_is_refused(ledger: Ledger, name: str) -> None:
    told: list[Any] = []
    hand_over(ledger.path, SessionStart(name, NOON), NOON)
    entry_inbox(ledger, told.append).empty()

    assert "name" in told[0].text


def test_while_the_ledger_cannot_be_written_requests_stay(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    request = hand_over(ledger.path, Note("edge", "ana", NOON, frame_id=1), NOON)
    inbox = entry_inbox(ledger, told.append)
    with monkeypatch.context() as patched:

        def full(_entry: object) -> int:
            raise LedgerUnavailableError("the disk is full")

        patched.setattr(ledger, "enter", full)
        inbox.tick(0.0)
        inbox.tick(2.0)
    assert request.exists()
    assert [each.text.endswith("the disk is full") for each in told] == [True]
    inbox.tick(4.0)
    assert not request.exists()
