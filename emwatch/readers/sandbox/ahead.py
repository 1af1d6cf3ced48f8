"""Files read one after the other, the next ones while the caller works on this one."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol, TypeVar

from emwatch.errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from emwatch.frame import FrameReading


class Finishes(Protocol):
    """A reader that was handed a frame and goes on with it by itself."""

    def finish(self) -> FrameReading:
        """Wait for the frame; raises `FrameError` when it is no whole one."""
        ...


Item = TypeVar("Item")
Child = TypeVar("Child", bound=Finishes)


def read_ahead(
    items: Iterable[Item], children: Sequence[Child], begin: Callable[[Child, Item], None]
) -> Iterator[tuple[Item, FrameReading | FrameError]]:
    """
    Return the reading of each item's file, or why there is none, in order.

    Every child has a frame in hand while the caller works on the one before them; ``begin`` hands it over. So many items
    are taken ahead.
    """
    idle, busy = deque(children), deque[tuple[Child, Item]]()
    for item in items:
        if idle:
            child = idle.popleft()
            begin(child, item)
            busy.append((child, item))
        else:
            child, first = busy.popleft()
            outcome = _outcome(child)
            begin(child, item)
            busy.append((child, item))
            yield first, outcome
    for child, item in busy:
        yield item, _outcome(child)


def _outcome(child: Finishes) -> FrameReading | FrameError:
    try:
        return child.finish()
    except FrameError as error:
        return error
