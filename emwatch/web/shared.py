"""An answer that all open pages share: made anew only so often that making it stays cheap."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = TypeVar("Answer")

_LEAST_S: Final = 1.0
#: An answer is kept for so many times the processor time it took: making it never takes more than this share of a core.
_TIMES: Final = 20


class _Kept(NamedTuple, Generic[Answer]):
    asked_at: float
    until: float
    answer: Answer


class Shared(Generic[Answer]):
    """Calls ``make`` at most once a second, less often if it takes long; callers wait for one that is being made."""

    def __init__(
        self,
        make: Callable[[], Answer],
        now: Callable[[], float] = time.monotonic,
        processor: Callable[[], float] = time.thread_time,
    ) -> None:
        self._make = make
        self._now = now
        self._processor = processor  # not the time that passed: on a busy PC an answer would be kept for long
        self._turn = threading.Lock()
        self._kept: _Kept[Answer] | None = None

    def get(self) -> Answer:
        """Return the answer. Raises what ``make`` raises, and keeps nothing then."""
        with self._turn:
            return self._current().answer

    def since(self, moment: float) -> Answer | None:
        """
        Return an answer that was asked for after ``moment``, in the seconds of ``now``; ``None`` while it is too early.

        Raises what ``make`` raises.
        """
        with self._turn:
            found = self._current()
            return found.answer if found.asked_at >= moment else None

    def _current(self) -> _Kept[Answer]:
        asked_at = self._now()
        if self._kept is None or asked_at >= self._kept.until:
            self._kept = None
            before = self._processor()
            answer = self._make()
            until = self._now() + max(_LEAST_S, _TIMES * (self._processor() - before))
            self._kept = _Kept(asked_at, until, answer)
        return self._kept
