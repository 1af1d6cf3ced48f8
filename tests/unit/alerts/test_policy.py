from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from emwatch.alerts.policy import ImagedPlace, Policy, Told, WaitingAlert, plan
from emwatch.testing import NOON

#: Summer time in Zurich in 2026 by its rule: from the last Sunday of March to that of October, at 01:00 UTC.
SUMMER = (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC))
MINUTE = timedelta(minutes=1)


def minute_of_day_in_zurich(at: datetime) -> int:
    local = at + timedelta(hours=2 if SUMMER[0] <= at < SUMMER[1] else 1)
    return local.hour * 60 + local.minute


def is_quiet(at: datetime, begin: int, end: int) -> bool:
    minute = minute_of_day_in_zurich(at)
    return begin <= minute < end if begin < end else not end <= minute < begin


def text(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


near_a_clock_change = st.builds(
    lambda change, minutes: change + minutes * MINUTE, st.sampled_from(SUMMER), st.integers(-2000, 2000)
)
minutes_of_a_day = st.integers(0, 24 * 60 - 1)


@given(at=near_a_clock_change, begin=minutes_of_a_day, end=minutes_of_a_day)
@example(at=datetime(2026, 3, 29, 0, 30, tzinfo=UTC), begin=60, end=150)  # 02:30 does not exist on this day
@example(at=datetime(2026, 10, 25, 0, 10, tzinfo=UTC), begin=60, end=150)  # and twice on this one
def test_quiet_hours_end_at_the_first_minute_that_is_not_quiet(at: datetime, begin: int, end: int) -> None:
    if begin == end:
        return
    policy = Policy(quiet_hours=(f"{text(begin)}-{text(end)}",), timezone="Europe/Zurich")

    until = policy.quiet_until(at)

    expected = at
    while is_quiet(expected, begin, end):
        expected += MINUTE
    assert (until or at) == expected


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-03-28T22:30+00:00", "2026-03-29T05:00+00:00"),  # the night that lacks an hour
        ("2026-10-24T22:30+00:00", "2026-10-25T06:00+00:00"),  # the night that has one more
        ("2026-07-01T20:00+00:00", "2026-07-02T05:00+00:00"),
        ("2026-07-02T05:00+00:00", None),
    ],
)
def test_a_night_from_22_to_7_ends_at_7_on_the_clock_on_the_wall(at: str, until: str | None) -> None:
    policy = Policy(quiet_hours=("22:00-07:00",), timezone="Europe/Zurich")

    actual = policy.quiet_until(datetime.fromisoformat(at))

    assert actual == (None if until is None else datetime.fromisoformat(until))


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"quiet_hours": ("22-7",)}, "expected a range of local time such as 22:00-07:00"),
        ({"quiet_hours": ("25:00-07:00",)}, "expected a range"),
        ({"quiet_hours": ("07:00-07:00",)}, "begin and end are the same"),
        ({"quiet_hours": ("07:00-22:00", "22:00-07:00")}, "nothing would ever be told"),
        ({"timezone": "Europe/Zürich"}, "no such time zone"),
        ({"timezone": "../../etc/passwd"}, "no such time zone"),
        ({"cap": 0}, "greater than or equal to 1"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(keys: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Policy(**keys)


def told(*minutes_ago: float, place: ImagedPlace | None = None) -> list[Told]:
    places = () if place is None else (place,)
    return [Told(f"k{each}", "t", NOON - each * MINUTE, places) for each in minutes_ago]


def test_500_new_alerts_with_a_cap_of_5_are_5_tellings_and_495_held_until_the_first_is_10_minutes_old() -> None:
    waiting = [WaitingAlert(number, "t") for number in range(500)]

    made = plan(waiting, [], Policy(cap=5), NOON, {})

    assert made.tell == [(0,), (1,), (2,), (3,), (4,)]
    assert set(made.hold) == set(range(5, 500))
    assert {(hold.until, hold.reason) for hold in made.hold.values()} == {(NOON + 10 * MINUTE, "cap")}


def test_what_was_held_is_one_telling_and_leaves_room_for_new_ones() -> None:
    waiting = [
        *(WaitingAlert(number, "t", held=True) for number in range(40)),
        WaitingAlert(40, "t"),
        WaitingAlert(41, "t"),
    ]

    made = plan(waiting, told(9.0, 8.0, 7.0), Policy(cap=5), NOON, {})

    assert made.tell == [tuple(range(40)), (40,)]
    assert made.hold == {41: (NOON + MINUTE, "cap")}


def test_a_cooldown_and_a_cap_hold_together() -> None:
    policy = Policy(cap=3, cap_minutes=60, cooldown_minutes=5)

    made = [
        plan([WaitingAlert(1, "t")], told(*before), policy, NOON, {}) for before in ((4.0,), (6.0,), (50.0, 40.0, 6.0))
    ]

    assert [each.tell for each in made] == [[], [(1,)], []]
    assert [each.hold[1].until for each in (made[0], made[2])] == [NOON + MINUTE, NOON + 10 * MINUTE]


def test_targets_have_their_own_caps_and_snoozes() -> None:
    waiting = [WaitingAlert(1, "t"), WaitingAlert(2, "other"), WaitingAlert(3, "third")]

    made = plan(waiting, told(1.0), Policy(cap=1), NOON, {"other": NOON + 7 * MINUTE})

    assert made.tell == [(3,)]
    assert made.hold == {1: (NOON + 9 * MINUTE, "cap"), 2: (NOON + 7 * MINUTE, "snoozed")}


def test_a_snooze_of_everything_and_quiet_hours_hold_until_the_later_one_is_over() -> None:
    policy = Policy(quiet_hours=("11:00-13:30",), timezone="UTC")

    made = plan([WaitingAlert(1, "t")], [], policy, NOON, {"": NOON + 60 * MINUTE})

    assert made.hold == {1: (NOON + 90 * MINUTE, "quiet hours")}


def test_the_same_field_of_view_is_told_once_within_its_time() -> None:
    place, policy = ImagedPlace(1.0, 2.0, 10.0), Policy(same_place_minutes=30)
    beside = ImagedPlace(1.0, 2.01, 10.0)
    waiting = [
        WaitingAlert(1, "t", field_of_view=place),
        WaitingAlert(2, "t", field_of_view=beside),
        WaitingAlert(3, "t"),
    ]

    soon = plan(waiting, told(29.0, place=place), policy, NOON, {})
    late = plan(waiting, told(31.0, place=place), policy, NOON, {})

    assert (soon.with_other, soon.tell) == ({1: "k29.0"}, [(2,), (3,)])
    assert (late.with_other, late.tell) == ({}, [(1,), (2,), (3,)])


def test_of_two_waiting_alerts_of_one_place_the_second_is_decided_when_the_first_is_told() -> None:
    place = ImagedPlace(1.0, 2.0, 10.0)
    waiting = [WaitingAlert(number, "t", field_of_view=place) for number in (1, 2)]

    made = plan(waiting, [], Policy(same_place_minutes=30), NOON, {})

    assert (made.tell, made.hold, made.with_other) == ([(1,)], {}, {})


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (ImagedPlace(1.0, 2.0, 12.4), True),
        (ImagedPlace(1.0, 2.0, 13.0), False),
        (ImagedPlace(1.002, 2.002, 10.0), True),
        (ImagedPlace(1.003, 2.0, 10.0), False),
    ],
)
def test_which_fields_of_view_are_the_same(other: ImagedPlace, same: bool) -> None:
    assert ImagedPlace(1.0, 2.0, 10.0).is_same(other) is same
    assert other.is_same(ImagedPlace(1.0, 2.0, 10.0)) is same


def test_a_telling_in_the_future_of_a_clock_that_was_put_back_holds_nothing() -> None:
    assert plan([WaitingAlert(1, "t")], told(-60.0), Policy(cap=1), NOON, {}).tell == [(1,)]
