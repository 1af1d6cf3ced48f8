"""What the exit code of every command means, and how the process ends."""

from __future__ import annotations

import os
import sys
from enum import IntEnum
from pathlib import Path
from typing import Any


class Exit(IntEnum):
    """The exit codes of emwatch; documented in docs/cli.md."""

    OK = 0  #: done
    RUNTIME = 1  #: something failed while running; the message says what
    USAGE = 2  #: the command line is wrong
    NOTHING_FOUND = 3  #: the question was fine, and nothing answers to it
    SOME_FAILED = 4  #: done, but some frames could not be read
    NOT_PROVED = 5  #: a check found something wrong: files without a row, a ledger that is not sound, a silent daemon
    BAD_CONFIG = 78  #: the configuration cannot be used (EX_CONFIG of sysexits.h)
    INTERRUPTED = 130  #: stopped by Ctrl-C


_abandoned: list[object] = []


def abandon_output() -> None:
    """Write nothing more to stdout and stderr: a thread hangs in writing to them, and holds their locks."""
    nowhere: Any = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open to the end of the process
    _abandoned.extend((sys.stdout, sys.stderr))
    sys.stdout = sys.stderr = nowhere


def leave(code: Any) -> None:
    """End the process with an exit code. Without the output, Python would wait for it, or abort, at its own end."""
    if _abandoned:
        os._exit(code if isinstance(code, int) else int(bool(code)))
    sys.exit(code)
