"""How good a head is on instruments it has never seen: folds by source, and what is read off them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.classify.head import softmax
from emwatch.frame import CATEGORIES
from emwatch.train.measures import calibration_error

if TYPE_CHECKING:
    import numpy.typing as npt

FOLDS: Final = 5
#: This share of the rightly classified frames must stay certain; the threshold is the highest that allows it.
KEPT_OF_RIGHT: Final = 0.85


def source_folds(categories: npt.NDArray[np.int64], sources: list[str], seed: int) -> npt.NDArray[np.int64]:
    """
    Deal sources into `FOLDS` folds, each source whole, so that every fold has about its share of each category.

    Gives the fold of each frame (n,). Largest sources first, each to where it makes the folds' shares most equal.
    """
    random = np.random.default_rng(seed)
    of_source = np.array(sources)
    names = sorted(set(sources))
    random.shuffle(names)
    names.sort(key=lambda name: -int((of_source == name).sum()))
    totals = np.maximum(np.bincount(categories, minlength=len(CATEGORIES)), 1)
    shares = np.zeros((FOLDS, len(CATEGORIES)))
    folds = np.zeros(len(sources), dtype=np.int64)
    for name in names:
        mine = of_source == name
        share = np.bincount(categories[mine], minlength=len(CATEGORIES)) / totals
        cost = ((shares + share) ** 2).sum(axis=1) - (shares**2).sum(axis=1) + random.random(FOLDS) * 0.02
        chosen = int(np.argmin(cost))
        shares[chosen] += share
        folds[mine] = chosen
    return folds


@dataclass(frozen=True, slots=True)
class Verdict:
    """Figures of logits (n, 10) against the true categories, all on frames of sources not trained on."""

    accuracy: float
    balanced_accuracy: float
    top_3_accuracy: float
    ece_before: float
    ece_after: float
    temperature: float
    uncertain_below: float
    certain_share: float
    accuracy_when_certain: float
    recall: dict[str, float]

    @classmethod
    def of(cls, logits: npt.NDArray[np.float64], categories: npt.NDArray[np.int64]) -> Verdict:
        """Judge logits, choosing the temperature and the threshold of certainty by them."""
        temperature = fitted_temperature(logits, categories)
        scores = softmax(logits / temperature)
        likeliest, probability = scores.argmax(axis=1), scores.max(axis=1)
        right = likeliest == categories
        recall = {
            name: float(right[categories == index].mean())
            for index, name in enumerate(CATEGORIES)
            if (categories == index).any()
        }
        below = float(np.floor(np.quantile(probability[right], 1 - KEPT_OF_RIGHT) * 100) / 100)
        certain = probability >= below
        return cls(
            accuracy=float(right.mean()),
            balanced_accuracy=float(np.mean(list(recall.values()))),
            top_3_accuracy=float((np.argsort(-scores, axis=1)[:, :3] == categories[:, np.newaxis]).any(axis=1).mean()),
            ece_before=calibration_error(softmax(logits), categories),
            ece_after=calibration_error(scores, categories),
            temperature=temperature,
            uncertain_below=below,
            certain_share=float(certain.mean()),
            accuracy_when_certain=float(right[certain].mean()),
            recall=recall,
        )


def fitted_temperature(logits: npt.NDArray[np.float64], categories: npt.NDArray[np.int64]) -> float:
    """Find the temperature of the least negative log-likelihood, on a grid of 2 % steps."""
    rows = np.arange(len(logits))
    grid = np.geomspace(0.2, 20.0, 233)
    losses = [-np.log(np.maximum(softmax(logits / at)[rows, categories], 1e-12)).mean() for at in grid]
    return float(grid[int(np.argmin(losses))])
