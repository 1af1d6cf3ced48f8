"""``emwatch train heads``: a new head on the backbone of a bundle, in seconds where embeddings are kept; no TensorFlow."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from emwatch.classify.backbone import (
    LiteRtEngine,
    build_xception,
    embedding_network,
    imagenet_weights_path,
    limit_tensorflow,
    network_input,
    weights_sha256,
)
from emwatch.classify.bundles.bundle import BACKBONE, open_backbone
from emwatch.classify.classifier import golden_drawing
from emwatch.classify.preprocess import prepare
from emwatch.errors import DatasetError, ModelError
from emwatch.frame import CATEGORIES, path_to_text
from emwatch.train.evaluate.evaluate import LEARNED_FROM
from emwatch.train.heads import pictures
from emwatch.train.heads.embeddings import Embeddings, uncounted
from emwatch.train.heads.head_training import train_head
from emwatch.train.network.bundle_files import sha256, write_bundle
from emwatch.train.network.card import card
from emwatch.whole_file import check_writable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from emwatch.classify.bundles.bundle import Bundle
    from emwatch.train.dataset.labelled import LabelledFrame
    from emwatch.train.heads.embeddings import Counting


@dataclass(frozen=True, slots=True)
class HeadOrder:
    """What to train a head with. ``backbone``: the bundle whose backbone is taken; ``out`` may be the same directory."""

    backbone: Path
    out: Path
    name: str = "default"
    drawn_per_category: int = 200
    seed: int = 0
    threads: int = 2
    compare_float: bool = False  #: also judge with the unquantised network; needs TensorFlow and its weights


def train_heads(
    order: HeadOrder, frames: list[LabelledFrame], say: Callable[[str], None], counting: Counting = uncounted
) -> Bundle:
    """Train a head and write it with its backbone as a bundle. Raises `ModelError`, `DatasetError`, `OSError`."""
    check_writable(order.out)
    backbone, facts = open_backbone(order.backbone)
    say(f"backbone of {path_to_text(order.backbone)}")
    return finished(order, backbone, facts, frames, say, counting)


def finished(
    order: HeadOrder,
    backbone: bytes,
    facts: dict[str, Any],
    frames: list[LabelledFrame],
    say: Callable[[str], None],
    counting: Counting = uncounted,
) -> Bundle:
    """Train a head on a backbone of which these are the facts, and write both as a bundle."""
    judged_by = _judged_frames(frames)
    widths = _widths(facts, order.backbone)
    engine = LiteRtEngine(backbone, sum(widths), order.threads, order.out / BACKBONE)
    embeddings = Embeddings(engine, sha256(backbone), say, order.threads, widths, counting)
    in_float = _float_embeddings(order, facts, say, counting) if order.compare_float else None
    trained = train_head(embeddings, frames, order.drawn_per_category, order.seed, say, in_float)
    metrics = {**trained.metrics, "frames_sha256": judged_by}
    if LEARNED_FROM in facts:
        metrics["protocol"] += (
            "; the backbone was trained further before, and where it has learned from these sources the figures flatter"
        )
        say(f"warning: the backbone {_whose(facts[LEARNED_FROM], frames)}: figures on such frames flatter")
    golden = engine.embed(prepare(golden_drawing())).mean(axis=0)
    made = card(
        order.name,
        facts,
        trained.head,
        trained.verdict.calibration,
        {"seed": order.seed, **trained.training},
        metrics,
        trained.head.probabilities(golden),
    )
    bundle = write_bundle(order.out, backbone, trained.head.to_bytes(), made)
    say(f"{path_to_text(order.out)}: bundle {bundle.sha256[:12]} passes its self-test")
    return bundle


def _widths(facts: dict[str, Any], backbone: Path) -> tuple[int, ...]:
    try:
        return tuple(int(row["width"]) for row in facts["outputs"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"the card of {path_to_text(backbone)} does not say what its backbone gives: expected 'backbone.outputs'"
        ) from error


def _whose(learned_from: object, frames: Sequence[LabelledFrame]) -> str:
    """Say what a backbone that was trained further has learned from, as far as it matters for judging by these frames."""
    if not isinstance(learned_from, list):
        return f"was trained further on frames whose sources are {learned_from}"
    known = {row.get("source") for row in learned_from if isinstance(row, dict)}
    shared = sum(frame.source in known for frame in frames)
    return f"has learned from sources of {shared:,} of these {len(frames):,} frames"


def _judged_frames(frames: Sequence[LabelledFrame]) -> str:
    """
    Identify frames and what they are said to be: sha256 over both, whatever their names and order.

    Raises `DatasetError` where a picture is filed under two categories: one is wrong, and nobody here knows which.
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


class _FloatNetwork:
    """The bundle's network in Keras, unquantised, several views at once: an engine for many frames."""

    def __init__(self, network: Any, features: int) -> None:
        self._network = network
        self.features = features

    def embed(self, views: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = np.asarray(self._network(network_input(views), training=False))
        return found


def _float_embeddings(
    order: HeadOrder, facts: dict[str, Any], say: Callable[[str], None], counting: Counting
) -> Embeddings:
    path = imagenet_weights_path()
    if not path.is_file():
        raise ModelError(
            f"{path_to_text(path)} is missing: --compare-float needs the weights that 'emwatch model build' keeps"
        )
    limit_tensorflow(order.threads)
    network = build_xception()
    network.load_weights(path)
    expected = facts.get("weights_sha256")
    if (found := weights_sha256(network)) != expected:
        raise ModelError(
            f"{path_to_text(path)} holds other weights than the bundle: expected sha256 {expected}, found {found}"
        )
    names, widths = [row["name"] for row in facts["outputs"]], [int(row["width"]) for row in facts["outputs"]]
    engine = _FloatNetwork(embedding_network(network, names), sum(widths))
    return Embeddings(engine, found, say, order.threads, tuple(widths), counting)
