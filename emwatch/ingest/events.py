"""What the daemon tells whoever watches it: the live view, the plain lines, the service manager."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.frame import Outcome


@dataclass(frozen=True, slots=True)
class FrameDone:
    """A file's outcome is committed. ``lag_s``: from first sight to commit."""

    frame_id: int
    outcome: Outcome
    new: bool
    duplicate_of: int | None
    lag_s: float
    waiting: int  #: files seen and not yet recorded


@dataclass(frozen=True, slots=True)
class Ready:
    """
    The model passed its self-test and the first sweep is over.

    ``watching`` says how each directory is watched; empty where the directories are only looked through once.
    """

    watching: tuple[str, ...]
    waiting: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the operator or the facility manager should know, once."""

    level: Literal["info", "warning", "error"]
    text: str
    path: Path | None = None


Happening = FrameDone | Ready | Notice
