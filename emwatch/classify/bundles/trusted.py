"""Opens files that a model is made of: regular ones only, through no link, that not everyone may change."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, Final

from emwatch.errors import ModelError

if TYPE_CHECKING:
    from io import BufferedReader
    from pathlib import Path

_CHUNK_BYTES: Final = 1024**2


def open_trusted(path: Path, remedy: str) -> BufferedReader:
    """
    Open a file for reading; what is checked is the descriptor that is given, not the path again.

    Raises:
        FileNotFoundError: there is no such file; only the caller knows what that means.
        ModelError: it is no regular file, cannot be read, or may be changed by everyone; ``remedy`` ends the message.

    """
    # Not blocking on a pipe that someone put there, and not following a link to elsewhere.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ModelError(f"{path} cannot be opened: {error.strerror}; expected a regular file. {remedy}") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise ModelError(f"{path} is not a regular file. {remedy}")
    if os.name == "posix" and mode & stat.S_IWOTH:
        os.close(descriptor)
        raise ModelError(f"{path} may be changed by every user: take that right away (chmod o-w) and check the file.")
    return open(descriptor, "rb")  # noqa: PTH123 - by its descriptor, and the caller closes it


def read_trusted(path: Path, cap_bytes: int, remedy: str) -> bytes:
    """Read a whole file of at most so many bytes; raises as `open_trusted`, and `ModelError` for a larger one."""
    with open_trusted(path, remedy) as file:
        content = file.read(min(cap_bytes, os.fstat(file.fileno()).st_size) + 1)  # a buffer of the cap may be refused
    if len(content) > cap_bytes:
        raise _too_large(path, cap_bytes, remedy)
    return content


def hash_trusted(path: Path, cap_bytes: int, remedy: str) -> tuple[str, int]:
    """Return the sha256 and the bytes of a file that is not needed in memory; raises as `read_trusted`."""
    digest, size = hashlib.sha256(), 0
    with open_trusted(path, remedy) as file:
        while chunk := file.read(_CHUNK_BYTES):
            size += len(chunk)
            if size > cap_bytes:
                raise _too_large(path, cap_bytes, remedy)
            digest.update(chunk)
    return digest.hexdigest(), size


def _too_large(path: Path, cap_bytes: int, remedy: str) -> ModelError:
    return ModelError(f"{path} is larger than {cap_bytes} bytes, which no such file is. {remedy}")
