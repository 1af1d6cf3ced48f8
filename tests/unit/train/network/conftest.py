"""Small labelled data sets, drawn once for a test run, and ears that remember."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from emwatch.frame import CATEGORIES
from emwatch.simulate.painter import draw_frame

if TYPE_CHECKING:
    from pathlib import Path

#: One to judge, one to steer by, three to learn from: by source, as everything is split.
SOURCES = 5


@pytest.fixture(name="drawn_dataset", scope="session")
def _drawn_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty frames of 200x170, five sources of each category."""
    directory = tmp_path_factory.mktemp("dataset")
    for name in CATEGORIES:
        for source in range(SOURCES):
            folder = directory / name / f"session {source}"
            folder.mkdir(parents=True)
            Image.fromarray(draw_frame(name, source, 200, 170).pixels).save(folder / "frame.png")
    return directory


@dataclass
class Heard:
    """Remembers what a run tells. ``at``: called at each standing, to disturb it."""

    lines: list[str] = field(default_factory=list)
    standings: list[Any] = field(default_factory=list)
    at: Any = None

    def say(self, line: str) -> None:
        self.lines.append(line)

    def counting(self, what: str, done: int, of: int) -> None:
        assert what
        assert 0 < done <= of

    def standing(self, at: Any) -> None:
        self.standings.append(at)
        if self.at is not None:
            self.at(at)


@pytest.fixture(name="new_ears", scope="session")
def _new_ears() -> type[Heard]:
    return Heard
