"""One watched directory: how it is watched, whether it is there, and how its hints are kept coming."""

from __future__ import annotations

import math
import stat
from typing import TYPE_CHECKING

from emwatch.errors import ConfigError, WatchError
from emwatch.filesystem import crosses_network, file_system_type, keeps_directory_times, lacks_events, real_path
from emwatch.watch.events import Events, why_unwatched
from emwatch.watch.hints import ASKED
from emwatch.watch.names import Names
from emwatch.watch.patterns import Patterns
from emwatch.watch.sweep import stat_key_of, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from emwatch.config.schema import WatchConfig
    from emwatch.frame import StatKey
    from emwatch.watch.events import Hints
    from emwatch.watch.names import Appeared
    from emwatch.watch.sweep import Listing

_ARM_AGAIN_S = 60.0
_TOO_SOON_S = 10.0
_POLL_EVERY_S = 5.0
_SWEEP_EVERY_S = 30.0
#: The most processor time that sweeps and walks may take, as a share of all time.
_MOST_SWEEPING = 1 / 140
_MOST_WALKING = 1 / 50
#: A sweep that mostly waits for a share leaves it alone for twice as long as it took.
_LEAVE_ALONE = 2.0
#: However large the directory is, no pause is longer.
_LONGEST_SWEEP_PAUSE_S = 300.0
_LONGEST_WALK_PAUSE_S = 10.0


class WatchedDirectory:
    """
    A watched directory, supervised: events that stopped are restarted, a missing root is waited for.

    Args:
        configured: the path as configured; a link in it is followed when it leads elsewhere.
        settings: how it is watched.
        hints: where events go.
        check: raises `ConfigError` for a place that may not be watched, such as one that holds the ledger.

    """

    def __init__(
        self,
        configured: Path,
        settings: WatchConfig,
        hints: Hints,
        check: Callable[[Path], None] = lambda _root: None,
    ) -> None:
        self.configured = configured
        self.root = real_path(configured)
        self.patterns = Patterns(settings.include, settings.exclude)
        self._settings = settings
        self._hints = hints
        self._check = check
        self._events: Events | None = None
        self._next_arming = 0.0
        self._armed = -math.inf
        self._kind = file_system_type(self.root)
        self._names = self._no_names()
        self._no_events = ""  # the reason, if they are wanted
        self._folders: dict[int, Path] = {}  # by inode, as the full sweep under way finds them
        self._suspects: dict[int, Path] = {}  # swept, and perhaps not watched: a new folder has no watch for a moment
        self._unwatched = ""  # how many folders raise no events, and why
        self._refused: Path | None = None  # where the link leads, if that may not be watched
        self._walk_s = self._walk_processor_s = 0.0  # how long the last walk took
        self._sweep_s = self._sweep_processor_s = 0.0  # and the last full sweep
        self.former = False  #: the link led here before; files of it may still come
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
    def _max_depth(self) -> int:
        return self._settings.max_depth if self._settings.recursive else 0

    @property
    def settle_s(self) -> float:
        """How long a file must stay the same."""
        if self._settings.settle_seconds is not None:
            return self._settings.settle_seconds
        return 5.0 if lacks_events(self._kind) else 0.5

    @property
    def events_come(self) -> bool:
        """Whether every folder raises events. If not, its names are listed every few seconds."""
        return self._events is not None and not self._unwatched

    @property
    def ctime_tells(self) -> bool:
        """Whether a file's ctime moves with each change of its content, as on a local disk."""
        return not crosses_network(self._kind)

    @property
    def sweep_s(self) -> float:
        """How often everything is looked at: seldom only while events come."""
        usual_s = self._settings.sweep_seconds or (_SWEEP_EVERY_S if self.events_come else _POLL_EVERY_S)
        return usual_s if self.events_come or self.polled else min(usual_s, _POLL_EVERY_S)

    def sweep_pause_s(self) -> float:
        """Return the seconds until the next sweep: however many files there are, sweeping stays cheap."""
        longest_s = max(self.sweep_s, _LONGEST_SWEEP_PAUSE_S)
        return min(max(self.sweep_s, self._sweep_processor_s / _MOST_SWEEPING, _LEAVE_ALONE * self._sweep_s), longest_s)

    def walk_pause_s(self) -> float:
        """Return the seconds until the names are listed again."""
        longest_s = max(self.sweep_s, _LONGEST_WALK_PAUSE_S)
        return min(max(self.sweep_s, self._walk_processor_s / _MOST_WALKING), longest_s)

    @property
    def new_within_s(self) -> float:
        """How late a new file is taken up at present, at most: listing its name, and settling."""
        return self.settle_s + (0.0 if self.events_come else self._walk_s + self.walk_pause_s())

    @property
    def changed_within_s(self) -> float:
        """How late a file that was written again under its name is taken up at present, at most."""
        return self.settle_s + (0.0 if self.events_come else self._sweep_s + self.sweep_pause_s())

    def mode(self) -> tuple[str, str]:
        """Return ``events``, ``polling``, ``degraded`` or ``unavailable``, and why if it is not events."""
        if self.unavailable:
            return "unavailable", self.unavailable
        if self._events is not None:
            return ("degraded", self._unwatched) if self._unwatched else ("events", "")
        if self.polled:
            return "polling", "watch.mode: poll" if self._settings.mode == "poll" else f"{self._kind} gives no events"
        return "degraded", self._no_events or "events are not armed yet"

    @property
    def file_system(self) -> str:
        """Name the type of the file system, empty if it is not known."""
        return self._kind

    def describe(self) -> str:
        """Return a description of how this directory is watched."""
        name = f"{self.root}" if self.configured.absolute() == self.root else f"{self.configured} ({self.root})"
        if self.unavailable:
            return f"{name}: waiting for it to appear"
        if self._events is not None:
            return f"{name} by events, sweeping every {self.sweep_s:g} s"
        why = f" ({self._kind} gives no events)" if self.polled and self._settings.mode == "auto" else ""
        return f"{name} by polling{why}, listed every {self.sweep_s:g} s"

    def leads_elsewhere(self) -> Path | None:
        """
        Return the current target of a link in the configured path, ``None`` if it is still `root` or is missing.

        Raises:
            ConfigError: it leads to a place that may not be watched; raised once.

        """
        if self.former:
            return None
        try:
            target = self.configured.resolve(strict=True)
        except (OSError, RuntimeError):
            return None  # the next sweep says so
        if target in (self.root, self._refused):
            return None
        try:
            self._check(target)
        except ConfigError:
            self._refused = target
            raise
        return target

    def successor(self) -> WatchedDirectory:
        """Return a directory for the link's current target; this object is the former one from now on."""
        self.former = True
        return WatchedDirectory(self.configured, self._settings, self._hints, self._check)

    def arm(self) -> str:
        """Start events if they are wanted and not there yet. Returns what is wrong, or ""."""
        kind = file_system_type(self.root)
        if kind != self._kind:  # a share may have been mounted there meanwhile
            self._kind, self._names = kind, self._no_names()
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
        """Restart events that have stopped, at most once a minute after a failure. Returns what was wrong, or ""."""
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
        """Ask for a sweep: the directory is gone or was replaced, and the sweep reports that or finds its files."""
        self._hints.everything(ASKED)
        self._next_arming = now
        self.arm()
        return ""

    def expect_mounted(self, folder: Path, *, empty: bool) -> None:
        """
        Detect a mount point without its share: an empty directory in place of another one that had files.

        The same directory may well be emptied by its owner.

        Raises:
            WatchError: it is such a one.

        """
        if folder != self.root:
            return
        try:
            status = self.root.stat()
        except OSError:
            return  # the next sweep says so
        identity = (status.st_dev, status.st_ino)
        if not empty:
            self.held_files, self._filled = True, identity
        elif self.held_files and identity != self._filled:
            raise WatchError(f"{self.root}: is empty, and held files before; if it is a share, it is not mounted")

    def note_folder(self, inode: int, folder: Path) -> None:
        """Note a sub-folder that the full sweep under way could list."""
        self._folders[inode] = folder

    def full_sweep_begins(self) -> None:
        """Forget what an earlier, perhaps unfinished sweep noted."""
        self._folders = {}

    def full_sweep_ended(self, at: datetime, took_s: float, processor_s: float) -> None:
        """Note the time, and compare the folders that were found with those that raise events."""
        self.swept_at, self._sweep_s, self._sweep_processor_s = at, took_s, processor_s
        folders, self._folders = self._folders, {}
        if self._events is not None and bool(self._events.unwatched(folders)) != bool(self._unwatched):
            self._suspects = folders

    def walk_ended(self, took_s: float, processor_s: float) -> None:
        """Note what a walk through the names took."""
        self._walk_s, self._walk_processor_s = took_s, processor_s

    def _count_unwatched(self, folders: dict[int, Path]) -> str:
        """Count the folders without events; returns the trouble in words if there was none before."""
        before, self._suspects = self._unwatched, {}
        unwatched = [] if self._events is None else self._events.unwatched(folders)
        self._unwatched = (
            f"{len(unwatched)} folders raise no events: {why_unwatched(unwatched[0])}" if unwatched else ""
        )
        return "" if before else self._unwatched

    def disarm(self) -> None:
        """Stop events."""
        self._suspects, self._unwatched = {}, ""
        if self._events is not None:
            self._events.stop()
            self._events = None

    def owns(self, path: Path) -> bool:
        """Return whether a path lies in this directory."""
        return path.is_relative_to(self.root)

    def is_there(self) -> bool:
        """Return whether the directory is there, and is the one that files were seen in."""
        try:
            status = self.root.stat()
        except OSError:
            return False
        return stat.S_ISDIR(status.st_mode) and self._filled in (None, (status.st_dev, status.st_ino))

    def stat_key_of(self, path: Path) -> StatKey | None:
        """Return the present state of a file, ``None`` if it is gone or not wanted; raises `OSError` if that is not known."""
        return stat_key_of(path, self.root, self.patterns, self._max_depth)

    def sweep(self, start: Path | None = None) -> Iterator[Listing]:
        """List what is there, folder by folder; raises `WatchError`."""
        try:
            self.configured.resolve(strict=not self.former)
        except (OSError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise WatchError(f"{self.configured}: the directory is not available: {reason}") from error
        settings = self._settings
        yield from sweep(
            self.root, self.patterns, start=start, recursive=settings.recursive, max_depth=settings.max_depth
        )

    def walk(self) -> Iterator[Appeared]:
        """List the names, folder by folder, and yield what appeared since the last walk; raises `WatchError`."""
        return self._names.walk()

    def _no_names(self) -> Names:
        return Names(
            self.root,
            self.patterns,
            max_depth=self._max_depth,
            trusts_times=keeps_directory_times(self._kind),
        )


def settle_seconds(directories: Iterable[WatchedDirectory], path: Path) -> float:
    """Return how long a file must stay the same: as its own directory has it, whatever others are watched."""
    return next((each.settle_s for each in directories if each.owns(path)), 0.5)
