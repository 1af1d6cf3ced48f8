"""Run the daemon in the foreground of a terminal or under a service manager: signals in, view out."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, Full, Queue, SimpleQueue
from typing import TYPE_CHECKING, Final

from emwatch.cli import early_hangups, exits, logging_setup
from emwatch.cli.terminal.display import is_terminal
from emwatch.cli.terminal.lines import PlainLines
from emwatch.ingest.events import Notice
from emwatch.service.daemon import Daemon
from emwatch.service.progress import Progress
from emwatch.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType
    from typing import Self

    from emwatch.cli.terminal.live import LiveView
    from emwatch.config import Config
    from emwatch.ingest.events import Event

logger = logging.getLogger(__name__)

#: Events and log lines that wait for an output that stands still.
MOST_WAITING: Final = 2_000
STANDS_STILL_S: Final = 2.0
_SUM_UP_EVERY_S: Final = 1.0
_LOOK_EVERY_S: Final = 0.2
_ENDED = 0  # no signal has this number


def run_in_foreground(
    config: Config,
    *,
    once: bool,
    plain: bool,
    lines_to_stderr: bool = False,
    until: Callable[[], bool] | None = None,
    reread: Callable[[], Config] | None = None,
) -> Progress:
    """
    Run the daemon until it is done or told to stop (SIGINT, SIGTERM, or ``until`` says so); returns the final counts.

    Whatever the daemon raises is raised here. A second SIGINT ends the process at once. ``reread`` loads the configuration
    again, for SIGHUP.
    """
    progress = Progress()
    view = _view(progress, plain=plain or lines_to_stderr, lines_to_stderr=lines_to_stderr, every_failure=once)
    output = Output(view)
    daemon = Daemon(config, tell=output.tell, show=view.show, once=once, progress=progress, reread=reread)
    failure: list[BaseException] = []
    caught: SimpleQueue[int] = SimpleQueue()

    def work() -> None:
        try:
            daemon.run()
        except BaseException as error:  # noqa: BLE001 - carried over to the main thread, which raises it
            failure.append(error)
        finally:
            caught.put(_ENDED)

    # A second Ctrl-C ends the process even if this thread waits for a share for ever.
    worker = threading.Thread(target=work, name="ingest", daemon=True)
    with _signals(caught), output:
        worker.start()
        _attend(daemon, caught, until, output.tell)
        worker.join()
    if failure:
        raise failure[0]
    return progress


class Output:
    """
    Shows events and log lines in a thread of its own.

    A stopped terminal, or a pipe without a reader, delays neither the recording nor a stop. Up to `MOST_WAITING` lines
    wait meanwhile; the others are counted. At the end, an output that accepts nothing for `STANDS_STILL_S` seconds is
    abandoned.
    """

    def __init__(self, view: LiveView | PlainLines) -> None:
        self._view = view
        self._waiting: Queue[Callable[[], None]] = Queue(MOST_WAITING)
        self._worker = Worker("output", self._run, wake=self._wake)
        self._left_out = 0
        self._shown = 0
        self._lost = False

    def __enter__(self) -> Self:
        self._worker.start()
        logging_setup.send_lines_to(self._put)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging_setup.send_lines_to(None)
        self._worker.ask_to_stop()
        shown = -1
        while shown != self._shown:  # a slow reader gets all of it
            shown = self._shown
            if self._worker.join(STANDS_STILL_S):
                return
        exits.abandon_output()

    def tell(self, event: Event) -> None:
        """Show an event, in the order in which they came; returns at once, from any thread."""
        self._put(partial(self._view.tell, event))

    def _put(self, show: Callable[[], None]) -> None:
        try:
            self._waiting.put_nowait(show)
        except Full:
            self._left_out += 1

    def _wake(self) -> None:
        with suppress(Full):
            self._waiting.put_nowait(lambda: None)

    def _run(self) -> None:
        self._attempt(self._view.__enter__)
        while not (self._worker.stopping.is_set() and self._waiting.empty()):
            with suppress(Empty):
                self._attempt(self._waiting.get(timeout=_SUM_UP_EVERY_S))
            if self._left_out and self._waiting.empty():
                left_out, self._left_out = self._left_out, 0
                text = f"{left_out:,} lines were left out while the output stood still; the ledger has every frame"
                self._attempt(partial(self._view.tell, Notice("warning", text)))
            self._attempt(self._view.sum_up)
        self._attempt(partial(self._view.__exit__, None, None, None))

    def _attempt(self, show: Callable[[], object]) -> None:
        try:
            show()
        except (OSError, ValueError) as error:  # the pipe is closed, the disk full: that must not cost a frame
            if not self._lost:
                self._lost = True
                logger.warning("the output cannot be written any more (%s); recording goes on", error)
        self._shown += 1


def _attend(
    daemon: Daemon,
    caught: SimpleQueue[int],
    until: Callable[[], bool] | None,
    tell: Callable[[Event], None],
) -> None:
    """Pass on to the daemon what signals ask for, until it has ended."""
    stopping = False
    while True:
        numbers = _next_signals(caught)
        if _ENDED in numbers:
            return
        if not stopping and not numbers.isdisjoint((signal.SIGINT, signal.SIGTERM)):
            stopping = True
            daemon.stop()
            tell(Notice("info", "stopping after the frame in work; Ctrl-C again ends at once"))
        elif numbers and not stopping:
            daemon.refresh()
        if until is not None and until():
            daemon.stop()


def _next_signals(caught: SimpleQueue[int]) -> set[int]:
    """Wait a little for signals; many of one kind count as one."""
    numbers: set[int] = set()
    with suppress(Empty):
        numbers.add(caught.get(timeout=_LOOK_EVERY_S))
        while True:
            numbers.add(caught.get_nowait())
    return numbers


def _view(progress: Progress, *, plain: bool, lines_to_stderr: bool, every_failure: bool) -> LiveView | PlainLines:
    if plain or not is_terminal(sys.stdout):
        return PlainLines(results_to_stderr=lines_to_stderr, every_failure=every_failure)
    # Under a service manager rich is never imported: its memory is better left to the microscope.
    from rich.console import Console

    from emwatch.cli.terminal.live import LiveView

    return LiveView(Console(), progress)


@contextmanager
def _signals(caught: SimpleQueue[int]) -> Iterator[None]:
    """
    Note SIGINT, SIGTERM (stop) and SIGHUP (look at everything again); after the first SIGINT the next one interrupts as usual.

    A handler runs between any two steps of the main thread, also of another handler, so it must not touch anything that
    takes a lock; `SimpleQueue.put` may be entered again.
    """

    def note(number: int, _frame: FrameType | None) -> None:
        caught.put(number)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    kinds = [signal.SIGINT, signal.SIGTERM]
    if hangup := getattr(signal, "SIGHUP", None):  # not on Windows
        kinds.append(hangup)
    before: dict[int, signal._HANDLER] = {number: signal.signal(number, note) for number in kinds}
    while not early_hangups.empty():
        caught.put(early_hangups.get())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
