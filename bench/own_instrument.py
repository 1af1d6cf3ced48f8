"""
What a facility gains by twenty frames of each of two categories of its own instrument: a table over sources.

    python bench/own_instrument.py [--sources 10] [--each 20] [--weights 1,3,10] [--choose]

For each source with enough frames, heads start from what taught the shipped head, without any frame of that source. Then
up to ``--each`` frames of each of its two commonest categories teach besides, chosen at random; its other frames and all
frames of the other sources judge, the latter by five folds in which no source stands on both sides. A source of one
category only teaches that one. Figures: accuracy on the source's other frames before and after, and balanced accuracy on
all other sources before and after. ``--choose``: only sources that are not blind, to choose the weight by.
"""

from __future__ import annotations

import argparse

import numpy as np

from emwatch.classify.bundles.bundle import LESSONS, PROJECTION, default_directory, open_extra
from emwatch.train.heads.calibration import FOLDS, source_folds
from emwatch.train.heads.head_training import OWN_WEIGHT
from emwatch.train.heads.lessons import UNFAMILIAR, Lessons, Taught
from emwatch.train.heads.ridge import source_weights
from emwatch.train.network.bundle_files import sha256


def shipped() -> Lessons:
    """Return what taught the shipped head."""
    projection, lessons = (open_extra(default_directory(), name) for name in (PROJECTION, LESSONS))
    if projection is None or lessons is None:
        raise SystemExit("the shipped bundle does not carry what taught it: make it with 'emwatch model build'")
    return Lessons.from_bytes(lessons, sha256(projection), LESSONS)


def trial(lessons: Lessons, source: str, each: int, weights: list[float]) -> dict[str, object] | None:
    """Let a source's own frames teach besides; ``None`` if it has too few to judge by."""
    taught = lessons.taught
    mine = np.flatnonzero(np.array([name == source for name in taught.sources]))
    categories, counts = np.unique(taught.categories[mine], return_counts=True)
    two = categories[np.argsort(-counts)][:2]
    random = np.random.default_rng(0)
    own = np.concatenate(
        [random.permutation(mine[taught.categories[mine] == category])[: min(each, count // 2)]
         for category, count in zip(two, sorted(counts)[::-1], strict=False)]
    )  # fmt: skip
    rest = np.setdiff1d(mine, own)
    if len(own) < each or len(rest) < each // 2:
        return None
    others = np.setdiff1d(np.arange(len(taught)), mine)
    folds = source_folds(taught.categories[others], [taught.sources[at] for at in others], 0)
    found: dict[str, object] = {"source": source, "own": len(own), "rest": len(rest)}
    for name, weight in [("before", 0.0), *((f"x{each:g}", each) for each in weights)]:
        found[name] = _accuracy(lessons, others, own, rest, weight), _elsewhere(lessons, others, own, folds, weight)
    return found


def _head(lessons: Lessons, frames: np.ndarray, own: np.ndarray, weight: float) -> tuple[np.ndarray, np.ndarray]:
    sums = lessons.always + lessons.taught.only(_mask(lessons.taught, frames)).sums(np.ones(len(frames), dtype=bool))
    if weight:
        mine = lessons.taught.only(_mask(lessons.taught, own))
        factors = lessons.class_factors[mine.categories] * source_weights(mine.sources) * weight
        sums = sums + Taught(**{**{n: getattr(mine, n) for n in mine.__slots__}, "weights": factors}).sums(
            np.ones(len(own), dtype=bool)
        )
    return sums.fitted()


def _mask(taught: Taught, at: np.ndarray) -> np.ndarray:
    mask = np.zeros(len(taught), dtype=bool)
    mask[at] = True
    return mask


def _right(lessons: Lessons, head: tuple[np.ndarray, np.ndarray], at: np.ndarray) -> np.ndarray:
    slopes, bias = head
    likeliest = (lessons.taught.bare[at] @ slopes + bias)[:, :UNFAMILIAR].argmax(axis=1)
    return np.asarray(likeliest == lessons.taught.categories[at])


def _accuracy(lessons: Lessons, others: np.ndarray, own: np.ndarray, rest: np.ndarray, weight: float) -> float:
    return float(_right(lessons, _head(lessons, others, own, weight), rest).mean())


def _elsewhere(lessons: Lessons, others: np.ndarray, own: np.ndarray, folds: np.ndarray, weight: float) -> float:
    right = np.zeros(len(others), dtype=bool)
    for fold in range(FOLDS):
        head = _head(lessons, others[folds != fold], own, weight)
        right[folds == fold] = _right(lessons, head, others[folds == fold])
    truth = lessons.taught.categories[others]
    return float(np.mean([right[truth == category].mean() for category in np.unique(truth)]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=10)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--weights", default=f"{OWN_WEIGHT:g}")
    parser.add_argument("--choose", action="store_true")
    options = parser.parse_args()
    weights = [float(each) for each in options.weights.split(",")]
    lessons = shipped()
    names, counts = np.unique(np.array(lessons.taught.sources), return_counts=True)
    if options.choose:
        blind = {name for name, each in zip(lessons.taught.sources, lessons.taught.blind, strict=True) if each}
        counts = np.where(np.isin(names, list(blind)), 0, counts)
    columns = ["before", *(f"x{each:g}" for each in weights)]
    print(
        f"{'source':46} {'own':>4} {'rest':>5}" + "".join(f"{name + ' here':>12}{'elsewhere':>10}" for name in columns)
    )
    rows = []
    for name in names[np.argsort(-counts)]:
        found = trial(lessons, str(name), options.each, weights) if len(rows) < options.sources else None
        if found is None or (options.choose and counts[names == name][0] == 0):
            continue
        rows.append(found)
        cells = "".join(f"{found[each][0]:12.3f}{found[each][1]:10.3f}" for each in columns)  # type: ignore[index]
        print(f"{found['source'][:46]:46} {found['own']:4} {found['rest']:5}{cells}", flush=True)  # type: ignore[index]
    means = [np.mean([row[each] for row in rows], axis=0) for each in columns]
    print(f"{'mean':57}" + "".join(f"{here:12.3f}{elsewhere:10.3f}" for here, elsewhere in means))


if __name__ == "__main__":
    main()
