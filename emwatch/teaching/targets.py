"""Learn, apply and refine targets, and find frames that look alike: what the command line and the page call."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from emwatch.errors import TargetError
from emwatch.frame import ReviewVerdict
from emwatch.ledger.filters import LogFilter
from emwatch.ledger.query import LedgerReader
from emwatch.targets import learned
from emwatch.targets.learned import vectors
from emwatch.teaching import examples
from emwatch.teaching.store import Example, LearnedTarget, TargetStore, check_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from emwatch.classify.classifier import Classifier
    from emwatch.config import Config
    from emwatch.ledger.embeddings import FrameFacts
    from emwatch.ledger.reviews import ReviewRow
    from emwatch.targets.learned import Estimate, Rows


@dataclass(frozen=True, slots=True)
class Lesson:
    """A target as learned, with what to expect of it and what the operator should know."""

    target: LearnedTarget
    estimate: Estimate
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScoredFrame:
    """A frame of the log with its score: the likeness to a target, or the cosine of the angle to a frame."""

    score: float
    frame: FrameFacts


def learn(
    config: Config,
    name: str,
    wanted: Sequence[str | int | Path],
    unwanted: Sequence[str | int | Path],
    now: datetime,
    *,
    classifier: Classifier | None = None,
    keep: bool = True,
) -> Lesson:
    """
    Learn a target from frames that show it and frames that do not, and keep it as the next version beside the ledger.

    Frames are paths or numbers of the log. ``keep=False``: nothing is written. Raises `TargetError`, `ModelError`.
    """
    check_name(name)
    classifier = classifier or examples.open_classifier(config)
    with examples.reader_of(config) as reader:
        shown = [
            *examples.shown(config, classifier, reader, wanted, wanted=True),
            *examples.shown(config, classifier, reader, unwanted, wanted=False),
        ]
        return _learn(config, classifier, reader, name, shown, now, keep=keep)


def refine(config: Config, name: str, now: datetime, *, classifier: Classifier | None = None) -> Lesson:
    """
    Learn a target anew, also from its matches that a review confirmed or rejected.

    A relabelled match teaches nothing: its category was corrected, and nobody said whether it shows the target. Raises
    `TargetError` if nothing was reviewed since, or if its examples are of another backbone.
    """
    before = TargetStore(config.ledger.path).get(name)
    classifier = classifier or examples.open_classifier(config)
    if classifier.space is None or before.head.space_sha256 != classifier.space.sha256:
        raise TargetError(
            f"{name}: its examples were embedded by another backbone than that of the model in use: learn it again from "
            "the frames ('emwatch target show' lists them), or activate the model of then"
        )
    called = {each.name for each in config.targets if each.learned == name} | {name}
    known = {each.sha256 for each in before.examples}
    with LedgerReader(config.ledger.path) as reader:
        reviewed: dict[int, ReviewRow] = {}
        for target in called:
            found = reader.reviews(LogFilter(target=target))
            reviewed |= {each.frame_id: each for each in found if each.counts and each.sha256 not in known}
        numbers = {
            verdict: sorted(number for number, each in reviewed.items() if each.verdict is verdict)
            for verdict in ReviewVerdict
        }
        confirmed, rejected = numbers[ReviewVerdict.CONFIRM], numbers[ReviewVerdict.REJECT]
        if not confirmed and not rejected:
            raise TargetError(
                f"{name}: no match of it was confirmed or rejected since it was learned: 'emwatch review' does that"
            )
        more = [
            *examples.shown(config, classifier, reader, confirmed, wanted=True),
            *examples.shown(config, classifier, reader, rejected, wanted=False),
        ]
        again = [examples.Shown(each, "", None) for each in before.examples]
        lesson = _learn(config, classifier, reader, name, [*again, *more], now)
    if relabelled := numbers[ReviewVerdict.RELABEL]:
        listed = ", ".join(map(str, relabelled))
        told = (
            f"not learned from frames {listed}: their category was corrected, which does not say whether they show the "
            "target; 'emwatch target learn' takes them as examples, or with --not"
        )
        return replace(lesson, warnings=(*lesson.warnings, told))
    return lesson


def apply(config: Config, name: str, *, since: datetime | None = None, limit: int = 50) -> list[ScoredFrame]:
    """Return the frames of the log that a learned target finds, the likeliest first; opens no file and no model."""
    return find(config, TargetStore(config.ledger.path).get(name), since=since, limit=limit)[1]


def find(
    config: Config, target: LearnedTarget, *, since: datetime | None = None, limit: int = 50
) -> tuple[int, list[ScoredFrame]]:
    """Return how many frames of the log a target finds, kept or not, and the likeliest of them."""
    head = target.head
    with LedgerReader(config.ledger.path) as reader:
        found = reader.embeddings(head.space_sha256, since=since)
        if not found.frame_ids:
            if not reader.embeddings(head.space_sha256, limit=1).frame_ids:
                raise TargetError(
                    f"{target.name}: no frame of the log was embedded by the backbone that it was learned with: learn it again, "
                    "or let 'emwatch reclassify' embed the frames of before"
                )
            return 0, []
        scores = head.scores(vectors(found.vectors))
        order = np.argsort(-scores)
        best = [int(at) for at in order[:limit] if scores[at] >= head.threshold]
        return int((scores >= head.threshold).sum()), _found(reader, found.frame_ids, scores, best)


def similar(
    config: Config, frame: str | int | Path, *, since: datetime | None = None, limit: int = 20
) -> list[ScoredFrame]:
    """
    Return the frames of the log that look most like one of them, itself left out; ``frame``: its path or number.

    Raises `TargetError`.
    """
    with LedgerReader(config.ledger.path) as reader:
        path, frame_id = examples.located(reader, frame)
        if frame_id is None:
            raise TargetError(f"{path}: is not in the log; 'emwatch log' shows what is")
        own = reader.newest_embedding(frame_id)
        if own is None:
            raise TargetError(f"frame {frame_id} has no embedding: 'emwatch reclassify' makes it, if the file is there")
        found = reader.embeddings(own.space.sha256, since=since)
        scores = vectors(found.vectors) @ vectors([own.values])[0] if found.frame_ids else np.empty(0)
        order = [int(at) for at in np.argsort(-scores)[: limit + 1] if found.frame_ids[at] != frame_id]
        return _found(reader, found.frame_ids, scores, order[:limit])


def _found(reader: LedgerReader, numbers: Sequence[int], scores: Rows, chosen: Sequence[int]) -> list[ScoredFrame]:
    facts = reader.facts([numbers[at] for at in chosen])
    return [ScoredFrame(float(scores[at]), facts[numbers[at]]) for at in chosen if numbers[at] in facts]


def _learn(
    config: Config,
    classifier: Classifier,
    reader: LedgerReader | None,
    name: str,
    shown: Sequence[examples.Shown],
    now: datetime,
    *,
    keep: bool = True,
) -> Lesson:
    _check(shown)
    space = classifier.space
    wanted = [each.example for each in shown if each.example.wanted]
    unwanted = [each.example for each in shown if not each.example.wanted]
    if space is None:
        raise TargetError(f"{name}: the model in use makes no embeddings")
    others = _others(classifier, reader, shown)
    try:
        head, estimate = learned.learn(
            space.sha256, [each.rows for each in wanted], [each.rows for each in unwanted], others
        )
    except ValueError as error:
        raise TargetError(f"{name}: {error}") from error
    store = TargetStore(config.ledger.path)
    facts = {
        "wanted": len(wanted),
        "unwanted": len(unwanted),
        "background": len(others),
        "recall": _share(estimate.recall),
        "false_alarms": _share(estimate.false_alarms),
        "precision_at_5_percent": _share(estimate.precision),
        "backbone_sha256": space.backbone_sha256,
    }
    kept = tuple(each.example for each in shown)
    target = LearnedTarget(name, store.next_version(name), head, kept, now.isoformat(timespec="seconds"), facts)
    if keep:
        target = store.keep_next(target)
    return Lesson(target, estimate, tuple(_warnings(estimate, wanted, unwanted)))


def _check(shown: Sequence[examples.Shown]) -> None:
    sides: dict[str, bool] = {}
    for each in shown:
        example = each.example
        if sides.setdefault(example.sha256, example.wanted) != example.wanted:
            raise TargetError(
                f"{example.path}: stands on both sides, as an example and after --not; a frame shows the target or does not"
            )
    names = {each.example.sha256: each.example.path for each in shown if each.example.wanted}
    if len(names) < 2:
        raise TargetError(
            f"only one frame shows the target ({', '.join(names.values()) or 'none'}): name at least two different ones, "
            "better five or more"
        )


def _others(classifier: Classifier, reader: LedgerReader | None, shown: Sequence[examples.Shown]) -> Rows:
    """Return the background: but for the categories of the examples, and for recent frames as alike as they are."""
    categories = {each.category for each in shown if each.example.wanted and each.category}
    found = [examples.background(classifier, categories)]
    if reader is not None and classifier.space is not None:
        numbers = {each.frame_id for each in shown if each.frame_id is not None}
        recent = examples.recent(reader, classifier.space.sha256, numbers)
        if len(recent):
            own = np.array([each.example.rows[0] for each in shown if each.example.wanted])
            among = np.median((own @ own.T)[~np.eye(len(own), dtype=bool)])
            found.append(recent[(recent @ own.T).max(axis=1) < max(among, 0.5)])
    rows = [each for each in found if len(each)]
    width = 0 if classifier.space is None else classifier.space.width
    return np.concatenate(rows) if rows else np.empty((0, width))


def _share(share: learned.Share) -> list[float | None]:
    return [None if math.isnan(value) else round(value, 4) for value in (share.value, share.low, share.high)]


def _warnings(estimate: Estimate, wanted: Sequence[Example], unwanted: Sequence[Example]) -> list[str]:
    found = []
    if not estimate.separates:
        found.append("the examples do not separate well from other frames: expect misses and false alarms")
    if estimate.missed:
        missed = ", ".join(wanted[at].path for at in estimate.missed)
        found.append(f"not found when left out: {missed}; show more frames like these")
    if estimate.let_in:
        let_in = ", ".join(unwanted[at].path for at in estimate.let_in)
        found.append(
            f"still taken for the target though given with --not: {let_in}; they look more like it than half of the "
            "examples do: show more examples, or teach two targets"
        )
    if estimate.left_out:
        left_out = ", ".join(wanted[at].path for at in estimate.left_out)
        found.append(f"examples that the target does not find, since it keeps out what --not names: {left_out}")
    if estimate.taken:
        taken = ", ".join(unwanted[at].path for at in estimate.taken)
        found.append(f"taken for the target when left out: {taken}; show more with --not that look like these")
    if len(wanted) < 5:
        found.append(f"only {len(wanted)} examples: five or more make the estimate worth something")
    return found
