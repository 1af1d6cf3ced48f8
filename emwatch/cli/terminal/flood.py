"""Failures that come by the thousand are summed up: hits must not drown in them, and the ledger has each with its reason."""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

MOST_LINES: Final = 20
WITHIN_S: Final = 60.0
SUMMED_UP_EVERY_S: Final = 10.0


class Flood:
    """
    Lets the first failures through, `MOST_LINES` in any `WITHIN_S`, and counts the others for a line now and then.

    Moments are monotonic, in seconds. One thread at a time.
    """

    def __init__(self) -> None:
        self._admitted: deque[float] = deque(maxlen=MOST_LINES)
        self._held_back: Counter[str] = Counter()
        self._since: float | None = None

    def admits(self, code: str, now: float) -> bool:
        """Tell whether a failure gets a line of its own; else it is counted, by its code."""
        if not self._held_back and (len(self._admitted) < MOST_LINES or now - self._admitted[0] >= WITHIN_S):
            self._admitted.append(now)
            return True
        if self._since is None:
            self._since = now
        self._held_back[code] += 1
        return False

    def summary(self, now: float, *, at_once: bool = False) -> str:
        """Say how many were held back since the last time, where it is time to; else nothing."""
        if self._since is None or (now - self._since < SUMMED_UP_EVERY_S and not at_once):
            return ""
        seconds = max(1, round(now - self._since))
        kinds = ", ".join(f"{count:,} {code}" for code, count in self._held_back.most_common())
        total = self._held_back.total()
        files = "file" if total == 1 else "files"
        self._held_back.clear()
        self._since = None
        return f"failed: {total:,} more {files} in {seconds} s ({kinds}); emwatch log --failed lists each, -v shows each at once"
