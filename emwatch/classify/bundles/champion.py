"""Which of two bundles is the better one, as far as their cards can tell: figures of one protocol on the same frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures on a card, from sources that the bundle was not trained on. ``basis``: protocol and counts, equal where comparable."""

    basis: tuple[str, ...]
    frames_sha256: str | None  #: which frames judged it and as what; cards did not always say
    balanced_accuracy: float
    accuracy: float | None
    calibration_error: float | None


@dataclass(frozen=True, slots=True)
class BundleVerdict:
    """What a challenger's card says beside the active one's, with the sentence to tell."""

    word: Literal["better", "equal", "worse", "unknown"]
    reason: str


#: The figures that count: frames without their data bar, as the daemon sees them.
_FIGURES = "without_bar"


def figures_of(card: Mapping[str, Any]) -> Figures | None:
    """Return a card's by-source figures, ``None`` if it has none."""
    metrics = card.get("metrics")
    figures = metrics.get(_FIGURES) if isinstance(metrics, dict) else None
    balanced = _number(figures, "balanced_accuracy")
    if not isinstance(metrics, dict) or balanced is None or not isinstance(metrics.get("protocol"), str):
        return None
    basis = tuple(str(metrics.get(key, "")) for key in ("protocol", "frames", "sources"))
    sha256 = metrics.get("frames_sha256")
    return Figures(
        basis,
        sha256 if isinstance(sha256, str) else None,
        balanced,
        _number(figures, "accuracy"),
        _number(figures, "ece_after"),
    )


def challenge(champion: Mapping[str, Any], challenger: Mapping[str, Any]) -> BundleVerdict:
    """Compare a challenger's card with that of the bundle in use."""
    held, claimed = figures_of(champion), figures_of(challenger)
    if claimed is None or held is None:
        whose = "it" if claimed is None else "the model in use"
        return BundleVerdict("unknown", f"{whose} has no by-source figures on its card")
    others = None not in (hashes := (held.frames_sha256, claimed.frames_sha256)) and hashes[0] != hashes[1]
    if others or held.basis != claimed.basis:
        return BundleVerdict("unknown", "the two cards' figures are of other frames or another protocol")
    words = f"balanced accuracy by source {claimed.balanced_accuracy:.3f}, that of the model in use {held.balanced_accuracy:.3f}"
    return BundleVerdict(_word(held.balanced_accuracy, claimed.balanced_accuracy), words)


def on_frames(
    champion: float, challenger: float, frames: int, dataset: str, *, within_chance: bool | None = None
) -> BundleVerdict:
    """
    Compare two balanced accuracies that were measured on the same frames.

    ``within_chance``: whether the difference's interval over sources holds 0, which is told and decides nothing.
    """
    words = (
        f"balanced accuracy {challenger:.3f} on {frames} frames of {dataset}, that of the model in use {champion:.3f}"
    )
    word = _word(champion, challenger)
    chance = {None: "", True: "; that is within chance", False: "; that is more than chance among the sources"}
    return BundleVerdict(word, words if word == "equal" else words + chance[within_chance])


def _word(champion: float, challenger: float) -> Literal["better", "equal", "worse"]:
    return "equal" if champion == challenger else "better" if challenger > champion else "worse"


def _number(figures: object, name: str) -> float | None:
    value = figures.get(name) if isinstance(figures, dict) else None
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
