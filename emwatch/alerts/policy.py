"""
The alert policy: which waiting alerts are told now, which are held, and which are told together.

`plan` is pure. All it knows comes from the rows of the alerts, so a restart changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from pydantic import Field, model_validator

from emwatch.hours import Hours, ZoneName, cover_the_day, is_within
from emwatch.settings import Name, Number, OneOrMany, Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_MINUTE: Final = timedelta(minutes=1)
#: Two fields of view are the same if their centres are nearer than this share of the smaller width ...
_NEAR: Final = 0.25
#: ... and their widths differ by no more than this factor.
_SIMILAR_WIDTH: Final = 1.25


class Policy(Section):
    """
    How often the operator is told, for each target and channel. The defaults hold nothing back.

    Attributes:
        cap: at most so many tellings within ``cap_minutes``; a digest is one telling.
        cooldown_minutes: the least time between two tellings.
        same_place_minutes: a second frame of the same field of view is not told again within this time.
        quiet_hours: ranges such as ``22:00-07:00`` in local time; what comes then is told afterwards.
        timezone: an IANA name; empty is the time zone of this machine.
        escalate_to: the channel that is told of alerts that nobody acknowledged within ``escalate_after_minutes``.

    """

    cap: Annotated[int, Field(ge=1, le=100_000)] | None = None
    cap_minutes: Annotated[Number, Field(gt=0, le=100_000)] = 10.0
    cooldown_minutes: Annotated[Number, Field(ge=0, le=100_000)] = 0.0
    same_place_minutes: Annotated[Number, Field(ge=0, le=100_000)] = 0.0
    quiet_hours: Annotated[Hours, OneOrMany] = ()
    timezone: ZoneName = ""
    escalate_to: Name | None = None
    escalate_after_minutes: Annotated[Number, Field(gt=0, le=100_000)] = 15.0

    @model_validator(mode="after")
    def _leaves_a_gap(self) -> Policy:
        if cover_the_day(self.quiet_hours):
            raise ValueError("quiet_hours: cover the whole day, so nothing would ever be told")
        return self

    @property
    def windows(self) -> tuple[RateLimit, ...]:
        """How many tellings there may be in which time."""
        windows = [] if self.cap is None else [RateLimit(self.cap, timedelta(minutes=self.cap_minutes))]
        if self.cooldown_minutes:
            windows.append(RateLimit(1, timedelta(minutes=self.cooldown_minutes)))
        return tuple(windows)

    @property
    def same_place(self) -> timedelta:
        """How long a field of view counts as told."""
        return timedelta(minutes=self.same_place_minutes)

    @property
    def memory(self) -> timedelta:
        """How far back tellings matter."""
        return max((self.same_place, *(each.length for each in self.windows)))

    @property
    def escalate_after(self) -> timedelta:
        """How long an alert may stay unacknowledged."""
        return timedelta(minutes=self.escalate_after_minutes)

    def quiet_until(self, now: datetime) -> datetime | None:
        """Return the end of the quiet hours that ``now`` lies in, ``None`` if it lies in none; see `emwatch.hours`."""
        if not is_within(now, self.quiet_hours, self.timezone):
            return None
        minute = now.replace(second=0, microsecond=0)
        # Clock changes fall on whole minutes; two days hold every range and every change.
        ends = (minute + number * _MINUTE for number in range(1, 2 * 24 * 60))
        return next(each for each in ends if not is_within(each, self.quiet_hours, self.timezone))


class RateLimit(NamedTuple):
    """At most ``most`` tellings within ``length``."""

    most: int
    length: timedelta


@dataclass(frozen=True, slots=True)
class ImagedPlace:
    """Where on the stage a frame was taken: its centre in mm, and its width in µm."""

    x_mm: float
    y_mm: float
    width_um: float

    def is_same(self, other: ImagedPlace) -> bool:
        """Return whether two frames show nearly the same place at nearly the same magnification."""
        narrow, wide = sorted((self.width_um, other.width_um))
        near_mm = _NEAR * narrow / 1000
        near = abs(self.x_mm - other.x_mm) <= near_mm and abs(self.y_mm - other.y_mm) <= near_mm
        return near and wide <= _SIMILAR_WIDTH * narrow


@dataclass(frozen=True, slots=True)
class WaitingAlert:
    """
    An alert that waits, and is due.

    Attributes:
        held: it was held back before, so that it is told together with others.
        digest: the key of the digest that it belongs to, "" if it belongs to none yet.

    """

    id: int
    target: str
    held: bool = False
    digest: str = ""
    field_of_view: ImagedPlace | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """One telling, alone or as a digest, with the fields of view of its frames; ``key`` is the alert's or the digest's."""

    key: str
    target: str
    at: datetime
    fields_of_view: tuple[ImagedPlace, ...] = ()


class Hold(NamedTuple):
    """Why an alert is held, and until when."""

    until: datetime
    reason: str


@dataclass(slots=True)
class TellingPlan:
    """
    What to do now with alerts that are due, by their numbers.

    Attributes:
        tell: what is told now, each entry one telling; an entry with several numbers is a digest.
        hold: what is held.
        with_other: what shows a place that was told already, with the key of that telling.

    """

    tell: list[tuple[int, ...]] = field(default_factory=list)
    hold: dict[int, Hold] = field(default_factory=dict)
    with_other: dict[int, str] = field(default_factory=dict)


def plan(
    waiting: Sequence[WaitingAlert],
    told: Iterable[Told],
    policy: Policy,
    now: datetime,
    snoozed: Mapping[str, datetime],
) -> TellingPlan:
    """
    Return what to do with the due alerts of one channel.

    ``told``: its tellings within ``policy.memory``. ``snoozed``: until when, by target; "" stands for every target.
    """
    made = TellingPlan()
    quiet_until = policy.quiet_until(now)
    by_target: dict[str, list[Told]] = defaultdict(list)
    for each in told:
        if each.at <= now:  # a clock that was put back leaves tellings in the future
            by_target[each.target].append(each)
    for target, alerts in _by_target(waiting).items():
        closed = [Hold(until, "snoozed") for name in ("", target) if (until := snoozed.get(name, now)) > now]
        if quiet_until is not None:
            closed.append(Hold(quiet_until, "quiet hours"))
        _plan_target(made, alerts, by_target[target], policy, now, max(closed, default=None))
    return made


def _plan_target(
    made: TellingPlan, alerts: list[WaitingAlert], told: list[Told], policy: Policy, now: datetime, closed: Hold | None
) -> None:
    times = [each.at for each in told]
    in_hand: list[ImagedPlace] = []
    for unit in _units(alerts):
        [first, *others] = unit
        place = first.field_of_view if not others else None
        if place is not None and not first.digest and (key := _told_at(place, told, policy, now)):
            made.with_other[first.id] = key
            continue
        if place is not None and policy.same_place and any(place.is_same(each) for each in in_hand):
            continue  # decided when the other one is told
        hold = closed or _full(times, policy.windows, now)
        if hold is not None:
            made.hold.update((each.id, hold) for each in unit)
            continue
        made.tell.append(tuple(each.id for each in unit))
        times.append(now)
        in_hand.extend([place] if place is not None else [])


def _by_target(waiting: Iterable[WaitingAlert]) -> dict[str, list[WaitingAlert]]:
    found: dict[str, list[WaitingAlert]] = defaultdict(list)
    for each in waiting:
        found[each.target].append(each)
    return found


def _units(alerts: list[WaitingAlert]) -> Iterator[list[WaitingAlert]]:
    """Yield what is told at once: digests made before, then all that was held, then each that is new."""
    digests: dict[str, list[WaitingAlert]] = defaultdict(list)
    for each in alerts:
        if each.digest:
            digests[each.digest].append(each)
    yield from digests.values()
    if held := [each for each in alerts if each.held and not each.digest]:
        yield held
    yield from ([each] for each in alerts if not each.held and not each.digest)


def _told_at(place: ImagedPlace, told: Iterable[Told], policy: Policy, now: datetime) -> str:
    """Return the key of the telling that showed this place not long ago, "" if there is none."""
    if not policy.same_place:
        return ""
    recent = (each for each in told if each.at > now - policy.same_place)
    return next((each.key for each in recent if any(place.is_same(other) for other in each.fields_of_view)), "")


def _full(times: Sequence[datetime], windows: Iterable[RateLimit], now: datetime) -> Hold | None:
    """Return until when the cap is reached, ``None`` if another telling is allowed."""
    ends = []
    for most, length in windows:
        recent = sorted(each for each in times if each > now - length)
        if len(recent) >= most:
            ends.append(recent[-most] + length)
    return Hold(max(ends), "cap") if ends else None
