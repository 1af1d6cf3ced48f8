"""
The embedding that is kept of each frame: the first principal components of what the network saw, in 8 bits.

The bundle's projection orders its components by how much they tell (``emwatch.train.heads.projecting``). The first
`WIDTH` find what looks alike as well as all of them (``bench/learned_targets.py``), and cost a fifth of the time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.classify.bundles.bundle import PROJECTION, open_extra
from emwatch.classify.bundles.projection import Projection
from emwatch.classify.head import unit_stretches
from emwatch.frame import Embedding, EmbeddingSpace

if TYPE_CHECKING:
    import numpy.typing as npt

    from emwatch.classify.bundles.bundle import Bundle

#: Numbers, and bytes, of a kept embedding.
WIDTH: Final = 128
#: Components converted at a time: as floats they stay in the processor's cache, and few MB are kept.
_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class Compactor:
    """
    Makes compact embeddings in one space.

    ``mean``, ``spread`` (features,), float32; ``components`` (width, features), int8; ``steps`` (width,), float32;
    ``stretches`` as in `Projection`.
    """

    space: EmbeddingSpace
    mean: npt.NDArray[np.float32]
    spread: npt.NDArray[np.float32]
    components: npt.NDArray[np.int8]
    steps: npt.NDArray[np.float32]
    stretches: tuple[int, ...] = ()

    @classmethod
    def of(cls, bundle: Bundle) -> Compactor | None:
        """Return that of a bundle, ``None`` if it has no projection. Raises `ModelError`."""
        content = open_extra(bundle.directory, PROJECTION)
        if content is None:
            return None
        projection = Projection.from_bytes(content, bundle.features, str(bundle.directory / PROJECTION))
        shas = hashlib.sha256(bundle.backbone).hexdigest(), hashlib.sha256(content).hexdigest()
        components = np.ascontiguousarray(projection.components[:, :WIDTH].T)
        space = space_of(*shas, len(components))
        steps = projection.steps[: len(components)].copy()
        return cls(space, projection.mean, projection.spread, components, steps, projection.stretches)

    def compact(self, embedding: npt.NDArray[np.float32]) -> Embedding:
        """Return the compact form of an embedding (features,)."""
        standard = (unit_stretches(embedding, self.stretches) - self.mean) / self.spread
        found = np.empty(len(self.steps), dtype=np.float32)
        for first in range(0, len(found), _AT_ONCE):
            some = self.components[first : first + _AT_ONCE].astype(np.float32)
            # einsum: a matrix library would wake threads of its own beside the engine's.
            found[first : first + _AT_ONCE] = np.einsum("ij,j->i", some, standard)
        return Embedding(self.space, in_8_bits(found * self.steps))


def in_8_bits(vector: npt.NDArray[np.float32]) -> bytes:
    """Return the direction of a vector (width,) as int8: its largest number becomes 127; all 0 for one that is not finite."""
    largest = float(np.abs(vector).max(initial=0.0))
    if not 0 < largest < np.inf:
        return bytes(len(vector))
    return bytes(np.rint(vector * (127 / largest)).astype(np.int8).tobytes())


def space_of(backbone_sha256: str, projection_sha256: str, width: int) -> EmbeddingSpace:
    """Return the space of embeddings that this backbone and projection make."""
    identity = hashlib.sha256(f"{backbone_sha256} {projection_sha256} {width}".encode()).hexdigest()
    return EmbeddingSpace(identity, backbone_sha256, projection_sha256, width)
