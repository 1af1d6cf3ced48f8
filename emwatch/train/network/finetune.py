"""
Fine-tuning as one would today: first the softmax alone, by regression, then the last blocks, slowly and the deeper the slower.

A softmax of random numbers would send noise into the blocks below it in its first epochs and spoil what ImageNet gave them,
most of all for instruments that are not in the training part (Kumar et al. 2022, arXiv:2202.10054). What comes out is never
worse on the validation part than the regression that it began with: that counts as epoch 0.
"""

from __future__ import annotations

import math
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from emwatch.classify.backbone import limit_tensorflow, network_input, the_keras
from emwatch.classify.preprocess import prepare
from emwatch.frame import CATEGORIES
from emwatch.train.dataset.labelled import Part, write_manifest
from emwatch.train.heads.data_bars import with_drawn_bar, without_bar
from emwatch.train.heads.drawn import drawn_frames
from emwatch.train.heads.ridge import fit_affine, source_weights
from emwatch.train.network.augment import LIGHT
from emwatch.train.network.batches import Batches
from emwatch.train.network.export import ExportOrder, export
from emwatch.train.network.loop import Course, Phase, train
from emwatch.train.network.networks import (
    BLOCKS,
    block_of_each,
    train_from_block,
    trainable_parameters,
    with_softmax,
    xception_base,
)
from emwatch.train.network.results import outcome
from emwatch.train.network.run_folder import RunFolder, RunOrder
from emwatch.train.network.views import TrainingFrames, by_part, decoded, fingerprint, opened, sources_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from emwatch.train.dataset.labelled import LabelledFrame
    from emwatch.train.network.views import Ears

#: Share of the batches in which the learning rate rises to its peak; then it falls as a cosine to `_LAST_SHARE` of it.
_RISE: Final = 0.05
_LAST_SHARE: Final = 0.01
#: A rare category counts at most so many times as much as the average one: ten frames stay ten frames.
_MOST_BALANCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class FinetuneOrder(RunOrder):
    """What to train on, and how."""

    recipe: ClassVar = "finetune"

    epochs: int = 20
    from_block: int = BLOCKS - 1
    learning_rate: float = 1e-4
    block_decay: float = 0.7
    label_smoothing: float = 0.1
    patience: int = 5
    drawn: int = 0
    weight_type: str = "pointwise-int8"


def finetune(order: FinetuneOrder, ears: Ears) -> dict[str, Any]:
    """Fine-tune, keep the best weights, export a bundle, and return the report. Raises `ModelError`, `DatasetError`."""
    limit_tensorflow(order.threads)
    folder = RunFolder(order.out)
    resume = folder.check(order.settings(), must_resume=order.resume)
    frames, parts = opened(order.dataset, order.by, order.seed, ears)
    with _precision(ears.say):
        base, origin = xception_base(
            order.weights, order.seed, ears.say
        )  # before the frames are read: it may be missing
        network = with_softmax(base, order.seed)
        material = by_part(frames, parts, decoded(frames, bare_and_barred, order.threads, ears))
        sources = sources_of(frames, parts, Part.TRAINING)
        if order.drawn:
            material[Part.TRAINING], sources = _with_drawn(material[Part.TRAINING], sources, order, ears)
        folder.start(order.settings(), fingerprint(material), resume=resume)
        write_manifest(folder.manifest, [replace(frame, part=part) for frame, part in zip(frames, parts, strict=True)])
        if not resume:
            _regress(network, material[Part.TRAINING], sources, ears)
        batches = Batches(
            material[Part.TRAINING],
            frame_weights(material[Part.TRAINING].categories, sources),
            LIGHT,
            order.batch,
            order.seed,
        )
        phase = Phase("fine-tuning", order.epochs, partial(_compile, order), partial(cosine_rate, order.learning_rate))
        course = Course(
            [phase],
            batches,
            material[Part.VALIDATION],
            order.patience,
            order.save_every,
            from_start=True,
            balanced=True,
        )
        progress = train(network, course, folder, ears.standing, resume=resume)
        report = outcome(order, network, folder, progress, frames, parts, material)
        report["trainable_parameters"] = trainable_parameters(network)
        facts = {**_training_facts(order), "best_epoch": progress.best_epoch}
        exported = ExportOrder(
            folder, "finetuned", order.threads, order.seed, origin, facts, order.weight_type, refit_head=True
        )
        report["bundle"] = export(exported, network, frames, parts, ears)
    folder.finish(report)
    return report


def bare_and_barred(frame: LabelledFrame) -> npt.NDArray[np.uint8]:
    """
    Return the network's views of a frame without its data bar and with another one, (2, 170, 170).

    Which bar depends on the picture alone, so that a resumed run sees the same.
    """
    bare = without_bar(frame.grey())
    random = np.random.default_rng(zlib.crc32(np.ascontiguousarray(bare).data))
    return _views(bare, with_drawn_bar(bare, random))


def _views(*greys: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    views: npt.NDArray[np.uint8] = np.rint(np.concatenate([prepare(grey) for grey in greys])).astype(np.uint8)
    return views


def _with_drawn(
    real: TrainingFrames, sources: list[str], order: FinetuneOrder, ears: Ears
) -> tuple[TrainingFrames, list[str]]:
    """Put drawn frames beside the real ones of the training part; each kind of frame is a source of its own."""
    drawn = drawn_frames(order.drawn, order.seed)
    ears.say(f"drawing {len(drawn):,} frames")
    views = []
    for number, frame in enumerate(drawn, start=1):
        picture = frame.draw()
        views.append(_views(without_bar(picture), picture))
        ears.counting("drawing frames", number, len(drawn))
    categories = np.array([frame.category for frame in drawn], dtype=np.int64)
    both = TrainingFrames(np.concatenate([real.views, np.stack(views)]), np.concatenate([real.categories, categories]))
    return both, [*sources, *(f"drawn {number}" for number in range(len(drawn)))]


def frame_weights(categories: npt.NDArray[np.int64], sources: list[str]) -> npt.NDArray[np.float32]:
    """Weigh frames so that categories count alike, as far as sense goes, and large sources less than their number."""
    counts = np.bincount(categories, minlength=len(CATEGORIES)).astype(np.float64)
    balance = np.minimum(counts[counts > 0].mean() / np.maximum(counts, 1), _MOST_BALANCE)
    weights = balance[categories] * source_weights(sources)
    return np.asarray(weights / weights.mean(), dtype=np.float32)


def cosine_rate(peak: float, done: int, of: int) -> float:
    """Return the learning rate of the batch after ``done`` of ``of``: a short rise, then a cosine down to a hundredth."""
    rise = max(1, round(of * _RISE))
    if done < rise:
        return peak * (done + 1) / rise
    share = (done - rise) / max(1, of - rise)
    return peak * (_LAST_SHARE + (1 - _LAST_SHARE) * (1 + math.cos(math.pi * share)) / 2)


def block_multipliers(network: Any, decay: float) -> list[float]:
    """Return the factor of the learning rate of each trainable variable: 1 at the softmax, ``decay`` a block below."""
    of = {
        id(variable): decay ** (BLOCKS + 1 - block)
        for layer, block in zip(network.layers, block_of_each(network), strict=True)
        for variable in layer.trainable_variables
    }
    return [of[id(variable)] for variable in network.trainable_variables]


def layered_adam(multipliers: list[float]) -> Any:
    """Make Adam with a learning rate for each variable: scaled gradients would not do, as Adam divides by their size."""
    adam = the_keras().optimizers.Adam

    class LayeredAdam(adam):  # type: ignore[misc, valid-type]  # keras has no types
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            super().update_step(gradient, variable, learning_rate * multipliers[self._get_variable_index(variable)])

    return LayeredAdam(global_clipnorm=1.0)


def _compile(order: FinetuneOrder, network: Any) -> None:
    keras = the_keras()
    train_from_block(network, order.from_block, freeze_normalisation=True)
    network.compile(
        layered_adam(block_multipliers(network, order.block_decay)),
        keras.losses.CategoricalCrossentropy(label_smoothing=order.label_smoothing),
        metrics=["accuracy"],
    )


def _regress(network: Any, training: TrainingFrames, sources: list[str], ears: Ears) -> None:
    """Set the softmax to a regularised regression on what the network makes of the training frames unchanged."""
    keras = the_keras()
    average = keras.Model(network.input, network.get_layer("average").output)
    size = 32
    rows = []
    ears.say(f"fitting the softmax to {len(training):,} frames")
    for first in range(0, len(training), size):
        rows.append(average.predict_on_batch(network_input(training.first[first : first + size].astype(np.float32))))
        ears.counting("embedding frames", min(first + size, len(training)), len(training))
    embeddings = np.concatenate(rows).astype(np.float32)
    slopes, bias = fit_affine(embeddings, training.categories, source_weights(sources))
    network.get_layer("scores").set_weights([slopes.astype(np.float32), bias.astype(np.float32)])


@contextmanager
def _precision(say: Callable[[str], None]) -> Iterator[None]:
    """Compute in 16 bits if there is a GPU, which is then twice as fast; processors would be slower."""
    import tensorflow as tf

    keras = the_keras()
    before = keras.config.dtype_policy()
    if tf.config.list_physical_devices("GPU"):
        say("computing on the GPU, in mixed precision")
        keras.config.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _training_facts(order: FinetuneOrder) -> dict[str, Any]:
    return {
        "recipe": "finetune: softmax by regression, then blocks with a cosine schedule; emwatch's own pixels, data bars redrawn",
        "seed": order.seed,
        "drawn_frames_per_category": order.drawn,
        "epochs": order.epochs,
        "from_block": order.from_block,
        "learning_rate": order.learning_rate,
        "block_decay": order.block_decay,
        "label_smoothing": order.label_smoothing,
    }
