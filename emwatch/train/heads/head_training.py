"""Trains the ten-category head: which frames it learns from, which judge it, and what goes into the card."""

from __future__ import annotations

import collections
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.classify.head import AVERAGE_FEATURES, Head, Novelty, unit_stretches
from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES
from emwatch.train.dataset.labelled import OWN
from emwatch.train.heads import pictures
from emwatch.train.heads.calibration import FOLDS
from emwatch.train.heads.cross_validation import FOLD_SEEDS, PLAIN, UNFAMILIAR, Material, judge_by_source
from emwatch.train.heads.drawn import drawn_frames
from emwatch.train.heads.ridge import SHARPNESS, Rows, source_weights
from emwatch.train.heads.unfamiliar import unfamiliar_pictures

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from emwatch.train.dataset.labelled import LabelledFrame
    from emwatch.train.heads.calibration import Calibration, Verdict
    from emwatch.train.heads.cross_validation import BySource
    from emwatch.train.heads.embeddings import Embeddings

#: Pictures of other things, beside the ten categories: what the direction of novelty is learned from.
UNFAMILIAR_PICTURES: Final = 260

#: How frames are dressed besides.
AS_THEY_ARE: Final = "as_they_are"
IN_FLOAT: Final = "without_bar_in_float32"


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """A head with how it was judged, ready for the card."""

    head: Head
    verdict: Verdict
    training: dict[str, Any]
    metrics: dict[str, Any]


def train_head(
    embeddings: Embeddings,
    frames: list[LabelledFrame],
    drawn_per_category: int,
    seed: int,
    say: Callable[[str], None],
    in_float: Embeddings | None = None,
) -> TrainedHead:
    """
    Train on frames of an open licence and on drawn ones; judge on all frames, by source. Raises `ModelError`.

    ``in_float``: the same network unquantised; where given, frames are judged by its embeddings, too.
    """
    open_frames = [frame for frame in frames if frame.open_licence]
    if not open_frames and not drawn_per_category:
        raise ModelError("nothing to learn from: no frame has an open licence, and no frames are to be drawn")
    material = gather(embeddings, frames, drawn_per_category, seed, in_float)
    say(f"judging by source, {FOLDS} folds dealt {len(FOLD_SEEDS)} times")
    found = judge_by_source(material)
    verdict = found.verdicts[PLAIN]
    say(
        f"accuracy {verdict.accuracy:.3f}, balanced {verdict.balanced_accuracy:.3f}, "
        f"ECE {verdict.ece_before:.3f} before calibration, {verdict.ece_after:.3f} after"
    )
    slopes, bias = material.rows.fitted(material.chosen(np.ones(len(frames), dtype=bool)))
    head = _head(slopes, bias, found.calibration, embeddings.stretches)
    return TrainedHead(head, verdict, _training_facts(open_frames, drawn_per_category), _metrics(found, frames))


def _head(
    slopes: npt.NDArray[np.float64], bias: npt.NDArray[np.float64], calibration: Calibration, stretches: tuple[int, ...]
) -> Head:
    categories = slopes[:, :UNFAMILIAR] * SHARPNESS
    return Head(
        categories[:AVERAGE_FEATURES].astype(np.float32),
        (bias[:UNFAMILIAR] * SHARPNESS).astype(np.float32),
        categories[AVERAGE_FEATURES:].astype(np.float32),
        float(np.float32(calibration.temperature)),
        stretches,
        Novelty(slopes[:, UNFAMILIAR].astype(np.float32), float(np.float32(bias[UNFAMILIAR]))),
    )


def gather(
    embeddings: Embeddings,
    frames: list[LabelledFrame],
    drawn_per_category: int,
    seed: int,
    in_float: Embeddings | None = None,
) -> Material:
    """Embed everything that a head learns from and is judged by. Raises `DatasetError`."""
    drawn = drawn_frames(drawn_per_category, seed)
    odd = unfamiliar_pictures(UNFAMILIAR_PICTURES, seed)
    open_at = np.array([at for at, frame in enumerate(frames) if frame.open_licence], dtype=np.int64)
    bare = [pictures.of_frame(frame, "bare") for frame in frames]
    judged = {
        PLAIN: embeddings.of("frames without data bar", bare),
        AS_THEY_ARE: embeddings.of("frames as they are", [pictures.of_frame(frame, "whole") for frame in frames]),
    }
    if in_float is not None:
        judged[IN_FLOAT] = in_float.of("frames without data bar, in float32", bare)
    barred = embeddings.of("frames with a redrawn bar", [pictures.of_frame(frames[at], "barred") for at in open_at])
    rows_of_drawn = embeddings.of("drawn frames", [pictures.of_drawing(frame) for frame in drawn])
    rows_of_odd = embeddings.of("other pictures", [pictures.of_unfamiliar(picture) for picture in odd])

    count, of_others = len(frames), len(drawn) + len(odd)
    categories = np.array([frame.category for frame in frames], dtype=np.int64)
    weights = np.ones(count)
    weights[open_at] = source_weights([frames[at].source for at in open_at])
    every = np.arange(count)
    real_of = np.concatenate(
        [
            np.where(np.isin(every, open_at), every, -1),
            np.full((len(judged) - 1) * count, -1),
            open_at,
            np.full(of_others, -1),
        ]
    )
    labels_of_others = [*(frame.category for frame in drawn), *[UNFAMILIAR] * len(odd)]
    return Material(
        rows=Rows(
            unit_stretches(
                np.concatenate([*judged.values(), barred, rows_of_drawn, rows_of_odd]), embeddings.stretches
            ),
            np.concatenate(
                [np.tile(categories, len(judged)), categories[open_at], np.array(labels_of_others, dtype=np.int64)]
            ),
            np.concatenate([np.tile(weights, len(judged)), weights[open_at], np.ones(of_others)]),
            UNFAMILIAR + 1,
            always=np.repeat([False, True], [len(judged) * count + len(open_at), of_others]),
            perhaps=real_of >= 0,
        ),
        real_of=real_of,
        judged={name: slice(at * count, (at + 1) * count) for at, name in enumerate(judged)},
        categories=categories,
        sources=[frame.source for frame in frames],
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


def _metrics(found: BySource, frames: list[LabelledFrame]) -> dict[str, Any]:
    metrics: dict[str, Any] = {
        "protocol": f"{FOLDS}-fold by source, {len(FOLD_SEEDS)} dealings pooled; learned from open licences, drawn frames and "
        "drawn pictures of other things only, judged on all frames; every fold calibrated by scores of the other folds "
        "that no head gave which had learned either; only the three numbers of the calibration (temperature and two "
        "limits) are chosen on frames of every licence",
        "frames": len(frames),
        "sources": len({frame.source for frame in frames}),
        "balanced_accuracy_by_dealing": [round(each, 4) for each in found.balanced_by_dealing(PLAIN)],
    }
    if IN_FLOAT in found.verdicts:
        metrics["same_category_as_in_float32"] = round(found.agreement(PLAIN, IN_FLOAT), 4)
    return metrics | {name: _rounded(asdict(verdict)) for name, verdict in found.verdicts.items()}


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _rounded(value) if isinstance(value, dict) else None if value is None else round(float(value), 4)
        for name, value in figures.items()
    }
