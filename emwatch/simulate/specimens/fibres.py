"""Fibres: strands much longer than the picture, round or flat, bent, one beside or over the other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.simulate.kind import SceneKind
from emwatch.simulate.specimens.specimen import Specimen, Stroke, oval

if TYPE_CHECKING:
    from emwatch.simulate.planes import Plane

_SPINNING = "Greiner and Wendorff, Electrospinning, Angew. Chem. Int. Ed. 46 (2007) 5670"
_TEXTILES = "ISO/TR 11827, Textiles: identification of fibres"
_COMPOSITES = "Hull and Clyne, An Introduction to Composite Materials, 2nd ed. (1996)"


def _mat(specimen: Specimen, width: float, strands: int, bend: float, along: float | None = None) -> None:
    """Lay strands every way, or about ``along`` (radians); later ones lie higher and yield more."""
    for_each = []
    for index in range(strands):
        depth = index / strands
        angle = specimen.between(0, math.pi) if along is None else specimen.rng.normal(along, 0.12)
        thick = width * math.exp(specimen.rng.normal(0, 0.18))
        points = specimen.across(specimen.place(), angle, bend)
        for_each.append(Stroke(points, thick, depth * width * 3, 0.18 + 0.45 * depth))
    specimen.matter *= np.float32(0.4)
    specimen.strokes(for_each)


def spun_web(specimen: Specimen) -> None:
    """Draw an electrospun web: even, smooth strands, every way, layers below layers."""
    specimen.substrate()
    width = specimen.scale(0.01, 0.05)
    _mat(specimen, width, round(min(120, 2.6 * specimen.width / width)), specimen.between(0.2, 1.2))


def combed(specimen: Specimen) -> None:
    """Draw strands drawn out in one direction by a turning drum."""
    specimen.substrate()
    width = specimen.scale(0.012, 0.05)
    strands = round(min(110, 2.2 * specimen.width / width))
    _mat(specimen, width, strands, specimen.between(0.02, 0.2), specimen.between(0, math.pi))


def beads_on_strings(specimen: Specimen) -> None:
    """Draw thin strands that swell to spindles, as too thin a solution gives."""
    specimen.substrate()
    width = specimen.scale(0.006, 0.016)
    strokes, beads = [], []
    for index in range(specimen.count(15, 45)):
        points = specimen.across(specimen.place(), specimen.between(0, math.pi), specimen.between(0.2, 0.8))
        base = index * width * 0.1
        strokes.append(Stroke(points, width, base, 0.45))
        beads += [
            (points[number], points[number + 1], base) for number in range(specimen.count(2, 7), len(points) - 1, 7)
        ]
    specimen.matter *= np.float32(0.5)
    specimen.strokes(strokes)
    for here, then, base in beads:
        angle, size = math.atan2(then[1] - here[1], then[0] - here[0]), width * specimen.between(1.5, 3.5)
        specimen.body(oval(size * 1.7, size, angle, size), (here[0], here[1]), base, 0.55)


def woven(specimen: Specimen) -> None:
    """Draw a plain weave: yarns of many filaments, over and under in turn."""
    pitch, angle = specimen.scale(0.16, 0.4), specimen.between(-0.4, 0.4)
    along, across = specimen.axes(angle)
    warp, weft = along / np.float32(pitch), across / np.float32(pitch)
    over = np.cos(np.rint(warp) * np.float32(math.pi)) * np.cos(np.rint(weft) * np.float32(math.pi))
    filaments = np.float32(specimen.count(5, 12) * 2 * math.pi)
    z = np.full_like(specimen.z, -pitch)
    bend = specimen.soft(pitch * 0.5) * np.float32(0.03)
    for position, run, sign in ((warp, weft, 1), (weft, warp, -1)):
        off = position + bend - np.rint(position)
        rise = np.cos(run * np.float32(math.pi)) * np.cos(np.rint(position) * np.float32(math.pi)) * np.float32(sign)
        yarn = np.sqrt(np.maximum(1 - (off / np.float32(0.46)) ** 2, 0)) * np.float32(0.3) + rise * np.float32(0.18)
        yarn += np.abs(np.cos(off * filaments / 2)) * np.float32(0.035)
        z = np.maximum(z, np.where(np.abs(off) < 0.46, yarn * np.float32(pitch), -pitch))
    specimen.z[:] = z
    specimen.matter[:] = np.where(z > -pitch * 0.9, 0.45, 0.08) + over * np.float32(0.01)


def wool(specimen: Specimen) -> None:
    """Draw a few animal fibres with overlapping cuticle scales whose edges run round them."""
    specimen.substrate()
    specimen.matter *= np.float32(0.4)
    width = specimen.scale(0.1, 0.35)
    for _ in range(specimen.count(1, 5)):
        angle, at = specimen.between(0, math.pi), specimen.place(-width)
        along, off = specimen.axes(angle, at)
        off = off + np.float32(specimen.unit * 0.04) * np.sin(along / np.float32(specimen.unit * 0.5))
        round_ = np.sqrt(np.maximum(1 - (off / np.float32(width / 2)) ** 2, 0))
        edge = along / np.float32(width * 0.45) + specimen.soft(width * 0.3) * np.float32(0.3) + off / np.float32(width)
        scale = (edge - np.floor(edge)) * np.float32(width * 0.045)
        z = np.where(round_ > 0, round_ * np.float32(width / 2) + scale + specimen.z.max(), -np.inf)
        higher = z > specimen.z
        specimen.z = np.where(higher, z, specimen.z).astype(np.float32)
        specimen.matter = np.where(higher, np.float32(0.5), specimen.matter).astype(np.float32)


def cotton(specimen: Specimen) -> None:
    """Draw flat ribbons that twist about themselves, as cotton does."""
    specimen.substrate()
    specimen.matter *= np.float32(0.4)
    width = specimen.scale(0.05, 0.16)
    for index in range(specimen.count(4, 14)):
        points = specimen.across(specimen.place(), specimen.between(0, math.pi), specimen.between(0.2, 0.7))
        twist, base = specimen.between(0, 6), index * width * 0.15
        pieces = []
        for number in range(len(points) - 1):
            thin = 0.35 + 0.65 * abs(math.cos(twist + number * 0.35))
            pieces.append(Stroke(points[number : number + 2], width * thin, base + width * (1 - thin) * 0.3, 0.5))
        specimen.strokes(pieces, flat=0.4)


def broken_composite(specimen: Specimen) -> None:
    """Draw straight filaments pulled out of a broken matrix, with their holes beside them."""
    angle = specimen.between(0, math.pi)
    specimen.z[:] = specimen.fractal(specimen.unit * 0.15, 0.6) * np.float32(specimen.unit * 0.012)
    specimen.matter[:] = specimen.between(0.2, 0.35)
    width = specimen.scale(0.03, 0.09)
    strokes = []
    for index in range(specimen.count(14, 40)):
        at = specimen.place(width)
        points = specimen.path(at, specimen.rng.normal(angle, 0.06), specimen.between(0.4, 1.6) * specimen.unit)
        strokes.append(Stroke(points, width, (index % 7) * width * 0.4, specimen.between(0.4, 0.6)))
    specimen.strokes(strokes)


def melt_blown(specimen: Specimen) -> None:
    """Draw a filter medium: strands of very unequal widths, curled, some fused side by side."""
    specimen.substrate()
    specimen.matter *= np.float32(0.35)
    strokes = []
    count = specimen.count(35, 90)
    for index in range(count):
        width = specimen.unit * float(np.clip(specimen.rng.lognormal(math.log(0.015), 0.6), 0.004, 0.09))
        points = specimen.across(specimen.place(), specimen.between(0, math.pi), specimen.between(0.5, 2.5))
        matter = 0.15 + 0.45 * index / count
        strokes.append(Stroke(points, width, index / count * specimen.unit * 0.12, matter))
        if specimen.chance(0.2):
            strokes.append(Stroke(points + width * 0.9, width * 0.9, index / count * specimen.unit * 0.12, matter))
    specimen.strokes(strokes)


def collagen(specimen: Specimen) -> None:
    """Draw bundles of fine banded fibrils running side by side, as a scaffold of regenerated protein shows."""
    angle = specimen.between(0, math.pi)
    width = specimen.scale(0.02, 0.05)
    along, _ = specimen.axes(angle)
    specimen.matter[:] = 0.12
    strokes = []
    count = round(min(130, 2.6 * specimen.width / width))
    for index in range(count):
        points = specimen.across(specimen.place(), specimen.rng.normal(angle, 0.25), 0.6)
        strokes.append(Stroke(points, width, index / count * width * 4, 0.2 + 0.35 * index / count))
    specimen.strokes(strokes)
    bands: Plane = np.cos(along * np.float32(2 * math.pi / (width * 0.8)))
    specimen.z += bands * np.float32(width * 0.02)


KINDS: Final[tuple[SceneKind[Specimen], ...]] = (
    SceneKind("spun web", spun_web, (5.0, 200.0), _SPINNING),
    SceneKind("combed", combed, (5.0, 200.0), _SPINNING),
    SceneKind("beads on strings", beads_on_strings, (5.0, 100.0), _SPINNING),
    SceneKind("woven", woven, (200.0, 4000.0), _TEXTILES),
    SceneKind("wool", wool, (40.0, 400.0), _TEXTILES),
    SceneKind("cotton", cotton, (80.0, 600.0), _TEXTILES),
    SceneKind("broken composite", broken_composite, (40.0, 500.0), _COMPOSITES),
    SceneKind("melt blown", melt_blown, (20.0, 500.0), "Hutten, Handbook of Nonwoven Filter Media, 2nd ed. (2015)"),
    SceneKind("collagen", collagen, (2.0, 30.0), _SPINNING),
)
