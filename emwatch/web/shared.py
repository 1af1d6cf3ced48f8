"""An answer that all open pages share: made anew only so often that making it stays cheap."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = TypeVar("Answer")

_LEAST_S: Final = 1.0
#: An answer is kept for so many times the processor time it took: making it never takes more than this share of a core.
_TIMES: Final = 20


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
        self._kept: tuple[float, Answer] | None = None

    def get(self) -> Answer:
        """Return the answer. Raises what ``make`` raises, and keeps nothing then."""
        with self._turn:
            if self._kept is not None and self._now() < self._kept[0]:
                return self._kept[1]
            self._kept = None
            before = self._processor()
            answer = self._make()
            self._kept = (self._now() + max(_LEAST_S, _TIMES * (self._processor() - before)), answer)
            return answer
