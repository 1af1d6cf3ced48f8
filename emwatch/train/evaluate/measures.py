"""
How good a model is, in figures: from the ten probabilities it gave frames and the categories these have.

Pure functions of arrays. Throughout, ``scores`` are probabilities (n, 10), ``truth`` are category numbers (n,).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.frame import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

#: Bins of probability for reliability and calibration error.
BINS: Final = 15

#: Resamplings for the intervals, and the share of them that an interval holds.
_RESAMPLINGS: Final = 2000
_AT_ONCE: Final = 100  #: of 21,000 sources these take 17 MB
_HELD: Final = 0.95

_TEN: Final = len(CATEGORIES)

#: Categories whose border is a matter of use: beds of spheres, thin fibres, structured surfaces (see docs/model.md).
MERGED: Final = (
    ("Particles", "Powder"),
    ("Fibres", "Nanowires"),
    ("MEMS_devices_and_electrodes", "Patterned_surface"),
)


def _merging() -> npt.NDArray[np.int64]:
    """Return for each category (10,) the one it is merged into."""
    into = np.arange(_TEN)
    for first, second in MERGED:
        into[CATEGORIES.index(second)] = CATEGORIES.index(first)
    return into


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the range in which it would fall 19 times of 20, had other sources been gathered."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CategoryFigures:
    """Figures of one category. A figure is ``None`` if its divisor is 0."""

    frames: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class Confusion:
    """So many frames of one category were taken for another; ``share`` is of all frames of the true one."""

    true: str
    taken_for: str
    frames: int
    share: float


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Frames whose likeliest category had a probability from ``low`` to ``high``: how sure the model was, and how right."""

    low: float
    high: float
    frames: int
    probability: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class CoveragePoint:
    """Where only frames of at least this probability are believed: the share that is, and how many of those are right."""

    probability: float
    coverage: float
    accuracy: float


def confusion_matrix(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Count frames (10, 10): a row for each true category, a column for each that was likeliest."""
    counts = np.zeros((_TEN, _TEN), dtype=np.int64)
    np.add.at(counts, (truth, scores.argmax(axis=1)), 1)
    return counts


def normalised(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Divide each row of a confusion matrix by its sum; rows of categories without frames are nan."""
    sums = counts.sum(axis=1, keepdims=True)
    return np.where(sums > 0, counts / np.maximum(sums, 1), np.nan)


def category_figures(counts: npt.NDArray[np.int64]) -> dict[str, CategoryFigures]:
    """Return precision, recall and F1 of each category from a confusion matrix."""
    figures = {}
    for index, name in enumerate(CATEGORIES):
        right, frames, predicted = (
            int(each) for each in (counts[index, index], counts[index].sum(), counts[:, index].sum())
        )
        figures[name] = CategoryFigures(
            frames=frames,
            predicted=predicted,
            precision=right / predicted if predicted else None,
            recall=right / frames if frames else None,
            f1=2 * right / (frames + predicted) if frames + predicted else None,
        )
    return figures


def most_confused(counts: npt.NDArray[np.int64], most: int = 10) -> list[Confusion]:
    """List the pairs of categories that are taken for one another most often, by frames."""
    pairs = [
        Confusion(
            CATEGORIES[true],
            CATEGORIES[other],
            int(counts[true, other]),
            float(counts[true, other] / counts[true].sum()),
        )
        for true in range(_TEN)
        for other in range(_TEN)
        if true != other and counts[true, other]
    ]
    return sorted(pairs, key=lambda pair: (-pair.frames, -pair.share))[:most]


def calibration_error(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> float:
    """Return the expected calibration error: the distance between stated probability and hit rate, over 15 bins."""
    if not len(scores):
        return 0.0
    bins = reliability(scores, truth)
    apart = sum(each.frames * abs((each.accuracy or 0.0) - (each.probability or 0.0)) for each in bins)
    return apart / len(scores)


def reliability(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> list[ReliabilityBin]:
    """Compare how sure the model was of its likeliest category with how often it was right, in equal bins."""
    probability, right = scores.max(axis=1), scores.argmax(axis=1) == truth
    bins = bins_of(probability)
    found = []
    for at in range(BINS):
        mine = bins == at
        some = bool(mine.any())
        found.append(
            ReliabilityBin(
                low=at / BINS,
                high=(at + 1) / BINS,
                frames=int(mine.sum()),
                probability=float(probability[mine].mean()) if some else None,
                accuracy=float(right[mine].mean()) if some else None,
            )
        )
    return found


def bins_of(probability: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the number (n,) of the bin of each probability."""
    return np.minimum((probability * BINS).astype(np.int64), BINS - 1)


def coverage(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> list[CoveragePoint]:
    """Return coverage and accuracy above every probability that occurs, from certain to uncertain."""
    probability, right = scores.max(axis=1), scores.argmax(axis=1) == truth
    order = np.argsort(-probability, kind="stable")
    hits = np.cumsum(right[order])
    last_of_equals = np.append(np.diff(probability[order]) != 0, True) if len(order) else np.zeros(0, dtype=bool)
    return [
        CoveragePoint(float(probability[order[at]]), (at + 1) / len(order), float(hits[at] / (at + 1)))
        for at in np.flatnonzero(last_of_equals)
    ]


def balanced_accuracy(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> float:
    """Return the mean recall of the categories that have frames."""
    right = scores.argmax(axis=1) == truth
    return float(np.mean([right[truth == index].mean() for index in np.unique(truth)])) if len(truth) else 0.0


def merged_balanced_accuracy(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> float:
    """Return the balanced accuracy with the pairs of `MERGED` as one category each."""
    into = _merging()
    right, merged = into[scores.argmax(axis=1)] == into[truth], into[truth]
    return float(np.mean([right[merged == index].mean() for index in np.unique(merged)])) if len(truth) else 0.0


def by_source(right: npt.NDArray[np.bool_], truth: npt.NDArray[np.int64], sources: Sequence[str]) -> float:
    """Return the share that is ``right`` (n,), each category counting the same and within it each source."""
    names, shares = np.array(sources), []
    for index in np.unique(truth):
        mine = truth == index
        shares.append(np.mean([right[mine & (names == name)].mean() for name in np.unique(names[mine])]))
    return float(np.mean(shares)) if shares else 0.0


def effective_sources(truth: npt.NDArray[np.int64], sources: Sequence[str]) -> dict[str, float]:
    """
    Return how many equally large sources each category's frames are worth: the inverse Simpson index of their numbers.

    Ninety frames of one source and ten of another are worth 1.2 sources.
    """
    names, found = np.array(sources), {}
    for index, name in enumerate(CATEGORIES):
        counts = np.unique(names[truth == index], return_counts=True)[1]
        found[name] = float(counts.sum() ** 2 / (counts**2).sum()) if len(counts) else 0.0
    return found


@dataclass(frozen=True, slots=True)
class Headline:
    """The figures that are quoted, each with its interval."""

    accuracy: Interval
    balanced_accuracy: Interval  #: the mean recall of the categories that have frames
    by_source: Interval  #: the same, but each source of a category counts once, however many frames it has
    merged_balanced_accuracy: Interval  #: balanced accuracy with the pairs of `MERGED` as one category each
    top_3_accuracy: Interval
    macro_f1: Interval
    ece: Interval


def headline(
    scores: npt.NDArray[np.float64], truth: npt.NDArray[np.int64], sources: Sequence[str], seed: int = 0
) -> Headline:
    """
    Return figures with intervals: frames of one source are not independent, so sources are drawn, not frames.

    Percentile bootstrap over sources (Efron); over frames if all are of one source; the interval is then too narrow. Raises
    `ValueError` without frames.
    """
    values, resampled = _resampled([scores], truth, sources, seed)[0]
    return Headline(**{name: _interval(values[name], resampled[name]) for name in values})


def differences(
    first: npt.NDArray[np.float64],
    second: npt.NDArray[np.float64],
    truth: npt.NDArray[np.int64],
    sources: Sequence[str],
    seed: int = 0,
) -> dict[str, Interval]:
    """
    Return the difference between second and first scores on the same frames, in each figure of `Headline`.

    Both are measured on the same drawings of sources, so that what is hard for both does not widen the interval.
    """
    (mine, my_draws), (theirs, their_draws) = _resampled([second, first], truth, sources, seed)
    return {name: _interval(mine[name] - theirs[name], my_draws[name] - their_draws[name]) for name in mine}


_Figures = dict[str, "npt.NDArray[np.float64]"]


def _resampled(
    scores: Sequence[npt.NDArray[np.float64]], truth: npt.NDArray[np.int64], sources: Sequence[str], seed: int
) -> list[tuple[_Figures, _Figures]]:
    """Return the figures of each array of scores, and of the same drawn sources."""
    if not len(truth):
        raise ValueError("no frames to measure on")
    names, groups = np.unique(np.array(sources), return_inverse=True)
    if len(names) == 1:
        groups = np.arange(len(truth))
    count = int(groups.max()) + 1
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=_RESAMPLINGS)
    sums = [_sums(each, truth, groups, count) for each in scores]
    return [(_figures(np.ones((1, count)), each), _figures(draws.astype(np.float64), each)) for each in sums]


def _interval(value: npt.NDArray[np.float64], resampled: npt.NDArray[np.float64]) -> Interval:
    tail = (1 - _HELD) / 2 * 100
    return Interval(float(value[0]), *(float(each) for each in np.percentile(resampled, (tail, 100 - tail))))


def _sums(
    scores: npt.NDArray[np.float64], truth: npt.NDArray[np.int64], groups: npt.NDArray[np.int64], count: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Add up for each group (count, ...) what all figures are made of."""
    likeliest, probability = scores.argmax(axis=1), scores.max(axis=1)
    right = (likeliest == truth).astype(np.float64)
    in_3 = (np.argsort(-scores, axis=1)[:, :3] == truth[:, np.newaxis]).any(axis=1)
    bins, into = bins_of(probability), _merging()

    def added(columns: npt.NDArray[np.int64], width: int, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        table = np.zeros((count, width))
        np.add.at(table, (groups, columns), weights)
        return table

    ones = np.ones(len(truth))
    return {
        "frames": added(truth, _TEN, ones),
        "right": added(truth, _TEN, right),
        "predicted": added(likeliest, _TEN, ones),
        "in_3": added(np.zeros(len(truth), dtype=np.int64), 1, in_3.astype(np.float64)),
        "apart": added(bins, BINS, right - probability),
        "merged_frames": added(into[truth], _TEN, ones),
        "merged_right": added(into[truth], _TEN, (into[likeliest] == into[truth]).astype(np.float64)),
    }


def _figures(
    draws: npt.NDArray[np.float64], sums: dict[str, npt.NDArray[np.float64]]
) -> dict[str, npt.NDArray[np.float64]]:
    """Return each figure (d,) of each drawing of groups (d, groups); a group may be drawn several times."""
    drawn = {name: draws @ table for name, table in sums.items()}
    frames, right, total = drawn["frames"], drawn["right"], drawn["frames"].sum(axis=1)
    there = frames > 0
    recall = np.where(there, right / np.maximum(frames, 1), 0.0)
    has = sums["frames"] > 0
    sources = draws @ has
    of_sources = draws @ np.where(has, sums["right"] / np.maximum(sums["frames"], 1), 0.0)
    merged = drawn["merged_frames"] > 0
    merged_recall = np.where(merged, drawn["merged_right"] / np.maximum(drawn["merged_frames"], 1), 0.0)
    f1 = np.where(there, 2 * right / np.maximum(frames + drawn["predicted"], 1), 0.0)
    return {
        "accuracy": right.sum(axis=1) / total,
        "balanced_accuracy": recall.sum(axis=1) / there.sum(axis=1),
        "by_source": (of_sources / np.maximum(sources, 1)).sum(axis=1) / there.sum(axis=1),
        "merged_balanced_accuracy": merged_recall.sum(axis=1) / merged.sum(axis=1),
        "top_3_accuracy": drawn["in_3"][:, 0] / total,
        "macro_f1": f1.sum(axis=1) / there.sum(axis=1),
        "ece": np.abs(drawn["apart"]).sum(axis=1) / total,
    }
