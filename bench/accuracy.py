"""
How good the shipped recipe is on laboratories nobody here has looked at, beside the recipes before it: one run.

    python bench/accuracy.py FRAMES [--before DIR] [--drawn 200] [--json]

FRAMES is a folder with ``labels.tsv``. All recipes are cross-validated by source (five folds, three dealings: the judged
source never teaches) and judged on the blind sources only: nobody who paints drawn frames has looked at them. Beside it
stands the figure of ordinary cross-validation over all sources; what that claims too much is the optimism.

* original: the whole frame with its data bar, squashed by nearest neighbour; a softmax on the 2048-d average of the frozen
  base by RMSprop 0.001, batches of 16, 20 epochs.
* before: the head of another bundle (``--before``), as it is. It must not have learned from blind sources.
* before, taught anew: that bundle's features, taught by the same frames as today's.
* emwatch: what ships. emwatch, open: without frames of no open licence. emwatch, drawn: without any real frame.

Embeddings are kept (``EMWATCH_EMBEDDINGS``): the first run takes some ten minutes for each backbone, the next one three in all.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emwatch.classify.backbone import LiteRtEngine
from emwatch.classify.bundles.bundle import BACKBONE, PROJECTION, Bundle, default_directory, open_extra
from emwatch.classify.bundles.projection import Projection
from emwatch.classify.head import AVERAGE_FEATURES, Head
from emwatch.frame import CATEGORIES, NETWORK_SIDE_PX
from emwatch.train.dataset.labelled import LabelledFrame, labelled_frames
from emwatch.train.heads import pictures
from emwatch.train.heads.calibration import Calibration, Verdict
from emwatch.train.heads.cross_validation import FOLD_SEEDS, PLAIN, judge_by_source
from emwatch.train.heads.drawn import drawn_frames
from emwatch.train.heads.embeddings import Embeddings, InputPicture
from emwatch.train.heads.head_bundle import openly_licensed, stretches_of
from emwatch.train.heads.head_training import gathered, judged_by
from emwatch.train.heads.lessons import UNFAMILIAR
from emwatch.train.heads.material import Direct
from emwatch.train.heads.projecting import fitted_projection
from emwatch.train.heads.ridge import SHARPNESS
from emwatch.train.network.bundle_files import sha256

_EPOCHS, _BATCH, _RATE = 20, 16, 0.001
_SMOOTHING, _TINY = 0.9, 1e-7  # of Keras' RMSprop
_SHOWN = ("accuracy", "balanced_accuracy", "by_source", "merged_balanced_accuracy", "top_3_accuracy", "ece_after")


def softmax_by_rmsprop(rows: np.ndarray, categories: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Teach the original's last layer to rows (n, 2048) as Keras would: Glorot weights, RMSprop, shuffled batches."""
    random = np.random.default_rng(seed)
    edge = np.sqrt(6 / (rows.shape[1] + len(CATEGORIES)))
    weights = [random.uniform(-edge, edge, (rows.shape[1], len(CATEGORIES))), np.zeros(len(CATEGORIES))]
    squares = [np.zeros_like(each) for each in weights]
    wanted = np.eye(len(CATEGORIES))[categories]
    for _ in range(_EPOCHS):
        order = random.permutation(len(rows))
        for first in range(0, len(rows), _BATCH):
            mine = order[first : first + _BATCH]
            logits = rows[mine] @ weights[0] + weights[1]
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            apart = (powers / powers.sum(axis=1, keepdims=True) - wanted[mine]) / len(mine)
            for at, slope in enumerate((rows[mine].T @ apart, apart.sum(axis=0))):
                squares[at] = _SMOOTHING * squares[at] + (1 - _SMOOTHING) * slope**2
                weights[at] = weights[at] - _RATE * slope / (np.sqrt(squares[at]) + _TINY)
    return weights[0], weights[1]


@dataclass(frozen=True)
class Original:
    """The original recipe as something that `judge_by_source` can teach."""

    rows: np.ndarray
    categories: np.ndarray
    sources: list[str]
    blind: np.ndarray
    may_teach: np.ndarray

    def scores(self, allowed: np.ndarray, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Return logits over the project's sharpness, and no novelty: (frames, 11)."""
        taught = allowed & self.may_teach
        slopes, bias = softmax_by_rmsprop(self.rows[taught], self.categories[taught])
        found = np.zeros((int(frames.sum()), UNFAMILIAR + 1))
        found[:, :UNFAMILIAR] = (self.rows[frames] @ slopes + bias) / SHARPNESS
        return {PLAIN: found}


def _squashed(frame: LabelledFrame) -> np.ndarray:
    side = (NETWORK_SIDE_PX, NETWORK_SIDE_PX)
    return np.asarray(Image.fromarray(frame.grey()).resize(side, Image.Resampling.NEAREST))


def _original(embeddings: Embeddings, frames: list[LabelledFrame]) -> Original:
    squashed = [InputPicture(each.path.read_bytes, partial(_squashed, each), "squashed, NEAREST") for each in frames]
    return Original(
        embeddings.of("squashed frames", squashed)[:, :AVERAGE_FEATURES].astype(np.float64),
        np.array([frame.category for frame in frames]),
        [frame.source for frame in frames],
        np.array([frame.blind for frame in frames]),
        np.array([frame.may_teach for frame in frames]),
    )


class Recipes:
    """The labelled frames, and the recipes on a bundle's backbone."""

    def __init__(self, directory: Path, frames: list[LabelledFrame], drawn: int) -> None:
        self.bundle = Bundle.open(directory)
        self._frames, self._drawn = frames, drawn
        say = partial(print, file=sys.stderr, flush=True)
        engine = LiteRtEngine(self.bundle.backbone, self.bundle.features, 2, directory / BACKBONE)
        self.full = Embeddings(engine, sha256(self.bundle.backbone), say)
        kept = open_extra(directory, PROJECTION)
        self._projection = Projection.from_bytes(kept, engine.features, PROJECTION) if kept else self._fitted()

    def _fitted(self) -> Projection:
        learned_from = [pictures.of_drawing(each) for each in drawn_frames(self._drawn, 0)]
        learned_from += [pictures.of_frame(each, "bare") for each in self._frames if each.may_teach and not each.blind]
        rows = self.full.of("pictures for the projection", learned_from)
        return fitted_projection(rows, stretches=stretches_of(self.bundle.card["backbone"]))

    def taught(self, *, open_only: bool = False) -> Direct:
        """Return the material of the recipe that ships; ``open_only``: frames of no open licence only judge."""
        frames = self._frames
        if open_only:
            frames = openly_licensed(frames)
        whole = gathered(self.full, frames, self._drawn, 0)
        judged = judged_by(whole.taught, self.full, frames, as_they_are=False)
        judged = replace(judged, rows={PLAIN: self._projection.standardised(judged.rows[PLAIN])})
        standard = whole.through(self._projection.standardised)
        return Direct.of(standard.always, standard.taught, judged)

    def as_it_is(self) -> dict[str, Any]:
        """Judge the bundle's own head on the blind frames."""
        blind = [frame for frame in self._frames if frame.blind]
        rows = self.full.of("blind frames", [pictures.of_frame(frame, "bare") for frame in blind])
        head = Head.from_bytes(self.bundle.head, self.bundle.features, "head.npz")
        scores = head.probabilities(rows)
        limits = self.bundle.uncertain_below_of
        below = np.array([limits.get(name, self.bundle.uncertain_below) for name in CATEGORIES])
        certain = scores.max(axis=1) >= below[scores.argmax(axis=1)]
        novelty = head.novelty_of(rows)
        if novelty is not None and self.bundle.unfamiliar_above is not None:
            certain &= novelty <= self.bundle.unfamiliar_above
        truth, sources = np.array([frame.category for frame in blind]), [frame.source for frame in blind]
        calibration = Calibration(head.temperature, self.bundle.uncertain_below, self.bundle.unfamiliar_above)
        logits = np.log(np.maximum(scores, 1e-12))
        claimed = self.bundle.card["metrics"]["without_bar"]["balanced_accuracy"]
        return _row(Verdict.measured(logits, scores, certain, truth, sources, calibration), claimed, [])


def _row(verdict: Verdict, ordinary: float | None, by_dealing: list[float]) -> dict[str, Any]:
    optimism = None if ordinary is None else ordinary - verdict.balanced_accuracy
    return {**asdict(verdict), "by_dealing": by_dealing, "ordinary": ordinary, "optimism": optimism}


def _judged(material: Any) -> dict[str, Any]:
    found = judge_by_source(material)
    blind = np.asarray(material.blind)
    return _row(found.verdict(PLAIN, blind), found.verdict(PLAIN).balanced_accuracy, found.by_dealing(PLAIN, blind))


def _drawn_only(material: Direct) -> dict[str, Any]:
    """Judge what learned no real frame; its temperature is chosen on the same frames, so its ECE flatters."""
    everything = np.ones(len(material.sources), dtype=bool)
    scores = material.scores(~everything, everything)[PLAIN][:, :UNFAMILIAR] * SHARPNESS
    blind = material.blind
    sources = [source for source, each in zip(material.sources, blind, strict=True) if each]
    verdict = Verdict.of(scores[blind], material.categories[blind], sources)
    return _row(verdict, Verdict.of(scores, material.categories, material.sources).balanced_accuracy, [])


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Judge all recipes."""
    frames = labelled_frames(options.frames)
    if not any(frame.blind for frame in frames):
        raise SystemExit(f"{options.frames}: no frame is marked blind in labels.tsv, so nothing here can judge")
    today = Recipes(default_directory(), frames, options.drawn)
    rows: dict[str, Any] = {"original": _judged(_original(today.full, frames))}
    if options.before:
        before = Recipes(options.before, frames, options.drawn)
        rows["before"] = before.as_it_is()
        rows["before, taught anew"] = _judged(before.taught())
    material = today.taught()
    rows["emwatch"] = _judged(material)
    rows["emwatch, open"] = _judged(today.taught(open_only=True))
    rows["emwatch, drawn"] = _drawn_only(material)
    blind = {frame.source for frame in frames if frame.blind}
    return {"frames": sum(frame.blind for frame in frames), "sources": len(blind), "recipes": rows}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", type=Path)
    parser.add_argument("--before", type=Path, metavar="DIR", help="the bundle to stand beside")
    parser.add_argument("--drawn", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{found['frames']} blind frames of {found['sources']} sources, by source, {len(FOLD_SEEDS)} dealings\n")
    names = (
        "accuracy",
        "balanced",
        "by source",
        "merged",
        "top-3",
        "ECE",
        "certain",
        "right then",
        "ordinary",
        "optimism",
    )
    print(f"{'':20}" + "".join(f"{name:>11}" for name in names) + "  of each dealing")
    for name, row in found["recipes"].items():
        figures = [*(row[key] for key in _SHOWN), row["certain_share"], row["accuracy_when_certain"]]
        cells = "".join(
            f"{each:11.3f}" if each is not None else f"{'':11}" for each in (*figures, row["ordinary"], row["optimism"])
        )
        print(f"{name:20}{cells}  " + " ".join(f"{each:.3f}" for each in row["by_dealing"]))


if __name__ == "__main__":
    main()
