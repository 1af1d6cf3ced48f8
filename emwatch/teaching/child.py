"""
Learns one target in a process of its own, which whoever waits for it may end: ``python -m emwatch.teaching.child``.

What to learn comes pickled on standard input from the program that starts it; the answer is one JSON object on standard
output.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from emwatch.errors import EmwatchError
from emwatch.teaching.targets import find, learn

if TYPE_CHECKING:
    from datetime import datetime

    from emwatch.config import Config

_NICENESS: Final = 10
#: So many of the past frames that it would have found are named.
_NAMED: Final = 60


@dataclass(frozen=True, slots=True)
class Task:
    """What to learn: numbers of frames of the log; ``keep``: also write it beside the ledger."""

    config: Config
    name: str
    wanted: tuple[int, ...]
    unwanted: tuple[int, ...]
    now: datetime
    keep: bool


def main() -> int:
    """Learn what standard input says. Returns 1 if it cannot be learned; the answer then says why."""
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    task: Task = pickle.load(sys.stdin.buffer)  # noqa: S301 - the page wrote it
    try:
        answer = _learned(task)
    except EmwatchError as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(answer))
    return 1 if "error" in answer else 0


def _learned(task: Task) -> dict[str, Any]:
    lesson = learn(task.config, task.name, task.wanted, task.unwanted, task.now, keep=task.keep)
    count, best = find(task.config, lesson.target, limit=_NAMED)
    return {
        "name": lesson.target.name,
        "version": lesson.target.version,
        "kept": task.keep,
        **lesson.target.facts,
        "warnings": list(lesson.warnings),
        "count": count,
        "found": [{"frame_id": each.frame.frame_id, "score": round(each.score, 4)} for each in best],
    }


if __name__ == "__main__":
    sys.exit(main())
