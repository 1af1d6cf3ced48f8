"""
Every error emwatch raises: one small tree.

A message names the file (or key), says what was expected and what to do. A `FrameError` costs one frame;
the others stop the command or the daemon.
"""

from __future__ import annotations

from typing import ClassVar


class EmwatchError(Exception):
    """The root: catch it at the command line, show the message, exit with 1."""


class ConfigError(EmwatchError):
    """The configuration cannot be used; exit with 78."""


class ModelError(EmwatchError):
    """A model bundle is missing, incomplete, tampered with, or fails its self-test."""


class DatasetError(EmwatchError):
    """Labelled frames cannot be used: an unknown label, a class without frames. One line for each fault."""


class FetchError(EmwatchError):
    """A download from a repository failed; the received part is kept, and the next try continues there."""


class LedgerError(EmwatchError):
    """The ledger cannot be opened, migrated or written."""


class QuestionError(EmwatchError, ValueError):
    """A question that makes no sense: ``key`` is the part that is wrong, the message says what is expected."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class AlertError(EmwatchError):
    """
    A channel did not take an alert; the outbox tries again.

    ``retry_after_s``: the receiver asked not to be sent anything for so long; ``None``: it said nothing of that.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TargetError(EmwatchError):
    """A learned target cannot be made, found or read."""


class WatchError(EmwatchError):
    """The acquisition directory cannot be watched."""


class FrameError(EmwatchError):
    """
    A file that did not become a recorded frame.

    ``code`` is the short word stored beside the sentence. ``retry_after_s`` is set if trying again helps although
    the file itself does not change (a lock is released, a share comes back); ``None`` waits for the file to change.
    """

    code: ClassVar[str] = "unreadable"
    retry_after_s: ClassVar[float | None] = None


class Unreadable(FrameError):
    """The content is damaged, or of a kind this program does not decode."""


class Empty(FrameError):
    """The file has no bytes."""

    code = "empty"


class Truncated(FrameError):
    """The file ends before its pixels do, or its last strip was never written."""

    code = "truncated"


class TooLarge(FrameError):
    """More bytes, pixels or pages than a frame may have."""

    code = "too-large"


class NotAFrame(FrameError):
    """Whole and readable, but not an image: recorded as skipped, not as failed."""

    code = "not-a-frame"


class Vanished(FrameError):
    """Gone before it was read."""

    code = "vanished"


class Denied(FrameError):
    """Locked by its writer, or not readable for this user."""

    code = "denied"
    retry_after_s = 10.0


class Unsteady(FrameError):
    """Changed while it was read: back to settling."""

    code = "unsteady"
    retry_after_s = 1.0


class ReadFailed(FrameError):
    """The system failed to deliver the bytes (I/O error, stale share)."""

    code = "read-failed"
    retry_after_s = 10.0


class ReaderDied(FrameError):
    """The decoder exceeded its memory or time, or crashed, on this frame; a share that hangs does that to a good one."""

    code = "reader-died"
    retry_after_s = 60.0
