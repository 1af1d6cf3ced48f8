"""One watched directory: how it is watched, whether it is there, and how its hints are kept coming."""

from __future__ import annotations

import math
import stat
from typing import TYPE_CHECKING

from emwatch.errors import WatchError
from emwatch.filesystem import file_system_type, lacks_events
from emwatch.watch.events import Events
from emwatch.watch.hints import ASKED
from emwatch.watch.patterns import Patterns
from emwatch.watch.sweep import Listing, look, sweep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from emwatch.config.schema import WatchConfig
    from emwatch.frame import StatKey
    from emwatch.watch.events import Hints

_ARM_AGAIN_S = 60.0
_TOO_SOON_S = 10.0
_POLL_EVERY_S = 5.0
_SWEEP_EVERY_S = 30.0
_MOST_SWEEPING = 1 / 140  # of the time, while events come
_MOST_POLLING = 1 / 40


class WatchedDirectory:
    """A watched directory, supervised: events that die are armed anew, a root that vanished is waited for."""

    def __init__(self, root: Path, settings: WatchConfig, hints: Hints) -> None:
        self.root = root
        self.patterns = Patterns(settings.include, settings.exclude)
        self._settings = settings
        self._hints = hints
        self._events: Events | None = None
        self._next_arming = 0.0
        self._armed = -math.inf
        self._kind = file_system_type(root)
        self._no_events = ""  # why, where they are wanted
        self._folders: list[int] = []  # by inode, as the full sweep under way finds them
        self._suspects: list[int] = []  # swept, and perhaps not watched: a folder just made has no watch for a moment
        self._unwatched = 0
        self.unavailable = ""
        self.held_files = False  #: known from the ledger, or seen since
        self._filled: tuple[int, int] | None = (
            None  # device and inode of the directory when it was last seen with something in it
        )
        self.swept_at: datetime | None = None  #: when the last full sweep ended

    @property
    def polled(self) -> bool:
        """Whether events are not even tried."""
        return self._settings.mode == "poll" or (self._settings.mode == "auto" and lacks_events(self._kind))

    @property
    def settle_s(self) -> float:
        """How long a file must stay the same."""
        if self._settings.settle_seconds is not None:
            return self._settings.settle_seconds
        return 5.0 if lacks_events(self._kind) else 0.5

    @property
    def _events_come(self) -> bool:
        return self._events is not None and not self._unwatched

    @property
    def sweep_s(self) -> float:
        """How often everything is looked at: seldom only while events come."""
        usual_s = self._settings.sweep_seconds or (_SWEEP_EVERY_S if self._events_come else _POLL_EVERY_S)
        return usual_s if self._events_come or self.polled else min(usual_s, _POLL_EVERY_S)

    def pause_s(self, spent_s: float) -> float:
        """Seconds until the next sweep, after one that took ``spent_s``: however many files there are, sweeping stays cheap."""
        return max(self.sweep_s, spent_s / (_MOST_SWEEPING if self._events_come else _MOST_POLLING))

    def mode(self) -> tuple[str, str]:
        """Give ``events``, ``polling``, ``degraded`` or ``unavailable``, and why where it is not events."""
        if self.unavailable:
            return "unavailable", self.unavailable
        if self._events is not None:
            return ("degraded", self._unwatched_words()) if self._unwatched else ("events", "")
        if self.polled:
            return "polling", "watch.mode: poll" if self._settings.mode == "poll" else f"{self._kind} gives no events"
        return "degraded", self._no_events or "events are not armed yet"

    @property
    def file_system(self) -> str:
        """Name the type of the file system, empty where it cannot be told."""
        return self._kind

    def describe(self) -> str:
        """Say in words how this directory is watched."""
        how = f"sweeping every {self.sweep_s:g} s"
        if self.unavailable:
            return f"{self.root}: waiting for it to appear"
        if self._events is not None:
            return f"{self.root} by events, {how}"
        why = f" ({self._kind} gives no events)" if self.polled and self._settings.mode == "auto" else ""
        return f"{self.root} by polling{why}, {how}"

    def arm(self) -> str:
        """Start events where they are wanted and not there yet; gives the trouble in words (empty: none)."""
        self._kind = file_system_type(self.root)  # a share may have been mounted there meanwhile
        if self.polled or self._events is not None:
            return ""
        events = Events(self.root, self._hints, recursive=self._settings.recursive)
        try:
            events.start()
        except WatchError as error:
            self._no_events = str(error)
            return self._no_events
        self._events = events
        return ""

    def supervise(self, now: float) -> str:
        """Notice that hints no longer come and arm anew, once a minute where that fails; gives what was wrong."""
        trouble = "" if self._events is None else self._events.trouble()
        if trouble:
            self.disarm()
            if not self.is_there():
                return self._look_again(now)
            # What dies as soon as it lives is left alone for a while; polling does its work.
            self._next_arming = now + (_ARM_AGAIN_S if now - self._armed < _TOO_SOON_S else 0.0)
        elif self._suspects:
            return self._count_unwatched(self._suspects)
        if self._events is not None or self.polled or self.unavailable or now < self._next_arming:
            return trouble
        self._next_arming = now + _ARM_AGAIN_S
        self._armed = now
        if self.arm():
            return trouble
        return trouble or "events were not to be had before"

    def _look_again(self, now: float) -> str:
        """Have the directory swept now that it is gone or another one: that says so, once, or finds what is in the other."""
        self._hints.everything(ASKED)
        self._next_arming = now
        self.arm()
        return ""

    def expect_mounted(self, listing: Listing) -> None:
        """
        Notice a mount point whose share is gone: an empty directory where another one, with files in it, was before.

        The same directory may well be emptied by its owner.

        Raises:
            WatchError: it is such a one.

        """
        if listing.folder != self.root:
            return
        try:
            status = self.root.stat()
        except OSError:
            return  # the next sweep says so
        identity = (status.st_dev, status.st_ino)
        if not listing.empty:
            self.held_files, self._filled = True, identity
        elif self.held_files and identity != self._filled:
            raise WatchError(f"{self.root}: is empty, and held files before; if it is a share, it is not mounted")

    def note_folders(self, folders: Iterable[int]) -> None:
        """Note sub-folders, by inode, that the full sweep under way will enter."""
        self._folders += folders

    def full_sweep_begins(self) -> None:
        """Forget what an earlier, perhaps unfinished sweep noted."""
        self._folders = []

    def full_sweep_ended(self, at: datetime) -> None:
        """Note the time, and hold the folders that were found against those that raise events."""
        self.swept_at = at
        folders, self._folders = self._folders, []
        if self._events is not None and self._events.unwatched(folders) != self._unwatched:
            self._suspects = folders

    def _count_unwatched(self, folders: list[int]) -> str:
        """Count the folders without events; gives the trouble in words where there were none before."""
        before, self._suspects = self._unwatched, []
        self._unwatched = 0 if self._events is None else self._events.unwatched(folders)
        return self._unwatched_words() if self._unwatched and not before else ""

    def _unwatched_words(self) -> str:
        return (
            f"{self._unwatched} folders raise no events because the system's watches have run out "
            "(raise fs.inotify.max_user_watches with sysctl and start emwatch again)"
        )

    def disarm(self) -> None:
        """Stop events."""
        self._suspects, self._unwatched = [], 0
        if self._events is not None:
            self._events.stop()
            self._events = None

    def owns(self, path: Path) -> bool:
        """Tell whether a path lies in this directory."""
        return path.is_relative_to(self.root)

    def is_there(self) -> bool:
        """Tell whether the directory itself can be seen, and is the one that files were seen in."""
        try:
            status = self.root.stat()
        except OSError:
            return False
        return stat.S_ISDIR(status.st_mode) and self._filled in (None, (status.st_dev, status.st_ino))

    def look(self, path: Path) -> StatKey | None:
        """Give the present state of a file of this directory; raises `OSError` where it cannot be told."""
        return look(path, self.root, self.patterns)

    def sweep(self, start: Path | None = None) -> Iterator[Listing]:
        """List what is there, folder by folder."""
        settings = self._settings
        return sweep(self.root, self.patterns, start=start, recursive=settings.recursive, max_depth=settings.max_depth)
