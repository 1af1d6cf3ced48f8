"""What the second painter draws: one module per category, each kind with the source it is known from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emwatch.simulate.kind import by_category
from emwatch.simulate.specimens import (
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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.simulate.kind import SceneKind
    from emwatch.simulate.specimens.specimen import Specimen

#: The kinds of each category.
KINDS: Final[Mapping[str, tuple[SceneKind[Specimen], ...]]] = by_category(
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
