"""Heads: ridge regression on embeddings, in closed form with numpy alone, one affine map whatever was done on the way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.frame import CATEGORIES

if TYPE_CHECKING:
    import numpy.typing as npt

#: Strength of the ridge, where a row has a squared length of about 1. From the by-source folds: 0.1 and 10 lost 2 points.
RIDGE: Final = 1.0

#: Scores lie between 0 and 1 where logits may be anything: times this, a temperature near 1 fits.
SHARPNESS: Final = 8.0

#: What a category without any frame gets for a logit.
_ABSENT: Final = -20.0

#: With more rows than this, products of features are smaller than products of rows.
_MOST_ROWS_FOR_KERNEL: Final = 8000


@dataclass(frozen=True)
class Rows:
    """
    Embeddings to learn from and to judge by: heads are fitted to subsets of them.

    ``features`` (n, features), float32; ``labels`` (n,), indices of classes; ``weights`` (n,), positive. The scale of the
    features, not their labels, is taken from all rows. The product of all rows is computed once: a head is then one small system.
    """

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    classes: int

    @cached_property
    def _scaling(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        mean = self.features.mean(axis=0, dtype=np.float64)
        spread = self.features.std(axis=0, dtype=np.float64)
        spread = np.where(spread > 1e-6, spread, 1.0) * np.sqrt(self.features.shape[1])
        return mean.astype(np.float32), spread.astype(np.float32)

    @cached_property
    def _standard(self) -> npt.NDArray[np.float32]:
        """Give the rows scaled to squared length 1 in the mean, with a constant for the bias."""
        mean, spread = self._scaling
        scaled: npt.NDArray[np.float32] = (self.features - mean) / spread
        return np.concatenate([scaled, np.ones((len(scaled), 1), np.float32)], axis=1, dtype=np.float32)

    @cached_property
    def _kernel(self) -> npt.NDArray[np.float32]:
        return self._standard @ self._standard.T

    def scores(self, taught: npt.NDArray[np.bool_], judged: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Fit to the rows of the mask ``taught`` (n,), give (judged, classes) for those of ``judged``."""
        mine = np.flatnonzero(taught)
        if len(self.features) > _MOST_ROWS_FOR_KERNEL:
            return (self._standard[judged] @ self._primal(mine)).astype(np.float64)
        return (self._kernel[np.ix_(judged, taught)] @ self._dual(mine)).astype(np.float64)

    def fitted(self, taught: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Fit to the rows of the mask (n,); give (features, classes) and the bias (classes,) for embeddings as they come."""
        mine = np.flatnonzero(taught)
        if len(self.features) > _MOST_ROWS_FOR_KERNEL:
            slopes = self._primal(mine)
        else:
            slopes = self._standard[mine].T @ self._dual(mine)
        mean, spread = (part.astype(np.float64) for part in self._scaling)
        own = slopes[:-1].astype(np.float64) / spread[:, np.newaxis]
        return own, slopes[-1].astype(np.float64) - mean @ own

    def _dual(self, mine: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        system = self._kernel[np.ix_(mine, mine)]
        system[np.diag_indices_from(system)] += (RIDGE / self._balanced(mine)).astype(np.float32)
        return np.linalg.solve(system, self._wanted(mine)).astype(np.float32, copy=False)

    def _primal(self, mine: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        rows, weights = self._standard[mine], self._balanced(mine).astype(np.float32)[:, np.newaxis]
        system = rows.T @ (rows * weights)
        system[np.diag_indices_from(system)] += np.float32(RIDGE)
        return np.linalg.solve(system, rows.T @ (weights * self._wanted(mine))).astype(np.float32, copy=False)

    def _balanced(self, mine: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """Weigh so that every class that is there counts the same, the mean weight being 1."""
        labels, weights = self.labels[mine], self.weights[mine]
        totals = np.bincount(labels, weights, self.classes)
        return weights / totals[labels] * (len(mine) / np.count_nonzero(totals))

    def _wanted(self, mine: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        return np.eye(self.classes, dtype=np.float32)[self.labels[mine]]


def fit_affine(
    embeddings: npt.NDArray[np.float32], categories: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """
    Fit a head to all of these embeddings (n, features), categories weighing the same.

    ``categories`` (n,); ``weights`` (n,) of the frames. Gives (features, 10) and (10,), of logits. A category without a
    frame is never the likeliest.
    """
    rows = Rows(embeddings, categories, weights, len(CATEGORIES))
    slopes, bias = rows.fitted(np.ones(len(embeddings), dtype=bool))
    absent = np.bincount(categories, minlength=len(CATEGORIES)) == 0
    return slopes * SHARPNESS, np.where(absent, _ABSENT, bias * SHARPNESS)


def source_weights(sources: list[str]) -> npt.NDArray[np.float64]:
    """Weigh each frame by one over the root of its source's number of frames: a hundred of one session tell little more than ten."""
    _, index, counts = np.unique(np.array(sources), return_inverse=True, return_counts=True)
    weights = 1.0 / np.sqrt(counts[index].astype(np.float64))
    return np.asarray(weights / weights.mean(), dtype=np.float64)
