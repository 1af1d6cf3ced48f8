"""A kind of scene: its name, how to paint it, and at which field widths such things are imaged."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, TypeVar

from emwatch.frame import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: What a painter paints on: each painter has its own.
Surface = TypeVar("Surface")


@dataclass(frozen=True, slots=True)
class SceneKind(Generic[Surface]):
    """
    A kind of scene of one painter.

    ``field_width_um``: from the narrowest to the widest field in which the scene makes sense. ``source``: the text or
    description from which it is known that such frames are taken, and that they belong to this category.
    """

    name: str
    paint: Callable[[Surface], None]
    field_width_um: tuple[float, float]
    source: str = ""


def by_category(*kinds: tuple[SceneKind[Surface], ...]) -> Mapping[str, tuple[SceneKind[Surface], ...]]:
    """Return the kinds of each category; they come in the order of `emwatch.frame.CATEGORIES`."""
    return MappingProxyType(dict(zip(CATEGORIES, kinds, strict=True)))
