"""
The page as a child of the daemon, which starts ``python -m emwatch.web.child``.

The configuration comes on standard input; the end of that input is the sign to end, so the page never outlives its
daemon. It says on standard output, one JSON object a line, where it is served, or why not.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emwatch.errors import EmwatchError

if TYPE_CHECKING:
    from emwatch.config import Config

#: The microscope's programs and the daemon come first.
_NICENESS: Final = 10
_OOM_SCORE: Final = "500"


def main() -> int:
    """Serve the page until the input ends."""
    # Ctrl-C and the service manager's TERM go to the whole group; the daemon decides, and its end is the end of input.
    for each in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, each):
            signal.signal(getattr(signal, each), signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    with suppress(OSError):  # if memory runs out, the page goes before the daemon (proc_pid_oom_score_adj(5))
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    logging.basicConfig(level=logging.WARNING, format="page: %(levelname)s: %(message)s")
    config: Config = pickle.load(sys.stdin.buffer)  # noqa: S301 - the daemon wrote it
    threading.Thread(target=_end_with_the_daemon, name="end of input", daemon=True).start()
    try:
        from emwatch.web.server import serve_page

        serve_page(config, None, lambda address: _say(address=address))
    except ModuleNotFoundError as error:
        _say(trouble=f"{error.name} is not installed: pip install 'emwatch[web]'")
        return 1
    except EmwatchError as error:
        _say(trouble=str(error))
        return 1
    return 0


def _end_with_the_daemon() -> None:
    while os.read(
        sys.stdin.fileno(), 4096
    ):  # not through the buffer: a thread that waits in it makes Python's own end fatal
        pass
    os._exit(0)  # requests that are being answered are of no use to anybody


def _say(address: str = "", trouble: str = "") -> None:
    sys.stdout.write(json.dumps({"address": address, "trouble": trouble}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
