"""One daemon per ledger: a lock that the system releases however the process ends."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from emwatch.errors import EmwatchError
from emwatch.foreign_file import OPEN_FLAGS
from emwatch.ledger.file_lock import PRIVATE_MODE, is_stray_link, is_used_by_another, lock, lock_soon
from emwatch.whole_file import give_open_to_owner, make_folder

if TYPE_CHECKING:
    from pathlib import Path

#: A process number has at most seven digits on Linux.
_LONGEST_NUMBER: Final = 10


def lock_file(ledger: Path) -> Path:
    """Return the file that the writer of a ledger locks."""
    return ledger.with_name(f"{ledger.name}.lock")


def holder(ledger: Path) -> int | None:
    """
    Return the number of the process that holds a ledger's lock, ``None`` if there is none.

    0: the process is not known, since it did not write its number or opened the ledger by another name.

    Raises:
        PermissionError: this user may not open the lock file.

    """
    try:
        descriptor = os.open(lock_file(ledger), OPEN_FLAGS)
    except FileNotFoundError:
        return _holder_of_file(ledger)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return _holder_of_file(ledger)
        lock(descriptor, shared=True)
    except OSError:
        return _number_in(descriptor) or 0
    finally:
        os.close(descriptor)
    return _holder_of_file(ledger)


def _holder_of_file(ledger: Path) -> int | None:
    try:
        return 0 if is_used_by_another(ledger) else None
    except FileNotFoundError:
        return None


def _number_in(descriptor: int) -> int | None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    written = os.read(descriptor, 32).strip()
    return int(written) if written.isdigit() and len(written) <= _LONGEST_NUMBER else None


class SingleInstance:
    """Holds the lock of a ledger while it may be written; the lock file stays afterwards."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._path = lock_file(ledger)
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """
        Take the lock.

        Raises:
            EmwatchError: another daemon holds it, or the file cannot be opened.

        """
        if is_stray_link(self._ledger):
            raise EmwatchError(
                f"{self._ledger}: is a hard link, and what was recorded last may lie beside the ledger's other name: give that "
                "name as `ledger.path`, or a copy"
            )
        try:
            make_folder(self._path.parent)
            # What a link leads to would be cut to nothing: a file of the system, if root is asked to work in others' folders.
            flags = os.O_RDWR | os.O_CREAT | OPEN_FLAGS | getattr(os, "O_NOFOLLOW", 0)
            descriptor = os.open(self._path, flags, PRIVATE_MODE)
            give_open_to_owner(descriptor, self._path)
        except OSError as error:
            if error.errno == errno.ELOOP and self._path.is_symlink():
                raise EmwatchError(f"{self._path}: is a link, which emwatch did not make; remove it") from error
            raise EmwatchError(
                f"{self._path}: cannot be created: {error.strerror or error}; emwatch needs a directory it may write to: "
                "set ledger.path"
            ) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise EmwatchError(f"{self._path}: is not a regular file; remove it")
        try:
            lock_soon(descriptor)
        except OSError as error:
            process = _number_in(descriptor)
            os.close(descriptor)
            raise EmwatchError(
                f"{self._path}: another emwatch{f' (process {process})' if process else ''} already uses this ledger; "
                "stop it first, or set another ledger.path for this one"
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def renew(self) -> bool:
        """
        Take the lock again if its file was deleted or replaced. Returns whether it was.

        Raises:
            EmwatchError: another process has taken it meanwhile.

        """
        if self._descriptor is None:
            return False
        held = os.fstat(self._descriptor)
        try:
            found = self._path.stat()
        except FileNotFoundError:
            pass
        except OSError:  # unknown at the moment
            return False
        else:
            if (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino):
                return False
        before, self._descriptor = self._descriptor, None
        try:
            self.acquire()
        except EmwatchError:
            self._descriptor = before
            raise
        os.close(before)
        return True

    def release(self) -> None:
        """Release the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
