"""Ranges of magnification by which datasets are described and models judged: a decade is too coarse, a factor of two too fine."""

from __future__ import annotations

import itertools
from typing import Final

_EDGES: Final = (500, 2_000, 10_000, 50_000)

UNKNOWN: Final = "unknown"

#: In their order, the unknown last.
BANDS: Final = (
    f"below {_EDGES[0]:,}x",
    *(f"{low:,}x to {high:,}x" for low, high in itertools.pairwise(_EDGES)),
    f"from {_EDGES[-1]:,}x",
    UNKNOWN,
)


def band(magnification: float | None) -> str:
    """Name the range a magnification lies in."""
    if magnification is None:
        return UNKNOWN
    return BANDS[sum(magnification >= edge for edge in _EDGES)]
