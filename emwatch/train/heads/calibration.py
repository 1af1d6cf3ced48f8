"""How good a head is on instruments it has never seen: folds by source, and what is read off them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.classify.head import softmax
from emwatch.frame import CATEGORIES
from emwatch.train.evaluate.measures import calibration_error, category_figures, confusion_matrix

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

FOLDS: Final = 5
#: This share of the rightly classified frames must stay certain; the threshold is the highest that allows it.
KEPT_OF_RIGHT: Final = 0.84
#: Of those, the limit of novelty alone keeps this share.
KEPT_OF_FAMILIAR: Final = 0.95
#: A category is believed where it is right at least this often. By source it made believed Nanowires right in 38 % of
#: cases instead of 20 %, and all believed frames in 77 % instead of 74 %, with as many right ones kept.
TRUSTED: Final = 0.5
#: Limits of single categories are told by no fewer than this share of the frames: three of them right are luck.
LEAST_BELIEVED: Final = 0.04


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
class Calibration:
    """
    What makes probabilities of logits and says when to believe them, chosen on frames of unseen sources.

    ``unfamiliar_above`` is ``None`` for a head that tells no novelty. ``uncertain_below_of``: higher limits of categories
    that were wrongly believed too often.
    """

    temperature: float
    uncertain_below: float
    unfamiliar_above: float | None = None
    uncertain_below_of: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def chosen(
        cls,
        logits: npt.NDArray[np.float64],
        categories: npt.NDArray[np.int64],
        novelty: npt.NDArray[np.float64] | None = None,
    ) -> Calibration:
        """Choose by logits (n, 10) and, where the head tells it, novelty (n,) of frames whose category is known."""
        if not len(logits):
            return cls(1.0, 1.0)
        temperature = fitted_temperature(logits, categories)
        scores = softmax(logits / temperature)
        right = scores.argmax(axis=1) == categories
        if not right.any():
            return cls(temperature, 1.0)
        kept = KEPT_OF_RIGHT if novelty is None else KEPT_OF_RIGHT / KEPT_OF_FAMILIAR
        below = float(np.floor(np.quantile(scores.max(axis=1)[right], 1 - kept) * 100) / 100)
        limits = cls(temperature, below, None, _limits_of_categories(scores, right, below))
        if novelty is None:
            return limits
        sure = right & limits.certain(logits)
        above = float(np.ceil(np.quantile(novelty[sure], KEPT_OF_FAMILIAR) * 1000) / 1000)
        return replace(limits, unfamiliar_above=above)

    def probabilities(self, logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Turn logits (n, 10) into probabilities."""
        return softmax(logits / self.temperature)

    def certain(
        self, logits: npt.NDArray[np.float64], novelty: npt.NDArray[np.float64] | None = None
    ) -> npt.NDArray[np.bool_]:
        """Say of which frames (n,) the likeliest category is to be believed."""
        scores = self.probabilities(logits)
        limits = np.array([self.uncertain_below_of.get(name, self.uncertain_below) for name in CATEGORIES])
        believed: npt.NDArray[np.bool_] = scores.max(axis=1) >= limits[scores.argmax(axis=1)]
        if novelty is None or self.unfamiliar_above is None:
            return believed
        familiar: npt.NDArray[np.bool_] = novelty <= self.unfamiliar_above
        return believed & familiar


@dataclass(frozen=True, slots=True)
class Verdict:
    """Figures of a head against the true categories, all on frames of sources not trained on."""

    accuracy: float
    balanced_accuracy: float
    top_3_accuracy: float
    ece_before: float
    ece_after: float
    temperature: float
    uncertain_below: float
    uncertain_below_of: dict[str, float]
    unfamiliar_above: float | None
    certain_share: float
    certain_of_right: float
    accuracy_when_certain: float
    recall: dict[str, float]
    precision: dict[str, float]

    @property
    def calibration(self) -> Calibration:
        """Give the calibration that ships."""
        return Calibration(self.temperature, self.uncertain_below, self.unfamiliar_above, self.uncertain_below_of)

    @classmethod
    def of(cls, logits: npt.NDArray[np.float64], categories: npt.NDArray[np.int64]) -> Verdict:
        """Judge logits (n, 10), choosing the calibration by them: where there are no other frames to choose it by."""
        calibration = Calibration.chosen(logits, categories)
        scores = calibration.probabilities(logits)
        return cls.measured(logits, scores, calibration.certain(logits), categories, calibration)

    @classmethod
    def measured(
        cls,
        logits: npt.NDArray[np.float64],
        scores: npt.NDArray[np.float64],
        certain: npt.NDArray[np.bool_],
        categories: npt.NDArray[np.int64],
        calibration: Calibration,
    ) -> Verdict:
        """Measure logits (n, 10) and what was made of them; ``calibration`` is the one that is shipped."""
        right = scores.argmax(axis=1) == categories
        figures = category_figures(confusion_matrix(scores, categories))
        recall = {name: each.recall for name, each in figures.items() if each.recall is not None}
        return cls(
            accuracy=float(right.mean()),
            balanced_accuracy=float(np.mean(list(recall.values()))),
            top_3_accuracy=float((np.argsort(-scores, axis=1)[:, :3] == categories[:, np.newaxis]).any(axis=1).mean()),
            ece_before=calibration_error(softmax(logits), categories),
            ece_after=calibration_error(scores, categories),
            temperature=calibration.temperature,
            uncertain_below=calibration.uncertain_below,
            uncertain_below_of=dict(calibration.uncertain_below_of),
            unfamiliar_above=calibration.unfamiliar_above,
            certain_share=float(certain.mean()),
            certain_of_right=float(certain[right].mean()) if right.any() else 0.0,
            accuracy_when_certain=float(right[certain].mean()) if certain.any() else 0.0,
            recall=recall,
            precision={name: each.precision for name, each in figures.items() if each.precision is not None},
        )


def _limits_of_categories(
    scores: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], below: float
) -> dict[str, float]:
    """
    Raise the limit of each category that is wrong more often than right where it is believed, until it is not.

    Never so far that fewer than `LEAST_BELIEVED` of the frames are left to tell by.
    """
    likeliest, probability = scores.argmax(axis=1), scores.max(axis=1)
    least = max(1, round(LEAST_BELIEVED * len(scores)))
    limits = {}
    for index, name in enumerate(CATEGORIES):
        mine = (likeliest == index) & (probability >= below)
        order = np.argsort(-probability[mine])
        hits = np.cumsum(right[mine][order]) / np.arange(1, mine.sum() + 1)
        trusted = np.flatnonzero(hits[least - 1 :] >= TRUSTED) + least - 1
        if len(hits) < least or hits[-1] >= TRUSTED:
            continue
        last = int(trusted[-1]) if len(trusted) else least - 1
        limits[name] = float(np.ceil(probability[mine][order][last] * 100) / 100)
    return {name: limit for name, limit in limits.items() if limit > below}


def fitted_temperature(logits: npt.NDArray[np.float64], categories: npt.NDArray[np.int64]) -> float:
    """Find the temperature of the least negative log-likelihood, on a grid of 2 % steps."""
    rows = np.arange(len(logits))
    grid = np.geomspace(0.2, 20.0, 233)
    losses = [-np.log(np.maximum(softmax(logits / at)[rows, categories], 1e-12)).mean() for at in grid]
    return float(grid[int(np.argmin(losses))])
