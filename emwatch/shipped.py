"""Files that come with emwatch: the model, the example configuration, the documentation, the unit file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent

#: A wheel carries the files inside the package; in a checkout they lie beside it.
PLACES: Final = (_PACKAGE, _PACKAGE.parent)


def shipped(name: str) -> Path:
    """
    Return the path of a shipped file or folder, such as ``docs`` or ``models/default``.

    Raises `FileNotFoundError` with both places it was looked for in.
    """
    for place in PLACES:
        if (place / name).exists():
            return place / name
    raise FileNotFoundError(
        f"{name} is in neither {PLACES[0]} nor {PLACES[1]}: the installation is incomplete; install emwatch again"
    )
