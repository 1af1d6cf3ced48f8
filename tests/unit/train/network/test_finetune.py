"""Fine-tuning: the parts of the recipe one by one, then from end to end on few drawn frames."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from emwatch.classify.backbone import build_xception, imagenet_weights_path
from emwatch.classify.classifier import Classifier
from emwatch.classify.preprocess import prepare
from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES
from emwatch.train.dataset.labelled import LabelledFrame
from emwatch.train.network.finetune import (
    FinetuneOrder,
    bare_and_barred,
    block_multipliers,
    cosine_rate,
    finetune,
    frame_weights,
    layered_adam,
)
from emwatch.train.network.loop import cross_entropy
from emwatch.train.network.networks import BLOCKS, train_from_block, with_softmax

if TYPE_CHECKING:
    from pathlib import Path

#: Two epochs of two batches, of which states are written after each.
_SHORT: dict[str, Any] = {
    "epochs": 2,
    "batch": 16,
    "from_block": BLOCKS,
    "save_every": 1,
    "seed": 1,
    "patience": 2,
    "weights": "none",
}

keras_warns = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # with numpy 2


class TestSchedule:
    def test_it_rises_to_the_peak_and_falls_to_a_hundredth(self) -> None:
        rates = [cosine_rate(1e-3, done, 200) for done in range(200)]

        assert rates[0] == pytest.approx(1e-4)
        assert max(rates) == rates[9] == rates[10] == pytest.approx(1e-3)
        assert all(later <= earlier for earlier, later in pairwise(rates[10:]))
        assert rates[-1] == pytest.approx(1e-5, rel=0.05)

    @pytest.mark.parametrize("of", [1, 2, 3])
    def test_the_shortest_run_has_a_rate_for_each_batch(self, of: int) -> None:
        assert all(0 < cosine_rate(1.0, done, of) <= 1 for done in range(of))


class TestWeights:
    def test_categories_count_alike(self) -> None:
        categories = np.repeat([0, 1], [30, 10])
        weights = frame_weights(categories, [str(at) for at in range(40)])

        assert weights[:30].sum() == pytest.approx(weights[30:].sum())
        assert weights.mean() == pytest.approx(1)

    def test_a_rare_category_does_not_outweigh_all_others(self) -> None:
        categories = np.repeat([0, 1], [999, 1])
        weights = frame_weights(categories, [str(at) for at in range(1000)])

        assert weights[-1] / weights[0] == pytest.approx(10 / (500 / 999))

    def test_a_large_source_counts_less_than_its_number(self) -> None:
        weights = frame_weights(np.zeros(101, dtype=np.int64), ["large"] * 100 + ["small"])

        assert weights[-1] == pytest.approx(10 * weights[0])


def test_the_balanced_loss_is_the_mean_of_the_categories_means() -> None:
    scores = np.full((4, 10), 0.05)
    scores[:3, 0], scores[3, 1] = 0.5, 0.25
    categories = np.array([0, 0, 0, 1])

    assert cross_entropy(scores, categories) == pytest.approx(-(3 * np.log(0.5) + np.log(0.25)) / 4)
    assert cross_entropy(scores, categories, balanced=True) == pytest.approx(-(np.log(0.5) + np.log(0.25)) / 2)


def test_a_frame_is_learned_without_its_bar_and_with_another_the_same_each_time(drawn_dataset: Path) -> None:
    frame = LabelledFrame(drawn_dataset / "Powder" / "session 1" / "frame.png", 8, "session 1")

    bare, barred = bare_and_barred(frame)

    assert np.array_equal(bare, np.rint(prepare(frame.grey()))[0])
    assert not np.array_equal(bare, barred)
    assert np.array_equal(bare_and_barred(frame), [bare, barred])


@pytest.mark.train
def test_each_block_learns_slower_than_the_one_above_it() -> None:
    network = with_softmax(build_xception(), seed=0)
    train_from_block(network, 12, freeze_normalisation=True)
    of = dict(
        zip(
            [variable.path.split("/")[0] for variable in network.trainable_variables],
            block_multipliers(network, 0.5),
            strict=True,
        )
    )

    assert of["scores"] == 1
    assert {of[name] for name in of if name.startswith("block14")} == {0.5}
    assert {of[name] for name in of if name.startswith("block13")} == {0.25}
    assert {of[name] for name in of if name.startswith("block12")} == {0.125}
    assert sorted(set(of.values())) == [0.125, 0.25, 0.5, 1]  # the shortcut of block 13 is one of these


@pytest.mark.train
def test_a_variables_steps_are_scaled_and_not_its_gradient() -> None:
    import keras

    one, other = (keras.Variable(np.zeros(1, dtype=np.float32)) for _ in range(2))
    optimizer = layered_adam([1.0, 0.25])
    optimizer.build([one, other])
    optimizer.learning_rate = 0.1
    gradient = keras.ops.convert_to_tensor(np.array([0.5], dtype=np.float32))
    optimizer.apply([gradient, gradient])

    assert one.numpy() == pytest.approx([-0.1], rel=1e-3)
    assert other.numpy() == pytest.approx([-0.025], rel=1e-3)


@pytest.mark.train
@pytest.mark.timeout(300)
def test_weights_that_are_missing_are_told_before_frames_are_read_and_drawn(
    drawn_dataset: Path, tmp_path: Path, new_ears: Any
) -> None:
    ears = new_ears()
    order = FinetuneOrder(drawn_dataset, tmp_path / "run", drawn=100, weights=tmp_path / "not-there.h5")

    with pytest.raises(ModelError, match=r"not-there\.h5"):
        finetune(order, ears)
    assert not any("drawing" in line for line in ears.lines)
    assert not order.out.exists()


@pytest.fixture(name="tuned", scope="module")
def _tuned(
    drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory, new_ears: Any
) -> tuple[Path, dict[str, Any], Any]:
    """Two epochs at a rate that spoils the network, in whole integers, with drawn frames beside."""
    out = tmp_path_factory.mktemp("runs") / "tuned"
    weights: Any = imagenet_weights_path() if imagenet_weights_path().is_file() else "none"
    ears = new_ears()
    order = FinetuneOrder(
        dataset=drawn_dataset,
        out=out,
        epochs=6,
        from_block=BLOCKS,
        learning_rate=0.3,
        patience=1,
        drawn=1,
        weight_type="integer",
        weights=weights,
    )
    return out, finetune(order, ears), ears


@pytest.mark.train
@pytest.mark.timeout(300)
@keras_warns
class TestEndToEnd:
    def test_it_ends_early_and_keeps_what_it_began_with_where_nothing_was_better(self, tuned: Any) -> None:
        out, report, ears = tuned
        history = json.loads((out / "history.json").read_text(encoding="utf-8"))
        start = ears.standings[0]

        assert (start.epoch, report["best_epoch"], report["epochs"], history["epoch"]) == (0, 0, 1, [1])
        assert history["val_loss"][0] > start.val_loss
        assert report["validation"]["accuracy"] == pytest.approx(start.val_accuracy, abs=1e-4)

    def test_drawn_frames_are_learned_from_and_never_judged(self, tuned: Any) -> None:
        _, report, _ = tuned

        assert report["frames"]["training"] + report["frames"]["validation"] + report["frames"]["test"] == 60
        assert report["bundle"]["validation"]["frames"] == report["frames"]["validation"]
        assert report["frames"]["training"] >= 40

    def test_both_engines_pass_the_self_test(self, tuned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        out, _, _ = tuned
        monkeypatch.setenv("EMWATCH_XCEPTION_WEIGHTS", str(out / "xception.weights.h5"))

        scores = [Classifier.load(out / "bundle", engine=engine).golden_scores() for engine in ("litert", "keras")]

        assert np.abs(scores[0] - scores[1]).max() < 0.2

    def test_the_bundle_of_integers_says_what_it_is_and_agrees_with_keras(self, tuned: Any) -> None:
        out, report, _ = tuned
        card = yaml.safe_load((out / "bundle" / "card.yaml").read_text(encoding="utf-8"))

        assert card["backbone"]["weight_type"] == "integer"
        assert card["files"]["backbone.tflite"]["bytes"] < 25e6
        assert report["bundle"]["agreement_with_keras"]["whole"]["cosine_median"] > 0.9
        assert Classifier.load(out / "bundle").bundle_sha256 == report["bundle"]["sha256"]
        assert set(card["training"]["real_frames_by_category"]) == set(CATEGORIES)


@pytest.mark.train
@pytest.mark.timeout(300)
@keras_warns
class TestInterrupted:
    def test_a_run_killed_in_mid_epoch_ends_as_if_it_had_not_been(
        self, drawn_dataset: Path, tmp_path: Path, new_ears: Any
    ) -> None:
        whole = FinetuneOrder(drawn_dataset, tmp_path / "whole", **_SHORT)
        killed = replace(whole, out=tmp_path / "killed")
        program = (
            "import os, signal, sys\n"
            "from pathlib import Path\n"
            "from emwatch.train.network.finetune import FinetuneOrder, finetune\n"
            "class Ears:\n"
            "    def say(self, line): pass\n"
            "    def counting(self, what, done, of): pass\n"
            "    def standing(self, at):\n"
            "        if (at.epoch, at.batch) == (2, 1) and at.val_loss is None: os.kill(os.getpid(), signal.SIGKILL)\n"
            f"finetune(FinetuneOrder(Path(sys.argv[1]), Path(sys.argv[2]), **{_SHORT!r}), Ears())\n"
        )

        ended = subprocess.run(
            [sys.executable, "-c", program, drawn_dataset, killed.out], capture_output=True, check=False
        )
        ears = new_ears()
        resumed, undisturbed = finetune(replace(killed, resume=True), ears), finetune(whole, new_ears())

        assert ended.returncode == -signal.SIGKILL
        assert (ears.standings[0].epoch, ears.standings[0].batch) == (2, 1)
        found, expected = (
            json.loads((order.out / "history.json").read_text(encoding="utf-8")) for order in (killed, whole)
        )
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-3)
        assert found["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-3)
        assert found["learning_rate"] == expected["learning_rate"]
        assert resumed["best_epoch"] == undisturbed["best_epoch"]


@pytest.mark.train
@pytest.mark.timeout(300)
@keras_warns
def test_sixteen_bits_train_and_export_the_same_float32_network(
    drawn_dataset: Path, tmp_path: Path, new_ears: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no GPU here: the processor computes in 16 bits what it would, slowly; losses scaled, exports in float32."""
    import keras
    import tensorflow as tf

    there = tf.config.list_physical_devices
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["one"] if kind == "GPU" else there(kind))
    ears = new_ears()
    report = finetune(FinetuneOrder(drawn_dataset, tmp_path / "run", **_SHORT), ears)

    assert "computing on the GPU, in mixed precision" in ears.lines
    assert keras.config.dtype_policy().name == "float32"
    assert report["epochs"] == 2
    assert all(np.isfinite(standing.loss) for standing in ears.standings)
    assert report["bundle"]["agreement_with_keras"]["whole"]["cosine_median"] > 0.99
    monkeypatch.setenv("EMWATCH_XCEPTION_WEIGHTS", str(tmp_path / "run" / "xception.weights.h5"))
    assert Classifier.load(tmp_path / "run" / "bundle", engine="keras").bundle_sha256 == report["bundle"]["sha256"]
