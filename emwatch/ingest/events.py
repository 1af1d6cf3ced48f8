"""Events that the daemon reports to its listeners: the live view, the plain lines, the service manager."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.frame import AcquisitionMetadata, Match, Outcome


#: The way of a frame: until it is handed to the reader, until it is read, until the frames before it are done, until it
#: is classified and matched, until it is committed.
STAGES: Final = ("settling", "reading", "waiting", "classifying", "committing")


@dataclass(frozen=True, slots=True)
class FrameDone:
    """
    A file's outcome is committed.

    ``new``: as in `emwatch.ledger.writer.Recorded`; false if only values of a late sidecar were added. ``hit``: the
    frame meets a target, and met none before. ``lag_s``: seconds from first sight to commit. ``stages_s``: how much of
    it each of `STAGES` took; empty for a file that did not go through all of them.
    """

    frame_id: int
    outcome: Outcome
    new: bool
    duplicate_of: int | None
    lag_s: float
    waiting: int  #: files seen and not yet recorded
    hit: bool = False
    stages_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class BarRead:
    """Values of a recorded frame's data bar are committed. ``matches``: the targets met. ``hit``: as in `FrameDone`."""

    frame_id: int
    metadata: AcquisitionMetadata
    matches: tuple[Match, ...]
    hit: bool


@dataclass(frozen=True, slots=True)
class Ready:
    """
    The model passed its self-test and the first sweep is over.

    ``watching`` says how each directory is watched; empty if the directories are only read once.
    """

    watching: tuple[str, ...]
    waiting: int


@dataclass(frozen=True, slots=True)
class Notice:
    """A message for the operator or the facility manager."""

    level: Literal["info", "warning", "error"]
    text: str
    path: Path | None = None


def held_back(frames: int, max_age: timedelta) -> Notice:
    """Return the notice about frames that meet a target and raised no alert because of their age."""
    raised = "1 frame that meets a target raised" if frames == 1 else f"{frames:,} frames that meet a target raised"
    return Notice(
        "info",
        f"{raised} no alert: older than {max_age / timedelta(days=1):g} days (alerts.max_age_days); "
        "'emwatch log --hits' shows what was recorded",
    )


Event = FrameDone | BarRead | Ready | Notice
