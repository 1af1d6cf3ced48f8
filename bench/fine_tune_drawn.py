"""
Does fine-tuning the backbone's last blocks on drawn and open real frames pay? By source, and for learned targets.

    python bench/fine_tune_drawn.py FRAMES --work DIR [--drawn 10000] [--from-block 14] [--epochs 2] [--rate 2e-4]

FRAMES: a folder with ``labels.tsv``. Sources are dealt into two halves. For each half the blocks are trained on all drawn
frames and on the open real frames of the other half, so that nothing it is judged on was seen, by the blocks or by the
head. The same is done with the ImageNet blocks. Judged are the ten categories (a ridge head on the whole
embedding) and learned targets (`average_precision`).

What goes into the trained blocks is computed once and kept in DIR (75 to 180 kB a frame); the blocks are kept after every epoch. Stop
it whenever you like: the same command goes on where it was. Needs the extra ``train`` and the ImageNet weights.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from drawn import RidgeOnce, figures

from emwatch.classify.backbone import build_xception, imagenet_weights_path, network_input
from emwatch.classify.preprocess import prepare
from emwatch.frame import CATEGORIES
from emwatch.train.dataset.labelled import LabelledFrame, labelled_frames
from emwatch.train.heads.data_bars import without_bar
from emwatch.train.heads.drawn import drawn_frames
from emwatch.train.heads.ridge import source_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Indices of the additions whose pooled output is part of the embedding, beside the final average.
_EARLY = (11, 6, 1)
_BATCH = 16
#: Small, as thousands are drawn and the network sees 170 pixels.
_DRAWN_WIDTH_PX = 320
_EXAMPLES = 5


class Activations:
    """What enters the trained blocks, half precision, (frames, ...), and the pooled earlier depths: in files, filled as far as done."""

    def __init__(self, folder: Path, name: str, frames: int, shape: tuple[int, ...], early: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._done_file = folder / f"{name}.done"
        self.spatial = _mapped(folder / f"{name}-spatial.npy", (frames, *shape), np.float16)
        self.early = _mapped(folder / f"{name}-early.npy", (frames, early), np.float32)

    def fill(self, pictures: Sequence[Callable[[], np.ndarray]], run: Callable[[np.ndarray], Any], what: str) -> None:
        """Compute what is missing, a batch at a time."""
        done = int(self._done_file.read_text()) if self._done_file.exists() else 0
        for start in range(done, len(pictures), _BATCH):
            views = np.concatenate([prepare(picture()) for picture in pictures[start : start + _BATCH]])
            spatial, *early = (np.asarray(part) for part in run(network_input(views)))
            stop = start + len(views)
            self.spatial[start:stop] = spatial
            self.early[start:stop] = np.concatenate([part.mean(axis=(1, 2)) for part in early], axis=1)
            if start % (_BATCH * 20) == 0 or stop == len(pictures):
                self.spatial.flush()
                self.early.flush()
                self._done_file.write_text(str(stop))
                _say(f"{what}: {stop} of {len(pictures)}")


def _mapped(path: Path, shape: tuple[int, ...], kind: type) -> np.memmap:
    if path.exists():
        found = np.load(path, mmap_mode="r+")
        if found.shape != shape:
            raise SystemExit(
                f"{path} is of another run ({found.shape}, expected {shape}): delete it or choose another --work"
            )
        return found
    return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)


def average_precision(rows: np.ndarray, categories: np.ndarray, sources: list[str], seed: int) -> dict[str, float]:
    """
    Return how well five example frames find their like: a target is taught by five frames of one source and category.

    All other frames (but those of that source in other categories) are ranked by the cosine to the examples' mean;
    hits are those of the category. The mean over the targets of each category is returned; rows are standardised embeddings.
    """
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    of_source, random = np.array(sources), np.random.default_rng(seed)
    found: dict[str, list[float]] = {}
    for index, name in enumerate(CATEGORIES):
        for source in sorted(set(of_source[categories == index])):
            mine = np.flatnonzero((of_source == source) & (categories == index))
            if len(mine) < _EXAMPLES:
                continue
            examples = random.choice(mine, _EXAMPLES, replace=False)
            rest = np.setdiff1d(np.flatnonzero((of_source != source) | (categories == index)), examples)
            hits = categories[rest] == index
            if not hits.any():
                continue
            ranked = hits[np.argsort(-(unit[rest] @ unit[examples].mean(axis=0)))]
            precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
            found.setdefault(name, []).append(float(precision[ranked].mean()))
    return {name: float(np.mean(values)) for name, values in found.items()}


def halves(sources: list[str], categories: np.ndarray, seed: int) -> np.ndarray:
    """Deal sources into two halves, largest first, so that each half has about its share of every category."""
    random = np.random.default_rng(seed)
    of_source = np.array(sources)
    totals = np.bincount(categories, minlength=len(CATEGORIES))
    shares, half = np.zeros((2, len(CATEGORIES))), np.zeros(len(sources), dtype=int)
    for source in sorted(set(sources), key=lambda name: (-int((of_source == name).sum()), name)):
        mine = of_source == source
        share = np.bincount(categories[mine], minlength=len(CATEGORIES)) / np.maximum(totals, 1)
        cost = ((shares + share) ** 2).sum(axis=1) - (shares**2).sum(axis=1) + random.random(2) * 0.01
        half[mine] = int(np.argmin(cost))
        shares[half[mine][0]] += share
    return half


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def split_network(block: int) -> tuple[Any, Callable[[], Any]]:
    """Return the network up to a block with the earlier depths, and a maker of the rest, with ImageNet weights."""
    import keras

    network = build_xception()
    network.load_weights(imagenet_weights_path())
    additions = [layer for layer in network.layers if isinstance(layer, keras.layers.Add)]
    at = additions[block - 3].output  # the last addition before block 13 is the eleventh, before 14 the twelfth
    head = keras.Model(network.input, [at, *(additions[index].output for index in _EARLY)])

    def rest() -> Any:
        fresh = build_xception()
        fresh.load_weights(imagenet_weights_path())
        adds = [layer for layer in fresh.layers if isinstance(layer, keras.layers.Add)]
        tail = keras.Model(adds[block - 3].output, keras.layers.GlobalAveragePooling2D()(fresh.output))
        for layer in tail.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False  # the statistics of ImageNet: batches here are small
        return tail

    return head, rest


def in_litert(network: Any) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Run a network in LiteRT with 8-bit weights, as the daemon does: twice as fast as Keras."""
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    with contextlib.redirect_stdout(sys.stderr):  # Keras prints hundreds of lines about the export
        content = converter.convert()
    runner = Interpreter(model_content=content, num_threads=2).get_signature_runner()
    [taken] = runner.get_input_details()
    given = sorted(runner.get_output_details(), key=lambda name: int(name.rpartition("_")[2]))

    def run(views: np.ndarray) -> list[np.ndarray]:
        found = [runner(**{taken: view[np.newaxis]}) for view in views]
        return [np.concatenate([each[name] for each in found]) for name in given]

    return run


def train_blocks(
    tail: Any,
    spatial: tuple[np.ndarray, np.ndarray],
    labels: tuple[np.ndarray, np.ndarray],
    weights: np.ndarray,
    options: argparse.Namespace,
    kept: Path,
) -> None:
    """
    Train the blocks with a ten-way softmax on top, on drawn and then real frames (each: activations, categories).

    First a quarter of the frames trains the softmax alone. The rate falls with a cosine. ``weights`` are those of the real frames.
    """
    import keras

    softmax = keras.layers.Dense(len(CATEGORIES), name="categories")
    model = keras.Model(tail.input, softmax(keras.layers.Dropout(0.3)(tail.output)))
    count = (len(labels[0]), len(labels[1]))
    total = sum(count)
    loss_of = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    done = json.loads(kept.with_suffix(".json").read_text())["epochs"] if kept.with_suffix(".json").exists() else 0
    if done:
        model.load_weights(kept)
    for epoch in range(done, options.epochs + 1):
        tail.trainable = epoch > 0
        for layer in tail.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
        model.compile(optimizer=keras.optimizers.Adam(1e-3 if epoch == 0 else options.rate), loss=loss_of)
        order = np.random.default_rng((options.seed, epoch)).permutation(total)
        order = order if epoch else order[: total // 4]
        losses: list[float] = []
        for at in range(0, len(order), _BATCH):
            chosen = np.sort(order[at : at + _BATCH])
            of_drawn, of_real = chosen[chosen < count[0]], chosen[chosen >= count[0]] - count[0]
            batch = np.concatenate([spatial[0][of_drawn], spatial[1][of_real]]).astype(np.float32)
            wanted = np.eye(len(CATEGORIES), dtype=np.float32)[
                np.concatenate([labels[0][of_drawn], labels[1][of_real]])
            ]
            if epoch:
                progress = (epoch - 1 + at / total) / options.epochs
                model.optimizer.learning_rate.assign(options.rate * 0.5 * (1 + np.cos(np.pi * progress)))
            share = np.concatenate([np.ones(len(of_drawn)), weights[of_real]]).astype(np.float32)
            losses.append(float(model.train_on_batch(batch, wanted, sample_weight=share)))
            if at % (_BATCH * 100) == 0:
                _say(f"{kept.stem}, epoch {epoch}: {at} of {total}, loss {np.mean(losses[-100:]):.3f}")
        model.save_weights(kept)
        kept.with_suffix(".json").write_text(json.dumps({"epochs": epoch + 1}))


def _run(tail: Any, spatial: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [
            np.asarray(tail(spatial[at : at + 32].astype(np.float32), training=False))
            for at in range(0, len(spatial), 32)
        ]
    )


def _bare(frame: LabelledFrame) -> np.ndarray:
    return without_bar(frame.grey())


def measure(options: argparse.Namespace) -> dict[str, dict[str, dict[str, float]]]:
    """Return the figures of both backbones: of the categories by source, and of learned targets."""
    from functools import partial

    frames, drawn = labelled_frames(options.frames), drawn_frames(options.drawn // len(CATEGORIES), options.seed)
    head, rest = split_network(options.from_block)
    shape, early = tuple(head.output_shape[0][1:]), sum(part[-1] for part in head.output_shape[1:])
    run = in_litert(head)
    of_real = Activations(options.work, "real", len(frames), shape, early)
    of_drawn = Activations(options.work, "drawn", len(drawn), shape, early)
    of_real.fill([partial(_bare, frame) for frame in frames], run, "real frames")
    of_drawn.fill([partial(frame.draw, _DRAWN_WIDTH_PX) for frame in drawn], run, "drawn frames")
    categories, drawn_categories = (np.array([frame.category for frame in each]) for each in (frames, drawn))
    sources, is_open = [frame.source for frame in frames], np.array([frame.open_licence for frame in frames])
    half = halves(sources, categories, options.seed)
    few = np.random.default_rng(0).permutation(len(drawn))[: options.head_drawn]
    logits = {name: np.zeros((len(frames), len(CATEGORIES))) for name in ("ImageNet", "fine-tuned")}
    precision: dict[str, dict[str, list[float]]] = {name: {} for name in logits}
    for judged in (0, 1):
        taught = np.flatnonzero((half != judged) & is_open)
        mine = np.flatnonzero(half == judged)
        for name, found in logits.items():
            tail = rest()
            if name == "fine-tuned":
                weights = 4 * source_weights([sources[at] for at in taught])
                train_blocks(
                    tail,
                    (of_drawn.spatial, of_real.spatial[taught]),
                    (drawn_categories, categories[taught]),
                    weights,
                    options,
                    options.work / f"half-{judged}-block-{options.from_block}-rate-{options.rate:g}.weights.h5",
                )
            _say(f"judging half {judged}, {name}")
            rows = np.concatenate([_run(tail, of_real.spatial), of_real.early], axis=1)
            more = np.concatenate([_run(tail, of_drawn.spatial[np.sort(few)]), of_drawn.early[np.sort(few)]], axis=1)
            learned = np.concatenate([more, rows[taught]])
            of_learned = np.concatenate([drawn_categories[np.sort(few)], categories[taught]])
            ridge = RidgeOnce(learned, of_learned, rows[mine])
            found[mine] = ridge.logits(np.ones(len(learned), dtype=bool))
            standard = (rows[mine] - more.mean(axis=0)) / np.maximum(more.std(axis=0), 1e-6)
            for seed in range(5):
                each = average_precision(standard, categories[mine], [sources[at] for at in mine], seed)
                for category, value in each.items():
                    precision[name].setdefault(category, []).append(value)
    return {
        "by source": {name: figures(found, categories) for name, found in logits.items()},
        "learned targets": {
            name: {
                "mean": float(np.mean([np.mean(values) for values in each.values()])),
                **{category: float(np.mean(values)) for category, values in each.items()},
            }
            for name, each in precision.items()
        },
    }


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--drawn", type=int, default=10_000)
    parser.add_argument("--from-block", type=int, choices=(13, 14), default=14)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--head-drawn", type=int, default=2000, help="drawn frames that teach the ridge head")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tables = measure(options)
    (options.work / "figures.json").write_text(json.dumps(tables, indent=1))
    for table, columns in tables.items():
        names = list(columns)
        print(f"\n{table:32}" + "".join(f"{name:>12}" for name in names))
        for row in columns[names[0]]:
            print(f"  {row:30}" + "".join(f"{columns[name].get(row, float('nan')):12.3f}" for name in names))


if __name__ == "__main__":
    main()
