"""
File-system events as hints: what to look at now instead of at the next sweep. The only importer of watchdog.

Nothing may rely on an event: queues overflow, watches run out, emitters die with the folder they watch. `Events.trouble`
says what is wrong with the hints, so that the caller sweeps and arms them anew.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from emwatch.errors import WatchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watchdog.observers.api import BaseObserver

_OPEN_FILES: Final = Path("/proc/self/fdinfo")
_IN_CREATE: Final = 0x100  # inotify(7)


class Hints(Protocol):
    """Where hints go. Called from watchdog's thread: must return at once and never raise."""

    def file(self, path: Path, *, closed: bool) -> None:
        """Take a file that appeared; ``closed``: its writer closed it or renamed it into place."""
        ...

    def gone(self, path: Path) -> None:
        """Take a file that was renamed away."""
        ...

    def folder(self, path: Path) -> None:
        """Take a folder that appeared, perhaps with files in it that raised no event of their own."""
        ...

    def everything(self, reason: str) -> None:
        """Ask for a sweep: something happened that single files do not tell."""
        ...


class Events:
    """Hints for one watched directory, from start to stop."""

    def __init__(self, root: Path, hints: Hints, *, recursive: bool = True) -> None:
        self._root = root
        self._hints = hints
        self._recursive = recursive
        self._observer: BaseObserver | None = None
        self._identity: tuple[int, int] | None = None
        self._overflow = _OverflowListener(hints)
        self._readers: tuple[threading.Thread, ...] = ()

    def start(self) -> None:
        """
        Watch the directory.

        Raises:
            WatchError: the directory is not there, or the system grants no (further) watch.

        """
        observer: BaseObserver | None = None
        try:
            # Before the observer, which starts a thread and takes an inotify instance when it is made.
            status = self._root.stat()
            _forget_dead_reader()
            observer = Observer()
            observer.schedule(
                _Handler(self._hints),
                os.fspath(self._root),
                recursive=self._recursive,
                event_filter=[
                    FileClosedEvent,
                    FileCreatedEvent,
                    FileMovedEvent,
                    FileModifiedEvent,
                    DirCreatedEvent,
                    DirMovedEvent,
                ],
            )
            observer.start()
            self._readers = tuple(each for each in threading.enumerate() if type(each).__name__ == "InotifyFD")
        except (OSError, RuntimeError) as error:  # RuntimeError: no further thread can be started
            if observer is not None:
                observer.stop()
            reason = _reason(error.errno) if isinstance(error, OSError) else error
            raise WatchError(f"{self._root}: no events from this directory: {reason}; it is polled instead") from error
        # Lost events are told as warnings: they must come through whatever the operator wants to see of the log.
        logging.getLogger("watchdog.observers").setLevel(logging.WARNING)
        logging.getLogger("watchdog.observers.inotify_c").addHandler(self._overflow)
        logging.getLogger("watchdog.observers.inotify").addHandler(self._overflow)
        self._observer, self._identity = observer, (status.st_dev, status.st_ino)

    def stop(self) -> None:
        """Stop watching; waits for watchdog's threads."""
        for name in ("watchdog.observers.inotify_c", "watchdog.observers.inotify"):
            logging.getLogger(name).removeHandler(self._overflow)
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(timeout=5)
            self._observer = None

    def trouble(self) -> str:
        """Return why hints no longer come, or "". The observer itself looks alive when its emitter is dead."""
        observer = self._observer
        if observer is None:
            return "not started"
        if not observer.is_alive() or not all(emitter.is_alive() for emitter in observer.emitters):
            return "the event thread died"
        if not all(reader.is_alive() for reader in self._readers):
            return "the thread that reads events from the system died"
        try:
            status = self._root.stat()
        except OSError as error:
            return f"the directory is not available: {error.strerror or error}"
        if (status.st_dev, status.st_ino) != self._identity:
            return "another directory took its place"
        return ""

    def unwatched(self, folders: Mapping[int, Path]) -> list[Path]:
        """
        Return the folders, given by inode, that raise no events although they should.

        watchdog leaves out, without a word, each folder below the root for which the system grants no watch. What is
        watched is told by proc(5), ``/proc/self/fdinfo``; none if it cannot be known.
        """
        if not self._recursive or self._identity is None:
            return []
        watched = _watched_inodes()
        # Where even the root is not among them, the file system numbers its inodes in another way.
        return [path for each, path in folders.items() if each not in watched] if self._identity[1] in watched else []


def why_unwatched(folder: Path) -> str:
    """Return why a folder raises no events: found out by asking the system for a watch on it (inotify(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_CLOEXEC)
    code = ctypes.get_errno()
    if descriptor >= 0:
        added = libc.inotify_add_watch(descriptor, os.fsencode(folder), _IN_CREATE)
        code = ctypes.get_errno() if added < 0 else 0
        os.close(descriptor)
    return _reason(code) if code else "they were made faster than they could be watched"


def _reason(code: int | None) -> str:
    """Return why the system grants no watch, and what to do about it."""
    match code:
        case errno.ENOSPC:
            return "the system's watches have run out (raise fs.inotify.max_user_watches with sysctl and start emwatch again)"
        case errno.EMFILE:
            return (
                "the system's event queues or this program's open files have run out (raise fs.inotify.max_user_instances "
                "with sysctl, or the limit of open files, and start emwatch again)"
            )
        case _:
            return os.strerror(code) if code else "the system gives no reason"


class _Handler(FileSystemEventHandler):
    """Turns events into hints; an exception here would end watchdog's thread for good."""

    def __init__(self, hints: Hints) -> None:
        self._hints = hints

    def dispatch(self, event: FileSystemEvent) -> None:
        if isinstance(event, FileMovedEvent):
            self._hints.gone(_path(event.src_path))
            self._hints.file(_path(event.dest_path), closed=True)
        elif isinstance(event, DirMovedEvent):
            self._hints.folder(_path(event.dest_path))
        elif isinstance(event, DirCreatedEvent):
            self._hints.folder(_path(event.src_path))
        elif isinstance(event, (FileCreatedEvent, FileModifiedEvent, FileClosedEvent)):
            self._hints.file(_path(event.src_path), closed=isinstance(event, FileClosedEvent))


class _OverflowListener(logging.Handler):
    """Notices lost events: watchdog reports them to its log only."""

    def __init__(self, hints: Hints) -> None:
        super().__init__(logging.WARNING)
        self._hints = hints

    def emit(self, record: logging.LogRecord) -> None:
        self._hints.everything(record.getMessage())


def _path(name: str | bytes) -> Path:
    return Path(os.fsdecode(name))


def _watched_inodes() -> set[int]:
    """Return the inodes, of any device, that this process has inotify watches on."""
    watched: set[int] = set()
    with suppress(OSError):
        for open_file in _OPEN_FILES.iterdir():
            with suppress(OSError):  # closed meanwhile
                for line in open_file.read_text(encoding="ascii").splitlines():
                    if line.startswith("inotify "):
                        watched.update(int(field[4:], 16) for field in line.split() if field.startswith("ino:"))
    return watched


def _forget_dead_reader() -> None:
    """Let watchdog start a new reading thread if the one that all observers share has died."""
    try:
        from watchdog.observers.inotify_c import InotifyFD  # Linux only, and since watchdog 7.1.
    except (ImportError, OSError):  # OSError: watchdog's own for a C library without inotify
        return
    shared: Any = InotifyFD
    if getattr(shared, "_instance", None) is not None and not shared._instance.is_alive():  # noqa: SLF001 - nothing public tells
        shared._instance = None  # noqa: SLF001 - or helps
