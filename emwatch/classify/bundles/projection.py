"""
The projection of a bundle: embeddings of thousands of numbers as compact vectors of a few hundred.

A principal component analysis of standardised embeddings (Pearson 1901; learned by ``emwatch.train.heads.projecting``).
Frames of one's own correct a head in the compact space, and it is small enough to keep for each frame; classifying a frame
does not need it.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.classify.bundles.arrays import bounded_arrays
from emwatch.classify.head import checked_stretches, unit_stretches
from emwatch.errors import ModelError

if TYPE_CHECKING:
    import numpy.typing as npt


_AT_ONCE: Final = 256
_STRETCHES: Final = "stretches"


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """
    Standardise, then take the inner products with each component.

    ``mean``, ``spread`` (features,), float32; ``components`` (features, width), int8; ``steps`` (width,), float32: what one
    unit of a component's numbers stands for. ``stretches``: widths of the embedding's parts that are scaled to length 1 before
    all else; empty: none is.
    """

    mean: npt.NDArray[np.float32]
    spread: npt.NDArray[np.float32]
    components: npt.NDArray[np.int8]
    steps: npt.NDArray[np.float32]
    stretches: tuple[int, ...] = ()

    @property
    def features(self) -> int:
        """Return the width of the embeddings it takes."""
        return len(self.mean)

    @property
    def width(self) -> int:
        """Return the width of a compact vector."""
        return len(self.steps)

    def standardised(self, embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scale embeddings (..., features) so that all features weigh the same; rows then have a squared length near 1."""
        rows = unit_stretches(embeddings, self.stretches)
        rows -= self.mean
        rows /= self.spread
        return rows

    def compact(self, embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Project embeddings (n, features) to compact vectors (n, width)."""
        components = self.components.astype(np.float32) * self.steps
        found = np.empty((len(embeddings), self.width), dtype=np.float32)
        for first in range(0, len(embeddings), _AT_ONCE):  # a copy of all would double what they take
            some = slice(first, first + _AT_ONCE)
            found[some] = self.standardised(embeddings[some]) @ components
        return found

    def unfolded(
        self, slopes: npt.NDArray[np.float64], bias: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """
        Turn an affine map of compact vectors, (width, outputs) and (outputs,), into the same one of embeddings.

        Of embeddings whose stretches have length 1 already.
        """
        return self.unscaled(self.components.astype(np.float64) @ (slopes * self.steps[:, np.newaxis]), bias)

    def unscaled(
        self, slopes: npt.NDArray[np.float64], bias: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Turn an affine map of standardised embeddings, (features, outputs) and (outputs,), into the same one of embeddings."""
        steep = slopes / self.spread[:, np.newaxis]
        return steep, bias - self.mean.astype(np.float64) @ steep

    def to_bytes(self) -> bytes:
        """Write ``projection.npz``."""
        file = io.BytesIO()
        arrays: dict[str, Any] = {"mean": self.mean, "spread": self.spread}
        arrays |= {"components": self.components, "steps": self.steps}
        if self.stretches:
            arrays[_STRETCHES] = np.array(self.stretches, dtype=np.int64)
        np.savez(file, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, features: int, name: str) -> Projection:
        """Read ``projection.npz`` for embeddings of so many features. Raises `ModelError` naming ``name``."""
        try:
            found = bounded_arrays(content)
            made = cls(
                found["mean"],
                found["spread"],
                found["components"],
                found["steps"],
                checked_stretches(found.get(_STRETCHES), features, name),
            )
        except (KeyError, ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise ModelError(
                f"{name} cannot be read as a projection: {error}; make it again with 'emwatch model build'"
            ) from error
        width = made.steps.shape[0] if made.steps.ndim == 1 else 0
        floats = (made.mean, made.spread, made.steps)
        shapes = [each.shape for each in (*floats, made.components)]
        if (
            shapes != [(features,), (features,), (width,), (features, width)]
            or width == 0
            or made.components.dtype != np.int8
            or any(each.dtype != np.float32 or not np.isfinite(each).all() for each in floats)
            or not (made.spread > 0).all()
        ):
            raise ModelError(
                f"{name} has arrays of shapes {shapes}, expected those of a projection of {features} features: it belongs to "
                "a backbone of other depths. Make it again with 'emwatch model build'."
            )
        return made
