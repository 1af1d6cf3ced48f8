from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from emwatch.frame import CATEGORIES
from emwatch.train.evaluate.measures import (
    calibration_error,
    category_figures,
    confusion_matrix,
    coverage,
    differences,
    headline,
    most_confused,
    normalised,
    reliability,
)

if TYPE_CHECKING:
    import numpy.typing as npt


def _scores(likeliest: list[int], probability: list[float] | float = 0.9) -> npt.NDArray[np.float64]:
    """Return the likeliest its probability, the next category most of the rest."""
    sure = np.broadcast_to(probability, (len(likeliest),))
    scores = np.zeros((len(likeliest), 10))
    rows = np.arange(len(likeliest))
    scores[rows, likeliest] = sure
    scores[rows, (np.array(likeliest) + 1) % 10] = 1 - sure
    return scores


#: Three of category 0 (one taken for 4), two of 4 (both right), one of 9 taken for 0.
TRUTH = np.array([0, 0, 0, 4, 4, 9])
LIKELIEST = [0, 0, 4, 4, 4, 0]


class TestByHand:
    def test_the_confusion_matrix_has_true_categories_in_rows(self) -> None:
        counts = confusion_matrix(_scores(LIKELIEST), TRUTH)

        assert counts.sum() == 6
        assert (counts[0, 0], counts[0, 4], counts[4, 4], counts[9, 0]) == (2, 1, 2, 1)
        assert normalised(counts)[0, 4] == pytest.approx(1 / 3)
        assert np.isnan(normalised(counts)[1]).all()

    def test_precision_recall_and_f1(self) -> None:
        figures = category_figures(confusion_matrix(_scores(LIKELIEST), TRUTH))

        assert figures["Biological"].precision == pytest.approx(2 / 3)
        assert figures["Biological"].recall == pytest.approx(2 / 3)
        assert figures["Nanowires"].precision == pytest.approx(2 / 3)
        assert figures["Nanowires"].recall == 1
        assert figures["Nanowires"].f1 == pytest.approx(0.8)
        assert (figures["Tips"].precision, figures["Tips"].recall, figures["Tips"].f1) == (None, 0, 0)
        assert (figures["Powder"].precision, figures["Powder"].recall, figures["Powder"].f1) == (None, None, None)

    def test_the_most_confused_pairs_come_first(self) -> None:
        pairs = most_confused(confusion_matrix(_scores(LIKELIEST), TRUTH))

        assert [(pair.true, pair.taken_for, pair.frames) for pair in pairs] == [
            ("Tips", "Biological", 1),
            ("Biological", "Nanowires", 1),
        ]
        assert pairs[0].share == 1

    def test_the_headline(self) -> None:
        found = headline(_scores(LIKELIEST), TRUTH, list("abcdef"))

        assert found.accuracy.value == pytest.approx(4 / 6)
        assert found.balanced_accuracy.value == pytest.approx((2 / 3 + 1 + 0) / 3)
        assert found.macro_f1.value == pytest.approx((2 / 3 + 0.8 + 0) / 3)
        assert found.top_3_accuracy.value == pytest.approx(5 / 6)  # 0 is third of the frame taken for 4; of 9 it is not
        assert found.ece.value == pytest.approx(0.9 - 4 / 6)

    def test_coverage_goes_from_the_sure_to_the_unsure(self) -> None:
        points = coverage(_scores([0, 0, 0, 1], [0.9, 0.8, 0.8, 0.6]), np.array([0, 0, 1, 2]))

        assert [(point.probability, point.coverage, round(point.accuracy, 3)) for point in points] == [
            (0.9, 0.25, 1.0),
            (0.8, 0.75, 0.667),
            (0.6, 1.0, 0.5),
        ]


class TestCalibration:
    def test_honest_scores_have_nearly_no_error_and_bins_on_the_diagonal(self) -> None:
        random = np.random.default_rng(0)
        sure = random.uniform(0.5, 1.0, 20_000)
        right = random.random(20_000) < sure
        scores, truth = _scores([3] * 20_000, list(sure)), np.where(right, 3, 7)

        assert calibration_error(scores, truth) < 0.02
        for each in reliability(scores, truth):
            if each.frames > 500:
                assert each.accuracy == pytest.approx(each.probability, abs=0.05)

    def test_a_sure_liar_has_an_error_of_one(self) -> None:
        assert calibration_error(_scores([3] * 50, 1.0), np.full(50, 4)) == 1

    def test_the_headline_says_the_same(self) -> None:
        random = np.random.default_rng(1)
        scores = random.dirichlet(np.full(10, 0.3), 300)
        truth = random.integers(0, 10, 300)

        assert headline(scores, truth, ["a"] * 300).ece.value == pytest.approx(calibration_error(scores, truth))


class TestIntervals:
    def test_frames_of_one_source_count_as_one(self) -> None:
        """The same 400 frames: right or wrong source by source, an interval over frames would be four times too narrow."""
        random = np.random.default_rng(0)
        right_sources = random.random(20) < 0.7
        sources = [f"s{at // 20}" for at in range(400)]
        truth = np.array([at % 10 for at in range(400)])
        scores = _scores(
            [int(truth[at]) if right_sources[at // 20] else int((truth[at] + 5) % 10) for at in range(400)]
        )
        clustered = headline(scores, truth, sources).accuracy
        alone = headline(scores, truth, [str(at) for at in range(400)]).accuracy

        assert clustered.value == alone.value
        assert clustered.low < clustered.value < clustered.high
        assert (clustered.high - clustered.low) > 3 * (alone.high - alone.low)

    def test_they_hold_the_truth_about_19_times_of_20(self) -> None:
        random = np.random.default_rng(2)
        held = 0
        for trial in range(20):
            truth = random.integers(0, 10, 60)
            likeliest = np.where(random.random(60) < 0.6, truth, (truth + 1) % 10)
            found = headline(_scores(likeliest.tolist()), truth, [str(at) for at in range(60)], seed=trial).accuracy
            held += found.low <= 0.6 <= found.high

        assert 17 <= held <= 20

    def test_one_source_alone_falls_back_on_frames(self) -> None:
        found = headline(_scores(LIKELIEST), TRUTH, ["one"] * 6).accuracy

        assert found.low < found.value < found.high

    def test_no_frames_are_an_error(self) -> None:
        with pytest.raises(ValueError, match="no frames"):
            headline(np.zeros((0, 10)), np.zeros(0, dtype=np.int64), [])

    def test_there_are_ten_categories(self) -> None:
        assert len(category_figures(np.zeros((10, 10), dtype=np.int64))) == len(CATEGORIES)


class TestDifferences:
    def test_two_models_differ_by_what_their_figures_differ(self) -> None:
        first, second = _scores(LIKELIEST), _scores([0, 0, 4, 4, 4, 9])
        sources = ["a", "a", "b", "b", "c", "c"]
        found = differences(first, second, TRUTH, sources)
        ones, others = headline(first, TRUTH, sources), headline(second, TRUTH, sources)

        for name in ("accuracy", "balanced_accuracy", "ece"):
            assert found[name].value == pytest.approx(getattr(others, name).value - getattr(ones, name).value)
        assert found["accuracy"].value == pytest.approx(1 / 6)
        assert found["accuracy"].low >= 0

    def test_the_same_model_differs_from_itself_by_nothing_whatever_is_drawn(self) -> None:
        scores = _scores(LIKELIEST)
        for interval in differences(scores, scores, TRUTH, ["a", "b", "c", "d", "e", "f"]).values():
            assert (interval.value, interval.low, interval.high) == (0, 0, 0)

    def test_what_is_hard_for_both_does_not_widen_the_interval(self) -> None:
        random = np.random.default_rng(2)
        truth = random.integers(0, 10, 400)
        sources = [str(each) for each in random.integers(0, 40, 400)]
        hard = np.array([int(each) % 2 == 0 for each in sources])
        first = np.where(hard, (truth + 1) % 10, truth)
        second = first.copy()
        second[0] = truth[0] if first[0] != truth[0] else (truth[0] + 1) % 10
        found = differences(_scores(first.tolist()), _scores(second.tolist()), truth, sources)["accuracy"]

        assert found.high - found.low < 0.02 < headline(_scores(first.tolist()), truth, sources).accuracy.high - 0.5
