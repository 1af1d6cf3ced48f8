"""Heads judged by source: every frame by heads that saw nothing of its source, calibrated by frames of yet others."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from emwatch.train.evaluate.measures import balanced_accuracy
from emwatch.train.heads.calibration import FOLDS, Calibration, Verdict, source_folds, source_shares
from emwatch.train.heads.lessons import UNFAMILIAR
from emwatch.train.heads.ridge import SHARPNESS

if TYPE_CHECKING:
    import numpy.typing as npt

    Scores = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

#: The seeds of the folds; figures are means over them, since one dealing of few sources is luck.
FOLD_SEEDS: Final = (0, 1, 2)

#: How frames are dressed by which a head is calibrated: as the daemon sees those whose bar it finds.
PLAIN: Final = "without_bar"

#: With fewer blind sources than this, all sources choose the calibration.
LEAST_BLIND_SOURCES: Final = 10


class Teachable(Protocol):
    """Labelled frames, and a way of teaching heads with some and scoring others."""

    @property
    def categories(self) -> npt.NDArray[np.int64]:
        """Return the category of each labelled frame (n,)."""
        ...

    @property
    def sources(self) -> list[str]:
        """Return the source of each labelled frame."""
        ...

    @property
    def blind(self) -> Mask:
        """Return which frames (n,) nobody who paints drawn frames has looked at."""
        ...

    def scores(self, allowed: Mask, frames: Mask) -> dict[str, Scores]:
        """Teach a head those of the allowed frames that may teach; score these frames, by how they are dressed: (frames, 11)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class BySource:
    """
    The results, by how frames are dressed; the frames of all dealings one after the other.

    ``calibration`` is chosen on all folds: the one to ship.
    """

    logits: dict[str, Scores]  #: (dealings * frames, 10)
    probabilities: dict[str, Scores]  #: the same, calibrated
    certain: dict[str, Mask]  #: (dealings * frames,)
    unseen: Scores  #: (frames, 11): the mean over the dealings, by heads that learned nothing of a frame's source
    calibration: Calibration
    truth: npt.NDArray[np.int64]  #: (dealings * frames,)
    sources: list[str]  #: the same

    def verdict(self, dressed: str, frames: Mask | None = None) -> Verdict:
        """Return the figures on those of the labelled frames that a mask (n,) has."""
        mine = np.ones(len(self.truth), dtype=bool) if frames is None else np.tile(frames, len(FOLD_SEEDS))
        return Verdict.measured(
            self.logits[dressed][mine],
            self.probabilities[dressed][mine],
            self.certain[dressed][mine],
            self.truth[mine],
            [source for source, kept in zip(self.sources, mine, strict=True) if kept],
            self.calibration,
        )

    def by_dealing(self, dressed: str, frames: Mask | None = None) -> list[float]:
        """Return the balanced accuracy of each dealing: how far luck reaches."""
        scores = np.split(self.probabilities[dressed], len(FOLD_SEEDS))
        truths = np.split(self.truth, len(FOLD_SEEDS))
        mine = slice(None) if frames is None else frames
        return [balanced_accuracy(each[mine], truth[mine]) for each, truth in zip(scores, truths, strict=True)]

    def agreement(self, one: str, other: str) -> float:
        """Return the share of frames whose likeliest category is the same, however dressed."""
        return float((self.probabilities[one].argmax(axis=1) == self.probabilities[other].argmax(axis=1)).mean())


def judge_by_source(material: Teachable) -> BySource:
    """
    Judge every frame by heads that saw nothing of its source, in each of the dealings.

    For a fold to be judged, the calibration is chosen on the blind frames of the other folds, each scored by heads that
    learned neither it nor the fold to be judged. Without enough blind sources all frames of the other folds choose it.
    """
    dealings = [_dealing(material, source_folds(material.categories, material.sources, seed)) for seed in FOLD_SEEDS]
    calibrations = [_calibrations(material, dealing) for dealing in dealings]
    truth = np.tile(material.categories, len(dealings))
    choosing = np.tile(_choosing(material), len(dealings))
    pooled = np.concatenate([dealing.outer[PLAIN] for dealing in dealings])
    calibration = _chosen(
        pooled[choosing], truth[choosing], np.tile(np.array(material.sources), len(dealings))[choosing]
    )
    logits: dict[str, Scores] = {}
    probabilities: dict[str, Scores] = {}
    certain: dict[str, Mask] = {}
    for name in dealings[0].outer:
        found = [_calibrated(dealing, each, name) for dealing, each in zip(dealings, calibrations, strict=True)]
        logits[name] = np.concatenate([each[0] for each in found])
        probabilities[name] = np.concatenate([each[1] for each in found])
        certain[name] = np.concatenate([each[2] for each in found])
    unseen = np.mean([dealing.outer[PLAIN] for dealing in dealings], axis=0)
    return BySource(logits, probabilities, certain, unseen, calibration, truth, material.sources * len(dealings))


@dataclass(frozen=True, slots=True, eq=False)
class _Dealing:
    """Scores (frames, 11) of one dealing of sources into folds."""

    folds: npt.NDArray[np.int64]
    outer: dict[str, Scores]  #: by how frames are dressed; by heads that did not learn their fold
    inner: Scores  #: (folds, frames, 11), by heads that learned neither a frame's fold nor this one


def _dealing(material: Teachable, folds: npt.NDArray[np.int64]) -> _Dealing:
    frames = len(folds)
    outer: dict[str, Scores] = {}
    for fold in range(FOLDS):
        mine = folds == fold
        for name, scores in material.scores(~mine, mine).items():
            outer.setdefault(name, np.zeros((frames, UNFAMILIAR + 1)))[mine] = scores
    inner = np.zeros((FOLDS, frames, UNFAMILIAR + 1))
    for one, other in combinations(range(FOLDS), 2):
        out = (folds == one) | (folds == other)
        scores = material.scores(~out, out)[PLAIN]
        inner[one][folds == other] = scores[folds[out] == other]
        inner[other][folds == one] = scores[folds[out] == one]
    return _Dealing(folds, outer, inner)


def _calibrations(material: Teachable, dealing: _Dealing) -> list[Calibration]:
    """Return the calibration of each fold, chosen on the others."""
    choosing, sources, found = _choosing(material), np.array(material.sources), []
    for fold in range(FOLDS):
        mine = choosing & (dealing.folds != fold)
        found.append(_chosen(dealing.inner[fold][mine], material.categories[mine], sources[mine]))
    return found


def _choosing(material: Teachable) -> Mask:
    """Return the frames (n,) by which a calibration is chosen."""
    blind_sources = {source for source, blind in zip(material.sources, material.blind, strict=True) if blind}
    return material.blind if len(blind_sources) >= LEAST_BLIND_SOURCES else np.ones(len(material.sources), dtype=bool)


def _chosen(scores: Scores, truth: npt.NDArray[np.int64], sources: npt.NDArray[np.str_]) -> Calibration:
    weights = source_shares(truth, sources.tolist())
    return Calibration.chosen(SHARPNESS * scores[:, :UNFAMILIAR], truth, scores[:, UNFAMILIAR], weights)


def _calibrated(dealing: _Dealing, calibrations: list[Calibration], name: str) -> tuple[Scores, Scores, Mask]:
    """Return logits, probabilities and certainty, each fold by its own calibration."""
    logits, novelty = SHARPNESS * dealing.outer[name][:, :UNFAMILIAR], dealing.outer[name][:, UNFAMILIAR]
    scores, certain = np.zeros_like(logits), np.zeros(len(logits), dtype=bool)
    for fold, chosen in enumerate(calibrations):
        mine = dealing.folds == fold
        scores[mine] = chosen.probabilities(logits[mine])
        certain[mine] = chosen.certain(logits[mine], novelty[mine])
    return logits, scores, certain
