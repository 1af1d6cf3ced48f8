"""
Engines: what runs the Xception network. Heavy libraries are imported when an engine is opened, never before.

A new engine is one class with `Engine`'s members and one line in `ENGINES`; ``tests/contract/test_engines.py`` runs over all.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import platformdirs

from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES, NETWORK_SIDE_PX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

    from emwatch.classify.bundles.bundle import Bundle

#: Parameters of Xception without its top, as in Keras' own summary.
BACKBONE_PARAMETERS: Final = 20_861_480

#: The first stretch of every embedding: the network's global average, 2048 numbers, which the softmax layer of the
#: original network takes.
AVERAGE: Final = "average"
#: After a depth's name: the standard deviation over the picture instead of the average.
SPREAD: Final = "spread"

#: Depths whose averages and standard deviations over the picture make an embedding, each after its ReLU, with their
#: channels; from the last to the first. ``add_N`` is the N-th of the network's twelve additions.
DEPTHS: Final = MappingProxyType(
    {
        "block14_2": 2048,
        "block14_1": 1536,
        "add_11": 1024,
        "add_10": 728,
        "add_9": 728,
        "add_7": 728,
        "add_5": 728,
        "add_3": 728,
        "add_2": 728,
        "add_1": 256,
        "add_0": 128,
        "block1": 64,
    }
)


def _outputs_of_depths() -> dict[str, int]:
    """Return the names and widths of an embedding's stretches: all averages, the global one first, then all spreads."""
    names = [AVERAGE, *(f"{name} average" for name in list(DEPTHS)[1:]), *(f"{name} {SPREAD}" for name in DEPTHS)]
    return dict(zip(names, [*DEPTHS.values()] * 2, strict=True))


#: The stretches of the embedding of a backbone that is made today, in order, with their widths: 18,848 in all.
OUTPUTS: Final = MappingProxyType(_outputs_of_depths())


class Engine(Protocol):
    """What the rest of the classifier knows of a network runtime. Used by one thread at a time."""

    @property
    def features(self) -> int:
        """Return the width of an embedding."""
        ...

    def embed(self, views: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn views (n, 170, 170), grey 0..255, into embeddings (n, features), float32, each row on its own."""
        ...


class LiteRtEngine:
    """The bundle's ``backbone.tflite`` in LiteRT: ready in a fifth of a second, about 80 MB, no TensorFlow."""

    def __init__(self, content: bytes, features: int, threads: int, path: Path) -> None:
        # From the verified bytes, not from ``path``, which only serves messages: what runs is what was hashed. LiteRT
        # copies a file into memory as well, so this costs nothing.
        try:
            from ai_edge_litert.interpreter import Interpreter

            with _without_notices():
                self._interpreter: Any = Interpreter(model_content=content, num_threads=threads)
                self._interpreter.allocate_tensors()
        except ImportError as error:
            raise ModelError(
                f"the litert engine needs the package ai-edge-litert: {error}. Reinstall emwatch."
            ) from error
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"{path} cannot be run by LiteRT: {error}. Make it again with 'emwatch model build'."
            ) from error
        [taken], [given] = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        expected = ([1, NETWORK_SIDE_PX, NETWORK_SIDE_PX, 3], [1, features])
        if (found := (taken["shape"].tolist(), given["shape"].tolist())) != expected:
            raise ModelError(
                f"{path} takes and gives {found}, the card says {expected}. Make it again with 'emwatch model build'."
            )
        self._input, self._output = taken["index"], given["index"]
        self.features = features

    def embed(self, views: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Run one view after the other: a batch gains nothing on a few cores and its buffers stay for good."""
        embeddings = np.empty((len(views), self.features), dtype=np.float32)
        for row, view in enumerate(network_input(views)):
            self._interpreter.set_tensor(self._input, view[np.newaxis])
            self._interpreter.invoke()
            embeddings[row] = self._interpreter.get_tensor(self._output)[0]
        return embeddings


class KerasEngine:
    """
    The same network in Keras, float32, built in code (extra ``train``): the reference for the other engines.

    Its weights are not in the bundle (83 MB); they are where `imagenet_weights_path` says, put there by
    ``emwatch model build``, and must have the sha256 of the card.
    """

    def __init__(self, bundle: Bundle, threads: int) -> None:
        path = imagenet_weights_path()
        if not path.is_file():
            raise ModelError(
                f"{path} is missing: the keras engine needs the weights that 'emwatch model build' puts there"
            )
        limit_tensorflow(threads)
        network = build_xception()
        try:
            network.load_weights(path)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(
                f"{path} holds no Xception weights: {error}. Delete it and run 'emwatch model build'."
            ) from error
        found, expected = weights_sha256(network), bundle.card["backbone"]["weights_sha256"]
        if found != expected:
            raise ModelError(
                f"{path} holds other weights than the bundle: expected sha256 {expected}, found {found}. A bundle that was "
                "trained here has its own beside it: name its xception.weights.h5 in EMWATCH_XCEPTION_WEIGHTS."
            )
        self._network = embedding_network(network, [output.name for output in bundle.outputs])
        self.features: int = bundle.features

    def embed(self, views: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Run one view after the other, so that a view's embedding never depends on its neighbours."""
        rows = [np.asarray(self._network(view[np.newaxis], training=False)) for view in network_input(views)]
        return np.concatenate(rows).astype(np.float32)


class StubEngine:
    """
    No network: the "embedding" is ten numbers that say how near the mean grey is to the middle of each tenth of 0..255.

    For tests of everything around the model: a frame of mean grey 0..25.5 becomes the first category, and so on, at
    once and the same on every machine. Only `Classifier` with ``engine="stub"`` uses it, with a head to match.
    """

    features: int = len(CATEGORIES)

    def embed(self, views: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return scores (n, 10): minus the distance to the middle of each tenth, in tenths."""
        tenths = views.reshape(len(views), -1).mean(axis=1, dtype=np.float64) / 25.5
        middles = np.arange(len(CATEGORIES)) + 0.5
        nearness: npt.NDArray[np.float32] = -np.abs(tenths[:, np.newaxis] - middles).astype(np.float32)
        return nearness


def _litert(bundle: Bundle, threads: int) -> Engine:
    return LiteRtEngine(bundle.backbone, bundle.features, threads, bundle.directory / "backbone.tflite")


#: Engines that run a bundle's backbone, by the name used in the configuration.
ENGINES: Final[Mapping[str, Callable[[Bundle, int], Engine]]] = MappingProxyType(
    {"litert": _litert, "keras": KerasEngine}
)


def network_input(views: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scale views (n, 170, 170), 0..255, to what Xception was trained on: (n, 170, 170, 3), -1..1."""
    scaled = (views / np.float32(127.5) - np.float32(1))[..., np.newaxis]
    return np.ascontiguousarray(np.broadcast_to(scaled, (*views.shape, 3)), dtype=np.float32)


def imagenet_weights_path() -> Path:
    """Return the path of the ImageNet weights that ``emwatch model build`` stores for the keras engine (``EMWATCH_XCEPTION_WEIGHTS``)."""
    named = os.environ.get("EMWATCH_XCEPTION_WEIGHTS")
    return Path(named) if named else Path(platformdirs.user_cache_dir("emwatch")) / "xception-imagenet.weights.h5"


def build_xception() -> Any:
    """
    Build Xception without its top in code, without weights: (n, 170, 170, 3) in, (n, 6, 6, 2048) out.

    Raises `ModelError` if TensorFlow is not installed.
    """
    side = NETWORK_SIDE_PX
    return the_keras().applications.Xception(include_top=False, weights=None, input_shape=(side, side, 3))


def the_keras() -> Any:
    """
    Import Keras on TensorFlow: four seconds and 1 GB, so only training and the keras engine do.

    Raises `ModelError` if they are not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with _without_notices():
            import keras
            import tensorflow as tf

            tf.config.list_physical_devices()  # where there is no GPU, it says so now
    except ImportError as error:
        raise ModelError(
            f"this needs TensorFlow and Keras: {error}. Install them: pip install 'emwatch[train]'"
        ) from error
    return keras


def embedding_network(network: Any, outputs: list[str], batch: int | None = None) -> Any:
    """
    Return a Keras network that shares the weights of `build_xception`'s and has the named stretches side by side.

    A stretch is named as in `OUTPUTS`, or ``add_N`` alone: the average before the ReLU, as in bundles of emwatch 0.1.
    """
    import keras

    wanted = [_depth_of(name) for name in outputs]
    depths = list(dict.fromkeys(depth for depth, _, _ in wanted))
    maps = keras.Model(network.input, [_feature_map(network, depth) for depth in depths])
    views = keras.Input((NETWORK_SIDE_PX, NETWORK_SIDE_PX, 3), batch_size=batch)
    found = maps(views)
    at = dict(zip(depths, found if isinstance(found, list) else [found], strict=True))
    rectified = {depth: keras.ops.relu(at[depth]) for depth, relu, _ in wanted if relu}
    averages = {depth: keras.layers.GlobalAveragePooling2D()(each) for depth, each in rectified.items()}
    ends = []
    for depth, relu, spread in wanted:
        if not relu:
            ends.append(keras.layers.GlobalAveragePooling2D()(at[depth]))
        elif not spread:
            ends.append(averages[depth])
        else:
            squares = keras.layers.GlobalAveragePooling2D()(keras.ops.square(rectified[depth]))
            variance = squares - keras.ops.square(averages[depth])
            ends.append(keras.ops.sqrt(keras.ops.relu(variance)))
    return keras.Model(views, keras.layers.Concatenate()(ends) if len(ends) > 1 else ends[0])


def _depth_of(output: str) -> tuple[str, bool, bool]:
    """Return the depth that a stretch is taken from, whether after its ReLU, and whether it is its spread."""
    if output == AVERAGE:
        return next(iter(DEPTHS)), True, False
    depth, _, what = output.partition(" ")
    return depth, bool(what), what == SPREAD


def _feature_map(network: Any, depth: str) -> Any:
    """Return the Keras tensor (n, height, width, channels) of a depth of `DEPTHS`; of additions before their ReLU."""
    import keras

    if depth.startswith("add_"):
        additions = [layer for layer in network.layers if isinstance(layer, keras.layers.Add)]
        return additions[int(depth.removeprefix("add_"))].output
    named = {"block14_2": "block14_sepconv2_act", "block14_1": "block14_sepconv1_act", "block1": "block1_conv2_act"}
    return network.get_layer(named[depth]).output


def weights_sha256(network: Any) -> str:
    """Return the sha256 of a Keras network's weights: every array in its order, as little-endian float32."""
    digest = hashlib.sha256()
    for array in network.get_weights():
        digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return digest.hexdigest()


def limit_tensorflow(threads: int) -> None:
    """
    Let TensorFlow compute with so many threads: before anything is built, since it takes no other number once it runs.

    Where it runs already it keeps what it has. Its results do not depend on the number. Raises `ModelError` where
    TensorFlow is not installed.
    """
    the_keras()
    import tensorflow as tf

    with suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


_NOTICES: Final = (b"INFO:", b"W0000", b"I0000", b"WARNING: All log messages before absl")


@contextmanager
def _without_notices() -> Iterator[None]:
    """
    Keep what C++ libraries tell of themselves off stderr, which is for the operator; anything else still shows.

    LiteRT says "INFO: Created delegate"; TensorFlow that it uses oneDNN, and that it found no GPU, as an error.
    """
    if sys.stderr is None:  # a service without any: there is nothing to keep clean
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            for line in caught:
                if not (line.startswith(_NOTICES) or b"failed call to cuInit" in line):
                    os.write(2, line)
