"""Where hints wait for the ingest loop: bounded, thread-safe, and cheap for the thread that brings them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_MOST_FILES = 10_000

#: The reason of a sweep that somebody asked for: no hint was lost, and nobody needs a warning.
ASKED: Final = "asked for"


@dataclass(slots=True)
class Hinted:
    """What came in since the loop last looked."""

    files: dict[Path, bool] = field(default_factory=dict)  # path -> closed by its writer
    gone: set[Path] = field(default_factory=set)
    folders: set[Path] = field(default_factory=set)
    everything: list[str] = field(default_factory=list)  # reasons for a full sweep

    def __bool__(self) -> bool:
        return bool(self.files or self.gone or self.folders or self.everything)


class HintBox:
    """The bridge between watchdog's thread and the loop; beyond 10,000 files it keeps only "look everywhere"."""

    def __init__(self) -> None:
        self._arrived = threading.Condition()
        self._hinted = Hinted()
        self._woken = False
        self.lost = 0  #: times that single hints could not be trusted

    def file(self, path: Path, *, closed: bool) -> None:
        """Note a file to look at."""
        with self._arrived:
            hinted = self._hinted
            if path not in hinted.files and len(hinted.files) >= _MOST_FILES:
                self._note_everything("more files at once than are kept track of singly")
            else:
                hinted.files[path] = hinted.files.get(path, False) or closed
            self._arrived.notify()

    def gone(self, path: Path) -> None:
        """Note that a file was renamed away."""
        with self._arrived:
            self._hinted.files.pop(path, None)
            if len(self._hinted.gone) < _MOST_FILES:  # else it is found to be gone when it is its turn
                self._hinted.gone.add(path)
            self._arrived.notify()

    def folder(self, path: Path) -> None:
        """Note a folder to look into."""
        with self._arrived:
            if len(self._hinted.folders) < _MOST_FILES:
                self._hinted.folders.add(path)
            else:
                self._note_everything("more folders at once than are kept track of singly")
            self._arrived.notify()

    def everything(self, reason: str) -> None:
        """Note that single hints cannot be trusted."""
        with self._arrived:
            self._note_everything(reason)
            self._arrived.notify()

    def wake(self) -> None:
        """End the present wait without a hint."""
        with self._arrived:
            self._woken = True
            self._arrived.notify()

    def wait(self, timeout_s: float) -> None:
        """Wait for a hint, a wake-up, or the time to pass."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._woken or bool(self._hinted), timeout_s)
            self._woken = False

    def take(self) -> Hinted:
        """Take what came in."""
        with self._arrived:
            taken, self._hinted = self._hinted, Hinted()
            return taken

    def _note_everything(self, reason: str) -> None:
        if reason not in self._hinted.everything:
            self._hinted.everything.append(reason)
            self.lost += reason != ASKED
