"""
Draws SEM-like frames of the ten categories: fixtures, demo and training material.

What is drawn and how it is imaged come from two separate random streams: the scene's depends on seed and category, the
imaging's on the seed alone, so that no imaging setting can tell the category.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emwatch.errors import EmwatchError
from emwatch.frame import CATEGORIES
from emwatch.simulate.canvas import Canvas, Plane, resized
from emwatch.simulate.imaging import Imaging, digitised, seen
from emwatch.simulate.scenes import KINDS

if TYPE_CHECKING:
    import numpy.typing as npt

    from emwatch.simulate.scenes.kind import Kind

_SCENE_STREAM = 1
_IMAGING_STREAM = 2


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """
    A drawn frame, without a data bar.

    ``pixels``: uint8 (or uint16), shape (height, width). ``field_width_um`` fits the kind; ``stage_tilt_deg`` is the tilt
    the scene was foreshortened by.
    """

    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    category: str
    kind: str
    field_width_um: float
    stage_tilt_deg: float


def kinds_of(category: str) -> tuple[str, ...]:
    """Give the names of a category's kinds; raises `EmwatchError` on an unknown category."""
    return tuple(kind.name for kind in _kinds(category))


def draw_frame(
    category: str,
    seed: int,
    width: int = 1024,
    height: int = 768,
    *,
    kind: str | None = None,
    stage_tilt_deg: float | None = None,
    bits: int = 8,
) -> Drawing:
    """
    Draw a frame of a category; the same arguments give the same pixels.

    ``kind`` picks one of `kinds_of`, else it follows from the seed, as does ``stage_tilt_deg`` (0..60). ``bits``: 8 or 16.
    Raises `EmwatchError` on an unknown category or kind.
    """
    scene_rng = _stream(seed, _SCENE_STREAM, CATEGORIES.index(category) if category in CATEGORIES else 0)
    imaging_rng = _stream(seed, _IMAGING_STREAM)
    imaging = Imaging.drawn(imaging_rng, stage_tilt_deg)
    chosen = _choose(category, kind, scene_rng)
    low, high = chosen.field_width_um
    field_width_um = math.exp(scene_rng.uniform(math.log(low), math.log(high)))
    z, tone = _painted(chosen, scene_rng, width, height, imaging.tilt_deg)
    light = seen(z, tone, imaging, imaging_rng)
    return Drawing(digitised(light, bits), category, chosen.name, field_width_um, imaging.tilt_deg)


def _stream(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def _kinds(category: str) -> tuple[Kind, ...]:
    if category not in KINDS:
        raise EmwatchError(f"unknown category {category!r}: choose one of {', '.join(CATEGORIES)}")
    return KINDS[category]


def _choose(category: str, name: str | None, rng: np.random.Generator) -> Kind:
    kinds = _kinds(category)
    drawn = kinds[int(rng.integers(len(kinds)))]
    if name is None:
        return drawn
    for kind in kinds:
        if kind.name == name:
            return kind
    raise EmwatchError(f"unknown kind {name!r} of {category}: choose one of {', '.join(kinds_of(category))}")


def _painted(kind: Kind, rng: np.random.Generator, width: int, height: int, tilt_deg: float) -> tuple[Plane, Plane]:
    """Paint a scene tall enough to be foreshortened to the frame by the tilt."""
    tall = round(height / math.cos(math.radians(min(tilt_deg, 60.0))))
    canvas = Canvas(rng, width, tall, unit=height)
    kind.paint(canvas)
    if tall == height:
        return canvas.z, canvas.tone
    return resized(canvas.z, width, height), resized(canvas.tone, width, height)
