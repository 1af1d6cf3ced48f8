"""
Data bars read in the background, for recorded frames that lack values: no category and no alert waits for one.

The ledger knows which bars are read; frames offered here only come first. After a kill, unread bars are found again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from emwatch.errors import EmwatchError, FrameError, LedgerError, ReaderDied, Vanished
from emwatch.frame import AcquisitionMetadata, FrameState, path_to_text
from emwatch.ingest.events import BarRead, FrameDone, Notice, held_back
from emwatch.ledger.writer import BarFindings
from emwatch.readers.data_bar.bar import merge
from emwatch.targets.rules import match_targets
from emwatch.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from emwatch.clock import Clock
    from emwatch.frame import Candidate, Match
    from emwatch.ingest.events import Event
    from emwatch.ledger.writer import Ledger, UnreadBar
    from emwatch.targets.rules import Target

logger = logging.getLogger(__name__)

#: Numbers of new frames kept in memory; the ledger has the others.
_MOST_FRESH: Final = 256
_IDLE_S: Final = 300.0  # then the reader releases its memory
_AGAIN_S: Final = 600.0  # before files that were locked or unreachable are tried again
_LEDGER_PAUSE_S: Final = 5.0
_START_PAUSE_S: Final = 60.0
_MOST_FAILED_STARTS: Final = 3
_MOST_DEATHS: Final = 3
_TICK_S: Final = 30.0
_STALLED_S: Final = 300.0
_POLL_S: Final = 0.1
_STOPPING_S: Final = 5.0
_LONGEST_FLAG: Final = 300


class BarReader(Protocol):
    """Reads the data bar of a file with a known sha256; see `emwatch.readers.data_bar.sandbox.BarSandbox`."""

    def read(self, path: Path, sha256: str) -> AcquisitionMetadata:
        """Read a bar; raises `FrameError` for the file's fault, `EmwatchError` if nothing can be read."""
        ...

    def rest(self) -> None:
        """Release memory until the next `read`."""
        ...

    def close(self) -> None:
        """Make a running `read` and all later ones raise `EmwatchError`; safe from any thread."""
        ...


class MissingBarReader:
    """Replaces `DataBarWorker` if the text recogniser is not installed: reports that at the first frame that needs it."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._told = False

    def hear(self, event: Event) -> None:
        """Report once how data bars could be read."""
        if not self._told and isinstance(event, FrameDone) and _may_gain(event):
            self._told = True
            self._tell(
                Notice(
                    "info",
                    "some frames lack values that the data bar in the picture may show; reading it needs "
                    "pip install 'emwatch[ocr]' (watch.data_bar: never turns this off)",
                )
            )


class DataBarWorker:
    """
    Reads one bar at a time in its own thread: new frames first, the newest of them first, then older ones.

    ``tell`` takes notices for the operator; ``recorded`` is called after alerts were added.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        reader: BarReader,
        targets: Sequence[Target],
        clock: Clock,
        tell: Callable[[Event], None],
        recorded: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self.use_targets(targets)
        self._clock = clock
        self._tell = tell
        self._recorded = recorded
        self._asked = threading.Condition()
        self._fresh: deque[int] = deque(maxlen=_MOST_FRESH)
        self._before_id: int | None = None  # of the pass through the ledger, newest first
        self._next_pass: float | None = clock.monotonic()  # None: nothing is left that another pass would find
        self._in_pass = False
        self._last_work = clock.monotonic()
        self._held_back = 0
        self._deaths: Counter[int] = Counter()  # of the reader, by frame
        self._turns = 0
        self._at_rest = threading.Event()
        self.worker = Worker("reading data bars", self._run, wake=self._wake)

    def use_targets(self, targets: Sequence[Target]) -> None:
        """Use these targets for bars that are read from now on; safe from any thread."""
        targets = [each for each in targets if each.asks.asks_metadata]  # others do not depend on a value in a bar
        self._matched = partial(match_targets, targets)

    def hear(self, event: Event) -> None:
        """Offer a new frame if it lacks values that its data bar may show; returns at once."""
        if isinstance(event, FrameDone) and _may_gain(event):
            self.offer(event.frame_id)

    def offer(self, frame_id: int) -> None:
        """Queue a recorded frame that lacks values; returns at once."""
        with self._asked:
            if len(self._fresh) == _MOST_FRESH:
                self._pass_at(self._clock.monotonic())
            self._fresh.append(frame_id)
            self._at_rest.clear()
            self._asked.notify_all()

    def start(self) -> None:
        """Start the thread; it also reads the bars that the ledger lists as unread."""
        self.worker.start()

    def finish(self, stop: Callable[[], bool]) -> bool:
        """
        Wait until all bars are read. Returns ``False`` if ``stop`` returned true, the reader failed, or nothing progresses.

        Unreachable files are not waited for: the next start tries them again.
        """
        told = False
        turns, moved_at = self._turns, time.monotonic()
        while not self._at_rest.wait(_POLL_S):
            now = time.monotonic()
            if self._turns != turns:
                turns, moved_at = self._turns, now
            if stop() or not self.worker.is_alive or now - moved_at > _STALLED_S:
                self._tell(Notice("info", "not all data bars were read; the next start reads the rest"))
                return False
            if not told:
                told = True
                self._tell(Notice("info", "reading data bars; if you stop this, the next start reads the rest"))
        return True

    def stop(self) -> None:
        """Stop the thread and the reader at once; the current bar is read at the next start."""
        self.worker.stop(_STOPPING_S)

    def _wake(self) -> None:
        self._reader.close()
        with self._asked:
            self._asked.notify_all()

    def take_turn(self) -> bool:
        """
        Read one bar and record it. Returns ``False`` if there is none to read now.

        Raises:
            LedgerError: the ledger cannot be used now; nothing was recorded.
            EmwatchError: nothing can be read now, and the frame is not the cause.

        """
        bar = self._next()
        now = self._clock.monotonic()
        if bar is None:
            if now - self._last_work >= _IDLE_S:
                self._reader.rest()
            return False
        self._last_work = now
        try:
            seen = self._reader.read(bar.path, bar.sha256)
        except FrameError as error:
            logger.debug("data bar: %s", error)
            if error.retry_after_s is not None and not self._died_too_often(bar, error):
                with self._asked:
                    self._pass_at(now + _AGAIN_S)
                return True
            if isinstance(error, Vanished):
                return True  # perhaps its share is unmounted: tried again at the next start
            seen = AcquisitionMetadata(flags=(f"data bar not read: {error}"[:_LONGEST_FLAG],))
        self._record(bar, seen)
        return True

    def _died_too_often(self, bar: UnreadBar, error: FrameError) -> bool:
        """Return ``True`` if the reader died several times at this bar: then the bar is the cause and not tried again."""
        if not isinstance(error, ReaderDied):
            return False
        self._deaths[bar.frame_id] += 1
        return self._deaths[bar.frame_id] >= _MOST_DEATHS and bool(self._deaths.pop(bar.frame_id))

    def _record(self, bar: UnreadBar, seen: AcquisitionMetadata) -> None:
        committed: list[AcquisitionMetadata] = []

        def matched(frame: Candidate) -> tuple[Match, ...]:
            committed[:] = [frame.metadata]
            return self._matched(frame)

        findings = BarFindings(lambda stored: merge(stored, seen), matched)
        queued = self._ledger.add_data_bar(bar.frame_id, findings, self._clock.now())
        logger.debug("%s: %d values in its data bar", path_to_text(bar.path), len(seen.readings))
        for metadata in committed:
            self._tell(BarRead(bar.frame_id, metadata, queued.matches, queued.hit))
        self._held_back += queued.held_back > 0
        if queued.alerts:
            self._recorded()

    def _tell_of_held_back(self) -> None:
        frames, self._held_back = self._held_back, 0
        if frames:
            self._tell(held_back(frames, self._ledger.alert_max_age))

    def _next(self) -> UnreadBar | None:
        while (frame_id := self._newest_offered()) is not None:
            bar = self._ledger.unread_bar(of_frame=frame_id)
            if bar is not None:
                return bar
        with self._asked:
            if self._next_pass is not None and self._clock.monotonic() >= self._next_pass:
                self._in_pass, self._before_id, self._next_pass = True, None, None
        if not self._in_pass:
            return None
        bar = self._ledger.unread_bar(before_id=self._before_id)
        if bar is None:
            self._in_pass = False
        else:
            self._before_id = bar.frame_id
        return bar

    def _newest_offered(self) -> int | None:
        with self._asked:
            return self._fresh.pop() if self._fresh else None

    def _pass_at(self, when: float) -> None:
        self._next_pass = when if self._next_pass is None else min(when, self._next_pass)

    def _run(self) -> None:
        failed_starts = 0
        while not self.worker.stopping.is_set():
            try:
                worked = self.take_turn()
            except LedgerError as error:
                logger.debug("data bars wait for the ledger: %s", error)
                self._pause(_LEDGER_PAUSE_S)
                continue
            except EmwatchError as error:
                if self.worker.stopping.is_set():
                    return
                failed_starts += 1
                if failed_starts == 1:
                    self._tell(Notice("warning", f"data bars are not read for now: {error}"))
                if failed_starts == _MOST_FAILED_STARTS:
                    return
                self._pause(_START_PAUSE_S)
                continue
            if worked:
                failed_starts = 0
                self._turns += 1
                continue
            self._tell_of_held_back()
            with self._asked:
                if not self._fresh and not self.worker.stopping.is_set():
                    self._at_rest.set()
                    self._asked.wait(_TICK_S)

    def _pause(self, seconds: float) -> None:
        """Wait, then search the ledger again: the bar that failed is still unread there."""
        with self._asked:
            self._pass_at(self._clock.monotonic())
        self.worker.stopping.wait(seconds)


def _may_gain(done: FrameDone) -> bool:
    """Return ``True`` if the frame was recorded without a value that a data bar may show."""
    reading = done.outcome.reading
    recorded = done.outcome.state is FrameState.RECORDED
    return recorded and reading is not None and reading.metadata.lacks_bar_fields
