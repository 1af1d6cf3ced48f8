"""Requests that wait for the daemon, however many: each second a few, so that frames are recorded meanwhile."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from emwatch.service.inbox import Inbox

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.ingest.events import Event


class Desk:
    """A folder of requests; each takes so long."""

    def __init__(self, folder: Path, request_s: float) -> None:
        self.folder = folder
        self.taken: list[Any] = []
        self.told: list[Event] = []
        self._request_s = request_s
        self._elapsed_s = 0.0
        self.inbox = Inbox(folder, self._take, self.told.append, monotonic=lambda: self._elapsed_s)

    def _take(self, document: Any) -> None:
        self._elapsed_s += self._request_s
        if document == "bad":
            raise ValueError("no")
        self.taken.append(document)

    def leave(self, *documents: Any) -> None:
        self.folder.mkdir(exist_ok=True)
        for each in documents:
            (self.folder / f"{each:0>5}.json").write_text(json.dumps(each), encoding="ascii")

    def look(self, at: float) -> int:
        before = len(self.taken)
        self.inbox.tick(at)
        return len(self.taken) - before


@pytest.mark.parametrize(("request_s", "at_once"), [(1 / 64, 7), (0.04, 3), (30.0, 1)])
def test_a_look_takes_a_tenth_of_a_second_or_one_request(tmp_path: Path, request_s: float, at_once: int) -> None:
    desk = Desk(tmp_path / "requests", request_s)
    desk.leave(*range(2 * at_once + 1))

    assert [desk.look(at) for at in (0.0, 0.5, 1.0, 2.0, 3.0)] == [at_once, 0, at_once, 1, 0]
    assert desk.taken == list(range(2 * at_once + 1)), "oldest first"
    assert not list(desk.folder.iterdir())


def test_bad_requests_take_their_time_as_good_ones_do(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "requests", 1 / 32)
    desk.leave(*range(8))
    for each in range(5):
        (desk.folder / f"{each:05}.json").write_text('"bad"', encoding="ascii")

    assert [desk.look(at) for at in (0.0, 1.0, 2.0)] == [0, 3, 0]
    assert len(desk.told) == 5


def test_what_comes_or_goes_while_others_wait_is_taken_or_left(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "requests", 0.1)
    desk.leave(0, 1, 2)
    desk.look(0.0)
    (desk.folder / "00001.json").unlink()
    desk.leave(3)
    for at in range(1, 6):
        desk.look(float(at))

    assert desk.taken == [0, 2, 3]
    assert desk.told == []
