"""A program run for an alert, bounded in time, memory, descriptors and processes, without a thread of its own."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from contextlib import ExitStack, suppress
from typing import IO, TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: How much of the end of its output is kept.
_KEPT_BYTES: Final = 4096
#: How much is still read after its end: more than a pipe holds (64 KiB, pipe(7)), less than a child of it can go on writing.
_LAST_BYTES: Final = 1 << 20
#: The time between two looks at whether it has ended while something keeps its pipes open.
_LOOK_S: Final = 0.05
#: A killed process that does not end in this time waits for a device; it is not waited for.
_KILLED_WITHIN_S: Final = 5.0

#: Variables of the service manager for the daemon only; programs that it starts do not get them.
_NOT_INHERITED: Final = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS")


def inherited_environment() -> dict[str, str]:
    """Return the environment for a program that an alert starts: without what the service manager passes to the daemon."""
    return {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}


class Ended(NamedTuple):
    """How a program ended: its exit status, or ``None`` if it was killed, and the last line that it wrote."""

    status: int | None
    last_line: str


def run_program(
    arguments: Sequence[str], standard_input: bytes, environment: Mapping[str, str], timeout_s: float
) -> Ended:
    """
    Run a program to its end, in a process group of its own.

    What it leaves running in its group is not waited for, and is killed after ``timeout_s`` like the program itself.

    Raises:
        OSError: it cannot be started.
        ValueError: an argument cannot be passed to a program.

    """
    deadline = time.monotonic() + timeout_s
    with ExitStack() as stack:
        process = subprocess.Popen(
            arguments,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                stack.callback(pipe.close)
        try:
            output = _Pipes(process, standard_input)
            while process.poll() is None and time.monotonic() < deadline:
                output.exchange(min(_LOOK_S, max(0.0, deadline - time.monotonic())))
        except BaseException:
            _kill_group(process.pid)
            raise
        output.read_the_rest()
        if process.poll() is None:
            _kill_group(process.pid)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_KILLED_WITHIN_S)
            return Ended(None, output.last_line())
    _LEFT_BEHIND.watch(process.pid, deadline)
    return Ended(process.returncode, output.last_line())


class _Pipes:
    """Feeds a program's standard input and keeps the end of its output, so that neither side waits for the other."""

    def __init__(self, process: subprocess.Popen[bytes], standard_input: bytes) -> None:
        self._process = process
        self._unsent = standard_input
        self._selector = selectors.PollSelector()  # unlike epoll it needs no descriptor
        self._kept: dict[IO[bytes], bytes] = {}
        for pipe, event in (
            (process.stdin, selectors.EVENT_WRITE),
            (process.stdout, selectors.EVENT_READ),
            (process.stderr, selectors.EVENT_READ),
        ):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self._selector.register(pipe, event)
                if pipe is not process.stdin:
                    self._kept[pipe] = b""

    def exchange(self, longest_s: float) -> None:
        """Move bytes until nothing more can be moved at present; wait at most ``longest_s`` for the first."""
        if not self._selector.get_map():
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(longest_s)
        for key, _ in self._selector.select(longest_s):
            pipe: IO[bytes] = key.fileobj  # type: ignore[assignment]  # what was registered
            with suppress(BlockingIOError):
                if not (self._write(pipe) if pipe is self._process.stdin else self._read(pipe)):
                    self._selector.unregister(pipe)
                    if pipe is self._process.stdin:
                        pipe.close()  # it reads to the end of the file

    def read_the_rest(self) -> None:
        """Read what the pipes still hold."""
        for pipe in self._kept:
            left = _LAST_BYTES
            with suppress(BlockingIOError):
                while left > 0 and (count := self._read(pipe)):
                    left -= count

    def last_line(self) -> str:
        """Return the last line that is not empty, of standard error if there is one, else of standard output."""
        for pipe in (self._process.stderr, self._process.stdout):
            if pipe is not None:
                lines = self._kept[pipe].decode("utf-8", "backslashreplace").splitlines()
                if found := next((line.strip() for line in reversed(lines) if line.strip()), ""):
                    return found
        return ""

    def _read(self, pipe: IO[bytes]) -> int:
        piece = os.read(pipe.fileno(), 65536)
        self._kept[pipe] = (self._kept[pipe] + piece)[-_KEPT_BYTES:]
        return len(piece)

    def _write(self, pipe: IO[bytes]) -> bool:
        try:
            self._unsent = self._unsent[os.write(pipe.fileno(), self._unsent) :]
        except BrokenPipeError:  # it does not read its standard input: its choice
            return False
        return bool(self._unsent)


class _LeftBehind:
    """
    The process groups of programs that have ended and left something running.

    The number of a group is not given to another process while the group has members; so that it is not mistaken
    afterwards, groups are looked at every second.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deadlines: dict[int, float] = {}
        self._thread: threading.Thread | None = None

    def watch(self, group: int, deadline: float) -> None:
        """Kill a group at a monotonic time, if it has members then."""
        with self._lock:
            self._deadlines[group] = deadline
            self._look()
            if self._deadlines and self._thread is None:
                thread = threading.Thread(target=self._run, name="alert programs", daemon=True)
                with suppress(RuntimeError):  # no thread is left: the next alert looks
                    thread.start()
                    self._thread = thread

    def _run(self) -> None:
        while True:
            time.sleep(1.0)
            with self._lock:
                self._look()
                if not self._deadlines:
                    self._thread = None
                    return

    def _look(self) -> None:
        now = time.monotonic()
        for group, deadline in list(self._deadlines.items()):
            if now >= deadline:
                _kill_group(group)
            if now >= deadline or not _has_members(group):
                del self._deadlines[group]


_LEFT_BEHIND: Final = _LeftBehind()


def _has_members(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs as another user now
        return True
    return True


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
