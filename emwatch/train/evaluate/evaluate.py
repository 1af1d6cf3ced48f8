"""Lets a model judge labelled frames as the daemon would, and says how well it did, as plain data for reports and JSON."""

from __future__ import annotations

import collections
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.classify.scale_doubt import field_width_um
from emwatch.errors import DatasetError, FrameError
from emwatch.frame import CATEGORIES, path_to_text
from emwatch.train.dataset.describe import BANDS, UNKNOWN, band
from emwatch.train.dataset.labelled import OWN, Part, names_tell_nothing
from emwatch.train.dataset.survey import read_all
from emwatch.train.evaluate import measures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from emwatch.classify.classifier import Classifier
    from emwatch.frame import FrameReading, Prediction
    from emwatch.train.dataset.labelled import LabelledFrame

#: So many mistakes are kept for the contact sheet, the surest first.
_MISTAKES: Final = 24

#: Of one source's frames taken for the same wrong category so many are shown: the next one says nothing new.
_OF_A_KIND: Final = 3

#: A coverage curve is drawn from about so many points.
_POINTS: Final = 200

#: What the card says of a backbone that was trained further: rows as of the head's sources, or whose they are.
LEARNED_FROM: Final = "learned_from"
NOT_KNOWN: Final = "not known"


@dataclass(frozen=True, slots=True)
class JudgedFrame:
    """One labelled frame with what the model said of it."""

    frame: LabelledFrame
    prediction: Prediction
    sha256: str
    vendor: str
    magnification: float | None

    @property
    def right(self) -> bool:
        """Return whether the likeliest category is the true one."""
        return self.prediction.category == CATEGORIES[self.frame.category]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Everything a model said of a dataset, and what could not be read."""

    judged: list[JudgedFrame]
    unreadable: list[tuple[LabelledFrame, str]]


def chosen(frames: Sequence[LabelledFrame], part: Part | None) -> tuple[list[LabelledFrame], Part | None]:
    """
    Return the frames to evaluate on: those of a part (by default the test part if there is one), else all.

    Without near duplicates, which would count twice. Raises `DatasetError` if the part has no frames.
    """
    parts = {frame.part for frame in frames}
    if part is None and Part.TEST in parts:
        part = Part.TEST
    if part is not None and part not in parts:
        raise DatasetError(
            f"no frame of this dataset is in the part '{part}': expected a manifest that 'emwatch dataset split' wrote"
        )
    return [frame for frame in frames if not frame.near_duplicate and (part is None or frame.part is part)], part


def judge(
    classifier: Classifier,
    frames: Sequence[LabelledFrame],
    tell: Callable[[int], None],
    complete: Callable[[FrameReading], FrameReading] | None = None,
    views: int = 1,
    *,
    doubt_by_scale: bool = True,
) -> Judgement:
    """
    Classify frames by 1 or 5 ``views`` of each, reading the next ones meanwhile.

    ``complete`` adds what the data bar shows, ``tell`` hears the count. ``doubt_by_scale``: the field width counts.
    """
    judgement = Judgement([], [])
    readings = read_all([frame.path for frame in frames], views)
    for number, (frame, result) in enumerate(zip(frames, readings, strict=True), start=1):
        if isinstance(result, FrameError):
            judgement.unreadable.append((frame, str(result)))
        else:
            metadata = (result if complete is None else complete(result)).metadata
            width_um = field_width_um(metadata, result.width) if doubt_by_scale else None
            prediction = classifier.classify(result.views, result.coloured_share, width_um)
            judgement.judged.append(
                JudgedFrame(frame, prediction, result.sha256, metadata.vendor or "", metadata.number("magnification"))
            )
        tell(number)
    return judgement


def evaluation(
    judgement: Judgement, card: Mapping[str, Any], seed: int = 0, taught: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """
    Return the evaluation of a model with this ``card``: a document of plain data.

    ``taught``: the sha256 of frames that taught it, as far as its bundle tells. Raises `DatasetError` if no frame could be judged.
    """
    judged = judgement.judged
    if not judged:
        raise DatasetError("no frame could be classified: there are none of this part, or none can be read")
    scores, truth = _arrays(judged)
    counts = measures.confusion_matrix(scores, truth)
    learned = learned_sources(card)
    unseen = [each for each in judged if each.frame.source not in learned and each.sha256 not in taught]
    blind = [each for each in unseen if each.frame.blind]  # one that has taught judges nothing
    sources = [each.frame.source for each in judged]
    return {
        "frames": len(judged),
        "sources": len({each.frame.source for each in judged}),
        "unreadable": [
            {"path": path_to_text(frame.path), "message": message} for frame, message in judgement.unreadable
        ],
        "effective_sources": measures.effective_sources(truth, sources),
        "warnings": _warnings(judged, unseen, card),
        "headline": _headline(judged, seed),
        "unseen": _apart(unseen, judged, seed),
        "blind": _apart(blind, judged, seed),
        "uncertain": _uncertain(judged),
        "categories": _categories(judged, counts),
        "confusion": {
            "counts": counts.tolist(),
            "normalised": [
                [None if np.isnan(cell) else cell for cell in row] for row in measures.normalised(counts).tolist()
            ],
        },
        "most_confused": [asdict(pair) for pair in measures.most_confused(counts)],
        "reliability": [asdict(each) for each in measures.reliability(scores, truth)],
        "coverage": [asdict(point) for point in _thinned(measures.coverage(scores, truth))],
        "by": {
            "magnification": _groups(judged, lambda each: band(each.magnification), BANDS),
            "maker": _groups(judged, lambda each: each.vendor or each.frame.instrument or UNKNOWN),
            "source": [
                {**group, "learned_from": group["name"] in learned}
                for group in _groups(judged, lambda each: each.frame.source)
            ],
        },
        "mistakes": [_mistake(each) for each in mistakes(judged)],
    }


def _apart(some: Sequence[JudgedFrame], judged: Sequence[JudgedFrame], seed: int) -> dict[str, Any] | None:
    """Return the figures of some of the judged frames, ``None`` if they are none or all."""
    if not 0 < len(some) < len(judged):
        return None
    return {
        "frames": len(some),
        "sources": len({each.frame.source for each in some}),
        **_headline(some, seed),
        "uncertain": _uncertain(some),
    }


def learned_sources(card: Mapping[str, Any]) -> set[str]:
    """Name the sources that a bundle, its head or its backbone, has learned from, as far as its card tells."""
    rows = [row for told in _learned_from(card) if isinstance(told, list) for row in told]
    return {each["source"] for each in rows if isinstance(each, dict) and isinstance(each.get("source"), str)}


def names_its_sources(card: Mapping[str, Any]) -> bool:
    """Return whether a card names all sources that head and backbone have learned from, and not only whose they are."""
    told = _learned_from(card)
    return bool(told) and all(isinstance(each, list) for each in told)


def _learned_from(card: Mapping[str, Any]) -> list[object]:
    """Return the sources on a card: of its head, and of its backbone if that was trained further."""
    told = (card.get("training", {}).get("sources"), card.get("backbone", {}).get(LEARNED_FROM))
    return [each for each in told if each is not None]


def mistakes(judged: Sequence[JudgedFrame], most: int = _MISTAKES) -> list[JudgedFrame]:
    """Choose the worst mistakes: those the model was sure of, the surest first, and few of one kind from one source."""
    wrong = [each for each in judged if not each.right]
    wrong.sort(key=lambda each: (each.prediction.uncertain, -each.prediction.probability))
    shown: collections.Counter[tuple[str, int, str]] = collections.Counter()
    worst = []
    for each in wrong:
        kind = (each.frame.source, each.frame.category, each.prediction.category)
        shown[kind] += 1
        if shown[kind] <= _OF_A_KIND:
            worst.append(each)
    return worst[:most]


def _arrays(judged: Sequence[JudgedFrame]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    scores = np.array([[each.prediction.scores[name] for name in CATEGORIES] for each in judged], dtype=np.float64)
    return scores, np.array([each.frame.category for each in judged], dtype=np.int64)


def _headline(judged: Sequence[JudgedFrame], seed: int) -> dict[str, Any]:
    return asdict(measures.headline(*_arrays(judged), [each.frame.source for each in judged], seed))


def _uncertain(judged: Sequence[JudgedFrame]) -> dict[str, Any]:
    """Return counts of uncertain frames, and how many of them are wrong."""
    doubted = [each for each in judged if each.prediction.uncertain]
    certain = [each for each in judged if not each.prediction.uncertain]
    right = [each for each in judged if each.right]
    return {
        "frames": len(doubted),
        "share": len(doubted) / len(judged),
        "accuracy_when_certain": _share(certain),
        "accuracy_when_uncertain": _share(doubted),
        "right_kept_certain": sum(not each.prediction.uncertain for each in right) / len(right) if right else None,
        "wrong_caught": sum(not each.right for each in doubted) / (len(judged) - len(right))
        if len(right) < len(judged)
        else None,
    }


def _categories(judged: Sequence[JudgedFrame], counts: npt.NDArray[np.int64]) -> dict[str, Any]:
    doubted = collections.Counter(each.frame.category for each in judged if each.prediction.uncertain)
    sources: dict[int, set[str]] = collections.defaultdict(set)
    for each in judged:
        sources[each.frame.category].add(each.frame.source)
    return {
        name: {**asdict(figures), "uncertain": doubted[index], "sources": len(sources[index])}
        for index, (name, figures) in enumerate(measures.category_figures(counts).items())
    }


def _groups(
    judged: Sequence[JudgedFrame], name_of: Callable[[JudgedFrame], str], order: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return the figures of each group of frames; in the given order, else the largest first."""
    groups: dict[str, list[JudgedFrame]] = collections.defaultdict(list)
    for each in judged:
        groups[name_of(each)].append(each)
    names = [name for name in order if name in groups] or sorted(groups, key=lambda name: (-len(groups[name]), name))
    return [
        {
            "name": name,
            "frames": len(mine),
            "sources": len({each.frame.source for each in mine}),
            "categories": len({each.frame.category for each in mine}),
            "accuracy": _share(mine),
            "uncertain_share": sum(each.prediction.uncertain for each in mine) / len(mine),
            "accuracy_when_certain": _share([each for each in mine if not each.prediction.uncertain]),
        }
        for name in names
        for mine in [groups[name]]
    ]


def _share(judged: Sequence[JudgedFrame]) -> float | None:
    return sum(each.right for each in judged) / len(judged) if judged else None


def _mistake(each: JudgedFrame) -> dict[str, Any]:
    return {
        "path": path_to_text(each.frame.path),
        "category": CATEGORIES[each.frame.category],
        "taken_for": each.prediction.category,
        "probability": each.prediction.probability,
        "uncertain": each.prediction.uncertain,
        "source": each.frame.source,
    }


def _thinned(points: Sequence[measures.CoveragePoint]) -> list[measures.CoveragePoint]:
    """Keep some of many points, the last among them."""
    step = max(1, len(points) // _POINTS)
    kept = list(points[::step])
    return kept if not points or kept[-1] == points[-1] else [*kept, points[-1]]


def _warnings(judged: Sequence[JudgedFrame], unseen: Sequence[JudgedFrame], card: Mapping[str, Any]) -> list[str]:
    said = []
    if len(unseen) < len(judged):
        seen = sorted({each.frame.source for each in judged} - {each.frame.source for each in unseen})
        said.append(
            f"{len(judged) - len(unseen)} of {len(judged)} frames are of sources that this bundle has learned from "
            f"({', '.join(seen[:5])}{', ...' if len(seen) > 5 else ''}): figures on them flatter; those on the others stand beside them"
        )
    if OWN in _learned_from(card) and any(each.frame.licence == OWN for each in judged):
        said.append(
            "the bundle has learned from frames of the user's own, and these are such: if they are among them, figures flatter. "
            "Judge by the test part of the manifest that it was trained with"
        )
    if NOT_KNOWN in _learned_from(card):
        said.append("nobody knows what the backbone of this bundle has learned from: figures on such frames flatter")
    if any(each.frame.part is Part.TRAINING for each in judged):
        said.append("these frames are of the training part: a model that has learned from them knows them")
    untold = sum(names_tell_nothing(each.frame.source) for each in judged)
    if untold > len(judged) / 2:
        said.append(
            f"the sources of {untold} of {len(judged)} frames are unknown (their names are hashes), so each counts as its own: "
            "intervals are too narrow, and frames of one session may have taught. Name their sources in a table"
        )
    if len({each.frame.source for each in judged}) == 1:
        said.append("all frames are of one source: the intervals are of frames, and too narrow for other instruments")
    missing = [
        name for index, name in enumerate(CATEGORIES) if not any(each.frame.category == index for each in judged)
    ]
    if missing:
        said.append(f"there are no frames of {', '.join(missing)}: nothing is said about them")
    return said
