"""
What a facility gains by twenty frames of each of two categories of its own instrument: a table over sources.

    python bench/own_instrument.py FRAMES [--sources 10] [--each 20] [--weights 1,3,10] [--choose]

For each source with enough frames, the shipped recipe teaches a head without any frame of that source. Then up to
``--each`` frames of each of its two commonest categories correct it as ``train heads`` does, chosen at random; its other
frames and all frames of the other sources judge, the latter by five folds in which no source stands on both sides. A source
of one category only teaches that one. Figures: accuracy on the source's other frames before and after, and balanced accuracy
on all other sources before and after. ``--choose``: only sources that are not blind, to choose the weight by.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from emwatch.classify.backbone import LiteRtEngine
from emwatch.classify.bundles.bundle import BACKBONE, PROJECTION, Bundle, default_directory, open_extra
from emwatch.classify.bundles.projection import Projection
from emwatch.train.dataset.labelled import labelled_frames
from emwatch.train.heads.calibration import FOLDS, source_folds
from emwatch.train.heads.cross_validation import PLAIN
from emwatch.train.heads.embeddings import Embeddings
from emwatch.train.heads.head_training import BASE, OWN_WEIGHT, corrected_by, gathered
from emwatch.train.heads.lessons import CLASSES, UNFAMILIAR, Lessons, Taught
from emwatch.train.heads.material import Direct, HeadMaterial
from emwatch.train.heads.ridge import source_weights
from emwatch.train.network.bundle_files import sha256

_BARRED = "barred"


@dataclass(frozen=True)
class Shipped:
    """The shipped recipe: heads of whole embeddings, and what a correction of them is learned from."""

    direct: Direct
    lessons: Lessons

    @classmethod
    def of(cls, frames: Path) -> Shipped:
        """Embed what the shipped head learns."""
        bundle = Bundle.open(default_directory())
        projected = open_extra(bundle.directory, PROJECTION)
        if projected is None:
            raise SystemExit("the shipped bundle has no projection: make it with 'emwatch model build'")
        projection = Projection.from_bytes(projected, bundle.features, PROJECTION)
        engine = LiteRtEngine(bundle.backbone, bundle.features, 2, bundle.directory / BACKBONE)
        say = partial(print, file=sys.stderr, flush=True)
        embeddings = Embeddings(engine, sha256(bundle.backbone), say)
        drawn = bundle.card["training"]["drawn_frames_per_category"]
        whole = gathered(embeddings, labelled_frames(frames), drawn, bundle.card["training"]["seed"])
        standard = whole.through(projection.standardised)
        taught = standard.taught
        rows = {PLAIN: taught.bare, _BARRED: taught.barred}
        direct = Direct.of(standard.always, taught, HeadMaterial(rows, taught.categories, taught.sources, taught.blind))
        return cls(direct, whole.through(projection.compact).lessons(sha256(projected)))

    def corrected(self, known: np.ndarray, own: np.ndarray, weight: float) -> np.ndarray:
        """Teach the frames of a mask (n,), then correct by others of one's own; returns the scores of all frames (n, 11)."""
        base = self.direct.scores(known, np.ones(len(known), dtype=bool))
        if not weight:
            return base[PLAIN]
        taught = self.lessons.taught
        mine = taught.only(own)
        seen = np.stack([base[PLAIN][own], base[_BARRED][own]], axis=1).astype(np.float32)
        weights = weight * source_weights(mine.sources) * self.lessons.class_factors[mine.categories]
        mine = replace(mine, seen=seen, unseen=seen[:, 0], weights=weights)
        lessons = replace(self.lessons, taught=taught.only(known))
        slopes, bias = corrected_by(lessons, mine, _nobody(taught)).fitted()
        return np.asarray(base[PLAIN] + taught.bare @ slopes + bias)


def _nobody(taught: Taught) -> HeadMaterial:
    rows = {PLAIN: taught.bare[:0], BASE: np.zeros((0, CLASSES), dtype=np.float32)}
    return HeadMaterial(rows, taught.categories[:0], [], taught.blind[:0])


def trial(shipped: Shipped, source: str, each: int, weights: list[float]) -> dict[str, object] | None:
    """Let a source's own frames teach besides; ``None`` if it has too few to judge by."""
    taught = shipped.lessons.taught
    is_mine = np.array([name == source for name in taught.sources])
    mine = np.flatnonzero(is_mine)
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
    others = np.flatnonzero(~is_mine)
    folds = np.full(len(taught), -1)
    folds[others] = source_folds(taught.categories[others], [taught.sources[at] for at in others], 0)
    is_own = np.isin(np.arange(len(taught)), own)
    found: dict[str, object] = {"source": source, "own": len(own), "rest": len(rest)}
    for name, weight in [("before", 0.0), *((f"x{each:g}", each) for each in weights)]:
        right = _right(taught, shipped.corrected(~is_mine, is_own, weight))
        elsewhere = np.zeros(len(taught), dtype=bool)
        for fold in range(FOLDS):
            judged = folds == fold
            elsewhere[judged] = _right(taught, shipped.corrected(~is_mine & ~judged, is_own, weight))[judged]
        truth = taught.categories[others]
        recalls = [elsewhere[others][truth == category].mean() for category in np.unique(truth)]
        found[name] = float(right[rest].mean()), float(np.mean(recalls))
    return found


def _right(taught: Taught, scores: np.ndarray) -> np.ndarray:
    return np.asarray(scores[:, :UNFAMILIAR].argmax(axis=1) == taught.categories)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", type=Path)
    parser.add_argument("--sources", type=int, default=10)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--weights", default=f"{OWN_WEIGHT:g}")
    parser.add_argument("--choose", action="store_true")
    options = parser.parse_args()
    weights = [float(each) for each in options.weights.split(",")]
    shipped = Shipped.of(options.frames)
    taught = shipped.lessons.taught
    names, counts = np.unique(np.array(taught.sources), return_counts=True)
    if options.choose:
        blind = {name for name, each in zip(taught.sources, taught.blind, strict=True) if each}
        counts = np.where(np.isin(names, list(blind)), 0, counts)
    columns = ["before", *(f"x{each:g}" for each in weights)]
    print(
        f"{'source':46} {'own':>4} {'rest':>5}" + "".join(f"{name + ' here':>12}{'elsewhere':>10}" for name in columns)
    )
    rows = []
    for name in names[np.argsort(-counts)]:
        found = trial(shipped, str(name), options.each, weights) if len(rows) < options.sources else None
        if found is None or (options.choose and counts[names == name][0] == 0):
            continue
        rows.append(found)
        cells = "".join(f"{found[each][0]:12.3f}{found[each][1]:10.3f}" for each in columns)  # type: ignore[index]
        print(f"{found['source'][:46]:46} {found['own']:4} {found['rest']:5}{cells}", flush=True)  # type: ignore[index]
    means = [np.mean([row[each] for row in rows], axis=0) for each in columns]
    print(f"{'mean':57}" + "".join(f"{here:12.3f}{elsewhere:10.3f}" for here, elsewhere in means))


if __name__ == "__main__":
    main()
