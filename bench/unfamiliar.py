"""
Does the shipped model say that it is unsure of what no electron microscope took? 500 pictures, written as files and read back.

    python bench/unfamiliar.py [--pictures 500] [--json]

Four fifths are drawn (`emwatch.train.heads.unfamiliar`) from seeds that taught nothing, all kinds in turn; one fifth are cut at
random out of the sample pictures of scikit-image, scikit-learn and matplotlib, where these are installed: genuine photographs,
optical micrographs and pages, which taught nothing either. Each goes through the reader and the classifier as a frame does.

* uncertain: what the model says, colour included.
* uncertain in grey: the same pictures without their colour: what the embedding alone tells.
How many real frames stay certain, and how many of these rightly, is on the model's card.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emwatch.classify.classifier import Classifier
from emwatch.classify.preprocess import prepare
from emwatch.readers.frame_reader import read_frame
from emwatch.train.heads.unfamiliar import unfamiliar_pictures

_SEED = 1000  # far from the seeds that heads are taught with
_PHOTOGRAPHED_SHARE = 0.2
_SAMPLES = (("skimage", "data"), ("sklearn", "datasets/images"), ("matplotlib", "mpl-data/sample_data"))


def sample_files() -> list[Path]:
    """Find the sample pictures of installed packages, without importing these."""
    files = []
    for package, folder in _SAMPLES:
        found = importlib.util.find_spec(package)
        if found is not None and found.origin is not None:
            files += sorted(
                path for path in (Path(found.origin).parent / folder).glob("*") if path.suffix in (".png", ".jpg")
            )
    return files


def pictures(count: int) -> list[tuple[str, np.ndarray]]:
    """Make so many pictures, RGB, each with its kind."""
    files = sample_files()
    cut = round(count * _PHOTOGRAPHED_SHARE) if files else 0
    made = [(each.kind, each.draw()) for each in unfamiliar_pictures(count - cut, _SEED)]
    random = np.random.default_rng(_SEED)
    for number in range(cut):
        file = files[number % len(files)]
        with Image.open(file) as image:
            whole = np.asarray(image.convert("RGB"))
        side = round(min(whole.shape[:2]) * (1.0 if number < len(files) else random.uniform(0.5, 0.95)))
        top, left = (int(random.integers(0, length - side + 1)) for length in whole.shape[:2])
        made.append((f"sample, {file.stem}", whole[top : top + side, left : left + side]))
    return made


def _uncertain(classifier: Classifier, folder: Path, picture: np.ndarray) -> bool:
    file = folder / "picture.png"
    Image.fromarray(picture).save(file)
    reading = read_frame(file, prepare)
    return classifier.classify(reading.views, reading.coloured_share).uncertain


def _shares(rows: list[tuple[str, bool]]) -> dict[str, float]:
    by_kind = defaultdict(list)
    for kind, uncertain in rows:
        by_kind[kind].append(uncertain)
    return {kind: float(np.mean(each)) for kind, each in by_kind.items()}


def of_pictures(classifier: Classifier, count: int) -> dict[str, Any]:
    """Read and classify the pictures, in colour and in grey."""
    in_colour, in_grey = [], []
    with tempfile.TemporaryDirectory() as folder:
        for kind, picture in pictures(count):
            in_colour.append((kind, _uncertain(classifier, Path(folder), picture)))
            grey = np.asarray(Image.fromarray(picture).convert("L"))
            in_grey.append((kind, _uncertain(classifier, Path(folder), grey)))
    samples = [row for row in in_colour if row[0].startswith("sample, ")]
    return {
        "pictures": len(in_colour),
        "uncertain": float(np.mean([row[1] for row in in_colour])),
        "uncertain_in_grey": float(np.mean([row[1] for row in in_grey])),
        "samples": len(samples),
        "samples_uncertain": float(np.mean([row[1] for row in samples])) if samples else None,
        "by_kind": _shares(in_colour),
        "by_kind_in_grey": _shares(in_grey),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    classifier = Classifier.load()
    found = of_pictures(classifier, options.pictures)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    print(
        f"{found['pictures']} pictures: {found['uncertain']:.1%} uncertain; without colour {found['uncertain_in_grey']:.1%}"
    )
    if found["samples"]:
        print(f"of these {found['samples']} from packages' samples: {found['samples_uncertain']:.1%} uncertain")
    print(f"\n{'kind':28} {'uncertain':>9} {'in grey':>8}")
    for kind, share in found["by_kind"].items():
        print(f"{kind:28} {share:9.2f} {found['by_kind_in_grey'][kind]:8.2f}")


if __name__ == "__main__":
    main()
