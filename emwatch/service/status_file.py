"""
The status file: the daemon's state for `emwatch status`, a small file beside the ledger, replaced as a whole.

`emwatch status` reads this file and never the watched directories, so that a share that hangs does not block it. The
frame thread writes it: a file that is no longer renewed shows that the work hangs.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import MAXYEAR, datetime, timedelta
from importlib.metadata import version
from math import isfinite
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from emwatch import __version__
from emwatch.foreign_file import parse_json, read_bounded
from emwatch.frame import path_to_text
from emwatch.ledger.file_lock import PRIVATE_MODE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
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
class StatusFile:
    """
    The values that the daemon publishes, and the file that they are written to.

    ``waiting`` counts the files seen and not yet recorded; ``ledger_trouble`` says why none is recorded at the moment.
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
    notes: dict[str, Any] = field(default_factory=dict)  #: further facts by name: the last backup, ...
    _same: dict[str, Any] = field(default_factory=dict)
    _written: float = float("-inf")
    _changed: bool = False

    def __post_init__(self) -> None:
        """Note the values that do not change."""
        versions = {"emwatch": __version__, "watchdog": version("watchdog")}
        self._same = {
            "pid": os.getpid(),
            "started_at": _text(self.clock.now()),
            "once": self.once,
            "versions": versions,
        }

    def change(self) -> None:
        """Note that a value changed: the file is written soon."""
        self._changed = True

    def note(self, name: str, fact: dict[str, Any]) -> None:
        """Note a further fact, which is published soon."""
        self.notes[name] = fact
        self.change()

    def become(self, state: str) -> None:
        """Change the state and write the file at once."""
        self.state = state
        self.publish(self.clock.monotonic(), at_once=True)

    def publish(self, now: float, *, at_once: bool = False) -> None:
        """Write the file if it is time to: every few seconds, within one after a change; ``now`` is monotonic."""
        if not at_once and now - self._written < (_AT_CHANGES_EVERY_S if self._changed else _EVERY_S):
            return
        self._written, self._changed = now, False
        file = status_file_path(self.ledger)
        unfinished = file.with_name(f"{file.name}.part")
        told = json.dumps(self._document(now)).encode("ascii")
        try:
            # Not synced: after a power cut no daemon runs, and an older or empty file is as good.
            with open(unfinished, "wb", opener=_private) as made:
                made.write(told)
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
            "stages": {name: each.document() for name, each in done.stages.items()},
            "last_frame_at": last_frame,
            "ledger_trouble": self.ledger_trouble(),
            "model": self.model(),
            **self.notes,
        }


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0), PRIVATE_MODE)


def _write_over(file: Path, content: bytes) -> None:
    """Overwrite a file in place: this works on a full disk, and then the status matters most."""
    with open(file, "r+b", opener=_private) as old:
        old.write(content.ljust(os.fstat(old.fileno()).st_size))


def _directory(directory: WatchedDirectory, *, once: bool) -> dict[str, Any]:
    mode, why = ("read once", "") if once else directory.mode()
    return {
        "path": path_to_text(directory.root),
        "mode": mode,
        "why": why.removeprefix(f"{directory.root}: "),
        "file_system": directory.file_system,
        "sweep_seconds": directory.sweep_s,
        "new_within_seconds": round(directory.new_within_s, 1),
        "changed_within_seconds": round(directory.changed_within_s, 1),
        "last_sweep_at": None if directory.swept_at is None else _text(directory.swept_at),
    }


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def status_file_path(ledger: Path) -> Path:
    """Return the status file that belongs to a ledger."""
    return ledger.with_name(f"{ledger.name}.status.json")


def read_status_file(ledger: Path) -> dict[str, Any] | None:
    """
    Return the document that the daemon of a ledger last wrote, ``None`` without a valid file.

    Values of a wrong type are left out: another program may have changed the file.
    """
    try:
        document = parse_json(read_bounded(status_file_path(ledger), _LARGEST_BYTES))
    except (OSError, ValueError):
        return None
    if not isinstance(document, dict):
        return None
    return {name: value for name, value in document.items() if _KINDS.get(name, _anything)(value)}


def _anything(_value: object) -> bool:
    return True


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 31


def _is_time(value: object) -> bool:
    """Return whether a value is a time with a zone whose year allows conversion to any other zone."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return False
    return moment is not None and moment.tzinfo is not None and 1 < moment.year < MAXYEAR


def _none_or(kind: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or kind(value)


def _all(kind: Callable[[object], bool]) -> Callable[[object], bool]:
    """Return a check of a mapping whose values are all of one kind."""
    return lambda value: isinstance(value, dict) and all(map(kind, value.values()))


def _with(**kinds: Callable[[object], bool]) -> Callable[[object], bool]:
    """Return a check of a mapping that has certain keys; other keys may hold anything."""
    return lambda value: isinstance(value, dict) and all(kind(value.get(name)) for name, kind in kinds.items())


_IS_DIRECTORY: Final = _with(
    path=_is_text,
    mode=_is_text,
    why=_is_text,
    sweep_seconds=_none_or(_is_number),
    new_within_seconds=_none_or(_is_number),
    changed_within_seconds=_none_or(_is_number),
    last_sweep_at=_none_or(_is_time),
)
#: What `emwatch status` relies on.
_KINDS: Final[Mapping[str, Callable[[object], bool]]] = MappingProxyType(
    {
        "pid": _is_count,
        "state": _is_text,
        "started_at": _is_time,
        "written_at": _is_time,
        "last_frame_at": _none_or(_is_time),
        "lag_s": _none_or(_is_number),
        "stages": _all(
            _with(sum_s=_is_number, counts=lambda value: isinstance(value, list) and all(map(_is_count, value)))
        ),
        "waiting": _is_count,
        "ledger_trouble": _is_text,
        "directories": lambda value: isinstance(value, list) and all(map(_IS_DIRECTORY, value)),
        "since_start": lambda value: _all(_is_count)(value) and _with(recorded=_is_count)(value),
        "model": lambda value: (
            not value or (_all(_is_text)(value) and _with(name=_is_text, sha256=_is_text, engine=_is_text)(value))
        ),
        "versions": _all(_is_text),
        "check": _with(result=_is_text, at=_is_time),
        "backup": _with(at=_none_or(_is_time), path=_none_or(_is_text), trouble=_is_text),
        "server": _with(
            name=_is_text,
            waiting=_none_or(_is_count),
            away_since=_none_or(_is_time),
            trouble=_is_text,
            last_at=_none_or(_is_time),
        ),
        "page": _with(address=_is_text, trouble=_is_text),
        "configuration": _with(trouble=_is_text, needs_restart=lambda value: isinstance(value, list)),
    }
)
