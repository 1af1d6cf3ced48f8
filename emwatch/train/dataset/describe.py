"""What a dataset holds, as plain data: for `emwatch dataset describe` and for whoever reads its JSON."""

from __future__ import annotations

import collections
import itertools
import statistics
from typing import TYPE_CHECKING, Any, Final

from emwatch.frame import CATEGORIES, path_to_text
from emwatch.train.dataset.check import troubles
from emwatch.train.dataset.labelled import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from emwatch.train.dataset.survey import Likeness, Look

#: Of the ranges of magnification in which models are judged as well: a decade is too coarse, a factor of two too fine.
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


def description(looks: Sequence[Look], alike: Likeness) -> dict[str, Any]:
    """Describe the frames looked at: counts by category, size, maker and magnification, duplicates, and what is wrong."""
    read = [look for look in looks if look.is_read]
    return {
        "frames": len(looks),
        "unreadable": len(looks) - len(read),
        "sources": len({look.frame.source for look in looks}),
        "categories": {name: _category(looks, index) for index, name in enumerate(CATEGORIES)},
        "sizes_px": _counted(f"{look.width} x {look.height}" for look in read),
        "pixel_types": _counted(f"{look.image_format} {look.pixel_type}" for look in read),
        "makers": _counted(look.vendor or UNKNOWN for look in read),
        "magnifications": {
            name: count
            for name in BANDS
            if (count := sum(band(look.magnification) == name for look in read)) or name == UNKNOWN
        },
        "exact_duplicates": _paths(looks, alike.exact),
        "near_duplicates": _paths(looks, [group for group in alike.near if group not in alike.exact]),
        "repeats": len(alike.repeats),
        "troubles": [
            {
                "kind": trouble.kind,
                "what": trouble.what,
                "do": trouble.do,
                "stops": trouble.stops,
                "files": [path_to_text(path) for path in trouble.files],
            }
            for trouble in troubles(looks)
        ],
    }


def _category(looks: Sequence[Look], index: int) -> dict[str, Any]:
    mine = [look for look in looks if look.frame.category == index]
    known = [look.magnification for look in mine if look.magnification is not None]
    parts = collections.Counter(look.frame.part for look in mine if look.frame.part is not None)
    return {
        "frames": len(mine),
        "sources": len({look.frame.source for look in mine}),
        "makers": len({look.vendor for look in mine if look.vendor}),
        "median_magnification": statistics.median(known) if known else None,
        **({part: parts[part] for part in Part} if parts else {}),
    }


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(collections.Counter(words).most_common())


def _paths(looks: Sequence[Look], groups: Sequence[Sequence[int]]) -> list[list[str]]:
    return [[path_to_text(looks[at].frame.path) for at in group] for group in groups]
