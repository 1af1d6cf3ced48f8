"""Run the daemon in the foreground of a terminal or under a service manager: signals in, view out."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from emwatch.cli.display import is_terminal
from emwatch.cli.lines import PlainLines
from emwatch.service.daemon import Daemon
from emwatch.service.happenings import Notice
from emwatch.service.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from emwatch.cli.live import LiveView
    from emwatch.config import Config
    from emwatch.service.happenings import Happening

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.2


def run_in_foreground(
    config: Config, *, once: bool, plain: bool, lines_to_stderr: bool = False, until: Callable[[], bool] | None = None
) -> Progress:
    """
    Run the daemon until it is done or told to stop (SIGINT, SIGTERM, or ``until`` says so); gives the final counts.

    Whatever the daemon raises is raised here. A second SIGINT ends the process at once.
    """
    lost: list[bool] = []
    progress = Progress(started_at=time.monotonic())
    view = _view(plain=plain or lines_to_stderr, lines_to_stderr=lines_to_stderr)

    def tell(happening: Happening) -> None:
        progress.note(happening, time.monotonic())
        try:
            view.tell(happening)
        except (OSError, ValueError) as error:  # whoever read our output is gone: that must not cost a frame
            if not lost:
                logger.warning("nobody reads the output any more (%s); recording goes on", error)
                lost.append(True)

    daemon = Daemon(config, tell=tell, show=view.show, once=once)
    failure: list[BaseException] = []

    def work() -> None:
        try:
            daemon.run()
        except BaseException as error:  # noqa: BLE001 - carried over to the main thread, which raises it
            failure.append(error)

    said = False
    worker = threading.Thread(target=work, name="ingest")
    stopping = threading.Event()

    def stop() -> None:
        stopping.set()
        daemon.stop()

    before = _on_signals(stop, daemon.look_everywhere)
    try:
        with view:
            worker.start()
            while worker.is_alive():
                worker.join(_LOOK_EVERY_S)
                if stopping.is_set() and worker.is_alive() and not said:
                    said = True
                    tell(Notice("info", "stopping after the frame in work; Ctrl-C again ends at once"))
                if until is not None and until():
                    daemon.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if failure:
        raise failure[0]
    return progress


def _view(*, plain: bool, lines_to_stderr: bool) -> LiveView | PlainLines:
    if plain or not is_terminal(sys.stdout):
        return PlainLines(results_to_stderr=lines_to_stderr)
    # Under a service manager rich is never imported: its memory is better left to the microscope.
    from rich.console import Console  # noqa: PLC0415

    from emwatch.cli.live import LiveView  # noqa: PLC0415

    return LiveView(Console())


def _on_signals(stop: Callable[[], None], look: Callable[[], None]) -> dict[int, signal._HANDLER]:
    """Stop at SIGINT and SIGTERM, sweep at SIGHUP; after the first SIGINT the next one interrupts as usual."""

    def handle(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        stop()

    before: dict[int, signal._HANDLER] = {
        number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)
    }
    if hangup := getattr(signal, "SIGHUP", None):  # not on Windows
        before[hangup] = signal.signal(hangup, lambda _number, _frame: look())
    return before
