"""What is to be done with a watched directory and when, and what a walk or sweep under way has taken so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emwatch.frame import StatKey
    from emwatch.watch.directory import WatchedDirectory
    from emwatch.watch.names import Appeared
    from emwatch.watch.sweep import Listing


@dataclass(slots=True)
class Effort:
    """What a walk or sweep under way has taken so far: time, and processor time without the waiting."""

    begun_at: float
    processor_s: float = 0.0


@dataclass(slots=True)
class Sweeping:
    """A sweep under way, some files at a time, so that live frames need not wait for it."""

    directory: WatchedDirectory
    listings: Iterator[Listing]
    full: bool
    effort: Effort
    begun: bool = False


@dataclass(slots=True)
class DirectoryPlan:
    """What is to be done with one directory, and when; moments are monotonic."""

    next_sweep: float
    next_walk: float
    baseline: dict[Path, StatKey] | None  # files of the first sweep, if they are to be taken as known
    asked: bool = False  # to be swept again, however far the present sweep is
    swept: bool = False
    walked: bool = False
    walk: tuple[Iterator[Appeared], Effort] | None = field(default=None)

    @classmethod
    def at_once(cls, now: float, *, takes_baseline: bool) -> DirectoryPlan:
        """Return the plan of a directory that is walked and swept now."""
        return cls(next_sweep=now, next_walk=now, baseline={} if takes_baseline else None)
