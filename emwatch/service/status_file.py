"""
How the daemon stands, for `emwatch status`: a small file beside the ledger, replaced as a whole.

Whoever asks reads this file and never the watched directories, so that a share that hangs does not hang the question.
It is written by the thread that does the work: a file that is no longer renewed tells that the work hangs.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from emwatch import __version__
from emwatch.frame import path_to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from emwatch.clock import Clock
    from emwatch.service.progress import Progress
    from emwatch.watch.directory import WatchedDirectory
    from emwatch.watch.hints import HintBox

logger = logging.getLogger(__name__)

_EVERY_S: Final = 5.0
_AT_CHANGES_EVERY_S: Final = 1.0
_LARGEST_BYTES: Final = 1 << 20


@dataclass(slots=True)
class Standing:
    """
    What is told, put together by the daemon as it starts, and the file it is written to.

    ``waiting`` counts the files seen and not yet recorded, ``ledger_trouble`` says why none is taken at the moment.
    One thread at a time.
    """

    ledger: Path
    clock: Clock
    directories: Sequence[WatchedDirectory]
    hints: HintBox
    progress: Progress
    once: bool
    state: str = "starting"  #: then ``watching``, ``stopping``, ``ended``
    waiting: Callable[[], int] = int
    ledger_trouble: Callable[[], str] = str
    model: Callable[[], dict[str, str]] = dict
    notes: dict[str, Any] = field(default_factory=dict)  #: what else is worth knowing, by name: the last backup, ...
    _same: dict[str, Any] = field(default_factory=dict)
    _written: float = float("-inf")
    _changed: bool = False

    def __post_init__(self) -> None:
        """Note what stays the same."""
        versions = {"emwatch": __version__, "watchdog": version("watchdog")}
        self._same = {
            "pid": os.getpid(),
            "started_at": _text(self.clock.now()),
            "once": self.once,
            "versions": versions,
        }

    def change(self) -> None:
        """Say that there is news."""
        self._changed = True

    def note_reload(self, how: dict[str, Any]) -> None:
        """Note how the last reload of the configuration went."""
        self.notes["configuration"] = how
        self.change()

    def become(self, state: str) -> None:
        """Change the state; told at once."""
        self.state = state
        self.publish(self.clock.monotonic(), at_once=True)

    def publish(self, now: float, *, at_once: bool = False) -> None:
        """Write the file if it is time to: every few seconds, within one after a change; ``now`` is monotonic."""
        if not at_once and now - self._written < (_AT_CHANGES_EVERY_S if self._changed else _EVERY_S):
            return
        self._written, self._changed = now, False
        file = standing_file(self.ledger)
        unfinished = file.with_name(f"{file.name}.part")
        told = json.dumps(self._document(now)).encode("ascii")
        try:
            # Not synced: after a power cut nobody runs, and an older or empty file says no less.
            unfinished.write_bytes(told)
            unfinished.replace(file)
        except OSError as error:  # a full disk costs this file, never a frame
            logger.debug("%s: cannot be written: %s", unfinished, error)
            with suppress(OSError):
                unfinished.unlink()
            with suppress(OSError):
                _write_over(file, told)

    def _document(self, now: float) -> dict[str, Any]:
        done = self.progress
        last_frame = None
        if done.last_frame_at is not None:
            last_frame = _text(self.clock.now() - timedelta(seconds=max(0.0, now - done.last_frame_at)))
        return {
            **self._same,
            "written_at": _text(self.clock.now()),
            "state": self.state,
            "directories": [_directory(directory, once=self.once) for directory in self.directories],
            "since_start": {
                "recorded": done.frames,
                "hits": done.hits,
                "failed": done.failed,
                "skipped": done.skipped,
                "overflows": self.hints.lost,
            },
            "waiting": self.waiting(),
            "lag_s": done.lag_s,
            "last_frame_at": last_frame,
            "ledger_trouble": self.ledger_trouble(),
            "model": self.model(),
            **self.notes,
        }


def _write_over(file: Path, content: bytes) -> None:
    """Write into the room that a file has already: just when the disk is full somebody asks why nothing is recorded."""
    with file.open("r+b") as old:
        old.write(content.ljust(os.fstat(old.fileno()).st_size))


def _directory(directory: WatchedDirectory, *, once: bool) -> dict[str, Any]:
    mode, why = ("looked through once", "") if once else directory.mode()
    return {
        "path": path_to_text(directory.root),
        "mode": mode,
        "why": why.removeprefix(f"{directory.root}: "),
        "file_system": directory.file_system,
        "sweep_seconds": directory.sweep_s,
        "last_sweep_at": None if directory.swept_at is None else _text(directory.swept_at),
    }


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def standing_file(ledger: Path) -> Path:
    """Give the file that tells how the daemon of a ledger stands."""
    return ledger.with_name(f"{ledger.name}.status.json")


def read_standing(ledger: Path) -> dict[str, Any] | None:
    """Give what the daemon of a ledger last wrote; ``None`` where there is nothing, or nothing that makes sense."""
    try:
        with standing_file(ledger).open("rb") as file:
            document = json.loads(file.read(_LARGEST_BYTES))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None
