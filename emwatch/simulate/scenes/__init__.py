"""What the pretend microscope can see: one module per category, each with its kinds of scene."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from emwatch.simulate.scenes import (
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
    from emwatch.simulate.scenes.canvas import Canvas

#: The kinds of each category, in the order of `emwatch.frame.CATEGORIES`.
KINDS: Final[Mapping[str, tuple[SceneKind[Canvas], ...]]] = MappingProxyType(
    {
        "Biological": biological.KINDS,
        "Fibres": fibres.KINDS,
        "Films_Coated_Surface": films.KINDS,
        "MEMS_devices_and_electrodes": mems.KINDS,
        "Nanowires": nanowires.KINDS,
        "Particles": particles.KINDS,
        "Patterned_surface": patterned.KINDS,
        "Porous_Sponge": porous.KINDS,
        "Powder": powder.KINDS,
        "Tips": tips.KINDS,
    }
)
