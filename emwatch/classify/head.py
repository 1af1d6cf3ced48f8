"""
The head: from an embedding to ten calibrated probabilities. NumPy only; a few hundred kB; trained in seconds.

One affine map of the 2048-d global average (20,490 numbers, the softmax layer of the original network), and, where the
bundle has them, of pooled features of earlier blocks. Standardisation is folded into the weights by whoever trains it.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.classify.arrays import bounded_arrays
from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES

if TYPE_CHECKING:
    import numpy.typing as npt

#: Width of Xception's global average: the first stretch of every embedding.
AVERAGE_FEATURES: Final = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """
    ``weights`` (2048, 10), ``bias`` (10,), ``early_weights`` (features - 2048, 10); float32.

    ``temperature`` divides the logits, so that probabilities mean what they say on frames of unseen instruments.
    """

    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    early_weights: npt.NDArray[np.float32]
    temperature: float

    @property
    def features(self) -> int:
        """Give the width of the embedding it takes."""
        return len(self.weights) + len(self.early_weights)

    @property
    def parameters(self) -> int:
        """Count the numbers of the softmax layer and of the earlier depths."""
        return self.weights.size + self.bias.size + self.early_weights.size

    def probabilities(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Give (10,) of one embedding (features,), or (n, 10) of (n, features); each row sums to 1."""
        average, early = embedding[..., : len(self.weights)], embedding[..., len(self.weights) :]
        logits = average.astype(np.float64) @ self.weights + early.astype(np.float64) @ self.early_weights + self.bias
        return softmax(logits / self.temperature)

    def to_bytes(self) -> bytes:
        """Write ``head.npz``."""
        file = io.BytesIO()
        np.savez(
            file,
            weights=self.weights,
            bias=self.bias,
            early_weights=self.early_weights,
            temperature=np.float32(self.temperature),
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, features: int, name: str) -> Head:
        """Read ``head.npz`` for embeddings of so many features. Raises `ModelError` naming ``name``."""
        try:
            arrays = bounded_arrays(content)
            found = {key: arrays[key] for key in ("weights", "bias", "early_weights", "temperature")}
        except (KeyError, ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise ModelError(
                f"{name} cannot be read as a head: {error}; expected the arrays 'emwatch model build' writes"
            ) from error
        ten = len(CATEGORIES)
        shapes = {
            "weights": (AVERAGE_FEATURES, ten),
            "bias": (ten,),
            "early_weights": (features - AVERAGE_FEATURES, ten),
            "temperature": (),
        }
        for key, shape in shapes.items():
            array = found[key]
            if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
                raise ModelError(
                    f"{name}: '{key}' has shape {array.shape} and type {array.dtype}, expected finite float32 of shape {shape} "
                    f"for a backbone of {features} features"
                )
        if not found["temperature"] > 0:
            raise ModelError(f"{name}: 'temperature' is {found['temperature']}, expected a positive number")
        return cls(found["weights"], found["bias"], found["early_weights"], float(found["temperature"]))


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Turn logits (..., classes) into probabilities that sum to 1 along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: npt.NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities
