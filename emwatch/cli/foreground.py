"""Run the daemon in the foreground of a terminal or under a service manager: signals in, view out."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from emwatch.cli.display import is_terminal
from emwatch.cli.lines import PlainLines
from emwatch.service.daemon import Daemon
from emwatch.service.happenings import Notice
from emwatch.service.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from emwatch.cli.live import LiveView
    from emwatch.config import Config
    from emwatch.service.happenings import Happening

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.2


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
    progress = Progress(started_at=time.monotonic())
    view = _view(progress, plain=plain or lines_to_stderr, lines_to_stderr=lines_to_stderr, every_failure=once)
    tell = _Teller(progress, view)
    daemon = Daemon(config, tell=tell, show=view.show, once=once, reread=reread)
    failure: list[BaseException] = []

    def work() -> None:
        try:
            daemon.run()
        except BaseException as error:  # noqa: BLE001 - carried over to the main thread, which raises it
            failure.append(error)

    worker = threading.Thread(target=work, name="ingest")
    with _signals(daemon) as asked_to_stop, view:
        worker.start()
        _wait_for(worker, daemon, until, asked_to_stop, tell)
    if failure:
        raise failure[0]
    return progress


class _Teller:
    """Counts what happens and shows it, for as long as somebody reads."""

    def __init__(self, progress: Progress, view: LiveView | PlainLines) -> None:
        self._progress = progress
        self._view = view
        self._lost = False

    def __call__(self, happening: Happening) -> None:
        self._progress.note(happening, time.monotonic())
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


def _wait_for(
    worker: threading.Thread,
    daemon: Daemon,
    until: Callable[[], bool] | None,
    asked_to_stop: threading.Event,
    tell: _Teller,
) -> None:
    said = False
    while worker.is_alive():
        worker.join(_LOOK_EVERY_S)
        tell.sum_up()
        if asked_to_stop.is_set() and worker.is_alive() and not said:
            said = True
            tell(Notice("info", "stopping after the frame in work; Ctrl-C again ends at once"))
        if until is not None and until():
            daemon.stop()


def _view(progress: Progress, *, plain: bool, lines_to_stderr: bool, every_failure: bool) -> LiveView | PlainLines:
    if plain or not is_terminal(sys.stdout):
        return PlainLines(results_to_stderr=lines_to_stderr, every_failure=every_failure)
    # Under a service manager rich is never imported: its memory is better left to the microscope.
    from rich.console import Console  # noqa: PLC0415

    from emwatch.cli.live import LiveView  # noqa: PLC0415

    return LiveView(Console(), progress)


@contextmanager
def _signals(daemon: Daemon) -> Iterator[threading.Event]:
    """Stop at SIGINT and SIGTERM, look at everything again at SIGHUP; after the first SIGINT the next one interrupts as usual."""
    asked_to_stop = threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        asked_to_stop.set()
        daemon.stop()

    before: dict[int, signal._HANDLER] = {
        number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)
    }
    if hangup := getattr(signal, "SIGHUP", None):  # not on Windows
        before[hangup] = signal.signal(hangup, lambda _number, _frame: daemon.look_again())
    try:
        yield asked_to_stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
