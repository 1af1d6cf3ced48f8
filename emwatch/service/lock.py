"""One daemon per ledger: a lock that the system itself releases, however the process ends."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final

from emwatch.errors import EmwatchError

if TYPE_CHECKING:
    from pathlib import Path


_TRIES: Final = 10  # since whoever asks for the holder keeps the lock for a moment
_PAUSE_S: Final = 0.02


def lock_file(ledger: Path) -> Path:
    """Give the file that is locked by whoever writes a ledger."""
    return ledger.with_name(f"{ledger.name}.lock")


def holder(ledger: Path) -> int | None:
    """
    Give the process that holds a ledger's lock, 0 where it did not write its number; ``None``: nobody does.

    Raises:
        PermissionError: the lock may not be looked at by this user.

    """
    try:
        descriptor = os.open(lock_file(ledger), os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        return None
    try:
        _lock(descriptor, shared=True)
    except OSError:
        written = os.read(descriptor, 32).decode(errors="replace").strip()
        return int(written) if written.isdigit() else 0
    else:
        return None
    finally:
        os.close(descriptor)


class SingleInstance:
    """Hold the lock of a ledger for as long as it may be written; the file stays, the lock does not."""

    def __init__(self, ledger: Path) -> None:
        self._path = lock_file(ledger)
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """
        Take the lock.

        Raises:
            EmwatchError: another daemon holds it, or the file cannot be opened.

        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o640)
        except OSError as error:
            raise EmwatchError(
                f"{self._path}: cannot be created: {error.strerror or error}; emwatch needs a directory it may write to: "
                "set ledger.path"
            ) from error
        try:
            _lock_soon(descriptor)
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


def _lock_soon(descriptor: int) -> None:
    for _ in range(_TRIES):
        try:
            return _lock(descriptor)
        except OSError:
            time.sleep(_PAUSE_S)
    return _lock(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, *, shared: bool = False) -> None:  # noqa: ARG001 - locks there are never shared
        # Far behind the process number, so that others may still read it.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(descriptor: int, *, shared: bool = False) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
