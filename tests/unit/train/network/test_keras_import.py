"""Classifiers that a real Keras saved, and files that only look like one."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from emwatch.classify.backbone import BACKBONE_PARAMETERS, build_xception, network_input
from emwatch.classify.bundles.store import BundleStore
from emwatch.classify.classifier import Classifier
from emwatch.classify.preprocess import prepare
from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES
from emwatch.train.heads.drawn import drawn_frames
from emwatch.train.network.keras_arrays import stored_classifier
from emwatch.train.network.keras_import import ImportOrder, _filled, _fold_range, import_classifier

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.train,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # Keras calls its own HDF5 files legacy, and numpy complains about Keras
]

SHAPES = ("flat", "nested", "sequential")


def classifier_of(shape: str, base: Any, classes: int = 10) -> Any:
    """The original's network, put together in one of the ways in which people do."""
    import keras

    average = keras.layers.GlobalAveragePooling2D()
    softmax = keras.layers.Dense(classes, activation="softmax")
    if shape == "flat":
        network = keras.Model(base.input, softmax(average(base.output)))
    elif shape == "nested":
        views = keras.Input((170, 170, 3))
        network = keras.Model(views, softmax(keras.layers.Dropout(0.2)(average(base(views)))))
    else:
        network = keras.Sequential([keras.Input((170, 170, 3)), base, average, softmax])
    random = np.random.default_rng(5)
    softmax.set_weights(
        [random.normal(size=(2048, classes)).astype("f4") * 40, random.normal(size=classes).astype("f4")]
    )
    return network


@pytest.fixture(name="base", scope="module")
def _base() -> Any:
    """Xception with drawn weights in which every array differs from every other, and whose outputs depend on the picture."""
    import keras

    keras.utils.clear_session()  # shortcuts are named after how many came before in this process; here: none
    base = build_xception()
    random = np.random.default_rng(3)
    arrays = []
    for array in base.get_weights():
        if array.ndim > 1:
            arrays.append(array + random.normal(size=array.shape).astype("f4") * 1e-3)
        elif array.min() == array.max() == 1:  # gamma and variance
            arrays.append(random.uniform(0.6, 1.4, array.shape).astype("f4"))
        else:
            arrays.append(random.normal(size=array.shape).astype("f4") * 0.1)
    base.set_weights(arrays)
    return base


@pytest.fixture(name="saved", scope="module")
def _saved(base: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Return a file of a shape of network and a form of file, saved once."""
    folder = tmp_path_factory.mktemp("saved")

    def saved(shape: str, form: str) -> Path:
        path = folder / (f"{shape}-folder" if form == "savedmodel" else f"{shape}.{form}")
        if not path.exists():
            network = classifier_of(shape, base)
            if form == "savedmodel":
                network.export(os.fspath(path), verbose=False)
            elif form == "weights.h5":
                network.save_weights(path)
            else:
                network.save(path)
        return path

    return saved


@pytest.fixture(name="h5")
def _h5(saved: Callable[[str, str], Path], tmp_path: Path) -> Path:
    """A copy of the original's kind of file, to be spoilt."""
    return Path(shutil.copy(saved("flat", "h5"), tmp_path / "transfer_test.hdf5"))


def refused(path: Path, told: str, **order: Any) -> None:
    """The file is refused with the reason, and the store stays empty."""
    store = BundleStore(path.parent / "store-of-refused")
    with pytest.raises(ModelError, match=told) as caught:
        import_classifier(ImportOrder(path, "x", **order), store, lambda _line: None)
    assert path.name in str(caught.value) or "--labels" in str(caught.value)
    assert not store.directory.exists() or list(store.directory.iterdir()) == []


@pytest.mark.parametrize("form", ["h5", "keras", "savedmodel", "weights.h5"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_number_comes_to_its_own_place(
    saved: Callable[[str, str], Path], base: Any, shape: str, form: str
) -> None:
    fresh = build_xception()
    path = saved(shape, form)
    with stored_classifier(path) as stored:
        kernel, bias = _filled(fresh, stored, path)

    for mine, theirs in zip(fresh.get_weights(), base.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    expected = classifier_of(shape, base).layers[-1].get_weights()
    np.testing.assert_array_equal(kernel, expected[0])
    np.testing.assert_array_equal(bias, expected[1])


def test_keras_2_wrote_the_same_with_other_names(h5: Path, base: Any) -> None:
    """``kernel:0``, shortcuts that count from wherever the session stood, and an optimizer's state beside."""
    import h5py

    with h5py.File(h5, "r+") as file:
        weights = file["model_weights"]
        for layer in list(weights):
            if not isinstance(weights[layer], h5py.Group) or layer not in weights[layer]:
                continue
            for name in list(weights[layer][layer]):
                weights[layer][layer].move(name, f"{name}:0")
        for number, layer in reversed(list(enumerate(["conv2d", "conv2d_1", "conv2d_2", "conv2d_3"]))):
            weights.move(layer, f"conv2d_{number + 8}")
            weights[f"conv2d_{number + 8}"].move(layer, f"conv2d_{number + 8}")
        del file.attrs["model_config"]
        file["optimizer_weights/training/RMSprop/Variable:0"] = np.zeros(3)
    fresh = build_xception()
    with stored_classifier(h5) as stored:
        _filled(fresh, stored, h5)

    for mine, theirs in zip(fresh.get_weights(), base.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_an_imported_classifier_says_what_keras_says_and_says_what_it_is(
    saved: Callable[[str, str], Path], base: Any, tmp_path: Path
) -> None:
    store = BundleStore(tmp_path / "models")
    labels = tuple(reversed(CATEGORIES))
    order = ImportOrder(saved("flat", "h5"), "transfer_test", labels=labels, weight_type="float32")
    kept = import_classifier(order, store, lambda _line: None)
    views = np.concatenate([prepare(frame.draw()) for frame in drawn_frames(1, 5)])
    keras_scores = np.asarray(classifier_of("flat", base)(network_input(views), training=False))[:, ::-1]
    ours = [Classifier.load(kept.directory).classify(view[np.newaxis]) for view in views]

    np.testing.assert_allclose([list(each.scores.values()) for each in ours], keras_scores, atol=2e-4)
    assert keras_scores.max() > 0.5, "a classifier that is never sure of anything agrees with everything"
    assert kept.card is not None
    assert kept.card["imported"]["taught_on_these_pixels"] is False
    assert kept.card["imported"]["parity"]["same_category"] == 1.0
    assert kept.card["imported"]["parity"]["largest_difference_of_a_score"] < 1e-3
    assert kept.card["imported"]["trained_side_px"] == 170
    assert "training" in kept.card
    assert kept.card["training"]["imported_from"] == "flat.h5"


def test_other_ranges_of_pixels_are_folded_in_exactly(base: Any) -> None:
    views = network_input(np.random.default_rng(1).uniform(0, 255, (1, 170, 170)).astype("f4"))
    for input_range, (factor, offset) in {"0..1": (0.5, 0.5), "0..255": (127.5, 127.5), "-1..1": (1, 0)}.items():
        folded = build_xception()
        folded.set_weights(base.get_weights())
        _fold_range(folded, input_range)
        theirs = np.asarray(base(views * np.float32(factor) + np.float32(offset), training=False))

        np.testing.assert_allclose(np.asarray(folded(views, training=False)), theirs, rtol=1e-2, atol=1e-3)


# -- hostile and mistaken files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["h5", "keras"])
def test_a_lambda_is_refused_by_name_and_its_code_never_runs(base: Any, tmp_path: Path, form: str) -> None:
    import keras

    canary = tmp_path / "canary"
    name = str(canary)
    network = classifier_of("flat", base)
    evil = keras.layers.Lambda(lambda x: (open(name, "w").close(), x)[1], name="evil")  # noqa: PTH123
    made = keras.Model(network.input, evil(network.output))
    canary.unlink(missing_ok=True)  # drawing the network up ran it once, here
    path = tmp_path / f"evil.{form}"
    made.save(path)
    canary.unlink(missing_ok=True)

    refused(path, r"has a layer 'evil' of kind 'Lambda'.*Nothing was run")
    assert not canary.exists()


def test_links_out_of_the_file_are_refused(h5: Path, tmp_path: Path) -> None:
    import h5py

    (tmp_path / "secret.h5").write_bytes(h5.read_bytes())
    place = "model_weights/block1_conv1/block1_conv1/kernel"
    for link, told in (
        (h5py.ExternalLink("secret.h5", place), "an external link"),
        (h5py.SoftLink("/elsewhere"), "a link"),
    ):
        with h5py.File(h5, "r+") as file:
            del file[place]
            file[place] = link
        refused(h5, rf"block1_conv1/kernel is {told} to somewhere else")


def test_numbers_that_lie_in_another_file_are_refused(h5: Path, tmp_path: Path) -> None:
    import h5py

    place = "model_weights/block1_conv1/block1_conv1/kernel"
    (tmp_path / "raw").write_bytes(bytes(3 * 3 * 3 * 32 * 4))
    with h5py.File(h5, "r+") as file:
        del file[place]
        file.create_dataset(place, (3, 3, 3, 32), "f4", external=[(os.fspath(tmp_path / "raw"), 0, 3456)])
    refused(h5, "kernel are in another file")
    with h5py.File(h5, "r+") as file:
        del file[place]
        layout = h5py.VirtualLayout((3, 3, 3, 32), "f4")
        layout[...] = h5py.VirtualSource("other.h5", "data", (3, 3, 3, 32))
        file.create_virtual_dataset(place, layout)
    refused(h5, "kernel are in another file")


def test_shapes_that_would_fill_the_memory_are_refused_unread(h5: Path) -> None:
    import h5py

    place = "model_weights/block1_conv1/block1_conv1/kernel"
    with h5py.File(h5, "r+") as file:
        del file[place]
        file.create_dataset(place, (1 << 20, 1 << 20), "f4", chunks=(1024, 1024))
    refused(h5, r"block1_conv1/kernel has shape \(1048576, 1048576\), expected \(3, 3, 3, 32\)")
    with h5py.File(h5, "r+") as file:
        del file[place]
        file.create_dataset(place, (3, 3, 3, 32), "f4", maxshape=(None,) * 4, chunks=(64, 64, 64, 256))
    refused(h5, "has pieces larger than any such array")


def test_values_that_are_no_numbers_are_refused(h5: Path) -> None:
    import h5py

    place = "model_weights/block1_conv1/block1_conv1/kernel"
    with h5py.File(h5, "r+") as file:
        file[place][0, 0, 0, 0] = np.nan
    refused(h5, "holds values that are no numbers")
    with h5py.File(h5, "r+") as file:
        del file[place]
        file.create_dataset(place, (3, 3, 3, 32), h5py.string_dtype())
    refused(h5, "expected floating-point numbers")


@pytest.mark.parametrize("kept", [0, 100, 50_000, 40_000_000])
def test_a_truncated_file_is_refused(h5: Path, kept: int) -> None:
    os.truncate(h5, kept)

    refused(h5, "cannot be read as a Keras classifier")


def test_a_truncated_archive_and_a_truncated_savedmodel_are_refused(
    saved: Callable[[str, str], Path], tmp_path: Path
) -> None:
    archive = Path(shutil.copy(saved("flat", "keras"), tmp_path / "cut.keras"))
    os.truncate(archive, 1_000_000)
    refused(archive, r"cannot be read as a \.keras archive")
    folder = Path(shutil.copytree(saved("flat", "savedmodel"), tmp_path / "cut"))
    os.truncate(folder / "variables" / "variables.data-00000-of-00001", 1_000_000)
    refused(folder, "cannot be read|cannot be read as a Keras classifier")


def test_an_archive_without_weights_or_with_two_is_refused(tmp_path: Path) -> None:
    for names in (["config.json"], ["config.json", "model.weights.h5", "model.weights.h5"]):
        path = tmp_path / "x.keras"
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive, pytest.MonkeyPatch.context() as patched:
            patched.setattr("warnings.warn", lambda *_args, **_more: None)
            for name in names:
                archive.writestr(name, "{}")
        path.write_bytes(file.getvalue())
        refused(path, r"has no model\.weights\.h5, or several")


def test_a_wrong_number_of_classes_is_told(base: Any, tmp_path: Path) -> None:
    path = tmp_path / "seven.h5"
    classifier_of("flat", base, classes=7).save(path)

    refused(path, "tells 7 classes apart, expected the 10 of emwatch: Biological")


def test_another_network_is_refused(base: Any, tmp_path: Path) -> None:
    import keras

    hidden = keras.layers.Dense(64, activation="relu")(keras.layers.GlobalAveragePooling2D()(base.output))
    path = tmp_path / "hidden.h5"
    keras.Model(base.input, keras.layers.Dense(10, activation="softmax")(hidden)).save(path)
    refused(path, "beside Xception has the layers dense.*expected one: a softmax over ten classes")

    path = tmp_path / "small.keras"
    keras.Sequential(
        [keras.Input((170, 170, 3)), keras.layers.Conv2D(8, 3), keras.layers.GlobalAveragePooling2D()]
    ).save(path)
    refused(path, "has 0 layers of kind Add, Xception with a softmax has 12")
    keras.Sequential([keras.Input((170, 170, 3)), keras.layers.Conv2D(8, 3)]).save_weights(tmp_path / "x.weights.h5")
    refused(tmp_path / "x.weights.h5", "batch_normalization is missing")

    path = tmp_path / "sigmoid.keras"
    average = keras.layers.GlobalAveragePooling2D()(base.output)
    keras.Model(base.input, keras.layers.Dense(10, activation="sigmoid")(average)).save(path)
    refused(path, "its last layer ends in 'sigmoid', expected a softmax")


@pytest.mark.skipif(os.name != "posix", reason="POSIX rights")
def test_a_file_that_everyone_may_change_and_one_of_another_sha256_are_refused(h5: Path) -> None:
    refused(h5, "is not the file that was meant: expected sha256 0000", sha256="0" * 64)
    h5.chmod(0o666)
    refused(h5, "may be changed by every user")


@pytest.mark.parametrize("labels", [CATEGORIES[:9], (*CATEGORIES[:9], "Tip"), (*CATEGORIES[:9], "Biological")])
def test_labels_must_be_the_ten(h5: Path, labels: tuple[str, ...]) -> None:
    refused(h5, "--labels must name each of Biological", labels=labels)


def test_a_file_that_lacks_a_layer_is_refused(h5: Path) -> None:
    import h5py

    with h5py.File(h5, "r+") as file:
        del file["model_weights/conv2d_2"]
    refused(h5, "has 3 layers 'conv2d' without a name of their own, Xception has 4")


def test_a_configuration_that_is_none_is_refused(h5: Path) -> None:
    import h5py

    for text, told in (
        ("{", "cannot be read as"),
        (json.dumps({"class_name": "TFSMLayer", "config": {}}), "of kind 'TFSMLayer'"),
    ):
        with h5py.File(h5, "r+") as file:
            file.attrs["model_config"] = text
        refused(h5, told)


def test_the_parameters_are_those_of_the_original(base: Any) -> None:
    assert base.count_params() == BACKBONE_PARAMETERS
    assert classifier_of("flat", base).count_params() == 20_881_970
