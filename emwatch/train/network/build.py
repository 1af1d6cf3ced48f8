"""``emwatch model build``: from ImageNet weights and labelled frames to a bundle, in one seeded, repeatable run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.classify.backbone import (
    OUTPUTS,
    LiteRtEngine,
    embedding_network,
    imagenet_weights_path,
    limit_tensorflow,
)
from emwatch.classify.bundles.bundle import BACKBONE
from emwatch.classify.head import AVERAGE_FEATURES
from emwatch.classify.preprocess import prepare
from emwatch.frame import CATEGORIES
from emwatch.train.dataset.labelled import labelled_frames
from emwatch.train.heads.embeddings import uncounted
from emwatch.train.heads.head_bundle import HeadOrder, finished, train_heads
from emwatch.train.network import imagenet
from emwatch.train.network.card import backbone_facts
from emwatch.train.network.convert import agreement, float_embeddings, to_tflite
from emwatch.whole_file import check_writable, written_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emwatch.classify.bundles.bundle import Bundle
    from emwatch.train.dataset.labelled import LabelledFrame
    from emwatch.train.heads.embeddings import Counting

#: Frames on which the quantised backbone is compared with the float network.
_COMPARED_FRAMES: Final = 100


@dataclass(frozen=True, slots=True)
class BuildOrder:
    """What to build. ``head_only`` takes the backbone that lies in ``out`` already."""

    frames: Path
    out: Path
    name: str = "default"
    weights: Path | None = None
    weight_type: str = "pointwise-int8"
    drawn_per_category: int = 200
    seed: int = 0
    threads: int = 2
    head_only: bool = False
    open_only: bool = False


def build(order: BuildOrder, say: Callable[[str], None], counting: Counting = uncounted) -> Bundle:
    """Build a bundle, telling ``say`` what is being done, and ``counting`` how much of it. Raises `ModelError`, `DatasetError`, `OSError`."""
    check_writable(order.out)
    frames = labelled_frames(order.frames)
    of_head = HeadOrder(
        backbone=order.out,
        out=order.out,
        name=order.name,
        drawn_per_category=order.drawn_per_category,
        seed=order.seed,
        threads=order.threads,
        alone=True,
        open_only=order.open_only,
    )
    if order.head_only:
        return train_heads(of_head, frames, say, counting)
    backbone, facts = _made_backbone(order, frames, say)
    return finished(of_head, backbone, facts, frames, say, counting)


def _made_backbone(
    order: BuildOrder, frames: list[LabelledFrame], say: Callable[[str], None]
) -> tuple[bytes, dict[str, Any]]:
    limit_tensorflow(order.threads)
    network, origin = imagenet.imagenet_xception(order.weights, say)
    with_softmax = network.count_params() + (AVERAGE_FEATURES + 1) * len(CATEGORIES)
    say(f"Xception built in code: {network.count_params():,} parameters, {with_softmax:,} with the ten-way softmax")
    kept = imagenet_weights_path()
    kept.parent.mkdir(parents=True, exist_ok=True)
    # Whole or not at all: it may be the very file that was just read. Keras insists on the suffix.
    with written_whole(kept, suffix=".weights.h5") as made:
        network.save_weights(made)
    say(f"weights kept for the keras engine: {kept}")
    backbone = to_tflite(network, list(OUTPUTS), order.weight_type)
    say(f"{BACKBONE}: {len(backbone) / 1e6:.1f} MB, {order.weight_type}")
    return backbone, backbone_facts(
        order.weight_type,
        imagenet.PINNED_SHA256,
        OUTPUTS,
        parameters_with_softmax_head=with_softmax,
        weights_from=origin,
        provenance=imagenet.PROVENANCE,
        licence=imagenet.LICENCE,
        agreement_with_keras=_agreement(order, backbone, network, frames, say),
    )


def _agreement(
    order: BuildOrder, backbone: bytes, network: Any, frames: list[LabelledFrame], say: Callable[[str], None]
) -> dict[str, Any]:
    """Compare the backbone with the float network on frames spread over the categories."""
    chosen = np.random.default_rng(order.seed).permutation(len(frames))[:_COMPARED_FRAMES]
    views = np.concatenate([prepare(frames[int(at)].grey()) for at in chosen])
    say(f"comparing the backbone with Keras on {len(views)} frames")
    reference = float_embeddings(embedding_network(network, list(OUTPUTS)), views)
    found = LiteRtEngine(backbone, reference.shape[1], order.threads, order.out / BACKBONE).embed(views)
    average = slice(0, AVERAGE_FEATURES)
    return {
        "frames": len(views),
        "average": agreement(reference[:, average], found[:, average]),
        "whole": agreement(reference, found),
    }
