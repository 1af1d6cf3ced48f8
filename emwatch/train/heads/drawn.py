"""Drawn frames to learn from: the pretend microscope's pictures, as many of each category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.frame import CATEGORIES
from emwatch.simulate.painter import PAINTERS, draw_frame, kinds_of
from emwatch.train.heads.data_bars import with_drawn_bar

if TYPE_CHECKING:
    import numpy.typing as npt

#: Large enough for the network's 170 pixels, small enough to draw thousands.
_WIDTH_PX: Final = 512

#: Every second frame wears a bar, whatever its category.
_BAR_SHARE: Final = 0.5

#: Far from the seeds of demos and tests, so that nobody is shown what the model was taught with.
_FIRST_SEED: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class DrawnFrame:
    """A frame yet to be drawn: made when asked for, the same each time; painter, kind and seed name it."""

    category: int
    painter: str
    kind: str
    seed: int

    def draw(self, width_px: int = _WIDTH_PX) -> npt.NDArray[np.uint8]:
        """Return the picture, 4:3: grey (height, width), with a data bar or without."""
        name, height_px = CATEGORIES[self.category], width_px * 3 // 4
        drawing = draw_frame(name, self.seed, width_px, height_px, painter=self.painter, kind=self.kind)
        pixels = drawing.pixels.astype(np.uint8)
        random = np.random.default_rng((self.seed, self.category))
        return with_drawn_bar(pixels, random) if random.random() < _BAR_SHARE else pixels


def drawn_frames(per_category: int, seed: int) -> list[DrawnFrame]:
    """
    Return the drawn frames of a seed, category after category.

    The painters draw in turn. Each takes its kinds in turn, so that none is rare by chance, and counts its own seeds: its
    frames are the first ones of a longer list, too.
    """
    return [
        DrawnFrame(category, painter, kinds[turn % len(kinds)], _first(seed) + turn)
        for category, name in enumerate(CATEGORIES)
        for number in range(per_category)
        for turn, painter in [(number // len(PAINTERS), PAINTERS[number % len(PAINTERS)])]
        for kinds in [kinds_of(name, painter)]
    ]


def every_kind(per_kind: int, seed: int) -> list[DrawnFrame]:
    """Return as many drawn frames of each kind of each painter, kind after kind."""
    return [
        DrawnFrame(category, painter, kind, _first(seed) + number)
        for category, name in enumerate(CATEGORIES)
        for painter in PAINTERS
        for kind in kinds_of(name, painter)
        for number in range(per_kind)
    ]


def _first(seed: int) -> int:
    return _FIRST_SEED * (seed + 1)
