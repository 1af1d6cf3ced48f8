"""
The picture child: turns frames that its parent names on standard input into JPEG files.

Started by `PictureReader` as ``python -m emwatch.pictures.child``, confined like the child that reads frames.
"""

from __future__ import annotations

import sys
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, Final

from emwatch.readers.sandbox.child import serve

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.readers.sandbox.child import Answer
    from emwatch.readers.sandbox.limits import Limits

#: Somebody may wait for a picture, but the microscope's programs and the daemon come first.
_NICENESS: Final = 12


def main() -> int:
    """Serve frames until the input ends."""
    return serve(_prepared, niceness=_NICENESS)


def _prepared(settings: dict[str, Any], limits: Limits) -> Answer:
    from emwatch import errors  # the signals first.
    from emwatch.frame import path_to_text
    from emwatch.pictures.render import render
    from emwatch.readers import image
    from emwatch.readers.sandbox.snapshot import take_snapshot

    del settings

    def answer(path: Path, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        name = path_to_text(path)
        snapshot = take_snapshot(path, limits.file_bytes)
        if request["sha256"] and snapshot.sha256 != request["sha256"]:
            raise errors.Unsteady(f"{name}: the file was overwritten since it was recorded; its newest row shows it")
        header = image.read_header(name, snapshot.data, limits)
        pixels = image.decode(name, snapshot.data, header)
        jpeg, *facts = astuple(
            render(
                pixels,
                request["longest_px"],
                pixel_size_nm=request["pixel_size_nm"],
                data_bar_rows=request["data_bar_rows"],
                with_scale_bar=request["with_scale_bar"],
            )
        )
        return {"facts": facts}, jpeg

    return answer


if __name__ == "__main__":
    sys.exit(main())
