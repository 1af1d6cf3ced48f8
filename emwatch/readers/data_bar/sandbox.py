"""Data bars read in a child process of their own: text recognition takes seconds and 400 MB, and must hold up no frame."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from emwatch.errors import EmwatchError
from emwatch.frame import AcquisitionMetadata
from emwatch.readers.data_bar import ocr
from emwatch.readers.sandbox import wire
from emwatch.readers.sandbox.child_reader import ChildReader
from emwatch.readers.sandbox.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path

#: Less address space than this, and the recogniser's libraries and models do not fit beside the largest frame.
_LEAST_MEMORY_BYTES: Final = 2048 * 1024 * 1024


class BarSandbox(ChildReader[AcquisitionMetadata]):
    """
    A reader of data bars in a child process that is reused between frames, slow on purpose: lowest priority, one thread.

    The child starts at the first `read`. `rest` ends it until the next one; `close` ends it for good, also from another
    thread while a frame is being read, whose `read` then raises `errors.EmwatchError`. Otherwise not for several threads.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        limits = replace(limits, memory_bytes=max(limits.memory_bytes, _LEAST_MEMORY_BYTES))
        super().__init__("emwatch.readers.data_bar.child", {}, limits, "data bar reader")
        self._turn = threading.Lock()
        self._closed = False

    def read(self, path: Path, sha256: str) -> AcquisitionMetadata:
        """
        Read the data bar of a frame whose content has this sha256; without a bar there are no readings.

        Raises:
            ConfigError: the ``ocr`` extra is not installed.
            Unsteady: the file has another content by now.
            FrameError: the file cannot be read, or two children died on it (`errors.ReaderDied`).
            EmwatchError: no child can be started, or this reader was closed.

        """
        self._begin(path, {"sha256": sha256})
        return self._finish()

    def start(self) -> None:
        """Start the child ahead of the first frame, without waiting for it; raises as `read`."""
        ocr.require()
        with self._turn:
            if self._closed:
                raise EmwatchError("the data bar reader was closed; nothing more can be read")
            super().start()

    def rest(self) -> None:
        """End the child, which holds 400 MB, until a frame needs it again."""
        super().close()

    def close(self) -> None:
        """End the child for good, at once if it is reading."""
        with self._turn:
            self._closed = True
        super().close()

    def _understand(self, path: Path, header: dict[str, Any], payload: bytes) -> AcquisitionMetadata:
        if payload:
            raise wire.GarbledError(f"{len(payload)} bytes that nobody asked for, with the data bar of {path}")
        return wire.message_as_metadata(header)
