"""The networks that are trained here: Xception with the ten-way softmax on its global average, and the small baseline."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal

from emwatch.classify.backbone import build_xception, imagenet_weights_path, the_keras
from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES, NETWORK_SIDE_PX
from emwatch.train.network.imagenet import imagenet_xception

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Xception's blocks are numbered 1 to 14, as in the names of its layers.
BLOCKS: Final = 14


def xception_base(weights: Path | Literal["none"] | None, seed: int, say: Callable[[str], None]) -> tuple[Any, str]:
    """
    Return Xception without its top, and a sentence about the origin of its weights.

    ``weights``: a file with the ImageNet weights, ``None`` for those kept here or fetched, "none" to draw them from ``seed``.
    Raises `ModelError`.
    """
    if isinstance(weights, str):
        the_keras().utils.set_random_seed(seed)
        return build_xception(), f"drawn from seed {seed}"
    kept = imagenet_weights_path()
    return imagenet_xception(kept if weights is None and kept.is_file() else weights, say)


def with_softmax(base: Any, seed: int) -> Any:
    """Put the global average and the ten-way softmax on top: 20,881,970 parameters in all, 20,490 of them the softmax."""
    keras = the_keras()
    average = keras.layers.GlobalAveragePooling2D(name="average")(base.output)
    start = keras.initializers.GlorotUniform(seed=seed)
    # Always float32, also under mixed precision: probabilities near 0 and 1 need it.
    scores = keras.layers.Dense(
        len(CATEGORIES), activation="softmax", kernel_initializer=start, dtype="float32", name="scores"
    )(average)
    return keras.Model(base.input, scores, name="xception")


def simple_cnn(seed: int) -> Any:
    """Build the original's baseline: two convolutions of 32, pooling, dropout, a layer of 128, dropout, softmax."""
    keras = the_keras()
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    side = NETWORK_SIDE_PX
    return keras.Sequential(
        [
            keras.Input((side, side, 3)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(len(CATEGORIES), activation="softmax", name="scores"),
        ],
        name="simple-cnn",
    )


def train_from_block(network: Any, block: int, *, freeze_normalisation: bool = False) -> None:
    """
    Let the layers learn from this block on, and nothing before it; ``BLOCKS + 1``: the softmax alone.

    ``freeze_normalisation`` keeps every batch normalisation as it is, in learned blocks too: statistics of a few
    hundred frames are worse than ImageNet's. Takes effect when the network is compiled.
    """
    if not 1 <= block <= BLOCKS + 1:
        raise ModelError(
            f"Xception has no block {block}: expected 1 to {BLOCKS}, or {BLOCKS + 1} for the softmax alone"
        )
    keras = the_keras()
    names = [layer.name for layer in network.layers]
    first = next((at for at, name in enumerate(names) if name.startswith(f"block{block}_")), names.index("average"))
    for at, layer in enumerate(network.layers):
        frozen = freeze_normalisation and isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = at >= first and not frozen


def block_of_each(network: Any) -> list[int]:
    """Return the block of each layer; layers without a number, such as shortcuts, belong to the block they stand in."""
    blocks, block = [], 1
    for layer in network.layers:
        if layer.name.startswith("block"):
            block = int(layer.name[len("block") :].split("_")[0])
        elif layer.name == "average":
            block = BLOCKS + 1
        blocks.append(block)
    return blocks


def trainable_parameters(network: Any) -> int:
    """Count the numbers that training may change, as Keras' summary does."""
    return sum(math.prod(variable.shape) for variable in network.trainable_variables)
