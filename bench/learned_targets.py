"""
How well targets learned from five frames and five that are not find others like them in frames of other sources.

Each of the ten categories is an unknown target in turn. A dealing takes five examples of one source and five frames of
other categories; frames of these sources do not judge. The background is of a third of the sources, which do not judge
either, and holds no frame of the unknown category. Frames marked blind are left out unless ``--blind``.

The vectors are those kept with the bundle (without data bar), so that nothing is embedded anew; ``--frames`` adds raw
pixels.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
from collections import defaultdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emwatch.classify.bundles.bundle import LESSONS, default_directory
from emwatch.classify.compact import WIDTH
from emwatch.frame import CATEGORIES
from emwatch.targets.learned import RIDGE, direction, unit

DEALINGS = 20
EXAMPLES = 5
SIDE_PX = 32
FOLDS = 5


def average_precision(scores: Any, wanted: Any) -> float:
    """Return the average precision of a ranking."""
    hits = wanted[np.argsort(-scores, kind="stable")]
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())


def precision_at(scores: Any, wanted: Any, recall: float) -> float:
    """Return the precision of the shortest head of a ranking with this recall."""
    hits = np.cumsum(wanted[np.argsort(-scores, kind="stable")])
    at = int(np.searchsorted(hits, np.ceil(recall * wanted.sum())))
    return float(hits[at] / (at + 1))


def in_8_bits(rows: Any) -> Any:
    """Round rows as the ledger keeps them."""
    return np.rint(rows * (127 / np.abs(rows).max(axis=1, keepdims=True)))


def raw_pixels(labelled: Path, shas: list[str]) -> Any:
    """Return frames as small squares of zero mean and length 1, by the sha256 of their files."""
    of = {}
    for path in sorted(labelled.rglob("*")):
        if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"}:
            content = path.read_bytes()
            with Image.open(io.BytesIO(content)) as image:
                small = image.convert("L").resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)
            of[hashlib.sha256(content).hexdigest()] = np.asarray(small, dtype=np.float64).ravel()
    rows = np.array([of[each] for each in shas])
    return unit(rows - rows.mean(axis=1, keepdims=True))


def main() -> None:
    """Print one JSON document."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--frames", type=Path, help="the labelled frames, for raw pixels")
    options.add_argument("--blind", action="store_true", help="judge by the blind frames, too")
    options.add_argument("--all-components", action="store_true", help="also with the whole projection")
    asked = options.parse_args()
    with np.load(default_directory() / LESSONS) as found:
        lessons = {name: found[name] for name in found.files}
    used = np.ones(len(lessons["blind"]), dtype=bool) if asked.blind else ~lessons["blind"]
    whole = lessons["bare"][used].astype(np.float64)
    labels, sources = lessons["categories"][used].astype(int), lessons["source_of"][used]
    spaces = {"kept": unit(in_8_bits(whole[:, :WIDTH]))}
    if asked.all_components:
        spaces["all components"] = unit(whole)
    pixels = None
    if asked.frames is not None:
        shas = [row.tobytes().hex() for row in lessons["sha256"][used]]
        pixels = raw_pixels(asked.frames, shas)
    results: dict[str, dict[int, list[tuple[float, float, float]]]] = defaultdict(lambda: defaultdict(list))
    random = np.random.default_rng(13)
    heads = category_heads(spaces["kept"], labels, sources)
    for category in range(len(CATEGORIES)):
        tried = (deal(random, category, labels, sources) for _ in range(20 * DEALINGS))
        for wanted, unwanted, background, judging in islice((each for each in tried if each is not None), DEALINGS):
            truth = labels[judging] == category
            scores = {}
            for name, rows in spaces.items():
                shown, others = [rows[[at]] for at in wanted], [rows[[at]] for at in unwanted]
                scores[f"learned, {name}"] = rows[judging] @ direction(shown, others, rows[background])
                scores[f"cosine, {name}"] = rows[judging] @ rows[wanted].mean(axis=0)
            scores["category head"] = heads[judging, category]
            if pixels is not None:
                scores["raw pixels"] = pixels[judging] @ pixels[wanted].mean(axis=0)
            for name, each in scores.items():
                figures = (
                    average_precision(each, truth),
                    precision_at(each, truth, 0.5),
                    precision_at(each, truth, 0.9),
                )
                results[name][category].append(figures)
            results["chance"][category].append((float(truth.mean()),) * 3)
    json.dump(summary(results), sys.stdout, indent=1)
    print()


def category_heads(rows: Any, labels: Any, sources: Any) -> Any:
    """
    Return for each frame its score for each category (n, 10), by a head that was taught all frames of other sources.

    It knows the wanted category from hundreds of frames: what a target of five examples could come to.
    """
    fold_of = np.random.default_rng(1).integers(0, FOLDS, sources.max() + 1)[sources]
    found = np.zeros((len(rows), len(CATEGORIES)))
    for fold in range(FOLDS):
        taught, judged = fold_of != fold, fold_of == fold
        known = np.eye(len(CATEGORIES))[labels[taught]]
        share = (1 / np.maximum(known.sum(axis=0), 1))[labels[taught]]
        share /= share.sum()
        middle = share @ rows[taught]
        centred = (rows[taught] - middle) * np.sqrt(share)[:, np.newaxis]
        product = centred.T @ centred + RIDGE * np.eye(rows.shape[1])
        weights = np.linalg.solve(product, centred.T @ ((known - share @ known) * np.sqrt(share)[:, np.newaxis]))
        found[judged] = (rows[judged] - middle) @ weights
    return found


def deal(random: Any, category: int, labels: Any, sources: Any) -> tuple[Any, Any, Any, Any] | None:
    """Return the places of examples, negatives, background and judging frames; ``None`` if a source has too few."""
    own = [
        each
        for each in np.unique(sources[labels == category])
        if ((labels == category) & (sources == each)).sum() >= EXAMPLES
    ]
    if not own:
        return None
    names = np.unique(sources)
    behind = np.isin(sources, random.choice(names, len(names) // 3, replace=False))
    source = random.choice(own)
    wanted = random.choice(np.flatnonzero((labels == category) & (sources == source)), EXAMPLES, replace=False)
    unwanted = random.choice(np.flatnonzero(labels != category), EXAMPLES, replace=False)
    shown = np.isin(sources, sources[np.concatenate([wanted, unwanted])])
    judging = np.flatnonzero(~behind & ~shown)
    if (labels[judging] == category).sum() < EXAMPLES:
        return None
    return wanted, unwanted, np.flatnonzero(behind & (labels != category)), judging


def summary(results: Any) -> dict[str, Any]:
    """Return means over the dealings of each category, and over categories."""
    found: dict[str, Any] = {}
    for name, of in results.items():
        rows = {CATEGORIES[each]: np.mean(figures, axis=0).round(3).tolist() for each, figures in of.items()}
        found[name] = {
            "mean": np.mean(list(rows.values()), axis=0).round(3).tolist(),
            "dealings": sum(len(each) for each in of.values()),
            **rows,
        }
    return {"figures": ["average precision", "precision at 50 % recall", "at 90 %"], **found}


if __name__ == "__main__":
    main()
