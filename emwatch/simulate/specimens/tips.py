"""Tips: one or a few sharp points, large in the picture, from the side, from above or at a slant."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from emwatch.simulate.planes import Plane, Point
    from emwatch.simulate.specimens.specimen import Specimen

_STM = "Melmed, J. Vac. Sci. Technol. B 9 (1991) 601: making sharp tips"
_AFM = "Binnig, Quate and Gerber, Phys. Rev. Lett. 56 (1986) 930; vendors' probe data sheets"
_ATOM_PROBE = "Gault et al., Atom Probe Microscopy (2012)"
_EMITTERS = "Spindt et al., J. Appl. Phys. 47 (1976) 5248: field emitter cones"
_BEAMS = "Giannuzzi and Stevie, Introduction to Focused Ion Beams (2005)"
_DRUGS = "Henry et al., J. Pharm. Sci. 87 (1998) 922: microneedles"


def _dark(specimen: Specimen) -> None:
    """Make the far background of a tip in profile: empty and dim, or a soft glow."""
    specimen.matter[:] = specimen.between(0.02, 0.2)
    if specimen.chance(0.5):
        specimen.matter += specimen.soft(specimen.unit * 0.6) * np.float32(0.02)


def _turned_body(
    specimen: Specimen, apex: Point, angle: float, lengths: npt.ArrayLike, radii: npt.ArrayLike, matter: float
) -> Plane:
    """Put a body of revolution whose axis runs from the apex along ``angle``; return where it is."""
    along, off = specimen.axes(angle, apex)
    radius = np.interp(along, np.asarray(lengths), np.asarray(radii), left=0.0).astype(np.float32)
    inside = radius * radius - off * off
    there = (inside > 0) & (along >= 0)
    z = np.where(there, np.sqrt(np.maximum(inside, 0)) + np.float32(specimen.unit * 0.02), specimen.z)
    higher = there & (z >= specimen.z)
    specimen.z = np.where(higher, z, specimen.z).astype(np.float32)
    specimen.matter[higher] = matter
    return np.asarray(there, dtype=np.float32)


def _downwards(specimen: Specimen) -> tuple[Point, float]:
    """Return an apex in the picture's middle part and the direction of its shank, mostly along an edge."""
    angle = math.pi / 2 * specimen.count(0, 3) + specimen.rng.normal(0, 0.12)
    away = specimen.unit * specimen.between(0.05, 0.4)
    middle = (
        specimen.width / 2 + specimen.between(-0.1, 0.1) * specimen.unit,
        specimen.height / 2 + specimen.between(-0.1, 0.1) * specimen.unit,
    )
    return (middle[0] - away * math.cos(angle), middle[1] - away * math.sin(angle)), angle


def etched_wire(specimen: Specimen) -> None:
    """Draw a wire etched electrochemically: a concave taper, a small round apex, grooves along the drawn wire."""
    _dark(specimen)
    apex, angle = _downwards(specimen)
    end, wide, power = specimen.scale(0.003, 0.03), specimen.scale(0.08, 0.3), specimen.between(1.2, 3.0)
    run = np.linspace(0, 1, 30)
    lengths = np.concatenate([[0, end * 0.3, end], end + run[1:] * specimen.unit * specimen.between(0.6, 1.6), [9e3]])
    radii = np.concatenate([[0, end * 0.7, end], end + wide * run[1:] ** power, [wide + end]])
    there = _turned_body(specimen, apex, angle, lengths, radii, specimen.between(0.4, 0.65))
    specimen.z += there * specimen.fractal(specimen.unit * 0.03, 0.5, 10, angle) * np.float32(specimen.between(0, 1.5))


def atom_probe(specimen: Specimen) -> None:
    """Draw a needle milled by rings of ions: a short sharp cone on a broad post with a step, a round trench about it."""
    _dark(specimen)
    apex = (
        specimen.width / 2 + specimen.between(-0.1, 0.1) * specimen.unit,
        specimen.height * specimen.between(0.1, 0.35),
    )
    end, neck = specimen.scale(0.006, 0.02), specimen.scale(0.25, 0.45)
    post = specimen.scale(0.08, 0.2)
    lengths = [0, end, neck * 0.5, neck, neck * 1.1, neck * 1.4, 9e3]
    radii = [0, end, end * 2.2, end * 5, post * 0.8, post, post * 1.3]
    there = _turned_body(specimen, apex, math.pi / 2, lengths, radii, specimen.between(0.45, 0.65))
    curtain = specimen.fractal(specimen.unit * 0.02, 0.5, 8, math.pi / 2)
    specimen.z += there * curtain * np.float32(specimen.between(0.2, 1.5))
    if specimen.chance(0.6):
        foot = specimen.height * specimen.between(0.75, 0.95)
        x, y = specimen.axes(origin=(apex[0], foot))
        ground = np.clip(y + np.float32(post * 0.3) * np.cos(x / np.float32(specimen.unit * 0.4)), 0, 1)
        specimen.layer(ground * (1 - there), specimen.unit * 0.02, specimen.between(0.2, 0.35))


def probe_from_front(specimen: Specimen) -> None:
    """Draw an AFM probe's end at a slant: a beam with a pyramid of three or four faces, its edges bright up to the point."""
    _dark(specimen)
    angle = specimen.between(0, 2 * math.pi)
    half, nose = specimen.scale(0.14, 0.4), specimen.scale(0.05, 0.3)
    at = specimen.place(-0.35 * specimen.unit)
    along, off = specimen.axes(angle, at)
    beam = np.clip(half - np.abs(off), 0, 1) * np.clip(-along + nose - np.abs(off) * np.float32(nose / half), 0, 1)
    matter = specimen.between(0.25, 0.5)
    specimen.layer(beam, specimen.unit * 0.03, matter)
    sides, side = specimen.count(3, 4), half * specimen.between(0.5, 0.95)
    distance = np.full_like(specimen.z, -np.inf)
    for face in range(sides):
        lie = angle + math.pi / sides + face * 2 * math.pi / sides
        run, _ = specimen.axes(lie, at)
        distance = np.maximum(distance, run)
    pyramid = np.clip(1 - distance / np.float32(side * 0.7), 0, 1)
    specimen.z += pyramid * np.float32(side * specimen.between(0.9, 2.0)) * (beam > 0)
    specimen.matter += (pyramid > 0.96) * np.float32(0.3)


def apex_close_up(specimen: Specimen) -> None:
    """Draw a probe's apex close up from the side: two straight flanks, a round end a few percent of the picture wide, contamination."""
    _dark(specimen)
    apex, angle = _downwards(specimen)
    end, half = specimen.scale(0.01, 0.06), specimen.between(0.12, 0.5)
    run = np.linspace(0, 2.5 * specimen.unit, 40)
    radii = np.minimum(np.sqrt(np.maximum(2 * end * run, 0)), end + half * run)
    there = _turned_body(specimen, apex, angle, run, radii, specimen.between(0.4, 0.6))
    specimen.z += there * specimen.fractal(specimen.unit * 0.04, 0.6) * np.float32(specimen.between(0, 1.0))


def emitter_array(specimen: Specimen) -> None:
    """Draw a field-emitter: a cone in the round hole of its gate, large; rarely two or three side by side."""
    gate = specimen.between(0.35, 0.6)
    specimen.matter[:] = gate
    radius = specimen.scale(0.18, 0.42)
    at = (specimen.width * specimen.between(0.35, 0.65), specimen.height * specimen.between(0.4, 0.6))
    for step in range(specimen.count(1, 2)):
        x, y = specimen.axes(origin=(at[0] + step * radius * 2.6, at[1]))
        away = np.hypot(x, y)
        specimen.layer(np.clip(radius - away, 0, 1), -radius * 0.7, 0.06)
        cone = np.clip(1 - away / np.float32(radius * specimen.between(0.55, 0.85)), 0, 1)
        specimen.z += cone * np.float32(radius * specimen.between(0.8, 1.3))
        specimen.matter += (cone > 0) * np.float32(0.25) + (cone > 0.93) * np.float32(0.3)


def microneedles(specimen: Specimen) -> None:
    """Draw two to five needles in a row from the side, conical or like obelisks, on a common base."""
    _dark(specimen)
    count = specimen.count(2, 5)
    pitch, foot = specimen.width / count, specimen.height * specimen.between(0.75, 0.95)
    tall, wide = specimen.scale(0.4, 0.7), specimen.width / count * specimen.between(0.12, 0.32)
    neck = specimen.between(0.3, 1.0)
    for index in range(count):
        apex = ((index + 0.5) * pitch, foot - tall)
        _turned_body(specimen, apex, math.pi / 2, [0, 3, tall * neck, tall, tall + 1], [0, 2, wide * 0.9, wide, 0], 0.5)
    base = np.clip(specimen.axes(origin=(0, foot))[1], 0, 1)
    specimen.layer(base, specimen.unit * 0.05, specimen.between(0.3, 0.5))


def manipulator(specimen: Specimen) -> None:
    """Draw a manipulator needle that comes in from a side over the specimen and welded to a lamella, or about to."""
    specimen.substrate(polish=0.3)
    angle = specimen.between(-0.6, 0.6) + (math.pi if specimen.chance(0.5) else 0)
    apex = (specimen.width * specimen.between(0.4, 0.6), specimen.height * specimen.between(0.4, 0.6))
    end, half = specimen.scale(0.008, 0.03), specimen.between(0.07, 0.2)
    if specimen.chance(0.6):
        size = specimen.scale(0.06, 0.14)
        box = [(apex[0] + dx * size, apex[1] + dy * size * 0.4) for dx, dy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        specimen.layer(specimen.outline(box), size * 0.5, 0.6)
    lengths = np.array([0, end, 3 * specimen.unit])
    before = specimen.z.max()
    specimen.z -= before
    _turned_body(specimen, apex, angle, lengths, [0, end, end + half * 3 * specimen.unit], specimen.between(0.55, 0.8))


def probes_on_pads(specimen: Specimen) -> None:
    """Draw two to four fine probes that point at one place from different sides, as a nanoprober's."""
    specimen.substrate(polish=0.9)
    middle = (specimen.width / 2, specimen.height / 2)
    probes = specimen.count(2, 4)
    for index in range(probes):
        angle = 2 * math.pi * index / probes + specimen.between(-0.4, 0.4)
        gap = specimen.scale(0.01, 0.12)
        apex = (middle[0] + gap * math.cos(angle), middle[1] + gap * math.sin(angle))
        end, half = specimen.scale(0.006, 0.02), specimen.between(0.06, 0.16)
        _turned_body(specimen, apex, angle, [0, end, 2 * specimen.unit], [0, end, end + half * 2 * specimen.unit], 0.6)


def cantilever_profile(specimen: Specimen) -> None:
    """Draw a probe in profile: a thin beam from one side, its tip a triangle below or above the end."""
    _dark(specimen)
    slope, thick = specimen.between(-0.3, 0.3), specimen.scale(0.03, 0.1)
    end = specimen.width * specimen.between(0.5, 0.85)
    y0 = specimen.height * specimen.between(0.4, 0.6)
    up = -1 if specimen.chance(0.5) else 1
    beam = [
        (-9, y0 - slope * end),
        (end, y0),
        (end + thick * 0.3, y0 + thick * up),
        (-9, y0 - slope * end + thick * up),
    ]
    foot, tall = end - specimen.scale(0.02, 0.15), specimen.scale(0.15, 0.4)
    wide = tall * specimen.between(0.18, 0.45)
    y1 = y0 + (thick * 0.8 + slope * 0) * up
    tip = [(foot - wide, y1), (foot + wide * specimen.between(-0.6, 0.6), y1 + tall * up), (foot + wide, y1)]
    matter = specimen.between(0.4, 0.65)
    specimen.layer(specimen.outline(beam), specimen.unit * 0.02, matter)
    specimen.layer(specimen.outline(tip), specimen.unit * 0.015, matter * specimen.between(0.8, 1.1))


KINDS: Final[tuple[SceneKind[Specimen], ...]] = (
    SceneKind("etched wire", etched_wire, (1.0, 300.0), _STM),
    SceneKind("atom probe", atom_probe, (1.0, 20.0), _ATOM_PROBE),
    SceneKind("probe from the front", probe_from_front, (10.0, 150.0), _AFM),
    SceneKind("apex close up", apex_close_up, (0.3, 10.0), _AFM),
    SceneKind("gated emitter", emitter_array, (0.8, 10.0), _EMITTERS),
    SceneKind("microneedles", microneedles, (200.0, 4000.0), _DRUGS),
    SceneKind("manipulator", manipulator, (10.0, 200.0), _BEAMS),
    SceneKind("probes meet", probes_on_pads, (2.0, 100.0), _BEAMS),
    SceneKind("probe in profile", cantilever_profile, (10.0, 300.0), _AFM),
)
