"""
The command line: the only part that knows click and rich.

A SIGHUP while ``emwatch run`` still imports what it needs would end it. It is noted before anything else is imported.
"""

import signal
import sys
from queue import SimpleQueue

#: Signals that came before the daemon could hear them.
early_hangups: SimpleQueue[int] = SimpleQueue()

if sys.argv[1:2] == ["run"] and hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, lambda number, _frame: early_hangups.put(number))
