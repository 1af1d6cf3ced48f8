"""What a check returns, and the machine that it looks at."""

from __future__ import annotations

import shlex
import sys
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from emwatch.frame import path_to_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

Answer = TypeVar("Answer")

#: How long a file system may take to answer; a share that hangs takes longer.
PATIENCE_S: Final = 10.0


class Level(StrEnum):
    """How bad a finding is: with an ``error`` frames, alerts or records are lost; a ``note`` needs no action."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: what was found, what was expected, and the command (or key to write) that mends it."""

    check: str
    level: Level
    found: str
    expected: str
    mend: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of one check: what it looked at, in one line, and its findings."""

    check: str
    fact: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Machine:
    """
    The machine as the checks see it.

    ``proc`` is the file system of proc(5). ``self_test`` is the program that tests the model in a process of its own; it
    is given one argument, see `emwatch.service.doctor.model_child`.
    """

    now: datetime
    proc: Path = Path("/proc")
    self_test: tuple[str, ...] = field(default=(sys.executable, "-m", "emwatch.service.doctor.model_child"))
    patience_s: float = PATIENCE_S

    @property
    def mount_table(self) -> Path:
        """The mount table of this process."""
        return self.proc / "self" / "mountinfo"

    def number(self, name: str) -> int | None:
        """Return a kernel setting such as ``fs/inotify/max_user_watches``; ``None`` if there is none."""
        try:
            return int((self.proc / "sys" / name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None


def in_shell(path: Path) -> str:
    """Return a path as a command for a shell holds it: labs name folders ``SEM Data``."""
    return shlex.quote(path_to_text(path))


class NoAnswerError(Exception):
    """A file system did not answer in time."""


def answer_in_time(question: Callable[[], Answer], seconds: float) -> Answer:
    """
    Return the answer to a question about a file system, or what it raises.

    Raises:
        NoAnswerError: there is none after so many seconds. The thread that waits for it is left behind.

    """
    answers: list[Answer] = []
    errors: list[Exception] = []

    def ask() -> None:
        try:
            answers.append(question())
        except Exception as error:  # noqa: BLE001 - handed on to the thread that asked
            errors.append(error)

    thread = threading.Thread(target=ask, name="doctor", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise NoAnswerError
    return answers[0]
