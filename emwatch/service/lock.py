"""One daemon per ledger: a lock that the system itself releases, however the process ends."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from emwatch.errors import EmwatchError

if TYPE_CHECKING:
    from pathlib import Path


class SingleInstance:
    """Hold an exclusive lock on a file for as long as the daemon lives; the file stays, the lock does not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """
        Take the lock.

        Raises:
            EmwatchError: another daemon holds it, or the file cannot be opened.

        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        except OSError as error:
            raise EmwatchError(
                f"{self._path}: cannot be created: {error.strerror or error}; emwatch needs a directory it may write to: "
                "set ledger.path"
            ) from error
        try:
            _lock(descriptor)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() if hasattr(os, "pread") else ""
            os.close(descriptor)
            raise EmwatchError(
                f"{self._path}: another emwatch{f' (process {holder})' if holder else ''} already works on this ledger; "
                "stop it first, or give this one a ledger.path of its own"
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # Far behind the process number, so that others may still read it.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
