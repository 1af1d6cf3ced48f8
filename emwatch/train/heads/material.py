"""What heads learn and are judged by: three ways of teaching some of the frames and scoring others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emwatch.train.heads.cross_validation import PLAIN
from emwatch.train.heads.lessons import CLASSES
from emwatch.train.heads.ridge import RIDGE, Dual, Sums, products

if TYPE_CHECKING:
    import numpy.typing as npt

    from emwatch.train.heads.cross_validation import Mask, Scores
    from emwatch.train.heads.lessons import Taught

    Rows = npt.NDArray[np.float32]
    Affine = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)
class Always:
    """Rows (n, width) that every head learns: their classes ``labels`` (n,), and how often each counts, ``weights`` (n,)."""

    rows: Rows
    labels: npt.NDArray[np.int64]
    weights: Scores

    def products(self) -> Scores:
        """Return the weighted sum of products (width + 1, width + 1)."""
        return Sums.of(self.rows, self.labels, self.weights, CLASSES).products


@dataclass(frozen=True, slots=True, eq=False)
class HeadMaterial:
    """
    The labelled frames by which heads are judged: first those that teach, in their order, then those that only judge.

    ``rows``: embeddings or compact vectors (n, width) by how frames are dressed.
    """

    rows: dict[str, Rows]
    categories: npt.NDArray[np.int64]
    sources: list[str]
    blind: Mask


@dataclass(frozen=True, slots=True, eq=False)
class _Material:
    taught: Taught
    judged: HeadMaterial

    @property
    def categories(self) -> npt.NDArray[np.int64]:
        """Return the category of each labelled frame (n,)."""
        return self.judged.categories

    @property
    def sources(self) -> list[str]:
        """Return the source of each labelled frame."""
        return self.judged.sources

    @property
    def blind(self) -> Mask:
        """Return which frames (n,) nobody who paints drawn frames has looked at."""
        return self.judged.blind


@dataclass(frozen=True, slots=True, eq=False)
class Direct(_Material):
    """
    Heads of whole embeddings, learned from the products between them.

    ``dual``: its rows are what every head learns, then the taught frames without a bar, then those with a redrawn one.
    ``near`` (n, rows): products of the judged frames with these, by how frames are dressed.
    """

    dual: Dual
    near: dict[str, Rows]

    @classmethod
    def of(cls, always: Always, taught: Taught, judged: HeadMaterial) -> Direct:
        """Learn standardised embeddings."""
        dual = Dual.of(
            np.concatenate([always.rows, taught.bare, taught.barred]),
            np.concatenate([always.labels, taught.categories, taught.categories]),
            np.concatenate([always.weights, taught.weights, taught.weights]),
            CLASSES,
        )
        return cls(taught, judged, dual, {name: products(rows, dual.rows) for name, rows in judged.rows.items()})

    def scores(self, allowed: Mask, frames: Mask) -> dict[str, Scores]:
        """Teach a head those of the allowed frames that may teach; score these frames, by how they are dressed: (frames, 11)."""
        shares = self.dual.without(self._rows(~allowed))
        return {name: near[frames] @ shares for name, near in self.near.items()}

    def fitted(self) -> Affine:
        """Return slopes (width, 11) and bias (11,) of the head that learned everything."""
        return self.dual.fitted()

    def seen(self) -> Rows:
        """Return what that head says of both rows of the taught frames: (taught, 2, 11)."""
        return _said_of(self.taught, *self.fitted())

    def _rows(self, frames: Mask) -> Mask:
        """Return the rows of the dual that belong to these frames (n,)."""
        mine = np.tile(frames[: len(self.taught)], 2)
        return np.concatenate([np.zeros(len(self.dual.rows) - len(mine), dtype=bool), mine])


@dataclass(frozen=True, slots=True, eq=False)
class Projected(_Material):
    """Heads of compact vectors, learned from sums over them: for more rows than products between rows can be kept of."""

    whole: Sums

    @classmethod
    def of(cls, always: Always, taught: Taught, judged: HeadMaterial) -> Projected:
        """Learn compact vectors."""
        sums = Sums.of(always.rows, always.labels, always.weights, CLASSES)
        return cls(taught, judged, sums + taught.sums(np.ones(len(taught), dtype=bool)))

    def scores(self, allowed: Mask, frames: Mask) -> dict[str, Scores]:
        """Teach a head those of the allowed frames that may teach; score these frames, by how they are dressed: (frames, 11)."""
        # Leaving out a fold is less work than adding the others.
        slopes, bias = (self.whole - self.taught.sums(~allowed[: len(self.taught)])).fitted()
        return {name: rows[frames] @ slopes + bias for name, rows in self.judged.rows.items()}

    def fitted(self) -> Affine:
        """Return slopes (width, 11) and bias (11,) of the head that learned everything."""
        return self.whole.fitted()

    def seen(self) -> Rows:
        """Return what that head says of both rows of the taught frames: (taught, 2, 11)."""
        return _said_of(self.taught, *self.fitted())


@dataclass(frozen=True, slots=True, eq=False)
class Correction(_Material):
    """
    A head that is there, and what frames of one's own change of it, in the space of compact vectors.

    At the head that is there the penalised squared error of all it learned has no slope. So that error rises with a
    correction only by the products of what was learned, which the lessons keep, and the best correction with further frames
    follows in closed form, as if all had been learned at once in this space.

    ``always``: products of what every head learned. ``own`` (taught,): which frames are new. ``taken_back`` (width + 1, 11):
    the slope that frames had which are taken anew. ``base`` (n, 11): scores of the judged frames before the correction, by
    heads that learned nothing of their source.
    """

    always: Scores
    own: Mask
    taken_back: Scores
    base: Scores

    def scores(self, allowed: Mask, frames: Mask) -> dict[str, Scores]:
        """Teach a head those of the allowed frames that may teach; score these frames, by how they are dressed: (frames, 11)."""
        slopes, bias = self.corrected(allowed[: len(self.taught)])
        return {PLAIN: self.base[frames] + self.judged.rows[PLAIN][frames] @ slopes + bias}

    def fitted(self) -> Affine:
        """Return slopes (width, 11) and bias (11,) of the correction that learned everything."""
        return self.corrected(np.ones(len(self.taught), dtype=bool))

    def corrected(self, learned: Mask) -> Affine:
        """Return the correction that learned these of the taught frames."""
        system = self.always + self.taught.sums(learned).products
        wanted = slope(self.taught.only(learned & self.own)) - self.taken_back
        found = np.linalg.solve(system + RIDGE * np.eye(len(system)), wanted).astype(np.float64, copy=False)
        return found[:-1], found[-1]

    def seen(self) -> Rows:
        """Return what the corrected head says of both rows of the taught frames: (taught, 2, 11)."""
        return self.taught.seen + _said_of(self.taught, *self.fitted())


def slope(taught: Taught) -> Scores:
    """Return by how much the squared error of these frames falls with a correction: (width + 1, 11)."""
    apart = np.eye(CLASSES)[taught.categories][:, np.newaxis] - taught.seen
    apart *= taught.weights[:, np.newaxis, np.newaxis]
    rows = taught.bare.T @ apart[:, 0] + taught.barred.T @ apart[:, 1]
    return np.concatenate([rows, apart.sum(axis=(0, 1))[np.newaxis]]).astype(np.float64, copy=False)


def _said_of(taught: Taught, slopes: Scores, bias: Scores) -> Rows:
    return np.stack([rows @ slopes + bias for rows in (taught.bare, taught.barred)], axis=1).astype(np.float32)
