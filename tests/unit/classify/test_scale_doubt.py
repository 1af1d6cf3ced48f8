from __future__ import annotations

import numpy as np
import pytest

from emwatch.classify.classifier import Classifier
from emwatch.classify.scale_doubt import contradiction, doubt, doubted_at, field_width_um, is_implausible
from emwatch.frame import CATEGORIES, AcquisitionMetadata, Reading


def _metadata(**values: float) -> AcquisitionMetadata:
    return AcquisitionMetadata(readings={name: Reading(value, str(value), "a tag") for name, value in values.items()})


@pytest.mark.parametrize(
    ("category", "width_um", "implausible"),
    [
        ("Nanowires", 3000, True),
        ("Nanowires", 5, False),
        ("Particles", 3000, True),
        ("Powder", 80, False),
        ("Powder", 0.4, True),
        ("MEMS_devices_and_electrodes", 150, False),
    ],
)
def test_a_category_is_implausible_far_from_where_it_is_imaged(
    category: str, width_um: float, implausible: bool
) -> None:
    assert is_implausible(category, width_um) is implausible
    assert bool(doubt(category, width_um)) is implausible


def test_no_category_is_implausible_at_its_own_usual_width_and_none_without_a_width() -> None:
    usual = (80, 60, 12, 150, 5, 2.5, 7, 40, 80, 20)
    assert not any(is_implausible(name, width) for name, width in zip(CATEGORIES, usual, strict=True))
    assert not any(doubt(name, None) for name in CATEGORIES)


def test_a_width_that_contradicts_the_pixel_size_raises_no_doubt() -> None:
    assert field_width_um(_metadata(horizontal_field_width_um=100.0, pixel_size_nm=100.0), 1000) == 100.0
    assert field_width_um(_metadata(horizontal_field_width_um=100.0, pixel_size_nm=1.0), 1000) is None
    assert field_width_um(_metadata(pixel_size_nm=2.0), 1000) == 2.0
    assert field_width_um(_metadata(), 1000) is None
    assert field_width_um(_metadata(horizontal_field_width_um=100.0, pixel_size_nm=0.0), 1000) == 100.0


def test_a_width_that_contradicts_the_pixel_size_is_told_with_both() -> None:
    told = contradiction(_metadata(horizontal_field_width_um=100.0, pixel_size_nm=1.0), 1000)

    assert told.startswith("a field width of 100 µm contradicts 1,000 pixels of 1 nm (1 µm)")
    assert not contradiction(_metadata(horizontal_field_width_um=100.0, pixel_size_nm=100.0), 1000)
    assert not contradiction(_metadata(horizontal_field_width_um=100.0), 1000)


def test_the_categories_in_doubt_at_a_width_are_those_that_are_implausible_there() -> None:
    assert doubted_at(None) == ()
    assert doubted_at(3000.0) == tuple(name for name in CATEGORIES if is_implausible(name, 3000.0))
    assert {"Nanowires", "Particles"} <= set(doubted_at(3000.0))


def test_doubt_makes_a_prediction_uncertain_and_never_another_category() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(size=(1, 170, 170))
    index = CATEGORIES.index("Nanowires")
    view = ((noise - noise.mean()) / noise.std() * 3 + 25.5 * (index + 0.5)).astype(np.float32)
    classifier = Classifier.load(engine="stub")

    sure, doubted = classifier.classify(view, 0.0, 5.0), classifier.classify(view, 0.0, 3000.0)

    assert (sure.category, sure.uncertain, sure.doubt) == ("Nanowires", False, "")
    assert (doubted.category, doubted.uncertain) == ("Nanowires", True)
    assert doubted.doubt == "Nanowires is hardly ever imaged at a field width of 3,000 µm (usual is about 5 µm)"
    assert doubted.scores == sure.scores
