"""The bytes of a file at one moment, with the sha256 and the stat key of those very bytes."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emwatch import errors
from emwatch.frame import StatKey, path_to_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# O_NONBLOCK: opening a FIFO named x.tif must not wait for a writer. Flags that a system does not have count nothing.
_OPEN_FLAGS: Final = (
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)
_NO_ATIME: Final = getattr(os, "O_NOATIME", 0)
_KINDS: Final = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The bytes of a file at one moment."""

    path: Path
    data: bytes
    sha256: str
    stat_key: StatKey


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that is open, before it is read whole."""

    descriptor: int
    size: int
    modified_s: float  #: seconds of the Unix clock

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, part: slice) -> bytes:
        """Return a part, fewer bytes at the end of the file. Raises `OSError`."""
        start, stop, _ = part.indices(self.size)
        os.lseek(self.descriptor, start, os.SEEK_SET)
        chunks: list[bytes] = []
        missing = stop - start
        while missing > 0 and (chunk := os.read(self.descriptor, missing)):
            chunks.append(chunk)
            missing -= len(chunk)
        return b"".join(chunks)


def take_snapshot(
    path: Path,
    max_bytes: int,
    *,
    check: Callable[[str, OpenFile], None] | None = None,
    read: Callable[[int, int], bytes] | None = None,
) -> Snapshot:
    """
    Read a whole file without writing, locking or touching it.

    ``check`` gets the open file first and may refuse it with a `errors.FrameError`, so that a large file that is no frame,
    or not yet one, costs a few kilobytes. ``read(descriptor, size)`` is how the bytes are fetched; tests pass their own to
    disturb the file meanwhile.

    Raises `errors.Vanished`, `errors.Denied`, `errors.ReadFailed`, `errors.NotAFrame` (not a regular file),
    `errors.Empty`, `errors.TooLarge` (more than ``max_bytes``) and `errors.Unsteady` (changed while it was read).
    """
    name = path_to_text(path)
    try:
        descriptor = _open(path)
        try:
            before = os.fstat(descriptor)
            _check_kind(name, before)
            if check is not None:
                check(name, OpenFile(descriptor, before.st_size, before.st_mtime))
                os.lseek(descriptor, 0, os.SEEK_SET)
            if before.st_size > max_bytes:
                raise errors.TooLarge(
                    f"{name}: {before.st_size} bytes, more than the {max_bytes} a frame's file may have; export it smaller, "
                    "or raise watch.max_frame_mb"
                )
            data = (read or _read_all)(descriptor, before.st_size)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise errors.Vanished(f"{name}: gone before it was read; nothing to do unless it comes back") from error
    except NotADirectoryError as error:
        raise errors.Vanished(f"{name}: its folder is gone; nothing to do unless it comes back") from error
    except (PermissionError, BlockingIOError) as error:
        raise errors.Denied(
            f"{name}: {error.strerror or error}; expected to be allowed to read it. If this lasts, check the file's "
            "permissions and which program holds it open; `emwatch run` tries again"
        ) from error
    except OSError as error:
        if error.errno in {errno.ENXIO, errno.ENODEV}:  # what open() says of a socket
            raise errors.NotAFrame(f"{name}: not a regular file; expected an image file") from error
        raise errors.ReadFailed(
            f"{name}: the system could not deliver its bytes ({error.strerror or error}); it is tried again. "
            "If this lasts, check the disk or the network share"
        ) from error
    if StatKey.of(before) != StatKey.of(after) or len(data) != before.st_size:
        raise errors.Unsteady(
            f"{name}: changed while it was read ({before.st_size} bytes before, {len(data)} read, "
            f"{after.st_size} after); it is read again once it has settled"
        )
    return Snapshot(path, data, hashlib.sha256(data).hexdigest(), StatKey.of(after))


def _open(path: Path) -> int:
    if _NO_ATIME:
        try:
            return os.open(path, _OPEN_FLAGS | _NO_ATIME)
        except PermissionError:
            pass  # only the owner may leave the access time alone; whoever else may still read
    return os.open(path, _OPEN_FLAGS)


def _check_kind(name: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((kind for is_kind, kind in _KINDS if is_kind(status.st_mode)), "not a regular file")
        raise errors.NotAFrame(f"{name}: is {kind}; expected an image file")
    if status.st_size == 0:
        raise errors.Empty(f"{name}: has no bytes; expected an image. If its writer failed, save the frame again")


def _read_all(descriptor: int, size: int) -> bytes:
    with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file:
        chunks: list[bytes] = []
        missing = size + 1  # one more than there should be, to see a file that grew
        while missing > 0 and (chunk := file.read(missing)):
            chunks.append(chunk)
            missing -= len(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
