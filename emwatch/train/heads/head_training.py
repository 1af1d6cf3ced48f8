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
from emwatch.train.heads.cross_validation import FOLD_SEEDS, PLAIN, judge_by_source
from emwatch.train.heads.drawn import drawn_frames
from emwatch.train.heads.lessons import CLASSES, UNFAMILIAR, Lessons, Taught
from emwatch.train.heads.material import Always, Correction, HeadMaterial, slope
from emwatch.train.heads.ridge import SHARPNESS, class_weights, source_weights
from emwatch.train.heads.unfamiliar import unfamiliar_pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from emwatch.train.dataset.labelled import LabelledFrame
    from emwatch.train.heads.calibration import Calibration
    from emwatch.train.heads.cross_validation import BySource, Teachable
    from emwatch.train.heads.embeddings import Embeddings
    from emwatch.train.heads.material import Direct, Projected

#: Pictures of other things, beside the ten categories: what the direction of novelty is learned from.
UNFAMILIAR_PICTURES: Final = 260

#: The rows of frames that only judge that are scores of the head which is there.
BASE: Final = "base"

#: How frames are dressed besides.
AS_THEY_ARE: Final = "as_they_are"

#: Frames of one's own weigh so many times as much as those that taught the shipped head. Weights of 0.3, 1 and 3 gained
#: .04, .11 and .13 on other frames of the same source, and lost .002, .005 and .008 on all other sources
#: (bench/own_instrument.py --choose: four sources that are not blind).
OWN_WEIGHT: Final = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """What a head learns if it starts from nothing: ``class_factors`` (11,) make classes weigh the same."""

    always: Always
    taught: Taught
    class_factors: npt.NDArray[np.float64]

    def through(self, rows: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]) -> Gathered:
        """Return the same with other rows: standardised, or compact."""
        taught = replace(self.taught, bare=rows(self.taught.bare), barred=rows(self.taught.barred))
        return Gathered(replace(self.always, rows=rows(self.always.rows)), taught, self.class_factors)

    def lessons(self, projection_sha256: str) -> Lessons:
        """Return what starts the next head, if the rows are compact."""
        return Lessons(self.always.products(), self.taught, self.class_factors, projection_sha256)


def gathered(embeddings: Embeddings, frames: Sequence[LabelledFrame], drawn_per_category: int, seed: int) -> Gathered:
    """
    Embed what a head learns from if it starts from nothing: drawn frames, pictures of other things, frames that may teach.

    Raises `ModelError` if there is nothing to learn from, `DatasetError`.
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
    taught = replace(taught, weights=taught.weights * factors[taught.categories])
    return Gathered(Always(rows, labels, factors[labels]), taught, factors)


def rows_to_learn(frames: Sequence[LabelledFrame], drawn_per_category: int) -> int:
    """Return how many rows a head learns that starts from nothing."""
    return len(CATEGORIES) * drawn_per_category + UNFAMILIAR_PICTURES + 2 * sum(frame.may_teach for frame in frames)


def taught_by(embeddings: Embeddings, frames: Sequence[LabelledFrame]) -> Taught:
    """Embed the frames that may teach, without their data bar and with a redrawn one. Raises `DatasetError`."""
    teaching = [frame for frame in frames if frame.may_teach]
    return Taught(
        bare=embeddings.of("frames without data bar", [pictures.of_frame(frame, "bare") for frame in teaching]),
        barred=embeddings.of("frames with a redrawn bar", [pictures.of_frame(frame, "barred") for frame in teaching]),
        categories=np.array([frame.category for frame in teaching], dtype=np.int64),
        weights=source_weights([frame.source for frame in teaching]) if teaching else np.zeros(0),
        seen=np.zeros((len(teaching), 2, CLASSES), dtype=np.float32),
        unseen=np.zeros((len(teaching), CLASSES), dtype=np.float32),
        sources=[frame.source for frame in teaching],
        licences=[frame.licence for frame in teaching],
        sha256=[hashlib.sha256(pictures.of_frame(frame, "whole").content()).hexdigest() for frame in teaching],
        open_licence=np.array([frame.open_licence for frame in teaching], dtype=bool),
        blind=np.array([frame.blind for frame in teaching], dtype=bool),
    )


def judged_by(
    taught: Taught, embeddings: Embeddings, frames: Sequence[LabelledFrame], *, as_they_are: bool = True
) -> HeadMaterial:
    """
    Return the frames that judge: all that taught, and those of the given ones that only judge.

    ``as_they_are``: also with what their file shows besides. Raises `DatasetError`.
    """
    only_judging = [frame for frame in frames if not frame.may_teach]
    bare = [taught.bare]
    if only_judging:
        bare.append(embeddings.of("frames that only judge", [pictures.of_frame(each, "bare") for each in only_judging]))
    rows = {PLAIN: np.concatenate(bare)}
    if as_they_are:
        teaching = [frame for frame in frames if frame.may_teach]
        whole = [pictures.of_frame(frame, "whole") for frame in (*teaching, *only_judging)]
        rows[AS_THEY_ARE] = embeddings.of("frames as they are", whole)
    return HeadMaterial(
        rows=rows,
        categories=np.concatenate([taught.categories, [frame.category for frame in only_judging]]).astype(np.int64),
        sources=[*taught.sources, *(frame.source for frame in only_judging)],
        blind=np.concatenate([taught.blind, [frame.blind for frame in only_judging]]).astype(bool),
    )


def correction(lessons: Lessons, embeddings: Embeddings, frames: Sequence[LabelledFrame]) -> Correction:
    """
    Put frames of one's own beside what taught a head; each weighs `OWN_WEIGHT` times as much as one there.

    ``embeddings`` are of a `CompactEngine` with that head. A frame that taught already, by its sha256, is taken anew.
    Raises `DatasetError`.
    """
    width = lessons.taught.bare.shape[1]
    own = taught_by(embeddings, frames)
    scores = np.stack([own.bare[:, width:], own.barred[:, width:]], axis=1)
    weights = OWN_WEIGHT * own.weights * lessons.class_factors[own.categories]
    own = replace(
        own, bare=own.bare[:, :width], barred=own.barred[:, :width], weights=weights, seen=scores, unseen=scores[:, 0]
    )
    only_judging = [frame for frame in frames if not frame.may_teach]
    others = embeddings.of("frames that only judge", [pictures.of_frame(each, "bare") for each in only_judging])
    return corrected_by(
        lessons,
        own,
        HeadMaterial(
            rows={PLAIN: others[:, :width], BASE: others[:, width:]},
            categories=np.array([frame.category for frame in only_judging], dtype=np.int64),
            sources=[frame.source for frame in only_judging],
            blind=np.array([frame.blind for frame in only_judging], dtype=bool),
        ),
    )


def corrected_by(lessons: Lessons, own: Taught, others: HeadMaterial) -> Correction:
    """
    Put frames of one's own, ``own``, beside what taught a head.

    Their ``seen`` and ``unseen`` are scores of that head; ``others`` only judge, with their scores as the rows `BASE`.
    """
    again = dict(zip(lessons.taught.sha256, range(len(lessons.taught)), strict=True))
    known = np.array([sha256 in again for sha256 in own.sha256], dtype=bool)
    places = [again[sha256] for sha256 in own.sha256 if sha256 in again]
    unseen = own.unseen.copy()
    unseen[known] = lessons.taught.unseen[places]
    kept = np.ones(len(lessons.taught), dtype=bool)
    kept[places] = False
    taught = lessons.taught.only(kept).beside(replace(own, unseen=unseen))
    return Correction(
        taught,
        HeadMaterial(
            {PLAIN: np.concatenate([taught.bare, others.rows[PLAIN]])},
            np.concatenate([taught.categories, others.categories]),
            [*taught.sources, *others.sources],
            np.concatenate([taught.blind, others.blind]),
        ),
        lessons.always,
        np.arange(len(taught)) >= int(kept.sum()),
        slope(lessons.taught.only(~kept)),
        np.concatenate([taught.unseen, others.rows[BASE]]).astype(np.float64),
    )


def judged_head(
    material: Direct | Projected | Correction, say: Callable[[str], None], frames_sha256: str
) -> tuple[Calibration, Taught, dict[str, Any]]:
    """
    Judge by source; returns the calibration, what taught with the scores it got, and the figures for the card.

    ``frames_sha256``: identity of the judged frames, for the card.
    """
    say(f"judging by source, {FOLDS} folds dealt {len(FOLD_SEEDS)} times")
    found = judge_by_source(material)
    verdict = found.verdict(PLAIN)
    say(
        f"accuracy {verdict.accuracy:.3f}, balanced {verdict.balanced_accuracy:.3f}, "
        f"ECE {verdict.ece_before:.3f} before calibration, {verdict.ece_after:.3f} after"
    )
    unseen = found.unseen[: len(material.taught)].astype(np.float32)
    taught = replace(material.taught, seen=material.seen(), unseen=unseen)
    return found.calibration, taught, {**_metrics(found, material), "frames_sha256": frames_sha256}


def head_of(
    slopes: npt.NDArray[np.float64],
    bias: npt.NDArray[np.float64],
    calibration: Calibration,
    stretches: tuple[int, ...],
) -> Head:
    """Return a ridge's map of embeddings, (features, 11) and (11,), as a head."""
    categories = slopes[:, :UNFAMILIAR] * SHARPNESS
    return Head(
        categories[:AVERAGE_FEATURES].astype(np.float32),
        (bias[:UNFAMILIAR] * SHARPNESS).astype(np.float32),
        categories[AVERAGE_FEATURES:].astype(np.float32),
        float(np.float32(calibration.temperature)),
        stretches,
        Novelty(slopes[:, UNFAMILIAR].astype(np.float32), float(np.float32(bias[UNFAMILIAR]))),
    )


def map_of(head: Head) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the ridge's map that a head was made of, (features, 11) and (11,)."""
    novelty = head.novelty or Novelty(np.zeros(head.features, dtype=np.float32), 0.0)
    slopes = np.concatenate([head.weights, head.early_weights]).astype(np.float64) / SHARPNESS
    return (
        np.concatenate([slopes, novelty.weights[:, np.newaxis]], axis=1),
        np.append(head.bias.astype(np.float64) / SHARPNESS, novelty.bias),
    )


def training_facts(taught: Taught) -> dict[str, Any]:
    """Return the card's text about the labelled frames that taught."""
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


def _metrics(found: BySource, material: Teachable) -> dict[str, Any]:
    everything = np.ones(len(material.sources), dtype=bool)
    blind = material.blind
    metrics: dict[str, Any] = {
        "protocol": f"{FOLDS}-fold by source, {len(FOLD_SEEDS)} dealings pooled: no source is in training and validation at once; each fold "
        "is calibrated on the blind frames of the other folds (on all, without ten blind sources), scored by heads that "
        "learned neither",
        "frames": len(material.sources),
        "sources": len(set(material.sources)),
        "effective_sources": _rounded(measures.effective_sources(material.categories, material.sources)),
        "balanced_accuracy_by_dealing": [round(each, 4) for each in found.by_dealing(PLAIN)],
    }
    for name in found.probabilities:
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


def _intervals(found: BySource, material: Teachable, mask: npt.NDArray[np.bool_]) -> dict[str, list[float]]:
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
