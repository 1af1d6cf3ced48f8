from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from emwatch.classify.classifier import Classifier
from emwatch.errors import DatasetError
from emwatch.frame import CATEGORIES, Prediction
from emwatch.train.dataset.describe import BANDS, band
from emwatch.train.dataset.labelled import OWN, LabelledFrame, Part
from emwatch.train.evaluate.compare import judge_both
from emwatch.train.evaluate.evaluate import (
    JudgedFrame,
    Judgement,
    chosen,
    evaluation,
    judge,
    learned_sources,
    mistakes,
    names_its_sources,
)

CARD = {"training": {"sources": [{"source": "known lab", "licence": "MIT", "frames": 9}]}}


def judged(
    category: int,
    taken_for: int,
    probability: float = 0.9,
    *,
    source: str = "lab",
    uncertain: bool = False,
    magnification: float | None = None,
    name: str = "x.png",
    **more: Any,
) -> JudgedFrame:
    scores = dict.fromkeys(CATEGORIES, (1 - probability) / 9) | {CATEGORIES[taken_for]: probability}
    said = Prediction(
        CATEGORIES[taken_for], probability, scores, uncertain, probability - (1 - probability) / 9, "0" * 64
    )
    frame = LabelledFrame(Path("/data") / source / name, category, source, **more)
    return JudgedFrame(frame, said, "1" * 64, "Zeiss" if magnification else "", magnification)


def _evaluated(*frames: JudgedFrame, card: dict[str, Any] | None = None) -> dict[str, Any]:
    return evaluation(Judgement(list(frames), []), card or CARD)


def test_figures_groups_and_confusions_are_plain_data() -> None:
    document = _evaluated(
        judged(0, 0, source="a", magnification=100),
        judged(0, 4, source="a", magnification=3000),
        judged(4, 4, source="b", uncertain=True),
        judged(9, 9, source="c"),
    )
    document = json.loads(json.dumps(document, allow_nan=False))

    assert (document["frames"], document["sources"]) == (4, 3)
    assert document["headline"]["accuracy"]["value"] == 0.75
    assert document["headline"]["balanced_accuracy"]["value"] == pytest.approx(2.5 / 3)
    assert document["confusion"]["counts"][0][4] == 1
    assert document["confusion"]["normalised"][1][1] is None
    assert document["most_confused"] == [{"true": "Biological", "taken_for": "Nanowires", "frames": 1, "share": 0.5}]
    assert [(each["name"], each["frames"], each["accuracy"]) for each in document["by"]["magnification"]] == [
        ("below 500x", 1, 1.0),
        ("2,000x to 10,000x", 1, 0.0),
        ("unknown", 2, 1.0),
    ]
    assert [(each["name"], each["frames"]) for each in document["by"]["source"]] == [("a", 2), ("b", 1), ("c", 1)]
    assert {each["name"] for each in document["by"]["maker"]} == {"Zeiss", "unknown"}


def test_uncertain_is_judged_by_what_it_catches_and_what_it_costs() -> None:
    doubt = _evaluated(
        judged(0, 0), judged(0, 0), judged(0, 0, uncertain=True), judged(0, 1, uncertain=True), judged(0, 1)
    )["uncertain"]

    assert (doubt["frames"], doubt["share"]) == (2, 0.4)
    assert doubt["accuracy_when_certain"] == pytest.approx(2 / 3)
    assert doubt["accuracy_when_uncertain"] == 0.5
    assert doubt["right_kept_certain"] == pytest.approx(2 / 3)
    assert doubt["wrong_caught"] == 0.5


def test_frames_of_sources_that_were_learned_from_are_told_and_the_others_judged_apart() -> None:
    document = _evaluated(judged(0, 0, source="known lab"), judged(0, 1, source="new lab"))

    assert "1 of 2 frames are of sources that this bundle has learned from (known lab)" in document["warnings"][0]
    assert document["unseen"]["frames"] == 1
    assert document["unseen"]["accuracy"]["value"] == 0
    assert {each["name"]: each["learned_from"] for each in document["by"]["source"]} == {
        "known lab": True,
        "new lab": False,
    }


def test_what_a_backbone_was_trained_further_on_counts_as_learned_from() -> None:
    """Another head on it may have learned from quite other frames: its card alone would call these new."""
    rows = [{"source": "tuned on", "licence": "MIT", "frames": 5}]
    tuned = {**CARD, "backbone": {"learned_from": rows}}

    assert learned_sources(tuned) == {"known lab", "tuned on"}
    assert names_its_sources(CARD)
    assert names_its_sources(tuned)
    for whose in (OWN, "not known"):
        assert not names_its_sources({**CARD, "backbone": {"learned_from": whose}})
    document = _evaluated(judged(0, 0), card={**CARD, "backbone": {"learned_from": "not known"}})
    assert "nobody knows what the backbone of this bundle has learned from" in document["warnings"][0]


def test_where_nothing_was_learned_from_there_is_no_second_judgement() -> None:
    document = _evaluated(judged(0, 0, source="new"), judged(1, 1, source="newer"))

    assert document["unseen"] is None
    assert not any("learned" in warning for warning in document["warnings"])


def test_a_frame_that_taught_is_known_by_its_content_whatever_its_source_is_called_now() -> None:
    taught, other = judged(0, 0, source="renamed"), replace(judged(0, 1, source="new"), sha256="2" * 64)
    document = evaluation(Judgement([taught, other], []), {}, taught=frozenset({"1" * 64}))

    assert (document["unseen"]["frames"], document["unseen"]["accuracy"]["value"]) == (1, 0)


def test_blind_sources_are_judged_apart_unless_they_have_taught() -> None:
    document = _evaluated(
        judged(0, 0), judged(0, 1, source="blind lab", blind=True), judged(0, 0, source="known lab", blind=True)
    )

    assert (document["blind"]["frames"], document["blind"]["accuracy"]["value"]) == (1, 0)


def test_each_source_counts_once_beside_the_figure_in_which_frames_count() -> None:
    large = [judged(0, 1, name=f"{at}.png") for at in range(9)]
    document = _evaluated(*large, judged(0, 0, source="small"))

    assert document["headline"]["balanced_accuracy"]["value"] == pytest.approx(0.1)
    assert document["headline"]["by_source"]["value"] == pytest.approx(0.5)
    assert document["effective_sources"]["Biological"] == pytest.approx(100 / 82)


def test_a_mistake_across_a_border_counts_as_right_where_borders_are_merged() -> None:
    particles, powder = CATEGORIES.index("Particles"), CATEGORIES.index("Powder")
    headline = _evaluated(judged(powder, particles), judged(powder, powder, source="new"))["headline"]

    assert headline["balanced_accuracy"]["value"] == pytest.approx(0.5)
    assert headline["merged_balanced_accuracy"]["value"] == 1.0


def test_frames_whose_names_tell_no_source_are_told() -> None:
    frames = [judged(0, 0, source=f"Tips/{at:04x}89abcdef01.png") for at in range(3)]

    assert "the sources of 3 of 3 frames are unknown" in " ".join(_evaluated(*frames)["warnings"])


def test_a_users_own_bundle_on_the_users_own_frames_is_told() -> None:
    document = _evaluated(judged(0, 0), card={"training": {"sources": "the user's own"}})

    assert "frames of the user's own" in document["warnings"][0]


def test_missing_categories_one_source_and_the_training_part_are_told() -> None:
    text = " ".join(_evaluated(judged(0, 0, part=Part.TRAINING))["warnings"])

    assert "no frames of Fibres, Films_Coated_Surface" in text
    assert "one source" in text
    assert "training part" in text


def test_no_frames_are_an_error() -> None:
    with pytest.raises(DatasetError, match="no frame could be classified"):
        _evaluated()


def test_the_worst_mistakes_are_the_sure_ones_and_few_of_a_kind() -> None:
    same = [judged(4, 5, 0.9 - number / 100, source="many", name=f"{number}.png") for number in range(9)]
    worst = mistakes([judged(0, 0, 0.99), *same, judged(1, 2, 0.95, uncertain=True), judged(3, 2, 0.6)])

    assert [each.prediction.probability for each in worst] == pytest.approx([0.9, 0.89, 0.88, 0.6, 0.95])


class TestChosen:
    FRAMES = (
        LabelledFrame(Path("a"), 0, "a", part=Part.TRAINING),
        LabelledFrame(Path("b"), 0, "b", part=Part.TEST),
        LabelledFrame(Path("c"), 0, "b", part=Part.TEST, near_duplicate=True),
    )

    def test_the_test_part_is_judged_by_where_there_is_one(self) -> None:
        assert chosen(self.FRAMES, None) == ([self.FRAMES[1]], Part.TEST)

    def test_another_part_where_it_is_asked_for(self) -> None:
        assert chosen(self.FRAMES, Part.TRAINING) == ([self.FRAMES[0]], Part.TRAINING)

    def test_all_but_near_duplicates_where_there_are_no_parts(self) -> None:
        plain = [LabelledFrame(Path("a"), 0, "a"), LabelledFrame(Path("b"), 0, "a", near_duplicate=True)]

        assert chosen(plain, None) == ([plain[0]], None)

    def test_a_part_that_is_not_there_is_told(self) -> None:
        with pytest.raises(DatasetError, match="no frame of this dataset is in the part 'validation'"):
            chosen(self.FRAMES, Part.VALIDATION)


def test_every_magnification_has_its_band() -> None:
    assert [band(each) for each in (10, 500, 1999, 2000, 10_000, 50_000, None)] == [
        "below 500x",
        "500x to 2,000x",
        "500x to 2,000x",
        "2,000x to 10,000x",
        "10,000x to 50,000x",
        "from 50,000x",
        "unknown",
    ]
    assert len(set(BANDS)) == 6


def test_a_coloured_picture_is_doubted_as_by_the_daemon_in_evaluations_and_comparisons(tmp_path: Path) -> None:
    """An electron detector sees no colour: what was judged without that said less of "Uncertain" than the daemon does."""
    red = np.zeros((120, 160, 3), np.uint8)
    red[..., 0] = np.random.default_rng(0).integers(100, 250, (120, 160))
    for name, pixels in (("grey.png", np.repeat(red[..., :1], 3, axis=2) // 2), ("red.png", red)):
        Image.fromarray(pixels).save(tmp_path / name)
    frames = [LabelledFrame(tmp_path / name, 0, name) for name in ("grey.png", "red.png")]
    stub = Classifier.load(tmp_path, "stub")

    alone = judge(stub, frames, lambda _: None).judged
    pairs, _ = judge_both(stub, stub, frames, lambda _: None)

    assert [each.prediction.uncertain for each in alone] == [False, True]
    assert [(each.first.uncertain, each.second.uncertain) for each in pairs] == [(False, False), (True, True)]


def test_the_field_width_counts_in_evaluations_and_comparisons_only_if_it_does_in_the_daemon(tmp_path: Path) -> None:
    """The simulator's frames say their field width; here one is filed with a grey that the stub calls Nanowires."""
    frames, stub = [_frame_of_3_mm(tmp_path)], Classifier.load(tmp_path, "stub")

    for doubts in (True, False):
        alone = judge(stub, frames, lambda _: None, doubt_by_scale=doubts).judged[0].prediction
        [pair], _ = judge_both(stub, stub, frames, lambda _: None, doubt_by_scale=doubts)

        assert alone.category == "Nanowires"
        assert bool(alone.doubt) is bool(pair.first.doubt) is bool(pair.second.doubt) is doubts


def _frame_of_3_mm(folder: Path) -> LabelledFrame:
    """Write a TIFF of ImageJ, 500 pixels of 6 µm, whose mean grey is that of Nanowires."""
    grey = np.random.default_rng(0).integers(110, 119, (400, 500)).astype(np.uint8)
    tags = {270: "ImageJ=1.53t\nunit=um\n", 282: 1 / 6, 283: 1 / 6}
    Image.fromarray(grey).save(folder / "wide.tif", tiffinfo=tags)
    return LabelledFrame(folder / "wide.tif", CATEGORIES.index("Nanowires"), "lab")


def test_five_views_are_judged_where_the_daemon_takes_five(tmp_path: Path) -> None:
    """A dark middle between bright sides: one view is the middle, the mean of five is not."""
    wide = np.random.default_rng(0).integers(200, 240, (100, 500), dtype=np.uint8)
    wide[:, 200:300] -= 190
    Image.fromarray(wide).save(tmp_path / "wide.png")
    frames = [LabelledFrame(tmp_path / "wide.png", 0, "lab")]
    stub = Classifier.load(tmp_path, "stub")

    one, five = (judge(stub, frames, lambda _: None, views=views).judged[0].prediction for views in (1, 5))
    [pair], _ = judge_both(stub, stub, frames, lambda _: None, views=5)

    assert one.scores != five.scores
    assert pair.first.scores == pair.second.scores == five.scores
