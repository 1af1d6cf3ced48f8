"""``emwatch train heads``: a new head on the backbone of a bundle, in seconds if embeddings are stored; no TensorFlow."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from emwatch.classify.backbone import LiteRtEngine
from emwatch.classify.bundles.bundle import (
    BACKBONE,
    CARD,
    HEAD,
    LESSONS,
    PROJECTION,
    open_backbone,
    open_extra,
    read_card,
)
from emwatch.classify.bundles.projection import Projection
from emwatch.classify.classifier import golden_drawing
from emwatch.classify.preprocess import prepare
from emwatch.errors import DatasetError, ModelError
from emwatch.frame import CATEGORIES, path_to_text
from emwatch.train.evaluate.evaluate import LEARNED_FROM
from emwatch.train.heads import pictures
from emwatch.train.heads.drawn import drawn_frames
from emwatch.train.heads.embeddings import Embeddings, uncounted
from emwatch.train.heads.head_training import further, learned, material_of, train_head
from emwatch.train.heads.lessons import Lessons
from emwatch.train.heads.projecting import CompactEngine, fitted_projection
from emwatch.train.network.bundle_files import sha256, write_bundle
from emwatch.train.network.card import card
from emwatch.whole_file import check_writable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from emwatch.classify.bundles.bundle import Bundle
    from emwatch.train.dataset.labelled import LabelledFrame
    from emwatch.train.heads.embeddings import Counting, InputPicture

#: A projection is learned from at most so many drawn frames of each category.
_PROJECTED_PER_CATEGORY = 400
#: Fewer pictures than this tell no directions.
_LEAST_PROJECTED = 20


@dataclass(frozen=True, slots=True)
class HeadOrder:
    """
    What to train a head with.

    ``backbone``: the bundle whose backbone is taken; ``out`` may be the same directory. ``alone``: start from drawn frames
    and the given ones, not from what taught that bundle's head. ``open_only``: frames of no open licence only judge.
    """

    backbone: Path
    out: Path
    name: str = "default"
    drawn_per_category: int = 200
    seed: int = 0
    threads: int = 2
    alone: bool = False
    open_only: bool = False


def train_heads(
    order: HeadOrder, frames: list[LabelledFrame], say: Callable[[str], None], counting: Counting = uncounted
) -> Bundle:
    """Train a head and write it with its backbone as a bundle. Raises `ModelError`, `DatasetError`, `OSError`."""
    check_writable(order.out)
    backbone, facts = open_backbone(order.backbone)
    say(f"backbone of {path_to_text(order.backbone)}")
    return finished(order, backbone, facts, frames, say, counting)


def starts_from_lessons(order: HeadOrder) -> bool:
    """Return whether there is something to start from: a bundle that carries what taught it. Raises `ModelError`."""
    return not order.alone and open_extra(order.backbone, LESSONS) is not None


def finished(
    order: HeadOrder,
    backbone: bytes,
    facts: dict[str, Any],
    frames: list[LabelledFrame],
    say: Callable[[str], None],
    counting: Counting = uncounted,
) -> Bundle:
    """Train a head on a backbone of which these are the facts, and write both as a bundle."""
    if order.open_only:
        frames = [replace(frame, may_teach=frame.may_teach and frame.open_licence) for frame in frames]
    judged_by = _judged_frames(frames)
    engine = LiteRtEngine(backbone, _width(facts, order.backbone), order.threads, order.out / BACKBONE)
    ears = _Ears(say, counting)
    projected, embeddings = _compact(order, engine, backbone, frames, ears)
    projection = Projection.from_bytes(projected, engine.features, str(order.backbone / PROJECTION))
    lessons, start = _lessons(order, embeddings, frames, sha256(projected), say)
    trained = train_head(lessons, material_of(lessons, embeddings, frames), projection, say, judged_by)
    if LEARNED_FROM in facts:
        trained.metrics["protocol"] += (
            "; the backbone was trained further before, and where it has learned from these sources the figures flatter"
        )
        say(f"warning: the backbone {_whose(facts[LEARNED_FROM], frames)}: figures on such frames flatter")
    described = card(
        order.name,
        facts,
        trained.head,
        trained.calibration,
        {**start, **trained.training},
        trained.metrics,
        trained.head.probabilities(engine.embed(prepare(golden_drawing())).mean(axis=0)),
    )
    contents = {BACKBONE: backbone, HEAD: trained.head.to_bytes(), PROJECTION: projected, LESSONS: lessons.to_bytes()}
    bundle = write_bundle(order.out, contents, described)
    say(f"{path_to_text(order.out)}: bundle {bundle.sha256[:12]} passes its self-test")
    return bundle


@dataclass(frozen=True, slots=True)
class _Ears:
    """Who hears what is being done, and how much of it is done."""

    say: Callable[[str], None]
    counting: Counting


def _lessons(
    order: HeadOrder,
    embeddings: Embeddings,
    frames: Sequence[LabelledFrame],
    projection_sha256: str,
    say: Callable[[str], None],
) -> tuple[Lessons, dict[str, Any]]:
    """Return the training data of the head, and the card's text about its starting point."""
    kept = None if order.alone else open_extra(order.backbone, LESSONS)
    if kept is None:
        drawn = order.drawn_per_category
        lessons = learned(embeddings, frames, drawn, order.seed, projection_sha256)
        return lessons, {"seed": order.seed, "drawn_frames_per_category": drawn}
    before = Lessons.from_bytes(kept, projection_sha256, str(order.backbone / LESSONS))
    of = path_to_text(order.backbone)
    say(f"starting from the {len(before.taught):,} frames and the drawn ones that taught the head of {of}")
    drawn = read_card(order.backbone)[0]["training"].get("drawn_frames_per_category", 0)
    own = sum(frame.may_teach for frame in frames)
    start = {"starts_from": sha256(kept), "own_frames": own, "drawn_frames_per_category": drawn}
    return further(embeddings, frames, before), start


def _compact(
    order: HeadOrder, engine: LiteRtEngine, backbone: bytes, frames: Sequence[LabelledFrame], ears: _Ears
) -> tuple[bytes, Embeddings]:
    """Return the projection and what embeds pictures as compact vectors; a projection is learned if none lies there."""
    known = None
    projected = _kept_projection(order, backbone)
    if projected is None:
        full = Embeddings(engine, sha256(backbone), ears.say, order.threads, ears.counting)
        projected, known = _projection(order, full, frames, ears.say)
    projection = Projection.from_bytes(projected, engine.features, str(order.backbone / PROJECTION))
    identity = sha256((sha256(backbone) + sha256(projected)).encode())
    embeddings = Embeddings(CompactEngine(engine, projection), identity, ears.say, order.threads, ears.counting)
    if known is not None:
        learned_from, rows = known
        embeddings.keep(learned_from, projection.compact(rows))
    return projected, embeddings


def _kept_projection(order: HeadOrder, backbone: bytes) -> bytes | None:
    """Return the projection that lies beside this very backbone. Raises `ModelError`."""
    if not (order.backbone / CARD).is_file():
        return None
    files = read_card(order.backbone)[0].get("files", {})
    if files.get(BACKBONE, {}).get("sha256") != sha256(backbone):
        return None
    return open_extra(order.backbone, PROJECTION)


def _projection(
    order: HeadOrder, embeddings: Embeddings, frames: Sequence[LabelledFrame], say: Callable[[str], None]
) -> tuple[bytes, tuple[list[InputPicture], npt.NDArray[np.float32]]]:
    """
    Learn a projection from drawn frames and from those that may teach; also returns these and their embeddings.

    Blind frames have no part in it: they judge. Raises `DatasetError` if there are too few pictures.
    """
    drawn = drawn_frames(min(order.drawn_per_category, _PROJECTED_PER_CATEGORY), order.seed)
    teaching = [frame for frame in frames if frame.may_teach and not frame.blind]
    if len(drawn) + len(teaching) < _LEAST_PROJECTED:
        raise DatasetError(
            f"{len(teaching)} frames tell too little of what differs between frames: expected {_LEAST_PROJECTED} at least, or "
            "let --drawn N draw some"
        )
    learned_from = [*map(pictures.of_drawing, drawn), *(pictures.of_frame(frame, "bare") for frame in teaching)]
    rows = embeddings.of("drawn and labelled frames for the projection", learned_from)
    say("learning the projection")
    return fitted_projection(rows).to_bytes(), (learned_from, rows)


def _width(facts: dict[str, Any], backbone: Path) -> int:
    try:
        return sum(int(row["width"]) for row in facts["outputs"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"the card of {path_to_text(backbone)} does not say what its backbone gives: expected 'backbone.outputs'"
        ) from error


def _whose(learned_from: object, frames: Sequence[LabelledFrame]) -> str:
    """Return the sources of a backbone that was trained further, as far as they matter for these frames."""
    if not isinstance(learned_from, list):
        return f"was trained further on frames whose sources are {learned_from}"
    known = {row.get("source") for row in learned_from if isinstance(row, dict)}
    shared = sum(frame.source in known for frame in frames)
    return f"has learned from sources of {shared:,} of these {len(frames):,} frames"


def _judged_frames(frames: Sequence[LabelledFrame]) -> str:
    """
    Return a sha256 over frames and their labels, independent of names and order.

    Raises `DatasetError` if a picture is filed under two categories: one label is wrong, and it is not known which.
    """
    by_content: dict[str, list[LabelledFrame]] = defaultdict(list)
    for frame in frames:
        by_content[sha256(pictures.of_frame(frame, "whole").content())].append(frame)
    for same in by_content.values():
        if len({frame.category for frame in same}) > 1:
            told = ", ".join(f"{path_to_text(frame.path)} as {CATEGORIES[frame.category]}" for frame in same)
            raise DatasetError(f"the same picture has two categories: {told}. Take all but the right one out.")
    rows = (f"{content} {CATEGORIES[frame.category]}\n" for content, same in by_content.items() for frame in same)
    return sha256("".join(sorted(rows)).encode())
