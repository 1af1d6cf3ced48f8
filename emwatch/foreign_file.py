"""
Reads files that another program may have written: within bounds, without waiting, and only regular files.

An expected name may be a pipe, a device, a folder or gigabytes. JSON may have very deep nesting or very long numbers,
which make parsers fail in different ways: here every unusable content is a `ValueError`.
"""

from __future__ import annotations

import json
import math
import os
import stat
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from pathlib import Path

#: Windows has neither flag nor the need for O_NONBLOCK, and would translate line ends.
OPEN_FLAGS: Final = (
    os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)
#: File times in nanoseconds and inodes of some shares exceed 64 bits; nothing that is meant has more digits than this.
_LONGEST_INTEGER: Final = 40


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """
    Return the whole content of a regular file; a symbolic link is followed.

    Raises:
        OSError: the file is not there or cannot be read.
        ValueError: it is no regular file, or has more than ``most_bytes`` bytes. The message does not name the file.

    """
    descriptor = os.open(path, OPEN_FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(most_bytes + 1)
    finally:
        os.close(descriptor)
    if len(content) > most_bytes:
        raise ValueError(f"is larger than {most_bytes:,} bytes")
    return content


def parse_json(content: bytes) -> Any:
    """
    Return what JSON in UTF-8 holds.

    Raises:
        ValueError: it is not JSON, is nested too deeply, holds a whole number of more than 40 digits, NaN, Infinity or a
            number too large to be one, or text that is not Unicode (half of a surrogate pair).

    """
    try:
        document = json.loads(
            content.decode("utf-8"), parse_int=_integer, parse_float=_number, parse_constant=_refuse_constant
        )
        if b"\\u" in content:
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    return document


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise ValueError(f"holds a number of {len(digits)} digits")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse_constant(digits[:_LONGEST_INTEGER])


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"holds {word}, which is not JSON")
