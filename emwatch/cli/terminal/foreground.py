"""Run the daemon in the foreground of a terminal or under a service manager: signals in, view out."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from emwatch.cli.terminal.display import is_terminal
from emwatch.cli.terminal.lines import PlainLines
from emwatch.ingest.events import Notice
from emwatch.service.daemon import Daemon
from emwatch.service.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from emwatch.cli.terminal.live import LiveView
    from emwatch.config import Config
    from emwatch.ingest.events import Happening

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.2
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
    Run the daemon until it is done or told to stop (SIGINT, SIGTERM, or ``until`` says so); gives the final counts.

    Whatever the daemon raises is raised here. A second SIGINT ends the process at once. ``reread`` loads the configuration
    again, for SIGHUP.
    """
    progress = Progress()
    view = _view(progress, plain=plain or lines_to_stderr, lines_to_stderr=lines_to_stderr, every_failure=once)
    tell = _Shower(view)
    daemon = Daemon(config, tell=tell, show=view.show, once=once, progress=progress, reread=reread)
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
    with _signals(caught), view:
        worker.start()
        _attend(daemon, caught, until, tell)
        worker.join()
    if failure:
        raise failure[0]
    return progress


class _Shower:
    """Shows what happens, for as long as somebody reads."""

    def __init__(self, view: LiveView | PlainLines) -> None:
        self._view = view
        self._lost = False

    def __call__(self, happening: Happening) -> None:
        self._attempt(partial(self._view.tell, happening))

    def sum_up(self) -> None:
        """Let plain lines say what they held back of a flood."""
        if isinstance(self._view, PlainLines):
            self._attempt(self._view.sum_up)

    def _attempt(self, say: Callable[[], None]) -> None:
        try:
            say()
        except (OSError, ValueError) as error:  # the pipe is closed, the disk full: that must not cost a frame
            if not self._lost:
                self._lost = True
                logger.warning("the output cannot be written any more (%s); recording goes on", error)


def _attend(daemon: Daemon, caught: SimpleQueue[int], until: Callable[[], bool] | None, tell: _Shower) -> None:
    """Pass on to the daemon what signals ask for, until it has ended."""
    stopping = False
    while True:
        numbers = _next_signals(caught)
        tell.sum_up()
        if _ENDED in numbers:
            return
        if not stopping and not numbers.isdisjoint((signal.SIGINT, signal.SIGTERM)):
            stopping = True
            daemon.stop()
            tell(Notice("info", "stopping after the frame in work; Ctrl-C again ends at once"))
        elif numbers and not stopping:
            daemon.look_again()
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
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
