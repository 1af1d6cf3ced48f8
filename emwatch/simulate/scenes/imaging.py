"""
The imaging model: how the pretend microscope sees a surface.

One model for every category, and its parameters are drawn without knowing the category: nothing in the imaging may
tell what the scene is. Slopes and edges shine (more secondary electrons leave there), hollows are dark, the detector
stands on one side, the beam has a width and an astigmatism, insulating spots charge, lines jitter, and electrons are few.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emwatch.simulate.planes import Plane, blurred, resized
from emwatch.simulate.scenes.canvas import Canvas

if TYPE_CHECKING:
    from emwatch.simulate.kind import SceneKind


@dataclass(frozen=True, slots=True)
class Imaging:
    """Settings of one frame. Lengths in pixels of a frame 768 rows tall; strengths are shares of the full grey scale."""

    tilt_deg: float
    edge: float
    glow: float
    glow_px: float
    shade: float
    shade_angle: float
    hollow: float
    hollow_px: float
    blur_px: float
    astigmatism_px: float
    astigmatism_angle: float
    charging: float
    vignetting: float
    uneven: float
    drift_px: float
    jitter_px: float
    line_noise: float
    shot_noise: float
    contrast: float
    brightness: float
    gamma: float
    grain: float  #: roughness of every surface, as a share of its grain's size
    grain_px: float
    averaging: float  #: 0 centres the range of grey values, 1 their mean, as an automatic brightness does

    @classmethod
    def drawn(cls, rng: np.random.Generator, tilt_deg: float | None = None) -> Imaging:
        """Draw the settings; ``tilt_deg`` fixes the stage tilt."""

        def sometimes(probability: float, low: float, high: float) -> float:
            value, luck = rng.uniform(low, high), rng.random()
            return float(value) if luck < probability else 0.0

        tilt = sometimes(0.35, 5.0, 55.0)
        return cls(
            tilt_deg=round(tilt if tilt_deg is None else tilt_deg, 1),
            edge=float(rng.uniform(0.25, 0.8)),
            glow=float(rng.uniform(0.0, 0.5)),
            glow_px=float(rng.uniform(3, 12)),
            shade=float(rng.uniform(0.0, 0.3)),
            shade_angle=float(rng.uniform(0, 2 * math.pi)),
            hollow=float(rng.uniform(0.1, 0.6)),
            hollow_px=float(rng.uniform(12, 40)),
            blur_px=float(rng.gamma(2.0, 0.45)),
            astigmatism_px=sometimes(0.2, 1.0, 3.0),
            astigmatism_angle=float(rng.uniform(0, math.pi)),
            charging=sometimes(0.15, 0.1, 0.4),
            vignetting=sometimes(0.3, 0.05, 0.35),
            uneven=sometimes(0.4, 0.01, 0.06),
            drift_px=sometimes(0.15, 2.0, 12.0),
            jitter_px=sometimes(0.15, 0.3, 1.0),
            line_noise=sometimes(0.4, 0.005, 0.035),
            shot_noise=float(0.02 + rng.gamma(1.6, 0.035)),
            contrast=math.exp(rng.uniform(math.log(0.25), math.log(1.25))),
            brightness=float(rng.normal(0.0, 0.09)),
            gamma=float(rng.uniform(0.75, 1.3)),
            averaging=float(rng.uniform(0.2, 1.0)),
            grain=sometimes(0.6, 0.02, 0.16),
            grain_px=math.exp(rng.uniform(math.log(3.0), math.log(24.0))),
        )


def picture_of(
    kind: SceneKind[Canvas],
    scene_rng: np.random.Generator,
    imaging_rng: np.random.Generator,
    size: tuple[int, int],
    tilt_deg: float | None = None,
) -> tuple[Plane, float]:
    """Return the grey picture (0..1) of a kind's scene, of ``size`` (width, height), and its tilt in degrees."""
    imaging = Imaging.drawn(imaging_rng, tilt_deg)
    z, tone = _painted(kind, scene_rng, *size, imaging.tilt_deg)
    return seen(z, tone, imaging, imaging_rng), imaging.tilt_deg


def _painted(
    kind: SceneKind[Canvas], rng: np.random.Generator, width: int, height: int, tilt_deg: float
) -> tuple[Plane, Plane]:
    """Paint a scene tall enough to be foreshortened to the frame by the tilt."""
    tall = round(height / math.cos(math.radians(min(tilt_deg, 60.0))))
    canvas = Canvas(rng, width, tall, unit=height)
    kind.paint(canvas)
    if tall == height:
        return canvas.z, canvas.tone
    return resized(canvas.z, width, height), resized(canvas.tone, width, height)


def seen(z: Plane, tone: Plane, imaging: Imaging, rng: np.random.Generator) -> Plane:
    """
    Return the grey picture (0..1) of a surface.

    ``z``: height in pixels; ``tone``: brightness of the flat material, 0..1; both of shape (height, width).
    """
    scale = len(z) / 768
    if imaging.grain:
        size = imaging.grain_px * scale
        z = z + Canvas(rng, z.shape[1], len(z)).noise(size, 2) * np.float32(size * imaging.grain)
    z = blurred(z, 0.7)
    light = _topography(z, tone, imaging, scale)
    light = _levels(light, imaging)
    if imaging.charging:
        light = _charged(light, imaging.charging)
    light = _beam(light, imaging, scale)
    light = _scan(light, imaging, rng, scale)
    return _noise(light, imaging, rng)


def _topography(z: Plane, tone: Plane, imaging: Imaging, scale: float) -> Plane:
    slope_y, slope_x = np.gradient(z)
    cosine: Plane = np.asarray(slope_x * slope_x, dtype=np.float32)
    cosine += 1
    cosine += slope_y * slope_y
    np.divide(1, np.sqrt(cosine, out=cosine), out=cosine)
    edge = 1 - cosine
    light = tone * (0.55 + 0.45 * cosine) + np.float32(imaging.edge) * edge * (0.35 + 0.65 * tone)
    across = slope_x * np.float32(math.cos(imaging.shade_angle)) + slope_y * np.float32(math.sin(imaging.shade_angle))
    light += np.float32(imaging.shade) * across * cosine
    if imaging.glow:
        light += np.float32(imaging.glow) * blurred(edge, imaging.glow_px * scale) * (0.3 + tone)
    reach = imaging.hollow_px * scale
    depth = np.clip((blurred(z, reach) - z) / np.float32(reach), -0.5, 1.0)
    return np.asarray(light * (1 - np.float32(imaging.hollow) * depth), dtype=np.float32)


def _levels(light: Plane, imaging: Imaging) -> Plane:
    """Set brightness and contrast as an operator would: most of the picture within the scale."""
    low, high = np.percentile(light[::4, ::4], (1.0, 99.0))
    span = max(float(high - low), 0.12)
    mean = float(light[::4, ::4].mean())
    middle = (1 - imaging.averaging) * float(high + low) / 2 + imaging.averaging * mean
    grey = (light - np.float32(middle)) * np.float32(imaging.contrast * 0.8 / span) + np.float32(
        0.45 + imaging.brightness
    )
    return np.asarray(np.clip(grey, 0, 1.15) ** np.float32(imaging.gamma), dtype=np.float32)


def _charged(light: Plane, strength: float) -> Plane:
    """Let bright spots bleed along the scan line and darken what comes after them."""
    bright = np.clip(light - np.float32(0.75), 0, None)
    width = light.shape[1]
    total = np.cumsum(bright, axis=1, dtype=np.float32)
    reach = max(4, width // 12)
    trail = total.copy()
    trail[:, reach:] -= total[:, :-reach]
    bled = bright * 2 - trail * np.float32(6 / reach)
    return np.asarray(light + np.float32(strength) * bled, dtype=np.float32)


def _beam(light: Plane, imaging: Imaging, scale: float) -> Plane:
    light = blurred(light, min(imaging.blur_px, 2.9) * max(scale, 0.5))
    if imaging.astigmatism_px:
        reach = imaging.astigmatism_px * scale
        step_x = round(reach * math.cos(imaging.astigmatism_angle))
        step_y = round(reach * math.sin(imaging.astigmatism_angle))
        if step_x or step_y:
            there = np.roll(light, (step_y, step_x), axis=(0, 1))
            back = np.roll(light, (-step_y, -step_x), axis=(0, 1))
            light = (light + there + back) / np.float32(3)
    return light


def _scan(light: Plane, imaging: Imaging, rng: np.random.Generator, scale: float) -> Plane:
    height, width = light.shape
    walk = rng.standard_normal(height)
    line = rng.standard_normal((2, height)).astype(np.float32)
    corner = rng.standard_normal((3, 3)).astype(np.float32)
    if imaging.drift_px or imaging.jitter_px:
        wander = np.cumsum(walk) / math.sqrt(height) * imaging.drift_px * scale
        shift = np.rint(wander + walk * imaging.jitter_px * scale).astype(np.int64)
        columns = np.clip(np.arange(width)[None, :] + shift[:, None], 0, width - 1)
        light = np.take_along_axis(light, columns, axis=1)
    if imaging.uneven:
        light = light + resized(corner, width, height) * np.float32(imaging.uneven)
    if imaging.vignetting:
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
        light = light * (1 - np.float32(imaging.vignetting / 2) * (x * x + y * y))
    if imaging.line_noise:
        gain, offset = line * np.float32(imaging.line_noise)
        light = light * (1 + gain[:, None]) + offset[:, None]
    return light


def _noise(light: Plane, imaging: Imaging, rng: np.random.Generator) -> Plane:
    grain = rng.standard_normal(light.shape, dtype=np.float32)
    grain *= np.float32(imaging.shot_noise)
    electrons = np.clip(light, 0.04, 1)
    grain *= np.sqrt(electrons, out=electrons)
    grain += light
    return grain
