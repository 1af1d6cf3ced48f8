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
from emwatch.classify.head import Head
from emwatch.classify.preprocess import prepare
from emwatch.errors import DatasetError, ModelError
from emwatch.frame import CATEGORIES, path_to_text
from emwatch.train.evaluate.evaluate import LEARNED_FROM
from emwatch.train.heads import pictures
from emwatch.train.heads.cross_validation import PLAIN
from emwatch.train.heads.drawn import drawn_frames
from emwatch.train.heads.embeddings import Embeddings, uncounted
from emwatch.train.heads.head_training import (
    correction,
    gathered,
    head_of,
    judged_by,
    judged_head,
    map_of,
    rows_to_learn,
    training_facts,
)
from emwatch.train.heads.lessons import Lessons
from emwatch.train.heads.material import Direct, Projected
from emwatch.train.heads.projecting import CompactEngine, fitted_projection
from emwatch.train.network.bundle_files import sha256, write_bundle
from emwatch.train.network.card import card
from emwatch.whole_file import check_writable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from emwatch.classify.backbone import Engine
    from emwatch.classify.bundles.bundle import Bundle
    from emwatch.train.dataset.labelled import LabelledFrame
    from emwatch.train.heads.embeddings import Counting
    from emwatch.train.heads.lessons import Taught
    from emwatch.train.heads.material import Affine, Correction

#: Of more rows than this, the products between rows take more than a gigabyte: such heads learn from compact vectors.
MOST_ROWS = 10_000
#: Of a head that is judged for comparison.
_MAIN_FIGURES = (
    "accuracy",
    "balanced_accuracy",
    "by_source",
    "ece_after",
    "certain_share",
    "accuracy_when_certain",
)
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
        frames = openly_licensed(frames)
    judged_frames = _judged_frames(frames)
    engine = LiteRtEngine(backbone, _width(facts, order.backbone), order.threads, order.out / BACKBONE)
    work = _Work(order, engine, sha256(backbone), stretches_of(facts), frames, _Ears(say, counting))
    projected = _kept_projection(order, backbone) or work.learned_projection()
    projection = Projection.from_bytes(projected, engine.features, str(order.backbone / PROJECTION))
    kept = None if order.alone else open_extra(order.backbone, LESSONS)
    start = work.from_nothing(projection, projected) if kept is None else work.from_lessons(projection, projected, kept)
    calibration, taught, metrics = judged_head(start.material, say, judged_frames)
    head = head_of(*start.fitted(), calibration, projection.stretches)
    lessons = start.lessons(taught)
    if kept is None and 0 < taught.open_licence.sum() < len(taught):
        say("the same with openly licensed frames only")
        metrics["open_only"] = work.with_open_frames().figures_from_nothing(projection, projected)
    if LEARNED_FROM in facts:
        metrics["protocol"] += (
            "; the backbone was trained further before: if it has learned from these sources, the figures are optimistic"
        )
        say(f"warning: the backbone {_whose(facts[LEARNED_FROM], frames)}: figures on such frames flatter")
    golden = head.probabilities(engine.embed(prepare(golden_drawing())).mean(axis=0))
    described = card(order.name, facts, head, calibration, {**start.facts, **training_facts(taught)}, metrics, golden)
    contents = {BACKBONE: backbone, HEAD: head.to_bytes(), PROJECTION: projected, LESSONS: lessons.to_bytes()}
    bundle = write_bundle(order.out, contents, described)
    say(f"{path_to_text(order.out)}: bundle {bundle.sha256[:12]} passes its self-test")
    return bundle


@dataclass(frozen=True, slots=True)
class _Ears:
    """Who hears what is being done, and how much of it is done."""

    say: Callable[[str], None]
    counting: Counting


@dataclass(frozen=True, slots=True, eq=False)
class _Start:
    """
    What a head is taught from.

    ``fitted`` returns its map of embeddings; ``lessons`` makes what starts the next head, of the taught frames with their
    scores; ``facts``: the card's text about the starting point.
    """

    material: Direct | Projected | Correction
    fitted: Callable[[], Affine]
    lessons: Callable[[Taught], Lessons]
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    order: HeadOrder
    engine: LiteRtEngine
    backbone_sha256: str
    stretches: tuple[int, ...]
    frames: Sequence[LabelledFrame]
    ears: _Ears

    def from_nothing(self, projection: Projection, projected: bytes) -> _Start:
        """Start from drawn frames and the given ones: from whole embeddings, unless there are too many."""
        drawn, seed = self.order.drawn_per_category, self.order.seed
        facts = {"seed": seed, "drawn_frames_per_category": drawn}
        if rows_to_learn(self.frames, drawn) > MOST_ROWS:
            embeddings = self._embeddings(CompactEngine(self.engine, projection), sha256(projected))
            compact = gathered(embeddings, self.frames, drawn, seed)
            judged = judged_by(compact.taught, embeddings, self.frames)
            projected_material = Projected.of(compact.always, compact.taught, judged)
            return _Start(
                projected_material,
                lambda: projection.unfolded(*projected_material.fitted()),
                lambda taught: replace(compact.lessons(sha256(projected)), taught=taught),
                {**facts, "learned_from": "compact vectors"},
            )
        embeddings = self._embeddings(self.engine)
        whole = gathered(embeddings, self.frames, drawn, seed)
        compact = whole.through(projection.compact)
        standard = whole.through(projection.standardised)
        judged = judged_by(whole.taught, embeddings, self.frames)
        judged = replace(judged, rows={name: projection.standardised(rows) for name, rows in judged.rows.items()})
        direct = Direct.of(standard.always, standard.taught, judged)
        return _Start(
            direct,
            lambda: projection.unscaled(*direct.fitted()),
            lambda taught: replace(
                compact.lessons(sha256(projected)),
                taught=replace(taught, bare=compact.taught.bare, barred=compact.taught.barred),
            ),
            {**facts, "learned_from": "whole embeddings"},
        )

    def with_open_frames(self) -> _Work:
        """Return the same work in which frames of no open licence only judge."""
        return replace(self, frames=openly_licensed(self.frames))

    def figures_from_nothing(self, projection: Projection, projected: bytes) -> dict[str, Any]:
        """Judge a head that starts from nothing, for comparison: its main figures on all sources and on blind ones."""
        start = self.from_nothing(projection, projected)
        metrics = judged_head(start.material, lambda _: None, "")[2]
        of = {"real_frames": len(start.material.taught)}
        parts = {name: metrics[name] for name in (PLAIN, "blind") if name in metrics}
        return {**of, **{name: {key: part[key] for key in _MAIN_FIGURES} for name, part in parts.items()}}

    def from_lessons(self, projection: Projection, projected: bytes, kept: bytes) -> _Start:
        """Start from the head that is there and from what taught it."""
        before = Lessons.from_bytes(kept, sha256(projected), str(self.order.backbone / LESSONS))
        card, content = read_card(self.order.backbone)[0], (self.order.backbone / HEAD).read_bytes()
        head = Head.from_bytes(content, self.engine.features, str(self.order.backbone / HEAD))
        of = path_to_text(self.order.backbone)
        if head.stretches != projection.stretches:
            raise ModelError(f"the head and the projection of {of} do not fit together; teach without them (--alone)")
        self.ears.say(
            f"starting from the {len(before.taught):,} frames and the drawn ones that taught the head of {of}"
        )
        engine = CompactEngine(self.engine, projection, head)
        embeddings = self._embeddings(engine, sha256(projected), sha256(content))
        material = correction(before, embeddings, self.frames)

        def fitted() -> Affine:
            more, offset = projection.unfolded(*material.fitted())
            slopes, bias = map_of(head)
            return slopes + more, bias + offset

        return _Start(
            material,
            fitted,
            lambda taught: replace(before, taught=taught),
            {
                "starts_from": sha256(kept),
                "own_frames": sum(frame.may_teach for frame in self.frames),
                "drawn_frames_per_category": card["training"].get("drawn_frames_per_category", 0),
            },
        )

    def learned_projection(self) -> bytes:
        """
        Learn a projection from drawn frames and from those that may teach.

        Blind frames have no part in it: they judge. Raises `DatasetError` if there are too few pictures.
        """
        drawn = drawn_frames(min(self.order.drawn_per_category, _PROJECTED_PER_CATEGORY), self.order.seed)
        teaching = [frame for frame in self.frames if frame.may_teach and not frame.blind]
        if len(drawn) + len(teaching) < _LEAST_PROJECTED:
            raise DatasetError(
                f"{len(teaching)} frames tell too little of what differs between frames: expected {_LEAST_PROJECTED} at "
                "least, or let --drawn N draw some"
            )
        learned_from = [*map(pictures.of_drawing, drawn), *(pictures.of_frame(frame, "bare") for frame in teaching)]
        rows = self._embeddings(self.engine).of("drawn and labelled frames for the projection", learned_from)
        self.ears.say("learning the projection")
        return fitted_projection(rows, stretches=self.stretches).to_bytes()

    def _embeddings(self, engine: Engine, *of: str) -> Embeddings:
        """Embed with an engine; ``of``: sha256 of what it puts behind the backbone."""
        identity = sha256("".join((self.backbone_sha256, *of)).encode()) if of else self.backbone_sha256
        return Embeddings(engine, identity, self.ears.say, self.order.threads, self.ears.counting)


def _kept_projection(order: HeadOrder, backbone: bytes) -> bytes | None:
    """Return the projection that lies beside this very backbone. Raises `ModelError`."""
    if not (order.backbone / CARD).is_file():
        return None
    files = read_card(order.backbone)[0].get("files", {})
    if files.get(BACKBONE, {}).get("sha256") != sha256(backbone):
        return None
    return open_extra(order.backbone, PROJECTION)


def openly_licensed(frames: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """Return the frames, of which those of no open licence only judge."""
    return [replace(frame, may_teach=frame.may_teach and frame.open_licence) for frame in frames]


def stretches_of(facts: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the widths of the parts of a backbone's embedding, by the card's facts about it."""
    return tuple(int(row["width"]) for row in facts["outputs"])


def _width(facts: dict[str, Any], backbone: Path) -> int:
    try:
        return sum(stretches_of(facts))
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
