"""Results of training a network: figures on validation and test parts, and its files."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from emwatch.train.dataset.labelled import Part
from emwatch.train.evaluate.measures import category_figures, confusion_matrix, headline
from emwatch.train.network.batches import scores_of
from emwatch.train.network.loop import cross_entropy
from emwatch.train.network.views import sources_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from emwatch.train.dataset.labelled import LabelledFrame
    from emwatch.train.network.run_folder import RunFolder, RunOrder, RunProgress
    from emwatch.train.network.views import TrainingFrames


def outcome(
    order: RunOrder,
    network: Any,
    folder: RunFolder,
    progress: RunProgress,
    frames: Sequence[LabelledFrame],
    parts: Sequence[Part],
    material: Mapping[Part, TrainingFrames],
) -> dict[str, Any]:
    """Return the figures of a run's best network in Keras; `export` measures those of its bundle."""
    return {
        "recipe": order.recipe,
        "network": network.name,
        "parameters": network.count_params(),
        "split": order.by if any(frame.part is None for frame in frames) else "manifest",
        "frames": {str(part): len(each) for part, each in material.items()},
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        **{
            str(part): figures(
                scores_of(network, material[part].first), material[part].categories, sources_of(frames, parts, part)
            )
            for part in (Part.VALIDATION, Part.TEST)
        },
        "weights": folder.best,
        "history": folder.history,
        "logs": folder.logs,
        "manifest": folder.manifest,
        "bundle": None,
    }


def figures(
    scores: npt.NDArray[np.floating[Any]], truth: npt.NDArray[np.int64], sources: Sequence[str]
) -> dict[str, Any]:
    """Judge scores (n, 10) by the true categories, with 95 % intervals over sources; of no frames, only say so."""
    if not len(truth):
        return {"frames": 0}
    exact = scores.astype(np.float64)
    found = asdict(headline(exact, truth, sources))
    recall = {
        name: round(each.recall, 4)
        for name, each in category_figures(confusion_matrix(exact, truth)).items()
        if each.recall is not None
    }
    return {
        "frames": len(truth),
        "sources": len(set(sources)),
        **{name: round(value["value"], 4) for name, value in found.items()},
        "cross_entropy": round(cross_entropy(exact, truth), 4),
        "intervals": {name: [round(value["low"], 4), round(value["high"], 4)] for name, value in found.items()},
        "recall": recall,
    }
