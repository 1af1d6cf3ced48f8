"""Texts beside a frame that lie in no folder."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from emwatch.frame import Sidecar
from emwatch.readers.raw_frame import TextBeside

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def texts_beside(files: Mapping[str, bytes | None], written_s: float = 0.0) -> Callable[[str], TextBeside | None]:
    """Return a lookup like that of `sidecar_beside`, of texts written at one moment (seconds of the Unix clock)."""

    def lookup(name: str) -> TextBeside | None:
        data = files.get(name)
        if data is None:
            return None
        sha256 = hashlib.sha256(data).hexdigest()
        return TextBeside(Sidecar(name, sha256, len(data), int(written_s * 1e9)), data)

    return lookup
