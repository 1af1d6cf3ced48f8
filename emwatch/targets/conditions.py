"""
What a target may ask of a frame.

Each condition is one entry of `TargetConfig`: its key, its type, and in the annotation the rule by which a frame meets it.
Another condition is another entry: configuration, matching and `emwatch target test` read them here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from emwatch.filesystem import plain_name, readings_of_glob
from emwatch.frame import CATEGORIES, FIELDS, Candidate, Window
from emwatch.hours import Hours, ZoneName, cover_the_day, is_within, zone_of
from emwatch.settings import Name, Number, OneOrMany, Section, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from emwatch.frame import Embedding, Prediction

    Judge = Callable[[Embedding | None], tuple[bool, str]]

#: Of a category without a probability of its own.
DEFAULT_PROBABILITY: Final = 0.8

if TYPE_CHECKING:
    Category = str
else:
    Category = Literal[CATEGORIES]
_Share = Annotated[Number, Field(ge=0, le=1)]
_Probability = Annotated[
    Annotated[_Share, Tag("number")] | Annotated[dict[Category, _Share], Tag("by category")],
    Discriminator(lambda value: "by category" if isinstance(value, dict) else "number"),
]


class Answer(NamedTuple):
    """Whether a frame meets a condition, and the sentence that says so, with the numbers."""

    met: bool
    sentence: str


class RuleInput(NamedTuple):
    """What a rule may use: the condition's key and value, the whole target, the frame, and what the target was taught."""

    key: str
    value: Any
    target: TargetConfig
    frame: Candidate
    judge: Judge | None


def _anything(_value: Any) -> None:
    """Accept every value."""


@dataclass(frozen=True, slots=True)
class Rule:
    """
    How a frame meets a condition that is set.

    ``check`` raises `ValueError` for a value that no frame can meet. ``of_metadata``: what it asks for may come after the
    frame, from its data bar or from a text file beside it. ``always``: it is explained though nothing is set.
    """

    ask: Callable[[RuleInput], Answer]
    check: Callable[[Any], None] = _anything
    of_metadata: bool = False
    always: bool = False


def within(field: str, title: str, unit: str) -> Rule:
    """Return the rule of a window on an acquisition field, whose name is that of the condition's key."""
    low, high = FIELDS[field].ends

    def ask(asked: RuleInput) -> Answer:
        value, window = asked.frame.metadata.number(asked.key), asked.value
        if value is None or not math.isfinite(value):
            return Answer(met=False, sentence=f"{title} unknown, wanted {window}")
        met = window.contains(value)
        return Answer(met, f"{title} {_number(value)}{unit} {'within' if met else 'outside'} {window}")

    def check(window: WindowConfig) -> None:
        possible = f"no frame has that: {title} is from {_number(low)}{unit} to {_number(high)}{unit}"
        if window.max is not None and window.max < low:
            raise ValueError(f"`max` {window.max:g}: {possible}")
        if window.min is not None and window.min > high:
            raise ValueError(f"`min` {window.min:g}: {possible}")

    return Rule(ask, check, of_metadata=True)


class WindowConfig(Section):
    """A range, ends included; an end left out is open."""

    min: Number | None = None
    max: Number | None = None

    @model_validator(mode="after")
    def _ends_in_order(self) -> WindowConfig:
        if self.min is None and self.max is None:
            raise ValueError("needs `min`, `max` or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"`min` {self.min:g} is above `max` {self.max:g}")
        return self

    def contains(self, value: float) -> bool:
        """Return whether a value lies within."""
        return Window(self.min, self.max).contains(value)

    def __str__(self) -> str:
        """Write it as ``10,000..50,000``, an open end as nothing."""
        return "..".join("" if end is None else _number(end) for end in (self.min, self.max))


class OfLastConfig(Section):
    """How many of the last frames must meet the other conditions, the frame itself among them."""

    at_least: Annotated[int, Field(ge=2, le=100)]
    frames: Annotated[int, Field(ge=2, le=100)]

    @model_validator(mode="after")
    def _not_more_than_there_are(self) -> OfLastConfig:
        if self.at_least > self.frames:
            raise ValueError(f"`at_least` {self.at_least} of `frames` {self.frames}: never so many")
        return self


def _category(asked: RuleInput) -> Answer:
    target, said = asked.target, asked.frame.prediction
    if not target.category and not target.asks_probability:
        return Answer(met=True, sentence=f"any frame ({_said(said)})")
    if target.category and said.category not in target.category:
        return Answer(met=False, sentence=f"{_said(said)} is not {' or '.join(target.category)}")
    if said.uncertain:
        return Answer(met=False, sentence=f"{_said(said)}: the model is not sure")
    minimum = target.minimum(said.category)
    return Answer(said.probability >= minimum, f"{said.category} {_compared(said.probability, minimum)}")


def _margin(asked: RuleInput) -> Answer:
    said = asked.frame.prediction
    if said.uncertain:
        return Answer(met=False, sentence=f"margin {said.margin:.2f}: the model is not sure")
    return Answer(said.margin >= asked.value, f"margin {_compared(said.margin, asked.value)}")


def _likeness(asked: RuleInput) -> Answer:
    if asked.judge is None:
        return Answer(met=False, sentence=f"no learned target is called {asked.value!r}")
    return Answer(*asked.judge(asked.frame.prediction.embedding))


def _path(asked: RuleInput) -> Answer:
    whole = plain_name(asked.frame.path.as_posix())
    for pattern in asked.value:
        if any(_fits(whole, glob) for glob in readings_of_glob(plain_name(pattern))):
            return Answer(met=True, sentence=f"path fits {pattern}")
    return Answer(met=False, sentence=f"path fits none of {', '.join(asked.value)}")


def _fits(whole: str, pattern: str) -> bool:
    """Return whether a path's name, or its end if the pattern has a slash, fits."""
    if "/" not in pattern:
        return fnmatchcase(whole.rpartition("/")[2], pattern)
    return fnmatchcase(whole, pattern) or fnmatchcase(whole, f"*/{pattern}")


def may_hold(pattern: str, directory: Path) -> bool:
    """Return whether a path below a directory can fit a pattern; only one that begins at the root may not."""
    if not PurePath(pattern).is_absolute():
        return True
    parts = PurePath(plain_name(pattern)).parts
    plain = PurePath(*takewhile(lambda part: not set("*?[") & set(part), parts))
    below = PurePath(plain_name(str(directory)))
    return below.is_relative_to(plain) or plain.is_relative_to(below)


def _hours(asked: RuleInput) -> Answer:
    zone, moment = asked.target.timezone, asked.frame.written_at
    if moment is None:
        return Answer(met=False, sentence=f"time of writing unknown, wanted {' or '.join(asked.value)}")
    met = is_within(moment, asked.value, zone)
    local = f"{moment.astimezone(zone_of(zone)):%H:%M}"
    return Answer(met, f"written at {local}, {'within' if met else 'outside'} {' or '.join(asked.value)}")


def _not_all_day(hours: tuple[str, ...]) -> None:
    if cover_the_day(hours):
        raise ValueError("cover the whole day: leave `hours` out")


class TargetConfig(Section):
    """
    What the operator is looking for: a frame meets a target if it meets every condition that is set.

    An uncertain prediction meets no target that asks for a category, a probability or a margin: rather no alert than a
    wrong one. A window on a value that the frame does not carry is not met.
    """

    name: Name
    category: Annotated[tuple[Category, ...], OneOrMany, Rule(_category, always=True)] = ()
    min_probability: _Probability = DEFAULT_PROBABILITY
    min_margin: Annotated[_Share | None, Rule(_margin)] = None
    learned: Annotated[Name | None, Rule(_likeness)] = None
    magnification: Annotated[WindowConfig | None, within("magnification", "magnification", "x")] = None
    stage_tilt_deg: Annotated[WindowConfig | None, within("stage_tilt_deg", "stage tilt", "°")] = None
    working_distance_mm: Annotated[WindowConfig | None, within("working_distance_mm", "working distance", " mm")] = None
    accelerating_voltage_kv: Annotated[WindowConfig | None, within("accelerating_voltage_kv", "voltage", " kV")] = None
    pixel_size_nm: Annotated[WindowConfig | None, within("pixel_size_nm", "pixel size", " nm")] = None
    horizontal_field_width_um: Annotated[
        WindowConfig | None, within("horizontal_field_width_um", "field width", " µm")
    ] = None
    path: Annotated[tuple[Text, ...], OneOrMany, Rule(_path)] = ()
    hours: Annotated[Hours, OneOrMany, Rule(_hours, _not_all_day)] = ()
    timezone: ZoneName = ""
    of_last: OfLastConfig | None = None
    alerts: Annotated[tuple[Name, ...], OneOrMany] = ("terminal",)

    @field_validator("*")
    @classmethod
    def _can_be_met(cls, value: Any, info: ValidationInfo) -> Any:
        rule = _rule_of(cls.model_fields[info.field_name or ""].metadata)
        if rule is not None and value:
            rule.check(value)
        return value

    @model_validator(mode="after")
    def _no_contradiction(self) -> TargetConfig:
        if self.timezone and not self.hours:
            raise ValueError("`timezone` is that of `hours`, which are not there")
        if self.learned and not self.category and "min_probability" in self.model_fields_set:
            raise ValueError(
                "`min_probability` is that of a category, and a learned target has a threshold of its own: "
                "name a `category` as well, or leave `min_probability` out"
            )
        if isinstance(self.min_probability, dict) and self.category:
            others = [each for each in self.min_probability if each not in self.category]
            if others:
                raise ValueError(f"`min_probability` names {', '.join(others)}, which `category` does not")
        return self

    @property
    def asks_probability(self) -> bool:
        """Whether a frame of any category must have some probability."""
        # What was learned need not be one of the ten categories, nor the model be sure which.
        return not (self.learned and not self.category) and self.min_probability != 0

    def minimum(self, category: str) -> float:
        """Return the probability that a frame of a category must have."""
        if isinstance(self.min_probability, dict):
            return next((each for name, each in self.min_probability.items() if name == category), DEFAULT_PROBABILITY)
        return self.min_probability

    @property
    def asks_nothing(self) -> bool:
        """Whether no condition is set, so that only frames of which the model is not sure fail to meet it."""
        said = any(value not in (None, ()) for _, _, value in self._set()) or self.of_last is not None
        return not said and ("min_probability" not in self.model_fields_set or self.min_probability == 0)

    @property
    def asks_metadata(self) -> bool:
        """Whether a value decides that may come after the frame."""
        return any(rule.of_metadata for _, rule, _ in self._set())

    def findings(self, frame: Candidate, judge: Judge | None) -> Iterator[tuple[str, Answer]]:
        """Yield for each condition that is set its key and what it finds; ``of_last``, of other frames, is not here."""
        for key, rule, value in self._set():
            yield key, rule.ask(RuleInput(key, value, self, frame, judge))

    def _set(self) -> Iterator[tuple[str, Rule, Any]]:
        for key, field in type(self).model_fields.items():
            rule, value = _rule_of(field.metadata), getattr(self, key)
            if rule is not None and (rule.always or value not in (None, ())):
                yield key, rule, value


def _rule_of(marks: Iterable[Any]) -> Rule | None:
    return next((each for each in marks if isinstance(each, Rule)), None)


def _said(prediction: Prediction) -> str:
    return f"{'uncertain, ' if prediction.uncertain else ''}{prediction.category} {prediction.probability:.2f}"


def _compared(value: float, minimum: float) -> str:
    """Compare two shares with two decimals, or as many more as it takes to see which is the greater."""
    sign = ">=" if value >= minimum else "<"
    for decimals in range(2, 9):
        written = f"{value:.{decimals}f}", f"{minimum:.{decimals}f}"
        if value == minimum or written[0] != written[1]:
            return f"{written[0]} {sign} {written[1]}"
    return f"{value!r} {sign} {minimum!r}"


def _number(value: float) -> str:
    shown = round(value, 2) + 0.0  # -0.00009 degrees, of a stage at rest, are 0
    return f"{shown:,.2f}".rstrip("0").rstrip(".") if abs(shown) < 1000 else f"{value:,.0f}"


if Category.__args__ != CATEGORIES:  # type: ignore[attr-defined]  # a Literal cannot be made from a tuple
    raise AssertionError("the categories of a target are not those of emwatch.frame")
