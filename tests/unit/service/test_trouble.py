from __future__ import annotations

import shutil
from collections import namedtuple
from typing import TYPE_CHECKING

from emwatch.config.schema import TroubleConfig
from emwatch.service.progress import Progress
from emwatch.service.trouble import Sources, TroubleWatch

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from emwatch.ingest.events import Event

HOUR_S = 3600.0


class Rig:
    """A watch over facts that a test changes; ``told`` holds its notices."""

    def __init__(self, folder: Path, **keys: object) -> None:
        self.progress = Progress()
        self.down: dict[str, float] = {}
        self.model = ""
        self.told: list[tuple[str, str]] = []
        sources = Sources(self.progress, folder / "ledger", 2 * HOUR_S, lambda: self.model, lambda: self.down)
        self.watch = TroubleWatch(TroubleConfig(**keys), sources, self._hear)

    def _hear(self, event: Event) -> None:
        self.told.append((event.level, event.text))  # type: ignore[union-attr]

    def look(self, *times: float) -> list[str]:
        self.told = []
        for now in times:
            self.watch.tick(now)
        return [f"{level} {text.split(':')[0]}" for level, text in self.told]


def test_a_session_without_new_frames_is_told_once_and_again_the_next_time(tmp_path: Path) -> None:
    rig = Rig(tmp_path, no_frame_minutes=10, disk_free_mb=0)
    rig.progress.last_frame_at = 1000.0

    assert rig.look(1000.0 + 599) == []
    assert rig.look(1000.0 + 605, 1000.0 + 700) == ["error no new frame for 10 minutes in an open session"]
    rig.progress.last_frame_at = 2000.0
    assert rig.look(2010.0) == ["info over"]
    assert rig.look(2000.0 + 605) == ["error no new frame for 10 minutes in an open session"]
    assert rig.look(2000.0 + 2 * HOUR_S, 2000.0 + 9 * HOUR_S) == [
        "info over"
    ]  # the session is over: nobody expects any


def test_without_a_frame_or_a_limit_silence_is_no_trouble(tmp_path: Path) -> None:
    idle, never = Rig(tmp_path, no_frame_minutes=10, disk_free_mb=0), Rig(tmp_path, disk_free_mb=0)
    never.progress.last_frame_at = 0.0

    assert idle.look(HOUR_S) == []
    assert never.look(HOUR_S) == []


def test_a_disk_with_little_space_is_told_when_it_is_and_when_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 - as in shutil
    rig, free = Rig(tmp_path, disk_free_mb=500), [600e6]
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage(1e12, 0, free[0]))

    assert rig.look(10.0) == []
    free[0] = 400e6
    assert rig.look(20.0, 30.0) == [f"error {tmp_path}"]
    free[0] = 600e6
    assert rig.look(40.0) == ["info over"]


def test_a_backlog_is_told_only_if_it_stays(tmp_path: Path) -> None:
    rig = Rig(tmp_path, backlog_files=100, backlog_minutes=10, disk_free_mb=0)
    rig.progress.waiting = 150
    assert rig.look(0.0, 590.0) == []
    rig.progress.waiting = 50
    assert rig.look(600.0) == []
    rig.progress.waiting = 150
    assert rig.look(610.0, 1200.0) == []
    assert rig.look(1211.0, 1300.0) == ["error 150 files wait to be read, and for 10 minutes it has been no fewer"]


def test_a_model_that_failed_and_a_channel_that_is_dead_are_told(tmp_path: Path) -> None:
    rig = Rig(tmp_path, channel_down_minutes=30, disk_free_mb=0)
    rig.model, rig.down = "its file is cut", {"mail": 1799.0, "hook": 5000.0}

    assert rig.look(10.0, 20.0) == [
        "error the model cannot be used",
        "error the channel hook has taken no alert for 30 minutes; its alerts wait",
    ]
    rig.down = {"mail": 1800.0}
    assert rig.look(30.0) == ["error the channel mail has taken no alert for 30 minutes; its alerts wait", "info over"]
