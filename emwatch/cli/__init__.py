"""
The command line: the only part that knows click and rich.

Signals that come while emwatch still imports what it needs: a SIGHUP would end ``emwatch run``, so it is noted before
anything else is imported; Ctrl-C ends the process without a traceback of the imports.
"""

import os
import signal
import sys
from queue import SimpleQueue

#: Signals that came before the daemon could hear them.
early_hangups: SimpleQueue[int] = SimpleQueue()

if sys.argv[1:2] == ["run"] and hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, lambda number, _frame: early_hangups.put(number))


def _end(number: int, _frame: object) -> None:
    os._exit(128 + number)  # there is nothing to clean up, and an exception may be swallowed by what is being imported


def end_when_interrupted() -> None:
    """From now on Ctrl-C ends the process at once, with exit code 130; one that is ignored stays so (`nohup`, `&`)."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_when_interrupted() -> None:
    """From now on Ctrl-C raises `KeyboardInterrupt` again: there is something to clean up."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
