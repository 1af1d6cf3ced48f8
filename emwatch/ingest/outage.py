"""A ledger that cannot be used for a while: the disk is full, another program holds it, the disk is gone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from emwatch.ingest.events import Notice

if TYPE_CHECKING:
    from collections.abc import Callable

    from emwatch.clock import Clock
    from emwatch.errors import LedgerError
    from emwatch.ingest.events import Event

_RETRY_S = 5.0
_GIVES_UP_S = 30.0


class LedgerOutage:
    """The time from the first failure to the first success; both are reported once. ``gives_up``: raise after 30 s."""

    def __init__(self, clock: Clock, tell: Callable[[Event], None], *, gives_up: bool) -> None:
        self._clock = clock
        self._tell = tell
        self._gives_up = gives_up
        self._since = math.nan
        self._frame_waits = False
        self.reason = ""  #: in words, while it lasts
        self.until = -math.inf  #: when the ledger is tried again, on the monotonic clock

    def begin(self, error: LedgerError, *, frame_waits: bool = False) -> None:
        """Note a failure; ``frame_waits``: a frame waits to be recorded."""
        self._frame_waits |= frame_waits
        now = self._clock.monotonic()
        self.until = now + _RETRY_S
        self.reason = str(error)
        if math.isnan(self._since):
            self._since = now
            self._tell(Notice("error", f"{error}; no frame is recorded until the ledger can be used again"))
        elif self._gives_up and now - self._since > _GIVES_UP_S:
            raise error

    def end(self) -> None:
        """Note a success in writing."""
        self._frame_waits = False
        if not math.isnan(self._since):
            self._since, self.until, self.reason = math.nan, -math.inf, ""
            self._tell(Notice("info", "the ledger can be used again"))

    def ledger_answers(self) -> None:
        """Note a successful read: it ends the outage, unless a frame waits that could not be written."""
        if not self._frame_waits:
            self.end()

    def lasts(self) -> bool:
        """Return whether the ledger must not be used yet."""
        return self._clock.monotonic() < self.until
