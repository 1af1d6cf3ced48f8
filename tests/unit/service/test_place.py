"""A watched directory that goes and comes back, at times of the test's choosing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emwatch.watch.directory import Manner, Place
from emwatch.watch.hints import HintBox
from emwatch.watch.patterns import Patterns

if TYPE_CHECKING:
    from pathlib import Path


def test_a_directory_that_was_away_for_a_moment_only_has_events_again_at_once(tmp_path: Path) -> None:
    root = tmp_path / "frames"
    root.mkdir()
    place = Place(root, Patterns(), Manner(mode="events"), HintBox())
    assert place.arm() == ""
    try:
        away = root.rename(tmp_path / "away")
        place.supervise(100.0)
        assert place.mode()[0] == "degraded"
        away.rename(root)  # before a sweep could say that it is unavailable
        place.supervise(102.0)

        assert place.mode() == ("events", "")
    finally:
        place.disarm()
