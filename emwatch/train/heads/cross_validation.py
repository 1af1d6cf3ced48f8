"""Heads judged by source: every frame by heads that saw nothing of its source, calibrated by frames of yet others."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from emwatch.frame import CATEGORIES
from emwatch.train.evaluate.measures import category_figures, confusion_matrix
from emwatch.train.heads.calibration import FOLDS, Calibration, Verdict, source_folds
from emwatch.train.heads.ridge import SHARPNESS

if TYPE_CHECKING:
    import numpy.typing as npt

    from emwatch.train.heads.ridge import Rows

    Scores = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

#: The seeds of the folds; figures are means over them, since one dealing of few sources is luck.
FOLD_SEEDS: Final = (0, 1, 2)

#: The class beside the ten categories: pictures of other things.
UNFAMILIAR: Final = len(CATEGORIES)

#: How frames are dressed by which a head is calibrated: as the daemon sees those whose bar it finds.
PLAIN: Final = "without_bar"


class Teachable(Protocol):
    """Labelled frames, and a way of teaching heads with some and scoring others."""

    @property
    def categories(self) -> npt.NDArray[np.int64]:
        """Give the category of each labelled frame."""
        ...

    @property
    def sources(self) -> list[str]:
        """Give the source of each labelled frame."""
        ...

    def scores(self, allowed: Mask, frames: Mask) -> dict[str, Scores]:
        """Teach a head what it is allowed and let it score these frames, by how they are dressed: (frames, 11) each."""
        ...


@dataclass(frozen=True, slots=True)
class Material:
    """
    All rows (embeddings) in one table, with the masks (rows,) and indices that tell what is what.

    Open frames are learned twice, without their data bar and with a redrawn one, so that no bar tells a category. All
    are judged without their bar, as the daemon sees a frame whose bar it finds, and as they are.
    """

    rows: Rows
    real_of: npt.NDArray[np.int64]  #: the labelled frame that a learned row is of, -1 for others
    judged: dict[str, slice]  #: the rows of all labelled frames, in order, by how they are dressed
    categories: npt.NDArray[np.int64]  #: of the labelled frames
    sources: list[str]

    def chosen(self, allowed: Mask) -> Mask:
        """Give the rows that a head learns, beside those it always does, to which these labelled frames are allowed."""
        return (self.real_of >= 0) & allowed[self.real_of]

    def scores(self, allowed: Mask, frames: Mask) -> dict[str, Scores]:
        """Teach a head what it is allowed and let it score these frames, by how they are dressed: (frames, 11) each."""
        judged = np.zeros(len(self.rows.labels), dtype=bool)
        for rows in self.judged.values():
            judged[rows] = frames
        found = self.rows.scores(self.chosen(allowed), judged)
        return dict(zip(self.judged, np.split(found, len(self.judged)), strict=True))


@dataclass(frozen=True, slots=True)
class BySource:
    """
    What came of it, by how frames are dressed; the frames of all dealings one after the other.

    ``calibration`` is chosen on all folds: the one to ship.
    """

    verdicts: dict[str, Verdict]
    probabilities: dict[str, Scores]  #: (dealings * frames, 10), calibrated
    calibration: Calibration
    truth: npt.NDArray[np.int64]  #: (dealings * frames,)

    def balanced_by_dealing(self, dressed: str) -> list[float]:
        """Give the balanced accuracy of each dealing: how far luck reaches."""
        scores = np.split(self.probabilities[dressed], len(FOLD_SEEDS))
        truths = np.split(self.truth, len(FOLD_SEEDS))
        return [_balanced(each, truth) for each, truth in zip(scores, truths, strict=True)]

    def agreement(self, one: str, other: str) -> float:
        """Give the share of frames whose likeliest category is the same, however dressed."""
        return float((self.probabilities[one].argmax(axis=1) == self.probabilities[other].argmax(axis=1)).mean())


def _balanced(scores: Scores, truth: npt.NDArray[np.int64]) -> float:
    recalls = [each.recall for each in category_figures(confusion_matrix(scores, truth)).values()]
    return float(np.mean([recall for recall in recalls if recall is not None]))


def judge_by_source(material: Teachable) -> BySource:
    """
    Judge every frame by heads that saw nothing of its source, in each of the dealings.

    For a fold to be judged, the calibration is chosen on the other folds, each scored by heads that learned neither it
    nor the fold to be judged.
    """
    dealings = [_dealing(material, source_folds(material.categories, material.sources, seed)) for seed in FOLD_SEEDS]
    truth = np.tile(material.categories, len(dealings))
    calibration = Calibration.chosen(*_told(np.concatenate([dealing.outer[PLAIN] for dealing in dealings]), truth))
    verdicts, probabilities = {}, {}
    for name in dealings[0].outer:
        logits, scores, certain = (
            np.concatenate(parts) for parts in zip(*(_calibrated(dealing, name) for dealing in dealings), strict=True)
        )
        verdicts[name] = Verdict.measured(logits, scores, certain.astype(bool), truth, calibration)
        probabilities[name] = scores
    return BySource(verdicts, probabilities, calibration, truth)


@dataclass(frozen=True, slots=True)
class _Dealing:
    """Scores of one dealing of sources into folds."""

    folds: npt.NDArray[np.int64]
    outer: dict[str, Scores]  #: (frames, 11), by how they are dressed; by heads that did not learn their fold
    calibrations: tuple[Calibration, ...]  #: for each fold, chosen on the others


def _dealing(material: Teachable, folds: npt.NDArray[np.int64]) -> _Dealing:
    frames = len(folds)
    outer: dict[str, Scores] = {}
    for fold in range(FOLDS):
        mine = folds == fold
        for name, scores in material.scores(~mine, mine).items():
            outer.setdefault(name, np.zeros((frames, UNFAMILIAR + 1)))[mine] = scores
    inner = np.zeros((FOLDS, frames, UNFAMILIAR + 1))  # by heads that learned neither a frame's fold nor this one
    for one, other in combinations(range(FOLDS), 2):
        out = (folds == one) | (folds == other)
        scores = material.scores(~out, out)[PLAIN]
        inner[one][folds == other] = scores[folds[out] == other]
        inner[other][folds == one] = scores[folds[out] == one]
    calibrations = (
        Calibration.chosen(*_told(inner[fold][folds != fold], material.categories[folds != fold]))
        for fold in range(FOLDS)
    )
    return _Dealing(folds, outer, tuple(calibrations))


def _told(scores: Scores, truth: npt.NDArray[np.int64]) -> tuple[Scores, npt.NDArray[np.int64], Scores]:
    """Give logits, categories and novelty, as a calibration is chosen by."""
    return SHARPNESS * scores[:, :UNFAMILIAR], truth, scores[:, UNFAMILIAR]


def _calibrated(dealing: _Dealing, name: str) -> tuple[Scores, Scores, Mask]:
    """Give logits, probabilities and certainty, each fold by its own calibration."""
    logits, novelty = SHARPNESS * dealing.outer[name][:, :UNFAMILIAR], dealing.outer[name][:, UNFAMILIAR]
    scores, certain = np.zeros_like(logits), np.zeros(len(logits), dtype=bool)
    for fold, chosen in enumerate(dealing.calibrations):
        mine = dealing.folds == fold
        scores[mine] = chosen.probabilities(logits[mine])
        certain[mine] = chosen.certain(logits[mine], novelty[mine])
    return logits, scores, certain
