"""
The head: from an embedding to ten calibrated probabilities, and how unfamiliar the picture is. NumPy only; a few 100 kB.

One affine map of the 2048-d global average (20,490 numbers, the softmax layer of the original network), and, if the
bundle has them, of pooled features of earlier blocks. Standardisation is folded into the weights by whoever trains it.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.classify.bundles.arrays import bounded_arrays
from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES

if TYPE_CHECKING:
    import numpy.typing as npt

#: Width of Xception's global average: the first stretch of every embedding.
AVERAGE_FEATURES: Final = 2048

_ALWAYS: Final = ("weights", "bias", "early_weights", "temperature")
#: Arrays that a head may have; those of the novelty together or not at all.
_STRETCHES: Final = "stretches"
_NOVELTY: Final = ("novelty_weights", "novelty_bias")


@dataclass(frozen=True, slots=True, eq=False)
class Novelty:
    """
    A direction in the space of embeddings: 0 where the frames lie that it was taught, 1 where pictures of other things lie.

    ``weights`` (features,), float32.
    """

    weights: npt.NDArray[np.float32]
    bias: float


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """
    ``weights`` (2048, 10), ``bias`` (10,), ``early_weights`` (features - 2048, 10); float32.

    ``temperature`` divides the logits, so that probabilities mean what they say on frames of unseen instruments.
    ``stretches``: widths of the embedding's parts where each is scaled to length 1 first, so that contrast tells nothing.
    """

    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    early_weights: npt.NDArray[np.float32]
    temperature: float
    stretches: tuple[int, ...] = ()
    novelty: Novelty | None = None

    @property
    def features(self) -> int:
        """Return the width of the embedding it takes."""
        return len(self.weights) + len(self.early_weights)

    @property
    def parameters(self) -> int:
        """Count the numbers of the softmax layer and of the earlier depths."""
        return self.weights.size + self.bias.size + self.early_weights.size

    def probabilities(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return probabilities (10,) of one embedding (features,), or (n, 10) of (n, features); each row sums to 1."""
        return softmax(self.logits(embedding) / self.temperature)

    def logits(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return what the probabilities are made of, before the temperature: (10,) or (n, 10)."""
        scaled = unit_stretches(embedding, self.stretches).astype(np.float64)
        average, early = scaled[..., : len(self.weights)], scaled[..., len(self.weights) :]
        logits: npt.NDArray[np.float64] = (
            _product(average, self.weights) + _product(early, self.early_weights) + self.bias
        )
        return logits

    def novelty_of(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float64] | None:
        """Return how unfamiliar embeddings (..., features) are; ``None`` if the head cannot tell."""
        if self.novelty is None:
            return None
        scaled = unit_stretches(embedding, self.stretches).astype(np.float64)
        return _product(scaled, self.novelty.weights) + self.novelty.bias

    def to_bytes(self) -> bytes:
        """Write ``head.npz``."""
        arrays: dict[str, Any] = {
            "weights": self.weights,
            "bias": self.bias,
            "early_weights": self.early_weights,
            "temperature": np.float32(self.temperature),
        }
        if self.stretches:
            arrays[_STRETCHES] = np.array(self.stretches, dtype=np.int64)
        if self.novelty is not None:
            arrays["novelty_weights"] = self.novelty.weights
            arrays["novelty_bias"] = np.float32(self.novelty.bias)
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, features: int, name: str) -> Head:
        """Read ``head.npz`` for embeddings of so many features. Raises `ModelError` naming ``name``."""
        found = _arrays(content, name)
        ten = len(CATEGORIES)
        shapes = {
            "weights": (AVERAGE_FEATURES, ten),
            "bias": (ten,),
            "early_weights": (features - AVERAGE_FEATURES, ten),
            "temperature": (),
        }
        knows_novelty = any(key in found for key in _NOVELTY)
        if knows_novelty:
            shapes |= {"novelty_weights": (features,), "novelty_bias": ()}
        for key, shape in shapes.items():
            array = found.get(key)
            if array is None:
                raise ModelError(f"{name}: '{key}' is missing; expected the arrays 'emwatch model build' writes")
            if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
                raise ModelError(
                    f"{name}: '{key}' has shape {array.shape} and type {array.dtype}, expected finite float32 of shape {shape} "
                    f"for a backbone of {features} features"
                )
        if not found["temperature"] > 0:
            raise ModelError(f"{name}: 'temperature' is {found['temperature']}, expected a positive number")
        return cls(
            found["weights"],
            found["bias"],
            found["early_weights"],
            float(found["temperature"]),
            checked_stretches(found.get(_STRETCHES), features, name),
            Novelty(found["novelty_weights"], float(found["novelty_bias"])) if knows_novelty else None,
        )


def _arrays(content: bytes, name: str) -> dict[str, npt.NDArray[Any]]:
    try:
        arrays = bounded_arrays(content)
        return {key: arrays[key] for key in (*_ALWAYS, *_NOVELTY, _STRETCHES) if key in arrays or key in _ALWAYS}
    except (KeyError, ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{name} cannot be read as a head: {error}; expected the arrays 'emwatch model build' writes"
        ) from error


def checked_stretches(found: npt.NDArray[Any] | None, features: int, name: str) -> tuple[int, ...]:
    """Return the widths of an embedding's parts, empty for none. Raises `ModelError` naming ``name``."""
    if found is None:
        return ()
    if found.ndim != 1 or found.dtype.kind != "i" or (found <= 0).any() or int(found.sum()) != features:
        raise ModelError(f"{name}: 'stretches' is {found}, expected positive whole numbers whose sum is {features}")
    return tuple(int(width) for width in found)


def _product(vectors: npt.NDArray[np.float64], matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """
    Return ``vectors @ matrix``; for one vector without BLAS.

    The threads of OpenBLAS spin for a while after each product, on the processors on which the network of the next frame
    runs: on two cores one dot product of 18,848 numbers doubled the time of the next inference.
    """
    product: npt.NDArray[np.float64] = (
        np.einsum("f,f...->...", vectors, matrix) if vectors.ndim == 1 else vectors @ matrix
    )
    return product


def unit_stretches(embedding: npt.NDArray[np.float32], stretches: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Scale each stretch of embeddings (..., features) to length 1; one of zeros stays so. Without stretches: as it is."""
    scaled = np.array(embedding, dtype=np.float32)
    start = 0
    for width in stretches:
        part = scaled[..., start : start + width]
        part /= np.maximum(np.linalg.norm(part, axis=-1, keepdims=True), np.float32(1e-12))
        start += width
    return scaled


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Turn logits (..., classes) into probabilities that sum to 1 along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: npt.NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities
