"""The card of a bundle that was made here: the same facts in the same order, whichever command made it."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

import emwatch
from emwatch.classify.backbone import BACKBONE_PARAMETERS
from emwatch.classify.bundles.bundle import FORMAT
from emwatch.classify.preprocess import CLIPPED_PERCENT, PREPROCESSING_ID
from emwatch.frame import CATEGORIES, NETWORK_SIDE_PX

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from emwatch.classify.head import Head
    from emwatch.train.heads.calibration import Calibration

#: The largest difference of any score of the golden drawing that another processor's rounding may make.
SELF_TEST_TOLERANCE: Final = 0.02


def backbone_facts(weight_type: str, weights_sha256: str, outputs: Mapping[str, int], **more: Any) -> dict[str, Any]:
    """Return the card's section about the backbone; ``outputs``: widths by name; ``more``: its origin and figures."""
    return {
        "network": f"Xception, include_top=False, {NETWORK_SIDE_PX}x{NETWORK_SIDE_PX}x3, input scaled to -1..1",
        "parameters": BACKBONE_PARAMETERS,
        "weight_type": weight_type,
        "weights_sha256": weights_sha256,
        **more,
        "made_with": {name: metadata.version(name) for name in ("tensorflow", "keras", "ai-edge-litert")},
        "outputs": [{"name": name, "width": width} for name, width in outputs.items()],
    }


def card(
    name: str,
    backbone: Mapping[str, Any],
    head: Head,
    calibration: Calibration,
    training: Mapping[str, Any],
    metrics: Mapping[str, Any],
    golden: npt.NDArray[np.float64],
) -> dict[str, Any]:
    """Write a card but for its ``files``; ``golden``: what the head says of the golden drawing's embedding, (10,)."""
    return {
        "format": FORMAT,
        "name": name,
        "made_by": f"emwatch {emwatch.__version__}, Python {platform.python_version()}",
        "labels": list(CATEGORIES),
        "preprocessing": {
            "id": PREPROCESSING_ID,
            "side_px": NETWORK_SIDE_PX,
            "resize": "largest centred square, Pillow bilinear with antialiasing, 8 bits",
            "grey": "ITU-R BT.601 luminance",
            "clipped_percent_each_end": CLIPPED_PERCENT,
            "data_bar": "left out where its height is known",
        },
        "backbone": dict(backbone),
        "head": {
            "parameters": {
                "softmax": head.weights.size + head.bias.size,
                "earlier_depths": head.early_weights.size,
                **({} if head.novelty is None else {"novelty": head.novelty.weights.size + 1}),
            },
            "temperature": round(head.temperature, 4),
            "uncertain_below": calibration.uncertain_below,
            **({} if calibration.unfamiliar_above is None else {"unfamiliar_above": calibration.unfamiliar_above}),
        },
        "training": dict(training),
        "metrics": dict(metrics),
        "self_test": {
            "input": "golden drawing 1",
            "scores": [round(float(score), 6) for score in golden],
            "tolerance": SELF_TEST_TOLERANCE,
        },
    }
