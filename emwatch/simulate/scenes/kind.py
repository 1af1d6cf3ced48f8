"""A kind of scene: its name, how to paint it, and at which field widths such things are imaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from emwatch.simulate.canvas import Canvas


@dataclass(frozen=True, slots=True)
class Kind:
    """``field_width_um``: from the narrowest to the widest field in which the scene makes sense."""

    name: str
    paint: Callable[[Canvas], None]
    field_width_um: tuple[float, float]
