"""What ``active.json`` says: the bundle in use, and those before it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from emwatch.foreign_file import parse_json

#: Activations that can be undone.
_LONGEST_HISTORY: Final = 20
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Activation:
    """A bundle that was put into use. ``folder``: its name in the store, ``None`` for the one that comes with emwatch."""

    name: str
    sha256: str
    folder: str | None
    at: str  #: ISO 8601 with offset


@dataclass(frozen=True, slots=True)
class Pointer:
    """Without an ``active`` bundle, the one that comes with emwatch is in use. ``history``: oldest first."""

    active: Activation | None = None
    history: tuple[Activation, ...] = ()

    @classmethod
    def from_json(cls, content: bytes) -> Pointer:
        """Read it; raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        document = parse_json(content)
        active = document["active"]
        return cls(
            None if active is None else _activation(active), tuple(_activation(each) for each in document["history"])
        )

    def document(self) -> dict[str, Any]:
        """Return the document that is written."""
        return asdict(self)

    def then(self, active: Activation) -> Pointer:
        """Put another bundle into use, with a way back; there is none from a bundle to itself."""
        last = self.active
        if last is None or (last.sha256, last.folder) == (active.sha256, active.folder):
            return Pointer(active, self.history)
        return Pointer(active, (*self.history, last)[-_LONGEST_HISTORY:])


def _activation(document: dict[str, Any]) -> Activation:
    found = Activation(**document)
    if not _SHA256.fullmatch(found.sha256):
        raise ValueError(f"{found.sha256!r} is no sha256")
    if found.folder is not None and (found.folder in {"", ".", ".."} or Path(found.folder).name != found.folder):
        raise ValueError(f"{found.folder!r} is no folder of the store")
    return found
