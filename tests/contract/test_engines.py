"""What every engine promises, whatever runs the network."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from emwatch.classify.backbone import ENGINES, Engine, StubEngine, imagenet_weights_path
from emwatch.classify.bundles.bundle import Bundle, default_directory

#: Agreement of the quantised backbone with the float network on noise and drawings, cosine of the whole embedding.
LEAST_COSINE = 0.99


def _opened(name: str) -> Engine:
    if name == "stub":
        return StubEngine()
    if name == "keras" and not imagenet_weights_path().is_file():
        pytest.skip(f"needs {imagenet_weights_path()}, which 'emwatch model build' writes")
    return ENGINES[name](Bundle.open(default_directory()), 1)


@pytest.fixture(
    name="engine", scope="module", params=["stub", "litert", pytest.param("keras", marks=pytest.mark.train)]
)
def _engine(request: pytest.FixtureRequest) -> Engine:
    return _opened(request.param)


@pytest.fixture(name="views", scope="module")
def _views() -> np.ndarray:
    """Noise, a slope and rings."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[0:170, 0:170]
    rings = 127 + 120 * np.sin(np.hypot(y - 60, x - 90) / 3)
    return np.stack([random.uniform(0, 255, (170, 170)), (y + x) * 0.7, rings]).astype(np.float32)


def test_every_view_becomes_one_finite_row_of_the_stated_width(engine: Engine, views: np.ndarray) -> None:
    embeddings = engine.embed(views)

    assert ((3, engine.features), np.float32) == (embeddings.shape, embeddings.dtype)
    assert bool(np.isfinite(embeddings).all())


def test_the_same_view_gives_the_same_embedding_again(engine: Engine, views: np.ndarray) -> None:
    first = engine.embed(views[:1])
    engine.embed(views[1:])

    np.testing.assert_array_equal(first, engine.embed(views[:1]))


def test_a_views_embedding_does_not_depend_on_its_neighbours(engine: Engine, views: np.ndarray) -> None:
    together = engine.embed(views)

    for view, row in zip(views, together, strict=True):
        np.testing.assert_array_equal(engine.embed(view[np.newaxis])[0], row)


def test_different_views_give_different_embeddings(engine: Engine, views: np.ndarray) -> None:
    embeddings = engine.embed(np.stack([views[0], 255 - views[0] / 2]))

    assert float(np.abs(embeddings[0] - embeddings[1]).max()) > 1e-3


def test_views_are_not_changed(engine: Engine, views: np.ndarray) -> None:
    before = views.copy()
    engine.embed(views)

    np.testing.assert_array_equal(before, views)


@pytest.mark.train
def test_keras_keeps_to_its_threads() -> None:
    """In a process of its own: TensorFlow takes a number of threads before it computes, and no other afterwards."""
    if not imagenet_weights_path().is_file():
        pytest.skip(f"needs {imagenet_weights_path()}, which 'emwatch model build' writes")
    program = (
        "from emwatch.classify.backbone import ENGINES\n"
        "from emwatch.classify.bundles.bundle import Bundle, default_directory\n"
        "ENGINES['keras'](Bundle.open(default_directory()), 1)\n"
        "import tensorflow as tf\n"
        "threads = tf.config.threading\n"
        "print(threads.get_intra_op_parallelism_threads(), threads.get_inter_op_parallelism_threads())\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert told.stdout.split() == ["1", "1"]


@pytest.mark.train
def test_litert_agrees_with_keras(views: np.ndarray) -> None:
    ours, reference = _opened("litert").embed(views), _opened("keras").embed(views)
    cosines = (ours * reference).sum(axis=1) / (np.linalg.norm(ours, axis=1) * np.linalg.norm(reference, axis=1))

    assert float(cosines.min()) > LEAST_COSINE


def test_litert_needs_no_tensorflow() -> None:
    _opened("litert")

    assert not {"tensorflow", "keras"} & set(sys.modules)
