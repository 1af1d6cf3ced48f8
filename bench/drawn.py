"""
How far drawn frames alone go: train on them only, judge on real ones; and what each kind of scene is worth.

    python bench/drawn.py FRAMES [--per-kind 24] [--seeds 3] [--leave-out] [--aside FILE] [--json]

FRAMES is a folder with ``labels.tsv`` (or a folder for each category); near duplicates are left out, data bars cut. Each
seed draws its own frames, as many of each kind; figures are means over the seeds with their standard deviation.
``--aside FILE`` names sources, one a line, that nobody looked at when kinds were painted: their figure is the honest one.

``--leave-out`` trains once more without each kind: *worth* is what balanced accuracy loses then. A kind whose worth is
below zero by more than its spread shows something that two categories could claim. It uses a ridge classifier, which
takes a tenth of a second where the project's head takes many; both figures with all kinds are printed.

Embeddings are kept (``EMWATCH_EMBEDDINGS``): the second run neither draws nor runs the network.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

import numpy as np

from emwatch.classify.backbone import LiteRtEngine
from emwatch.classify.bundles.bundle import BACKBONE, PROJECTION, Bundle, default_directory, open_extra
from emwatch.classify.bundles.projection import Projection
from emwatch.frame import CATEGORIES
from emwatch.train.dataset.labelled import labelled_frames
from emwatch.train.heads import pictures
from emwatch.train.heads.drawn import DrawnFrame, every_kind
from emwatch.train.heads.embeddings import Embeddings
from emwatch.train.heads.projecting import CompactEngine
from emwatch.train.heads.ridge import fit_affine
from emwatch.train.network.bundle_files import sha256

#: Strength of the ridge on standardised features, their inner product divided by their number.
_RIDGE = 0.1


class RidgeOnce:
    """A ridge classifier on one set of frames, ready to be fitted to any part of it: its inner products are taken once."""

    def __init__(self, rows: np.ndarray, categories: np.ndarray, judged: np.ndarray) -> None:
        mean, spread = rows.mean(axis=0), rows.std(axis=0)
        spread = np.where(spread > 1e-6, spread, 1.0)
        standard = (rows - mean) / spread
        self._among = (standard @ standard.T / rows.shape[1]).astype(np.float64)
        self._to_judged = ((judged - mean) / spread @ standard.T / rows.shape[1]).astype(np.float64)
        self._categories = categories

    def logits(self, kept: np.ndarray) -> np.ndarray:
        """Fit to the kept frames, categories weighing the same, and return the logits (judged, 10)."""
        rows = np.flatnonzero(kept)
        mine = self._categories[rows]
        weights = 1 / np.bincount(mine, minlength=len(CATEGORIES))[mine]
        weights /= weights.mean()
        size = len(rows)
        bordered = np.ones((size + 1, size + 1))  # the border holds the intercept
        bordered[:size, :size] = self._among[np.ix_(rows, rows)] + np.diag(_RIDGE / weights)
        bordered[size, size] = 0
        wanted = np.zeros((size + 1, len(CATEGORIES)))
        wanted[np.arange(size), mine] = 1
        found = np.linalg.solve(bordered, wanted)
        return np.asarray(self._to_judged[:, rows] @ found[:size] + found[size])


def balanced(logits: np.ndarray, categories: np.ndarray) -> float:
    """Return the mean recall of the categories that occur."""
    right = logits.argmax(axis=1) == categories
    return float(np.mean([right[categories == index].mean() for index in np.unique(categories)]))


def figures(logits: np.ndarray, categories: np.ndarray) -> dict[str, float]:
    """Return accuracy, balanced accuracy, top three, and the recall of each category."""
    right = logits.argmax(axis=1) == categories
    first_three = (np.argsort(-logits, axis=1)[:, :3] == categories[:, np.newaxis]).any(axis=1)
    return {
        "accuracy": float(right.mean()),
        "balanced": balanced(logits, categories),
        "top 3": float(first_three.mean()),
        **{CATEGORIES[index]: float(right[categories == index].mean()) for index in np.unique(categories)},
    }


def worth_of_kinds(ridge: RidgeOnce, drawn: list[DrawnFrame], categories: np.ndarray) -> dict[str, float]:
    """Return what balanced accuracy loses without each kind."""
    names = np.array([f"{CATEGORIES[frame.category]}: {frame.kind} ({frame.painter})" for frame in drawn])
    with_all = balanced(ridge.logits(np.ones(len(drawn), dtype=bool)), categories)
    return {
        str(name): with_all - balanced(ridge.logits(names != name), categories)
        for name in dict.fromkeys(names.tolist())
    }


def _embeddings() -> Embeddings:
    bundle = Bundle.open(default_directory())
    projected = open_extra(bundle.directory, PROJECTION)
    if projected is None:
        raise SystemExit(f"{bundle.directory} has no projection: make it with 'emwatch model build'")
    engine = LiteRtEngine(bundle.backbone, bundle.features, 2, bundle.directory / BACKBONE)
    compact = CompactEngine(engine, Projection.from_bytes(projected, bundle.features, PROJECTION))
    identity = sha256((sha256(bundle.backbone) + sha256(projected)).encode())
    return Embeddings(compact, identity, lambda line: print(line, file=sys.stderr, flush=True))


def measure(options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Return for each table of the report its rows, a value for each seed."""
    everything = labelled_frames(options.frames)
    frames = [frame for frame in everything if not frame.blind]
    if len(frames) < len(everything):
        print(
            f"{len(everything) - len(frames)} blind frames left out: they judge, so whoever paints learns nothing of them here",
            file=sys.stderr,
        )
    categories = np.array([frame.category for frame in frames])
    aside = set(options.aside.read_text(encoding="utf-8").split()) if options.aside else set()
    is_aside = np.array([frame.source in aside for frame in frames])
    embeddings = _embeddings()
    real = embeddings.of("real frames", [pictures.of_frame(frame, "bare") for frame in frames])
    tables: dict[str, dict[str, list[float]]] = {"drawn frames only": {}, "worth": {}}

    def note(table: str, row: str, value: float) -> None:
        tables[table].setdefault(row, []).append(value)

    for seed in range(options.seeds):
        drawn = every_kind(options.per_kind, seed)
        rows = embeddings.of(f"drawn frames, seed {seed}", [pictures.of_drawing(frame) for frame in drawn])
        of_drawn = np.array([frame.category for frame in drawn])
        slopes, bias = fit_affine(rows, of_drawn, np.ones(len(rows)))
        logits = real @ slopes + bias
        for name, value in figures(logits, categories).items():
            note("drawn frames only", name, value)
        if aside:
            note("drawn frames only", "balanced, sources looked at", balanced(logits[~is_aside], categories[~is_aside]))
            note("drawn frames only", "balanced, sources kept aside", balanced(logits[is_aside], categories[is_aside]))
        ridge = RidgeOnce(rows, of_drawn, real)
        everything = np.ones(len(rows), dtype=bool)
        note("drawn frames only", "balanced, by ridge", balanced(ridge.logits(everything), categories))
        if options.leave_out:
            for name, value in worth_of_kinds(ridge, drawn, categories).items():
                note("worth", name, value)
    return tables


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", type=Path)
    parser.add_argument("--per-kind", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--leave-out", action="store_true")
    parser.add_argument("--aside", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    tables = measure(options)
    if options.json:
        print(json.dumps(tables, indent=1))
        return
    for table, rows in tables.items():
        if not rows:
            continue
        print(f"\n{table} ({options.per_kind} of each kind, {options.seeds} seeds)")
        for name, values in rows.items():
            spread = f" +- {statistics.stdev(values):.3f}" if len(values) > 1 else ""
            print(f"  {name:48} {statistics.mean(values):+.3f}{spread}")


if __name__ == "__main__":
    main()
