from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from emwatch.classify.bundles.bundle import Bundle, default_directory
from emwatch.classify.classifier import COLOURED_ABOVE, Classifier, golden_drawing
from emwatch.classify.head import Head
from emwatch.classify.preprocess import prepare
from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES


class _TwoViews:
    """An engine whose embedding is the mean grey in the first feature, for seeing how views are put together."""

    features = 2048

    def embed(self, views: np.ndarray) -> np.ndarray:
        embeddings = np.zeros((len(views), 2048), np.float32)
        embeddings[:, 0] = views.mean(axis=(1, 2))
        return embeddings


@pytest.fixture(name="default_copy")
def _default_copy(tmp_path: Path) -> Path:
    """The bundle that comes with emwatch, to be spoilt."""
    return Path(shutil.copytree(default_directory(), tmp_path / "bundle"))


@pytest.fixture(name="noise")
def _noise() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (1, 170, 170)).astype(np.float32)


def test_the_default_bundle_loads_and_classifies_a_frame_with_all_ten_scores() -> None:
    classifier = Classifier.load(threads=1)

    prediction = classifier.classify(prepare(golden_drawing()))

    assert tuple(prediction.scores) == CATEGORIES
    assert pytest.approx(sum(prediction.scores.values())) == 1.0
    assert prediction.probability == max(prediction.scores.values()) == prediction.scores[prediction.category]
    assert classifier.bundle is not None
    assert classifier.bundle.sha256 == prediction.bundle_sha256


def test_the_margin_is_the_distance_to_the_second_likeliest(noise: np.ndarray) -> None:
    prediction = Classifier.load(engine="stub").classify(noise)
    first, second = sorted(prediction.scores.values(), reverse=True)[:2]

    assert first - second == pytest.approx(prediction.margin)


def test_a_model_that_fails_its_self_test_is_refused(default_copy: Path, write_card: Any) -> None:
    card = yaml.safe_load((default_copy / "card.yaml").read_text())
    card["self_test"]["scores"] = card["self_test"]["scores"][1:] + card["self_test"]["scores"][:1]
    write_card(default_copy, card)

    with pytest.raises(ModelError, match=r"fails its self-test: a score of the golden drawing differs by 0\.\d+"):
        Classifier.load(default_copy, threads=1)


def test_a_head_swapped_for_another_honest_head_fails_the_self_test(
    default_copy: Path, write_card: Any, drawn_head: Head
) -> None:
    early = np.random.default_rng(0).normal(size=(16_800, 10)).astype(np.float32)
    content = Head(drawn_head.weights, drawn_head.bias, early, 1.0).to_bytes()
    (default_copy / "head.npz").write_bytes(content)
    card = yaml.safe_load((default_copy / "card.yaml").read_text())
    card["files"]["head.npz"]["sha256"] = hashlib.sha256(content).hexdigest()
    write_card(default_copy, card)

    with pytest.raises(ModelError, match="fails its self-test"):
        Classifier.load(default_copy, threads=1)


def test_a_backbone_that_is_no_graph_is_refused(bundle_directory: Path) -> None:
    with pytest.raises(ModelError, match=r"backbone.tflite cannot be run by LiteRT"):
        Classifier.load(bundle_directory)


def test_a_backbone_of_another_width_is_refused(default_copy: Path, write_card: Any, drawn_head: Head) -> None:
    content = drawn_head.to_bytes()
    (default_copy / "head.npz").write_bytes(content)
    card = yaml.safe_load((default_copy / "card.yaml").read_text())
    card["files"]["head.npz"]["sha256"] = hashlib.sha256(content).hexdigest()
    del card["files"]["projection.npz"]  # it would be refused first
    card["backbone"]["outputs"] = [{"name": "average", "width": 2048}, {"name": "add_11", "width": 1024}]
    write_card(default_copy, card)

    with pytest.raises(ModelError, match=r"backbone.tflite takes and gives .*18848.*the card says .*3072"):
        Classifier.load(default_copy, threads=1)


def test_an_unknown_engine_is_refused_naming_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"'onnx' is unknown: expected one of litert, keras, stub"):
        Classifier.load(engine="onnx")


@pytest.mark.parametrize("grey", [0.0, 128.0, 255.0])
@pytest.mark.parametrize("engine", ["stub", "litert"])
def test_a_blank_frame_is_uncertain(engine: str, grey: float) -> None:
    views = np.full((1, 170, 170), grey, np.float32)

    assert Classifier.load(engine=engine, threads=1).classify(views).uncertain


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_make_a_frame_uncertain_and_scores_stay_numbers(
    noise: np.ndarray, value: float
) -> None:
    noise[0, 3, 4] = value

    prediction = Classifier.load(engine="stub").classify(noise)

    assert prediction.uncertain
    assert pytest.approx(sum(prediction.scores.values())) == 1.0


def test_below_the_cards_threshold_a_prediction_is_uncertain_and_at_it_is_not(
    bundle_directory: Path, noise: np.ndarray
) -> None:
    bundle = Bundle.open(bundle_directory)
    flat = np.zeros((2048, 10), np.float32)

    def uncertain(probability: float) -> bool:
        bias = np.log(np.array([probability] + [(1 - probability) / 9] * 9)).astype(np.float32)
        head = Head(flat, bias, np.zeros((0, 10), np.float32), 1.0)
        return Classifier(_TwoViews(), head, bundle).classify(noise).uncertain

    assert [uncertain(0.39), uncertain(0.41)] == [True, False]


def test_the_views_of_a_frame_are_averaged(bundle_directory: Path) -> None:
    weights = np.zeros((2048, 10), np.float32)
    weights[0, 3] = 0.01
    classifier = Classifier(
        _TwoViews(),
        Head(weights, np.zeros(10, np.float32), np.zeros((0, 10), np.float32), 1.0),
        Bundle.open(bundle_directory),
    )
    dark, bright, middle = (np.full((1, 170, 170), grey, np.float32) for grey in (50, 150, 100))

    both = classifier.classify(np.concatenate([dark, bright]))

    assert classifier.classify(middle).probability == pytest.approx(both.probability)


@pytest.mark.parametrize("shape", [(170, 170), (0, 170, 170), (1, 170, 171)])
def test_views_of_a_wrong_shape_are_a_mistake_of_the_caller(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="views have shape"):
        Classifier.load(engine="stub").classify(np.zeros(shape, np.float32))


def test_the_stub_names_the_category_by_the_tenth_of_the_mean_grey(noise: np.ndarray) -> None:
    classifier = Classifier.load(engine="stub")
    found = [
        classifier.classify(((noise - noise.mean()) / 60 + 25.5 * (index + 0.5)).astype(np.float32))
        for index in range(10)
    ]

    assert list(CATEGORIES) == [prediction.category for prediction in found]
    assert not any(prediction.uncertain for prediction in found)


def test_the_golden_drawing_is_the_same_on_every_machine() -> None:
    digest = hashlib.sha256(golden_drawing().tobytes()).hexdigest()

    assert digest == "b5bc0f2d243462ddb3209a2717cbf237ee8fff6775016e25b3aa6c512baf3290"


@pytest.fixture(name="golden")
def _golden() -> np.ndarray:
    return prepare(golden_drawing())


def _loaded(directory: Path, write_card: Any, **head: Any) -> Classifier:
    """Load a copy of the shipped bundle of which these facts about its head were changed."""
    card = yaml.safe_load((directory / "card.yaml").read_text())
    card["head"] |= head
    write_card(directory, card)
    return Classifier.load(directory, threads=1)


def test_a_category_may_have_its_own_threshold(default_copy: Path, write_card: Any, golden: np.ndarray) -> None:
    limits = {"uncertain_below": 0.0, "unfamiliar_above": 10.0}
    of_all = _loaded(default_copy, write_card, **limits).classify(golden)
    strict = _loaded(default_copy, write_card, **limits, uncertain_below_of={of_all.category: 1.0}).classify(golden)
    other = "Tips" if of_all.category != "Tips" else "Powder"
    elsewhere = _loaded(default_copy, write_card, **limits, uncertain_below_of={other: 1.0}).classify(golden)

    assert (of_all.uncertain, strict.uncertain, elsewhere.uncertain) == (False, True, False)


def test_novelty_is_told_and_above_its_limit_nothing_is_believed(
    default_copy: Path, write_card: Any, golden: np.ndarray
) -> None:
    novelty = _loaded(default_copy, write_card, uncertain_below=0.0, unfamiliar_above=10.0).classify(golden).novelty
    assert novelty is not None
    for limit, uncertain in ((novelty + 1e-3, False), (novelty - 1e-3, True)):
        found = _loaded(default_copy, write_card, uncertain_below=0.0, unfamiliar_above=limit).classify(golden)
        assert (found.uncertain, found.novelty) == (uncertain, pytest.approx(novelty))


@pytest.mark.parametrize(("share", "uncertain"), [(0.0, False), (COLOURED_ABOVE, False), (0.9, True)])
def test_a_coloured_frame_is_not_believed_but_for_a_little_colour(
    default_copy: Path, write_card: Any, golden: np.ndarray, share: float, uncertain: bool
) -> None:
    classifier = _loaded(default_copy, write_card, uncertain_below=0.0, unfamiliar_above=10.0)

    assert classifier.classify(golden, share).uncertain is uncertain
