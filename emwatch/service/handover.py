"""The worker that hands the ledger over to a server; recording never waits for it."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from emwatch.errors import LedgerError
from emwatch.ingest.events import Notice
from emwatch.ledger.server import changes
from emwatch.ledger.server.handover import Handover
from emwatch.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from emwatch.clock import Clock
    from emwatch.ingest.events import Event
    from emwatch.ledger.server.connect import Server
    from emwatch.ledger.writer import Ledger

#: How often it is looked for changes; the server is behind by about as much.
_EVERY_S: Final = 1.0
#: While years are handed over, frames that come now go first.
_BETWEEN_BATCHES_S: Final = 0.1
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
#: What is left when the daemon ends is handed over then, for at most so long; the next start goes on.
_LAST_S: Final = 5.0
_LOW_PRIORITY: Final = 10


class ServerHandover:
    """
    Hands over what changed, about once a second, and after growing pauses while the server is away.

    ``tell`` takes a notice when the server goes away and when it takes rows again; ``note`` takes the state, for
    `emwatch status`.
    """

    def __init__(
        self,
        ledger: Ledger,
        server: Server,
        *,
        clock: Clock,
        tell: Callable[[Event], None],
        note: Callable[[dict[str, Any]], None],
    ) -> None:
        self._ledger = ledger
        self._server = server
        self._handover = Handover(ledger, server)
        self._clock = clock
        self._tell = tell
        self._note = note
        self._away_since: datetime | None = None
        self._trouble = ""
        self._last_at: datetime | None = None
        self._pause_s = _FIRST_PAUSE_S
        self.worker = Worker("handover to the server", self._run)

    def start(self) -> None:
        """Start the thread."""
        self._say()
        self.worker.start()

    def stop(self) -> None:
        """Hand over what is left, for a few seconds, and stop the thread; the next start goes on."""
        self.worker.stop(_LAST_S + 1)

    def step(self) -> float:
        """Hand over everything that changed, or find out that it cannot be. Returns the seconds until the next step."""
        try:
            while True:
                number = self._handover.hand_over(self._clock.now())
                self._came_back()
                if number:
                    self._last_at = self._clock.now()
                    self._say()
                # After less than a batch: what comes meanwhile goes with the next step, together.
                if number < changes.BATCH or self.worker.stopping.wait(_BETWEEN_BATCHES_S):
                    break
        except LedgerError as error:
            self._went_away(str(error))
            pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, _LONGEST_PAUSE_S)
            return pause_s
        finally:
            news, self._handover.news = self._handover.news, []
            for each in news:
                self._tell(Notice("warning", each, self._ledger.path))
        self._pause_s = _FIRST_PAUSE_S
        return _EVERY_S

    def _went_away(self, why: str) -> None:
        if self._away_since is None:
            self._away_since = self._clock.now()
            self._tell(
                Notice(
                    "warning",
                    f"the ledger is not handed over to the server: {why}. Frames are recorded in {self._ledger.path.name} as "
                    "before, and handed over afterwards",
                    self._ledger.path,
                )
            )
        self._trouble = why
        self._say()

    def _came_back(self) -> None:
        if self._away_since is None:
            return
        seconds = (self._clock.now() - self._away_since).total_seconds()
        self._away_since, self._trouble = None, ""
        self._say()
        self._tell(Notice("info", f"the server {self._server.name} takes rows again, after {seconds:.0f} s"))

    def _waiting(self) -> int | None:
        try:
            return changes.waiting(self._ledger.path)
        except LedgerError:  # told by those who record
            return None

    def _say(self) -> None:
        self._note(
            {
                "name": self._server.name,
                "waiting": self._waiting(),
                "away_since": None if self._away_since is None else self._away_since.isoformat(timespec="seconds"),
                "trouble": self._trouble,
                "last_at": None if self._last_at is None else self._last_at.isoformat(timespec="seconds"),
            }
        )

    def _run(self) -> None:
        with suppress(OSError, AttributeError):  # on Linux each thread has its own priority
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOW_PRIORITY)
        while not self.worker.stopping.wait(self.step()):
            pass
        until = self._clock.monotonic() + _LAST_S
        with suppress(LedgerError):
            while self._clock.monotonic() < until and self._handover.hand_over(self._clock.now()):
                pass
