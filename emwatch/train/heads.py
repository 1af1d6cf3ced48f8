"""Trains the ten-category head: which frames it learns from, which judge it, and what goes into the card."""

from __future__ import annotations

import collections
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.classify.head import AVERAGE_FEATURES, Head, Novelty, unit_stretches
from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES
from emwatch.train import pictures
from emwatch.train.dataset import OWN
from emwatch.train.drawn import drawn_frames
from emwatch.train.fit import SHARPNESS, Rows, source_weights
from emwatch.train.judge import FOLDS, Calibration, Verdict, source_folds
from emwatch.train.unfamiliar import unfamiliar_pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from emwatch.train.dataset import LabelledFrame
    from emwatch.train.embeddings import Embeddings

    Scores = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

#: The seeds of the folds; figures are means over them, since one dealing of few sources is luck.
FOLD_SEEDS: Final = (0, 1, 2)

#: Pictures of other things, beside the ten categories: what the direction of novelty is learned from.
UNFAMILIAR_PICTURES: Final = 260

_UNFAMILIAR: Final = len(CATEGORIES)


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """A head with how it was judged, ready for the card."""

    head: Head
    verdict: Verdict
    training: dict[str, Any]
    metrics: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Material:
    """
    All rows (embeddings) in one table, with the masks (rows,) and indices that tell what is what.

    Open frames are learned twice, without their data bar and with a redrawn one, so that no bar tells a category. All
    are judged without their bar, as the daemon sees a frame whose bar it finds, and as they are.
    """

    rows: Rows
    always: Mask  #: rows that every head learns: drawn and unfamiliar ones
    real_of: npt.NDArray[np.int64]  #: the labelled frame that a learned row is of, -1 for others
    judged: dict[str, slice]  #: the rows of all labelled frames, in order, by how they are dressed
    categories: npt.NDArray[np.int64]  #: of the labelled frames
    sources: list[str]

    def taught(self, allowed: Mask) -> Mask:
        """Give the rows that a head may learn from which these labelled frames are allowed."""
        return self.always | ((self.real_of >= 0) & allowed[self.real_of])

    def scores(self, allowed: Mask, frames: Mask) -> dict[str, Scores]:
        """Teach a head what it is allowed and let it score these frames, by how they are dressed: (frames, 11) each."""
        judged = np.zeros(len(self.rows.labels), dtype=bool)
        for rows in self.judged.values():
            judged[rows] = frames
        found = self.rows.scores(self.taught(allowed), judged)
        return dict(zip(self.judged, np.split(found, len(self.judged)), strict=True))


def train_head(
    embeddings: Embeddings, frames: list[LabelledFrame], drawn_per_category: int, seed: int, say: Callable[[str], None]
) -> TrainedHead:
    """Train on frames of an open licence and on drawn ones; judge on all frames, by source. Raises `ModelError`."""
    open_frames = [frame for frame in frames if frame.open_licence]
    if not open_frames and not drawn_per_category:
        raise ModelError("nothing to learn from: no frame has an open licence, and no frames are to be drawn")
    material = _gathered(embeddings, frames, drawn_per_category, seed)
    say(f"judging by source, {FOLDS} folds dealt {len(FOLD_SEEDS)} times")
    verdicts, calibration = _judged(material)
    verdict = verdicts["without_bar"]
    say(
        f"accuracy {verdict.accuracy:.3f}, balanced {verdict.balanced_accuracy:.3f}, "
        f"ECE {verdict.ece_before:.3f} before calibration, {verdict.ece_after:.3f} after"
    )
    slopes, bias = material.rows.fitted(material.taught(np.ones(len(frames), dtype=bool)))
    head = _head(slopes, bias, calibration, embeddings.stretches)
    return TrainedHead(head, verdict, _training_facts(open_frames, drawn_per_category), _metrics(verdicts, frames))


def _head(slopes: Scores, bias: Scores, calibration: Calibration, stretches: tuple[int, ...]) -> Head:
    categories = slopes[:, :_UNFAMILIAR] * SHARPNESS
    return Head(
        categories[:AVERAGE_FEATURES].astype(np.float32),
        (bias[:_UNFAMILIAR] * SHARPNESS).astype(np.float32),
        categories[AVERAGE_FEATURES:].astype(np.float32),
        float(np.float32(calibration.temperature)),
        stretches,
        Novelty(slopes[:, _UNFAMILIAR].astype(np.float32), float(np.float32(bias[_UNFAMILIAR]))),
    )


def _gathered(embeddings: Embeddings, frames: list[LabelledFrame], drawn_per_category: int, seed: int) -> _Material:
    drawn = drawn_frames(drawn_per_category, seed)
    odd = unfamiliar_pictures(UNFAMILIAR_PICTURES, seed)
    open_at = np.array([at for at, frame in enumerate(frames) if frame.open_licence], dtype=np.int64)
    stretches = {
        "without_bar": embeddings.of("frames without data bar", [pictures.of_frame(frame, "bare") for frame in frames]),
        "as_they_are": embeddings.of("frames as they are", [pictures.of_frame(frame, "whole") for frame in frames]),
        "barred": embeddings.of(
            "frames with a redrawn bar", [pictures.of_frame(frames[at], "barred") for at in open_at]
        ),
        "drawn": embeddings.of("drawn frames", [pictures.of_drawing(frame) for frame in drawn]),
        "unfamiliar": embeddings.of("other pictures", [pictures.of_unfamiliar(picture) for picture in odd]),
    }
    categories = np.array([frame.category for frame in frames], dtype=np.int64)
    weights = np.ones(len(frames))
    weights[open_at] = source_weights([frames[at].source for at in open_at])
    every, count = np.arange(len(frames)), len(frames)
    is_open = np.isin(every, open_at)
    of_others = len(drawn) + len(odd)
    return _Material(
        rows=Rows(
            unit_stretches(np.concatenate(list(stretches.values())), embeddings.stretches),
            np.concatenate(
                [
                    categories,
                    categories,
                    categories[open_at],
                    [frame.category for frame in drawn],
                    np.full(len(odd), _UNFAMILIAR),
                ]
            ).astype(np.int64),
            np.concatenate([weights, weights, weights[open_at], np.ones(of_others)]),
            _UNFAMILIAR + 1,
        ),
        always=np.repeat([False, True], [2 * count + len(open_at), of_others]),
        real_of=np.concatenate([np.where(is_open, every, -1), np.full(count, -1), open_at, np.full(of_others, -1)]),
        judged={"without_bar": slice(0, count), "as_they_are": slice(count, 2 * count)},
        categories=categories,
        sources=[frame.source for frame in frames],
    )


def _judged(material: _Material) -> tuple[dict[str, Verdict], Calibration]:
    """
    Judge by source: every frame by heads that saw nothing of its source, calibrated by frames of yet other sources.

    For a fold to be judged, the calibration is chosen on the other folds, each scored by heads that learned neither it
    nor the fold to be judged. The calibration that ships is chosen on all folds.
    """
    dealings = [_dealing(material, source_folds(material.categories, material.sources, seed)) for seed in FOLD_SEEDS]
    truth = np.tile(material.categories, len(dealings))
    outer = np.concatenate([dealing.outer["without_bar"] for dealing in dealings])
    calibration = Calibration.chosen(*_logits_of(outer, truth))
    return {name: _verdict(dealings, name, truth, calibration) for name in material.judged}, calibration


@dataclass(frozen=True, slots=True)
class _Dealing:
    """Scores of one dealing of sources into folds."""

    folds: npt.NDArray[np.int64]
    outer: dict[str, Scores]  #: (frames, 11), by how they are dressed; by heads that did not learn their fold
    inner: npt.NDArray[np.float64]  #: (folds, frames, 11): by heads that learned neither their fold nor this one
    calibrations: tuple[Calibration, ...]  #: for each fold, chosen on the others


def _dealing(material: _Material, folds: npt.NDArray[np.int64]) -> _Dealing:
    frames = len(folds)
    outer = {name: np.zeros((frames, _UNFAMILIAR + 1)) for name in material.judged}
    for fold in range(FOLDS):
        mine = folds == fold
        for name, scores in material.scores(~mine, mine).items():
            outer[name][mine] = scores
    inner = np.zeros((FOLDS, frames, _UNFAMILIAR + 1))
    for one, other in combinations(range(FOLDS), 2):
        out = (folds == one) | (folds == other)
        scores = material.scores(~out, out)["without_bar"]
        inner[one][folds == other] = scores[folds[out] == other]
        inner[other][folds == one] = scores[folds[out] == one]
    calibrations = tuple(
        Calibration.chosen(*_logits_of(inner[fold][folds != fold], material.categories[folds != fold]))
        for fold in range(FOLDS)
    )
    return _Dealing(folds, outer, inner, calibrations)


def _logits_of(scores: Scores, truth: npt.NDArray[np.int64]) -> tuple[Scores, npt.NDArray[np.int64], Scores]:
    return SHARPNESS * scores[:, :_UNFAMILIAR], truth, scores[:, _UNFAMILIAR]


def _verdict(
    dealings: Sequence[_Dealing], name: str, truth: npt.NDArray[np.int64], calibration: Calibration
) -> Verdict:
    logits, probabilities, certain = [], [], []
    for dealing in dealings:
        found, novelty = SHARPNESS * dealing.outer[name][:, :_UNFAMILIAR], dealing.outer[name][:, _UNFAMILIAR]
        scores, sure = np.zeros_like(found), np.zeros(len(found), dtype=bool)
        for fold, chosen in enumerate(dealing.calibrations):
            mine = dealing.folds == fold
            scores[mine] = chosen.probabilities(found[mine])
            sure[mine] = chosen.certain(found[mine], novelty[mine])
        logits.append(found)
        probabilities.append(scores)
        certain.append(sure)
    return Verdict.measured(
        np.concatenate(logits), np.concatenate(probabilities), np.concatenate(certain), truth, calibration
    )


def _training_facts(open_frames: list[LabelledFrame], drawn_per_category: int) -> dict[str, Any]:
    licences = collections.Counter((frame.source, frame.licence) for frame in open_frames)
    own = all(frame.licence == OWN for frame in open_frames)
    return {
        "real_frames": len(open_frames),
        "drawn_frames_per_category": drawn_per_category,
        "unfamiliar_pictures": UNFAMILIAR_PICTURES,
        "real_frames_by_category": {
            name: sum(frame.category == index for frame in open_frames) for index, name in enumerate(CATEGORIES)
        },
        "sources": OWN
        if own
        else [
            {"source": source, "licence": licence, "frames": count}
            for (source, licence), count in sorted(licences.items())
        ],
    }


def _metrics(verdicts: dict[str, Verdict], frames: list[LabelledFrame]) -> dict[str, Any]:
    return {
        "protocol": f"{FOLDS}-fold by source, {len(FOLD_SEEDS)} dealings pooled; learned from open licences, drawn frames and "
        "drawn pictures of other things only, judged on all frames; every fold calibrated by scores of the other folds "
        "that no head gave which had learned either; only the three numbers of the calibration (temperature and two "
        "limits) are chosen on frames of every licence",
        "frames": len(frames),
        "sources": len({frame.source for frame in frames}),
        **{name: _rounded(asdict(verdict)) for name, verdict in verdicts.items()},
    }


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _rounded(value) if isinstance(value, dict) else None if value is None else round(float(value), 4)
        for name, value in figures.items()
    }
