"""Trouble that nobody would notice at night: told once when it begins, and once when it is over."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emwatch.ingest.events import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from emwatch.config.schema import TroubleConfig
    from emwatch.ingest.events import Event
    from emwatch.service.progress import Progress

_LOOK_EVERY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Sources:
    """
    Where facts about the daemon come from.

    Attributes:
        progress: what was counted.
        ledger: the session log; the free space of its disk counts.
        session_gap_s: the pause after which a session is over.
        model_trouble: returns why the model that was activated is not in use, "" if it is.
        channels_down_s: returns for how many seconds each channel has taken nothing though something was to be sent.

    """

    progress: Progress
    ledger: Path
    session_gap_s: float
    model_trouble: Callable[[], str]
    channels_down_s: Callable[[], Mapping[str, float]]


class TroubleWatch:
    """
    Checks every few seconds, between two frames. ``tell`` takes an error when something begins and an info when it ends.

    ``settings`` may be exchanged while it runs.
    """

    def __init__(self, settings: TroubleConfig, sources: Sources, tell: Callable[[Event], None]) -> None:
        self.settings = settings
        self._sources = sources
        self._tell = tell
        self._next_look = 0.0
        self._backlog_since: float | None = None
        self._told: dict[str, str] = {}

    def tick(self, now: float) -> None:
        """Check if it is time to; ``now``: monotonic seconds."""
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY_S
        found = {name: text for name, text in self._troubles(now).items() if text}
        for name, text in found.items():
            if name not in self._told:
                self._tell(Notice("error", text, self._sources.ledger))
        for name in self._told.keys() - found.keys():
            self._tell(Notice("info", f"over: {self._told[name]}"))
        self._told = {name: self._told.get(name, text) for name, text in found.items()}

    def _troubles(self, now: float) -> dict[str, str]:
        return {
            "frames": self._no_frames(now),
            "disk": self._disk(),
            "backlog": self._backlog(now),
            "model": self._model(),
            **self._channels(),
        }

    def _no_frames(self, now: float) -> str:
        limit, last = self.settings.no_frame_minutes, self._sources.progress.last_frame_at
        if limit is None or last is None or not limit * 60 <= now - last < self._sources.session_gap_s:
            return ""
        return f"no new frame for {limit:g} minutes in an open session: is the acquisition still running?"

    def _disk(self) -> str:
        folder = self._sources.ledger.parent
        try:
            free_mb = shutil.disk_usage(folder).free / 1e6
        except OSError:  # the ledger itself tells of that
            return ""
        if free_mb >= self.settings.disk_free_mb:
            return ""
        return f"{folder}: {free_mb:,.0f} MB are left on the ledger's disk: free some space"

    def _backlog(self, now: float) -> str:
        waiting = self._sources.progress.waiting
        if self.settings.backlog_files is None or waiting < self.settings.backlog_files:
            self._backlog_since = None
            return ""
        self._backlog_since = now if self._backlog_since is None else self._backlog_since
        if now - self._backlog_since < self.settings.backlog_minutes * 60:
            return ""
        return (
            f"{waiting:,} files wait to be read, and for {self.settings.backlog_minutes:g} minutes it has been no fewer"
        )

    def _model(self) -> str:
        trouble = self._sources.model_trouble()
        return f"the model cannot be used: {trouble}" if trouble else ""

    def _channels(self) -> dict[str, str]:
        limit_s = self.settings.channel_down_minutes * 60
        return {
            f"channel {name}": f"the channel {name} has taken no alert for {limit_s / 60:g} minutes; its alerts wait"
            for name, down_s in self._sources.channels_down_s().items()
            if down_s >= limit_s
        }
