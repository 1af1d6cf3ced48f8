"""
Ridge regression in closed form, with numpy alone: heads are one affine map.

Learned from sums over rows (`Sums`), or from the products between rows (`Dual`) if rows are longer than they are many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.frame import CATEGORIES

if TYPE_CHECKING:
    import numpy.typing as npt

#: Strength of the ridge, if rows have a squared length of about 1.
RIDGE: Final = 1.0

#: Scores lie between 0 and 1, logits anywhere: scores times this need a temperature near 1.
SHARPNESS: Final = 8.0

_AT_ONCE: Final = 256

#: The logit of a category without any frame.
_ABSENT: Final = -20.0


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """
    All that a ridge regression keeps of the rows it learns: weighted sums of products.

    ``products`` (width + 1, width + 1), the last row and column for the constant; ``targets`` (width + 1, classes).
    Sums of disjoint rows add up.
    """

    products: npt.NDArray[np.float64]
    targets: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls,
        rows: npt.NDArray[np.float32],
        labels: npt.NDArray[np.int64],
        weights: npt.NDArray[np.float64],
        classes: int,
    ) -> Sums:
        """Sum over rows (n, width) of classes ``labels`` (n,), each counting ``weights`` (n,) times."""
        bordered = np.concatenate([rows, np.ones((len(rows), 1), dtype=np.float32)], axis=1, dtype=np.float64)
        weighted = bordered * weights[:, np.newaxis]
        targets = np.zeros((bordered.shape[1], classes))
        for label in range(classes):
            targets[:, label] = weighted[labels == label].sum(axis=0)
        return cls(bordered.T @ weighted, targets)

    def __add__(self, other: Sums) -> Sums:
        """Return the sums over the rows of both."""
        return Sums(self.products + other.products, self.targets + other.targets)

    def __sub__(self, other: Sums) -> Sums:
        """Return the sums without the rows of the other, which must be among these."""
        return Sums(self.products - other.products, self.targets - other.targets)

    def fitted(self, ridge: float = RIDGE) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the slopes (width, classes) and the bias (classes,) of the least penalised squared error."""
        system = self.products + ridge * np.eye(len(self.products))
        found = np.linalg.solve(system, self.targets).astype(np.float64, copy=False)
        return found[:-1], found[-1]


@dataclass(frozen=True, slots=True, eq=False)
class Dual:
    """
    Ridge regression by the products between rows (Saunders et al. 1998): the map is a weighted sum of the rows themselves.

    ``rows`` (n, width), float32; ``inverse`` (n, n): of the rows' products, the constant and the penalty among them;
    ``shares`` (n, classes): how much of each row the map of all rows holds.
    """

    rows: npt.NDArray[np.float32]
    inverse: npt.NDArray[np.float64]
    shares: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls,
        rows: npt.NDArray[np.float32],
        labels: npt.NDArray[np.int64],
        weights: npt.NDArray[np.float64],
        classes: int,
        ridge: float = RIDGE,
    ) -> Dual:
        """Learn rows (n, width) of classes ``labels`` (n,), each counting ``weights`` (n,) times; weights are positive."""
        system = products(rows, rows).astype(np.float64)
        system[np.diag_indices(len(rows))] += ridge / weights
        inverse: npt.NDArray[np.float64] = np.linalg.inv(system).astype(np.float64, copy=False)
        return cls(rows, inverse, inverse @ np.eye(classes)[labels])

    def without(self, left_out: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Return the shares (n, classes) as if the rows of a mask (n,) had not been there; their own are 0."""
        out = np.flatnonzero(left_out)
        if not len(out):
            return self.shares
        shares: npt.NDArray[np.float64] = self.shares - self.inverse[:, out] @ np.linalg.solve(
            self.inverse[np.ix_(out, out)], self.shares[out]
        )
        shares[out] = 0.0
        return shares

    def fitted(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the slopes (width, classes) and the bias (classes,) of all rows."""
        slopes = np.zeros((self.rows.shape[1], self.shares.shape[1]))
        for first in range(0, len(self.rows), _AT_ONCE):  # a copy of all in double precision would be large
            some = slice(first, first + _AT_ONCE)
            slopes += self.rows[some].T.astype(np.float64) @ self.shares[some]
        return slopes, self.shares.sum(axis=0)


def products(some: npt.NDArray[np.float32], others: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the inner products (n, m) of rows (n, width) and (m, width), each with a 1 for the constant behind it."""
    return some @ others.T + np.float32(1)


def class_weights(
    labels: npt.NDArray[np.int64], weights: npt.NDArray[np.float64], classes: int
) -> npt.NDArray[np.float64]:
    """Return factors (classes,) by which all classes that occur weigh the same, the mean weight of a row being 1."""
    totals = np.bincount(labels, weights, classes)
    share = len(labels) / max(int(np.count_nonzero(totals)), 1)
    return np.where(totals > 0, share / np.where(totals > 0, totals, 1.0), 1.0)


def fit_affine(
    embeddings: npt.NDArray[np.float32], categories: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """
    Fit a head to embeddings (n, features) as they come, categories weighing the same.

    ``categories`` (n,); ``weights`` (n,) of the frames. Returns (features, 10) and (10,), of logits. A category without a
    frame is never the likeliest.
    """
    ten = len(CATEGORIES)
    mean, spread = embeddings.mean(axis=0, dtype=np.float64), embeddings.std(axis=0, dtype=np.float64)
    spread = np.where(spread > 1e-6, spread, 1.0) * np.sqrt(embeddings.shape[1])
    standard = ((embeddings - mean) / spread).astype(np.float32)
    balanced = weights * class_weights(categories, weights, ten)[categories]
    slopes, bias = Sums.of(standard, categories, balanced, ten).fitted()
    own = slopes / spread[:, np.newaxis]
    absent = np.bincount(categories, minlength=ten) == 0
    return own * SHARPNESS, np.where(absent, _ABSENT, (bias - mean @ own) * SHARPNESS)


def source_weights(sources: list[str]) -> npt.NDArray[np.float64]:
    """Weigh each frame by one over the root of its source's number of frames: a hundred of one session tell little more than ten."""
    _, index, counts = np.unique(np.array(sources), return_inverse=True, return_counts=True)
    weights = 1.0 / np.sqrt(counts[index].astype(np.float64))
    return np.asarray(weights / weights.mean(), dtype=np.float64)
