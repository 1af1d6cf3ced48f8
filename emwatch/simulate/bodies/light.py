"""
The third painter's imaging: what a detector makes of a buffer of depths, normals and yields.

Secondary electrons: the secant law with a limit set by the escape depth, more where a body ends in front of another
(Goldstein et al., Scanning Electron Microscopy and X-ray Microanalysis, 4th ed., ch. 3 and 5; Reimer, Scanning Electron
Microscopy, 2nd ed., ch. 4); backscattered: matter, and shadows away from the detector. Lower bodies between higher ones
receive fewer. Then focus, charging, contamination, the scan, the dose and the levels. No setting knows the category.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emwatch.simulate.bodies.stage import NOTHING, Stage
from emwatch.simulate.planes import blurred, resized

if TYPE_CHECKING:
    from emwatch.simulate.kind import SceneKind
    from emwatch.simulate.planes import Plane


@dataclass(frozen=True, slots=True)
class Detection:
    """Settings of one frame. Lengths are in pixels of a frame 768 rows tall."""

    tilt_deg: float
    secant_power: float
    least_cosine: float  #: flatter views of a surface yield no more: the escape depth
    rim: float
    rim_px: float
    backscattered: float
    side: float
    azimuth: float
    shadow: float
    shadow_px: float
    focus: float  #: blur at the far end of the relief
    focus_at: float  #: which share of the depth is sharp
    probe_px: float
    stigma_px: float
    stigma_angle: float
    streaks: float
    haze: float
    burnt: float  #: a square darkened by contamination
    sway_px: float
    shiver_px: float
    banding: float
    dose: float
    vignette: float
    slant: float
    clip_low: float
    clip_high: float
    gamma: float
    span: float
    inverted: bool
    skin: float  #: roughness of every surface: slopes
    skin_px: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, tilt_deg: float | None = None) -> Detection:
        """Return random settings; ``tilt_deg`` fixes the stage tilt."""

        def between(low: float, high: float) -> float:
            return float(rng.uniform(low, high))

        def at_times(probability: float, low: float, high: float) -> float:
            luck, value = rng.random(), between(low, high)
            return value if luck < probability else 0.0

        tilt = at_times(0.45, 8.0, 60.0)
        return cls(
            tilt_deg=round(tilt if tilt_deg is None else tilt_deg, 1),
            secant_power=between(0.35, 1.0),
            least_cosine=between(0.12, 0.35),
            rim=between(0.1, 0.9),
            rim_px=between(1.5, 5.0),
            backscattered=at_times(0.3, 0.3, 0.85),
            side=between(0.0, 0.55),
            azimuth=between(0, 2 * math.pi),
            shadow=between(0.35, 1.0),
            shadow_px=between(10.0, 50.0),
            focus=at_times(0.35, 1.0, 5.0),
            focus_at=between(0.4, 1.0),
            probe_px=float(0.5 + rng.gamma(1.6, 0.45)),
            stigma_px=at_times(0.12, 1.0, 3.0),
            stigma_angle=between(0, math.pi),
            streaks=at_times(0.15, 0.2, 0.8),
            haze=at_times(0.3, 0.05, 0.3),
            burnt=at_times(0.07, 0.06, 0.25),
            sway_px=at_times(0.12, 0.5, 3.0),
            shiver_px=at_times(0.15, 0.2, 0.9),
            banding=at_times(0.25, 0.004, 0.025),
            dose=math.exp(between(math.log(18.0), math.log(2500.0))),
            vignette=at_times(0.25, 0.05, 0.35),
            slant=at_times(0.25, 0.03, 0.2),
            clip_low=between(0.0, 3.0),
            clip_high=between(97.0, 100.0),
            gamma=between(0.7, 1.35),
            span=between(0.55, 1.0),
            inverted=bool(rng.random() < 0.03),
            skin=at_times(0.6, 0.04, 0.35),
            skin_px=math.exp(between(math.log(2.0), math.log(24.0))),
        )


def picture_of(
    kind: SceneKind[Stage],
    scene_rng: np.random.Generator,
    imaging_rng: np.random.Generator,
    size: tuple[int, int],
    tilt_deg: float | None = None,
) -> tuple[Plane, float]:
    """Return the grey picture (0..1) of a kind's scene, of ``size`` (width, height), and its tilt in degrees."""
    detection = Detection.drawn(imaging_rng, tilt_deg)
    stage = Stage(scene_rng, *size, min(detection.tilt_deg, 60.0))
    kind.paint(stage)
    if detection.skin:
        _roughened(stage, detection, imaging_rng)
    return recorded(received(stage, detection), detection, imaging_rng), detection.tilt_deg


def received(stage: Stage, detection: Detection) -> Plane:
    """Return the signal of a scene."""
    scale = stage.height / 768
    body = stage.z > NOTHING / 2
    lowest = float(stage.z[body].min()) if body.any() else 0.0
    z = np.maximum(stage.z, np.float32(lowest - 0.3 * stage.height))
    cosine = np.maximum(stage.nz, np.float32(detection.least_cosine))
    facing = stage.nx * np.float32(math.cos(detection.azimuth)) + stage.ny * np.float32(math.sin(detection.azimuth))
    reach = detection.rim_px * scale + 0.5
    rim = np.clip((z - blurred(z, reach)) / np.float32(reach), 0, 1)
    relief = cosine ** np.float32(-detection.secant_power)
    signal: Plane = np.asarray(stage.matter * relief * (1 + np.float32(detection.side) * facing), np.float32)
    signal += (np.float32(0.25) + stage.matter) * rim * np.float32(detection.rim * 0.6)
    if detection.backscattered:
        matter = stage.matter**1.5 * (1 + np.float32(0.55) * facing) * np.float32(1.4)
        signal += np.float32(detection.backscattered) * (matter - signal)
    signal *= np.where(body, 1 - np.float32(detection.shadow) * _enclosed(z, detection.shadow_px * scale), 1)
    if detection.haze:
        signal += np.float32(detection.haze) * (blurred(signal, 25 * scale) - signal * np.float32(0.3))
    return _focused(signal, z, detection, scale) if detection.focus else signal


def _roughened(stage: Stage, detection: Detection, rng: np.random.Generator) -> None:
    """Turn all normals a little, as the grain of a sputtered coating or a natural skin does."""
    height, width = stage.z.shape
    for octave in (1.0, 0.4):
        step = max(detection.skin_px * height / 768 * octave, 1.0)
        coarse = rng.standard_normal((2, math.ceil(height / step) + 1, math.ceil(width / step) + 1), dtype=np.float32)
        for plane, noise in zip((stage.nx, stage.ny), coarse, strict=True):
            np.add(plane, resized(noise, width, height) * np.float32(detection.skin * 0.6), out=plane)
    long = np.sqrt(stage.nx**2 + stage.ny**2 + stage.nz**2)
    for plane in (stage.nx, stage.ny, stage.nz):
        np.divide(plane, long, out=plane)


def _enclosed(z: Plane, reach: float) -> Plane:
    """Return how much of the sky the surroundings hide, 0..1: near on a plane of half the pixels, far on an eighth."""
    height, width = z.shape
    total = np.zeros_like(z)
    for shrink, radii in ((2, (1.0, 2.5)), (8 if height > 200 else 4, (reach / 3, reach))):
        small = resized(z, max(8, width // shrink), max(8, height // shrink)) / np.float32(shrink)
        rows, columns = small.shape
        steps = [max(1.0, radius if shrink == 2 else radius / shrink) for radius in radii]
        edge = math.ceil(max(steps)) + 1
        padded = np.pad(small, edge, mode="edge")
        hidden = np.zeros_like(small)
        for ring, step in enumerate(steps):
            for number in range(9):
                turn = (number + ring / 2) * 2 * math.pi / 9
                dx, dy = round(step * math.cos(turn)), round(step * math.sin(turn))
                there = padded[edge + dy : edge + dy + rows, edge + dx : edge + dx + columns]
                rise = np.maximum(there - small, 0) / np.float32(max(math.hypot(dx, dy), 1.0))
                hidden += rise / np.sqrt(1 + rise * rise)
        total += resized(hidden, width, height) * np.float32((0.28 if shrink == 2 else 0.72) / 9 / len(steps) * 1.5)
    return np.clip(total, 0, 0.97)


def _focused(signal: Plane, z: Plane, detection: Detection, scale: float) -> Plane:
    low, high = np.percentile(z[::6, ::6], (1, 99))
    apart = np.abs((z - np.float32(low)) / np.float32(max(high - low, 1.0)) - np.float32(detection.focus_at))
    apart = np.clip(blurred(np.clip(apart, 0, 1), 2 * scale), 0, 1)
    most = detection.focus * max(scale, 0.5)
    half, full = blurred(signal, min(most / 2, 2.9)), blurred(signal, most)
    out = np.where(apart < 0.5, signal + 2 * apart * (half - signal), half + (2 * apart - 1) * (full - half))
    return np.asarray(out, dtype=np.float32)


def recorded(signal: Plane, detection: Detection, rng: np.random.Generator) -> Plane:
    """Return grey values 0..1 of a signal: probe, charging, scan, dose and levels."""
    height, width = signal.shape
    scale = height / 768
    signal = blurred(signal, min(detection.probe_px, 2.9) * max(scale, 0.6))
    if detection.stigma_px:
        signal = _smeared(signal, detection.stigma_px * scale, detection.stigma_angle)
    if detection.streaks:
        bright = np.maximum(signal - np.float32(np.percentile(signal[::4, ::4], 92)), 0)
        reach = max(6, width // 6)
        total = np.cumsum(bright, axis=1, dtype=np.float32)
        total[:, reach:] -= total[:, :-reach].copy()
        drained = np.float32(detection.streaks) * np.clip(total / np.float32(reach * 0.12), 0, 0.8)
        signal = np.asarray(signal * (1 - drained) + bright, np.float32)
    if detection.burnt:
        side = int(height * rng.uniform(0.25, 0.6))
        top, left = int(rng.uniform(0, height - side)), int(rng.uniform(0, width - side))
        signal[top : top + side, left : left + side] *= np.float32(1 - detection.burnt)
    if detection.vignette or detection.slant:
        x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        fall = np.float32(detection.vignette / 2) * (x * x + y * y)
        turn = rng.uniform(0, 2 * math.pi)
        rise = x * np.float32(math.cos(turn)) + y * np.float32(math.sin(turn))
        signal = np.asarray(signal * (1 - fall + np.float32(detection.slant) * rise), np.float32)
    signal = _scanned(signal, detection, rng, scale)
    return _levelled(signal, detection, rng)


def _smeared(signal: Plane, reach: float, angle: float) -> Plane:
    dx, dy = round(reach * math.cos(angle)), round(reach * math.sin(angle))
    if not dx and not dy:
        return signal
    there, back = (np.roll(signal, (sign * dy, sign * dx), axis=(0, 1)) for sign in (1, -1))
    return np.asarray((signal * 2 + there + back) / np.float32(4), dtype=np.float32)


def _scanned(signal: Plane, detection: Detection, rng: np.random.Generator, scale: float) -> Plane:
    height, width = signal.shape
    lines = rng.standard_normal((2, height))
    if detection.sway_px or detection.shiver_px:
        period = rng.uniform(8, 90)
        shift = (
            detection.sway_px * scale * np.sin(np.arange(height) * 2 * math.pi / period)
            + detection.shiver_px * lines[0]
        )
        at = np.clip(np.arange(width, dtype=np.float32)[None, :] + shift[:, None], 0, width - 1.001)
        left = at.astype(np.intp)
        part = (at - left).astype(np.float32)
        signal = np.take_along_axis(signal, left, 1) * (1 - part) + np.take_along_axis(signal, left + 1, 1) * part
    if detection.banding:
        signal = signal * (1 + np.float32(detection.banding) * lines[1].astype(np.float32)[:, None])
    return np.asarray(signal, dtype=np.float32)


def _levelled(signal: Plane, detection: Detection, rng: np.random.Generator) -> Plane:
    """Count electrons and set the levels as an automatic contrast does: by shares of pixels at both ends."""
    middle = max(float(signal.mean()), 1e-3)
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    noise *= np.sqrt(np.maximum(signal, 0.05 * middle) * np.float32(middle / detection.dose))
    low, high = np.percentile(signal[::3, ::3], (detection.clip_low, detection.clip_high))
    least = 0.5 * middle
    if high - low < least:
        low, high = (low + high - least) / 2, (low + high + least) / 2
    grey = (signal + noise - np.float32(low)) / np.float32(high - low)
    grey = np.clip(grey, 0, 1.05) ** np.float32(detection.gamma)
    mean = float(grey.mean())
    grey = (grey - np.float32(mean)) * np.float32(detection.span) + np.float32(0.5 * mean + 0.22)
    return np.asarray(1 - grey if detection.inverted else grey, dtype=np.float32)
