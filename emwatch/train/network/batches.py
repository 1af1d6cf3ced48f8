"""Batches of an epoch, made ahead on other threads while the network learns from the one before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from emwatch.classify.backbone import network_input
from emwatch.frame import CATEGORIES, NETWORK_SIDE_PX
from emwatch.train.network.augment import Augmentation, changed, tones, transforms

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from emwatch.train.network.views import TrainingFrames

#: Batches made at once, and kept ready.
_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Batches:
    """
    Training batches of a seed: which frames, in which order and how changed depends on seed, epoch and batch alone.

    ``weights`` (n,): how much each frame counts.
    """

    material: TrainingFrames
    weights: npt.NDArray[np.float32]
    augmentation: Augmentation
    size: int
    seed: int

    @property
    def count(self) -> int:
        """Return the number of batches of an epoch; the last may be smaller."""
        return -(-len(self.material) // self.size)

    def of_epoch(self, epoch: int, first: int = 0) -> Iterator[tuple[Any, Any, Any]]:
        """Return (views, one-hot categories, weights) as tensors, from batch ``first`` on."""
        import tensorflow as tf

        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.material))

        def made(number: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], ...]:
            random = np.random.default_rng((self.seed, epoch, int(number)))
            mine = order[int(number) * self.size : (int(number) + 1) * self.size]
            variants = random.integers(self.material.views.shape[1], size=len(mine))
            return (
                self.material.views[mine, variants].astype(np.float32) / np.float32(127.5) - np.float32(1),
                transforms(self.augmentation, len(mine), random),
                tones(self.augmentation, len(mine), random),
                np.eye(len(CATEGORIES), dtype=np.float32)[self.material.categories[mine]],
                self.weights[mine],
            )

        def finished(number: Any) -> tuple[Any, Any, Any]:
            views, transform, tone, categories, weights = tf.numpy_function(made, [number], [tf.float32] * 5)
            views = tf.ensure_shape(views, (None, NETWORK_SIDE_PX, NETWORK_SIDE_PX))
            transform, tone = tf.ensure_shape(transform, (None, 8)), tf.ensure_shape(tone, (None, 2))
            moved = changed(views, transform, tone)
            return (
                tf.repeat(moved[..., None], 3, axis=-1),
                tf.ensure_shape(categories, (None, len(CATEGORIES))),
                tf.ensure_shape(weights, (None,)),
            )

        numbers = tf.data.Dataset.range(first, self.count)
        return iter(numbers.map(finished, num_parallel_calls=_AHEAD, deterministic=True).prefetch(_AHEAD))


def scores_of(network: Any, views: npt.NDArray[np.uint8], size: int = 32) -> npt.NDArray[np.float32]:
    """Return the network's scores (n, 10) of views (n, 170, 170) uint8, unchanged."""
    if not len(views):
        return np.zeros((0, len(CATEGORIES)), dtype=np.float32)
    parts = (views[first : first + size].astype(np.float32) for first in range(0, len(views), size))
    return np.concatenate(
        [np.asarray(network.predict_on_batch(network_input(part)), dtype=np.float32) for part in parts]
    )
