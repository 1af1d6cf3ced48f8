"""Events on a real directory: every way a frame arrives gives a hint, and broken hints are noticed."""

from __future__ import annotations

import logging
import os
import queue
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emwatch.errors import WatchError
from emwatch.watch.events import Events, why_unwatched

if TYPE_CHECKING:
    from collections.abc import Iterator

Hint = tuple[str, Path | str, bool]


class HintQueue:
    """Collects hints, and waits for the one that is asked for."""

    def __init__(self) -> None:
        self.hints: queue.Queue[Hint] = queue.Queue()

    def file(self, path: Path, *, closed: bool) -> None:
        self.hints.put(("file", path, closed))

    def gone(self, path: Path) -> None:
        self.hints.put(("gone", path, False))

    def folder(self, path: Path) -> None:
        self.hints.put(("folder", path, False))

    def everything(self, reason: str) -> None:
        self.hints.put(("everything", reason, False))

    def until(self, wanted: Hint) -> list[Hint]:
        seen: list[Hint] = []
        while wanted not in seen:
            seen.append(self.hints.get(timeout=5))
        return seen


@pytest.fixture(name="hints")
def _hints() -> HintQueue:
    return HintQueue()


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    root = tmp_path / "frames"
    root.mkdir()
    return root


@pytest.fixture(name="events")
def _events(root: Path, hints: HintQueue) -> Iterator[Events]:
    events = Events(root, hints)
    events.start()
    yield events
    events.stop()


@pytest.mark.usefixtures("events")
def test_a_written_and_closed_file_is_hinted_as_closed(root: Path, hints: HintQueue) -> None:
    (root / "a.tif").write_bytes(b"x")

    hints.until(("file", root / "a.tif", True))


@pytest.mark.usefixtures("events")
def test_a_file_renamed_into_place_is_hinted_and_its_old_name_is_gone(root: Path, hints: HintQueue) -> None:
    (root / "a.tif.tmp").write_bytes(b"x")
    (root / "a.tif.tmp").rename(root / "a.tif")

    assert ("gone", root / "a.tif.tmp", False) in hints.until(("file", root / "a.tif", True))


@pytest.mark.usefixtures("events")
def test_a_file_moved_in_from_elsewhere_is_hinted(root: Path, hints: HintQueue, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"x")
    (tmp_path / "a.tif").rename(root / "a.tif")

    hints.until(("file", root / "a.tif", False))


@pytest.mark.usefixtures("events")
def test_a_new_folder_is_hinted(root: Path, hints: HintQueue) -> None:
    (root / "day").mkdir()

    hints.until(("folder", root / "day", False))


@pytest.mark.usefixtures("events")
def test_a_name_that_is_not_unicode_arrives_byte_true(root: Path, hints: HintQueue) -> None:
    path = Path(os.fsdecode(os.fsencode(root) + b"/\xb5m.tif"))
    path.write_bytes(b"x")

    hints.until(("file", path, True))


def test_healthy_events_have_no_trouble(events: Events) -> None:
    assert events.trouble() == ""


def test_a_root_deleted_and_made_anew_is_trouble_although_the_observer_looks_alive(events: Events, root: Path) -> None:
    assert events._observer is not None
    [emitter] = events._observer.emitters
    shutil.rmtree(root)
    root.mkdir()  # often with the old inode number
    emitter.join(timeout=10)

    assert events._observer.is_alive()
    assert events.trouble() != ""


@pytest.mark.usefixtures("events")
def test_lost_events_ask_for_a_sweep(hints: HintQueue) -> None:
    logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed")

    hints.until(("everything", "Inotify queue overflowed", False))


def test_a_missing_directory_cannot_be_watched(tmp_path: Path, hints: HintQueue) -> None:
    with pytest.raises(WatchError, match="nowhere"):
        Events(tmp_path / "nowhere", hints).start()


def test_watching_a_missing_directory_again_and_again_leaks_nothing(tmp_path: Path, hints: HintQueue) -> None:
    def in_use() -> tuple[int, int]:
        return threading.active_count(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, not walked

    before = in_use()
    for _ in range(5):
        with pytest.raises(WatchError):
            Events(tmp_path / "nowhere", hints).start()

    assert in_use() == before


@pytest.mark.usefixtures("events")
def test_lost_events_are_heard_of_although_the_log_shows_errors_only(hints: HintQueue) -> None:
    root_logger = logging.getLogger()
    level = root_logger.level
    root_logger.setLevel(logging.ERROR)
    try:
        logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed")
    finally:
        root_logger.setLevel(level)

    hints.until(("everything", "Inotify queue overflowed", False))


def test_folders_without_a_watch_are_named(root: Path, hints: HintQueue) -> None:
    folders = {(root / name): 0 for name in ("one", "two")}
    for folder in folders:
        folder.mkdir()
    events = Events(root, hints)
    assert events.unwatched({1: root}) == [], "nothing is watched yet, so nothing is missing"
    events.start()
    watched = {folder.stat().st_ino: folder for folder in folders}
    try:
        assert events.unwatched(watched) == []
        assert events.unwatched({**watched, max(watched) + 1_000_000: root / "three"}) == [root / "three"]
    finally:
        events.stop()


def test_why_a_folder_raises_no_events_is_found_out_and_not_guessed(root: Path) -> None:
    assert why_unwatched(root / "gone") == "No such file or directory"
    assert "faster" in why_unwatched(root)
