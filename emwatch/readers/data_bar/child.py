"""
The data bar child: reads the text in the frames that its parent names on standard input.

Started by `bar_sandbox` as ``python -m emwatch.readers.data_bar.child``; in all but what it makes of a frame it is as
`emwatch.readers.sandbox.child`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from emwatch.readers.sandbox.child import serve

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.readers.sandbox.child import Answer
    from emwatch.readers.sandbox.limits import Limits

#: Whatever else the machine has to do comes first, above all the microscope's own program.
_NICENESS: Final = 19


def main() -> int:
    """Serve frames until the input ends."""
    return serve(_prepared, niceness=_NICENESS)


def _prepared(settings: dict[str, Any], limits: Limits) -> Answer:
    """Load the recogniser, before the limits count and before the first frame."""
    from emwatch import errors  # the signals first.
    from emwatch.frame import path_to_text
    from emwatch.readers import image
    from emwatch.readers.data_bar.bar import read_bar
    from emwatch.readers.data_bar.ocr import RapidRecogniser
    from emwatch.readers.sandbox.snapshot import take_snapshot
    from emwatch.readers.sandbox.wire import metadata_as_message

    del settings
    recogniser = RapidRecogniser()

    def answer(path: Path, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        name = path_to_text(path)
        snapshot = take_snapshot(path, limits.file_bytes)
        if snapshot.sha256 != request["sha256"]:
            raise errors.Unsteady(
                f"{name}: has another content than when it was read; expected sha256 {request['sha256'][:12]}…, "
                f"found {snapshot.sha256[:12]}…; its data bar is read once the new content is recorded"
            )
        header = image.read_header(name, snapshot.data, limits)
        pixels = image.decode(name, snapshot.data, header)
        return metadata_as_message(read_bar(pixels, recogniser)), b""

    return answer


if __name__ == "__main__":
    sys.exit(main())
