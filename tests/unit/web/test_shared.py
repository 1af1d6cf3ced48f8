"""An answer shared by all pages is made seldom enough to stay cheap."""

from __future__ import annotations

import pytest

from emwatch.testing import ManualClock
from emwatch.web.shared import Shared


@pytest.mark.parametrize(("takes_s", "kept_s"), [(0.0, 1.0), (0.01, 1.0), (0.5, 10.0)])
def test_it_is_made_anew_only_so_often(takes_s: float, kept_s: float) -> None:
    clock = ManualClock()
    made: list[float] = []

    def make() -> int:
        made.append(clock.monotonic())
        clock.compute(takes_s)
        clock.advance(30)  # spent waiting
        return len(made)

    shared = Shared(make, clock.monotonic, clock.processor)
    assert shared.get() == 1
    clock.advance(kept_s - 0.01)
    assert shared.get() == 1
    clock.advance(0.02)
    assert shared.get() == 2


def test_an_answer_from_after_a_moment_comes_as_soon_as_it_may_be_made() -> None:
    clock = ManualClock()
    shared = Shared(clock.monotonic, clock.monotonic, clock.processor)
    asked_at = shared.get()
    clock.advance(0.5)
    changed_at = clock.monotonic()

    assert shared.since(asked_at) == asked_at
    assert shared.since(changed_at) is None
    clock.advance(0.6)
    assert shared.since(changed_at) == clock.monotonic()


def test_a_failure_is_not_kept() -> None:
    answers = iter([LookupError("away"), "back"])

    def make() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    shared = Shared(make, ManualClock().monotonic)
    with pytest.raises(LookupError):
        shared.get()
    assert shared.get() == "back"
