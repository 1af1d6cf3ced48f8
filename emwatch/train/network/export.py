"""
From a trained Keras network to a bundle: backbone in LiteRT, calibrated head, card, all judged on held-out frames.

What is judged is what runs: the quantised backbone on the pixels that the daemon makes.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.classify.backbone import (
    OUTPUTS,
    LiteRtEngine,
    build_xception,
    embedding_network,
    network_input,
    weights_sha256,
)
from emwatch.classify.bundles.bundle import BACKBONE, HEAD, MOST_TOLERANCE
from emwatch.classify.classifier import golden_drawing
from emwatch.classify.head import AVERAGE_FEATURES, Head, softmax
from emwatch.classify.preprocess import prepare
from emwatch.frame import CATEGORIES
from emwatch.train.dataset.labelled import OWN, Part
from emwatch.train.evaluate.evaluate import LEARNED_FROM
from emwatch.train.heads.calibration import Verdict
from emwatch.train.heads.data_bars import without_bar
from emwatch.train.heads.projecting import fitted_projection
from emwatch.train.heads.ridge import fit_affine, source_weights
from emwatch.train.network.bundle_files import write_bundle
from emwatch.train.network.card import SELF_TEST_TOLERANCE, backbone_facts, card
from emwatch.train.network.convert import agreement, float_embeddings, to_tflite
from emwatch.train.network.loop import cross_entropy
from emwatch.train.network.results import figures
from emwatch.train.network.views import decoded, sources_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from emwatch.train.dataset.labelled import LabelledFrame
    from emwatch.train.network.run_folder import RunFolder
    from emwatch.train.network.views import Ears

#: Frames on which the converted backbone is compared with Keras.
_COMPARED_FRAMES: Final = 100
#: Training frames by which the ranges of full integers are set.
_CALIBRATION_FRAMES: Final = 150


#: Frames from which the directions are learned in which a head is fitted: the products of more would fill the memory.
_PROJECTED_FRAMES: Final = 4000


@dataclass(frozen=True, slots=True)
class ExportOrder:
    """Where a bundle goes and what its card says beside what is measured here."""

    folder: RunFolder
    name: str
    threads: int
    seed: int
    weights_from: str
    training: dict[str, Any]
    weight_type: str = "pointwise-int8"
    refit_head: bool = False  #: also try a head on all depths, and take the better on the validation part


def bare_view(frame: LabelledFrame) -> npt.NDArray[np.uint8]:
    """Return the network's view of a frame with a known data bar, (1, 170, 170) uint8."""
    return np.rint(prepare(without_bar(frame.grey()))).astype(np.uint8)


def export(
    order: ExportOrder, network: Any, frames: Sequence[LabelledFrame], parts: Sequence[Part], ears: Ears
) -> dict[str, Any]:
    """
    Write the bundle of a network with softmax, and tell how it does on the validation and test parts.

    The float weights of its backbone are kept beside it, for the keras engine. Raises `ModelError`.
    """
    ears.say("exporting: reading the frames as the daemon would")
    views = decoded(frames, bare_view, order.threads, ears)[:, 0]
    categories = np.array([frame.category for frame in frames], dtype=np.int64)
    of = {part: np.flatnonzero(np.array([each is part for each in parts])) for part in Part}
    base = _base_of(network)
    base.save_weights(order.folder.base)
    calibration = views[np.random.default_rng(order.seed).permutation(of[Part.TRAINING])[:_CALIBRATION_FRAMES]]
    backbone = to_tflite(base, list(OUTPUTS), order.weight_type, network_input(calibration.astype(np.float32)))
    ears.say(f"{BACKBONE}: {len(backbone) / 1e6:.1f} MB, {order.weight_type}")
    engine = LiteRtEngine(backbone, sum(OUTPUTS.values()), order.threads, order.folder.bundle / BACKBONE)
    wanted = list(Part) if order.refit_head else [Part.VALIDATION, Part.TEST]
    embeddings = {part: _embedded(engine, views[of[part]], part, ears) for part in wanted}
    truth = {part: categories[of[part]] for part in Part}
    sources = {part: sources_of(frames, parts, part) for part in Part}
    head, verdict, how = _head(order, network, embeddings, truth, sources, ears.say)
    golden = head.probabilities(engine.embed(prepare(golden_drawing())).mean(axis=0))
    exact = embedding_network(base, list(OUTPUTS))
    golden_in_keras = head.probabilities(float_embeddings(exact, prepare(golden_drawing())).mean(axis=0))
    metrics = {
        "protocol": "the quantised backbone on emwatch's own pixels without data bar; temperature, threshold and head chosen on "
        "the validation part; no frame of the test part had any say",
        "head": how,
        **{
            str(part): figures(
                head.probabilities(embeddings[part]), truth[part], [frames[int(at)].source for at in of[part]]
            )
            for part in (Part.VALIDATION, Part.TEST)
        },
    }
    learned = [frames[int(at)] for at in of[Part.TRAINING]]
    agreed = _agreement(exact, network, views[of[Part.VALIDATION]], embeddings[Part.VALIDATION])
    facts = backbone_facts(
        order.weight_type,
        weights_sha256(base),
        OUTPUTS,
        weights_from=f"trained further from {order.weights_from}",
        agreement_with_keras=agreed,
        **{LEARNED_FROM: _sources(learned)},
    )
    made = card(
        order.name,
        facts,
        head,
        verdict.calibration,
        {**order.training, **_frames_facts(learned)},
        metrics,
        golden,
    )
    made["self_test"]["tolerance"] = _tolerance(golden, golden_in_keras)
    bundle = write_bundle(order.folder.bundle, {BACKBONE: backbone, HEAD: head.to_bytes()}, made)
    ears.say(f"{bundle.directory}: bundle {bundle.sha256[:12]} passes its self-test")
    return {
        "directory": bundle.directory,
        "sha256": bundle.sha256,
        "backbone_weights": order.folder.base,
        "agreement_with_keras": agreed,
        **metrics,
    }


def _base_of(network: Any) -> Any:
    """Return the network without its softmax, in plain float32 whatever it was trained in, as the keras engine builds it."""
    import keras

    keras.config.set_dtype_policy("float32")
    base = build_xception()
    base.set_weights(keras.Model(network.input, network.get_layer("average").input).get_weights())
    return base


def _embedded(engine: LiteRtEngine, views: npt.NDArray[np.uint8], part: Part, ears: Ears) -> npt.NDArray[np.float32]:
    ears.say(f"embedding {len(views):,} frames of the {part} part")
    rows = np.zeros((len(views), engine.features), dtype=np.float32)
    for at, view in enumerate(views):
        rows[at] = engine.embed(view[np.newaxis].astype(np.float32))[0]
        ears.counting("embedding frames", at + 1, len(views))
    return rows


def _head(
    order: ExportOrder,
    network: Any,
    embeddings: dict[Part, npt.NDArray[np.float32]],
    truth: dict[Part, npt.NDArray[np.int64]],
    sources: dict[Part, list[str]],
    say: Callable[[str], None],
) -> tuple[Head, Verdict, str]:
    """Return the network's softmax or, if requested and better on the validation part, one fitted to all depths."""
    slopes, bias = (np.asarray(array, dtype=np.float32) for array in network.get_layer("scores").get_weights())
    early = np.zeros((sum(OUTPUTS.values()) - AVERAGE_FEATURES, len(CATEGORIES)), dtype=np.float32)
    heads = {"the network's softmax": Head(slopes, bias, early, 1.0)}
    if order.refit_head:
        fitted, offset = _fitted(embeddings[Part.TRAINING], truth[Part.TRAINING], sources[Part.TRAINING], order.seed)
        heads["a regression on all depths"] = Head(fitted[:AVERAGE_FEATURES], offset, fitted[AVERAGE_FEATURES:], 1.0)
    best: tuple[float, Head, Verdict, str] | None = None
    for how, head in heads.items():
        logits = np.log(np.maximum(head.probabilities(embeddings[Part.VALIDATION]), 1e-12))
        verdict = Verdict.of(logits, truth[Part.VALIDATION], sources[Part.VALIDATION])
        loss = cross_entropy(softmax(logits / verdict.temperature), truth[Part.VALIDATION])
        say(f"head, {how}: validation accuracy {verdict.accuracy:.3f}, loss {loss:.3f}")
        if best is None or loss < best[0]:
            best = loss, replace(head, temperature=float(np.float32(verdict.temperature))), verdict, how
    assert best is not None  # noqa: S101 - there is always the softmax
    return best[1:]


def _fitted(
    embeddings: npt.NDArray[np.float32], truth: npt.NDArray[np.int64], sources: list[str], seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Fit a head to compact vectors of embeddings, and return it as a map of embeddings: (features, 10), (10,)."""
    some = np.random.default_rng(seed).permutation(len(embeddings))[:_PROJECTED_FRAMES]
    projection = fitted_projection(embeddings[some])
    slopes, bias = fit_affine(projection.compact(embeddings), truth, source_weights(sources))
    fitted, offset = projection.unfolded(slopes, bias)
    return fitted.astype(np.float32), offset.astype(np.float32)


def _agreement(
    exact: Any, network: Any, views: npt.NDArray[np.uint8], found: npt.NDArray[np.float32]
) -> dict[str, Any]:
    """Compare the converted backbone with Keras: embeddings, and the category that the network's softmax gives them."""
    views, found = views[:_COMPARED_FRAMES], found[:_COMPARED_FRAMES]
    reference = float_embeddings(exact, views.astype(np.float32))
    slopes, bias = network.get_layer("scores").get_weights()
    average = slice(0, AVERAGE_FEATURES)
    same = [(rows[:, average] @ slopes + bias).argmax(axis=1) for rows in (reference, found)]
    return {
        "frames": len(views),
        "average": agreement(reference[:, average], found[:, average]),
        "whole": agreement(reference, found),
        "same_category": round(float((same[0] == same[1]).mean()), 4),
    }


def _tolerance(golden: npt.NDArray[np.float64], exact: npt.NDArray[np.float64]) -> float:
    """Allow the self-test what the float network differs by, half as much again, so that both engines pass it."""
    difference = float(np.abs(golden - exact).max())
    return round(min(max(SELF_TEST_TOLERANCE, 1.5 * difference), MOST_TOLERANCE), 3)


def _frames_facts(frames: Sequence[LabelledFrame]) -> dict[str, Any]:
    counts = collections.Counter(frame.category for frame in frames)
    return {
        "real_frames": len(frames),
        "real_frames_by_category": {name: counts[index] for index, name in enumerate(CATEGORIES)},
        "sources": _sources(frames),
    }


def _sources(frames: Sequence[LabelledFrame]) -> str | list[dict[str, Any]]:
    by_licence = collections.Counter((frame.source, frame.licence) for frame in frames)
    if all(frame.licence == OWN for frame in frames):
        return OWN
    return [
        {"source": source, "licence": licence, "frames": count}
        for (source, licence), count in sorted(by_licence.items())
    ]
