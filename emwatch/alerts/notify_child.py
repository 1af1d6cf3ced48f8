"""The process that `emwatch.alerts.notify` starts: one notification through Apprise, then the end."""

from __future__ import annotations

import base64
import json
import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

_PICTURE: Final = "frame.jpg"


def main() -> int:
    """Read a letter from standard input and tell its services; 0 if each has taken it."""
    try:
        from apprise import Apprise
    except ImportError:
        sys.stderr.write("the extra `notify` is not installed: pip install 'emwatch[notify]'\n")
        return 2
    logging.disable()  # its messages repeat addresses
    letter = json.load(sys.stdin)
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
    if refused:
        sys.stderr.write(f"not taken by address {', '.join(refused)} of {len(letter['urls'])}\n")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
