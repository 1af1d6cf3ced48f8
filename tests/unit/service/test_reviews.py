"""Reviews handed to whoever writes the ledger: taken in once, refused with a reason, kept while it cannot be written."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emwatch.frame import FrameState, Outcome, Review, ReviewVerdict, StatKey
from emwatch.ingest.events import Notice
from emwatch.ledger.query import LedgerReader, LogFilter
from emwatch.ledger.sqlite_file import LedgerUnavailableError
from emwatch.ledger.writer import Ledger
from emwatch.service.review_inbox import hand_over, requests_folder, review_inbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from emwatch.ingest.events import Event

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def said(frame_id: int, category: str, seconds: int = 0) -> Review:
    return Review(frame_id, ReviewVerdict.RELABEL, category, "ana", NOON + timedelta(seconds=seconds))


@pytest.fixture(name="ledger")
def _ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        frame = Outcome(Path("/acq/a.tif"), FrameState.RECORDED, StatKey(9, 1, 1, 1), "a" * 64)
        ledger.record(frame, NOON)
        yield ledger


def reviews(ledger: Ledger) -> list[tuple[str | None, bool]]:
    with LedgerReader(ledger.path) as reader:
        return [(each.category, each.counts) for each in reader.reviews(LogFilter())]


def take_in(ledger: Ledger) -> list[Notice]:
    """Record all that waits. Returns what was told."""
    told: list[Event] = []
    review_inbox(ledger, told.append).empty()
    return [each for each in told if isinstance(each, Notice)]


def test_what_waits_is_recorded_once_and_goes(ledger: Ledger) -> None:
    assert take_in(ledger) == []
    requests = [hand_over(ledger.path, [said(1, "Tips", 1)]), hand_over(ledger.path, [said(1, "Powder")])]
    again = requests[0].read_bytes()

    assert take_in(ledger) == []
    assert not any(request.exists() for request in requests)
    requests[0].write_bytes(again)  # killed between the commit and the removal
    assert take_in(ledger) == []
    assert reviews(ledger) == [("Tips", True), ("Powder", False)]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"frame_id": 7}, "no recorded frame has number 7"),
        ({"frame_id": "1"}, "frame_id must be a number of a row"),
        ({"category": "Wires"}, "'Wires' does not go with relabel"),
        ({"category": None}, "None does not go with relabel"),
        ({"verdict": "maybe"}, "'maybe' is not a valid"),
        ({"reviewed_at": "2026-03-01T12:00:00"}, "has no time zone"),
        ({"reviewed_by": 3}, "reviewed_by must be a text"),
        ({"mood": "good"}, "mood"),
        ({"reviewed_at": "0001-01-01T00:00:00+14:00"}, "not a possible time"),
        ({"reviewed_at": "9999-12-31T23:59:59-12:00"}, "not a possible time"),
        ({"frame_id": 1 << 63}, "frame_id must be a number of a row"),
        ({"frame_id": -1}, "frame_id must be a number of a row"),
        ({"note": "\ud800"}, "surrogates not allowed"),
        ({"note": "x" * 20_000}, "at most 10,000 characters"),
        ({"category": []}, "does not go with relabel"),
    ],
)
def test_what_makes_no_sense_is_kept_beside_and_told_and_the_next_one_recorded(
    ledger: Ledger, change: dict[str, Any], why: str
) -> None:
    bad = hand_over(ledger.path, [said(1, "Tips")])
    document = json.loads(bad.read_bytes())
    document["reviews"][0] |= change
    bad.write_text(json.dumps(document), encoding="utf-8")
    hand_over(ledger.path, [said(1, "Powder", 1)])
    [notice] = take_in(ledger)

    assert why in notice.text
    assert notice.path == bad.with_suffix(".refused")
    assert bad.with_suffix(".refused").is_file()
    assert reviews(ledger) == [("Powder", True)]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"reviews":[{"frame_id":' + b"9" * 4000 + b"}]}", "number of 4000 digits"),
        (b'{"reviews":' + b" " * 4_000_000 + b"[]}", "larger than 4,000,000 bytes"),
        (b'{"reviews":[' + b"[]," * 10_000 + b"[]]}", "at most 10,000"),
        (b'{"reviews": 7}', "int"),
        (b'{"rows": []}', "lacks 'reviews'"),
        (b"\xff\xfe", "utf-8"),
        (b"NaN", "NaN"),
    ],
)
def test_content_that_no_request_has_is_set_aside_with_its_reason(ledger: Ledger, content: bytes, why: str) -> None:
    bad = hand_over(ledger.path, [said(1, "Tips")])
    bad.write_bytes(content)
    hand_over(ledger.path, [said(1, "Powder", 1)])
    [notice] = take_in(ledger)

    assert why in notice.text
    assert len(notice.text) < 1000
    assert reviews(ledger) == [("Powder", True)]


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "dangling"])
@pytest.mark.timeout(20)
def test_what_is_no_file_is_set_aside_and_never_waited_for(ledger: Ledger, kind: str) -> None:
    hand_over(ledger.path, [said(1, "Powder", 1)])
    bad = requests_folder(ledger.path) / "0.json"
    if kind == "pipe":
        os.mkfifo(bad)
    elif kind == "folder":
        bad.mkdir()
    else:
        bad.symlink_to("/dev/zero" if kind == "device" else "/nowhere/at/all")
    [notice] = take_in(ledger)

    assert ("link to a missing file" if kind == "dangling" else "not a regular file") in notice.text
    assert not os.path.lexists(bad)
    assert reviews(ledger) == [("Powder", True)]


def test_a_request_that_cannot_be_removed_is_recorded_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    hand_over(ledger.path, [said(1, "Powder")])
    written = []
    monkeypatch.setattr(ledger, "add_reviews", written.append)

    def refuse(_path: Path) -> None:
        raise PermissionError(13, "not here")

    monkeypatch.setattr(Path, "unlink", refuse)
    told: list[Event] = []
    live = review_inbox(ledger, told.append)
    for now in (0.0, 2.0, 4.0):
        live.tick(now)

    assert len(written) == 1
    assert len(told) == 1


def test_half_a_file_is_no_request(ledger: Ledger) -> None:
    bad = hand_over(ledger.path, [said(1, "Tips")])
    bad.write_bytes(bad.read_bytes()[:50])
    (requests_folder(ledger.path) / ".being-written.json").write_bytes(b"")

    assert len(take_in(ledger)) == 1
    assert sorted(path.name for path in requests_folder(ledger.path).iterdir()) == [
        ".being-written.json",
        bad.with_suffix(".refused").name,
    ]


@dataclass
class FullDisk:
    """A ledger that cannot be written for so many tries."""

    real: Ledger
    failures: int
    tries: int = field(default=0)

    @property
    def path(self) -> Path:
        return self.real.path

    def add_reviews(self, given: Sequence[Review]) -> None:
        self.tries += 1
        if self.tries <= self.failures:
            raise LedgerUnavailableError("the disk is full")
        self.real.add_reviews(given)


def test_while_the_ledger_cannot_be_written_reviews_wait_and_that_is_told_once(ledger: Ledger) -> None:
    told: list[Event] = []
    full = FullDisk(ledger, failures=2)
    live = review_inbox(full, told.append)  # type: ignore[arg-type]  # what it needs of a ledger
    hand_over(ledger.path, [said(1, "Tips")])
    for now in (0.0, 0.5, 1.0, 1.5):
        live.tick(now)

    assert full.tries == 2, "one look a second"
    assert told == [Notice("warning", f"requests wait in {requests_folder(ledger.path)}: the disk is full")]
    assert reviews(ledger) == []
    live.tick(2.0)
    assert reviews(ledger) == [("Tips", True)]
