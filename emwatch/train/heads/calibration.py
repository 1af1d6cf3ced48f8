"""How good a head is on instruments it has never seen: folds by source, and what is read off them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.classify.head import softmax
from emwatch.frame import CATEGORIES
from emwatch.train.evaluate import measures
from emwatch.train.evaluate.measures import calibration_error, category_figures, confusion_matrix

if TYPE_CHECKING:
    import numpy.typing as npt

FOLDS: Final = 5
#: A prediction is certain if such predictions are right at least this often, on frames by which the limit is chosen. More
#: than the three of four that are promised: on sources that did not choose it fewer are right (.80 by frames and .77 with
#: each source counting once, nested cross-validation over sources that are not blind; asked .80: .77 and .73).
ASKED_OF_CERTAIN: Final = 0.85
#: The share of the weight that is certain at least: three frames that are right are luck.
LEAST_CERTAIN: Final = 0.05
#: Of the frames that are right and certain, the limit of novelty keeps this share.
KEPT_OF_FAMILIAR: Final = 0.95


def source_shares(categories: npt.NDArray[np.int64], sources: list[str]) -> npt.NDArray[np.float64]:
    """
    Return weights (n,), mean 1, by which each category counts the same, and within it each source.

    A hundred frames of one session say hardly more of a category than ten.
    """
    names = np.array(sources)
    weights = np.zeros(len(categories))
    for category in np.unique(categories):
        mine = categories == category
        there, counts = np.unique(names[mine], return_counts=True)
        each = dict(zip(there.tolist(), counts.tolist(), strict=True))
        weights[mine] = [1 / (len(there) * each[name]) for name in names[mine].tolist()]
    return weights / weights.mean() if len(weights) else weights


def source_folds(categories: npt.NDArray[np.int64], sources: list[str], seed: int) -> npt.NDArray[np.int64]:
    """
    Deal sources into `FOLDS` folds, each source whole, so that every fold has about its share of each category.

    Returns the fold of each frame (n,). Largest sources first, each into the fold that makes the shares most equal.
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
class Calibration:
    """
    What makes probabilities of logits, and the limits below or above which they are not to be believed.

    ``unfamiliar_above`` is ``None`` for a head without novelty.
    """

    temperature: float
    uncertain_below: float
    unfamiliar_above: float | None = None

    @classmethod
    def chosen(
        cls,
        logits: npt.NDArray[np.float64],
        categories: npt.NDArray[np.int64],
        novelty: npt.NDArray[np.float64] | None = None,
        weights: npt.NDArray[np.float64] | None = None,
    ) -> Calibration:
        """Choose by logits (n, 10), novelty (n,) and weights (n,) of frames of unseen sources whose category is known."""
        if not len(logits):
            return cls(1.0, 1.0)
        weights = np.ones(len(logits)) if weights is None else weights
        temperature = fitted_temperature(logits, categories, weights)
        scores = softmax(logits / temperature)
        right = scores.argmax(axis=1) == categories
        limits = cls(temperature, _least_believed(scores.max(axis=1), right, weights))
        sure = right & limits.certain(logits)
        if novelty is None or not sure.any():
            return limits
        above = float(np.ceil(np.quantile(novelty[sure], KEPT_OF_FAMILIAR) * 1000) / 1000)
        return replace(limits, unfamiliar_above=above)

    def probabilities(self, logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Turn logits (n, 10) into probabilities."""
        return softmax(logits / self.temperature)

    def certain(
        self, logits: npt.NDArray[np.float64], novelty: npt.NDArray[np.float64] | None = None
    ) -> npt.NDArray[np.bool_]:
        """Return whether the likeliest category of each frame (n,) is to be believed."""
        believed: npt.NDArray[np.bool_] = self.probabilities(logits).max(axis=1) >= self.uncertain_below
        if novelty is None or self.unfamiliar_above is None:
            return believed
        familiar: npt.NDArray[np.bool_] = novelty <= self.unfamiliar_above
        return believed & familiar


def _least_believed(
    probability: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], weights: npt.NDArray[np.float64]
) -> float:
    """Return the lowest limit above which `ASKED_OF_CERTAIN` are right, or 1.0 if no limit reaches that."""
    order = np.argsort(-probability, kind="stable")
    believed = np.cumsum(weights[order])
    enough = believed >= LEAST_CERTAIN * believed[-1]
    reached = np.flatnonzero(enough & (np.cumsum((weights * right)[order]) >= ASKED_OF_CERTAIN * believed))
    if not len(reached):
        return 1.0
    return float(np.floor(probability[order][reached[-1]] * 10_000) / 10_000)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Figures of a head against the true categories, all on frames of sources not trained on."""

    accuracy: float
    balanced_accuracy: float
    by_source: float  #: balanced accuracy in which each source of a category counts once
    merged_balanced_accuracy: float  #: see `measures.MERGED`
    top_3_accuracy: float
    ece_before: float
    ece_after: float
    temperature: float
    uncertain_below: float
    unfamiliar_above: float | None
    certain_share: float
    certain_of_right: float
    accuracy_when_certain: float
    recall: dict[str, float]
    precision: dict[str, float]

    @property
    def calibration(self) -> Calibration:
        """Return the calibration that ships."""
        return Calibration(self.temperature, self.uncertain_below, self.unfamiliar_above)

    @classmethod
    def of(cls, logits: npt.NDArray[np.float64], categories: npt.NDArray[np.int64], sources: list[str]) -> Verdict:
        """Judge logits (n, 10), choosing the calibration by the same frames: if there are no others to choose it by."""
        calibration = Calibration.chosen(logits, categories)
        scores = calibration.probabilities(logits)
        return cls.measured(logits, scores, calibration.certain(logits), categories, sources, calibration)

    @classmethod
    def measured(
        cls,
        logits: npt.NDArray[np.float64],
        scores: npt.NDArray[np.float64],
        certain: npt.NDArray[np.bool_],
        categories: npt.NDArray[np.int64],
        sources: list[str],
        calibration: Calibration,
    ) -> Verdict:
        """Measure logits (n, 10) and what was made of them; ``calibration`` is the one that is shipped."""
        right = scores.argmax(axis=1) == categories
        figures = category_figures(confusion_matrix(scores, categories))
        recall = {name: each.recall for name, each in figures.items() if each.recall is not None}
        return cls(
            accuracy=float(right.mean()),
            balanced_accuracy=float(np.mean(list(recall.values()))),
            by_source=measures.by_source(right, categories, sources),
            merged_balanced_accuracy=measures.merged_balanced_accuracy(scores, categories),
            top_3_accuracy=float((np.argsort(-scores, axis=1)[:, :3] == categories[:, np.newaxis]).any(axis=1).mean()),
            ece_before=calibration_error(softmax(logits), categories),
            ece_after=calibration_error(scores, categories),
            temperature=calibration.temperature,
            uncertain_below=calibration.uncertain_below,
            unfamiliar_above=calibration.unfamiliar_above,
            certain_share=float(certain.mean()),
            certain_of_right=float(certain[right].mean()) if right.any() else 0.0,
            accuracy_when_certain=float(right[certain].mean()) if certain.any() else 0.0,
            recall=recall,
            precision={name: each.precision for name, each in figures.items() if each.precision is not None},
        )


def fitted_temperature(
    logits: npt.NDArray[np.float64], categories: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]
) -> float:
    """Return the temperature of the least weighted negative log-likelihood, on a grid of 2 % steps."""
    rows = np.arange(len(logits))
    grid = np.geomspace(0.2, 20.0, 233)
    losses = [-(weights * np.log(np.maximum(softmax(logits / at)[rows, categories], 1e-12))).mean() for at in grid]
    return float(grid[int(np.argmin(losses))])
