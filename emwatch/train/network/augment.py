"""
Small changes to training views, another one each time: the network shall know the specimen, not the picture.

Every change is a function of the seed, the epoch and the batch, so that an interrupted run goes on as if it had not been.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.frame import NETWORK_SIDE_PX

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far views are changed at most; each frame by an amount of its own, evenly between minus and plus this."""

    rotation_deg: float
    shift: float  #: of the side, along and across
    shear_deg: float
    zoom: float  #: along and across, each on its own
    mirror: bool = False
    contrast: float = 0.0  #: of the grey values' distance from the middle
    brightness: float = 0.0  #: of the whole range


#: The original's: Keras' ImageDataGenerator with rotation 15 x s, shifts, shear and zoom s, where s is 0.1. That
#: generator takes shear in degrees, so there was next to none.
ORIGINAL: Final = Augmentation(rotation_deg=1.5, shift=0.1, shear_deg=0.1, zoom=0.1)

#: For fine-tuning: instruments differ in scan rotation, magnification and detector gain; a mirrored specimen is one, too.
LIGHT: Final = Augmentation(
    rotation_deg=10, shift=0.05, shear_deg=2, zoom=0.12, mirror=True, contrast=0.2, brightness=0.08
)


def transforms(augmentation: Augmentation, count: int, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """
    Draw projective transforms (count, 8) for `keras.ops.image.affine_transform`: from pixels given to pixels taken.

    Rotation, shift, shear and zoom about the middle of the view, composed in that order.
    """

    def evenly(most: float) -> npt.NDArray[np.float64]:
        return random.uniform(-most, most, count)

    angle, shear = np.deg2rad(evenly(augmentation.rotation_deg)), np.deg2rad(evenly(augmentation.shear_deg))
    right, down = (evenly(augmentation.shift) * NETWORK_SIDE_PX for _ in range(2))
    wide, tall = (1 + evenly(augmentation.zoom) for _ in range(2))
    if augmentation.mirror:
        wide = wide * random.choice((-1.0, 1.0), count)
    one, zero = np.ones(count), np.zeros(count)
    turn = _matrices([[np.cos(angle), -np.sin(angle), zero], [np.sin(angle), np.cos(angle), zero]])
    shift = _matrices([[one, zero, right], [zero, one, down]])
    slant = _matrices([[one, -np.sin(shear), zero], [zero, np.cos(shear), zero]])
    scale = _matrices([[wide, zero, zero], [zero, tall, zero]])
    middle = (NETWORK_SIDE_PX - 1) / 2
    there = _matrices([[one, zero, one * middle], [zero, one, one * middle]])
    back = _matrices([[one, zero, -one * middle], [zero, one, -one * middle]])
    composed = there @ turn @ shift @ slant @ scale @ back
    return composed.reshape(count, 9)[:, :8].astype(np.float32)


def _matrices(rows: list[list[npt.NDArray[np.float64]]]) -> npt.NDArray[np.float64]:
    """Stack two rows of (count,) entries into (count, 3, 3), the third row being 0 0 1."""
    count = len(rows[0][0])
    last = [np.zeros(count), np.zeros(count), np.ones(count)]
    return np.array([*rows, last]).transpose(2, 0, 1)


def tones(augmentation: Augmentation, count: int, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """Draw what grey values are multiplied by and what is added, (count, 2), for grey values -1..1."""
    contrast = 1 + random.uniform(-augmentation.contrast, augmentation.contrast, count)
    brightness = 2 * random.uniform(-augmentation.brightness, augmentation.brightness, count)
    return np.stack([contrast, brightness], axis=1).astype(np.float32)


def changed(views: Any, transform: Any, tone: Any) -> Any:
    """Change a batch of views (n, 170, 170), -1..1, as drawn above; a Keras operation, for a tf.data pipeline."""
    import keras

    # What lies outside is the nearest pixel's: as the original did, and better than a black edge to learn from.
    moved = keras.ops.image.affine_transform(
        views[..., None], transform, interpolation="bilinear", fill_mode="nearest", data_format="channels_last"
    )[..., 0]
    return keras.ops.clip(moved * tone[:, 0, None, None] + tone[:, 1, None, None], -1.0, 1.0)
