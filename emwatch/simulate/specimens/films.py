"""Films_Coated_Surface: a closed layer of one level, from above, at its edge or in section; no mask made its features."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind
from emwatch.simulate.planes import blurred
from emwatch.simulate.specimens.specimen import Specimen, Stroke, ball

if TYPE_CHECKING:
    from emwatch.simulate.planes import Plane

_ZONES = "Thornton, High rate thick film growth, Annu. Rev. Mater. Sci. 7 (1977) 239: structure zones"
_FILMS = "Ohring, Materials Science of Thin Films, 2nd ed. (2002)"
_GRAPHENE = "Li et al., Science 324 (2009) 1312: large-area graphene on copper"
_FLAKES = "Novoselov et al., Science 306 (2004) 666: flakes cleaved onto oxidised silicon"
_MECHANICS = "Freund and Suresh, Thin Film Materials (2003)"


def _domes(specimen: Specimen, size: float, disorder: float, rise: float) -> tuple[Plane, Plane]:
    """Return the height and the numbers of grains that touch each other, their tops at one level."""
    cells = specimen.cells(size, disorder)
    border = np.clip(cells.border / np.float32(size * 0.5), 0, 1)
    return np.asarray(np.sqrt(border) * np.float32(size * rise)), cells.ident


def grainy(specimen: Specimen) -> None:
    """Draw the top of a sputtered or evaporated metal film: small domes that touch, all at one level, no gap below them."""
    size = specimen.scale(0.012, 0.05)
    z, ident = _domes(specimen, size, specimen.between(0.5, 1.0), specimen.between(0.1, 0.3))
    specimen.z[:] = z + specimen.soft(size * 6) * np.float32(size * 0.08)
    specimen.matter[:] = np.float32(specimen.between(0.4, 0.6)) + (ident - np.float32(0.5)) * np.float32(0.08)
    if specimen.chance(0.4):
        _scratch(specimen)


def _scratch(specimen: Specimen) -> None:
    """Scrape a line down to the substrate, with torn lips."""
    line = specimen.across(specimen.place(-specimen.unit * 0.2), specimen.between(0, math.pi), 0.05)
    width = specimen.scale(0.03, 0.1)
    bare, lips = (specimen.outline(lines=[(line.tolist(), width * share)]) for share in (1.0, 1.3))
    specimen.z += (lips - bare) * np.float32(width * 0.12)
    specimen.z *= 1 - bare
    specimen.layer(bare, -width * 0.15, specimen.between(0.1, 0.25))


def faceted_grains(specimen: Specimen) -> None:
    """Draw a polycrystalline film of faceted grains, as diamond, perovskite or copper indium selenide: tilted flat tops, closed."""
    size = specimen.scale(0.04, 0.14)
    cells = specimen.cells(size, specimen.between(0.6, 1.0))
    lean = cells.ident * np.float32(2 * math.pi * 7)
    steep = np.float32(specimen.between(0.08, 0.3))
    facet = cells.dx * np.cos(lean) + cells.dy * np.sin(lean)
    groove = np.clip(1 - cells.border / np.float32(size * 0.07), 0, 1)
    specimen.z[:] = facet * steep * ((cells.ident * 17) % 1) - groove * np.float32(size * 0.05)
    specimen.matter[:] = np.float32(0.38) + (cells.ident - np.float32(0.5)) * np.float32(specimen.between(0.05, 0.3))
    if specimen.chance(0.3):
        _scratch(specimen)


def columns_in_section(specimen: Specimen) -> None:
    """Draw a cleaved film from the side: columns on a substrate, their tops against the vacuum."""
    foot = specimen.height * specimen.between(0.5, 0.85)
    tall = specimen.unit * specimen.between(0.2, 0.55)
    width = specimen.scale(0.012, 0.06)
    x, y = specimen.axes(origin=(0, 0))
    sway = specimen.soft(tall * 0.5, 0.3, math.pi / 2) * np.float32(width * 0.3)
    column = np.floor((x + sway) / np.float32(width))
    luck = (np.sin(column * np.float32(91.7)) * np.float32(437.5)) % 1
    top = np.float32(foot - tall) + luck * np.float32(width * 1.2)
    off = ((x + sway) / np.float32(width)) % 1 - np.float32(0.5)
    body = np.clip((y - top - off * off * np.float32(width * 2)) / 2, 0, 1) * np.clip(np.float32(foot) - y, 0, 1)
    specimen.matter[:] = specimen.between(0.03, 0.1)
    specimen.layer(np.clip(y - np.float32(foot), 0, 1), 0, specimen.between(0.2, 0.5))
    specimen.layer(body, width * 0.3, specimen.between(0.45, 0.7))
    specimen.z += body * np.sqrt(np.maximum(1 - 4 * off * off, 0)) * np.float32(width * specimen.between(0.2, 0.5))
    specimen.matter += body * (luck - np.float32(0.5)) * np.float32(0.12)


def stack_in_section(specimen: Specimen) -> None:
    """Draw a polished or ion-cut section of a stack: even bands of unlike grey, the vacuum or a cap above."""
    x, y = specimen.axes(specimen.between(-0.1, 0.1))
    level = np.float32(-specimen.height * specimen.between(0.1, 0.45))
    specimen.matter[:] = specimen.between(0.02, 0.15)
    rough = specimen.soft(specimen.unit * specimen.between(0.02, 0.1)) * np.float32(
        specimen.unit * specimen.between(0, 0.006)
    )
    for _ in range(specimen.count(2, 7)):
        specimen.layer(
            np.clip((y - level + rough) / 2 + np.float32(0.5), 0, 1),
            specimen.between(-2, 3),
            specimen.between(0.15, 0.85),
        )
        level += np.float32(specimen.scale(0.02, 0.3))
    curtain = specimen.fractal(specimen.unit * 0.03, 0.5, stretch=12, angle=math.pi / 2)
    specimen.matter += curtain * np.float32(specimen.between(0, 0.012)) + x * np.float32(0)


def dried_cracks(specimen: Specimen) -> None:
    """Draw a gel or oxide layer that cracked as it dried: plates with gaps, their rims curled up."""
    size = specimen.scale(0.14, 0.5)
    cells = specimen.cells(size, specimen.between(0.6, 1.0), bend=size * specimen.between(0.03, 0.1))
    gap = np.clip((np.float32(size * specimen.between(0.008, 0.03)) - cells.border) / 2 + np.float32(0.5), 0, 1)
    rim = np.exp(-cells.border / np.float32(size * 0.12))
    specimen.matter[:] = specimen.between(0.35, 0.55)
    specimen.z += rim * np.float32(size * specimen.between(0, 0.08))
    specimen.layer(gap, -size * 0.1, 0.06)


def buckled(specimen: Specimen) -> None:
    """Draw telephone-cord blisters: where a film under pressure leaves its substrate, a ridge winds over it."""
    specimen.matter[:] = specimen.between(0.3, 0.55)
    width = specimen.scale(0.05, 0.14)
    ridge = np.zeros_like(specimen.z)
    for _ in range(specimen.count(1, 4)):
        line = specimen.across(specimen.place(), specimen.between(0, math.pi), 0.4)
        steps = np.linspace(0, len(line) - 1, 160)
        points = np.stack([np.interp(steps, np.arange(len(line)), line[:, axis]) for axis in (0, 1)], axis=1)
        run = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
        ahead = np.gradient(points, axis=0)
        normal = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) / np.maximum(np.hypot(*ahead.T), 1e-6)[:, None]
        wave = points + normal * (np.sin(run / (width * 0.5)) * width * 0.4)[:, None]
        ridge = np.maximum(ridge, specimen.outline(lines=[(wave.tolist(), width)]))
    specimen.z += blurred(ridge, width * 0.2) * np.float32(width * specimen.between(0.15, 0.4))


def buckled_skin(specimen: Specimen) -> None:
    """Draw a stiff skin on a soft support that wrinkles at one wavelength."""
    size = specimen.scale(0.03, 0.12)
    stretch = specimen.between(1, 4)
    folds = specimen.waves(size, specimen.between(0.1, 0.3), 1 / stretch, specimen.between(0, math.pi))
    specimen.z[:] = folds * np.float32(size * specimen.between(0.04, 0.12))
    specimen.matter[:] = specimen.between(0.3, 0.5)


def graphene(specimen: Specimen) -> None:
    """Draw graphene on copper: dark layers that end in steps, darker islands of two layers, thin bright wrinkles, steps of the foil below."""
    specimen.matter[:] = specimen.between(0.4, 0.6)
    angle = specimen.between(0, math.pi)
    terraces = specimen.fractal(specimen.unit * 0.5, 0.8, 5, angle) * np.float32(specimen.unit * 0.002)
    specimen.z += terraces + np.sin(
        specimen.axes(angle + 0.3)[1] / np.float32(specimen.scale(0.01, 0.05))
    ) * np.float32(0.4)
    film = specimen.soft(specimen.unit * 0.4) > specimen.between(-2.0, -0.3)
    specimen.matter *= 1 - blurred(film.astype(np.float32), 0.8) * np.float32(specimen.between(0.1, 0.35))
    for _ in range(specimen.count(0, 9)):
        at, radius, around = specimen.place(), specimen.scale(0.02, 0.12), specimen.between(0, 1)
        ring = [
            (radius * math.cos(t * math.pi / 3 + around), radius * math.sin(t * math.pi / 3 + around)) for t in range(6)
        ]
        island = specimen.outline([(at[0] + x, at[1] + y) for x, y in ring])
        specimen.matter *= 1 - island * np.float32(0.15)
    lines = [
        (specimen.path(specimen.place(), specimen.between(0, 6.3), specimen.scale(0.2, 1.0), 0.7).tolist(), 1.5)
        for _ in range(specimen.count(3, 16))
    ]
    wrinkle = specimen.outline(lines=lines)
    specimen.matter += wrinkle * np.float32(0.12)
    specimen.z += wrinkle


def flakes(specimen: Specimen) -> None:
    """Draw cleaved flakes on a wafer: thin sheets with straight edges and steps of thickness, folded at a corner."""
    ground = specimen.substrate(polish=1.0)
    for _ in range(specimen.count(1, 4)):
        at, size = specimen.place(-specimen.unit * 0.2), specimen.scale(0.15, 0.5)
        matter = ground + specimen.between(-0.1, 0.25)
        turn, corners = specimen.between(0, 6.3), specimen.count(4, 7)
        shape = [
            (at[0] + size * r * math.cos(turn + a), at[1] + size * r * math.sin(turn + a))
            for a, r in zip(
                np.sort(specimen.rng.uniform(0, 6.28, corners)), specimen.rng.uniform(0.5, 1.2, corners), strict=True
            )
        ]
        sheet = specimen.outline(shape)
        for _ in range(specimen.count(1, 4)):
            specimen.layer(sheet, specimen.between(1, 4), min(0.95, max(0.05, matter)))
            along, _ = specimen.axes(specimen.between(0, 6.3), at)
            sheet = sheet * np.clip(along - np.float32(size * specimen.between(-0.4, 0.5)), 0, 1)
            matter += specimen.between(-0.05, 0.12)


def particles_in_coating(specimen: Specimen) -> None:
    """Draw a smooth coating with what spoils it: droplets of the arc, pinholes, a fine scratch, all far apart."""
    specimen.matter[:] = specimen.between(0.35, 0.55)
    specimen.z += specimen.fractal(specimen.unit * 0.05, 0.9) * np.float32(specimen.between(0.1, 0.8))
    for _ in range(specimen.count(4, 30)):
        radius = specimen.scale(0.004, 0.03)
        at = specimen.place()
        if specimen.chance(0.6):
            specimen.body(ball(radius, 0.5), at, -radius * 0.4, 0.6)
        else:
            specimen.layer(np.clip(np.float32(radius) - np.hypot(*specimen.axes(origin=at)), 0, 1), -radius * 0.6, 0.12)
    for _ in range(specimen.count(0, 3)):
        specimen.strokes(
            [Stroke(specimen.across(specimen.place(), specimen.between(0, 3.1)), 2, -3, specimen.between(0.3, 0.7))]
        )


def torn_edge(specimen: Specimen) -> None:
    """Draw where a film ends: covered on one side, bare on the other, flakes lifted along the line."""
    specimen.substrate()
    along, _ = specimen.axes(specimen.between(0, 2 * math.pi))
    edge = along + specimen.fractal(specimen.unit * 0.4, 0.5) * np.float32(specimen.unit * specimen.between(0.03, 0.1))
    film = np.clip(edge / 2, 0, 1)
    thick = specimen.scale(0.005, 0.03)
    specimen.layer(film, thick, specimen.between(0.4, 0.7))
    size = specimen.scale(0.01, 0.04)
    specimen.z += film * _domes(specimen, size, 0.8, 0.15)[0]
    specimen.z += film * np.exp(-np.abs(edge) / np.float32(thick * 4)) * np.float32(thick * specimen.between(0, 2))


def spangled(specimen: Specimen) -> None:
    """Draw a coating whose grains differ in grey by their orientation only, polished flat, twins inside."""
    size = specimen.scale(0.08, 0.3)
    cells = specimen.cells(size, 0.9)
    lie = cells.ident * np.float32(40)
    stripe = np.cos(lie) * cells.dx + np.sin(lie) * cells.dy
    twin = (np.abs(stripe / np.float32(size) - (cells.ident * 7) % 1 * np.float32(0.4)) < 0.08) & (
        ((cells.ident * 13) % 1) > 0.55
    )
    specimen.matter[:] = (
        np.float32(0.25) + cells.ident * np.float32(specimen.between(0.15, 0.4)) + twin * np.float32(0.12)
    )
    specimen.z -= np.clip(1 - cells.border / 2, 0, 1) * np.float32(specimen.between(0, 1.5))


KINDS: Final[tuple[SceneKind[Specimen], ...]] = (
    SceneKind("grainy", grainy, (0.5, 10.0), _ZONES),
    SceneKind("faceted grains", faceted_grains, (1.0, 60.0), _ZONES),
    SceneKind("columns in section", columns_in_section, (0.5, 30.0), _ZONES),
    SceneKind("stack in section", stack_in_section, (0.5, 100.0), _FILMS),
    SceneKind("dried cracks", dried_cracks, (5.0, 500.0), _MECHANICS),
    SceneKind("buckled", buckled, (20.0, 500.0), _MECHANICS),
    SceneKind("buckled skin", buckled_skin, (5.0, 300.0), "Bowden et al., Nature 393 (1998) 146"),
    SceneKind("graphene", graphene, (5.0, 200.0), _GRAPHENE),
    SceneKind("flakes", flakes, (2.0, 100.0), _FLAKES),
    SceneKind("spoiled coating", particles_in_coating, (2.0, 200.0), _FILMS),
    SceneKind("torn edge", torn_edge, (2.0, 300.0), _FILMS),
    SceneKind(
        "spangled",
        spangled,
        (5.0, 500.0),
        "Goldstein et al., SEM and X-ray Microanalysis, 4th ed. (2018): channelling contrast",
    ),
)
