"""A watched directory that goes and comes back, at times of the test's choosing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from emwatch.config.schema import WatchConfig
from emwatch.errors import WatchError
from emwatch.watch.directory import WatchedDirectory
from emwatch.watch.hints import HintBox

if TYPE_CHECKING:
    from pathlib import Path


def test_a_directory_that_was_away_for_a_moment_only_has_events_again_at_once(tmp_path: Path) -> None:
    root = tmp_path / "frames"
    root.mkdir()
    directory = WatchedDirectory(root, WatchConfig(mode="events"), HintBox())
    assert directory.arm() == ""
    try:
        away = root.rename(tmp_path / "away")
        directory.supervise(100.0)
        assert directory.mode()[0] == "degraded"
        away.rename(root)  # before a sweep could say that it is unavailable
        directory.supervise(102.0)

        assert directory.mode() == ("events", "")
    finally:
        directory.disarm()


def test_a_directory_that_is_a_ring_of_links_is_waited_for(tmp_path: Path) -> None:
    ring = tmp_path / "frames"
    ring.symlink_to(ring)
    directory = WatchedDirectory(ring, WatchConfig(mode="poll"), HintBox())
    with pytest.raises(WatchError, match="not available"):
        list(directory.sweep())

    ring.unlink()
    ring.mkdir()

    assert [each.folder for each in directory.sweep()] == [ring]


@pytest.mark.parametrize(
    ("settings", "deepest"), [({"max_depth": 1}, 1), ({"recursive": False}, 0), ({"max_depth": 0}, 0)]
)
def test_an_event_reaches_as_deep_as_a_sweep(tmp_path: Path, settings: dict[str, Any], deepest: int) -> None:
    """What lies deeper was recorded and alerted if an event told of it, and was not looked into by the next sweep."""
    files = [tmp_path.joinpath(*"abc"[:depth], "frame.tif") for depth in range(4)]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.touch()
    directory = WatchedDirectory(tmp_path, WatchConfig(mode="poll", **settings), HintBox())

    swept = [listing.folder / name for listing in directory.sweep() for name in listing.files]
    reached = [file for file in files if directory.stat_key_of(file) is not None]
    below = [listing.trouble for listing in directory.sweep(files[3].parent)]

    assert reached == swept == files[: deepest + 1]
    assert not any(below), "its parent was told"
