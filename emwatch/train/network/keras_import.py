"""
A classifier that Keras saved becomes a bundle: its numbers go into the network that is built here, and nothing else of it.

Accepted is Xception without its top, a global average, and one softmax over ten classes, as the original was saved.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from emwatch.classify.backbone import (
    BACKBONE_PARAMETERS,
    OUTPUTS,
    LiteRtEngine,
    build_xception,
    limit_tensorflow,
    network_input,
    weights_sha256,
)
from emwatch.classify.bundles.bundle import BACKBONE, HEAD
from emwatch.classify.classifier import golden_drawing
from emwatch.classify.head import AVERAGE_FEATURES, Head, softmax
from emwatch.classify.preprocess import prepare
from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES, NETWORK_SIDE_PX
from emwatch.train.evaluate.evaluate import LEARNED_FROM, NOT_KNOWN
from emwatch.train.heads.calibration import Calibration
from emwatch.train.heads.drawn import drawn_frames
from emwatch.train.network.bundle_files import write_bundle
from emwatch.train.network.card import backbone_facts, card
from emwatch.train.network.convert import to_tflite
from emwatch.train.network.keras_arrays import SavedClassifier, StoredArray, stored_classifier

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from emwatch.classify.bundles.store import BundleStore, Kept

#: How pixels were scaled for the classifier, as (factor, offset) from the -1..1 that the network here is given.
INPUT_RANGES: Final = {"-1..1": (1.0, 0.0), "0..1": (0.5, 0.5), "0..255": (127.5, 127.5)}

_DRAWN_PER_CATEGORY: Final = 5
_OWN_NUMBER: Final = re.compile(r"(conv2d|batch_normalization)(?:_(\d+))?")


@dataclass(frozen=True, slots=True)
class ImportOrder:
    """
    What to import, and facts that its file lacks.

    ``labels``: its classes in their order; ``sha256``: what the file must have, if known.
    """

    source: Path
    name: str
    labels: tuple[str, ...] = CATEGORIES
    input_range: str = "-1..1"
    sha256: str | None = None
    weight_type: str = "pointwise-int8"
    uncertain_below: float = 0.5
    threads: int = 2


def import_classifier(order: ImportOrder, store: BundleStore, say: Callable[[str], None]) -> Kept:
    """
    Make a bundle of a classifier that Keras saved, measure how far it says the same, and keep it in the store.

    Raises `ModelError`, leaving the store as it was.
    """
    if sorted(order.labels) != sorted(CATEGORIES):
        raise ModelError(f"--labels must name each of {', '.join(CATEGORIES)} once, in the order of the file's classes")
    limit_tensorflow(order.threads)
    base = build_xception()
    with stored_classifier(order.source) as stored:
        if order.sha256 is not None and stored.sha256 != order.sha256.lower():
            raise ModelError(
                f"{order.source} is not the file that was meant: expected sha256 {order.sha256}, found {stored.sha256}"
            )
        slopes, bias = _filled(base, stored, order.source)
    _fold_range(base, order.input_range)
    columns = [order.labels.index(name) for name in CATEGORIES]
    early = np.zeros((sum(OUTPUTS.values()) - AVERAGE_FEATURES, len(CATEGORIES)), dtype=np.float32)
    head = Head(slopes[:, columns], bias[columns], early, 1.0)
    say(f"{order.source}: {BACKBONE_PARAMETERS + head.weights.size + head.bias.size:,} parameters read by name")
    backbone = to_tflite(base, list(OUTPUTS), order.weight_type)
    engine = LiteRtEngine(backbone, head.features, order.threads, order.source.with_name(BACKBONE))
    say("comparing with Keras on drawn frames")
    made = {
        **card(
            order.name,
            _backbone_facts(order, base),
            head,
            Calibration(head.temperature, order.uncertain_below),
            {"imported_from": order.source.name, "sha256": stored.sha256},
            {"protocol": "none: imported, and not evaluated here; probabilities are as trained, not calibrated"},
            head.probabilities(engine.embed(prepare(golden_drawing())).mean(axis=0)),
        ),
        "imported": {
            "taught_on_these_pixels": False,
            "trained_side_px": stored.input_side_px,
            "input_range": order.input_range,
            "labels_in_file": list(order.labels),
            "parity": _parity(base, engine, head),
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        written = write_bundle(Path(folder) / "bundle", {BACKBONE: backbone, HEAD: head.to_bytes()}, made)
        return store.add(written.directory)


def _filled(
    base: Any, stored: SavedClassifier, source: Path
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Put the stored numbers into the network; return the softmax's (2048, classes) and (classes,), which are ten."""
    left = dict(stored.arrays)
    names = _names_in_file(base, stored, source)
    for layer in base.layers:
        if layer.weights:
            wanted = [(weight.path.rpartition("/")[2], tuple(weight.shape)) for weight in layer.weights]
            arrays = [_taken(left, names.get(layer.name, layer.name), *each, source) for each in wanted]
            layer.set_weights(arrays)
    dense = [layer for layer, array in left if array == "kernel"]
    if len(dense) != 1 or sorted(left) != [(dense[0], "bias"), (dense[0], "kernel")]:
        more = ", ".join(sorted({layer for layer, _ in left})) or "none"
        raise ModelError(
            f"{source}: beside Xception has the layers {more}, expected one: a softmax over ten classes on the global average"
        )
    _check_softmax(left[dense[0], "kernel"], stored, source)
    classes = len(CATEGORIES)
    kernel = _taken(left, dense[0], "kernel", (AVERAGE_FEATURES, classes), source)
    return kernel, _taken(left, dense[0], "bias", (classes,), source)


def _check_softmax(kernel: StoredArray, stored: SavedClassifier, source: Path) -> None:
    if len(kernel.shape) == 2 and kernel.shape[1] != len(CATEGORIES):
        raise ModelError(
            f"{source}: tells {kernel.shape[1]} classes apart, expected the {len(CATEGORIES)} of emwatch: {', '.join(CATEGORIES)}"
        )
    if stored.activation not in {"softmax", "linear"}:  # linear: trained "from logits", so a softmax follows
        raise ModelError(f"{source}: its last layer ends in {stored.activation!r}, expected a softmax over ten classes")


def _taken(
    left: dict[tuple[str, str], StoredArray], layer: str, name: str, shape: tuple[int, ...], source: Path
) -> npt.NDArray[np.float32]:
    """Take one array, read only when its shape is right: a shape that is a bomb never is."""
    stored = left.pop((layer, name), None)
    if stored is None:
        raise ModelError(
            f"{source}: has no {layer}/{name}: expected all of Xception without its top, and a softmax on it"
        )
    if stored.shape != shape:
        raise ModelError(f"{source}: {layer}/{name} has shape {stored.shape}, expected {shape}")
    array = stored.read()
    if not np.isfinite(array).all():
        raise ModelError(f"{source}: {layer}/{name} holds values that are no numbers")
    return array


def _names_in_file(base: Any, stored: SavedClassifier, source: Path) -> dict[str, str]:
    """Match the four shortcuts that Keras numbers as it goes (``conv2d_7``), in the order of their numbers."""
    here, there = (
        _by_kind(names) for names in ([layer.name for layer in base.layers], {name for name, _ in stored.arrays})
    )
    for kind, mine in here.items():
        if len(there.get(kind, [])) != len(mine):
            raise ModelError(
                f"{source}: has {len(there.get(kind, []))} layers '{kind}' without a name of their own, Xception has {len(mine)}"
            )
    return {name: other for kind, mine in here.items() for name, other in zip(mine, there[kind], strict=True)}


def _by_kind(names: Any) -> dict[str, list[str]]:
    found: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        if match := _OWN_NUMBER.fullmatch(name):
            found.setdefault(match[1], []).append((int(match[2] or 0), name))
    return {kind: [name for _, name in sorted(numbered)] for kind, numbered in found.items()}


def _fold_range(base: Any, input_range: str) -> None:
    """
    Change the first layers to accept -1..1 if the classifier was trained on another range.

    The first convolution has no bias and no padding, so convolving a*x + b is a times convolving x plus b times the sum of
    the kernel, and the normalisation after it subtracts a mean: exact.
    """
    factor, offset = INPUT_RANGES[input_range]
    first, norm = base.get_layer("block1_conv1"), base.get_layer("block1_conv1_bn")
    [kernel] = first.get_weights()
    gamma, beta, mean, variance = norm.get_weights()
    first.set_weights([kernel * np.float32(factor)])
    norm.set_weights([gamma, beta, mean - np.float32(offset) * kernel.sum(axis=(0, 1, 2)), variance])


def _parity(base: Any, engine: LiteRtEngine, head: Head) -> dict[str, Any]:
    """
    Compare what is shipped with Keras on drawn frames, and see what other pixels than emwatch's would have changed.

    "Squashed" is how the original saw a frame: all of it pressed into the square, by its nearest pixels.
    """
    drawings = [frame.draw() for frame in drawn_frames(_DRAWN_PER_CATEGORY, 0)]
    views = np.concatenate([prepare(drawing) for drawing in drawings])
    reference = _in_keras(base, head, views)
    found = head.probabilities(engine.embed(views))
    squashed = _in_keras(base, head, np.stack([_squashed(drawing) for drawing in drawings]))
    return {
        "frames": f"{len(views)} drawn, on emwatch's pixels",
        "same_category": _same(reference, found),
        "largest_difference_of_a_score": round(float(np.abs(reference - found).max()), 5),
        "same_category_on_squashed_pixels": _same(reference, squashed),
    }


def _same(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    return round(float((one.argmax(axis=1) == other.argmax(axis=1)).mean()), 4)


def _in_keras(base: Any, head: Head, views: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the float network's own scores (n, 10) of views (n, 170, 170)."""
    maps = [np.asarray(base(view[np.newaxis], training=False)) for view in network_input(views)]
    averages = np.concatenate(maps).mean(axis=(1, 2), dtype=np.float64)
    return softmax(averages @ head.weights + head.bias)


def _squashed(drawing: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    side = (NETWORK_SIDE_PX, NETWORK_SIDE_PX)
    return np.asarray(Image.fromarray(drawing).resize(side, Image.Resampling.NEAREST), dtype=np.float32)


def _backbone_facts(order: ImportOrder, base: Any) -> dict[str, Any]:
    return backbone_facts(
        order.weight_type,
        weights_sha256(base),
        OUTPUTS,
        weights_from=order.source.name,
        provenance=f"imported from {order.source.name}",
        licence="as its maker says; not known here",
        **{LEARNED_FROM: NOT_KNOWN},
    )
