"""Reading ahead: everything in order, every child at work, nothing taken that is not yet needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from emwatch.errors import FrameError, NotAFrame
from emwatch.readers.sandbox.frame_sandbox import read_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.frame import FrameReading


class _Child:
    """Reads what it is given when it is asked for it; `at_work` tells all that were begun and not finished."""

    at_work: list[str]

    def __init__(self, at_work: list[str]) -> None:
        self.at_work = at_work
        self._name: str | None = None

    def begin(self, name: str) -> None:
        assert self._name is None, "one frame at a time"
        self._name = name
        self.at_work.append(name)

    def finish(self) -> FrameReading:
        assert self._name is not None
        name, self._name = self._name, None
        self.at_work.remove(name)
        if name.startswith("bad"):
            raise NotAFrame(Path(name), "no picture")
        return cast("Any", f"reading of {name}")


@pytest.mark.parametrize("children", [1, 2, 3])
def test_readings_and_what_could_not_be_read_come_in_order(children: int) -> None:
    names = ["a", "bad", "b", "c", "bad too"]
    at_work: list[str] = []
    found = list(read_ahead(names, [_Child(at_work) for _ in range(children)], _Child.begin))

    assert [name for name, _ in found] == names
    assert [isinstance(result, FrameError) for _, result in found] == [False, True, False, False, True]
    assert found[2][1] == "reading of b"
    assert at_work == []


@pytest.mark.parametrize("children", [1, 2])
def test_every_child_has_a_frame_in_hand_while_the_caller_works(children: int) -> None:
    taken = 0

    def names() -> Iterator[str]:
        nonlocal taken
        for name in "abcdef":
            taken += 1
            yield name

    at_work: list[str] = []
    readings = read_ahead(names(), [_Child(at_work) for _ in range(children)], _Child.begin)

    for done, (name, _) in enumerate(readings, start=1):
        ahead = "abcdef"[done : done + children]
        assert (name, "".join(at_work), taken) == ("abcdef"[done - 1], ahead, min(6, done + children))


def test_nothing_to_read_is_nothing() -> None:
    assert list(read_ahead([], [_Child([])], _Child.begin)) == []
