"""Trains the ten-category head: which frames it learns from, which judge it, and what goes into the card."""

from __future__ import annotations

import collections
import hashlib
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.classify.head import AVERAGE_FEATURES, Head, Novelty
from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES
from emwatch.train.dataset.labelled import OWN
from emwatch.train.evaluate import measures
from emwatch.train.heads import pictures
from emwatch.train.heads.calibration import FOLDS
from emwatch.train.heads.cross_validation import FOLD_SEEDS, PLAIN, Material, judge_by_source
from emwatch.train.heads.drawn import drawn_frames
from emwatch.train.heads.lessons import CLASSES, UNFAMILIAR, Lessons, Taught
from emwatch.train.heads.ridge import SHARPNESS, Sums, class_weights, source_weights
from emwatch.train.heads.unfamiliar import unfamiliar_pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from emwatch.classify.bundles.projection import Projection
    from emwatch.train.dataset.labelled import LabelledFrame
    from emwatch.train.heads.calibration import Calibration
    from emwatch.train.heads.cross_validation import BySource
    from emwatch.train.heads.embeddings import Embeddings

#: Pictures of other things, beside the ten categories: what the direction of novelty is learned from.
UNFAMILIAR_PICTURES: Final = 260

#: How frames are dressed besides.
AS_THEY_ARE: Final = "as_they_are"

#: Frames of one's own weigh so many times as much as those that taught the shipped head. Of 1, 3 and 10 the only one that
#: lost nothing on other sources (bench/own_instrument.py --choose: sources that are not blind).
OWN_WEIGHT: Final = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class TrainedHead:
    """A head with how it was judged, ready for the card, and what taught it, ready for the next one."""

    head: Head
    calibration: Calibration
    lessons: Lessons
    training: dict[str, Any]
    metrics: dict[str, Any]


def learned(
    embeddings: Embeddings, frames: Sequence[LabelledFrame], drawn_per_category: int, seed: int, projection_sha256: str
) -> Lessons:
    """
    Embed what a head learns from if it starts from nothing: drawn frames, pictures of other things, frames that may teach.

    ``embeddings`` are of a `CompactEngine`. Raises `ModelError` if there is nothing to learn from, `DatasetError`.
    """
    if not drawn_per_category and not any(frame.may_teach for frame in frames):
        raise ModelError("nothing to learn from: no frame may teach, and no frames are to be drawn")
    drawn = drawn_frames(drawn_per_category, seed)
    odd = unfamiliar_pictures(UNFAMILIAR_PICTURES, seed)
    rows = np.concatenate(
        [
            embeddings.of("drawn frames", [pictures.of_drawing(frame) for frame in drawn]),
            embeddings.of("other pictures", [pictures.of_unfamiliar(picture) for picture in odd]),
        ]
    )
    labels = np.array([*(frame.category for frame in drawn), *[UNFAMILIAR] * len(odd)], dtype=np.int64)
    taught = taught_by(embeddings, frames)
    factors = class_weights(
        np.concatenate([labels, np.tile(taught.categories, 2)]),
        np.concatenate([np.ones(len(labels)), np.tile(taught.weights, 2)]),
        CLASSES,
    )
    return Lessons(
        Sums.of(rows, labels, factors[labels], CLASSES),
        replace(taught, weights=taught.weights * factors[taught.categories]),
        factors,
        projection_sha256,
    )


def further(embeddings: Embeddings, frames: Sequence[LabelledFrame], lessons: Lessons) -> Lessons:
    """Add frames of one's own to what taught a head; each weighs `OWN_WEIGHT` times as much as one there. Raises `DatasetError`."""
    own = taught_by(embeddings, frames)
    weights = OWN_WEIGHT * own.weights * lessons.class_factors[own.categories]
    return lessons.with_frames(replace(own, weights=weights))


def taught_by(embeddings: Embeddings, frames: Sequence[LabelledFrame]) -> Taught:
    """Embed the frames that may teach, without their data bar and with a redrawn one. Raises `DatasetError`."""
    teaching = [frame for frame in frames if frame.may_teach]
    return Taught(
        bare=embeddings.of("frames without data bar", [pictures.of_frame(frame, "bare") for frame in teaching]),
        barred=embeddings.of("frames with a redrawn bar", [pictures.of_frame(frame, "barred") for frame in teaching]),
        categories=np.array([frame.category for frame in teaching], dtype=np.int64),
        weights=source_weights([frame.source for frame in teaching]) if teaching else np.zeros(0),
        sources=[frame.source for frame in teaching],
        licences=[frame.licence for frame in teaching],
        sha256=[hashlib.sha256(pictures.of_frame(frame, "whole").content()).hexdigest() for frame in teaching],
        open_licence=np.array([frame.open_licence for frame in teaching], dtype=bool),
        blind=np.array([frame.blind for frame in teaching], dtype=bool),
    )


def material_of(lessons: Lessons, embeddings: Embeddings, frames: Sequence[LabelledFrame]) -> Material:
    """
    Return what heads learn and are judged by: all that taught, and those of the frames that only judge.

    With the frames at hand (those that taught among them) they are judged as they are as well. Raises `DatasetError`.
    """
    taught = lessons.taught
    only_judging = [frame for frame in frames if not frame.may_teach]
    bare = [taught.bare]
    if only_judging:
        bare.append(embeddings.of("frames that only judge", [pictures.of_frame(each, "bare") for each in only_judging]))
    judged = {PLAIN: np.concatenate(bare)}
    if sum(frame.may_teach for frame in frames) == len(taught):
        teaching = [frame for frame in frames if frame.may_teach]
        whole = [pictures.of_frame(frame, "whole") for frame in (*teaching, *only_judging)]
        judged[AS_THEY_ARE] = embeddings.of("frames as they are", whole)
    return Material(
        whole=lessons.whole(),
        taught=taught,
        taught_at=np.arange(len(taught)),
        judged=judged,
        categories=np.concatenate([taught.categories, [frame.category for frame in only_judging]]).astype(np.int64),
        sources=[*taught.sources, *(frame.source for frame in only_judging)],
        blind=np.concatenate([taught.blind, [frame.blind for frame in only_judging]]).astype(bool),
    )


def train_head(
    lessons: Lessons, material: Material, projection: Projection, say: Callable[[str], None], judged_by: str
) -> TrainedHead:
    """Judge by source, then teach a head everything. ``judged_by``: identity of the judged frames, for the card."""
    say(f"judging by source, {FOLDS} folds dealt {len(FOLD_SEEDS)} times")
    found = judge_by_source(material)
    verdict = found.verdict(PLAIN)
    say(
        f"accuracy {verdict.accuracy:.3f}, balanced {verdict.balanced_accuracy:.3f}, "
        f"ECE {verdict.ece_before:.3f} before calibration, {verdict.ece_after:.3f} after"
    )
    slopes, bias = material.whole.fitted()
    head = _head(*projection.unfolded(slopes, bias), found.calibration)
    metrics = {**_metrics(found, material), "frames_sha256": judged_by}
    return TrainedHead(head, found.calibration, lessons, _training_facts(lessons.taught), metrics)


def _head(slopes: npt.NDArray[np.float64], bias: npt.NDArray[np.float64], calibration: Calibration) -> Head:
    categories = slopes[:, :UNFAMILIAR] * SHARPNESS
    return Head(
        categories[:AVERAGE_FEATURES].astype(np.float32),
        (bias[:UNFAMILIAR] * SHARPNESS).astype(np.float32),
        categories[AVERAGE_FEATURES:].astype(np.float32),
        float(np.float32(calibration.temperature)),
        novelty=Novelty(slopes[:, UNFAMILIAR].astype(np.float32), float(np.float32(bias[UNFAMILIAR]))),
    )


def _training_facts(taught: Taught) -> dict[str, Any]:
    licences = collections.Counter(zip(taught.sources, taught.licences, taught.open_licence.tolist(), strict=True))
    own = all(licence == OWN for licence in taught.licences)
    return {
        "real_frames": len(taught),
        "of_an_open_licence": int(taught.open_licence.sum()),
        "real_frames_by_category": {
            name: int((taught.categories == index).sum()) for index, name in enumerate(CATEGORIES)
        },
        "sources": OWN
        if own
        else [
            {"source": source, "licence": licence, "open_licence": is_open, "frames": count}
            for (source, licence, is_open), count in sorted(licences.items())
        ],
    }


def _metrics(found: BySource, material: Material) -> dict[str, Any]:
    everything = np.ones(len(material.sources), dtype=bool)
    blind = material.blind
    metrics: dict[str, Any] = {
        "protocol": f"{FOLDS}-fold by source, {len(FOLD_SEEDS)} dealings pooled: no source teaches and judges at once; each fold "
        "is calibrated on the blind frames of the other folds (on all, without ten blind sources), scored by heads that "
        "learned neither",
        "frames": len(material.sources),
        "sources": len(set(material.sources)),
        "effective_sources": _rounded(measures.effective_sources(material.categories, material.sources)),
        "balanced_accuracy_by_dealing": [round(each, 4) for each in found.by_dealing(PLAIN)],
    }
    for name in material.judged:
        metrics[name] = _rounded(asdict(found.verdict(name, everything)))
    if blind.any():
        metrics["blind"] = {
            "frames": int(blind.sum()),
            "sources": len({source for source, each in zip(material.sources, blind, strict=True) if each}),
            "balanced_accuracy_by_dealing": [round(each, 4) for each in found.by_dealing(PLAIN, blind)],
            **_rounded(asdict(found.verdict(PLAIN, blind))),
            "intervals": _intervals(found, material, blind),
        }
    return metrics


def _intervals(found: BySource, material: Material, mask: npt.NDArray[np.bool_]) -> dict[str, list[float]]:
    """Return the range of each figure, by bootstrap over sources, of the first dealing."""
    scores = found.probabilities[PLAIN][: len(mask)][mask]
    sources = [source for source, kept in zip(material.sources, mask, strict=True) if kept]
    headline = asdict(measures.headline(scores, material.categories[mask], sources))
    return {name: [round(each["low"], 4), round(each["high"], 4)] for name, each in headline.items()}


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _rounded(value) if isinstance(value, dict) else round(value, 4) if isinstance(value, float) else value
        for name, value in figures.items()
    }
