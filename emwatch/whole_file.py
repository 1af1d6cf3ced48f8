"""Files written whole or not at all: under another name first, and in their place once they are on the disk."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def written_whole(path: Path, *, suffix: str = "", new: bool = False) -> Iterator[Path]:
    """
    Yield a name to write to, and rename the file to ``path`` when its bytes are on the disk.

    At any moment, whatever fails, the old file or the new one is there. ``suffix``: what the other name must end in, for
    libraries that insist on one. ``new``: there must be no file of this name, also if two programs make it at once. Raises
    `OSError`, which names ``path``, with ``new`` also `FileExistsError`.
    """
    made = path.with_name(f".{path.name}.{os.getpid()}{suffix}")
    try:
        made.unlink(missing_ok=True)  # a link that somebody left there would lead elsewhere
        yield made
        flush(made)
        give_to_owner(made)
        if new:
            _name(made, path)
        else:
            made.replace(path)
        flush(path.parent)
    except OSError as error:
        if error.filename in {None, os.fspath(made)} and error.filename2 is None:
            error.filename = os.fspath(path)  # a full disk names no file, and nobody knows the other name
        raise
    finally:
        with suppress(OSError):  # the disk is gone: what is raised says so
            made.unlink(missing_ok=True)


def _name(made: Path, path: Path) -> None:
    """Name a file as no other is named. Raises `FileExistsError`."""
    try:
        os.link(made, path)
    except OSError as error:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(path)) from error
        made.replace(path)  # a file system without hard links


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing; see `give_to_owner`, also of one that is there. Raises `OSError`."""
    missing = [each for each in folder.parents if not os.path.lexists(each)]
    folder.mkdir(parents=True, exist_ok=True)
    for each in (*reversed(missing), folder):
        give_to_owner(each)


def give_to_owner(made: Path) -> None:
    """
    Change the owner of what root has just made to that of the folder it lies in, as SQLite does with its journals.

    What root leaves beside the ledger the service's own user can then read and remove. For other users nothing happens, nor
    if a file has a second name: whoever owns the folder may have put it there.
    """
    if not _asks_as_root():
        return
    with suppress(OSError):
        descriptor = os.open(made, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            give_open_to_owner(descriptor, made)
        finally:
            os.close(descriptor)


def give_open_to_owner(descriptor: int, made: Path) -> None:
    """Do the same with an open file: to open and close a ledger once more would let go of the locks on it."""
    if not _asks_as_root():
        return
    with suppress(OSError):  # a file system without owners
        owner, found, named = made.parent.stat(), os.fstat(descriptor), made.lstat()
        alone = stat.S_ISDIR(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1)
        is_there = (found.st_dev, found.st_ino) == (named.st_dev, named.st_ino)  # and not where a link leads
        if owner.st_uid != 0 == found.st_uid and alone and is_there:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _asks_as_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def check_writable(directory: Path) -> None:
    """Raise `OSError` if a directory, existing or not, cannot be written: call it before long work."""
    place = directory.absolute()
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not os.path.isdir(place):  # noqa: PTH112 - a Path raises where it may not look
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fspath(place))
    if not os.access(place, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(place))


def flush(path: Path) -> None:
    """Bring a file, or the names in a directory, to the disk."""
    if os.name != "posix" and path.is_dir():  # Windows has no such thing for directories
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
