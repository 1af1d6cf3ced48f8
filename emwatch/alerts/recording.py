"""A channel that keeps what it is sent: for rehearsals and tests."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from emwatch.errors import AlertError

if TYPE_CHECKING:
    from emwatch.frame import Alert


class RecordingChannel:
    """
    Keeps every alert it takes; refuses while ``refuses`` is true, waits while ``gate`` is closed.

    Attributes:
        taken: what was sent, in order.
        refused: what was refused, in order.
        gate: open at first; clear it to make the channel hang.

    """

    kind: Final = "recording"

    def __init__(self) -> None:
        self.taken: list[Alert] = []
        self.refused: list[Alert] = []
        self.refuses = False
        self.gate = threading.Event()
        self.gate.set()

    def send(self, alert: Alert) -> None:
        """
        Keep an alert.

        Raises:
            AlertError: it was told to refuse.

        """
        self.gate.wait()
        if self.refuses:
            self.refused.append(alert)
            raise AlertError("recording: told to refuse")
        self.taken.append(alert)
