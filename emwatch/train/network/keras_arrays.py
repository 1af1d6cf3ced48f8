"""
The arrays of a classifier that Keras saved, by name: read out of HDF5, a ``.keras`` archive or a SavedModel.

Nothing of the file is run, unpickled or built: no ``load_model``. What a file could do instead of holding numbers (links,
virtual or external data, strange filters, absurd shapes, layers that are code) is refused, naming it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.classify.bundles.archive import with_a_short_list
from emwatch.classify.bundles.trusted import open_trusted
from emwatch.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader

    import numpy.typing as npt

#: An fp32 Xception with the state of its optimizer has 250 MB.
_FILE_CAP_BYTES: Final = 512 * 1024**2
_CONFIG_CAP_BYTES: Final = 16 * 1024**2
_LIST_CAP_BYTES: Final = 1024**2
_MOST_OBJECTS: Final = 5000
_DEEPEST: Final = 16
_CHUNK_CAP: Final = 1 << 24
#: deflate, shuffle, fletcher32 (H5Zpublic.h): what HDF5 has built in; any other would be looked for as a library to load.
_FILTERS: Final = frozenset({1, 2, 3})

#: What the layers of an Xception classifier are made of. Anything else computes something else, or is code.
_LAYERS: Final = frozenset(
    [
        "InputLayer",
        "Conv2D",
        "SeparableConv2D",
        "BatchNormalization",
        "Activation",
        "ReLU",
        "MaxPooling2D",
        "Add",
        "Dropout",
        "GlobalAveragePooling2D",
        "Dense",
        "Softmax",
        "Functional",
        "Model",
        "Sequential",
    ]
)
#: How many of those without numbers of their own it has: with other counts it would be another network.
_COUNTS: Final = {"Add": 12, "MaxPooling2D": 4, "GlobalAveragePooling2D": 1}
#: The arrays of each kind of layer, in the order of their numbers in Keras 3's files.
_ARRAYS: Final = {
    "Conv2D": ("kernel",),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Dense": ("kernel", "bias"),
}
ARRAY_NAMES: Final = frozenset(name for names in _ARRAYS.values() for name in names)
_REMEDY: Final = "Ask whoever trained it for a plain file of weights."


@dataclass(frozen=True, slots=True)
class StoredArray:
    """An array still in its file: its shape is known, its content is read once the shape is what is expected."""

    shape: tuple[int, ...]
    read: Callable[[], npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class SavedClassifier:
    """
    A saved classifier: arrays by (layer, array), and its configuration, if there is one.

    ``input_side_px``: of the pictures it was trained on, ``None`` if that is not told.
    """

    arrays: dict[tuple[str, str], StoredArray]
    sha256: str
    input_side_px: int | None = None
    activation: str = "softmax"  #: of its last layer


def is_keras(path: Path) -> bool:
    """Return whether a path looks like something that Keras saved."""
    if path.is_dir():
        return (path / "saved_model.pb").exists() or (path / "variables").is_dir()
    return path.suffix.lower() in {".keras", ".h5", ".hdf5"}


@contextmanager
def stored_classifier(path: Path) -> Iterator[SavedClassifier]:
    """Open a saved classifier for as long as its arrays are read. Raises `ModelError`."""
    try:
        with ExitStack() as stack:
            if path.is_dir():
                stored = _saved_model(path, stack)
            else:
                file = stack.enter_context(open_trusted(path, _REMEDY))
                sha256 = _digest(path, file)
                stored = (_keras_archive if path.suffix.lower() == ".keras" else _hdf5)(path, file, sha256, stack)
            yield stored
    except FileNotFoundError as error:
        raise ModelError(f"{error.filename or path}: no such file") from error
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ModelError(f"{path} cannot be read as a .keras archive: {error}. {_REMEDY}") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, MemoryError) as error:
        # All that HDF5, JSON and TensorFlow's reader raise on damaged files; while arrays are read, too.
        summary = " ".join(str(error).split())[:300]
        raise ModelError(f"{path} cannot be read as a Keras classifier: {summary}. {_REMEDY}") from error


def _digest(path: Path, file: BufferedReader) -> str:
    size = os.fstat(file.fileno()).st_size
    if size > _FILE_CAP_BYTES:
        raise ModelError(f"{path} has {size} bytes, more than any such classifier ({_FILE_CAP_BYTES}). {_REMEDY}")
    found = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    return found


# -- HDF5 -------------------------------------------------------------------------------------------------------


def _hdf5(path: Path, file: BufferedReader, sha256: str, stack: ExitStack) -> SavedClassifier:
    import h5py

    opened = stack.enter_context(h5py.File(file, "r"))
    if "layers" in opened and "model_weights" not in opened:  # weights alone, in Keras 3's layout
        nested = "functional" in _group(path, opened, "layers")
        return SavedClassifier(_numbered(path, opened, _own_layers(nested=nested)), sha256)
    text = opened.attrs.get("model_config")
    side, activation = None, "softmax"
    if text is not None:
        side, activation = _checked_config(path, text)
    root = _group(path, opened, "model_weights") if "model_weights" in opened else opened
    arrays: dict[tuple[str, str], StoredArray] = {}
    for place, array in _walked(path, root):
        layer, name = place[-2] if len(place) > 1 else "", place[-1].removesuffix(":0")
        _put(path, arrays, layer, name, array)
    return SavedClassifier(arrays, sha256, side, activation)


def _keras_archive(path: Path, file: BufferedReader, sha256: str, stack: ExitStack) -> SavedClassifier:
    import h5py

    with zipfile.ZipFile(with_a_short_list(file, _LIST_CAP_BYTES)) as archive:
        config = _member(path, archive, "config.json", _CONFIG_CAP_BYTES)
        weights = _member(path, archive, "model.weights.h5", _FILE_CAP_BYTES)
    side, activation = _checked_config(path, config)
    opened = stack.enter_context(h5py.File(io.BytesIO(weights), "r"))
    return SavedClassifier(_numbered(path, opened, json.loads(config)["config"]["layers"]), sha256, side, activation)


def _member(path: Path, archive: zipfile.ZipFile, name: str, cap: int) -> bytes:
    """Read one member, never unpacking to disk and never more than such a file has."""
    if [each.filename for each in archive.infolist()].count(name) != 1:
        raise ModelError(f"{path} has no {name}, or several: expected what keras 3 saves. {_REMEDY}")
    with archive.open(name) as file:
        content = file.read(cap + 1)
    if len(content) > cap:
        raise ModelError(f"{path}: {name} in it is larger than {cap} bytes, which no such file is. {_REMEDY}")
    return content


def _numbered(path: Path, opened: Any, layers: list[Any]) -> dict[tuple[str, str], StoredArray]:
    """Read Keras 3's layout: a group for each layer named after its class and a count, in it ``vars/0``, ``vars/1``, ..."""
    arrays: dict[tuple[str, str], StoredArray] = {}
    _numbered_layers(path, _group(path, opened, "layers"), layers, arrays, 0)
    return arrays


def _numbered_layers(
    path: Path, group: Any, layers: list[Any], arrays: dict[tuple[str, str], StoredArray], depth: int
) -> None:
    if depth > _DEEPEST:
        raise ModelError(f"{path} nests its layers deeper than any such classifier. {_REMEDY}")
    counts: dict[str, int] = {}
    for layer in layers:
        kind, inner = layer["class_name"], layer["config"]
        stem = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower()
        number = counts.get(stem, 0)
        counts[stem] = number + 1
        place = f"{stem}_{number}" if number else stem
        if "layers" in inner:
            _numbered_layers(path, _group(path, group, place, "layers"), inner["layers"], arrays, depth + 1)
        elif kind in _ARRAYS:
            held = dict(_walked(path, _group(path, group, place, "vars")))
            for at, name in enumerate(_ARRAYS[kind]):
                if (str(at),) in held:
                    _put(path, arrays, inner["name"], name, held[str(at),])


def _own_layers(*, nested: bool) -> list[Any]:
    """Return the layers of the network built here as a file without a configuration has them, Xception as one of them or not."""
    from emwatch.classify.backbone import build_xception

    layers = [{"class_name": type(each).__name__, "config": {"name": each.name}} for each in build_xception().layers]
    dense = {"class_name": "Dense", "config": {"name": "dense"}}
    return [{"class_name": "Functional", "config": {"layers": layers}}, dense] if nested else [*layers, dense]


def _group(path: Path, group: Any, *names: str) -> Any:
    import h5py

    for name in names:
        _refuse_link(path, group, name)
        group = group[name]
        if not isinstance(group, h5py.Group):
            raise ModelError(f"{path}: {group.name} is no group of arrays. {_REMEDY}")
    return group


def _walked(path: Path, root: Any) -> Iterator[tuple[tuple[str, ...], StoredArray]]:
    """Yield every array below a group with its path."""
    import h5py

    left = _MOST_OBJECTS
    waiting: list[tuple[tuple[str, ...], Any]] = [((), root)]
    while waiting:
        place, group = waiting.pop()
        for name in group:
            left -= 1
            if left < 0 or len(place) > _DEEPEST:
                raise ModelError(f"{path} holds more than any such classifier. {_REMEDY}")
            _refuse_link(path, group, name)
            child = group[name]
            if isinstance(child, h5py.Group):
                waiting.append(((*place, name), child))
            elif isinstance(child, h5py.Dataset):
                yield (*place, name), _array(path, child)


def _refuse_link(path: Path, group: Any, name: str) -> None:
    import h5py

    try:
        link = group.get(name, getlink=True)
    except TypeError:  # of a kind that a program defines
        link = None
    if link is not None and isinstance(link, h5py.HardLink):
        return
    if link is None and name not in group:
        raise KeyError(f"{name} is missing")
    kind = "an external link" if isinstance(link, h5py.ExternalLink) else "a link"
    raise ModelError(f"{path}: {group.name.rstrip('/')}/{name} is {kind} to somewhere else, not an array. {_REMEDY}")


def _array(path: Path, dataset: Any) -> StoredArray:
    """Look at an array without reading it: nothing but numbers within this file."""
    if dataset.is_virtual or dataset.external:
        raise ModelError(f"{path}: the numbers of {dataset.name} are in another file. {_REMEDY}")
    creation = dataset.id.get_create_plist()
    if any(creation.get_filter(at)[0] not in _FILTERS for at in range(creation.get_nfilters())):
        raise ModelError(f"{path}: {dataset.name} is packed by a filter that HDF5 has not built in. {_REMEDY}")
    if dataset.chunks is not None and int(np.prod(dataset.chunks, dtype=np.float64)) > _CHUNK_CAP:
        raise ModelError(f"{path}: {dataset.name} has pieces larger than any such array. {_REMEDY}")
    shape = tuple(int(side) for side in dataset.shape or ())

    def read() -> npt.NDArray[np.float32]:
        if dataset.dtype.kind != "f" or dataset.dtype.itemsize > np.dtype(np.float64).itemsize:
            raise ModelError(
                f"{path}: {dataset.name} holds {dataset.dtype}, expected floating-point numbers. {_REMEDY}"
            )
        return np.asarray(dataset[()], dtype=np.float32)

    return StoredArray(shape, read)


def _put(path: Path, arrays: dict[tuple[str, str], StoredArray], layer: str, name: str, array: StoredArray) -> None:
    if name not in ARRAY_NAMES:
        raise ModelError(
            f"{path}: has an array {layer}/{name}, which no layer of an Xception classifier has. {_REMEDY}"
        )
    if (layer, name) in arrays:
        raise ModelError(f"{path}: has {layer}/{name} twice. {_REMEDY}")
    arrays[layer, name] = array


# -- the configuration ------------------------------------------------------------------------------------------


def _checked_config(path: Path, text: object) -> tuple[int | None, str]:
    """Refuse layers that an Xception classifier has not; return the side of its pictures and its last activation."""
    if not isinstance(text, (str, bytes)) or len(text) > _CONFIG_CAP_BYTES:
        raise ModelError(f"{path}: its configuration is no text of bounded size. {_REMEDY}")
    side: int | None = None
    activation = "softmax"
    counts: Counter[str] = Counter()
    waiting = [json.loads(text)]
    while waiting:
        layer = waiting.pop()
        kind, config = layer["class_name"], layer["config"]
        if kind not in _LAYERS:
            raise ModelError(
                f"{path}: has a layer {config.get('name') if isinstance(config, dict) else ''!r} of kind {str(kind)[:80]!r}. Only "
                "layers that an Xception classifier has are taken; code in a file (Lambda) never is. Nothing was run."
            )
        counts[kind] += 1
        waiting += config.get("layers", [])
        shape = config.get("batch_shape") or config.get("batch_input_shape")
        if shape and len(shape) == 4 and isinstance(shape[1], int):
            side = shape[1]
        if kind == "Dense":
            activation = str(config.get("activation"))
    for kind, expected in _COUNTS.items():
        if counts[kind] != expected:
            raise ModelError(
                f"{path}: has {counts[kind]} layers of kind {kind}, Xception with a softmax has {expected}"
            )
    return side, activation


# -- SavedModel -------------------------------------------------------------------------------------------------


def _saved_model(path: Path, stack: ExitStack) -> SavedClassifier:
    """Read a SavedModel's variables, by the names that its table of objects gives them; its graph is never read."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    digest = hashlib.sha256()
    for name in ("variables.index", "variables.data-00000-of-00001"):
        with open_trusted(path / "variables" / name, _REMEDY) as file, (folder / name).open("wb") as copy:
            digest.update(_digest(path / "variables" / name, file).encode())
            shutil.copyfileobj(file, copy)  # what is read below is what was looked at
    try:
        import tensorflow as tf
        from tensorflow.core.protobuf import trackable_object_graph_pb2 as objects
    except ImportError as error:
        raise ModelError(
            f"reading a SavedModel needs TensorFlow: {error}. Install it: pip install 'emwatch[train]'"
        ) from error
    with _told_of_tensors(path):
        reader = tf.train.load_checkpoint(os.fspath(folder / "variables"))
        shapes = reader.get_variable_to_shape_map()
        table = objects.TrackableObjectGraph()
        table.ParseFromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    if len(shapes) > _MOST_OBJECTS:
        raise ModelError(f"{path} holds more than any such classifier. {_REMEDY}")
    arrays: dict[tuple[str, str], StoredArray] = {}
    for attribute in (each for node in table.nodes for each in node.attributes):
        parts = attribute.full_name.removesuffix(":0").split("/")
        if len(parts) < 2 or parts[-1] not in ARRAY_NAMES or attribute.checkpoint_key not in shapes:
            continue  # the state of an optimizer or of a dropout layer
        arrays[parts[-2], parts[-1]] = _variable(path, reader, attribute.checkpoint_key, shapes)
    return SavedClassifier(arrays, digest.hexdigest())


def _variable(path: Path, reader: Any, key: str, shapes: dict[str, list[int]]) -> StoredArray:
    def read() -> npt.NDArray[np.float32]:
        with _told_of_tensors(path):
            return np.asarray(reader.get_tensor(key), dtype=np.float32)

    return StoredArray(tuple(shapes[key]), read)


@contextmanager
def _told_of_tensors(path: Path) -> Iterator[None]:
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        yield
    except (tf.errors.OpError, DecodeError, IndexError, ValueError, TypeError) as error:
        summary = " ".join(str(error).split())[:300]
        raise ModelError(f"{path}: its variables cannot be read: {summary}. {_REMEDY}") from error
