"""
The lock on the ledger's own file: whatever names lead to it, one process at a time opens it for writing.

It is a ``flock`` of the inode, so that a link to the ledger, or a lock file that somebody deleted, lets nobody in. SQLite
locks by ``fcntl`` and sees nothing of it. Closing any descriptor of a file drops the ``fcntl`` locks of the whole process
(fcntl(2)): the descriptor is kept for as long as SQLite has the file open, and nothing else in this process opens it.

Network file systems turn ``flock`` into the locks that SQLite uses (flock(2)), so that it is left out on them.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from emwatch.errors import LedgerError
from emwatch.filesystem import crosses_network, file_system_type
from emwatch.foreign_file import OPEN_FLAGS
from emwatch.whole_file import give_open_to_owner

_TRIES: Final = 10  # a process that tests the lock holds it for a moment
_PAUSE_S: Final = 0.02
#: What the owner and the group may do with files that emwatch makes beside the ledger, and nobody else.
PRIVATE_MODE: Final = 0o640

#: Device and inode: the same file whatever it is called.
FileKey = tuple[int, int]

_held: Final[set[FileKey]] = set()


def file_key(path: Path) -> FileKey:
    """Return what a file is known by, whatever leads to it. Raises `OSError`."""
    found = path.stat()
    return found.st_dev, found.st_ino


def make_private(path: Path) -> None:
    """Make an empty file, if there is none, that others than the owner and the group cannot read. Raises `OSError`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), PRIVATE_MODE)
    give_open_to_owner(descriptor, path)
    os.close(descriptor)


def is_used_by_another(path: Path) -> bool:
    """Return whether another process has a ledger open for writing, under whatever name. Raises `OSError`."""
    if file_key(path) in _held or not _can_be_locked(path):
        return False
    descriptor = os.open(path, OPEN_FLAGS)
    try:
        lock(descriptor, shared=True)
    except OSError as error:
        return is_held_by_another(error)
    finally:
        os.close(descriptor)
    return False


def is_stray_link(path: Path) -> bool:
    """
    Return whether a name is a hard link under which no emwatch ever opened the ledger.

    What was recorded last may lie in the -wal beside its other name, and SQLite would overlook it: wrong answers for
    whoever reads, and a damaged file for whoever writes (https://sqlite.org/howtocorrupt.html, 2.5). A link made as a
    backup does not make the ledger's own name a stray one.
    """
    try:
        several = path.stat().st_nlink > 1
    except OSError:
        return False
    return several and not any(path.with_name(f"{path.name}{suffix}").exists() for suffix in ("-wal", ".lock"))


class FileLock:
    """The lock on a ledger's file, from before SQLite opens it until after SQLite has closed it."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self._key: FileKey | None = None

    def take(self, path: Path) -> None:
        """
        Lock a file, which is made if it is not there; another one that was locked before is let go.

        Raises:
            LedgerError: another process has it open for writing, or it is no regular file.
            OSError: it cannot be opened.

        """
        with suppress(FileNotFoundError):
            if self._descriptor is not None and self._key == file_key(path):
                return
        self.release()
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            descriptor = os.open(path, flags, PRIVATE_MODE)
        except IsADirectoryError:
            raise LedgerError(f"{path}: is a directory: give the path of a file in it as `ledger.path`") from None
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise LedgerError(f"{path}: is not a regular file: give the path of a file as `ledger.path`")
            give_open_to_owner(descriptor, path)
            if _can_be_locked(path):
                lock_soon(descriptor)
                self._descriptor, self._key = descriptor, (found.st_dev, found.st_ino)
                _held.add(self._key)
        except OSError as error:
            if not is_held_by_another(error):  # a file system without such locks
                return
            raise LedgerError(
                f"{path}: another emwatch has this file open, perhaps under another name (a link): only one may write a "
                "ledger; stop it first, or give another path as `ledger.path`"
            ) from error
        finally:
            if self._descriptor is None:
                os.close(descriptor)

    def release(self) -> None:
        """Let the file go; nothing in this process may have it open any more."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        if self._key is not None:
            _held.discard(self._key)
        self._descriptor = self._key = None


def is_held_by_another(error: OSError) -> bool:
    """Return whether a lock failed because another process holds it, and not because locks are unsupported."""
    return error.errno in {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}


def lock_soon(descriptor: int) -> None:
    """Lock a file exclusively within a moment. Raises `OSError`."""
    for _ in range(_TRIES):
        try:
            return lock(descriptor)
        except OSError:
            time.sleep(_PAUSE_S)
    return lock(descriptor)


if sys.platform == "win32":
    import msvcrt

    def lock(descriptor: int, *, shared: bool = False) -> None:  # noqa: ARG001 - locks there are never shared
        """Lock a file at once, far behind its content so that others may still read that. Raises `OSError`."""
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

    def _can_be_locked(_path: Path) -> bool:
        return False  # locks there keep SQLite from its own file

else:
    import fcntl

    def lock(descriptor: int, *, shared: bool = False) -> None:
        """Lock a file at once. Raises `OSError`."""
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

    def _can_be_locked(path: Path) -> bool:
        return not crosses_network(file_system_type(Path(os.path.realpath(path)).parent))
