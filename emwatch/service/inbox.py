"""
Requests handed to the daemon, which is the ledger's only writer.

A request is a small JSON file in a folder beside the ledger, written whole; it goes when it is done, and is kept under
another name if it makes no sense. Done twice after a kill, it must change nothing.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections import deque
from datetime import MAXYEAR, datetime
from typing import TYPE_CHECKING, Any, Final

from emwatch.errors import EmwatchError, LedgerError
from emwatch.foreign_file import parse_json, read_bounded
from emwatch.frame import path_to_text
from emwatch.ingest.events import Notice
from emwatch.whole_file import make_folder, written_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emwatch.ingest.events import Event

_LOOK_EVERY_S: Final = 1.0
#: So long, and not longer than one request takes, other work stands still.
_TURN_S: Final = 0.1
_LONGEST_REASON: Final = 500
#: How long somebody who asks waits for a daemon, which looks between two frames.
_PATIENCE_S: Final = 5.0
_PAUSE_S: Final = 0.05
_LONGEST_TEXT: Final = 10_000
_FIRST_YEAR: Final = 1970


def row_number(name: str, value: Any) -> int:
    """Return the number of a row of the ledger that a request holds. Raises `TypeError` for anything else."""
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise TypeError(f"{name} must be a number of a row, not {str(value)[:40]!r}")
    return value


def text(name: str, value: Any) -> str:
    """Return a text that a request holds. Raises `TypeError` for anything else, and for one that is too long."""
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise TypeError(f"{name} must be a text of at most {_LONGEST_TEXT:,} characters")
    return value


def moment(name: str, value: Any) -> datetime:
    """Return a time that a request holds, ISO 8601 with offset. Raises `TypeError` or `ValueError` for anything else."""
    found = datetime.fromisoformat(value)
    if found.tzinfo is None or not _FIRST_YEAR <= found.year < MAXYEAR:  # else it is not shown in every time zone
        raise ValueError(f"{name}: {value} is not a possible time, or has no time zone")
    return found


def leave(folder: Path, document: object, now: datetime) -> Path:
    """Leave a request for the daemon. Returns its file, which goes when it is done. Raises `EmwatchError`."""
    request = folder / f"{now:%Y%m%dT%H%M%S%f}-{os.getpid()}.json"
    try:
        make_folder(request.parent)
        with written_whole(request) as made:
            made.write_bytes(json.dumps(document).encode("ascii"))
    except OSError as error:
        raise EmwatchError(
            f"{path_to_text(request)}: cannot be left for the running daemon: {error.strerror or error}; "
            "ask as a user who may write there"
        ) from error
    return request


def is_done(request: Path) -> bool:
    """Wait some seconds until a request is done. Returns whether it is. Raises `EmwatchError` if it was refused."""
    until = time.monotonic() + _PATIENCE_S
    while request.exists() and time.monotonic() < until:
        time.sleep(_PAUSE_S)
    if (kept := request.with_suffix(".refused")).exists():
        raise EmwatchError(f"{path_to_text(kept)}: refused; emwatch run says why")
    return not request.exists()


class Inbox:
    """
    Takes in what waits in a folder, oldest first; faults are reported once.

    Args:
        folder: where requests wait.
        take: does what a document asks for. It raises `ValueError`, `TypeError` or `KeyError` for one that makes no sense,
            `LedgerError` if the ledger cannot be written now.
        tell: hears of what was refused.
        what: what a request is called in notices.
        largest_bytes: larger files make no sense.
        monotonic: seconds that pass while requests are taken in.

    """

    def __init__(
        self,
        folder: Path,
        take: Callable[[Any], None],
        tell: Callable[[Event], None],
        *,
        what: str = "a request",
        largest_bytes: int = 1_000_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._take, self._tell = folder, take, tell
        self._what, self._largest_bytes, self._monotonic = what, largest_bytes, monotonic
        self._next_look = 0.0
        self._waiting: deque[Path] = deque()  # found by the last look, and not done yet
        self._stuck: set[tuple[str, int, int]] = set()  # done, and can be neither removed nor renamed
        self._told: set[str] = set()

    def tick(self, now: float) -> None:
        """
        Take in what waits, once a second and for 0.1 s: frames are recorded meanwhile, however much waits.

        ``now``: monotonic seconds.
        """
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY_S
        try:
            self._take_in(_TURN_S)
        except LedgerError as error:  # the frames tell of it, too; it is tried again
            self._once(Notice("warning", f"requests wait in {path_to_text(self._folder)}: {error}"))

    def empty(self) -> None:
        """Take in all that waits now. Raises `LedgerError` if the ledger cannot be written: what waits stays."""
        self._take_in(math.inf)

    def _take_in(self, most_s: float) -> None:
        until = self._monotonic() + most_s
        if not self._waiting:
            try:
                found = [path for path in self._folder.iterdir() if path.suffix == ".json" and path.name[0] != "."]
            except OSError:  # there are no requests yet
                return
            self._waiting.extend(sorted(found))
        while self._waiting:
            request = self._waiting[0]
            try:
                self._one(request)
            except OSError as error:
                self._once(Notice("warning", f"{path_to_text(request)}: cannot be taken in: {error}", request))
            self._waiting.popleft()
            if self._monotonic() >= until:
                return

    def _one(self, request: Path) -> None:
        try:
            found = request.lstat()
        except FileNotFoundError:  # taken back since it was listed
            return
        key = (request.name, found.st_ino, found.st_mtime_ns)
        if key in self._stuck:
            return
        reason = self._reason(request)
        self._stuck.add(key)
        if reason:
            kept = request.with_suffix(".refused")
            request.replace(kept)
            self._once(Notice("warning", f"{self._what} was refused, and kept as {path_to_text(kept)}: {reason}", kept))
        else:
            request.unlink()
        self._stuck.discard(key)

    def _reason(self, request: Path) -> str:
        """Do what a request asks for. Returns why not if it makes no sense, else ""."""
        try:
            self._take(parse_json(read_bounded(request, self._largest_bytes)))
        except FileNotFoundError:
            return "is a link to a missing file"
        except KeyError as error:
            return f"lacks {error}"
        except (ValueError, TypeError, OverflowError, AttributeError) as error:
            return str(error)[:_LONGEST_REASON]
        return ""

    def _once(self, notice: Notice) -> None:
        if notice.text not in self._told:
            self._told.add(notice.text)
            self._tell(notice)
