"""The one table of filters: the command line and the page mean the same by it."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import click
import pytest
from werkzeug.datastructures import MultiDict

from emwatch.cli.frame_filters import filter_of as filter_of_options
from emwatch.cli.frame_filters import frame_filters
from emwatch.errors import QuestionError
from emwatch.frame import FrameState, Window
from emwatch.ledger.filter_table import FILTERS, log_filter
from emwatch.ledger.filters import LogFilter
from emwatch.web.asking import FilterError
from emwatch.web.asking import filter_of as filter_of_address

if TYPE_CHECKING:
    from datetime import datetime

    from emwatch.ledger.filter_table import FilterKey

TYPED = {
    "category": "nanowires", "text": "wafer*", "window": "5k..20k", "flag": "1", "share": "0.5", "when": "2026-11-20",
}  # fmt: skip


def by_options(*arguments: str) -> LogFilter:
    made: list[LogFilter] = []

    @click.command()
    @frame_filters
    def command(**asked: Any) -> None:
        made.append(filter_of_options(asked, (FrameState.RECORDED, FrameState.FAILED)))

    command.main(arguments, standalone_mode=False)
    return made[0]


@pytest.mark.parametrize("asked", [each for each in FILTERS if each.key != "where"], ids=lambda asked: asked.key)
def test_an_option_and_an_address_mean_the_same(asked: FilterKey, noon: datetime) -> None:
    text = TYPED[asked.kind]
    option = f"--{asked.key.replace('_', '-')}"
    values = {
        each.name: getattr(by_options(option, *([] if asked.kind == "flag" else [text])), each.name)
        for each in fields(LogFilter)
    }
    from_address = filter_of_address(MultiDict({asked.key: text}), noon)

    assert values != {each.name: each.default for each in fields(LogFilter)}
    for name, value in values.items():
        if name != "asked_at":
            assert getattr(from_address, name) == value, name


def test_several_categories_and_a_window_of_probability(noon: datetime) -> None:
    address = MultiDict(
        [("category", "tips"), ("category", "Powder"), ("min_probability", "0.2"), ("max_probability", "0.4")]
    )
    found = filter_of_address(address, noon)

    assert found.categories == ("Tips", "Powder")
    assert found.probability == Window(0.2, 0.4)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (
            {"min_probability": 0.9, "max_probability": 0.5},
            "min_probability: 0.9 is above the highest probability, 0.5",
        ),
        ({"day": "2026-11-20", "since": "2h"}, "day: goes without since and until"),
        ({"day": "2026-11-22..20"}, "day: 2026-11-22 "),
        ({"text": "!!"}, "text: '!!' has no word to look for"),
        ({"hits": False, "target": "wires"}, "hits: a frame that met 'wires' is a hit"),
        ({"since": "soon"}, "since: 'soon' is not a time"),
    ],
)
def test_what_contradicts_itself_is_said(asked: dict[str, Any], says: str, noon: datetime) -> None:
    with pytest.raises(QuestionError) as caught:
        log_filter(asked, noon)

    assert f"{caught.value.key}: {caught.value}".startswith(says)


@pytest.mark.parametrize(
    ("asked", "key"),
    [({"category": ["Tips"]}, "category"), ({"hits": True}, "hits"), ({"min_probability": 0.4}, "min_probability")],
)
def test_what_could_not_be_read_has_no_category(asked: dict[str, Any], key: str, noon: datetime) -> None:
    with pytest.raises(QuestionError, match="both cannot be") as caught:
        log_filter(asked, noon, (FrameState.FAILED,))

    assert caught.value.key == key


@pytest.mark.parametrize(
    "query", ["tilt=5..x", "hits=yes", "category=Wires", "max_probability=7", "where=1", "mood=good", "state=odd"]
)
def test_a_wrong_address_names_its_key(query: str, noon: datetime) -> None:
    key, _, value = query.partition("=")
    with pytest.raises(FilterError, match=rf"^{key}: "):
        filter_of_address(MultiDict({key: value}), noon)
