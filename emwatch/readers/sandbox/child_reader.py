"""A child process with limits that answers about one file at a time: what the sandboxes of frames and of data bars share."""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from emwatch import errors
from emwatch.frame import path_to_text
from emwatch.readers.sandbox import wire
from emwatch.readers.sandbox.child import OUT_OF_MEMORY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import IO, Self

    from emwatch.readers.sandbox.limits import Limits

#: libtiff writes up to 65 kB for one damaged file; so much of it is kept.
_STDERR_LINES: Final = 20
_STDERR_LINE_BYTES: Final = 300

#: How often one frame is given to a child before the frame is blamed.
_ATTEMPTS: Final = 2
#: Of so many files it is remembered that two children were lost on them: tried again, each gets one.
_MOST_CULPRITS: Final = 1000
_CLOSING_S: Final = 2.0

_Answer = TypeVar("_Answer")


class _ChildLostError(Exception):
    """The child died, hung or talked nonsense; the text says which. ``ready``: it had been able to take a frame."""

    def __init__(self, what: str, *, ready: bool = True) -> None:
        super().__init__(what)
        self.ready = ready


class ChildReader(ABC, Generic[_Answer]):
    """
    A child process that is asked about one file at a time, reused between files and replaced when it dies.

    ``module`` is what the child runs, given ``settings`` beside the limits; ``what`` names it in messages. The child
    starts at the first file, or ahead of it with `start`. Not for several threads at once, but for `close`.
    """

    def __init__(self, module: str, settings: Mapping[str, Any], limits: Limits, what: str = "decoder") -> None:
        self._module = module
        self._settings = settings
        self._limits = limits
        self._what = what
        self._child: _Child | None = None
        self._pending: tuple[Path, dict[str, Any]] | None = None
        self._culprits: dict[Path, None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The child's process id, ``None`` while there is no child."""
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        """Start the child ahead of the first file, without waiting for it."""
        if self._child is None:
            self._child = _Child(self._module, self._settings, self._limits, self._what)

    def close(self) -> None:
        """End the child: at once if it is reading a file, else by the end of its input."""
        child, self._child = self._child, None
        busy, self._pending = self._pending is not None, None
        if child is not None:
            child.end(at_once=busy)

    @abstractmethod
    def _understand(self, path: Path, header: dict[str, Any], payload: bytes) -> _Answer:
        """Rebuild what the child says of a file; raises `wire.GarbledError`."""

    def _begin(self, path: Path, request: dict[str, Any]) -> None:
        """Hand a file to the child, with what is to be done; `_finish` returns the result."""
        if self._pending is not None:
            raise RuntimeError("one frame at a time: call finish() before the next begin()")
        try:
            self._ask(path, request)
        except _ChildLostError:
            # It died while it had nothing to do, which is no frame's fault.
            self._replace_child()
            self._ask_new_child(path, request)
        self._pending = (path, request)

    def _finish(self) -> _Answer:
        """Wait for the file handed over by `_begin`."""
        if self._pending is None:
            raise RuntimeError("no frame was begun")
        path, request = self._pending
        most = 1 if path in self._culprits else _ATTEMPTS
        for attempt in range(1, most + 1):
            try:
                return self._answer(path)
            except _ChildLostError as lost:
                stderr = self._replace_child()
                if attempt == most:
                    self._pending = None
                    if not lost.ready:
                        # A broken installation must not be written down as the fault of every frame.
                        raise errors.EmwatchError(
                            f"the {self._what} {lost} before it could take a frame{stderr}"
                        ) from lost
                    self._blame(path)
                    raise errors.ReaderDied(
                        f"{path_to_text(path)}: the {self._what} {lost}, {'twice' if most > 1 else 'again'}; expected a frame it can decode. "
                        f"Open the file in another program, and save it again{stderr}"
                    ) from lost
                self._ask_new_child(path, request)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _blame(self, path: Path) -> None:
        if path not in self._culprits and len(self._culprits) >= _MOST_CULPRITS:
            del self._culprits[next(iter(self._culprits))]
        self._culprits[path] = None

    def _ask(self, path: Path, request: dict[str, Any]) -> None:
        self.start()
        if self._child is not None:
            self._child.ask(path, request)

    def _ask_new_child(self, path: Path, request: dict[str, Any]) -> None:
        try:
            self._ask(path, request)
        except errors.EmwatchError:
            self._pending = None
            raise
        except _ChildLostError as lost:
            self._pending = None
            stderr = self._replace_child()
            raise errors.EmwatchError(f"the {self._what} {lost} before it could take a frame{stderr}") from lost

    def _answer(self, path: Path) -> _Answer:
        child = self._child
        if child is None:
            raise _ChildLostError("was ended")
        try:
            header, payload = child.answer()
        except errors.EmwatchError:
            self._pending = None
            self._replace_child()
            raise
        error: errors.FrameError | None = None
        try:
            if "error" in header:
                error = wire.message_as_error(header)
            else:
                answer = self._understand(path, header, payload)
        except wire.GarbledError as garbled:
            raise _ChildLostError(f"gave a wrong answer ({garbled})") from garbled
        self._pending = None
        self._culprits.pop(path, None)
        if error is not None:
            raise error
        return answer

    def _replace_child(self) -> str:
        """End the child and return its last words; the next `start` makes another."""
        child, self._child = self._child, None
        if child is None:
            return ""
        child.end(at_once=True)
        return child.last_words()


class _Child:
    """One child process, and the two threads that listen to it."""

    def __init__(self, module: str, settings: Mapping[str, Any], limits: Limits, what: str) -> None:
        self._module = module
        self._settings = settings
        self._limits = limits
        self._what = what
        self._answers: queue.SimpleQueue[tuple[dict[str, Any], bytes] | str] = queue.SimpleQueue()
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._ready = False
        self._begun_s = time.monotonic()
        self._started: queue.SimpleQueue[subprocess.Popen[bytes] | OSError] = queue.SimpleQueue()
        # Linux kills the child when the thread that started it ends (PR_SET_PDEATHSIG), so that thread listens for as
        # long as the child lives, whichever thread of the daemon asked for it.
        self._keeper = threading.Thread(target=self._keep, name=f"{what}-answers", daemon=True)
        self._keeper.start()
        process = self._started.get()
        if isinstance(process, OSError):
            raise errors.EmwatchError(f"the {what} process cannot be started: {process}") from process
        self._process = process
        self._listener = threading.Thread(
            target=self._listen, args=(process.stderr,), name=f"{what}-stderr", daemon=True
        )
        self._listener.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, path: Path, request: dict[str, Any]) -> None:
        self._begun_s = time.monotonic()
        try:
            if self._process.stdin is not None:
                wire.send(self._process.stdin, {"path": wire.path_as_text(path), **request})  # type: ignore[arg-type]  # a buffered pipe is a BinaryIO
        except OSError as error:
            raise _ChildLostError(self._how_it_ended("closed its input")) from error

    def answer(self) -> tuple[dict[str, Any], bytes]:
        if not self._ready:
            header, _ = self._next(self._begun_s + self._limits.start_seconds, "did not start")
            if "ready" not in header:
                raise errors.EmwatchError(
                    f"the {self._what} process cannot be used: {header.get('failed')}{self.last_words()}"
                )
            self._ready = True
            self._begun_s = time.monotonic()  # the frame's time is its own, not that of the start
        return self._next(self._begun_s + self._limits.seconds, "was still busy")

    def _next(self, deadline_s: float, late: str) -> tuple[dict[str, Any], bytes]:
        try:
            message = self._answers.get(timeout=max(0.0, deadline_s - time.monotonic()))
        except queue.Empty:
            waited_s = self._limits.seconds if self._ready else self._limits.start_seconds
            raise _ChildLostError(f"{late} after {waited_s:g} s", ready=self._ready) from None
        if isinstance(message, str):
            raise _ChildLostError(self._how_it_ended(message), ready=self._ready)
        return message

    def _how_it_ended(self, otherwise: str) -> str:
        try:
            status = self._process.wait(_CLOSING_S)
        except subprocess.TimeoutExpired:
            return otherwise
        if status == OUT_OF_MEMORY:
            return f"needed more than the {self._limits.memory_bytes // 2**20} MiB of memory it may have"
        if status < 0:
            try:
                return f"was killed by {signal.Signals(-status).name}"
            except ValueError:
                return f"was killed by signal {-status}"
        return f"ended with status {status}"

    def end(self, *, at_once: bool) -> None:
        if at_once:
            self._process.kill()
        try:
            if self._process.stdin is not None:
                self._process.stdin.close()
        except OSError:
            pass  # it is gone already
        try:
            self._process.wait(_CLOSING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in (self._keeper, self._listener):
            thread.join(_CLOSING_S)

    def last_words(self) -> str:
        return f" (it said: {' | '.join(self._stderr)})" if self._stderr else ""

    def _keep(self) -> None:
        settings = {**self._settings, "limits": dataclasses.asdict(self._limits), "parent": os.getpid()}
        command = [sys.executable, "-P", "-m", self._module, json.dumps(settings)]
        pipe = subprocess.PIPE
        try:
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=_environment())
        except OSError as error:
            self._started.put(error)
            return
        self._started.put(process)
        if process.stdout is None:
            return
        with process.stdout as stdout:
            try:
                while message := wire.receive(stdout):  # type: ignore[arg-type]  # a buffered pipe is a BinaryIO
                    self._answers.put(message)
                self._answers.put("ended")
            except wire.GarbledError as garbled:
                self._answers.put(f"gave a wrong answer ({garbled})")
        process.wait()  # not before: Linux would kill the child in the middle of its own exit

    def _listen(self, stderr: IO[bytes]) -> None:
        with stderr:
            # By lines of bounded length: a library that writes without a line end must not fill our memory.
            while line := stderr.readline(_STDERR_LINE_BYTES):
                text = "".join(c if c.isprintable() else "?" for c in line.decode("utf-8", "replace").rstrip())
                if text:
                    self._stderr.append(text)


def _environment() -> dict[str, str]:
    """Return the parent's environment, its module path, and one thread: numpy's pools cost memory and gain nothing here."""
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    modules = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)  # noqa: PTH100 - text in, text out.
    return {**os.environ, **one_thread, "PYTHONPATH": modules, "PYTHONDONTWRITEBYTECODE": "1"}
