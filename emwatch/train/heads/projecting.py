"""Learns the projection of a backbone's embeddings to compact vectors, and embeds pictures as such."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.classify.bundles.projection import Projection
from emwatch.classify.head import unit_stretches
from emwatch.train.heads.lessons import CLASSES
from emwatch.train.heads.ridge import SHARPNESS

if TYPE_CHECKING:
    import numpy.typing as npt

    from emwatch.classify.backbone import Engine
    from emwatch.classify.head import Head

#: Numbers of a compact vector, if there are pictures enough to tell so many directions.
WIDTH: Final = 640


def fitted_projection(
    embeddings: npt.NDArray[np.float32], width: int = WIDTH, stretches: tuple[int, ...] = ()
) -> Projection:
    """
    Learn the directions in which embeddings (n, features) differ most, each feature scaled to the same spread.

    ``stretches``: widths of the embedding's parts where each is scaled to length 1 first, so that contrast tells nothing.

    Principal components by the eigenvectors of the products of rows, since there are fewer rows than features. Vectors
    then have a mean squared length near 1. The components are stored as 8-bit integers.
    """
    embeddings = unit_stretches(embeddings, stretches)
    mean = embeddings.mean(axis=0, dtype=np.float64).astype(np.float32)
    spread = embeddings.std(axis=0, dtype=np.float64)
    spread = (np.where(spread > 1e-6, spread, 1.0) * np.sqrt(embeddings.shape[1])).astype(np.float32)
    standard = (embeddings - mean) / spread
    sizes, vectors = np.linalg.eigh((standard @ standard.T).astype(np.float64))
    kept = np.argsort(-sizes)[: min(width, int((sizes > 1e-6 * sizes.max()).sum()))]
    components = standard.T @ (vectors[:, kept] / np.sqrt(sizes[kept])).astype(np.float32)
    steps = (np.abs(components).max(axis=0) / 127).astype(np.float32)
    return Projection(mean, spread, np.rint(components / steps).astype(np.int8), steps, stretches)


class CompactEngine:
    """An engine whose embeddings are the compact vectors of another's, and behind them `scores_of` a head, if one is given."""

    def __init__(self, engine: Engine, projection: Projection, head: Head | None = None) -> None:
        self._engine = engine
        self._projection = projection
        self._components = projection.components.astype(np.float32) * projection.steps
        self._head = head
        self.features = projection.width + (0 if head is None else CLASSES)

    def embed(self, views: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn views (n, 170, 170), grey 0..255, into compact vectors (n, width), or (n, width + 11) with a head."""
        rows = self._engine.embed(views)
        compact = np.asarray(self._projection.standardised(rows) @ self._components, dtype=np.float32)
        return compact if self._head is None else np.concatenate([compact, scores_of(self._head, rows)], axis=1)


def scores_of(head: Head, embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return what a ridge's head says of embeddings (n, features) before calibration: (n, 11), novelty last."""
    logits = head.logits(embeddings) / SHARPNESS
    novelty = head.novelty_of(embeddings)
    odd = np.zeros(len(logits)) if novelty is None else novelty
    return np.concatenate([logits, odd[:, np.newaxis]], axis=1).astype(np.float32)
