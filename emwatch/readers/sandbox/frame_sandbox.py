"""Frames read in a child process with limits, so that no file can take the daemon down, hang it or eat its memory."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from emwatch.errors import FrameError
from emwatch.frame import FrameReading
from emwatch.readers.sandbox import wire
from emwatch.readers.sandbox.child_reader import ChildReader
from emwatch.readers.sandbox.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path


class Sandbox(ChildReader[FrameReading]):
    """
    A reader in a child process that is reused between frames.

    ``prepare`` names the function that makes the views, as ``module:function``. The child starts at the first frame, or
    ahead of it with `start`. One frame at a time: `read`, or `begin` and `finish` with other work between them.
    Not for several threads at once.
    """

    def __init__(self, prepare: str = "emwatch.classify.preprocess:prepare", limits: Limits | None = None) -> None:
        super().__init__("emwatch.readers.sandbox.child", {"prepare": prepare}, limits or Limits())

    def read(self, path: Path, *, pixels: bool = True) -> FrameReading:
        """
        Read one frame; with ``pixels=False`` its identity and metadata only, with views of shape (0, 170, 170).

        Raises the `errors.FrameError` that the child met, `errors.ReaderDied` if two children died on the frame, and
        `errors.EmwatchError` if no child can be started.
        """
        self.begin(path, pixels=pixels)
        return self.finish()

    def begin(self, path: Path, *, pixels: bool = True) -> None:
        """Hand a frame to the child; `finish` returns the result."""
        self._begin(path, {"pixels": pixels})

    def finish(self) -> FrameReading:
        """Wait for the frame handed over by `begin`; raises as `read`."""
        return self._finish()

    def _understand(self, path: Path, header: dict[str, Any], payload: bytes) -> FrameReading:
        return wire.message_as_reading(path, header, payload)


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
