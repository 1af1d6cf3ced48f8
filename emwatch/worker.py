"""A thread that works beside the daemon's loop: started, started again after a fault, stopped."""

from __future__ import annotations

import logging
import math
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
#: A thread that ran for this long before it failed is started again at once.
_STEADY_S: Final = 120.0


class Worker:
    """
    Runs ``work`` in a thread of its own.

    ``work`` returns when nothing is left to do, or soon after `stopping` is set. An exception that leaves it is logged,
    and `revive` starts the thread again. ``wake`` is called by `ask_to_stop`: it ends a wait inside ``work``.
    """

    def __init__(self, name: str, work: Callable[[], None], *, wake: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self.stopping = threading.Event()
        self._work = work
        self._wake = wake
        self._thread: threading.Thread | None = None
        self._failed = False
        self._pause_s = 0.0
        self._revived_at = -math.inf

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> bool:
        """Start the thread unless it runs. Returns ``False`` if the system has no thread left; `revive` then tries again."""
        if self.is_alive:
            return True
        thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._failed = False
        try:
            thread.start()
        except RuntimeError as error:  # the limit on threads is reached: this must not end the daemon
            self._failed = True
            logger.warning("%s: no thread can be started: %s", self.name, error)
            return False
        self._thread = thread
        return True

    def revive(self, now: float) -> bool:
        """
        Start the thread again if it ended by a fault. Returns ``True`` if it was started; ``now`` is monotonic.

        A thread that fails soon after its last start waits longer each time, up to a minute.
        """
        if not self._failed or self.is_alive or self.stopping.is_set() or now < self._revived_at + self._pause_s:
            return False
        soon = now < self._revived_at + _STEADY_S
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S) if soon else _FIRST_PAUSE_S
        self._revived_at = now
        return self.start()

    def ask_to_stop(self) -> None:
        """Set `stopping` and wake the thread; returns at once."""
        self.stopping.set()
        self._wake()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the thread. Returns ``False`` if it still runs after ``timeout_s`` seconds."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return not self.is_alive

    def stop(self, timeout_s: float) -> bool:
        """Ask the thread to end and wait for it. Returns ``False`` if it still runs after ``timeout_s`` seconds."""
        self.ask_to_stop()
        return self.join(timeout_s)

    def _run(self) -> None:
        ended = False
        try:
            self._work()
            ended = True
        except Exception:
            logger.exception("%s: ended by a fault of emwatch", self.name)
        finally:
            self._failed = not ended  # also if the thread was made to exit, which is no `Exception`
