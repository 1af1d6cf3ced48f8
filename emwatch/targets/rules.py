"""Whether a frame meets a target: pure rules that can say why, and why not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from emwatch.frame import Among, Match

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emwatch.frame import Candidate
    from emwatch.targets.conditions import Judge, TargetConfig


class Condition(NamedTuple):
    """One condition of a target: its key, whether the frame meets it, and the sentence that says so."""

    name: str
    met: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Target:
    """What the operator is looking for; ``judge`` is that of what was taught, ``None`` if nothing was or it is not there."""

    asks: TargetConfig
    judge: Judge | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.asks.name

    def without_alerts(self) -> Target:
        """Return the same target, naming no channel."""
        return replace(self, asks=self.asks.model_copy(update={"alerts": ()}))


def match_targets(targets: Sequence[Target], frame: Candidate) -> tuple[Match, ...]:
    """
    Return the targets a frame meets, in the order of the targets, each with its reason.

    One that also asks for other frames (`Match.among`) is met only if the ledger holds them.
    """
    return tuple(found for target in targets if (found := _match(target, frame)) is not None)


def explain(target: Target, frame: Candidate, earlier: Sequence[Candidate] = ()) -> list[Condition]:
    """Return each condition the target sets, met or not. ``earlier``: the frames before it, the oldest first."""
    conditions = _alone(target, frame)
    if (among := _among(target)) is not None:
        last = [*earlier[1 - among.frames :], frame]
        met = sum(among.match(each) is not None for each in last)
        conditions.append(Condition("of_last", met >= among.at_least, among.counted(met)))
    return conditions


def _match(target: Target, frame: Candidate) -> Match | None:
    conditions = _alone(target, frame)
    if not all(each.met for each in conditions):
        return None
    reason = ", ".join(each.sentence for each in conditions)
    return Match(target.name, reason, target.asks.alerts, _among(target))


def _alone(target: Target, frame: Candidate) -> list[Condition]:
    return [Condition(key, *found) for key, found in target.asks.findings(frame, target.judge)]


def _among(target: Target) -> Among | None:
    wanted = target.asks.of_last
    return None if wanted is None else Among(wanted.at_least, wanted.frames, partial(_match, target))
