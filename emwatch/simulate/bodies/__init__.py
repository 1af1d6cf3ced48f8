"""What the third painter draws: solid bodies in space; one module per category, each kind with the source it is known from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emwatch.simulate.bodies import (
    biological,
    fibres,
    films,
    mems,
    nanowires,
    particles,
    patterned,
    porous,
    powder,
    tips,
)
from emwatch.simulate.kind import by_category

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.simulate.bodies.stage import Stage
    from emwatch.simulate.kind import SceneKind

#: The kinds of each category.
KINDS: Final[Mapping[str, tuple[SceneKind[Stage], ...]]] = by_category(
    biological.KINDS,
    fibres.KINDS,
    films.KINDS,
    mems.KINDS,
    nanowires.KINDS,
    particles.KINDS,
    patterned.KINDS,
    porous.KINDS,
    powder.KINDS,
    tips.KINDS,
)
