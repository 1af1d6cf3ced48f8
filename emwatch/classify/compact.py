"""
The embedding that is kept of each frame: the first principal components of what the network saw, in 8 bits.

The bundle's projection orders its components by how much they tell (``emwatch.train.heads.projecting``). The first
`WIDTH` find what looks alike as well as all of them (``bench/learned_targets.py``), and cost a fifth of the time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.classify.bundles.arrays import bounded_arrays
from emwatch.classify.bundles.bundle import BACKBONE, PROJECTION, open_extra, read_card
from emwatch.classify.bundles.projection import Projection
from emwatch.frame import Embedding, EmbeddingSpace

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from emwatch.classify.bundles.bundle import Bundle

#: Numbers, and bytes, of a kept embedding.
WIDTH: Final = 128
#: Components converted at a time: as floats they stay in the processor's cache, and few MB are kept.
_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class Compactor:
    """Makes compact embeddings in one space, by a projection of `WIDTH` components at most."""

    space: EmbeddingSpace
    projection: Projection

    @classmethod
    def of(cls, bundle: Bundle) -> Compactor | None:
        """Return that of a bundle, ``None`` if it has no projection. Raises `ModelError`."""
        content = open_extra(bundle.directory, PROJECTION)
        if content is None:
            return None
        whole = Projection.from_bytes(content, bundle.features, str(bundle.directory / PROJECTION))
        narrow = replace(
            whole,
            components=np.asfortranarray(whole.components[:, :WIDTH]),  # each component's numbers lie together
            steps=whole.steps[:WIDTH].copy(),
        )
        return cls(space_of(bundle.sha256_of(BACKBONE), bundle.sha256_of(PROJECTION), narrow.width), narrow)

    def compact(self, embedding: npt.NDArray[np.float32]) -> Embedding:
        """Return the compact form of an embedding (features,)."""
        standard, components = self.projection.standardised(embedding), self.projection.components.T
        found = np.empty(self.projection.width, dtype=np.float32)
        for first in range(0, len(found), _AT_ONCE):
            some = components[first : first + _AT_ONCE].astype(np.float32)
            # einsum: a matrix library would wake threads of its own beside the engine's.
            found[first : first + _AT_ONCE] = np.einsum("ij,j->i", some, standard)
        return Embedding(self.space, in_8_bits(found * self.projection.steps))


def space_in(directory: Path) -> EmbeddingSpace | None:
    """Return the space of a bundle's embeddings without loading its model, ``None`` if it makes none. Raises `ModelError`."""
    content = open_extra(directory, PROJECTION)
    if content is None:
        return None
    files = read_card(directory)[0]["files"]
    width = min(WIDTH, len(bounded_arrays(content)["steps"]))
    return space_of(files[BACKBONE]["sha256"], files[PROJECTION]["sha256"], width)


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
