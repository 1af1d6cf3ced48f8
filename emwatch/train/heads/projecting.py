"""Learns the projection of a backbone's embeddings to compact vectors, and embeds pictures as such."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.classify.bundles.projection import Projection

if TYPE_CHECKING:
    import numpy.typing as npt

    from emwatch.classify.backbone import Engine

#: Numbers of a compact vector, if there are pictures enough to tell so many directions.
WIDTH: Final = 640


def fitted_projection(embeddings: npt.NDArray[np.float32], width: int = WIDTH) -> Projection:
    """
    Learn the directions in which embeddings (n, features) differ most, each feature scaled to the same spread.

    Principal components by the eigenvectors of the products of rows, since there are fewer rows than features. Vectors
    then have a mean squared length near 1. The components are stored as 8-bit integers.
    """
    mean = embeddings.mean(axis=0, dtype=np.float64).astype(np.float32)
    spread = embeddings.std(axis=0, dtype=np.float64)
    spread = (np.where(spread > 1e-6, spread, 1.0) * np.sqrt(embeddings.shape[1])).astype(np.float32)
    standard = (embeddings - mean) / spread
    sizes, vectors = np.linalg.eigh((standard @ standard.T).astype(np.float64))
    kept = np.argsort(-sizes)[: min(width, int((sizes > 1e-6 * sizes.max()).sum()))]
    components = standard.T @ (vectors[:, kept] / np.sqrt(sizes[kept])).astype(np.float32)
    steps = (np.abs(components).max(axis=0) / 127).astype(np.float32)
    return Projection(mean, spread, np.rint(components / steps).astype(np.int8), steps)


class CompactEngine:
    """An engine whose embeddings are the compact vectors of another's."""

    def __init__(self, engine: Engine, projection: Projection) -> None:
        self._engine = engine
        self._mean, self._spread = projection.mean, projection.spread
        self._components = projection.components.astype(np.float32) * projection.steps
        self.features = projection.width

    def embed(self, views: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn views (n, 170, 170), grey 0..255, into compact vectors (n, width)."""
        standard = (self._engine.embed(views) - self._mean) / self._spread
        return np.asarray(standard @ self._components, dtype=np.float32)


def identity(projection: bytes) -> str:
    """Return the sha256 of a ``projection.npz``."""
    return hashlib.sha256(projection).hexdigest()
