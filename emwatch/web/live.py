"""New rows of the ledger for every open page: one look at the ledger for all of them, server-sent events to each."""

from __future__ import annotations

import json
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.web.frames import Frames

_LOOK_EVERY_S: Final = 0.25
#: A proxy or a suspended laptop drops a silent connection; a comment keeps it open.
_COMMENT_EVERY_S: Final = 15.0
#: A page that takes nothing for so many frames is cut off, and catches up when it connects again.
_MOST_WAITING: Final = 200


class TooManyPagesError(RuntimeError):
    """More pages are open than the server has threads for."""


class Broadcast:
    """Tells all open pages about new frames. The thread that checks for them runs only while a page is open."""

    def __init__(self, frames: Frames, most_pages: int = 32) -> None:
        self._frames = frames
        self._most_pages = most_pages
        self._lock = threading.Lock()
        self._pages: set[queue.Queue[list[dict[str, Any]]]] = set()
        self._thread: threading.Thread | None = None

    @property
    def pages(self) -> int:
        """How many pages listen."""
        return len(self._pages)

    def events(self, last_id: int | None) -> Iterator[str]:
        """
        Yield server-sent events: first the frames after ``last_id``, then each new one.

        Raises `TooManyPagesError` before the first event.
        """
        waiting: queue.Queue[list[dict[str, Any]]] = queue.Queue(_MOST_WAITING)
        with self._lock:
            if len(self._pages) >= self._most_pages:
                raise TooManyPagesError(f"{self._most_pages} pages are open already; close one and reload")
            self._pages.add(waiting)
            if self._thread is None:
                self._thread = threading.Thread(target=self._check_frames, name="new frames", daemon=True)
                self._thread.start()
        return self._events(waiting, last_id)

    def _events(self, waiting: queue.Queue[list[dict[str, Any]]], last_id: int | None) -> Iterator[str]:
        try:
            yield "retry: 1000\n\n"
            if last_id is None:
                last_id = self._frames.newest_id()
            else:
                missed = self._frames.since(last_id)
                yield from map(_event, missed)
                last_id = max([last_id, *(each["id"] for each in missed)])
            while True:
                try:
                    found = waiting.get(timeout=_COMMENT_EVERY_S)
                except queue.Empty:
                    yield ": still here\n\n"
                    continue
                new = [each for each in found if each["id"] > last_id]
                yield from map(_event, new)
                last_id = max([last_id, *(each["id"] for each in new)])
        finally:
            with self._lock:
                self._pages.discard(waiting)

    def _check_frames(self) -> None:
        last_id = self._frames.newest_id()
        while True:
            time.sleep(_LOOK_EVERY_S)
            with self._lock:
                if not self._pages:
                    self._thread = None
                    return
                pages = list(self._pages)
            newest = self._frames.newest_id()
            last_id = min(last_id, newest)
            if newest == last_id:
                continue
            found = self._frames.since(last_id)
            last_id = newest
            for page in pages:
                try:
                    page.put_nowait(found)
                except queue.Full:
                    with self._lock:
                        self._pages.discard(page)


def _event(frame: dict[str, Any]) -> str:
    return f"id: {frame['id']}\nevent: frame\ndata: {json.dumps(frame)}\n\n"
