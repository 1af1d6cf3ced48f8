"""The process that `emwatch.alerts.notify` starts: takes letters, one a line, tells their services through Apprise, and answers."""

from __future__ import annotations

import base64
import json
import logging
import select
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

#: The answer when every service has taken a letter; else the answer says what went wrong.
DONE: Final = "done"

_PICTURE: Final = "frame.jpg"
#: Apprise takes tens of megabytes: without letters the process ends.
_IDLE_S: Final = 60.0


def main() -> int:
    """Take letters until the input ends or none comes for a minute."""
    logging.disable()  # what Apprise logs repeats addresses
    while select.select([sys.stdin.buffer], [], [], _IDLE_S)[0] and (line := sys.stdin.buffer.readline()):
        sys.stdout.write(f"{_answer(json.loads(line))}\n")
        sys.stdout.flush()
    return 0


def _answer(letter: dict[str, Any]) -> str:
    try:
        from apprise import Apprise
    except ImportError:
        return "the extra `notify` is not installed: pip install 'emwatch[notify]'"
    refused = []
    with TemporaryDirectory(prefix="emwatch-") as folder:
        picture = Path(folder) / _PICTURE
        if letter["picture"]:
            picture.write_bytes(base64.b64decode(letter["picture"]))
        for number, url in enumerate(letter["urls"], 1):
            service = Apprise()
            told = service.add(url) and (
                (picture.exists() and service.notify(letter["body"], letter["title"], attach=str(picture)))
                or service.notify(letter["body"], letter["title"])
            )
            if not told:
                refused.append(f"{number} ({url.partition(':')[0]})")
    return f"not taken by address {', '.join(refused)} of {len(letter['urls'])}" if refused else DONE


if __name__ == "__main__":
    sys.exit(main())
