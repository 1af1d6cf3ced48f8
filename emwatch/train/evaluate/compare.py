"""Two models on the same frames: who is right where, and whether the difference is more than chance among the sources."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import comb
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.classify.scale_doubt import field_width_um
from emwatch.errors import DatasetError, FrameError
from emwatch.frame import CATEGORIES, path_to_text
from emwatch.train.dataset.survey import read_all
from emwatch.train.evaluate import measures
from emwatch.train.evaluate.evaluate import learned_sources, names_its_sources

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from emwatch.classify.classifier import Classifier
    from emwatch.frame import Prediction
    from emwatch.train.dataset.labelled import LabelledFrame


#: Fewer sources than this do not tell which of two models is better.
LEAST_SOURCES: Final = 5


@dataclass(frozen=True, slots=True)
class Pair:
    """One labelled frame with what both models said of it."""

    frame: LabelledFrame
    first: Prediction
    second: Prediction
    sha256: str = ""


def judge_both(
    first: Classifier,
    second: Classifier,
    frames: Sequence[LabelledFrame],
    tell: Callable[[int], None],
    views: int = 1,
    *,
    doubt_by_scale: bool = True,
) -> tuple[list[Pair], list[tuple[LabelledFrame, str]]]:
    """
    Let both classify each frame, read once as the daemon reads it; returns also what could not be read.

    ``doubt_by_scale``: the field width counts.
    """
    pairs, unreadable = [], []
    readings = read_all([frame.path for frame in frames], views)
    for number, (frame, result) in enumerate(zip(frames, readings, strict=True), start=1):
        if isinstance(result, FrameError):
            unreadable.append((frame, str(result)))
        else:
            width_um = field_width_um(result.metadata, result.width) if doubt_by_scale else None
            one, other = (each.classify(result.views, result.coloured_share, width_um) for each in (first, second))
            pairs.append(Pair(frame, one, other, result.sha256))
        tell(number)
    return pairs, unreadable


def comparison(
    pairs: Sequence[Pair],
    cards: tuple[Mapping[str, Any], Mapping[str, Any]],
    seed: int = 0,
    taught: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """
    Compare on the frames that taught neither model, by their sha256 (``taught``) and by the sources on the cards.

    Returns plain data: the figures of each, the difference (second less first) with its interval over sources, and who is
    right where. ``sources`` fewer than `LEAST_SOURCES` decide nothing: ``enough_sources`` says so. Raises `DatasetError`
    without frames, or if every frame taught one of them.
    """
    if not pairs:
        raise DatasetError("both models classified no frame: there are none, or none can be read")
    learned = learned_sources(cards[0]) | learned_sources(cards[1])
    new = [pair for pair in pairs if pair.sha256 not in taught]
    if not new:
        raise DatasetError(
            f"all {len(pairs)} frames taught one of the two models, so they cannot judge it: give frames of other sessions"
        )
    unseen = [pair for pair in new if pair.frame.source not in learned]
    judged = unseen or new
    truth = np.array([pair.frame.category for pair in judged], dtype=np.int64)
    sources = [pair.frame.source for pair in judged]
    first, second = _scores([pair.first for pair in judged]), _scores([pair.second for pair in judged])
    rights = [scores.argmax(axis=1) == truth for scores in (first, second)]
    return {
        "frames": len(judged),
        "sources": len(set(sources)),
        "left_out": len(pairs) - len(judged),
        "taught": len(pairs) - len(new),
        "enough_sources": len(set(sources)) >= LEAST_SOURCES and bool(unseen),
        "warnings": _warnings(bool(unseen), cards),
        "first": asdict(measures.headline(first, truth, sources, seed)),
        "second": asdict(measures.headline(second, truth, sources, seed)),
        "difference": {
            name: asdict(each) for name, each in measures.differences(first, second, truth, sources, seed).items()
        },
        "paired": _paired(rights[0], rights[1]),
        "recall": _recalls(rights[0], rights[1], truth),
        "right_only": {
            "first": [path_to_text(judged[at].frame.path) for at in np.flatnonzero(rights[0] & ~rights[1])],
            "second": [path_to_text(judged[at].frame.path) for at in np.flatnonzero(rights[1] & ~rights[0])],
        },
    }


def sign_test(wins: int, losses: int) -> float:
    """Return the p-value, the probability of a split at least so uneven if both are equally good: two-sided, exact (McNemar's test, binomial form)."""
    total = wins + losses
    tail = sum(comb(total, at) for at in range(min(wins, losses) + 1))
    return min(1.0, 2 * tail / (1 << total))


def _paired(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> dict[str, Any]:
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    return {
        "both_right": int((first & second).sum()),
        "only_first_right": only_first,
        "only_second_right": only_second,
        "both_wrong": int((~first & ~second).sum()),
        # Frames of one source are alike, so this is too sure of itself; the interval over sources is not.
        "chance_by_frames": sign_test(only_second, only_first),
    }


def _recalls(
    first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_], truth: npt.NDArray[np.int64]
) -> dict[str, dict[str, float]]:
    return {
        name: {
            "frames": int((truth == index).sum()),
            "first": float(first[truth == index].mean()),
            "second": float(second[truth == index].mean()),
        }
        for index, name in enumerate(CATEGORIES)
        if (truth == index).any()
    }


def _warnings(unseen: bool, cards: tuple[Mapping[str, Any], Mapping[str, Any]]) -> list[str]:
    found = [
        f"the card of {card.get('name')} does not name all sources it learned from; on those its figures flatter it"
        for card in cards
        if not names_its_sources(card)
    ]
    if not unseen:
        found.append("every frame is of a source that one of them has learned from: the figures flatter that one")
    return found


def _scores(predictions: Sequence[Prediction]) -> npt.NDArray[np.float64]:
    return np.array([[each.scores[name] for name in CATEGORIES] for each in predictions], dtype=np.float64)
