"""Trains the ten-category head: which frames it learns from, which judge it, and what goes into the card."""

from __future__ import annotations

import collections
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.classify.head import AVERAGE_FEATURES, Head
from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES
from emwatch.train.data_bars import with_drawn_bar, without_bar
from emwatch.train.drawn import DrawnFrame, drawn_frames
from emwatch.train.fit import fit_affine, source_weights
from emwatch.train.judge import FOLDS, Verdict, source_folds

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from emwatch.train.dataset import LabelledFrame
    from emwatch.train.embeddings import Embeddings

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
class _Material:
    """
    Embeddings (n, features) and what is known of their frames.

    Open frames are learned twice, without their data bar and with a redrawn one, so that no bar tells a category. All
    are judged without their bar, as the daemon sees a frame whose instrument tells the bar's height, and as they are.
    """

    bare: npt.NDArray[np.float32]  #: every real frame, without its bar
    whole: npt.NDArray[np.float32]  #: every real frame, as it is
    barred: npt.NDArray[np.float32]  #: the open ones, with a redrawn bar
    drawn: npt.NDArray[np.float32]
    categories: npt.NDArray[np.int64]  #: of the real frames
    drawn_categories: npt.NDArray[np.int64]
    sources: list[str]
    is_open: npt.NDArray[np.bool_]

    def fitted(self, allowed: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Fit to the drawn frames and to those open ones that the mask (n,) of the real frames allows."""
        mine, of_open = self.is_open & allowed, allowed[self.is_open]
        weights = source_weights([source for source, taken in zip(self.sources, mine, strict=True) if taken])
        return fit_affine(
            np.concatenate([self.bare[mine], self.barred[of_open], self.drawn]),
            np.concatenate([self.categories[mine], self.categories[mine], self.drawn_categories]),
            np.concatenate([weights, weights, np.ones(len(self.drawn))]),
        )

    def judged(self) -> dict[str, Verdict]:
        """Judge by source: every frame by heads that saw nothing of its source."""
        judged = {"without_bar": self.bare, "as_they_are": self.whole}
        logits: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in judged}
        for seed in FOLD_SEEDS:
            folds = source_folds(self.categories, self.sources, seed)
            heads = [self.fitted(folds != fold) for fold in range(FOLDS)]
            for name, rows in judged.items():
                found = np.zeros((len(rows), len(CATEGORIES)))
                for fold, (slopes, bias) in enumerate(heads):
                    found[folds == fold] = rows[folds == fold] @ slopes + bias
                logits[name].append(found)
        truth = np.tile(self.categories, len(FOLD_SEEDS))
        return {name: Verdict.of(np.concatenate(found), truth) for name, found in logits.items()}


def train_head(
    embeddings: Embeddings, frames: list[LabelledFrame], drawn_per_category: int, seed: int, say: Callable[[str], None]
) -> TrainedHead:
    """Train on frames of an open licence and on drawn ones; judge on all frames, by source. Raises `ModelError`."""
    open_frames = [frame for frame in frames if frame.open_licence]
    if not open_frames and not drawn_per_category:
        raise ModelError("nothing to learn from: no frame has an open licence, and no frames are to be drawn")
    material = _gathered(embeddings, frames, open_frames, drawn_frames(drawn_per_category, seed), seed)
    say(f"judging by source, {FOLDS} folds dealt {len(FOLD_SEEDS)} times")
    verdicts = material.judged()
    verdict = verdicts["without_bar"]
    say(f"accuracy {verdict.accuracy:.3f}, balanced {verdict.balanced_accuracy:.3f}, ECE {verdict.ece_after:.3f}")
    slopes, bias = material.fitted(np.ones(len(frames), dtype=bool))
    head = Head(
        slopes[:AVERAGE_FEATURES].astype(np.float32),
        bias.astype(np.float32),
        slopes[AVERAGE_FEATURES:].astype(np.float32),
        float(np.float32(verdict.temperature)),
    )
    return TrainedHead(head, verdict, _training_facts(open_frames, drawn_per_category), _metrics(verdicts, frames))


def _gathered(
    embeddings: Embeddings,
    frames: list[LabelledFrame],
    open_frames: list[LabelledFrame],
    drawn: list[DrawnFrame],
    seed: int,
) -> _Material:
    random = np.random.default_rng(seed)
    return _Material(
        bare=embeddings.of("frames without data bar", [partial(_bare, frame) for frame in frames]),
        whole=embeddings.of("frames as they are", [frame.grey for frame in frames]),
        barred=embeddings.of("frames with a redrawn bar", [partial(_barred, frame, random) for frame in open_frames]),
        drawn=embeddings.of("drawn frames", [frame.draw for frame in drawn]),
        categories=np.array([frame.category for frame in frames]),
        drawn_categories=np.array([frame.category for frame in drawn], dtype=np.int64),
        sources=[frame.source for frame in frames],
        is_open=np.array([frame.open_licence for frame in frames]),
    )


def _bare(frame: LabelledFrame) -> npt.NDArray[np.uint8]:
    return without_bar(frame.grey())


def _barred(frame: LabelledFrame, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    return with_drawn_bar(_bare(frame), random)


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


def _metrics(verdicts: dict[str, Verdict], frames: list[LabelledFrame]) -> dict[str, Any]:
    return {
        "protocol": f"{FOLDS}-fold by source, mean of {len(FOLD_SEEDS)} dealings; trained on open licences and drawn frames only, "
        "judged on all frames; temperature and threshold chosen on the same folds",
        "frames": len(frames),
        "sources": len({frame.source for frame in frames}),
        **{name: _rounded(asdict(verdict)) for name, verdict in verdicts.items()},
    }


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _rounded(value) if isinstance(value, dict) else round(float(value), 4) for name, value in figures.items()
    }
