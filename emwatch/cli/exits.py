"""What the exit code of every command means."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of emwatch; documented in docs/cli.md."""

    OK = 0  #: done
    RUNTIME = 1  #: something failed while running; the message says what
    USAGE = 2  #: the command line is wrong
    NOTHING_FOUND = 3  #: the question was fine, and nothing answers to it
    SOME_FAILED = 4  #: done, but some frames could not be read
    NOT_PROVED = 5  #: a check found something wrong: files without a row, a ledger or backup that is not sound
    BAD_CONFIG = 78  #: the configuration cannot be used (EX_CONFIG of sysexits.h)
    INTERRUPTED = 130  #: stopped by Ctrl-C
