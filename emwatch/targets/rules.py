"""Whether a frame meets a target: pure rules that can say why, and why not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from emwatch.frame import Match

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from emwatch.frame import AcquisitionMetadata, Prediction, Target, Window


class Condition(NamedTuple):
    """One condition of a target: its name, whether the frame meets it, and the sentence that says so."""

    name: str
    met: bool
    sentence: str


def match_targets(
    targets: Sequence[Target], prediction: Prediction, metadata: AcquisitionMetadata
) -> tuple[Match, ...]:
    """Return the targets a frame meets, in the order of the targets, each with its reason."""
    found = []
    for target in targets:
        conditions = explain(target, prediction, metadata)
        if all(each.met for each in conditions):
            reason = ", ".join(each.sentence for each in conditions)
            found.append(Match(target.name, reason, target.channels))
    return tuple(found)


def explain(target: Target, prediction: Prediction, metadata: AcquisitionMetadata) -> list[Condition]:
    """
    Return each condition the target sets, met or not.

    An uncertain prediction meets no target that asks for a category or a probability: rather no alert than a wrong one.
    A window on a value that the frame does not carry is not met.
    """
    conditions = [_of_category(target, prediction)]
    if target.learned:
        conditions.append(_of_likeness(target, prediction))
    if target.magnification is not None:
        conditions.append(_of_window("magnification", target.magnification, metadata.number("magnification"), "x"))
    if target.stage_tilt_deg is not None:
        conditions.append(_of_window("stage tilt", target.stage_tilt_deg, metadata.number("stage_tilt_deg"), "°"))
    return conditions


def _of_category(target: Target, prediction: Prediction) -> Condition:
    if not target.categories and target.min_probability <= 0:
        return Condition("category", met=True, sentence=f"any frame ({_said(prediction)})")
    if target.categories and prediction.category not in target.categories:
        wanted = " or ".join(target.categories)
        return Condition("category", met=False, sentence=f"{_said(prediction)} is not {wanted}")
    if prediction.uncertain:
        return Condition("category", met=False, sentence=f"{_said(prediction)}: the model is not sure")
    met = prediction.probability >= target.min_probability
    said, wanted = _told_apart(prediction.probability, target.min_probability)
    return Condition("category", met, f"{prediction.category} {said} {'>=' if met else '<'} {wanted}")


def _of_likeness(target: Target, prediction: Prediction) -> Condition:
    if target.judge is None:
        return Condition("likeness", met=False, sentence=f"no learned target is called {target.learned!r}")
    met, sentence = target.judge(prediction.embedding)
    return Condition("likeness", met, sentence)


def _said(prediction: Prediction) -> str:
    return f"{'uncertain, ' if prediction.uncertain else ''}{prediction.category} {prediction.probability:.2f}"


def _told_apart(probability: float, minimum: float) -> tuple[str, str]:
    """Write two probabilities with two decimals, or as many more as it takes to see which is the greater."""
    for decimals in range(2, 9):
        written = f"{probability:.{decimals}f}", f"{minimum:.{decimals}f}"
        if probability == minimum or written[0] != written[1]:
            return written
    return repr(probability), repr(minimum)


def _of_window(name: str, window: Window, value: float | None, unit: str) -> Condition:
    if value is None or not math.isfinite(value):
        return Condition(name, met=False, sentence=f"{name} unknown, wanted {_window(window)}")
    met = window.contains(value)
    return Condition(name, met, f"{name} {_number(value)}{unit} {'within' if met else 'outside'} {_window(window)}")


def _window(window: Window) -> str:
    return "..".join(_ends(window)) or "any value"


def _ends(window: Window) -> Iterator[str]:
    if window.low is None and window.high is None:
        return
    yield "" if window.low is None else _number(window.low)
    yield "" if window.high is None else _number(window.high)


def _number(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".") if abs(value) < 1000 else f"{value:,.0f}"
