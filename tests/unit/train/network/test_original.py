"""The original's recipe from end to end, on few drawn frames; and runs that are killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from emwatch.classify.backbone import build_xception, imagenet_weights_path, weights_sha256
from emwatch.classify.classifier import Classifier
from emwatch.classify.preprocess import prepare
from emwatch.errors import DatasetError, ModelError
from emwatch.frame import CATEGORIES
from emwatch.train.dataset.labelled import LabelledFrame
from emwatch.train.network import original
from emwatch.train.network.networks import BLOCKS, simple_cnn, train_from_block, trainable_parameters, with_softmax
from emwatch.train.network.original import OriginalOrder, squashed, train_original
from emwatch.train.network.views import opened

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.train,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras' own, with numpy 2
]


def _kept_weights() -> Any:
    """ImageNet's where they are kept; what is tested here does not depend on them."""
    return imagenet_weights_path() if imagenet_weights_path().is_file() else "none"


def _small(dataset: Path, out: Path, **more: Any) -> OriginalOrder:
    return OriginalOrder(dataset=dataset, out=out, network="simple-cnn", epochs=3, batch=8, save_every=1, **more)


def _history(out: Path) -> dict[str, list[Any]]:
    return dict(json.loads((out / "history.json").read_text(encoding="utf-8")))


def _curves(logs: Path) -> dict[str, list[float]]:
    import tensorflow as tf

    found: dict[str, list[float]] = {}
    for path in sorted(logs.rglob("*tfevents*")):
        for record in tf.data.TFRecordDataset(str(path)):
            for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value:
                found.setdefault(f"{path.parent.name}/{value.tag}", []).append(float(tf.make_ndarray(value.tensor)))
    return found


class TestNetworks:
    def test_xception_has_the_originals_parameters_in_each_phase(self) -> None:
        network = with_softmax(build_xception(), seed=0)
        counts = {}
        for block in (BLOCKS + 1, BLOCKS, 1):
            train_from_block(network, block)
            counts[block] = trainable_parameters(network)

        assert network.count_params() == 20_881_970
        assert counts == {15: 20_490, 14: 4_769_290, 1: 20_827_442}

    def test_frozen_normalisation_stays_as_it_is_in_learned_blocks(self) -> None:
        network = with_softmax(build_xception(), seed=0)
        train_from_block(network, BLOCKS, freeze_normalisation=True)

        # Two normalisations with two numbers a channel less: 2 x (1536 + 2048).
        assert trainable_parameters(network) == 4_769_290 - 2 * (1536 + 2048)

    def test_the_baseline_is_the_small_network_that_is_told(self) -> None:
        kinds = [type(layer).__name__ for layer in simple_cnn(0).layers]

        assert kinds == ["Conv2D", "Conv2D", "MaxPooling2D", "Dropout", "Flatten", "Dense", "Dropout", "Dense"]
        assert simple_cnn(0).count_params() == 28_228_906


@pytest.fixture(name="trained", scope="module")
def _trained(
    drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory, new_ears: Any
) -> tuple[Path, dict[str, Any]]:
    """Two epochs of Xception, the second of which learns far too fast and spoils what the first one learned."""
    out = tmp_path_factory.mktemp("runs") / "xception"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(original, "FINE_TUNING_RATE", 0.05)
        order = OriginalOrder(dataset=drawn_dataset, out=out, epochs=2, warm_up=1, weights=_kept_weights())
        return out, train_original(order, new_ears())


class TestXception:
    def test_the_summary_tells_the_originals_numbers(self, trained: tuple[Path, dict[str, Any]]) -> None:
        text = (trained[0] / "summary.txt").read_text(encoding="utf-8")

        assert "Total params: 20,881,970" in text
        assert "Trainable params: 20,490" in text
        assert "Non-trainable params: 20,861,480" in text

    def test_the_curves_are_kept_for_tensorboard_and_as_json(self, trained: tuple[Path, dict[str, Any]]) -> None:
        history, curves = _history(trained[0]), _curves(trained[0] / "logs")

        assert history["epoch"] == [1, 2]
        assert history["phase"] == ["warm-up", "fine-tuning"]
        assert history["learning_rate"] == pytest.approx([1e-3, 0.05])
        assert curves["train/epoch_loss"] == pytest.approx(history["loss"], rel=1e-4)
        assert curves["validation/epoch_loss"] == pytest.approx(history["val_loss"], rel=1e-4)
        assert curves["validation/epoch_accuracy"] == pytest.approx(history["val_accuracy"], rel=1e-4)

    def test_what_was_best_is_exported_and_not_what_came_last(self, trained: tuple[Path, dict[str, Any]]) -> None:
        out, report = trained
        history = _history(out)
        card = yaml.safe_load((out / "bundle" / "card.yaml").read_text(encoding="utf-8"))
        best = with_softmax(build_xception(), seed=0)
        best.load_weights(out / "best.weights.h5")
        kept = build_xception()
        kept.load_weights(out / "xception.weights.h5")

        assert history["val_loss"][0] < history["val_loss"][1]
        assert report["best_epoch"] == card["training"]["best_epoch"] == 1
        assert card["backbone"]["learned_from"] == card["training"]["sources"] == "the user's own"
        assert report["validation"]["cross_entropy"] == pytest.approx(history["val_loss"][0], abs=2e-4)
        assert card["backbone"]["weights_sha256"] == weights_sha256(kept)
        assert all(
            np.array_equal(mine, theirs) for mine, theirs in zip(kept.get_weights(), best.get_weights(), strict=False)
        )

    def test_the_bundle_classifies_as_the_network_does(
        self, trained: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, drawn_dataset: Path
    ) -> None:
        out, report = trained
        frame = LabelledFrame(drawn_dataset / "Tips" / "session 0" / "frame.png", 9, "session 0")
        monkeypatch.setenv("EMWATCH_XCEPTION_WEIGHTS", str(out / "xception.weights.h5"))

        fast, exact = (Classifier.load(out / "bundle", engine=engine) for engine in ("litert", "keras"))
        scores = [list(each.classify(prepare(frame.grey())).scores.values()) for each in (fast, exact)]

        assert scores[0] == pytest.approx(scores[1], abs=0.03)
        assert report["bundle"]["agreement_with_keras"]["same_category"] >= 0.9

    def test_the_keras_engine_refuses_other_weights_than_the_bundles(
        self, trained: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        build_xception().save_weights(tmp_path / "other.weights.h5")
        monkeypatch.setenv("EMWATCH_XCEPTION_WEIGHTS", str(tmp_path / "other.weights.h5"))

        with pytest.raises(ModelError, match=r"other weights than the bundle.*EMWATCH_XCEPTION_WEIGHTS"):
            Classifier.load(trained[0] / "bundle", engine="keras")


@pytest.fixture(name="whole", scope="module")
def _whole(drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory, new_ears: Any) -> Any:
    """Return the curves and the report of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    report = train_original(_small(drawn_dataset, out), new_ears())
    return _history(out), report


class TestInterrupted:
    def test_a_run_killed_in_mid_epoch_ends_as_if_it_had_not_been(
        self, whole: Any, drawn_dataset: Path, tmp_path: Path, new_ears: Any
    ) -> None:
        out = tmp_path / "killed"
        program = (
            "import os, signal, sys\n"
            "from pathlib import Path\n"
            "from emwatch.train.network.original import OriginalOrder, train_original\n"
            "class Ears:\n"
            "    def say(self, line): pass\n"
            "    def counting(self, what, done, of): pass\n"
            "    def standing(self, at):\n"
            "        if (at.epoch, at.batch) == (2, 3) and at.val_loss is None: os.kill(os.getpid(), signal.SIGKILL)\n"
            "order = OriginalOrder(Path(sys.argv[1]), Path(sys.argv[2]), network='simple-cnn', epochs=3, batch=8, save_every=1)\n"
            "train_original(order, Ears())\n"
        )
        killed = subprocess.run([sys.executable, "-c", program, drawn_dataset, out], capture_output=True, check=False)
        ears = new_ears()
        report = train_original(_small(drawn_dataset, out, resume=True), ears)

        assert killed.returncode == -signal.SIGKILL
        assert (ears.standings[0].epoch, ears.standings[0].batch) == (2, 3)
        _assert_alike(whole, (_history(out), report))

    def test_ctrl_c_waits_for_the_batch_and_loses_none(
        self, whole: Any, drawn_dataset: Path, tmp_path: Path, new_ears: Any
    ) -> None:
        out = tmp_path / "stopped"

        def stop(at: Any) -> None:
            if (at.epoch, at.batch) == (1, 2):
                os.kill(os.getpid(), signal.SIGINT)

        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            train_original(_small(drawn_dataset, out), new_ears(at=stop))
        ears = new_ears()
        report = train_original(_small(drawn_dataset, out), ears)

        assert signal.getsignal(signal.SIGINT) is before
        assert (ears.standings[0].epoch, ears.standings[0].batch) == (1, 3)
        _assert_alike(whole, (_history(out), report))

    def test_a_run_between_two_phases_goes_on_in_the_second(
        self, drawn_dataset: Path, tmp_path: Path, new_ears: Any
    ) -> None:
        order = OriginalOrder(dataset=drawn_dataset, out=tmp_path / "run", epochs=2, warm_up=1, weights="none")

        def stop(at: Any) -> None:
            if at.val_loss is not None:
                os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(KeyboardInterrupt):
            train_original(order, new_ears(at=stop))
        ears = new_ears(at=stop)
        with pytest.raises(KeyboardInterrupt):
            train_original(order, ears)

        assert _history(order.out)["phase"] == ["warm-up", "fine-tuning"]
        assert {standing.phase for standing in ears.standings} == {"fine-tuning"}

    def test_a_dataset_that_changed_meanwhile_is_refused(
        self, drawn_dataset: Path, tmp_path: Path, new_ears: Any
    ) -> None:
        with pytest.raises(KeyboardInterrupt):
            train_original(_small(drawn_dataset, tmp_path / "run"), new_ears(at=_interrupt))
        with pytest.raises(ModelError, match="the dataset has changed"):
            train_original(_small(_copied(drawn_dataset, tmp_path / "other"), tmp_path / "run"), new_ears())


def test_what_is_wrong_with_the_frames_is_told_before_training(
    drawn_dataset: Path, tmp_path: Path, new_ears: Any
) -> None:
    damaged = _copied(drawn_dataset, tmp_path / "damaged")
    (damaged / "Fibres" / "session 1" / "frame.png").write_bytes(b"no picture")
    (damaged / "Tips" / "session 3" / "frame.png").write_bytes(
        (damaged / "Powder" / "session 0" / "frame.png").read_bytes()
    )
    ears = new_ears()

    with pytest.raises(DatasetError, match=r"(?s)cannot be read.*filed as Powder and as Tips"):
        train_original(_small(damaged, tmp_path / "run"), ears)
    assert ears.standings == []
    assert not (tmp_path / "run").exists()


def test_a_split_at_random_is_warned_of(drawn_dataset: Path, new_ears: Any) -> None:
    by_source, at_random = new_ears(), new_ears()
    opened(drawn_dataset, "source", 0, by_source)
    opened(drawn_dataset, "random", 0, at_random)

    assert [line for line in at_random.lines if line not in by_source.lines] == [
        "warning: split at random: one session may be in training and validation, so the figures are optimistic"
    ]


def test_pixels_are_dropped_unless_antialiased(tmp_path: Path) -> None:
    from PIL import Image

    columns = np.zeros((340, 1360), dtype=np.uint8)
    columns[:, ::2] = 255
    Image.fromarray(columns).save(tmp_path / "frame.png")
    frame = LabelledFrame(tmp_path / "frame.png", 0, "one")

    assert set(np.unique(squashed(frame, antialias=False))) <= {0, 255}
    assert np.ptp(squashed(frame, antialias=True)[0, 1:-1, 1:-1].astype(int)) <= 2
    assert squashed(frame, antialias=True).shape == (1, 170, 170)


def _interrupt(at: Any) -> None:
    del at
    os.kill(os.getpid(), signal.SIGINT)


def _copied(dataset: Path, to: Path) -> Path:
    """Copy a dataset, with one frame left out."""
    import shutil

    shutil.copytree(dataset, to)
    (to / CATEGORIES[0] / "session 0" / "frame.png").unlink()
    return to


def _assert_alike(one: tuple[Any, Any], other: tuple[Any, Any]) -> None:
    (history, report), (found, resumed) = one, other
    assert found["epoch"] == history["epoch"]
    assert found["val_loss"] == pytest.approx(history["val_loss"], rel=1e-3)
    assert found["loss"] == pytest.approx(history["loss"], rel=1e-3)
    assert found["accuracy"] == pytest.approx(history["accuracy"], abs=1e-6)
    assert resumed["best_epoch"] == report["best_epoch"]
