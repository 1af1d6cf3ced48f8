"""Opens files that a model is made of: regular ones only, through no link, that not everyone may change."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from emwatch.errors import ModelError

if TYPE_CHECKING:
    from io import BufferedReader
    from pathlib import Path


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
        content = file.read(cap_bytes + 1)
    if len(content) > cap_bytes:
        raise ModelError(f"{path} is larger than {cap_bytes} bytes, which no such file is. {remedy}")
    return content
