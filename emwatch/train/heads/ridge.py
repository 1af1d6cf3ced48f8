"""Heads: ridge regression on embeddings, in closed form with numpy alone, one affine map whatever was done on the way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from emwatch.frame import CATEGORIES

if TYPE_CHECKING:
    import numpy.typing as npt

    Singles: TypeAlias = npt.NDArray[np.float32]

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
    Embeddings to learn from and to judge by: heads that all learn some rows, and each its own choice of others.

    ``features`` (n, features), float32; ``labels`` (n,), indices of classes; ``weights`` (n,), positive; ``always`` (n,),
    the rows that every head learns; ``perhaps`` (n,), those it may learn. The rest is only judged. The scale of the
    features is taken from ``always``, or where those are few from ``perhaps``, too; never from rows that are only judged.
    Classes weigh the same where everything is learned.

    Ridge regression in its dual form: the coefficients of rows solve (K + ridge / weights) a = wanted, K being products
    of rows. What all heads learn is eliminated once (by its Schur complement); a head is then one small system.
    """

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    classes: int
    always: npt.NDArray[np.bool_]
    perhaps: npt.NDArray[np.bool_]

    def scores(self, chosen: npt.NDArray[np.bool_], judged: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Let a head learn those of ``perhaps`` that the mask ``chosen`` (n,) has, and score ``judged``: (judged, classes)."""
        if self._is_large:
            return (self._standard[judged] @ self._slopes(chosen)).astype(np.float64)
        common, left, _ = self._eliminated
        mine = chosen[self.perhaps]
        return (common[judged] + left[judged][:, mine] @ self._own(chosen)).astype(np.float64)

    def fitted(self, chosen: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Let a head learn as `scores` does; give (features, classes) and the bias (classes,) for embeddings as they come."""
        slopes = self._slopes(chosen).astype(np.float64)
        mean, spread = (part.astype(np.float64) for part in self._scaling)
        own = slopes[:-1] / spread[:, np.newaxis]
        return own, slopes[-1] - mean @ own

    def _slopes(self, chosen: npt.NDArray[np.bool_]) -> Singles:
        """Give (features + 1, classes) for standard rows."""
        if self._is_large:
            taught = self.always | (self.perhaps & chosen)
            rows, weights = self._standard[taught], self._balanced[taught].astype(np.float32)[:, np.newaxis]
            system = rows.T @ (rows * weights)
            system[np.diag_indices_from(system)] += np.float32(RIDGE)
            return _solved(system, rows.T @ (weights * self._wanted[taught]))
        mine, own = self.perhaps & chosen, self._own(chosen)
        rest = self._wanted[self.always] - self._kernel[np.ix_(self.always, mine)] @ own
        return self._standard[mine].T @ own + self._standard[self.always].T @ _solved(self._always_system, rest)

    def _own(self, chosen: npt.NDArray[np.bool_]) -> Singles:
        """Give the coefficients (chosen of perhaps, classes) of the rows that this head alone has."""
        common, _, system = self._eliminated
        mine = chosen[self.perhaps]
        rows = self.perhaps & chosen
        return _solved(system[np.ix_(mine, mine)], self._wanted[rows] - common[rows])

    @cached_property
    def _eliminated(self) -> tuple[Singles, Singles, Singles]:
        """Give the scores of all rows by what is always learned, the kernel that is left to perhaps, and their system."""
        to_perhaps = self._kernel[:, self.perhaps]
        found = _solved(
            self._always_system, np.concatenate([self._wanted[self.always], to_perhaps[self.always]], axis=1)
        )
        explained = self._kernel[:, self.always] @ found
        left = to_perhaps - explained[:, self.classes :]
        return explained[:, : self.classes], left, _with_ridge(left[self.perhaps], self._balanced[self.perhaps])

    @cached_property
    def _always_system(self) -> Singles:
        return _with_ridge(self._kernel[np.ix_(self.always, self.always)], self._balanced[self.always])

    @cached_property
    def _kernel(self) -> Singles:
        return self._standard @ self._standard.T

    @cached_property
    def _standard(self) -> Singles:
        """Give the rows scaled to squared length 1 in the mean, with a constant for the bias."""
        mean, spread = self._scaling
        scaled: Singles = (self.features - mean) / spread
        return np.concatenate([scaled, np.ones((len(scaled), 1), np.float32)], axis=1, dtype=np.float32)

    @cached_property
    def _scaling(self) -> tuple[Singles, Singles]:
        # Of rows that every head learns, where these are most: a scale that others lend would know who judges.
        every = self.always | self.perhaps
        taught = self.features[self.always if 2 * self.always.sum() >= every.sum() else every]
        mean = taught.mean(axis=0, dtype=np.float64)
        spread = taught.std(axis=0, dtype=np.float64)
        spread = np.where(spread > 1e-6, spread, 1.0) * np.sqrt(self.features.shape[1])
        return mean.astype(np.float32), spread.astype(np.float32)

    @cached_property
    def _balanced(self) -> npt.NDArray[np.float64]:
        """Weigh so that every class counts the same where all that may be learned is, the mean weight being 1."""
        taught = self.always | self.perhaps
        totals = np.bincount(self.labels[taught], self.weights[taught], self.classes)
        share = int(taught.sum()) / max(int(np.count_nonzero(totals)), 1)
        return self.weights / np.where(totals > 0, totals, 1.0)[self.labels] * share

    @cached_property
    def _wanted(self) -> Singles:
        return np.eye(self.classes, dtype=np.float32)[self.labels]

    @property
    def _is_large(self) -> bool:
        return len(self.features) > _MOST_ROWS_FOR_KERNEL


def _with_ridge(system: Singles, weights: npt.NDArray[np.float64]) -> Singles:
    ridged = system.copy()
    ridged[np.diag_indices_from(ridged)] += (RIDGE / weights).astype(np.float32)
    return ridged


def _solved(system: Singles, wanted: Singles) -> Singles:
    return np.linalg.solve(system, wanted).astype(np.float32, copy=False)


def fit_affine(
    embeddings: npt.NDArray[np.float32], categories: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """
    Fit a head to all of these embeddings (n, features), categories weighing the same.

    ``categories`` (n,); ``weights`` (n,) of the frames. Gives (features, 10) and (10,), of logits. A category without a
    frame is never the likeliest.
    """
    everything = np.ones(len(embeddings), dtype=bool)
    rows = Rows(embeddings, categories, weights, len(CATEGORIES), always=everything, perhaps=~everything)
    slopes, bias = rows.fitted(~everything)
    absent = np.bincount(categories, minlength=len(CATEGORIES)) == 0
    return slopes * SHARPNESS, np.where(absent, _ABSENT, bias * SHARPNESS)


def source_weights(sources: list[str]) -> npt.NDArray[np.float64]:
    """Weigh each frame by one over the root of its source's number of frames: a hundred of one session tell little more than ten."""
    _, index, counts = np.unique(np.array(sources), return_inverse=True, return_counts=True)
    weights = 1.0 / np.sqrt(counts[index].astype(np.float64))
    return np.asarray(weights / weights.mean(), dtype=np.float64)
