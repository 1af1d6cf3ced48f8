"""
Draws SEM-like frames of the ten categories: fixtures, demo and training material.

Two painters draw, with nothing in common but their random numbers' source: each has its own scenes, its own way to build
them and its own imaging model. What is drawn and how it is imaged come from separate random streams: the scene's depends
on painter, seed and category, the imaging's on painter and seed, so that no imaging setting can tell the category.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.errors import EmwatchError
from emwatch.frame import CATEGORIES
from emwatch.simulate import scenes, specimens
from emwatch.simulate.scenes.imaging import picture_of as seen_scene
from emwatch.simulate.specimens.electrons import picture_of as seen_specimen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from emwatch.simulate.kind import SceneKind
    from emwatch.simulate.planes import Plane


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


@dataclass(frozen=True, slots=True)
class _Painter:
    """
    ``picture(kind, scene_rng, imaging_rng, size, tilt_deg)`` returns grey values 0..1 and the tilt in degrees.

    ``scene_stream``, ``imaging_stream``: numbers of its random streams; no two are equal.
    """

    kinds: Mapping[str, tuple[SceneKind[Any], ...]]
    picture: Callable[
        [SceneKind[Any], np.random.Generator, np.random.Generator, tuple[int, int], float | None], tuple[Plane, float]
    ]
    scene_stream: int
    imaging_stream: int


_PAINTERS: Final[Mapping[str, _Painter]] = MappingProxyType(
    {
        "scenes": _Painter(scenes.KINDS, seen_scene, 1, 2),
        "specimens": _Painter(specimens.KINDS, seen_specimen, 3, 4),
    }
)

#: The painters' names.
PAINTERS: Final = tuple(_PAINTERS)


def kinds_of(category: str, painter: str = "scenes") -> tuple[str, ...]:
    """Return the names of a painter's kinds of a category; raises `EmwatchError` if either is unknown."""
    return tuple(kind.name for kind in _kinds(category, painter))


def draw_frame(
    category: str,
    seed: int,
    width: int = 1024,
    height: int = 768,
    *,
    painter: str = "scenes",
    kind: str | None = None,
    stage_tilt_deg: float | None = None,
    bits: int = 8,
) -> Drawing:
    """
    Draw a frame of a category; the same arguments give the same pixels.

    ``painter``: one of `PAINTERS`. ``kind``: one of `kinds_of`; by default it follows from the seed, as does
    ``stage_tilt_deg`` (0..60). ``bits``: 8 or 16. Raises `EmwatchError` on an unknown painter, category or kind.
    """
    kinds = _kinds(category, painter)
    chosen_painter = _PAINTERS[painter]
    scene_rng = _stream(seed, chosen_painter.scene_stream, CATEGORIES.index(category))
    imaging_rng = _stream(seed, chosen_painter.imaging_stream)
    chosen = _choose(kinds, kind, category, scene_rng)
    low, high = chosen.field_width_um
    field_width_um = math.exp(scene_rng.uniform(math.log(low), math.log(high)))
    light, tilt_deg = chosen_painter.picture(chosen, scene_rng, imaging_rng, (width, height), stage_tilt_deg)
    return Drawing(_digitised(light, bits), category, chosen.name, field_width_um, tilt_deg)


def _stream(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def _kinds(category: str, painter: str) -> tuple[SceneKind[Any], ...]:
    if painter not in _PAINTERS:
        raise EmwatchError(f"unknown painter {painter!r}: choose one of {', '.join(PAINTERS)}")
    if category not in CATEGORIES:
        raise EmwatchError(f"unknown category {category!r}: choose one of {', '.join(CATEGORIES)}")
    return _PAINTERS[painter].kinds[category]


def _choose(
    kinds: tuple[SceneKind[Any], ...], name: str | None, category: str, rng: np.random.Generator
) -> SceneKind[Any]:
    drawn = kinds[int(rng.integers(len(kinds)))]
    if name is None:
        return drawn
    for kind in kinds:
        if kind.name == name:
            return kind
    known = ", ".join(kind.name for kind in kinds)
    raise EmwatchError(f"unknown kind {name!r} of {category}: choose one of {known}")


def _digitised(light: Plane, bits: int) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Return 0..1 as 8- or 16-bit grey values, clipped."""
    top = 2**bits - 1
    grey = np.clip(light * np.float32(top) + np.float32(0.5), 0, top)
    deep: npt.NDArray[np.uint16] = grey.astype(np.uint16)
    return deep.astype(np.uint8) if bits == 8 else deep
