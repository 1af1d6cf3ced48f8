"""
What open pages are told: new frames, the targets, how emwatch is. Each event is made once, and sent to all of them.

A page asks nothing by itself while it is open, so that twenty pages cost little more than one.
"""

from __future__ import annotations

import json
import logging
import queue
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from emwatch.clock import SystemClock
from emwatch.errors import EmwatchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.web.frame_pictures import FramePictures
    from emwatch.web.frames import Frames
    from emwatch.web.shared import Shared

logger = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 0.1
#: Also without a sign of a change: some systems are late to note when a file was written.
_ASK_EVERY_S: Final = 2.0
#: Also the sign of life by which a page knows that it is still connected.
_STATUS_EVERY_S: Final = 5.0
_TARGETS_EVERY_S: Final = 20.0
#: Something other than a new frame may have changed what is known of the targets: a late data bar, a review.
_TARGETS_AFTER_A_CHANGE_S: Final = 5.0
#: The daemon does within this time what a page asked of it.
_EXPECTED_S: Final = 15.0
#: A new frame is told of when its pictures are drawn, or after this time.
_DRAWN_WITHIN_S: Final = 0.2
_COMMENT_EVERY_S: Final = 15.0
#: A page that takes nothing for so many events is cut off, and catches up when it connects again.
_MOST_WAITING: Final = 200


class TooManyPagesError(RuntimeError):
    """More pages are open than the server has threads for."""


class _Event(NamedTuple):
    """The text of an event; the number of the frame it is about, 0 if of none."""

    frame_id: int
    text: str


class Broadcast:
    """Holds a queue of unsent events for each open page, and the thread that fills them all while a page is open."""

    def __init__(
        self,
        frames: Frames,
        pictures: FramePictures,
        status: Shared[dict[str, Any]],
        targets: Shared[dict[str, Any]],
        most_pages: int = 32,
    ) -> None:
        self._frames = frames
        self._pictures = pictures
        self._status = status
        self._targets = targets
        self._most_pages = most_pages
        self._lock = threading.Lock()
        self._pages: set[queue.Queue[list[_Event]]] = set()
        self._thread: threading.Thread | None = None
        self._drawing: threading.Thread | None = None
        self._expected_until = 0.0

    @property
    def pages(self) -> int:
        """How many pages listen."""
        return len(self._pages)

    def events(self, last_id: int | None) -> Iterator[str]:
        """
        Yield server-sent events: how things are, the frames after ``last_id``, then whatever is new.

        Raises `TooManyPagesError` before the first event.
        """
        waiting: queue.Queue[list[_Event]] = queue.Queue(_MOST_WAITING)
        with self._lock:
            if len(self._pages) >= self._most_pages:
                raise TooManyPagesError(f"{self._most_pages} pages are open already; close one and reload")
            self._pages.add(waiting)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="new frames", daemon=True)
                self._thread.start()
        return self._events(waiting, last_id)

    def expect_change(self) -> None:
        """Note that the daemon was asked for something: what comes of it is told as soon as it is done."""
        self._expected_until = time.monotonic() + _EXPECTED_S

    def _events(self, waiting: queue.Queue[list[_Event]], last_id: int | None) -> Iterator[str]:
        try:
            yield "retry: 1000\n\n"
            new = [_status_event(self._status.get())]
            told_id: int | None = None  # up to which frame the page was told
            while True:
                if told_id is None and (missed := self._missed(last_id)) is not None:
                    told_id, events = missed
                    new += events
                if new:
                    yield "".join(each.text for each in new)
                try:
                    found = waiting.get(timeout=_COMMENT_EVERY_S)
                except queue.Empty:
                    found = []
                    yield ": still here\n\n"
                if waiting not in self._pages:
                    return  # too slow: it connects again, and names the last frame it saw
                new = [each for each in found if not each.frame_id or (told_id is not None and each.frame_id > told_id)]
                if told_id is not None:
                    told_id = max([told_id, *(each.frame_id for each in new)])
        finally:
            with self._lock:
                self._pages.discard(waiting)

    def _missed(self, last_id: int | None) -> tuple[int, list[_Event]] | None:
        """Return the newest frame's number and what a page has not seen; ``None`` while the ledger is away."""
        try:
            seen_id = self._frames.newest_id() if last_id is None else last_id
            frames = self._frames.since(seen_id)
            targets = _document_event("targets", self._targets.get())
        except (EmwatchError, sqlite3.Error):  # the status says why
            return None
        return max([seen_id, *(each["id"] for each in frames)]), [targets, *map(_frame_event, frames)]

    def _watch(self) -> None:
        try:
            self._tell_pages()
        finally:
            with self._lock:  # after an unforeseen error: the next page that connects starts another
                if self._thread is threading.current_thread():
                    self._thread = None

    def _tell_pages(self) -> None:
        """Put each new event into the queues of all pages, until none is open; a page whose queue is full is cut off."""
        news = _News(self._frames, self._status, self._targets)
        while True:
            time.sleep(_LOOK_EVERY_S)
            with self._lock:
                if not self._pages:
                    self._thread = None
                    return
                pages = list(self._pages)
            now = time.monotonic()
            frames, events = news.look(now, expected=now < self._expected_until)
            if not events:
                continue
            self._draw(frames)
            for page in pages:
                try:
                    page.put_nowait(events)
                except queue.Full:
                    with self._lock:
                        self._pages.discard(page)

    def _draw(self, frames: list[dict[str, Any]]) -> None:
        """Draw what every page is about to ask for, once; a file that takes long delays no event for long."""
        if not frames or (self._drawing is not None and self._drawing.is_alive()):
            return
        self._drawing = threading.Thread(
            target=self._pictures.prepare, args=(frames,), name="pictures of new frames", daemon=True
        )
        self._drawing.start()
        self._drawing.join(_DRAWN_WITHIN_S)


class _News:
    """What happened since the last look. For one thread."""

    def __init__(self, frames: Frames, status: Shared[dict[str, Any]], targets: Shared[dict[str, Any]]) -> None:
        self._frames = frames
        self._status = status
        self._targets = targets
        self._last_id = frames.newest_id()
        self._stamp = frames.stamp()
        self._asked_at = time.monotonic()
        self._status_at = self._asked_at + _STATUS_EVERY_S
        self._targets_from: float | None = None  # an answer from after this moment is to be sent
        self._targets_due = self._asked_at + _TARGETS_EVERY_S
        self._targets_text = ""

    def look(self, now: float, *, expected: bool) -> tuple[list[dict[str, Any]], list[_Event]]:
        """Return the new frames and all events, those of the frames first."""
        frames: list[dict[str, Any]] = []
        events: list[_Event] = []
        try:
            frames = self._new_frames(now, expected=expected)
            events += [_frame_event(each) for each in frames]
            events += self._new_targets(now)
        except (EmwatchError, sqlite3.Error) as error:  # a ledger that is away: the status says so
            logger.debug("no frames and targets for the open pages: %s", error)
        if now >= self._status_at:
            self._status_at = now + _STATUS_EVERY_S
            events.append(_status_event(self._status.get()))
        return frames, events

    def _new_targets(self, now: float) -> list[_Event]:
        if now >= self._targets_due:
            self._targets_due = now + _TARGETS_EVERY_S
            self._targets_from = now
        if self._targets_from is None or (answer := self._targets.since(self._targets_from)) is None:
            return []
        self._targets_from = None
        event = _document_event("targets", answer)
        if event.text == self._targets_text:
            return []
        self._targets_text = event.text
        return [event]

    def _new_frames(self, now: float, *, expected: bool) -> list[dict[str, Any]]:
        stamp = self._frames.stamp()
        if stamp == self._stamp and now - self._asked_at < _ASK_EVERY_S:
            return []
        if stamp != self._stamp:
            self._targets_due = min(self._targets_due, now if expected else now + _TARGETS_AFTER_A_CHANGE_S)
        self._stamp, self._asked_at = stamp, now
        newest = self._frames.newest_id()
        found = self._frames.since(min(self._last_id, newest)) if newest != self._last_id else []
        self._last_id = newest
        if any(each["targets"] for each in found):
            self._targets_due = now
        return found


def _frame_event(frame: dict[str, Any]) -> _Event:
    return _Event(frame["id"], f"id: {frame['id']}\nevent: frame\ndata: {json.dumps(frame)}\n\n")


def _status_event(status: dict[str, Any]) -> _Event:
    return _document_event("status", {"sent_at": SystemClock().now().isoformat(), **status})


def _document_event(kind: str, document: dict[str, Any]) -> _Event:
    return _Event(0, f"event: {kind}\ndata: {json.dumps(document)}\n\n")
