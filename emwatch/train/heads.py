"""Trains the ten-category head: which frames it learns from, which judge it, and what goes into the card."""

from __future__ import annotations

import collections
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.classify.head import AVERAGE_FEATURES, Head
from emwatch.classify.preprocess import prepare
from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES
from emwatch.train.data_bars import with_drawn_bar, without_bar
from emwatch.train.drawn import drawn_frames
from emwatch.train.fit import fit_affine, source_weights
from emwatch.train.judge import FOLDS, Verdict, source_folds

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from emwatch.train.dataset import LabelledFrame

    Embed = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]

#: The seeds of the folds; figures are means over them, since one dealing of few sources is luck.
FOLD_SEEDS: Final = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """A head with how it was judged, ready for the card."""

    head: Head
    verdict: Verdict
    training: dict[str, Any]
    metrics: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Lessons:
    """Embeddings to learn from: (n, features), categories (n,), weights (n,)."""

    embeddings: npt.NDArray[np.float32]
    categories: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]


def train_head(
    embed: Embed, frames: list[LabelledFrame], drawn_per_category: int, seed: int, say: Callable[[str], None]
) -> TrainedHead:
    """
    Train on frames of an open licence and on drawn ones; judge on all frames, by source.

    Real frames are learned twice, without their data bar and with a redrawn one, so that no bar tells a category; they
    are judged without theirs, as the daemon sees them where the instrument tells the bar's height, and as they are.
    Raises `ModelError`.
    """
    random = np.random.default_rng(seed)
    open_frames = [frame for frame in frames if frame.open_licence]
    if not open_frames and not drawn_per_category:
        raise ModelError("nothing to learn from: no frame has an open licence, and no frames are to be drawn")
    whole = _embedded(embed, "frames as they are", [frame.grey for frame in frames], say)
    bare = _embedded(embed, "frames without data bar", [partial(_bare, frame) for frame in frames], say)
    barred = _embedded(
        embed, "frames with a redrawn bar", [partial(_barred, frame, random) for frame in open_frames], say
    )
    drawn = drawn_frames(drawn_per_category, seed)
    drawn_embeddings = _embedded(embed, "drawn frames", [frame.draw for frame in drawn], say)
    categories = np.array([frame.category for frame in frames])
    is_open = np.array([frame.open_licence for frame in frames])
    sources = [frame.source for frame in frames]
    real_weights = source_weights([frame.source for frame in open_frames])

    def lessons(kept: npt.NDArray[np.bool_]) -> _Lessons:
        """Gather what may be learned from where only the frames of this mask (n frames,) may."""
        of_open = kept[is_open]
        return _Lessons(
            np.concatenate([bare[is_open & kept], barred[of_open], drawn_embeddings]),
            np.concatenate(
                [categories[is_open & kept]] * 2 + [np.array([frame.category for frame in drawn], dtype=np.int64)]
            ),
            np.concatenate([real_weights[of_open]] * 2 + [np.ones(len(drawn))]),
        )

    say("judging by source")
    judged = {"without_bar": bare, "as_they_are": whole}
    logits = {name: [np.zeros((len(frames), len(CATEGORIES))) for _ in FOLD_SEEDS] for name in judged}
    for index, fold_seed in enumerate(FOLD_SEEDS):
        folds = source_folds(categories, sources, fold_seed)
        for fold in range(FOLDS):
            held = folds == fold
            slopes, bias = _fitted(lessons(~held))
            for name, embeddings in judged.items():
                logits[name][index][held] = embeddings[held] @ slopes + bias
    pooled = {
        name: Verdict.of(np.concatenate(rows), np.tile(categories, len(FOLD_SEEDS))) for name, rows in logits.items()
    }
    verdict = pooled["without_bar"]
    slopes, bias = _fitted(lessons(np.ones(len(frames), dtype=bool)))
    head = Head(
        slopes[:AVERAGE_FEATURES].astype(np.float32),
        bias.astype(np.float32),
        slopes[AVERAGE_FEATURES:].astype(np.float32),
        float(np.float32(verdict.temperature)),
    )
    say(
        f"by source: accuracy {verdict.accuracy:.3f}, balanced {verdict.balanced_accuracy:.3f}, ECE {verdict.ece_after:.3f}"
    )
    return TrainedHead(head, verdict, _training_facts(open_frames, drawn_per_category), _metrics(pooled, frames))


def _bare(frame: LabelledFrame) -> npt.NDArray[np.uint8]:
    return without_bar(frame.grey())


def _barred(frame: LabelledFrame, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    return with_drawn_bar(_bare(frame), random)


def _fitted(lessons: _Lessons) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return fit_affine(lessons.embeddings, lessons.categories, lessons.weights)


def _embedded(
    embed: Embed, what: str, pictures: list[Callable[[], npt.NDArray[np.uint8]]], say: Callable[[str], None]
) -> npt.NDArray[np.float32]:
    """Embed pictures one after the other; they are made when their turn comes, so that few are in memory."""
    rows = []
    for number, picture in enumerate(pictures):
        if number % 200 == 0:
            say(f"embedding {what}: {number} of {len(pictures)}")
        rows.append(embed(prepare(picture())).mean(axis=0))
    return (
        np.array(rows, dtype=np.float32)
        if rows
        else np.zeros((0, embed(np.zeros((1, 170, 170), np.float32)).shape[1]), np.float32)
    )


def _training_facts(open_frames: list[LabelledFrame], drawn_per_category: int) -> dict[str, Any]:
    licences = collections.Counter((frame.source, frame.licence) for frame in open_frames)
    own = all(frame.licence == "the user's own" for frame in open_frames)
    return {
        "real_frames": len(open_frames),
        "drawn_frames_per_category": drawn_per_category,
        "real_frames_by_category": {
            name: sum(frame.category == index for frame in open_frames) for index, name in enumerate(CATEGORIES)
        },
        "sources": "the user's own"
        if own
        else [
            {"source": source, "licence": licence, "frames": count}
            for (source, licence), count in sorted(licences.items())
        ],
    }


def _metrics(pooled: dict[str, Verdict], frames: list[LabelledFrame]) -> dict[str, Any]:
    return {
        "protocol": f"{FOLDS}-fold by source, mean of {len(FOLD_SEEDS)} dealings; trained on open licences and drawn frames only, "
        "judged on all frames; temperature and threshold chosen on the same folds",
        "frames": len(frames),
        "sources": len({frame.source for frame in frames}),
        **{name: _rounded(asdict(verdict)) for name, verdict in pooled.items()},
    }


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _rounded(value) if isinstance(value, dict) else round(float(value), 4) for name, value in figures.items()
    }
