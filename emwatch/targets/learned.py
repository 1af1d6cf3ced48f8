"""
A target learned from examples: one direction in the space of embeddings, and a threshold found by leaving examples out.

Ridge regression on embeddings of length 1, positives and negatives weighing the same. Pure numpy on a few hundred rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from emwatch.frame import Embedding

    Rows = npt.NDArray[np.float64]

#: Strength of the ridge for rows of length 1.
RIDGE: Final = 0.01
#: How many background frames a negative of the operator weighs.
_GIVEN_WEIGHS: Final = 10.0
#: The share of wanted frames for which the threshold is best and the precision is estimated.
ASSUMED_SHARE: Final = 0.05
#: The two-sided normal quantile of 90 %.
_Z90: Final = 1.645
_FOLDS: Final = 5


def unit(rows: npt.ArrayLike) -> Rows:
    """Scale rows (n, width) to length 1; a row of zeros stays."""
    found = np.asarray(rows, dtype=np.float64)
    length = np.linalg.norm(found, axis=-1, keepdims=True)
    return np.asarray(found / np.where(length > 0, length, 1.0))


def vectors(blobs: Sequence[bytes]) -> Rows:
    """Return stored embeddings of one space as rows of length 1, (n, width)."""
    return unit(np.frombuffer(b"".join(blobs), dtype=np.int8).reshape(len(blobs), -1))


@dataclass(frozen=True, slots=True)
class Share:
    """A share of frames with its 90 % interval (Wilson 1927)."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, hits: int, total: int) -> Share:
        """Return that of ``hits`` among ``total``; of nothing, anything between 0 and 1."""
        if total == 0:
            return cls(math.nan, 0.0, 1.0)
        share, z2 = hits / total, _Z90**2
        middle = (share + z2 / (2 * total)) / (1 + z2 / total)
        half = _Z90 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
        return cls(share, max(0.0, middle - half), min(1.0, middle + half))


@dataclass(frozen=True, slots=True, eq=False)
class LinearClassifier:
    """``weights`` (width,), float32: a frame's score is their product with its embedding of length 1."""

    space_sha256: str
    weights: npt.NDArray[np.float32]
    threshold: float

    def scores(self, rows: Rows) -> Rows:
        """Return scores (n,) of rows (n, width) of length 1."""
        return np.asarray(np.einsum("ij,j->i", rows, self.weights.astype(np.float64)))

    def judge(self, embedding: Embedding | None) -> tuple[bool, str]:
        """Return whether a frame looks like the examples, and the sentence that says so."""
        if embedding is None:
            return False, "no embedding is stored for this frame: 'emwatch reclassify' makes it"
        if embedding.space.sha256 != self.space_sha256:
            return False, "was learned with another backbone: learn it again"
        if len(embedding.values) != len(self.weights):
            return False, f"has {len(self.weights)} weights for {len(embedding.values)} numbers: learn it again"
        score = float(self.scores(vectors([embedding.values]))[0])
        met = score >= self.threshold
        return met, f"likeness {score:.2f} {'>=' if met else '<'} {self.threshold:.2f}"


@dataclass(frozen=True, slots=True)
class Estimate:
    """
    What to expect of a learned target, from examples that were left out while learning.

    ``precision`` is for one wanted frame in twenty (`ASSUMED_SHARE`). ``missed``, ``taken``: places of the examples below
    the threshold and of the operator's negatives above it, each judged without itself. ``left_out``, ``let_in``: the same,
    judged by what was learned from all.
    """

    recall: Share
    false_alarms: Share
    precision: Share
    missed: tuple[int, ...]
    taken: tuple[int, ...]
    left_out: tuple[int, ...] = ()
    let_in: tuple[int, ...] = ()

    @property
    def separates(self) -> bool:
        """Whether the examples can be told from the rest at all."""
        return self.recall.value >= 0.6 and self.false_alarms.value <= 0.05 and not self.taken


def learn(
    space_sha256: str, wanted: Sequence[Rows], unwanted: Sequence[Rows], background: Rows
) -> tuple[LinearClassifier, Estimate]:
    """
    Learn from examples, negatives and background frames (n, width), all of length 1; each example has several views.

    The first view of an example is the frame itself, by which it is judged. Raises `ValueError` with less than two examples.
    """
    if len(wanted) < 2:
        raise ValueError(f"{len(wanted)} examples: at least two are needed, five or more are better")
    weights = direction(wanted, unwanted, background)
    left_out = np.array(
        [
            float(each[0] @ direction([*wanted[:at], *wanted[at + 1 :]], unwanted, background))
            for at, each in enumerate(wanted)
        ]
    )
    given = np.array(
        [
            float(each[0] @ direction(wanted, [*unwanted[:at], *unwanted[at + 1 :]], background))
            for at, each in enumerate(unwanted)
        ]
    )
    far = np.empty(len(background))
    for fold in range(_FOLDS):
        judged = np.arange(len(background)) % _FOLDS == fold
        far[judged] = background[judged] @ direction(wanted, unwanted, background[~judged])
    own, others = _firsts(wanted, weights), _firsts(unwanted, weights)
    rest = np.concatenate([given, far])
    threshold = _keeping_out(_best_threshold(left_out, rest), own, others)
    # Each example is judged by the threshold that the others choose.
    kept = [
        score >= _keeping_out(_best_threshold(np.delete(left_out, at), rest), own, others)
        for at, score in enumerate(left_out)
    ]
    estimate = _estimate(kept, int((far >= threshold).sum()), len(far), given >= threshold)
    estimate = replace(estimate, left_out=_places(own < threshold), let_in=_places(others >= threshold))
    return LinearClassifier(space_sha256, weights.astype(np.float32), threshold), estimate


def _firsts(frames: Sequence[Rows], weights: Rows) -> Rows:
    """Return the scores of frames as they are, (n,)."""
    return np.array([float(each[0] @ weights) for each in frames])


def _places(which: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(at) for at in np.flatnonzero(which))


def _keeping_out(threshold: float, wanted: Rows, unwanted: Rows) -> float:
    """Return a threshold that lets nothing of ``unwanted`` in, unless that would cost half of the examples or more."""
    if not len(unwanted) or unwanted.max() < threshold:
        return threshold
    above = wanted[wanted > unwanted.max()]
    return float(above.min() + unwanted.max()) / 2 if 2 * len(above) > len(wanted) else threshold


def direction(wanted: Sequence[Rows], unwanted: Sequence[Rows], background: Rows) -> Rows:
    """Return the weights (width,) that tell examples from the rest, by ridge regression; arguments as for `learn`."""
    positive = np.concatenate(list(wanted))
    negative = np.concatenate([*unwanted, background])
    views = np.concatenate([np.full(len(each), 1 / len(each)) for each in wanted])
    others = np.concatenate(
        [*(np.full(len(each), _GIVEN_WEIGHS / len(each)) for each in unwanted), np.ones(len(background))]
    )
    rows = np.concatenate([positive, negative])
    share = np.concatenate([views / views.sum(), others / max(others.sum(), 1.0)]) / 2
    labels = np.concatenate([np.ones(len(positive)), -np.ones(len(negative))])
    middle = share @ rows
    centred = (rows - middle) * np.sqrt(share)[:, np.newaxis]
    product = centred.T @ centred + RIDGE * np.eye(rows.shape[1])
    return np.asarray(np.linalg.solve(product, centred.T @ (labels * np.sqrt(share))))


def _best_threshold(wanted: Rows, others: Rows) -> float:
    """Return the score that gives the best F1 if one frame in twenty is wanted; between two scores, their middle."""
    scores = np.unique(np.concatenate([wanted, others]))
    cuts = np.concatenate([scores[:1], (scores[1:] + scores[:-1]) / 2])
    recall = (wanted[:, np.newaxis] >= cuts).mean(axis=0)
    alarms = (others[:, np.newaxis] >= cuts).mean(axis=0) if len(others) else np.zeros(len(cuts))
    found, wrong = recall * ASSUMED_SHARE, alarms * (1 - ASSUMED_SHARE)
    f1 = 2 * found / np.maximum(found + wrong + ASSUMED_SHARE, 1e-12)
    return float(np.median(cuts[f1 >= f1.max() - 1e-9]))


def _estimate(kept: Sequence[bool], alarms: int, negatives: int, taken: npt.NDArray[np.bool_]) -> Estimate:
    recall, false = Share.of(sum(kept), len(kept)), Share.of(alarms, negatives)

    def precision(found: float, wrong: float) -> float:
        hits, misses = found * ASSUMED_SHARE, wrong * (1 - ASSUMED_SHARE)
        return hits / (hits + misses) if hits + misses > 0 else 0.0

    return Estimate(
        recall=recall,
        false_alarms=false,
        precision=Share(
            precision(recall.value, false.value if negatives else 0.0),
            precision(recall.low, false.high),
            precision(recall.high, false.low),
        ),
        missed=tuple(at for at, each in enumerate(kept) if not each),
        taken=_places(taken),
    )
