"""Teaching a target from the page: checked here, learned in a child process with a limit, one at a time."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from emwatch.errors import TargetError
from emwatch.settings import NAME_PATTERN
from emwatch.teaching.child import Task

if TYPE_CHECKING:
    from datetime import datetime

    from emwatch.config import Config

_CHILD: Final = "emwatch.teaching.child"
_LONGEST_S: Final = 120.0
_MOST_FRAMES: Final = 100


class LessonError(ValueError):
    """A lesson that makes no sense; the message says what is expected."""


class BusyError(RuntimeError):
    """Another target is being learned."""


class Teacher:
    """Learns targets, one at a time."""

    def __init__(self, config: Config, longest_s: float = _LONGEST_S) -> None:
        self._config = config
        self._longest_s = longest_s
        self._turn = threading.Lock()

    def learn(self, document: Any, now: datetime) -> dict[str, Any]:
        """
        Return what was learned: the estimate, warnings, and which frames of the log it would have found.

        ``document``: ``{"name": "needle", "wanted": [412, 415], "unwanted": [398], "keep": false}``; nothing is written
        unless ``keep`` is true. Raises `LessonError`, `BusyError`, or `TargetError` if it cannot be learned.
        """
        task = _task(self._config, document, now)
        if not self._turn.acquire(blocking=False):
            raise BusyError("another target is being learned; try again in a moment")
        try:
            return self._learned(task)
        finally:
            self._turn.release()

    def _learned(self, task: Task) -> dict[str, Any]:
        command = [sys.executable, "-m", _CHILD]
        try:
            ended = subprocess.run(
                command, input=pickle.dumps(task), capture_output=True, timeout=self._longest_s, check=False
            )
        except subprocess.TimeoutExpired:
            raise TargetError(
                f"{task.name}: not learned within {self._longest_s:g} s; select fewer frames, or use 'emwatch target learn'"
            ) from None
        try:
            answer: dict[str, Any] = json.loads(ended.stdout)
        except ValueError:
            last = ended.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"status {ended.returncode}"]
            raise TargetError(f"{task.name}: the process that learns it ended: {last[0]}") from None
        if "error" in answer:
            raise TargetError(answer["error"])
        return answer


def _task(config: Config, document: Any, now: datetime) -> Task:
    if not isinstance(document, dict):
        raise LessonError("expected an object with name, wanted, unwanted and keep")
    name, keep = document.get("name"), document.get("keep", False)
    if not isinstance(name, str) or re.fullmatch(NAME_PATTERN, name) is None:
        raise LessonError("name: expected 1 to 80 printable characters")
    if not isinstance(keep, bool):
        raise LessonError("keep: expected true or false")
    wanted, unwanted = (_numbers(key, document.get(key, [])) for key in ("wanted", "unwanted"))
    return Task(config, name, wanted, unwanted, now, keep)


def _numbers(key: str, found: Any) -> tuple[int, ...]:
    if not isinstance(found, list) or not all(type(each) is int and 0 < each < 1 << 63 for each in found):
        raise LessonError(f"{key}: expected a list of numbers of the log, such as [412]")
    if len(found) > _MOST_FRAMES:
        raise LessonError(f"{key}: at most {_MOST_FRAMES} frames")
    return tuple(dict.fromkeys(found))
