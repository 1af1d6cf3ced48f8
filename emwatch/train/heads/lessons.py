"""
What taught a head, kept with its bundle: so that another one can start from there without the frames themselves.

The next head is this one and a correction in the space of compact vectors. What the correction may not spoil is kept as
products of the compact vectors of drawn frames and of pictures of other things, and as compact vectors of labelled frames.
These come with what the head says of them, and with what heads say that did not learn their source, a source, and a sha256:
so that heads can be judged by source and frames that taught are known again.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from emwatch.classify.bundles.arrays import bounded_arrays
from emwatch.classify.bundles.bundle import LESSONS, PROJECTION, open_extra
from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES
from emwatch.train.heads.ridge import Sums

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

#: The class beside the ten categories: pictures of other things.
UNFAMILIAR = len(CATEGORIES)
CLASSES = UNFAMILIAR + 1


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """
    Labelled frames that teach: compact vectors (n, width), without their data bar and with a redrawn one.

    So no bar tells a category. ``weights`` (n,) are those in the regression, of each of the two rows. ``seen`` (n, 2, 11):
    the scores of both rows by the head that learned them; ``unseen`` (n, 11): of the first one, by heads that learned
    nothing of its source.
    """

    bare: npt.NDArray[np.float32]
    barred: npt.NDArray[np.float32]
    categories: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    seen: npt.NDArray[np.float32]
    unseen: npt.NDArray[np.float32]
    sources: list[str]
    licences: list[str]
    sha256: list[str]  #: of the files
    open_licence: npt.NDArray[np.bool_]
    blind: npt.NDArray[np.bool_]  #: nobody who paints drawn frames has looked at it

    def __len__(self) -> int:
        return len(self.categories)

    def sums(self, mask: npt.NDArray[np.bool_]) -> Sums:
        """Return the sums over the frames of a mask (n,)."""
        rows = np.concatenate([self.bare[mask], self.barred[mask]])
        return Sums.of(rows, np.tile(self.categories[mask], 2), np.tile(self.weights[mask], 2), CLASSES)

    def only(self, mask: npt.NDArray[np.bool_]) -> Taught:
        """Return the frames of a mask (n,)."""
        kept = np.flatnonzero(mask)
        columns: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, column in columns.items():
            columns[name] = column[kept] if isinstance(column, np.ndarray) else [column[at] for at in kept]
        return Taught(**columns)

    def beside(self, other: Taught) -> Taught:
        """Return the frames of both."""
        columns: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, column in columns.items():
            more = getattr(other, name)
            columns[name] = np.concatenate([column, more]) if isinstance(column, np.ndarray) else [*column, *more]
        return Taught(**columns)


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """
    What starts the next head.

    ``always`` (width + 1, width + 1): weighted sum of products over what every head learns, the last row and column for the
    constant. ``class_factors`` (11,): by which classes weigh the same. ``projection_sha256``: of the projection that made
    the compact vectors.
    """

    always: npt.NDArray[np.float64]
    taught: Taught
    class_factors: npt.NDArray[np.float64]
    projection_sha256: str

    def to_bytes(self) -> bytes:
        """Write ``lessons.npz``: vectors in half precision, products as their upper triangle in single precision."""
        taught, above = self.taught, np.triu_indices(len(self.always))
        names, source_of = np.unique(np.array(taught.sources), return_inverse=True)
        licences, licence_of = np.unique(np.array(taught.licences), return_inverse=True)
        file = io.BytesIO()
        np.savez_compressed(
            file,
            products=self.always[above].astype(np.float32),
            class_factors=self.class_factors,
            projection_sha256=np.array(self.projection_sha256),
            bare=taught.bare.astype(np.float16),
            barred=taught.barred.astype(np.float16),
            categories=taught.categories.astype(np.int8),
            weights=taught.weights.astype(np.float32),
            seen=taught.seen.astype(np.float16),
            unseen=taught.unseen.astype(np.float16),
            sha256=np.frombuffer(bytes.fromhex("".join(taught.sha256)), dtype=np.uint8).reshape(-1, 32),
            open_licence=taught.open_licence,
            blind=taught.blind,
            source_names=names,
            source_of=source_of.astype(np.int32),
            licence_names=licences,
            licence_of=licence_of.astype(np.int32),
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, projection_sha256: str, name: str) -> Lessons:
        """Read ``lessons.npz`` for a projection. Raises `ModelError` naming ``name``."""
        try:
            made = _read(bounded_arrays(content))
        except (KeyError, ValueError, IndexError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise ModelError(f"{name} cannot be read as what taught a head: {error}; {_AGAIN}") from error
        if made.projection_sha256 != projection_sha256:
            raise ModelError(
                f"{name} belongs to another projection: expected {projection_sha256[:12]}, found "
                f"{made.projection_sha256[:12]}; {_AGAIN}"
            )
        return made


def taught_sha256(directory: Path) -> frozenset[str]:
    """Return the sha256 of the frames that taught a bundle's head, empty if it does not carry them. Raises `ModelError`."""
    projection, lessons = open_extra(directory, PROJECTION), open_extra(directory, LESSONS)
    if projection is None or lessons is None:
        return frozenset()
    identity = hashlib.sha256(projection).hexdigest()
    return frozenset(Lessons.from_bytes(lessons, identity, str(directory / LESSONS)).taught.sha256)


_AGAIN = "teach without it (--alone), or make the bundle again with 'emwatch model build'"


def _read(found: dict[str, npt.NDArray[Any]]) -> Lessons:
    frames, width = found["bare"].shape
    side = width + 1
    above = np.triu_indices(side)
    if found["products"].shape != above[0].shape or found["barred"].shape != (frames, width):
        raise ValueError(f"its products do not fit vectors of {width} numbers")
    if found["seen"].shape != (frames, 2, CLASSES) or found["unseen"].shape != (frames, CLASSES):
        raise ValueError(f"its scores are not those of {frames} frames")
    products = np.zeros((side, side))
    products[above] = found["products"]
    products += np.triu(products, 1).T
    columns = ("categories", "weights", "sha256", "open_licence", "blind", "source_of", "licence_of")
    if wrong := [key for key in columns if len(found[key]) != frames]:
        raise ValueError(f"its columns {', '.join(wrong)} are not as long as its {frames} frames")
    categories = found["categories"].astype(np.int64)
    if frames and not 0 <= categories.min() <= categories.max() < UNFAMILIAR:
        raise ValueError("a category is none of the ten")
    for key in ("products", "bare", "barred", "weights", "seen", "unseen", "class_factors"):
        if not np.isfinite(found[key].astype(np.float64)).all():
            raise ValueError(f"'{key}' holds numbers that are not finite")
    taught = Taught(
        bare=found["bare"].astype(np.float32),
        barred=found["barred"].astype(np.float32),
        categories=categories,
        weights=found["weights"].astype(np.float64),
        seen=found["seen"].astype(np.float32),
        unseen=found["unseen"].astype(np.float32),
        sources=_named(found["source_names"], found["source_of"]),
        licences=_named(found["licence_names"], found["licence_of"]),
        sha256=[row.tobytes().hex() for row in found["sha256"]],
        open_licence=found["open_licence"].astype(bool),
        blind=found["blind"].astype(bool),
    )
    return Lessons(
        products,
        taught,
        found["class_factors"].astype(np.float64),
        str(found["projection_sha256"]),
    )


def _named(names: npt.NDArray[Any], of: npt.NDArray[Any]) -> list[str]:
    return [str(names[int(at)]) for at in of]
