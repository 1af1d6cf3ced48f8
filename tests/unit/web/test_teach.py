"""Teaching from the page: what is refused, and that a lesson cannot hold the page up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from emwatch.clock import SystemClock
from emwatch.errors import TargetError
from emwatch.web.teach import Teacher

if TYPE_CHECKING:
    from emwatch.config import Config

    from .conftest import Open

LESSON = {"name": "bent tip", "wanted": [1, 2], "unwanted": [3]}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 100}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"wanted": "1"}, "wanted"),
        ({"wanted": [True]}, "wanted"),
        ({"unwanted": [0]}, "unwanted"),
        ({"wanted": list(range(1, 200))}, "at most 100"),
        ({"keep": "yes"}, "keep"),
    ],
)
def test_a_lesson_that_makes_no_sense_is_refused(browser: Open, changed: dict[str, object], named: str) -> None:
    answer = browser().post("/api/v1/targets/learn", json=LESSON | changed)

    assert answer.status_code == 400
    assert named in answer.json["error"]["message"]


def test_what_cannot_be_learned_is_told_and_nothing_is_kept(browser: Open, config: Config) -> None:
    answer = browser().post("/api/v1/targets/learn", json=LESSON | {"wanted": [99999], "keep": True})

    assert answer.status_code == 422
    assert answer.json["error"]["message"]
    assert not list(config.ledger.path.parent.glob("*targets*"))


def test_a_lesson_that_takes_too_long_is_ended(config: Config) -> None:
    with pytest.raises(TargetError, match="not learned within 0"):
        Teacher(config, longest_s=0.05).learn(LESSON, SystemClock().now())


def test_one_is_learned_at_a_time(browser: Open) -> None:
    client = browser()
    teacher: Teacher = client.application.extensions["emwatch"].teacher

    with teacher._turn:
        assert client.post("/api/v1/targets/learn", json=LESSON).status_code == 429
