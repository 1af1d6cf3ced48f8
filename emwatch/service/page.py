"""
The local page as a child process of the daemon.

A process of its own, so that a frame never waits for a reader of the page, and a fault of the page never ends the daemon.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Final

from emwatch.alerts.program import inherited_environment
from emwatch.ingest.events import Notice

if TYPE_CHECKING:
    from collections.abc import Callable

    from emwatch.config import Config
    from emwatch.ingest.events import Event

_CHILD: Final = "emwatch.web.child"
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
#: A page that was served for this long before it ended starts the pauses anew.
_STEADY_S: Final = 120.0
#: A killed process that does not end in this time waits for a device; it is not waited for.
_KILLED_WITHIN_S: Final = 2.0
_LONGEST_LINE: Final = 10_000


class PageProcess:
    """
    Serves the page of a configuration while `web.serve` is true; started again when it ends, after growing pauses.

    ``note`` takes the address or the trouble, for `emwatch status`. All calls come from one thread and never wait for the
    page.
    """

    def __init__(
        self,
        config: Config,
        tell: Callable[[Event], None],
        note: Callable[[dict[str, Any]], None],
        command: tuple[str, ...] = (sys.executable, "-m", _CHILD),
    ) -> None:
        self._config = config
        self._tell = tell
        self._note = note
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""
        self._trouble = ""
        self._started_at = 0.0
        self._next_start = 0.0
        self._pause_s = _FIRST_PAUSE_S

    def exchange(self, config: Config) -> None:
        """Serve the page of another configuration from the next `tick` on."""
        if config == self._config:
            return
        self.stop()
        self._config = config
        self._next_start, self._pause_s = 0.0, _FIRST_PAUSE_S

    def tick(self, now: float) -> None:
        """Start the page if it should be served and is not; read what it says. ``now``: monotonic seconds."""
        if self._process is None:
            if self._config.web.serve and now >= self._next_start:
                self._start(now)
            return
        ended = self._process.poll()
        self._listen(self._process)
        if ended is not None:
            self._forget(self._process)
            self._failed(self._trouble or f"its process ended with status {ended}", now)

    def stop(self) -> None:
        """End the page at once: what it is answering is of no use any more."""
        if self._process is None:
            return
        process = self._process
        self._forget(process)
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_KILLED_WITHIN_S)
        self._note({"address": "", "trouble": ""})

    def _start(self, now: float) -> None:
        self._started_at, self._trouble, self._unread = now, "", b""
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=inherited_environment(),
                bufsize=0,
                creationflags=getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),  # Windows
            )
        except OSError as error:
            self._failed(f"its process cannot be started: {error.strerror or error}", now)
            return
        self._process = process
        os.set_blocking(_pipe(process.stdout).fileno(), False)
        # A configuration may be larger than a pipe holds, and the child takes its time to read.
        given = (_pipe(process.stdin), pickle.dumps(self._config))
        threading.Thread(target=_give, args=given, name="page", daemon=True).start()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        with suppress(BlockingIOError):
            while piece := _pipe(process.stdout).read(_LONGEST_LINE):
                self._unread = (self._unread + piece)[-_LONGEST_LINE:]
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            said = json.loads(line)
            self._trouble = said["trouble"]
            if said["address"]:
                self._tell(Notice("info", f"the page is at {said['address']}"))
                self._note(said)

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                _pipe(pipe).close()
        self._process = None

    def _failed(self, trouble: str, now: float) -> None:
        if now - self._started_at >= _STEADY_S:
            self._pause_s = _FIRST_PAUSE_S
        self._next_start = now + self._pause_s
        if self._pause_s == _FIRST_PAUSE_S:  # once, not at every try
            self._tell(Notice("warning", f"the page is not served: {trouble}; emwatch tries again"))
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._note({"address": "", "trouble": trouble})


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the process was started without a pipe")
    return pipe


def _give(pipe: IO[bytes], content: bytes) -> None:
    """Write all of it; the pipe stays open, because its end would end the child."""
    with suppress(OSError, ValueError):
        rest = memoryview(content)
        while rest:
            rest = rest[pipe.write(rest) :]
