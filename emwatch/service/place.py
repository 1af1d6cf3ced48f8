"""One watched directory: how it is watched, whether it is there, and how its hints are kept coming."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from emwatch.errors import WatchError
from emwatch.watch.events import Events
from emwatch.watch.filesystem import file_system_type, lacks_events
from emwatch.watch.sweep import Listing, look, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emwatch.frame import StatKey
    from emwatch.watch.events import Hints
    from emwatch.watch.patterns import Patterns

Mode = Literal["auto", "events", "poll"]


@dataclass(frozen=True, slots=True)
class Manner:
    """How the directories are watched; ``None`` takes what suits the file system."""

    mode: Mode = "auto"
    recursive: bool = True
    max_depth: int = 16
    settle_s: float | None = None
    sweep_s: float | None = None


class Place:
    """A watched directory, supervised: events that die are armed anew, a root that vanished is waited for."""

    def __init__(self, root: Path, patterns: Patterns, manner: Manner, hints: Hints) -> None:
        self.root = root
        self.patterns = patterns
        self._manner = manner
        self._hints = hints
        self._kind = file_system_type(root)
        remote = lacks_events(self._kind)
        self.polled = manner.mode == "poll" or (manner.mode == "auto" and remote)
        self.settle_s = manner.settle_s if manner.settle_s is not None else (5.0 if remote else 0.5)
        self.sweep_s = manner.sweep_s if manner.sweep_s is not None else (5.0 if self.polled else 30.0)
        self._events: Events | None = None
        self.unavailable = ""

    def describe(self) -> str:
        """Say in words how this directory is watched."""
        how = f"sweeping every {self.sweep_s:g} s"
        if self._events is not None:
            how = f"by events, {how}"
        elif self.polled and self._manner.mode == "auto":
            how = f"by polling ({self._kind} gives no events), {how}"
        else:
            how = f"by polling, {how}"
        return f"{self.root} {how}"

    def arm(self) -> str:
        """Start events where they are wanted; gives the trouble in words (empty: none)."""
        if self.polled or self._events is not None:
            return ""
        events = Events(self.root, self._hints, recursive=self._manner.recursive)
        try:
            events.start()
        except WatchError as error:
            return str(error)
        self._events = events
        return ""

    def supervise(self) -> str:
        """Notice that hints no longer come, and arm anew; gives what was wrong (empty: nothing)."""
        if self._events is None:
            return ""
        trouble = self._events.trouble()
        if trouble:
            self.disarm()
            self.arm()
        return trouble

    def disarm(self) -> None:
        """Stop events."""
        if self._events is not None:
            self._events.stop()
            self._events = None

    def owns(self, path: Path) -> bool:
        """Tell whether a path lies in this directory."""
        return path.is_relative_to(self.root)

    def look(self, path: Path) -> StatKey | None:
        """Give the present state of a file of this place."""
        return look(path, self.root, self.patterns)

    def sweep(self, start: Path | None = None) -> Iterator[Listing]:
        """List what is there, folder by folder."""
        manner = self._manner
        return sweep(self.root, self.patterns, start=start, recursive=manner.recursive, max_depth=manner.max_depth)
