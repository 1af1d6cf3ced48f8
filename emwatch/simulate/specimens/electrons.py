"""
The second painter's imaging model: electrons leave the specimen, some reach a detector, a chain of electronics follows.

The yield of secondary electrons grows with the secant of the local tilt (Goldstein et al., Scanning Electron Microscopy and
X-ray Microanalysis, 4th ed., ch. 3), more leave at edges, fewer leave hollows whose walls hide the sky; backscattered
electrons tell matter rather than relief. Tilt is a true oblique view: near bodies hide far ones. The chain counts
electrons (Poisson), smears along the line as a slow amplifier does, and sets mean and deviation as an automatic
brightness and contrast does. No setting knows the category.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emwatch.simulate.planes import blurred, resized
from emwatch.simulate.specimens.specimen import Specimen

if TYPE_CHECKING:
    from emwatch.simulate.kind import SceneKind
    from emwatch.simulate.planes import Plane

_STEEPEST = 5.0  #: the secant's limit: electrons leave a wall no deeper than their range


@dataclass(frozen=True, slots=True)
class Exposure:
    """Settings of one frame. Lengths are in pixels of a frame 768 rows tall."""

    tilt_deg: float
    secant_power: float
    edge_gain: float
    edge_px: float
    backscattered: float  #: share of the signal that tells matter only
    enclosure: float  #: how much the hidden sky darkens, 0..1
    sky_px: float
    side: float  #: how one-sided the detector is, 0..1
    azimuth: float
    corrosion: float  #: roughness of every surface, pixels
    corrosion_px: float
    beam_px: float
    tail: float  #: share of the beam in a tail ten times as wide
    depth_of_field: float  #: blur in pixels at the far end of the relief
    halo: float  #: darkness round bright bodies that charge
    scanned_before: float  #: a darker box that an earlier scan left
    hum_px: float
    lag: float  #: share of the last pixel's signal that remains
    electrons: float  #: mean number counted in a pixel
    mean: float
    deviation: float
    gamma: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, tilt_deg: float | None = None) -> Exposure:
        """Return random settings; ``tilt_deg`` fixes the stage tilt."""

        def now_and_then(probability: float, low: float, high: float) -> float:
            luck, value = rng.random(), float(rng.uniform(low, high))
            return value if luck < probability else 0.0

        def between(low: float, high: float) -> float:
            return float(rng.uniform(low, high))

        tilt = now_and_then(0.3, 10.0, 52.0)
        return cls(
            tilt_deg=round(tilt if tilt_deg is None else tilt_deg, 1),
            secant_power=between(0.5, 1.3),
            edge_gain=between(0.0, 1.2),
            edge_px=between(1.5, 6.0),
            backscattered=now_and_then(0.35, 0.3, 0.9),
            enclosure=between(0.2, 0.95),
            sky_px=between(20.0, 90.0),
            side=between(0.0, 0.6),
            azimuth=between(0, 2 * math.pi),
            corrosion=now_and_then(0.5, 0.1, 1.2),
            corrosion_px=between(3.0, 30.0),
            beam_px=between(0.4, 1.6) if rng.random() < 0.75 else between(1.6, 3.2),
            tail=between(0.0, 0.25),
            depth_of_field=now_and_then(0.25, 1.5, 4.0),
            halo=now_and_then(0.2, 0.1, 0.5),
            scanned_before=now_and_then(0.08, 0.05, 0.2),
            hum_px=now_and_then(0.12, 0.4, 2.0),
            lag=now_and_then(0.5, 0.1, 0.6),
            electrons=math.exp(between(math.log(25.0), math.log(1500.0))),
            mean=between(0.3, 0.58),
            deviation=math.exp(between(math.log(0.09), math.log(0.24))),
            gamma=between(0.75, 1.3),
        )


def picture_of(
    kind: SceneKind[Specimen],
    scene_rng: np.random.Generator,
    imaging_rng: np.random.Generator,
    size: tuple[int, int],
    tilt_deg: float | None = None,
) -> tuple[Plane, float]:
    """Return the grey picture (0..1) of a kind's specimen, of ``size`` (width, height), and its tilt in degrees."""
    exposure = Exposure.drawn(imaging_rng, tilt_deg)
    width, height = size
    slope = math.radians(min(exposure.tilt_deg, 60.0))
    specimen = Specimen(scene_rng, width, round(height / math.cos(slope)), unit=height)
    kind.paint(specimen)
    z, matter = specimen.z, specimen.matter
    scale = height / 768
    if exposure.corrosion:
        rough = Specimen(imaging_rng, width, specimen.height).fractal(exposure.corrosion_px * scale)
        z = z + rough * np.float32(exposure.corrosion * scale)
    if slope:
        z, matter = _oblique(z, matter, slope, height)
    return counted(emitted(z, matter, exposure, scale), exposure, imaging_rng, scale), exposure.tilt_deg


def _oblique(z: Plane, matter: Plane, slope: float, height: int) -> tuple[Plane, Plane]:
    """Return what is seen at a tilt: each row moves up by its height, and what stands in front hides what is behind."""
    rows = np.arange(len(z), dtype=np.float32)[:, None]
    rise = (z - np.median(z[::8, ::8])) * np.float32(math.sin(slope))
    seen_at = rows * np.float32(math.cos(slope)) - rise
    hidden = np.minimum.accumulate(seen_at[::-1], axis=0)[::-1]
    wanted = np.arange(height, dtype=np.float32)
    source = np.empty((height, z.shape[1]), np.int32)
    for column in range(z.shape[1]):
        source[:, column] = np.searchsorted(hidden[:, column], wanted)
    np.clip(source, 0, len(z) - 1, out=source)
    return np.take_along_axis(z, source, axis=0), np.take_along_axis(matter, source, axis=0)


def emitted(z: Plane, matter: Plane, exposure: Exposure, scale: float) -> Plane:
    """Return the signal of a surface: ``z`` height in pixels, ``matter`` the yield of flat matter."""
    z = blurred(z, 0.6)
    down, right = np.gradient(z)
    secant = np.sqrt(1 + down * down + right * right)
    relief = np.minimum(secant, _STEEPEST) ** np.float32(exposure.secant_power)
    facing = (right * np.float32(math.cos(exposure.azimuth)) + down * np.float32(math.sin(exposure.azimuth))) / secant
    crest = np.clip((z - blurred(z, exposure.edge_px * scale)) / np.float32(exposure.edge_px * scale), 0, 1)
    seen = matter * relief * (1 + np.float32(exposure.side) * facing)
    seen += matter * crest * np.float32(exposure.edge_gain)
    seen *= 1 - np.float32(exposure.enclosure) * _hidden_sky(z, exposure.sky_px * scale)
    if exposure.backscattered:
        share = np.float32(exposure.backscattered)
        seen = seen * (1 - share) + (matter * matter * (1 + np.float32(0.4) * facing)) * share * 2
    if exposure.halo:
        seen *= 1 - np.float32(exposure.halo) * np.clip(blurred(matter, 30 * scale) - matter, 0, 0.5) * 2
    if exposure.depth_of_field:
        low, high = np.percentile(z[::8, ::8], (2, 98))
        far = np.clip((np.float32(high) - z) / np.float32(max(high - low, 1e-3)), 0, 1)
        seen += far * (blurred(seen, exposure.depth_of_field * scale) - seen)
    return np.asarray(seen, dtype=np.float32)


def _hidden_sky(z: Plane, reach: float) -> Plane:
    """Return the share of the sky that the surroundings hide: the sine of the horizon's height, over eight directions."""
    height, width = z.shape
    shrink = max(1, round(height / 190))
    small = z[::shrink, ::shrink] if shrink == 1 else resized(z, width // shrink, height // shrink)
    small = small / np.float32(shrink)
    rows, columns = small.shape
    edge = max(1, math.ceil(reach / shrink))
    padded = np.pad(small, edge, mode="edge")
    total = np.zeros_like(small)
    for turn in range(8):
        horizon = np.zeros_like(small)
        step = 1.0
        while step <= edge:
            dx, dy = round(step * math.cos(turn * math.pi / 4)), round(step * math.sin(turn * math.pi / 4))
            there = padded[edge + dy : edge + dy + rows, edge + dx : edge + dx + columns]
            np.maximum(horizon, (there - small) / np.float32(max(math.hypot(dx, dy), 1)), out=horizon)
            step *= 2.2
        total += horizon / np.sqrt(1 + horizon * horizon)
    return resized(total / np.float32(8), width, height)


def counted(signal: Plane, exposure: Exposure, rng: np.random.Generator, scale: float) -> Plane:
    """Return grey values 0..1 of a signal: beam, scan, counting, amplifier and levels."""
    height, width = signal.shape
    signal = blurred(signal, min(exposure.beam_px, 2.9) * max(scale, 0.5))
    if exposure.tail:
        signal = signal + np.float32(exposure.tail) * (blurred(signal, 10 * exposure.beam_px * scale) - signal)
    if exposure.scanned_before:
        x0, y0 = int(rng.uniform(0, 0.6) * width), int(rng.uniform(0, 0.6) * height)
        part = (slice(y0, y0 + height // 3), slice(x0, x0 + width // 3))
        signal[part] *= np.float32(1 - exposure.scanned_before)
    if exposure.hum_px:
        sway = np.sin(np.arange(height) * rng.uniform(0.05, 1.2)) * exposure.hum_px * scale
        columns = np.clip(np.arange(width)[None, :] + np.rint(sway).astype(np.int64)[:, None], 0, width - 1)
        signal = np.take_along_axis(signal, columns, axis=1)
    mean = max(float(signal.mean()), 1e-3)
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    noise *= np.sqrt(np.maximum(signal, 0.05 * mean) * np.float32(mean / exposure.electrons))
    signal = signal + noise
    if exposure.lag:
        for share in (exposure.lag, exposure.lag**2):
            signal[:, 1:] += np.float32(share / 2) * (signal[:, :-1] - signal[:, 1:])
    return _levelled(signal, exposure, mean)


def _levelled(signal: Plane, exposure: Exposure, mean: float) -> Plane:
    deviation = max(float(signal[::3, ::3].std()), 0.08 * mean)
    grey = (signal - np.float32(mean)) * np.float32(exposure.deviation / deviation) + np.float32(exposure.mean)
    return np.asarray(np.clip(grey, 0, 1.1) ** np.float32(exposure.gamma), dtype=np.float32)
