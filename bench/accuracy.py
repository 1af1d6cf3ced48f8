"""
How much better than the original recipe, on instruments that taught nothing: one run, by source, three dealings.

    python bench/accuracy.py FRAMES [--drawn 200] [--json]

FRAMES is a folder with ``labels.tsv`` (or a folder for each category). Near duplicates are left out. Four recipes, on the
same folds (five, no source on both sides) and the same quantised network:

* original: the whole frame with its data bar, squashed to 170x170 by nearest neighbour; the 2048-d average of the frozen
  base; a softmax by RMSprop 0.001, batches of 16, 20 epochs. Learns from real frames of every licence.
* original + antialias: the same, squashed by an averaging filter.
* emwatch default: what ships. Learns from frames of an open licence, drawn frames and drawn pictures of other things only.
* drawn only: the same without any real frame.

ECE is told before calibration and after: the original's by one temperature, chosen like emwatch's on other folds than the
one that is judged. Embeddings are kept (``EMWATCH_EMBEDDINGS``): the first run takes minutes, the next one less than one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emwatch.classify.backbone import LiteRtEngine
from emwatch.classify.bundles.bundle import BACKBONE, Bundle, default_directory
from emwatch.classify.head import AVERAGE_FEATURES
from emwatch.frame import CATEGORIES, NETWORK_SIDE_PX
from emwatch.train.dataset.labelled import LabelledFrame, labelled_frames
from emwatch.train.heads.calibration import Verdict
from emwatch.train.heads.cross_validation import FOLD_SEEDS, PLAIN, UNFAMILIAR, judge_by_source
from emwatch.train.heads.embeddings import Embeddings, Picture
from emwatch.train.heads.head_training import AS_THEY_ARE, gather
from emwatch.train.heads.ridge import SHARPNESS
from emwatch.train.network.bundle_files import sha256

_EPOCHS, _BATCH, _RATE = 20, 16, 0.001
_SMOOTHING, _TINY = 0.9, 1e-7  # of Keras' RMSprop


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

    def scores(self, allowed: np.ndarray, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Give logits over the project's sharpness, and no novelty: (frames, 11)."""
        slopes, bias = softmax_by_rmsprop(self.rows[allowed], self.categories[allowed])
        found = np.zeros((int(frames.sum()), UNFAMILIAR + 1))
        found[:, :UNFAMILIAR] = (self.rows[frames] @ slopes + bias) / SHARPNESS
        return {PLAIN: found}


def _squashed(frame: LabelledFrame, resample: Image.Resampling) -> np.ndarray:
    side = (NETWORK_SIDE_PX, NETWORK_SIDE_PX)
    return np.asarray(Image.fromarray(frame.grey()).resize(side, resample))


def _original(embeddings: Embeddings, frames: list[LabelledFrame], resample: Image.Resampling) -> Original:
    pictures = [
        Picture(frame.path.read_bytes, partial(_squashed, frame, resample), f"squashed, {resample.name}")
        for frame in frames
    ]
    rows = embeddings.of(f"squashed frames, {resample.name.lower()}", pictures)[:, :AVERAGE_FEATURES]
    return Original(
        rows.astype(np.float64), np.array([frame.category for frame in frames]), [frame.source for frame in frames]
    )


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Judge all recipes."""
    frames = labelled_frames(options.frames)
    bundle = Bundle.open(default_directory())
    engine = LiteRtEngine(bundle.backbone, bundle.features, 2, bundle.directory / BACKBONE)
    widths = tuple(output.width for output in bundle.outputs)
    say = partial(print, file=sys.stderr, flush=True)
    embeddings = Embeddings(engine, sha256(bundle.backbone), say, 2, widths)
    recipes: dict[str, Any] = {}

    def note(name: str, verdict: Verdict, by_dealing: list[float]) -> None:
        recipes[name] = {**asdict(verdict), "balanced_by_dealing": by_dealing}

    for name, resample in (
        ("original", Image.Resampling.NEAREST),
        ("original + antialias", Image.Resampling.BILINEAR),
    ):
        found = judge_by_source(_original(embeddings, frames, resample))
        note(name, found.verdicts[PLAIN], found.balanced_by_dealing(PLAIN))
    material = gather(embeddings, frames, options.drawn, 0)
    found = judge_by_source(material)
    note("emwatch default", found.verdicts[PLAIN], found.balanced_by_dealing(PLAIN))
    note("  with its data bar", found.verdicts[AS_THEY_ARE], found.balanced_by_dealing(AS_THEY_ARE))
    everything = np.ones(len(frames), dtype=bool)
    alone = material.scores(~everything, everything)[PLAIN][:, :UNFAMILIAR] * SHARPNESS
    note("drawn only", Verdict.of(alone, material.categories), [])
    return {
        "frames": len(frames),
        "sources": len({frame.source for frame in frames}),
        "frames_by_licence": _by_licence(frames),
        "recipes": recipes,
    }


def _by_licence(frames: list[LabelledFrame]) -> dict[str, dict[str, int]]:
    counted = {"taught and judged": Counter[str](), "judged only": Counter[str]()}
    for frame in frames:
        counted["taught and judged" if frame.open_licence else "judged only"][frame.licence] += 1
    return {name: dict(counts.most_common()) for name, counts in counted.items()}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", type=Path)
    parser.add_argument("--drawn", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    recipes = found["recipes"]
    print(f"{found['frames']} frames of {found['sources']} sources, 5 folds by source, {len(FOLD_SEEDS)} dealings\n")
    print(
        f"{'':22} {'accuracy':>8} {'balanced':>8}  {'of each dealing':17} {'top-3':>5} {'ECE before':>10} {'after':>6}"
    )
    for name, row in recipes.items():
        dealings = " ".join(f"{each:.3f}" for each in row["balanced_by_dealing"])
        print(
            f"{name:22} {row['accuracy']:8.3f} {row['balanced_accuracy']:8.3f}  {dealings:17} {row['top_3_accuracy']:5.2f} "
            f"{row['ece_before']:10.3f} {row['ece_after']:6.3f}"
        )
    gain = recipes["emwatch default"]["balanced_accuracy"] - recipes["original"]["balanced_accuracy"]
    print(f"\nemwatch default above the original recipe: balanced {gain:+.3f}\n")
    print(f"{'recall':30}" + "".join(f"{name.strip():>22}" for name in recipes))
    for category in CATEGORIES:
        print(
            f"{category:30}" + "".join(f"{row['recall'].get(category, float('nan')):22.2f}" for row in recipes.values())
        )
    print("\nfrom drawn frames alone (ECE and its temperature on the same frames); licences:")
    for what, counts in found["frames_by_licence"].items():
        print(f"  {what}: " + "; ".join(f"{licence} {count}" for licence, count in counts.items()))


if __name__ == "__main__":
    main()
