"""The channel that runs a program of the operator's."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from typing import IO, TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, field_validator

from emwatch.alerts.channel import ChannelSettings
from emwatch.alerts.secrets import hushed
from emwatch.alerts.wording import as_document, as_words
from emwatch.errors import AlertError
from emwatch.escape import escaped
from emwatch.settings import Command, Number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from emwatch.frame import Alert

PLACEHOLDERS: Final = (
    "path",
    "category",
    "target",
    "probability",
    "magnification",
    "stage_tilt_deg",
    "reason",
    "key",
    "recorded_at",
    "queued_at",
    "frame_id",
)

#: What the service manager says to the daemon is not for the programs it starts.
_NOT_INHERITED: Final = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS")

_BRACES: Final = re.compile(r"\{\{|\}\}|\{([A-Za-z_]*)\}")
_KEPT_BYTES: Final = 4096
_LONGEST_COMPLAINT: Final = 300


class CommandSettings(ChannelSettings):
    """Alerts handed to a program: started directly, never through a shell."""

    kind: Literal["command"]
    argv: Command
    timeout_seconds: Annotated[Number, Field(gt=0, le=3600)] = 10.0

    @field_validator("argv")
    @classmethod
    def _known_placeholders(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        for argument in argv:
            _filled(argument, dict.fromkeys(PLACEHOLDERS, ""))
        return argv

    def open(self, show: Callable[[Alert], None]) -> CommandChannel:  # noqa: ARG002 - nothing is shown here
        """Return the channel that runs the program."""
        return CommandChannel(self.argv, self.timeout_seconds)

    def doubts(self) -> Iterator[str]:
        """Find a program that is not there."""
        if shutil.which(self.argv[0]) is None:
            yield f"argv: {self.argv[0]}: no such program, or not executable"


class CommandChannel:
    """
    Runs a program for each alert; the alert is delivered when the program exits with 0.

    The program gets the alert three times: in ``{placeholders}`` of the arguments, in ``EMWATCH_ALERT_*`` variables, and
    as JSON on standard input. There is no shell, so nothing in a file name can become a command.

    Args:
        argv: the program and its arguments; ``{{`` and ``}}`` stand for literal braces.
        timeout_s: the program and all it started are killed after this.

    """

    kind: Final = "command"

    def __init__(self, argv: Sequence[str], timeout_s: float = 10.0) -> None:
        self._command = tuple(argv)
        self._timeout_s = timeout_s

    def send(self, alert: Alert) -> None:
        """
        Run the program.

        Raises:
            AlertError: it could not be started, did not end in time, or did not exit with 0.

        """
        words = as_words(alert)
        arguments = [_filled(each, words) for each in self._command]
        try:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_environment(words),
                start_new_session=True,  # so that the timeout reaches whatever the program started
            )
        except (OSError, ValueError) as error:
            raise AlertError(f"command {self._command[0]}: cannot be started ({error})") from error
        output = _Tail(process.stdout)
        complaint = _Tail(process.stderr)
        _Letter(process.stdin, json.dumps(as_document(alert)).encode("utf-8"))
        try:
            status = process.wait(self._timeout_s)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise AlertError(f"command {self._command[0]}: killed, not done after {self._timeout_s:g} s") from None
        if status != 0:
            said = hushed(complaint.last_line() or output.last_line() or "it said nothing", arguments[1:])
            said = escaped(said[:_LONGEST_COMPLAINT])
            raise AlertError(f"command {self._command[0]}: exit status {status}: {said}")


def _filled(argument: str, words: dict[str, str]) -> str:
    def word(found: re.Match[str]) -> str:
        if found[0] in {"{{", "}}"}:
            return found[0][0]
        if found[1] not in PLACEHOLDERS:
            raise ValueError(
                f"unknown placeholder {found[0]}: "
                f"known are {', '.join(f'{{{each}}}' for each in PLACEHOLDERS)}; write {{{{ and }}}} for literal braces"
            )
        return words[found[1]]

    return _BRACES.sub(word, argument)


def _environment(words: dict[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    return inherited | {f"EMWATCH_ALERT_{name.upper()}": word for name, word in words.items()}


def _kill(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


class _Tail:
    """Reads a pipe to its end and keeps the last bytes: a chatty program neither blocks nor fills the memory."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        self._kept = b""
        self._thread = threading.Thread(target=self._read, args=(pipe,), name="alert output", daemon=True)
        self._thread.start()

    def _read(self, pipe: IO[bytes] | None) -> None:
        if pipe is not None:
            with pipe:
                while piece := os.read(pipe.fileno(), 65536):
                    self._kept = (self._kept + piece)[-_KEPT_BYTES:]

    def last_line(self) -> str:
        """Give the last line that is not empty, raw; what a left-behind child may still write is not waited for."""
        self._thread.join(1.0)
        lines = [line.strip() for line in self._kept.decode("utf-8", "backslashreplace").splitlines()]
        return next((line for line in reversed(lines) if line), "")


class _Letter:
    """Writes a program's standard input beside it: a program that does not read it is not waited for."""

    def __init__(self, pipe: IO[bytes] | None, content: bytes) -> None:
        self._content = content
        threading.Thread(target=self._write, args=(pipe,), name="alert input", daemon=True).start()

    def _write(self, pipe: IO[bytes] | None) -> None:
        try:
            if pipe is not None:
                with pipe:
                    pipe.write(self._content)
        except OSError:
            return  # it does not read its standard input: its choice
