"""Files written whole or not at all: under another name first, and in their place once they are on the disk."""

from __future__ import annotations

import errno
import os
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
        yield made
        flush(made)
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
    """Give a file a name that no file has. Raises `FileExistsError`."""
    try:
        os.link(made, path)
    except OSError as error:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(path)) from error
        made.replace(path)  # a file system without hard links


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
