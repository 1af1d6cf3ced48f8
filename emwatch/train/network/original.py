"""
The recipe of the work that emwatch follows, as its logs and figures tell it: the yardstick for anything better.

Xception from ImageNet; for 5 epochs only the softmax learns, then block 14 with it; RMSprop; batches of 16; nearest
neighbour pixels of the whole frame, its data bar included; the epoch of the least validation loss is kept. Or its baseline,
a small network of two convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
from PIL import Image

from emwatch.classify.backbone import limit_tensorflow, the_keras
from emwatch.errors import ModelError
from emwatch.frame import NETWORK_SIDE_PX
from emwatch.train.dataset.labelled import Part, write_manifest
from emwatch.train.network.augment import ORIGINAL
from emwatch.train.network.batches import Batches
from emwatch.train.network.export import ExportOrder, export
from emwatch.train.network.loop import Course, Phase, constant, train
from emwatch.train.network.networks import (
    BLOCKS,
    simple_cnn,
    train_from_block,
    with_softmax,
    xception_base,
)
from emwatch.train.network.results import outcome
from emwatch.train.network.run_folder import RunFolder, RunOrder
from emwatch.train.network.views import by_part, decoded, fingerprint, opened

if TYPE_CHECKING:
    import numpy.typing as npt

    from emwatch.train.dataset.labelled import LabelledFrame
    from emwatch.train.network.views import Ears

WARM_UP_RATE: Final = 1e-3
#: What learns after the warm-up, and how fast: as in the family of scripts that the original's belongs to.
FINE_TUNED_FROM_BLOCK: Final = BLOCKS
FINE_TUNING_RATE: Final = 1e-4


@dataclass(frozen=True, slots=True)
class OriginalOrder(RunOrder):
    """What to train on, and how. The defaults are the original's, but for the split by source."""

    recipe: ClassVar = "original"

    network: Literal["xception", "simple-cnn"] = "xception"
    epochs: int = 20
    warm_up: int = 5
    antialias: bool = False


def train_original(order: OriginalOrder, ears: Ears) -> dict[str, Any]:
    """Train, keep the best weights, export Xception as a bundle, and return the report. Raises `ModelError`, `DatasetError`."""
    if order.network == "xception" and order.warm_up > order.epochs:
        raise ModelError(f"{order.warm_up} warm-up epochs of {order.epochs} in all: expected no more than all")
    limit_tensorflow(order.threads)
    folder = RunFolder(order.out)
    resume = folder.check(order.settings(), must_resume=order.resume)
    frames, parts = opened(order.dataset, order.by, order.seed, ears)
    network, origin = _network(order, ears)  # before the frames are read, since its weights may be missing
    pixels = partial(squashed, antialias=order.antialias)
    material = by_part(frames, parts, decoded(frames, pixels, order.threads, ears))
    folder.start(order.settings(), fingerprint(material), resume=resume)
    write_manifest(folder.manifest, [replace(frame, part=part) for frame, part in zip(frames, parts, strict=True)])
    _summarise(network, folder, order.network == "xception")
    batches = Batches(
        material[Part.TRAINING],
        np.ones(len(material[Part.TRAINING]), dtype=np.float32),
        ORIGINAL,
        order.batch,
        order.seed,
    )
    course = Course(_phases(order), batches, material[Part.VALIDATION], between_states=order.save_every)
    progress = train(network, course, folder, ears.standing, resume=resume)
    report = outcome(order, network, folder, progress, frames, parts, material)
    if order.network == "xception":
        report["bundle"] = export(
            ExportOrder(
                folder, "original", order.threads, order.seed, origin, _training_facts(order, progress.best_epoch)
            ),
            network,
            frames,
            parts,
            ears,
        )
    folder.finish(report)
    return report


def squashed(frame: LabelledFrame, *, antialias: bool) -> npt.NDArray[np.uint8]:
    """Return a whole frame as (1, 170, 170), squashed to a square; without ``antialias`` 19 of 20 pixels are dropped."""
    way = Image.Resampling.BILINEAR if antialias else Image.Resampling.NEAREST
    small = Image.fromarray(frame.grey()).resize((NETWORK_SIDE_PX, NETWORK_SIDE_PX), way)
    return np.asarray(small)[np.newaxis]


def _network(order: OriginalOrder, ears: Ears) -> tuple[Any, str]:
    if order.network == "simple-cnn":
        return simple_cnn(order.seed), f"drawn from seed {order.seed}"
    base, origin = xception_base(order.weights, order.seed, ears.say)
    return with_softmax(base, order.seed), origin


def _phases(order: OriginalOrder) -> list[Phase]:
    if order.network == "simple-cnn":
        return [Phase("training", order.epochs, partial(_compile, None), constant(WARM_UP_RATE))]
    rest = order.epochs - order.warm_up
    return [
        Phase("warm-up", order.warm_up, partial(_compile, BLOCKS + 1), constant(WARM_UP_RATE)),
        Phase("fine-tuning", rest, partial(_compile, FINE_TUNED_FROM_BLOCK), constant(FINE_TUNING_RATE)),
    ]


def _compile(from_block: int | None, network: Any) -> None:
    if from_block is not None:
        train_from_block(network, from_block)
    network.compile(the_keras().optimizers.RMSprop(WARM_UP_RATE), "categorical_crossentropy", metrics=["accuracy"])


def _summarise(network: Any, folder: RunFolder, warm_up: bool) -> None:
    """Write Keras' own summary of the network, as the first phase trains it."""
    if warm_up:
        train_from_block(network, BLOCKS + 1)
    lines: list[str] = []
    network.summary(print_fn=lines.append)
    folder.summary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _training_facts(order: OriginalOrder, best_epoch: int) -> dict[str, Any]:
    return {
        "recipe": "original: nearest neighbour pixels of the whole frame; the bundle is evaluated and used with emwatch's own"
        if not order.antialias
        else "original with antialiased pixels of the whole frame; the bundle is evaluated and used with emwatch's own",
        "seed": order.seed,
        "epochs": order.epochs,
        "warm_up_epochs": order.warm_up,
        "best_epoch": best_epoch,
    }
